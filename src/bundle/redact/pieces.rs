//! Log lines that a container runtime cut into several, so that a secret may stand across them: CRI's, of which all but the
//! last have the tag `P`, and those of docker's json-file, of which all but the last have no `\n` at the message's end.

use std::ops::Range;

use super::Hit;

/// More than this is looked at in windows that overlap by the last piece.
pub(super) const WINDOW: usize = 256 << 10;
/// The rule of a piece that is left out because a secret may go on in it.
const BLANKED: &str = "cut-message";
/// dockerd cuts after 16 KiB, and nowhere else; a shorter line is whole. CRI's runtimes may be set to less.
const DOCKER_CUT: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bundle) enum Channel {
    Out,
    Err,
}

/// A line's place in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bundle) struct Piece {
    pub channel: Channel,
    pub message: Range<usize>,
    /// Whether the message ends here.
    pub ends: bool,
}

/// What a container's log line, without its end, holds of a message.
pub(in crate::bundle) fn piece(line: &[u8]) -> Option<Piece> {
    if line.first() == Some(&b'{') { of_docker(line) } else { of_cri(line) }
}

fn of_cri(line: &[u8]) -> Option<Piece> {
    let is_time = line.first()?.is_ascii_digit() && line.get(10) == Some(&b'T');
    let space = memchr::memchr(b' ', line.get(..line.len().min(48))?).filter(|_| is_time)?;
    let rest = line.get(space..)?;
    let channel = match rest.get(..8)? {
        b" stdout " => Channel::Out,
        b" stderr " => Channel::Err,
        _ => return None,
    };
    let tags = rest.get(8..)?;
    let end = memchr::memchr(b' ', tags.get(..tags.len().min(32))?)?;
    let ends = match tags.first()? {
        b'P' => false,
        b'F' => true,
        _ => return None,
    };
    Some(Piece { channel, message: space + 8 + end + 1..line.len(), ends })
}

fn of_docker(line: &[u8]) -> Option<Piece> {
    const HEAD: &[u8] = b"{\"log\":\"";
    const TAIL: &[u8] = b"\",\"stream\":\"std";
    line.strip_prefix(HEAD)?;
    let end = memchr::memmem::rfind(line, TAIL)?;
    let channel = if line.get(end + TAIL.len()..)?.starts_with(b"out") { Channel::Out } else { Channel::Err };
    let message = line.get(HEAD.len()..end)?;
    let slashes = message.strip_suffix(b"n").map_or(0, |text| text.iter().rev().take_while(|b| **b == b'\\').count());
    Some(Piece { channel, message: HEAD.len()..end, ends: slashes % 2 == 1 })
}

/// Whether a container runtime wrote these lines.
pub(in crate::bundle) fn are_of_container(lines: &[u8]) -> bool {
    piece(lines.get(..memchr::memchr(b'\n', lines).unwrap_or(lines.len())).unwrap_or_default()).is_some()
}

/// Appends the places of lines that are a piece and not the last one.
pub(super) fn places(lines: &[u8], places: &mut Vec<usize>) {
    if lines.first() == Some(&b'{') {
        // Only long lines: from each line's start the last end within a cut's length is looked for.
        let mut at = 0;
        while at + DOCKER_CUT <= lines.len() {
            let near = lines.get(at..at + DOCKER_CUT).unwrap_or_default();
            if let Some(end) = memchr::memrchr(b'\n', near) {
                at += end + 1;
                continue;
            }
            places.push(at);
            let rest = lines.get(at + DOCKER_CUT..).unwrap_or_default();
            at += DOCKER_CUT + memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        }
        return;
    }
    let mut at = 0;
    while at < lines.len() {
        let rest = lines.get(at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        if of_cri(rest.get(..end).unwrap_or_default()).is_some_and(|piece| !piece.ends) {
            places.push(at);
        }
        at += end + 1;
    }
}

/// A line that is kept back until the message is whole that it, or one around it, is a piece of.
#[derive(Debug)]
pub(super) struct Held {
    /// With its end.
    pub line: Vec<u8>,
    /// None for a line between the pieces of another channel's message.
    pub piece: Option<Piece>,
    /// What is known to be secret of it.
    pub hits: Vec<Hit>,
}

impl Held {
    /// Marks the whole of its message.
    pub fn blank(&mut self) {
        if let Some(piece) = &self.piece {
            self.hits.push(Hit::new(piece.message.start, piece.message.end, BLANKED));
        }
    }
}

/// Lines that are kept back.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub held: Vec<Held>,
    bytes: usize,
    /// Whether a message of `Out` and of `Err` has begun and not ended.
    open: [bool; 2],
    /// Whether a secret reaches over the end of what was looked at, so that the message's rest is blanked.
    blank: [bool; 2],
}

impl Pieces {
    pub fn is_active(&self) -> bool {
        !self.held.is_empty() || self.open.contains(&true)
    }

