//! Writes small journal files for tests: as systemd does, without hash tables.

use std::io::Write;

use super::file::{DATA, ENTRY, ENTRY_ARRAY, SIGNATURE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Xz,
    Lz4,
    Zstd,
}

pub struct Writer {
    bytes: Vec<u8>,
    is_compact: bool,
    packing: Packing,
    entries: Vec<u64>,
}

const HEADER: usize = 256;
/// Entries of the first array; each next one has twice as many.
const FIRST_ARRAY: usize = 4;

impl Writer {
    pub fn new(is_compact: bool, packing: Packing) -> Writer {
        Writer { bytes: vec![0; HEADER], is_compact, packing, entries: Vec::new() }
    }

    fn object(&mut self, kind: u8, flags: u8, body: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(&(body.len() as u64 + 16).to_le_bytes());
        self.bytes.extend_from_slice(body);
        at
    }

    pub fn entry(&mut self, micros: u64, fields: &[&str]) {
        let places: Vec<u64> = fields.iter().map(|field| self.data(field.as_bytes())).collect();
        let mut body = Vec::new();
        body.extend_from_slice(&(self.entries.len() as u64 + 1).to_le_bytes());
        body.extend_from_slice(&micros.to_le_bytes());
        body.extend_from_slice(&[0; 32]);
        for place in places {
            if self.is_compact {
                body.extend_from_slice(&(place as u32).to_le_bytes());
            } else {
                body.extend_from_slice(&place.to_le_bytes());
                body.extend_from_slice(&[0; 8]);
            }
        }
        let at = self.object(ENTRY, 0, &body);
        self.entries.push(at);
    }

    fn data(&mut self, field: &[u8]) -> u64 {
        let (flags, payload) = match self.packing {
            Packing::Plain => (0, field.to_vec()),
            Packing::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(field).unwrap();
                (1, encoder.finish().unwrap())
            }
            Packing::Lz4 => {
                let mut packed = (field.len() as u64).to_le_bytes().to_vec();
                packed.extend_from_slice(&lz4_flex::block::compress(field));
                (2, packed)
            }
            Packing::Zstd => (4, zstd::encode_all(field, 1).unwrap()),
        };
        let mut body = vec![0; if self.is_compact { 56 } else { 48 }];
        body.extend_from_slice(&payload);
        self.object(DATA, flags, &body)
    }

    /// The file, with its arrays, or as a crash leaves it before they are written.
    pub fn finish(mut self, with_arrays: bool) -> Vec<u8> {
        let mut first = 0;
        let entries = std::mem::take(&mut self.entries);
        let mut rest = &entries[..];
        let (mut size, mut before) = (FIRST_ARRAY, None::<u64>);
        while with_arrays && !rest.is_empty() {
            let (these, after) = rest.split_at(rest.len().min(size));
            let mut body = vec![0; 8];
            for place in these.iter().copied().chain(std::iter::repeat_n(0, size - these.len())) {
                if self.is_compact {
                    body.extend_from_slice(&(place as u32).to_le_bytes());
                } else {
                    body.extend_from_slice(&place.to_le_bytes());
                }
            }
            let at = self.object(ENTRY_ARRAY, 0, &body);
            match before {
                Some(before) => self.bytes[before as usize + 16..][..8].copy_from_slice(&at.to_le_bytes()),
                None => first = at,
            }
            (before, rest, size) = (Some(at), after, size * 2);
        }
        let flags = match self.packing {
            Packing::Plain => 4u32,
            Packing::Xz => 1,
            Packing::Lz4 => 2,
            Packing::Zstd => 8,
        } | if self.is_compact { 16 } else { 0 };
        self.bytes[..8].copy_from_slice(SIGNATURE);
        self.bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        self.bytes[88..96].copy_from_slice(&(HEADER as u64).to_le_bytes());
        self.bytes[176..184].copy_from_slice(&first.to_le_bytes());
        self.bytes
    }
}
