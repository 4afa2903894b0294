//! Reads on a thread of its own, a few blocks ahead of who takes them. What was read is handed over with the buffer that it is
//! in.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::feed::Buffer;

/// Blocks that wait to be taken.
const BLOCKS: usize = 6;

/// What a reader gives, read ahead.
pub(crate) struct Ahead {
    blocks: Receiver<Block>,
    /// Buffers to be filled again.
    spent: SyncSender<Buffer>,
    /// What [`Read`] has begun with, and how much of it was read.
    begun: Option<(Block, usize)>,
    ended: bool,
}

struct Block {
    buffer: Buffer,
    /// New bytes in it.
    count: usize,
    /// How it ended after them, when it did.
    last: Option<io::Result<()>>,
}

impl Ahead {
    /// An error when there can be no thread.
    pub fn of(mut reader: Box<dyn Read + Send>) -> io::Result<Ahead> {
        let (full, blocks) = sync_channel(BLOCKS);
        let (spent, empty) = sync_channel(BLOCKS + 2);
        let work = move || {
            // Ends when the log does, or when nobody takes it any more.
            loop {
                let mut buffer = empty.try_recv().unwrap_or_else(|_| Buffer::new());
                let (count, last) = fill(&mut *reader, buffer.fresh_mut());
                let ended = last.is_some();
                if full.send(Block { buffer, count, last }).is_err() || ended {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("unpack".to_owned()).spawn(work)?;
        Ok(Ahead { blocks, spent, begun: None, ended: false })
    }

    fn next(&mut self) -> io::Result<Block> {
        self.blocks.recv().map_err(|_| io::Error::other("unpacking broke off"))
    }

    fn give_back(&self, buffer: Buffer) {
        // With more than enough of them this one is let go.
        let _ = self.spent.try_send(buffer);
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !into.is_empty() {
            let (block, from) = match self.begun.take() {
                Some(begun) => begun,
                None => (self.next()?, 0),
            };
            let rest = block.buffer.fresh().get(from..block.count).unwrap_or_default();
            let count = rest.len().min(into.len());
            if count > 0 {
                into[..count].copy_from_slice(&rest[..count]);
                self.begun = Some((block, from + count));
                return Ok(count);
            }
            self.give_back(block.buffer);
            self.ended = block.last.is_some();
            block.last.unwrap_or(Ok(()))?;
        }
        Ok(0)
    }
}

/// Fills a buffer: how many bytes were read, and how it ended when it did.
pub(super) fn fill(reader: &mut dyn Read, into: &mut [u8]) -> (usize, Option<io::Result<()>>) {
    let mut end = 0;
    while end < into.len() {
        match reader.read(&mut into[end..]) {
            Ok(0) => return (end, Some(Ok(()))),
            Ok(count) => end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (end, Some(Err(error))),
        }
    }
    (end, None)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::TrySendError;

    use super::super::feed::BLOCK;
    use super::*;

    fn long() -> Vec<u8> {
        (0..3_000_000u32).flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Gives so much, then a failure.
    struct Breaks(usize);

    impl Read for Breaks {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.0.min(into.len()).min(1000);
            self.0 -= count;
            into[..count].fill(b'x');
            if count == 0 { Err(io::Error::other("damaged")) } else { Ok(count) }
        }
    }

    #[test]
    fn gives_everything_in_order() {
        let long = long();
        let mut read = Vec::new();
        Ahead::of(Box::new(io::Cursor::new(long.clone()))).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == long, "{} of {}", read.len(), long.len());
    }

    #[test]
    fn gives_what_was_before_a_failure() {
        for size in [0, 5, BLOCK, 2 * BLOCK + 5] {
            let mut read = Vec::new();
            let why = Ahead::of(Box::new(Breaks(size))).unwrap().read_to_end(&mut read).unwrap_err();
            assert_eq!((read.len(), why.to_string().as_str()), (size, "damaged"));
        }
    }

    #[test]
    fn leaves_no_thread_that_waits() {
        let mut ahead = Ahead::of(Box::new(io::Cursor::new(long()))).unwrap();
        ahead.read_exact(&mut [0; 10]).unwrap();
        drop(std::mem::replace(&mut ahead.blocks, sync_channel(0).1));
        // Only the thread has the other end.
        let is_gone = || matches!(ahead.spent.try_send(Buffer::none()), Err(TrySendError::Disconnected(_)));
        assert!((0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            is_gone()
        }));
    }
}
