//! The bytes of a journal file: its header, its objects, and the values of its data objects, read with a bounded memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

pub(crate) const SIGNATURE: &[u8] = b"LPKSHHRH";

/// Flags of the header without which a file can't be read.
const COMPRESSED_XZ: u32 = 1;
const COMPRESSED_LZ4: u32 = 2;
const KEYED_HASH: u32 = 4;
const COMPRESSED_ZSTD: u32 = 8;
const COMPACT: u32 = 16;
const KNOWN: u32 = COMPRESSED_XZ | COMPRESSED_LZ4 | KEYED_HASH | COMPRESSED_ZSTD | COMPACT;

const HEADER: usize = 208;
/// Of a message at most this much is kept; of one that is packed, what is unpacked.
const VALUE_LIMIT: usize = 256 << 10;
/// A packed value that is longer is not looked at.
const PACKED_LIMIT: u64 = 4 << 20;
/// An lz4 block can only be unpacked whole.
const LZ4_LIMIT: usize = 4 << 20;
const XZ_MEMORY: u64 = 32 << 20;
/// journald itself takes no more fields of one entry.
const ITEM_LIMIT: u64 = 1024;

/// What is read at once, and how many such pieces are kept.
const PAGE: usize = 16 << 10;
const PAGES: usize = 256;
/// Data objects that are remembered: most fields of most entries are the same.
const REMEMBERED: usize = 4096;
const REMEMBERED_LENGTH: usize = 256;

/// Kinds of objects.
pub(super) const DATA: u8 = 1;
pub(super) const ENTRY: u8 = 3;
pub(super) const ENTRY_ARRAY: u8 = 6;

/// The fields that are read, with the sign that ends their names.
const FIELDS: &[&[u8]] = &[
    b"MESSAGE=",
    b"_SYSTEMD_UNIT=",
    b"UNIT=",
    b"OBJECT_SYSTEMD_UNIT=",
    b"COREDUMP_UNIT=",
    b"SYSLOG_IDENTIFIER=",
    b"_COMM=",
    b"_PID=",
    b"_HOSTNAME=",
    b"_TRANSPORT=",
];
const LONGEST_FIELD: usize = 20;

