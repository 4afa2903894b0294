//! What the logs of the live host get while they are followed: new lines of the files, over rotation and truncation, and
//! of the journal.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use super::{discover, journal};
use crate::collect::Files;
use crate::logs::LogInput;
use crate::source::SourceRef;

/// How long to wait for news.
const ROUND: Duration = Duration::from_millis(500);
/// New logs are looked for in every so many rounds.
const ROUNDS_TO_DISCOVER: u32 = 8;
/// Each holds a file descriptor, so that what a log got before it was rotated is not missed.
const TAIL_LIMIT: usize = 400;
/// Read of one log in one round.
const READ_LIMIT: u64 = 4 << 20;
/// A line without an end is given up to here.
const LINE_LIMIT: usize = 64 << 10;
/// Pieces of the journal that wait to be read.
const QUEUE: usize = 256;

/// Something new.
pub enum News {
    /// Whole lines of a log.
    Lines(LogInput<'static>),
    /// A log that can't be followed (any more), and why.
    LeftOut(String, String),
}

/// Follows the logs of the live host.
pub struct Follower {
    source: SourceRef,
    tails: BTreeMap<String, Tail>,
    refused: BTreeMap<String, String>,
    journal: Receiver<(String, std::io::Result<Vec<u8>>)>,
    has_journal: bool,
    rounds: u32,
}

impl Follower {
    /// Begins at the present end of each log.
    pub fn start(source: SourceRef) -> (Follower, Vec<News>) {
        let mut news = Vec::new();
        let mut left_out = Vec::new();
        let (sender, journal) = mpsc::sync_channel(QUEUE);
        for (name, reader) in journal::follow(&mut left_out) {
            let sender = sender.clone();
            // Ends with journalctl, which ends when the receiver's process does.
            std::thread::spawn(move || forward(name, reader, &sender));
        }
        let mut follower = Follower {
            source,
            tails: BTreeMap::new(),
            refused: BTreeMap::new(),
            journal,
            has_journal: true,
            rounds: 0,
        };
        follower.discover(true, &mut left_out);
        news.extend(left_out.into_iter().map(|(path, why)| News::LeftOut(path, why)));
        (follower, news)
    }

    /// What came within the next moment; empty when nothing did.
    pub fn wait(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        self.rounds = self.rounds.wrapping_add(1);
        if self.rounds.is_multiple_of(ROUNDS_TO_DISCOVER) {
            let mut left_out = Vec::new();
            self.discover(false, &mut left_out);
            news.extend(left_out.into_iter().map(|(path, why)| News::LeftOut(path, why)));
        }
        let mut gone = Vec::new();
        for (path, tail) in &mut self.tails {
            match tail.read(path) {
                Ok(pieces) => news.extend(pieces.into_iter().map(|bytes| lines(path, bytes))),
                Err(why) => {
                    gone.push(path.clone());
                    news.extend(why.map(|why| News::LeftOut(path.clone(), why)));
                }
            }
        }
        gone.iter().for_each(|path| drop(self.tails.remove(path)));
        if news.is_empty() && self.has_journal {
            match self.journal.recv_timeout(ROUND) {
                Ok(piece) => news.push(of_journal(piece)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.has_journal = false,
            }
        } else if news.is_empty() {
            std::thread::sleep(ROUND);
        }
        news.extend(self.journal.try_iter().take(QUEUE).map(of_journal));
        news
    }

    /// Finds logs that are new; those that are there at the start are followed from their end, later ones are read whole.
    fn discover(&mut self, at_start: bool, left_out: &mut Vec<(String, String)>) {
        // A new memory: the old one would not see what is new.
        let files = Files::new(self.source.clone());
        let found = discover(&files, None);
        for (path, why) in found.left_out {
            if self.refused.get(&path) != Some(&why) {
                self.refused.insert(path.clone(), why.clone());
                left_out.push((path, why));
            }
        }
        for path in found.paths {
            let is_packed = [".gz", ".xz", ".zst"].iter().any(|end| path.ends_with(end));
            if is_packed || self.tails.contains_key(&path) {
                continue;
            }
            if self.tails.len() >= TAIL_LIMIT {
                let why = format!("more than {TAIL_LIMIT} logs; those that were written to last are followed");
                if self.refused.insert("/var/log".to_owned(), why.clone()).as_ref() != Some(&why) {
                    left_out.push(("/var/log".to_owned(), why));
                }
                break;
            }
            // What rotation renamed is no new log.
            match Tail::open(&path, at_start) {
                Ok(tail) if !at_start && self.tails.values().any(|known| known.identity == tail.identity) => {}
                Ok(tail) => drop(self.tails.insert(path, tail)),
                Err(why) => {
                    if self.refused.get(&path) != Some(&why) {
                        self.refused.insert(path.clone(), why.clone());
                        left_out.push((path, why));
                    }
                }
            }
        }
    }
}

fn lines(path: &str, bytes: Vec<u8>) -> News {
    let mut input = LogInput::new(path, Box::new(std::io::Cursor::new(bytes)));
    input.is_numbered = false;
    News::Lines(input)
}

fn of_journal((name, piece): (String, std::io::Result<Vec<u8>>)) -> News {
    match piece {
        Ok(bytes) => {
            let News::Lines(mut input) = lines(&name, bytes) else { return News::LeftOut(name, String::new()) };
            input.attribution = None;
            News::Lines(input)
        }
        Err(error) => News::LeftOut(name, error.to_string()),
    }
}

/// Gives what a reader of whole lines gives, until its end.
fn forward(name: String, mut reader: Box<dyn Read + Send>, sender: &SyncSender<(String, std::io::Result<Vec<u8>>)>) {
    let mut rest = Vec::new();
    let mut buffer = vec![0; LINE_LIMIT];
    loop {
        let piece = match reader.read(&mut buffer) {
            Ok(0) => Err(std::io::Error::other("journalctl has ended; its messages are not followed any more")),
            Ok(count) => {
                rest.extend_from_slice(buffer.get(..count).unwrap_or_default());
                match whole_lines(&mut rest) {
                    Some(lines) => Ok(lines),
                    None => continue,
                }
            }
            Err(error) => Err(error),
        };
        let ended = piece.is_err();
        if sender.send((name.clone(), piece)).is_err() || ended {
            return;
        }
    }
}

/// Takes the whole lines out of what was read; the rest stays, unless it is too long to be kept.
fn whole_lines(rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = match memchr::memrchr(b'\n', rest) {
        Some(at) => at + 1,
        None if rest.len() > LINE_LIMIT => rest.len(),
        None => return None,
    };
    let tail = rest.split_off(end);
    Some(std::mem::replace(rest, tail))
}

/// A file of which so much was read.
struct Tail {
    file: std::fs::File,
    /// Device and inode.
    identity: (u64, u64),
    at: u64,
    rest: Vec<u8>,
}

impl Tail {
    fn open(path: &str, at_end: bool) -> Result<Tail, String> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file: OwnedFd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(said)?;
        let stat = rustix::fs::fstat(&file).map_err(said)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("no regular file".to_owned());
        }
        let at = if at_end { size(&stat) } else { 0 };
        Ok(Tail { file: file.into(), identity: identity(&stat), at, rest: Vec::new() })
    }

