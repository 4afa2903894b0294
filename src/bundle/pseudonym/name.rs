//! Names of hosts and domains: each label's letters and digits are replaced by others of their kind, each depending on those
//! before it, so that no two labels become one.

use aho_corasick::{AhoCorasick, MatchKind};
use sha2::{Digest, Sha256};

/// Labels that mean the same everywhere, and the last label of a name with several.
const KEPT: &[&str] = &["*", "cluster", "default", "kubernetes", "local", "localdomain", "localhost", "svc", "www"];

#[derive(Debug)]
pub(super) struct Names {
    key: [u8; 32],
    known: Option<AhoCorasick>,
}

impl Names {
    /// `names` are those to be replaced. The error says why they cannot be searched for.
    pub fn new(key: [u8; 32], names: Vec<String>) -> Result<Names, String> {
        let known = if names.is_empty() {
            None
        } else {
            let builder = &mut AhoCorasick::builder();
            let builder = builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
            Some(builder.build(names).map_err(|error| format!("the host's names: {error}"))?)
        };
        Ok(Names { key, known })
    }

    pub fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let Some(known) = &self.known else { return out.extend_from_slice(text) };
        let mut done = 0;
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| known.find(rest)) {
            let (mut start, end) = (at + found.start(), at + found.end());
            let joins = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let before = |start: usize| start.checked_sub(1).and_then(|at| text.get(at));
            if super::joins_before(text, start) || joins(text.get(end)) {
                at = start + 1;
                continue;
            }
            let is_domain = text.get(start..end).is_some_and(|name| name.contains(&b'.'));
            // A domain's other hosts.
            while is_domain
                && start > done
                && before(start).is_some_and(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte))
            {
                start -= 1;
            }
            out.extend_from_slice(text.get(done..start).unwrap_or_default());
            self.name(text.get(start..end).unwrap_or_default(), out);
            done = end;
            at = end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
    }

    fn name(&self, name: &[u8], out: &mut Vec<u8>) {
        let labels: Vec<&[u8]> = name.split(|byte| *byte == b'.').collect();
        for (index, label) in labels.iter().enumerate() {
            if index > 0 {
                out.push(b'.');
            }
            let is_last = index > 0 && index + 1 == labels.len();
            if is_last || KEPT.iter().any(|kept| label.eq_ignore_ascii_case(kept.as_bytes())) {
                out.extend_from_slice(label);
            } else {
                self.label(label, out);
            }
        }
    }

    fn label(&self, label: &[u8], out: &mut Vec<u8>) {
        let lower = label.to_ascii_lowercase();
        for (at, byte) in label.iter().enumerate() {
            let (first, count) = match byte {
                b'a'..=b'z' => (b'a', 26),
                b'A'..=b'Z' => (b'A', 26),
                b'0'..=b'9' => (b'0', 10),
                _ => {
                    out.push(*byte);
                    continue;
                }
            };
            let before = lower.get(..at).unwrap_or_default();
            let hash = Sha256::new().chain_update(self.key).chain_update(b"label").chain_update(before).finalize();
            let shift = hash.iter().take(2).fold(0u16, |sum, byte| sum << 8 | u16::from(*byte)) % count;
            // Letters of both cases move alike.
            let moved = (u16::from(byte - first) + shift) % count;
            out.push(first + u8::try_from(moved).unwrap_or_default());
        }
    }
}
