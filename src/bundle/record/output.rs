//! Pieces of logs into the archive: each is packed by who made it, or by who has nothing else to do.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::recorder::Recorder;
use super::streams::PIECE;
use crate::bundle::manifest::RedactionRecord;
use crate::bundle::writer::{FramePacker, Open, PieceHash};

/// Smaller pieces are packed together with others.
const LARGE: usize = 64 << 10;
/// Pieces that wait for who helps: each is memory.
const WAITING: usize = 1;

/// A log of which all pieces were given away.
pub struct Ended {
    pub open: Open,
    pub hash: PieceHash,
    pub records: Vec<RedactionRecord>,
    pub truncated: Option<String>,
}

enum Task {
    Piece(Vec<u8>),
    /// After its pieces.
    End(Box<Ended>),
}

/// Where one thread puts its pieces.
pub struct Output<'r, W: Write> {
    recorder: &'r Recorder<W>,
    packer: Option<FramePacker>,
    /// To the other, while it has nothing of its own to do.
    other: SyncSender<Task>,
    other_helps: Arc<AtomicBool>,
    /// From the other.
    tasks: Receiver<Task>,
    helps: Arc<AtomicBool>,
    /// Whether pieces of the log that is written were given to the other.
    is_shared: bool,
    /// Vectors of pieces that were written.
    spent: Vec<Vec<u8>>,
}

/// Two, of which each can be helped by the other's thread.
pub fn outputs<W: Write>(recorder: &Recorder<W>) -> (Output<'_, W>, Output<'_, W>) {
    let (first_sends, second_takes) = sync_channel(WAITING);
    let (second_sends, first_takes) = sync_channel(WAITING);
    let (first_helps, second_helps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let output = |other, tasks, helps: &Arc<AtomicBool>, other_helps: &Arc<AtomicBool>| Output {
        recorder,
        packer: None,
        other,
        other_helps: Arc::clone(other_helps),
        tasks,
        helps: Arc::clone(helps),
        is_shared: false,
        spent: Vec::new(),
    };
    (
        output(first_sends, first_takes, &first_helps, &second_helps),
        output(second_sends, second_takes, &second_helps, &first_helps),
    )
}

impl<W: Write + Send> Output<'_, W> {
    /// Begins a piece: its headers, to be followed by its content. None when nothing can be written any more.
    pub fn begin(&mut self, open: &Open) -> Option<Vec<u8>> {
        let room = self.spent.pop().unwrap_or_default();
        self.is_shared &= !open.is_empty();
        match open.begin_piece(room) {
            Ok(piece) => Some(piece),
            Err(error) => self.fail(error),
        }
    }

    fn fail<T>(&self, error: io::Error) -> Option<T> {
        self.recorder.write_with(|_| Err(error));
        None
    }

    /// Takes a piece with its headers; false when nothing is written any more.
    pub fn give(&mut self, open: &mut Open, mut piece: Vec<u8>, headers: usize) -> bool {
        if let Err(error) = open.end_piece(&mut piece, headers) {
            self.fail::<()>(error);
            return false;
        }
        if piece.len() >= LARGE && self.other_helps.load(Ordering::Acquire) {
            match self.other.try_send(Task::Piece(piece)) {
                Ok(()) => {
                    self.is_shared = true;
                    return self.recorder.is_writing();
                }
                Err(unsent) => {
                    let (std::sync::mpsc::TrySendError::Full(task) | std::sync::mpsc::TrySendError::Disconnected(task)) =
                        unsent;
                    let Task::Piece(unsent) = task else { return false };
                    piece = unsent;
                }
            }
        }
        let is_written = self.write(&piece);
        if self.spent.is_empty() && piece.capacity() <= 2 * PIECE {
            self.spent.push(piece);
        }
        is_written
    }

    fn write(&mut self, piece: &[u8]) -> bool {
        if piece.len() < LARGE {
            return self.recorder.write_with(|writer| writer.piece(piece));
        }
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => match FramePacker::new() {
                Ok(packer) => none.insert(packer),
                Err(error) => return self.fail::<()>(error).is_some(),
            },
        };
        // Packed outside of the lock, so that the other can go on.
        match packer.pack(piece) {
            Ok(frame) => self.recorder.write_with(|writer| writer.frame(frame)),
            Err(error) => self.recorder.write_with(|_| Err(error)),
        }
    }

    /// Ends a log.
    pub fn end(&mut self, ended: Ended) {
        let task = if std::mem::take(&mut self.is_shared) {
            // Its pieces are before it.
            match self.other.send(Task::End(Box::new(ended))) {
                Ok(()) => return,
                Err(unsent) => unsent.0,
            }
        } else {
            Task::End(Box::new(ended))
        };
        self.record(task);
    }

    fn record(&mut self, task: Task) {
        match task {
            Task::Piece(piece) => {
                self.write(&piece);
            }
            Task::End(ended) => {
                let Ended { open, hash, records, truncated } = *ended;
                self.recorder.end(open, hash, records, truncated);
            }
        }
    }

    /// Packs what the other has, until it has ended: who comes second has nobody left to help.
    pub fn help(self) {
        let Output { recorder, packer, other, other_helps, tasks, helps, .. } = self;
        if !other_helps.load(Ordering::Acquire) {
            helps.store(true, Ordering::Release);
        }
        // The other ends when nobody can send it anything.
        drop(other);
        let (unused, _) = sync_channel(1);
        let mut worker =
            Output { recorder, packer, other: unused, other_helps, tasks, helps, is_shared: false, spent: Vec::new() };
        while let Ok(task) = worker.tasks.recv() {
            worker.record(task);
        }
    }
}
