//! Where the content of an archive is kept while its host is judged: in memory as long as that is little, else in a file of
//! our own that has no name.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

/// Bytes that are kept in memory; a bundle without large logs fits.
const MEMORY: usize = 12 << 20;

/// A place for content, written once and then read from anywhere.
#[derive(Debug, Default)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<Arc<File>>,
    length: u64,
}

/// A piece of content in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub length: u64,
}

impl Spool {
    /// Bytes that were kept so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Keeps these bytes after those of the calls before.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY {
            let mut file = temporary()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(Arc::new(file));
        }
        match &self.file {
            Some(file) => (&**file).write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// A piece's content.
    pub fn open(self: &Arc<Spool>, piece: Piece) -> SpoolReader {
        SpoolReader { spool: Arc::clone(self), piece }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.file {
            Some(file) => file.read_at(buffer, offset),
            None => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let mut rest = Cursor::new(self.memory.get(from..).unwrap_or_default());
                rest.read(buffer)
            }
        }
    }
}

/// A file without a name: it is gone when the program ends, however it ends.
fn temporary() -> io::Result<File> {
    #[expect(clippy::disallowed_methods, reason = "where temporary files go is told by the environment alone")]
    let directory = std::env::var_os("TMPDIR").filter(|path| !path.is_empty()).unwrap_or_else(|| "/tmp".into());
    let directory = Path::new(&directory);
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
        Ok(file) => Ok(File::from(file)),
        // Not every file system can do that.
        Err(_) => {
            let name =
                directory.join(format!(".k8sdoctor-{}-{:x}", std::process::id(), rustix::process::getuid().as_raw()));
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::open(&name, flags, mode)?;
            rustix::fs::unlink(&name)?;
            Ok(File::from(file))
        }
    }
}

/// Reads one piece.
pub struct SpoolReader {
    spool: Arc<Spool>,
    /// What is left of it.
    piece: Piece,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.piece.length).unwrap_or(usize::MAX));
        let Some(target) = buffer.get_mut(..room).filter(|target| !target.is_empty()) else { return Ok(0) };
        let count = self.spool.read_at(self.piece.offset, target)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.piece.offset += count as u64;
        self.piece.length -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_from_memory_and_from_the_file() {
        let block = vec![7u8; 1 << 20];
        for blocks in [1, 40] {
            let mut spool = Spool::default();
            spool.append(b"begin").unwrap();
            for _ in 0..blocks {
                spool.append(&block).unwrap();
            }
            spool.append(b"end").unwrap();
            assert_eq!(spool.file.is_some(), blocks == 40);
            let length = spool.len();
            let spool = Arc::new(spool);
            let mut text = String::new();
            for piece in [Piece { offset: 0, length: 5 }, Piece { offset: length - 3, length: 3 }] {
                spool.open(piece).read_to_string(&mut text).unwrap();
            }
            assert_eq!(text, "beginend");
            let past = Piece { offset: length, length: 1 };
            assert!(spool.open(past).read_to_string(&mut text).is_err());
        }
    }
}