    /// New lines. After a rotation those of the old file come first. The error is why it is not followed any more, none
    /// when it is simply gone.
    fn read(&mut self, path: &str) -> Result<Vec<Vec<u8>>, Option<String>> {
        let mut pieces = Vec::new();
        pieces.extend(self.new_lines().map_err(Some)?);
        match rustix::fs::statat(CWD, path, rustix::fs::AtFlags::empty()) {
            Ok(stat) if identity(&stat) == self.identity => {}
            Ok(_) => {
                // The last line of a file that is not written to any more has its end.
                if !self.rest.is_empty() {
                    pieces.push(std::mem::take(&mut self.rest));
                }
                *self = Tail::open(path, false).map_err(Some)?;
                pieces.extend(self.new_lines().map_err(Some)?);
            }
            // Between the two steps of a rotation, or gone for good: a new one is discovered.
            Err(rustix::io::Errno::NOENT) if pieces.is_empty() => return Err(None),
            Err(_) => {}
        }
        Ok(pieces)
    }

    fn new_lines(&mut self) -> Result<Option<Vec<u8>>, String> {
        let stat = rustix::fs::fstat(&self.file).map_err(said)?;
        if size(&stat) < self.at {
            // Truncated in its place.
            self.at = 0;
            self.rest.clear();
        }
        if size(&stat) == self.at {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(self.at)).map_err(|error| error.to_string())?;
        let read = (&self.file).take(READ_LIMIT).read_to_end(&mut self.rest).map_err(|error| error.to_string())?;
        self.at += read as u64;
        Ok(whole_lines(&mut self.rest))
    }
}

// The field types differ by architecture.
#[allow(clippy::unnecessary_cast)]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

#[allow(clippy::unnecessary_cast)]
fn size(stat: &Stat) -> u64 {
    stat.st_size.max(0) as u64
}

fn said(errno: rustix::io::Errno) -> String {
    std::io::Error::from(errno).to_string()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "logs have to be written to be followed")]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn text(tail: &mut Tail, path: &str) -> String {
        let pieces = tail.read(path).unwrap().concat();
        String::from_utf8(pieces).unwrap()
    }

    #[test]
    fn gives_what_is_new_over_rotation_and_truncation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let name = path.to_str().unwrap();
        fs::write(&path, "old\n").unwrap();
        let mut tail = Tail::open(name, true).unwrap();
        assert_eq!(text(&mut tail, name), "");
        let append = |text: &str| {
            fs::OpenOptions::new().append(true).create(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        append("one\ntw");
        assert_eq!(text(&mut tail, name), "one\n");
        append("o\n");
        assert_eq!(text(&mut tail, name), "two\n");
        // Renamed, and written to once more before the new file is there.
        append("three");
        fs::rename(&path, folder.path().join("a.log.1")).unwrap();
        append("four\n");
        assert_eq!(text(&mut tail, name), "threefour\n");
        append("a longer line\n");
        assert_eq!(text(&mut tail, name), "a longer line\n");
        // copytruncate
        fs::write(&path, "five\n").unwrap();
        assert_eq!(text(&mut tail, name), "five\n");
        fs::remove_file(&path).unwrap();
        assert_eq!(tail.read(name), Err(None));
    }

    #[test]
    fn a_line_without_end_is_not_kept_for_ever() {
        let mut rest = vec![b'x'; LINE_LIMIT];
        assert_eq!(whole_lines(&mut rest), None);
        rest.push(b'x');
        assert_eq!(whole_lines(&mut rest).map(|lines| lines.len()), Some(LINE_LIMIT + 1));
        assert!(rest.is_empty());
    }
}