/// What stands at the place of a data object.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Field {
        name: &'static [u8],
        value: Arc<[u8]>,
    },
    /// Another field.
    Other,
    Damaged,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectHead {
    pub kind: u8,
    pub flags: u8,
    pub size: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct EntryHead {
    /// Microseconds since the epoch.
    pub realtime: u64,
    pub items: u64,
    pub size: u64,
}

pub(super) struct File<R> {
    inner: R,
    pages: Vec<Option<(u64, Box<[u8]>)>>,
    data: HashMap<u64, Data>,
    is_compact: bool,
    pub header_size: u64,
    pub length: u64,
    pub entry_array: u64,
}

impl<R: Read + Seek> File<R> {
    pub fn open(mut inner: R) -> io::Result<File<R>> {
        let length = inner.seek(SeekFrom::End(0))?;
        let pages = (0..PAGES).map(|_| None).collect();
        let mut file =
            File { inner, pages, data: HashMap::new(), is_compact: false, header_size: 0, length, entry_array: 0 };
        let mut header = [0; HEADER];
        if file.read(0, &mut header)? < HEADER || !header.starts_with(SIGNATURE) {
            return Err(invalid("no journal file, or one whose header is not whole"));
        }
        let incompatible = u32_at(&header, 12);
        if incompatible & !KNOWN != 0 {
            return Err(invalid("a journal file of a newer systemd; give the output of `journalctl --file` instead"));
        }
        file.is_compact = incompatible & COMPACT != 0;
        file.header_size = u64_at(&header, 88);
        file.entry_array = u64_at(&header, 176);
        if file.header_size < HEADER as u64 || file.header_size > 1 << 16 {
            return Err(invalid("a journal file with a damaged header"));
        }
        Ok(file)
    }

    /// Bytes from a place on; fewer at the end of the file.
    pub fn read(&mut self, mut at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let number = at / PAGE as u64;
            let slot = (number % PAGES as u64) as usize;
            let is_known = self.pages.get(slot).is_some_and(|page| page.as_ref().is_some_and(|page| page.0 == number));
            if !is_known {
                let page = self.page(number)?;
                if let Some(slot) = self.pages.get_mut(slot) {
                    *slot = Some((number, page));
                }
            }
            let Some(Some((_, page))) = self.pages.get(slot) else { break };
            let rest = page.get((at % PAGE as u64) as usize..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let length = rest.len().min(into.len() - done);
            into[done..done + length].copy_from_slice(&rest[..length]);
            done += length;
            at += length as u64;
        }
        Ok(done)
    }

    fn page(&mut self, number: u64) -> io::Result<Box<[u8]>> {
        let Some(start) = number.checked_mul(PAGE as u64).filter(|start| *start < self.length) else {
            return Ok(Box::default());
        };
        self.inner.seek(SeekFrom::Start(start))?;
        let mut page = Vec::with_capacity(PAGE);
        self.inner.by_ref().take(PAGE as u64).read_to_end(&mut page)?;
        Ok(page.into())
    }

    fn exactly<const LENGTH: usize>(&mut self, at: u64) -> io::Result<Option<[u8; LENGTH]>> {
        let mut bytes = [0; LENGTH];
        Ok((self.read(at, &mut bytes)? == LENGTH).then_some(bytes))
    }

    /// The head of the object at a place; none when no object can be there.
    pub fn object(&mut self, at: u64) -> io::Result<Option<ObjectHead>> {
        if !at.is_multiple_of(8) || at < self.header_size || at >= self.length {
            return Ok(None);
        }
        let Some(bytes) = self.exactly::<16>(at)? else { return Ok(None) };
        let head = ObjectHead { kind: bytes[0], flags: bytes[1], size: u64_at(&bytes, 8) };
        let fits = head.size >= 16 && at.checked_add(head.size).is_some_and(|end| end <= self.length);
        Ok(fits.then_some(head))
    }

    /// The entry at a place; none when there is no entry.
    pub fn entry(&mut self, at: u64) -> io::Result<Option<EntryHead>> {
        let Some(head) = self.object(at)?.filter(|head| head.kind == ENTRY && head.size >= 64) else {
            return Ok(None);
        };
        let Some(bytes) = self.exactly::<64>(at)? else { return Ok(None) };
        let items = (head.size - 64) / if self.is_compact { 4 } else { 16 };
        Ok(Some(EntryHead { realtime: u64_at(&bytes, 24), items: items.min(ITEM_LIMIT), size: head.size }))
    }

    /// The place of an entry's data object; none where its items end.
    pub fn item(&mut self, entry: u64, index: u64) -> io::Result<Option<u64>> {
        let at = if self.is_compact {
            self.exactly::<4>(entry + 64 + index * 4)?.map(|bytes| u64::from(u32::from_le_bytes(bytes)))
        } else {
            self.exactly::<8>(entry + 64 + index * 16)?.map(u64::from_le_bytes)
        };
        Ok(at.filter(|at| *at != 0))
    }

    /// Number of places in an entry array, by its size.
    pub fn array_length(&self, size: u64) -> u64 {
        size.saturating_sub(24) / if self.is_compact { 4 } else { 8 }
    }

    pub fn array_next(&mut self, array: u64) -> io::Result<u64> {
        Ok(self.exactly::<8>(array + 16)?.map_or(0, u64::from_le_bytes))
    }

    pub fn array_item(&mut self, array: u64, index: u64) -> io::Result<u64> {
        Ok(if self.is_compact {
            self.exactly::<4>(array + 24 + index * 4)?.map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
        } else {
            self.exactly::<8>(array + 24 + index * 8)?.map_or(0, u64::from_le_bytes)
        })
    }

    /// The field of the data object at a place.
    pub fn data(&mut self, at: u64) -> io::Result<Data> {
        if let Some(known) = self.data.get(&at) {
            return Ok(known.clone());
        }
        let data = self.read_data(at)?;
        let is_short = match &data {
            Data::Field { name, value } => *name != b"MESSAGE" && value.len() <= REMEMBERED_LENGTH,
            // Few are met again.
            Data::Other => true,
            Data::Damaged => false,
        };
        if is_short {
            if self.data.len() >= REMEMBERED {
                self.data.clear();
            }
            self.data.insert(at, data.clone());
        }
        Ok(data)
    }

    fn read_data(&mut self, at: u64) -> io::Result<Data> {
        let payload = if self.is_compact { 72 } else { 64 };
        let Some(head) = self.object(at)?.filter(|head| head.kind == DATA && head.size >= payload) else {
            return Ok(Data::Damaged);
        };
        let length = head.size - payload;
        if head.flags & 7 == 0 {
            let mut name = [0; LONGEST_FIELD];
            let known = length.min(LONGEST_FIELD as u64) as usize;
            let known = self.read(at + payload, &mut name[..known])?;
            let Some(field) = FIELDS.iter().find(|field| name[..known].starts_with(field)) else {
                return Ok(Data::Other);
            };
            let rest = (length - field.len() as u64).min(VALUE_LIMIT as u64) as usize;
            let mut value = vec![0; rest];
            let read = self.read(at + payload + field.len() as u64, &mut value)?;
            value.truncate(read);
            return Ok(Data::Field { name: &field[..field.len() - 1], value: value.into() });
        }
        if length > PACKED_LIMIT {
            return Ok(Data::Other);
        }
        let mut packed = vec![0; length as usize];
        let read = self.read(at + payload, &mut packed)?;
        packed.truncate(read);
        let Some(plain) = unpack(head.flags, &packed) else { return Ok(Data::Damaged) };
        let Some(field) = FIELDS.iter().find(|field| plain.starts_with(field)) else { return Ok(Data::Other) };
        Ok(Data::Field { name: &field[..field.len() - 1], value: plain[field.len()..].into() })
    }
}

/// A packed value, or its beginning.
fn unpack(flags: u8, packed: &[u8]) -> Option<Cow<'static, [u8]>> {
    let mut plain = Vec::new();
    let limit = (VALUE_LIMIT + LONGEST_FIELD) as u64;
    match flags & 7 {
        1 => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).ok()?;
            liblzma::bufread::XzDecoder::new_stream(packed, stream).take(limit).read_to_end(&mut plain).ok()?;
        }
        2 => {
            let (length, block) = packed.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= LZ4_LIMIT)?;
            plain = lz4_flex::block::decompress(block, length).ok()?;
            plain.truncate(VALUE_LIMIT + LONGEST_FIELD);
        }
        4 => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).ok()?;
            decoder.window_log_max(23).ok()?;
            decoder.take(limit).read_to_end(&mut plain).ok()?;
        }
        _ => return None,
    }
    Some(plain.into())
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
