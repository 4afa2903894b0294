//! A text of any size and with lines of any length, redacted as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::csv::Table;
use super::marks::{self, Marks};
use super::message::Message;
use super::pieces::{self, Pieces};
use super::state::State;
use super::value::{self, After};
use super::{Hit, Policy, Records, encoded, fill, json, names, shapes};
use crate::bundle::manifest::RedactionRecord;

/// A longer line is looked at in parts.
const PART: usize = 256 << 10;
/// Of a part so much is looked at again with the next one, so that nothing is cut.
const OVERLAP: usize = 32 << 10;

/// Names of secrets.
static NAMES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(names::WORDS).ok());
/// Whatever makes a line worth a look.
static MARKS: LazyLock<Marks> = LazyLock::new(Marks::new);

/// Redacts one file or log.
#[derive(Debug)]
pub struct Stream {
    policy: Policy,
    depth: usize,
    records: Records,
    /// Lines that were ended, and so the number of the line before.
    line: u64,
    /// A line, or its part, that has not ended.
    rest: Vec<u8>,
    state: State,
    table: Table,
    /// Hits of the line's earlier part that reach into `rest`.
    carried: Vec<Hit>,
    /// A value that is longer than a part: it goes until a quote or the line's end.
    inside: Option<&'static str>,
    /// Arguments or variables with a NUL after each.
    variables: bool,
    /// Every line is looked at, whether or not it has a mark: files that people write are small.
    every_line: bool,
    /// Lines of a message that a container's runtime cut into several.
    pieces: Pieces,
    /// Whether there are such lines.
    is_of_container: bool,
}

impl Stream {
    pub fn new(path: &str, policy: Policy) -> Stream {
        Stream::at_depth(path, policy, 0)
    }

    pub(super) fn at_depth(path: &str, policy: Policy, depth: usize) -> Stream {
        Stream {
            policy,
            depth,
            records: Records::new(path),
            line: 0,
            rest: Vec::new(),
            state: State::of_stream(),
            table: Table::of_path(path),
            carried: Vec::new(),
            inside: None,
            variables: path.starts_with("/proc/") && path.ends_with("/environ"),
            every_line: false,
            pieces: Pieces::default(),
            is_of_container: false,
        }
    }

    /// Looks at the whole text beforehand, for what a line's meaning depends on that stands after it.
    pub(super) fn knows_whole(&mut self, text: &[u8]) {
        self.every_line = true;
        self.state.unknown_kind = false;
        self.state.secret_kind = memchr::memmem::find(text, b"Secret").is_some() && json::is_secret_kind(text);
    }