    /// Takes the line if it belongs to a message in pieces or stands within one; else gives it back.
    pub fn take(&mut self, line: Vec<u8>) -> Option<Vec<u8>> {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let piece = piece(text.strip_suffix(b"\r").unwrap_or(text));
        let mut is_blank = false;
        if let Some(piece) = &piece {
            let channel = piece.channel as usize;
            let (Some(open), Some(blank)) = (self.open.get_mut(channel), self.blank.get_mut(channel)) else {
                return Some(line);
            };
            if !*open && piece.ends && self.held.is_empty() {
                return Some(line);
            }
            is_blank = *blank;
            *open = !piece.ends;
            *blank &= !piece.ends;
        } else if !self.is_active() {
            return Some(line);
        }
        self.bytes += line.len();
        let mut held = Held { line, piece, hits: Vec::new() };
        if is_blank {
            held.blank();
        }
        self.held.push(held);
        None
    }

    /// Whether what is held has to be looked at: all messages ended, or it is too much.
    pub fn is_ready(&self) -> bool {
        self.bytes > WINDOW || !self.open.contains(&true)
    }

    /// The messages among what is held: indices of their lines, in order.
    pub fn messages(&self) -> Vec<Vec<usize>> {
        let mut messages: Vec<Vec<usize>> = Vec::new();
        let mut begun: [Option<usize>; 2] = [None, None];
        for (index, held) in self.held.iter().enumerate() {
            let Some(piece) = &held.piece else { continue };
            let Some(begun) = begun.get_mut(piece.channel as usize) else { continue };
            let message = *begun.get_or_insert_with(|| {
                messages.push(Vec::new());
                messages.len() - 1
            });
            if let Some(message) = messages.get_mut(message) {
                message.push(index);
            }
            if piece.ends {
                *begun = None;
            }
        }
        messages
    }

    /// Marks what a message's lines have of a secret. `hits` are places in [`Pieces::joined`]'s text.
    pub fn spread(&mut self, message: &[usize], joined: &Joined, hits: Vec<Hit>) {
        let has_ended =
            message.last().and_then(|last| self.held.get(*last)?.piece.as_ref()).is_none_or(|piece| piece.ends);
        for hit in hits {
            if !has_ended && hit.end >= joined.end {
                let channel = message.first().and_then(|first| self.held.get(*first)?.piece.as_ref());
                if let Some(blank) = channel.and_then(|piece| self.blank.get_mut(piece.channel as usize)) {
                    *blank = true;
                }
            }
            for part in &joined.parts {
                let (start, end) = (hit.start.max(part.at), hit.end.min(part.at + part.length));
                let Some(held) = self.held.get_mut(part.line).filter(|_| start < end) else { continue };
                let is_whole = start == hit.start && end == hit.end;
                held.hits.push(Hit {
                    start: start - part.at + part.from,
                    end: end - part.at + part.from,
                    rule: hit.rule,
                    text: hit.text.clone().filter(|_| is_whole),
                });
            }
        }
    }

    /// The message as it was before it was cut, with the head of its first line.
    pub fn joined(&self, message: &[usize]) -> Joined {
        let mut joined = Joined::default();
        for (place, index) in message.iter().enumerate() {
            let Some((held, piece)) = self.held.get(*index).and_then(|held| Some((held, held.piece.as_ref()?))) else {
                continue;
            };
            let from = if place == 0 { 0 } else { piece.message.start };
            // Docker's last piece keeps what stands behind the message, so that the text is whole JSON.
            let end = held.line.strip_suffix(b"\n").unwrap_or(&held.line).len();
            let to = if place + 1 == message.len() { end } else { piece.message.end };
            let text = held.line.get(from..to).unwrap_or_default();
            joined.parts.push(Part { line: *index, from, at: joined.text.len(), length: text.len() });
            joined.end = joined.text.len() + piece.message.end.saturating_sub(from);
            joined.text.extend_from_slice(text);
        }
        joined
    }

    /// What can be given away: all, but for the lines from the last piece of a message on that has not ended.
    pub fn release(&mut self, is_last: bool) -> Vec<Held> {
        let is_open = |held: &Held| held.piece.as_ref().is_some_and(|piece| !piece.ends);
        let last = self.held.iter().rposition(is_open).filter(|_| !is_last && self.open.contains(&true));
        // Never all that is held, or it would grow.
        let keep =
            last.filter(|last| self.held.iter().skip(*last).map(|held| held.line.len()).sum::<usize>() <= WINDOW / 2);
        let kept = self.held.split_off(keep.unwrap_or(self.held.len()));
        let released = std::mem::replace(&mut self.held, kept);
        self.bytes = self.held.iter().map(|held| held.line.len()).sum();
        if is_last {
            *self = Pieces::default();
        }
        released
    }
}

/// A message in one.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub text: Vec<u8>,
    parts: Vec<Part>,
    /// Where the message ends, before what docker writes behind it.
    end: usize,
}

/// What a line gave to a message.
#[derive(Debug)]
struct Part {
    line: usize,
    /// In the line.
    from: usize,
    /// In the message.
    at: usize,
    length: usize,
}
