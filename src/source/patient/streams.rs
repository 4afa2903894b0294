//! Streams whose disk may stop answering.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use crate::source::ReadSeek;

/// Bytes that are read at once.
const BLOCK: usize = 256 << 10;
/// Blocks that are read ahead.
const BLOCKS: usize = 4;
/// Bytes that are read at least where a file is read here and there: asking for them takes longer than reading them.
const PIECE: usize = 64 << 10;

/// A stream that is read by a thread of its own, a few blocks ahead, and whose next block is not waited for forever.
pub struct PatientReader {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// Blocks to be filled again.
    spent: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    read: usize,
    ended: bool,
    patience: Duration,
    late: Box<dyn Fn() + Send>,
}

impl PatientReader {
    /// `late` is called when a block did not come in time.
    pub fn of(
        mut reader: Box<dyn Read + Send>,
        patience: Duration,
        late: impl Fn() + Send + 'static,
    ) -> io::Result<PatientReader> {
        let (full, blocks) = sync_channel(BLOCKS);
        let (spent, empty) = sync_channel::<Vec<u8>>(BLOCKS + 2);
        let fill = move || {
            loop {
                let mut block = empty.try_recv().unwrap_or_default();
                block.resize(BLOCK, 0);
                let read = match reader.read(&mut block) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                let is_last = !matches!(read, Ok(count) if count > 0);
                let told = read.map(|count| {
                    block.truncate(count);
                    block
                });
                // Ends when the stream does, or when nobody reads it any more.
                if full.send(told).is_err() || is_last {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("read".to_owned()).spawn(fill)?;
        Ok(PatientReader { blocks, spent, block: Vec::new(), read: 0, ended: false, patience, late: Box::new(late) })
    }
}

impl Read for PatientReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read >= self.block.len() {
            let spent = std::mem::take(&mut self.block);
            self.read = 0;
            if spent.capacity() > 0 {
                // With more than enough of them this one is let go.
                let _ = self.spent.try_send(spent);
            }
            if self.ended {
                return Ok(0);
            }
            match self.blocks.recv_timeout(self.patience) {
                Ok(block) => {
                    self.ended = !matches!(&block, Ok(block) if !block.is_empty());
                    self.block = block?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.ended = true;
                    (self.late)();
                    let message = format!("its disk did not answer within {:.1} s", self.patience.as_secs_f64());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("reading broke off")),
            }
        }
        let rest = self.block.get(self.read..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.read += count;
        Ok(count)
    }
}

/// A file that is read from any place on by a thread of its own, which is not waited for forever.
pub(super) struct PatientSeek {
    /// From where on, and how many bytes at most.
    wanted: Sender<(u64, usize)>,
    answers: Receiver<io::Result<Vec<u8>>>,
    at: u64,
    length: u64,
    /// What was read last, and where it begins.
    piece: Vec<u8>,
    begins: u64,
    is_late: bool,
    patience: Duration,
    late: Box<dyn Fn() + Send>,
}

impl PatientSeek {
    pub fn of(
        mut reader: Box<dyn ReadSeek>,
        length: u64,
        patience: Duration,
        late: impl Fn() + Send + 'static,
    ) -> io::Result<PatientSeek> {
        let (wanted, questions) = channel::<(u64, usize)>();
        let (tell, answers) = channel();
        let mut answer = move |(at, count): (u64, usize)| {
            reader.seek(SeekFrom::Start(at))?;
            let mut bytes = vec![0; count.min(BLOCK)];
            let count = reader.read(&mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        };
        let work =
            move || questions.into_iter().take_while(|question| tell.send(answer(*question)).is_ok()).for_each(drop);
        std::thread::Builder::new().name("read".to_owned()).spawn(work)?;
        let (piece, late) = (Vec::new(), Box::new(late));
        Ok(PatientSeek { wanted, answers, at: 0, length, piece, begins: 0, is_late: false, patience, late })
    }

    /// Bytes of the last piece, from where the reader is on.
    fn at_hand(&self) -> &[u8] {
        let skip = self.at.checked_sub(self.begins).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.piece.get(skip..)).unwrap_or_default()
    }
}

impl Read for PatientSeek {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let broken = || io::Error::other("reading broke off");
        if !self.is_late {
            let mut at_hand = self.at_hand();
            if !at_hand.is_empty() {
                let count = at_hand.read(into)?;
                self.at += count as u64;
                return Ok(count);
            }
            self.wanted.send((self.at, into.len().max(PIECE))).map_err(|_| broken())?;
            match self.answers.recv_timeout(self.patience) {
                Ok(bytes) => {
                    (self.piece, self.begins) = (bytes?, self.at);
                    let count = self.piece.as_slice().read(into)?;
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(RecvTimeoutError::Timeout) => (self.late)(),
                Err(RecvTimeoutError::Disconnected) => return Err(broken()),
            }
        }
        // An answer that comes after all is not taken for that of the next question.
        self.is_late = true;
        let message = format!("its disk did not answer within {:.1} s", self.patience.as_secs_f64());
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    }
}

impl Seek for PatientSeek {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_of_a_file_is_read_until_it_stops() {
        struct Stops(io::Cursor<Vec<u8>>);
        impl Read for Stops {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                while self.0.position() >= 8 {
                    std::thread::park();
                }
                let count = into.len().min(2);
                self.0.read(&mut into[..count])
            }
        }
        impl Seek for Stops {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.0.seek(to)
            }
        }
        let (tell, told) = channel();
        let file = Box::new(Stops(io::Cursor::new(b"0123456789".to_vec())));
        let late = move || tell.send(()).unwrap();
        let mut file = PatientSeek::of(file, 10, Duration::from_millis(100), late).unwrap();
        let mut two = [0; 2];
        for (to, at, expected) in
            [(SeekFrom::Start(3), 3, b"34"), (SeekFrom::Current(1), 6, b"67"), (SeekFrom::End(-9), 1, b"12")]
        {
            assert_eq!(file.seek(to).unwrap(), at);
            file.read_exact(&mut two).unwrap();
            assert_eq!(&two, expected);
        }
        assert!(file.seek(SeekFrom::End(-11)).is_err());
        file.seek(SeekFrom::Start(8)).unwrap();
        assert_eq!(file.read(&mut two).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(told.try_recv().is_ok());
        file.seek(SeekFrom::Start(0)).unwrap();
        assert!(file.read(&mut two).is_err(), "nobody knows what would come");
    }

    #[test]
    fn a_stream_that_stops_is_told() {
        struct Never;
        impl Read for Never {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                loop {
                    std::thread::park();
                }
            }
        }
        let stuck: Box<dyn Read + Send> = Box::new(io::Cursor::new(b"begin".to_vec()).chain(Never));
        let (tell, told) = channel();
        let mut reader = PatientReader::of(stuck, Duration::from_millis(100), move || {
            let _ = tell.send(());
        })
        .unwrap();
        let mut text = Vec::new();
        let error = reader.read_to_end(&mut text).unwrap_err();
        assert_eq!((text.as_slice(), error.kind()), (&b"begin"[..], io::ErrorKind::TimedOut));
        assert!(told.try_recv().is_ok());
    }
}
