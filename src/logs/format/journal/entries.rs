//! The places of a journal's entries in their order: from the entry arrays, and where these are damaged by walking over
//! the objects.

use std::io::{self, Read, Seek};

use super::file::{ENTRY, ENTRY_ARRAY, File};

/// Where the next entry is looked for.
#[derive(Debug, Clone, Copy)]
enum Place {
    Array {
        at: u64,
        length: u64,
        index: u64,
    },
    /// Object by object from here.
    Walk(u64),
    End,
}

pub(super) struct Entries {
    place: Place,
    /// End of the last good entry: from here on objects can be walked.
    good_end: u64,
    last: u64,
    damaged: u64,
    /// Told once at the end.
    error: Option<io::Error>,
}

impl Entries {
    /// From the first entry that may be of `from`, microseconds since the epoch, or later.
    pub fn new<R: Read + Seek>(file: &mut File<R>, from: u64) -> io::Result<Entries> {
        let mut entries = Entries { place: Place::End, good_end: file.header_size, last: 0, damaged: 0, error: None };
        if file.entry_array == 0 {
            // A file without an entry has none; one that says so and has some was not closed.
            entries.place = Place::Walk(file.header_size);
            return Ok(entries);
        }
        entries.enter(file, file.entry_array)?;
        if from > 0 {
            entries.seek(file, from)?;
        }
        Ok(entries)
    }

    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// An entry was read there.
    pub fn is_good(&mut self, at: u64, size: u64) {
        self.good_end = at.saturating_add(size).next_multiple_of(8).max(self.good_end);
    }

    /// Lets the next call fail, once.
    pub fn end_with(&mut self, error: io::Error) {
        self.error = Some(error);
        self.place = Place::End;
        self.damaged = 0;
    }

    fn enter<R: Read + Seek>(&mut self, file: &mut File<R>, at: u64) -> io::Result<()> {
        self.place = match file.object(at)?.filter(|head| head.kind == ENTRY_ARRAY) {
            Some(head) => Place::Array { at, length: file.array_length(head.size), index: 0 },
            None => {
                self.damaged += 1;
                Place::Walk(self.good_end)
            }
        };
        Ok(())
    }

    /// Skips arrays whose successor begins before `from`, then bisects.
    fn seek<R: Read + Seek>(&mut self, file: &mut File<R>, from: u64) -> io::Result<()> {
        while let Place::Array { at, length, .. } = self.place {
            let next = file.array_next(at)?;
            let follows = next > at && file.object(next)?.is_some_and(|head| head.kind == ENTRY_ARRAY);
            let is_early = |file: &mut File<R>, entry: u64| -> io::Result<Option<bool>> {
                Ok(file.entry(entry)?.map(|entry| entry.realtime < from))
            };
            if follows {
                let first = file.array_item(next, 0)?;
                if is_early(file, first)? == Some(true) {
                    self.enter(file, next)?;
                    continue;
                }
            }
            let (mut low, mut high) = (0, length);
            while low < high {
                let middle = low + (high - low) / 2;
                let entry = file.array_item(at, middle)?;
                // Unused places at the end are late; a damaged entry is no reason to skip what is before it.
                match is_early(file, entry)? {
                    Some(true) => low = middle + 1,
                    _ => high = middle,
                }
            }
            if let Some(before) = low.checked_sub(1) {
                let entry = file.array_item(at, before)?;
                if let Some(head) = file.entry(entry)? {
                    self.is_good(entry, head.size);
                    self.last = entry;
                }
            }
            self.place = Place::Array { at, length, index: low };
            break;
        }
        Ok(())
    }

    /// The next place where an entry should be; places only go forward.
    pub fn next<R: Read + Seek>(&mut self, file: &mut File<R>) -> io::Result<Option<u64>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        loop {
            match self.place {
                Place::End => return Ok(None),
                Place::Array { at, length, index } if index < length => {
                    let entry = file.array_item(at, index)?;
                    self.place = Place::Array { at, length, index: index + 1 };
                    if entry == 0 {
                        // Unused: the arrays end here. An entry may have been written that no array names yet.
                        self.place = Place::Walk(self.good_end);
                    } else if entry <= self.last {
                        self.damaged += 1;
                    } else {
                        // A wild place must not hide what follows.
                        if file.object(entry)?.is_some_and(|head| head.kind == ENTRY) {
                            self.last = entry;
                            return Ok(Some(entry));
                        }
                        self.damaged += 1;
                    }
                }
                Place::Array { at, .. } => match file.array_next(at)? {
                    0 => self.place = Place::Walk(self.good_end),
                    next if next > at => self.enter(file, next)?,
                    _ => {
                        self.damaged += 1;
                        self.place = Place::Walk(self.good_end);
                    }
                },
                Place::Walk(at) => match file.object(at)? {
                    Some(head) => {
                        self.place = Place::Walk(at.saturating_add(head.size).next_multiple_of(8));
                        if head.kind == ENTRY && at > self.last {
                            self.last = at;
                            return Ok(Some(at));
                        }
                    }
                    None => {
                        self.place = Place::End;
                        // Space that was set aside is all zeros.
                        let mut rest = [0; 16];
                        let known = file.read(at, &mut rest)?;
                        if rest.get(..known).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)) {
                            self.damaged += 1;
                        }
                    }
                },
            }
        }
    }
}
