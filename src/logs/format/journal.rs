//! systemd's binary journal (systemd.io/JOURNAL_FILE_FORMAT), as lines like those of `journalctl -o short-iso-precise`.
//!
//! A file is a header and objects, each at a multiple of 8. An entry names the data objects of its fields; entry arrays,
//! each naming the next, name the entries in their order. A file that was not closed, or is damaged, is read as far as it
//! goes: where the arrays end too early, the objects that follow the last good entry are walked one by one. Nothing in a
//! file is believed: places only ever go forward, what is kept has a limit, and what is no object of the expected kind is
//! skipped and counted.

mod entries;
mod file;
mod filter;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer;

use std::io::{self, Read, Seek};

use jiff::Timestamp;

use super::export::Entry;
use entries::Entries;
use file::{Data, File};
use filter::Filter;

/// Reads a journal file, gives lines. At the end an error tells of what was damaged.
pub struct JournalReader<R> {
    file: File<R>,
    entries: Entries,
    filter: Option<Filter>,
    /// Entries before this, microseconds since the epoch, are not given.
    from: u64,
    output: Vec<u8>,
    given: usize,
    damaged: u64,
    ended: bool,
}

impl<R: Read + Seek> JournalReader<R> {
    /// Opens a journal. With `units` only entries of these units, of the kernel, and of systemd about these units are
    /// given; `*` at the end of a name stands for anything. Fails when the header is none, or says that the file needs
    /// what this reader does not know.
    pub fn open(inner: R, units: Option<&[&str]>, from: Option<Timestamp>) -> io::Result<JournalReader<R>> {
        let mut file = File::open(inner)?;
        let from = from.map_or(0, |from| u64::try_from(from.as_microsecond()).unwrap_or(0));
        let entries = Entries::new(&mut file, from)?;
        let filter = units.map(Filter::new);
        Ok(JournalReader { file, entries, filter, from, output: Vec::new(), given: 0, damaged: 0, ended: false })
    }

    /// Makes the next line; false at the end.
    fn next_line(&mut self) -> io::Result<bool> {
        loop {
            let Some(at) = self.entries.next(&mut self.file)? else {
                self.ended = true;
                let damaged = self.damaged + self.entries.damaged();
                if damaged > 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("the journal is damaged in {damaged} places; what is not damaged was read"),
                    ));
                }
                return Ok(false);
            };
            let Some(head) = self.file.entry(at)? else {
                self.damaged += 1;
                continue;
            };
            self.entries.is_good(at, head.size);
            if head.realtime < self.from {
                continue;
            }
            let mut entry = Entry::at(i64::try_from(head.realtime).ok());
            let mut seen = filter::Seen::default();
            let mut has_message = false;
            for index in 0..head.items {
                let Some(place) = self.file.item(at, index)? else { break };
                match self.file.data(place)? {
                    Data::Other => {}
                    Data::Damaged => self.damaged += 1,
                    Data::Field { name, value } => {
                        seen.take(name, &value);
                        has_message |= name == b"MESSAGE";
                        entry.take(name, &value);
                    }
                }
            }
            if has_message && self.filter.as_ref().is_none_or(|filter| filter.wants(&seen)) {
                self.output.clear();
                entry.write_line(&mut self.output);
                self.given = 0;
                return Ok(true);
            }
        }
    }
}

impl<R: Read + Seek> Read for JournalReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        // Several lines at once: most are short.
        while count < buffer.len() {
            if self.given == self.output.len() {
                if self.ended {
                    break;
                }
                match self.next_line() {
                    Ok(true) => {}
                    Ok(false) => break,
                    // What was read so far is given first; the error comes with the next call.
                    Err(error) if count > 0 && self.ended => {
                        self.ended = false;
                        self.entries.end_with(error);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let rest = self.output.get(self.given..).unwrap_or_default();
            let length = rest.len().min(buffer.len() - count);
            buffer[count..count + length].copy_from_slice(&rest[..length]);
            self.given += length;
            count += length;
        }
        Ok(count)
    }
}
