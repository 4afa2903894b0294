//! Blocks of a log that one thread unpacks and others search.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::feed::{Block, Buffer};
use super::job::lock;

/// Blocks that wait to be searched. With as many the unpacker searches the next one itself.
const BLOCKS: usize = 4;
/// So many have to wait before a thread that has nothing to do is woken: waking takes the unpacker's time.
const WORTH_WAKING: usize = 2;

#[derive(Default)]
pub(crate) struct Ready {
    state: Mutex<State>,
    put: Condvar,
}

#[derive(Default)]
struct State {
    blocks: VecDeque<(Buffer, Block)>,
    /// Buffers to be filled again.
    spent: Vec<Buffer>,
    /// Threads that search, and those of them that have nothing to do.
    searching: usize,
    idle: usize,
    ended: bool,
}

impl Ready {
    /// Leaves the block to another thread, and its buffer with it in exchange for an empty one; gives it back when none has
    /// the time.
    pub fn put(&self, buffer: &mut Buffer, block: Block) -> Option<Block> {
        let mut state = lock(&self.state);
        if state.searching == 0 || state.blocks.len() >= BLOCKS {
            return Some(block);
        }
        let empty = state.spent.pop().unwrap_or_else(Buffer::new);
        state.blocks.push_back((std::mem::replace(buffer, empty), block));
        let wakes = state.idle > 0 && state.blocks.len() >= WORTH_WAKING;
        drop(state);
        if wakes {
            self.put.notify_one();
        }
        None
    }

    /// The next block, in exchange for the buffer of the last; none when there are no more.
    pub fn take(&self, spent: Option<Buffer>) -> Option<(Buffer, Block)> {
        let mut state = lock(&self.state);
        match spent {
            Some(buffer) => state.spent.push(buffer),
            None => state.searching += 1,
        }
        loop {
            if let Some(next) = state.blocks.pop_front() {
                return Some(next);
            }
            if state.ended {
                return None;
            }
            state.idle += 1;
            state = self.put.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Tells the others that there are no more blocks, however unpacking ends.
pub(crate) struct Ends<'r>(pub &'r Ready);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.ended = true;
        state.spent = Vec::new();
        drop(state);
        self.0.put.notify_all();
    }
}