    /// Takes more of the text, and gives what is certain of it.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            let newline = memchr::memchr(b'\n', bytes);
            let head = newline.map_or(bytes.len(), |at| at + 1);
            self.rest.extend_from_slice(bytes.get(..head).unwrap_or_default());
            if newline.is_none() {
                self.long_line(out);
                return;
            }
            let line = std::mem::take(&mut self.rest);
            self.long_or_whole(line, out);
            self.block(bytes.get(head..).unwrap_or_default(), out);
        } else {
            self.block(bytes, out);
        }
    }

    /// Ends the text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.rest);
        if !line.is_empty() {
            self.long_or_whole(line, out);
        }
        self.release(true, out);
    }

    pub fn into_records(self) -> Vec<RedactionRecord> {
        self.records.into_records()
    }

    /// Lines, of which the last may not have ended.
    fn block(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at(whole);
        self.lines(lines, out);
        self.rest.extend_from_slice(rest);
        self.long_line(out);
    }

    /// Whole lines: those without a mark are copied as they are.
    fn lines(&mut self, lines: &[u8], out: &mut Vec<u8>) {
        let mut places: Vec<usize> = Vec::new();
        if !self.every_line {
            marks::find_runs(lines, self.policy, self.depth, &mut places);
            MARKS.find(lines, &mut places);
            self.is_of_container |= pieces::are_of_container(lines);
            if self.is_of_container {
                pieces::places(lines, &mut places);
            }
        }
        places.sort_unstable();
        let mut done = 0;
        let mut places = places.into_iter().peekable();
        while done < lines.len() {
            let is_inside = self.state.is_active() || self.table.is_active() || self.pieces.is_active();
            let next = if self.every_line || is_inside {
                done
            } else {
                while places.next_if(|place| *place < done).is_some() {}
                match places.peek() {
                    Some(place) => lines
                        .get(..*place)
                        .and_then(|text| memchr::memrchr(b'\n', text))
                        .map_or(0, |at| at + 1)
                        .max(done),
                    None => lines.len(),
                }
            };
            let skipped = lines.get(done..next).unwrap_or_default();
            self.line += memchr::memchr_iter(b'\n', skipped).count() as u64;
            out.extend_from_slice(skipped);
            let rest = lines.get(next..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let line = rest.get(..end).unwrap_or_default();
            if !line.is_empty() {
                self.long_or_whole(line.to_vec(), out);
            }
            done = next + end;
        }
    }

    fn long_or_whole(&mut self, line: Vec<u8>, out: &mut Vec<u8>) {
        if line.len() <= PART && self.carried.is_empty() && self.inside.is_none() {
            match self.pieces.take(line) {
                Some(line) => self.one(&line, Vec::new(), out),
                None if self.pieces.is_ready() => self.release(false, out),
                None => {}
            }
            return;
        }
        self.release(true, out);
        self.rest = line;
        self.long_line(out);
        let last = std::mem::take(&mut self.rest);
        self.part(&last, last.len(), out);
        self.carried.clear();
        self.inside = None;
        self.line += 1;
    }

    /// Gives away parts of a line that is too long to wait for its end.
    fn long_line(&mut self, out: &mut Vec<u8>) {
        while self.rest.len() > PART + OVERLAP {
            let rest = std::mem::take(&mut self.rest);
            let (part, _) = rest.split_at(PART + OVERLAP);
            let cut = self.part(part, PART, out);
            self.rest = rest.get(cut..).unwrap_or_default().to_vec();
        }
    }

    /// A part of a line, of which what stands before `cut` is given away. Gives where it was cut.
    fn part(&mut self, part: &[u8], cut: usize, out: &mut Vec<u8>) -> usize {
        let mut hits = std::mem::take(&mut self.carried);
        if let Some(rule) = self.inside.take() {
            let end = part.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'\n')).unwrap_or(part.len());
            hits.push(Hit::new(0, end, rule));
        }
        self.look(part, &mut hits);
        // A part without anything that could end a value is no text: nobody knows what it is.
        let is_blob =
            part.len() > PART && !part.iter().any(|byte| byte.is_ascii_whitespace() || b",;\"'{}".contains(byte));
        if is_blob {
            hits.push(Hit::new(0, part.len(), "long-encoded-text"));
        }
        let mut hits = merge(hits);
        let is_last = cut >= part.len();
        let mut cut = cut;
        if !is_last && let Some(across) = hits.iter().find(|hit| hit.start < cut && hit.end > cut) {
            cut = if across.end < part.len() || across.start == 0 { across.end } else { across.start };
        }
        if !is_last && let Some(last) = hits.last().filter(|hit| hit.end >= part.len()) {
            self.inside = Some(last.rule);
            if last.start < cut {
                cut = part.len();
            }
        }
        self.carried = hits
            .iter()
            .filter(|hit| hit.start >= cut && !is_last)
            .map(|hit| Hit::new(hit.start - cut, hit.end - cut, hit.rule))
            .collect();
        if self.inside.is_some() && !self.carried.is_empty() {
            // It is carried to the end of what is kept, and has to go on from there.
            let kept = part.len() - cut;
            if let Some(hit) = self.carried.last_mut().filter(|hit| hit.end >= kept) {
                hit.end = usize::MAX;
                self.inside = None;
            }
        }
        hits.retain(|hit| hit.start < cut);
        self.write(part.get(..cut).unwrap_or(part), &hits, out);
        cut
    }

    /// Looks at the messages that are held, each in one, and writes their lines.
    fn release(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let messages = self.pieces.messages();
        let mut follow = BTreeMap::new();
        let mut rests = BTreeMap::new();
        for message in &messages {
            let Some((first, rest)) = message.split_first() else { continue };
            let Some(last) = rest.last() else { continue };
            let joined = self.pieces.joined(message);
            let mut hits = Vec::new();
            follow.insert(*last, self.look_at(&joined.text, &mut hits));
            rests.insert(*first, rest);
            if !self.policy.secrets {
                hits.retain(|hit| hit.rule.ends_with("private-key"));
            }
            self.pieces.spread(message, &joined, merge(hits));
        }
        let mut blanked: BTreeSet<usize> = BTreeSet::new();
        for (index, mut held) in self.pieces.release(is_last).into_iter().enumerate() {
            // A value that the line before began is the message's, not only its first piece's.
            if self.state.is_active()
                && let Some(rest) = rests.get(&index)
            {
                blanked.extend(*rest);
            }
            if blanked.contains(&index) {
                held.blank();
            }
            self.one(&held.line, held.hits, out);
            if let Some(after) = follow.remove(&index) {
                self.follows(after);
            }
        }
    }

    /// A whole line, of which it is known that `hits` are secret.
    fn one(&mut self, line: &[u8], mut hits: Vec<Hit>, out: &mut Vec<u8>) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let message = Message::of(text);
        let mut of_message = Vec::new();
        self.state.before(&message.text, &mut of_message);
        if self.policy.secrets {
            self.look(text, &mut hits);
            let known = of_message.len();
            self.table.find(&message.text, &mut of_message);
            if of_message.len() == known && !self.table.is_active() {
                self.table.learn(&message.text);
            }
            self.state.after(&message.text);
        } else {
            self.look(text, &mut hits);
            hits.retain(|hit| hit.rule.ends_with("private-key"));
            of_message.retain(|hit| hit.rule.ends_with("private-key"));
        }
        hits.extend(of_message.into_iter().map(|hit| message.in_line(hit)));
        let hits = merge(hits);
        self.write(line, &hits, out);
        self.line += 1;
    }

    /// What the line itself tells.
    fn look(&mut self, line: &[u8], hits: &mut Vec<Hit>) {
        if self.variables {
            let mut start = 0;
            for variable in line.split(|byte| *byte == 0) {
                let before = hits.len();
                let follows = self.look_at(variable, hits);
                self.follows(follows);
                for hit in hits.iter_mut().skip(before) {
                    hit.start += start;
                    hit.end += start;
                }
                start += variable.len() + 1;
            }
        } else {
            let follows = self.look_at(line, hits);
            self.follows(follows);
        }
    }

    /// What the lines behind one mean because of it.
    fn follows(&mut self, (after, is_wrapped): (After, bool)) {
        self.state.begin(after);
        if is_wrapped {
            self.state.wrapped();
        }
    }

    /// Gives what follows the line, and whether base64 of it goes on in the next.
    fn look_at(&self, line: &[u8], hits: &mut Vec<Hit>) -> (After, bool) {
        let message = Message::of(line);
        if message.is_line {
            return self.look_into(line, hits);
        }
        // Some kinds have to begin their line, others may stand in a line's head or behind the message.
        let mut of_message = Vec::new();
        let follows = self.look_into(&message.text, &mut of_message);
        self.look_into(line, hits);
        hits.extend(of_message.into_iter().map(|hit| message.in_line(hit)));
        follows
    }

    fn look_into(&self, line: &[u8], hits: &mut Vec<Hit>) -> (After, bool) {
        let certain = shapes::find(line, hits) && json::find(line, hits);
        shapes::bootstrap_tokens(line, hits);
        let mut after = After::Nothing;
        match NAMES.as_ref() {
            Some(names) if certain => {
                let mut done = 0;
                for word in names.find_iter(line).map(|found| found.start()) {
                    if word < done {
                        continue;
                    }
                    let (end, follows) = value::find(line, word, hits);
                    done = end;
                    if follows != After::Nothing {
                        after = follows;
                    }
                }
            }
            _ => hits.push(Hit::new(0, line.len(), "unreadable")),
        }
        (after, encoded::find(line, self.policy, self.depth, hits).unfinished)
    }

    fn write(&mut self, line: &[u8], hits: &[Hit], out: &mut Vec<u8>) {
        let mut at = 0;
        for hit in hits {
            let mut end = hit.end.min(line.len());
            // The backslash that continues a line is none of the secret.
            let is_last = matches!(line.get(end..), Some(b"" | b"\n" | b"\r\n"));
            if is_last && hit.text.is_none() && line.get(hit.start..end).is_some_and(value::is_continued) {
                end -= 1;
            }
            let (Some(before), Some(secret)) = (line.get(at..hit.start), line.get(hit.start..end)) else { continue };
            out.extend_from_slice(before);
            match &hit.text {
                Some(text) => out.extend_from_slice(text),
                None => fill(secret, out),
            }
            self.records.add(hit.rule, self.line + 1);
            at = end;
        }
        out.extend_from_slice(line.get(at..).unwrap_or_default());
    }
}

/// Hits in order and apart: of two that overlap the one that covers more stays, and grows over both.
fn merge(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.retain(|hit| hit.end > hit.start);
    hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
    let mut merged: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match merged.last_mut() {
            Some(last) if hit.start < last.end => {
                // The public half of an encoded key says more than its blank.
                let same_key = hit.text.is_some()
                    && last.text.is_none()
                    && hit.start <= last.start + 1
                    && hit.end.saturating_add(1) >= last.end;
                if same_key && hit.rule == "encoded-private-key" {
                    *last = hit;
                } else if hit.end > last.end
                    || (last.text.is_some() && last.rule != "encoded-private-key" && hit.text.is_none())
                {
                    let end = hit.end.max(last.end);
                    *last = Hit { start: last.start, end, rule: last.rule, text: None };
                }
            }
            _ => merged.push(hit),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
