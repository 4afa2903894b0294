//! Comments that allow a finding where its value stands: `# k8sdoctor: allow RULE reason`, on the value's line or on one of
//! its own above it.

use std::collections::BTreeSet;

use super::{EvidenceKind, Finding, Notice};
use crate::cli::nearest::nearest;
use crate::engine::CardSet;
use crate::origin::{Origin, Place};
use crate::render::human::Texts;

const WORDS: &str = "k8sdoctor: allow";
const MARKS: [&str; 3] = ["#", ";", "//"];
/// What stands there is written by programs, and nobody's decision.
const NOT_CONFIGURATION: [&str; 4] = ["/proc/", "/sys/", "/run/", "/var/log/"];
/// Comments of a file that are read.
const LIMIT: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    host: String,
    path: String,
    /// Where the comment stands, from 1.
    line: u32,
    /// The line that it speaks of, from 1.
    about: u32,
    /// Whether only comments stand above it: it then also speaks of findings about the file as a whole.
    heads_file: bool,
    rule: String,
    pub reason: String,
    pub used: bool,
}

/// The comments of all files, by host, path and line.
pub fn comments(texts: &Texts) -> Vec<Comment> {
    let mut found = Vec::new();
    for (host, files) in texts {
        for (path, file) in files {
            if file.text.contains(WORDS) && !NOT_CONFIGURATION.iter().any(|start| path.starts_with(start)) {
                found.extend(of_file(host, path, &file.text));
            }
        }
    }
    found
}

fn of_file(host: &str, path: &str, text: &str) -> Vec<Comment> {
    let mut found: Vec<Comment> = Vec::new();
    // Comments on lines of their own, until the line that they stand above.
    let mut waiting = 0;
    let mut heads_file = true;
    for (index, line) in text.lines().enumerate() {
        if found.len() >= LIMIT {
            break;
        }
        let number = index as u32 + 1;
        let trimmed = line.trim_start();
        let is_own = MARKS.iter().any(|mark| trimmed.starts_with(mark));
        if let Some((rules, reason)) = allowed(line) {
            found.extend(rules.split(',').filter(|rule| !rule.is_empty()).map(|rule| Comment {
                host: host.to_owned(),
                path: path.to_owned(),
                line: number,
                about: number,
                heads_file: heads_file && is_own,
                rule: rule.to_owned(),
                reason: reason.to_owned(),
                used: false,
            }));
        }
        if !is_own && !trimmed.is_empty() {
            heads_file = false;
            let from = waiting.min(found.len());
            found[from..].iter_mut().for_each(|comment| comment.about = number);
            waiting = found.len();
        }
    }
    found
}

/// `RULE reason` behind the words, when these stand in a comment.
fn allowed(line: &str) -> Option<(&str, &str)> {
    let at = line.find(WORDS)?;
    let before = line[..at].trim_end();
    let mark = MARKS.iter().find(|mark| before.ends_with(*mark))?;
    let outside = before[..before.len() - mark.len()].trim_end_matches(['#', ';', '/']);
    // In the middle of a word `#` is no comment's beginning.
    if !outside.is_empty() && !outside.ends_with(char::is_whitespace) {
        return None;
    }
    let rest = line[at + WORDS.len()..].strip_prefix(char::is_whitespace)?.trim();
    Some(rest.split_once(char::is_whitespace).map_or((rest, ""), |(rules, reason)| (rules, reason.trim())))
}

impl Comment {
    /// Whether it allows the finding: the same rule, and a piece of evidence that stands on its line, or in its file when
    /// the evidence is the file as a whole. Without a reason it allows nothing.
    pub fn fits(&self, finding: &Finding) -> bool {
        !self.reason.is_empty()
            && self.rule == finding.rule
            && finding.evidence.iter().any(|evidence| {
                evidence.host == self.host
                    && evidence.kind != EvidenceKind::Log
                    && (self.is_about(&evidence.origin)
                        || evidence.origin.via.as_deref().is_some_and(|via| self.is_about(via)))
            })
    }

    fn is_about(&self, origin: &Origin) -> bool {
        let Place::File { path, span } = &origin.place else { return false };
        **path == *self.path && span.map_or(self.heads_file, |span| span.line == self.about)
    }

    /// `m2:/etc/etcd.env:3`.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.host, self.path, self.line)
    }

    /// What is to be said of a comment that allowed nothing.
    pub fn notice(&self, judged: &BTreeSet<&str>, is_whole: bool) -> Option<Notice> {
        let message = if self.reason.is_empty() {
            format!("`{WORDS} {}` allows nothing without a reason behind it", self.rule)
        } else if self.used {
            return None;
        } else if judged.contains(self.rule.as_str()) {
            format!("`{WORDS} {}` allows nothing that was found", self.rule)
        } else if is_whole {
            match nearest(&self.rule, CardSet::builtin_ids().into_iter()) {
                Some(name) if name != self.rule => format!("there is no rule `{}`; did you mean `{name}`?", self.rule),
                _ => format!("`{}` is no rule that was judged", self.rule),
            }
        } else {
            return None;
        };
        Some(Notice { place: self.place(), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_the_lines_that_they_speak_of() {
        for (text, expected) in [
            ("# k8sdoctor: allow a why not\nx: 1\n", vec![("a", "why not", 1, 2, true)]),
            (
                "x: 1 # k8sdoctor: allow a,b because\n",
                vec![("a", "because", 1, 1, false), ("b", "because", 1, 1, false)],
            ),
            ("x\n  ## k8sdoctor: allow a r\n\n# more\ny\nz\n", vec![("a", "r", 2, 5, false)]),
            ("; k8sdoctor: allow a r\nX=1\n", vec![("a", "r", 1, 2, true)]),
            ("# k8sdoctor: allow a\nX=1\n", vec![("a", "", 1, 2, true)]),
            ("X=k8sdoctor: allow a r\nY=a#k8sdoctor: allow a r\n", vec![]),
            ("# k8sdoctor: allows a r\n", vec![]),
            (
                "x # k8sdoctor: allow a r\ny\n# k8sdoctor: allow b r\nz\n",
                vec![("a", "r", 1, 1, false), ("b", "r", 3, 4, false)],
            ),
        ] {
            let found = of_file("h", "/f", text);
            let found: Vec<_> =
                found.iter().map(|c| (c.rule.as_str(), c.reason.as_str(), c.line, c.about, c.heads_file)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
