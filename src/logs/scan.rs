//! The scanner: threads take blocks of the logs in turn and match; each log's matches are folded in its own order.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use regex_syntax::hir::Hir;

use super::aggregate::Program;
use super::decompress::Unpacked;
use super::feed::{Buffer, Feed};
use super::gate::Gate;
use super::hits::{self, Folded};
use super::input::{LogInput, Part, ScanOptions, Tell};
use super::job::{FeedState, Job, Shared, copy_of, lock};
use super::literals::Literal;
use super::matching::Worker;
use super::pattern::{LogPattern, Matcher, PatternError};
use super::prefilter::Prefilter;
use super::program;
use super::time::{Clock, Stamp};
use crate::facts::log::{Logs, ScannedLog};

/// What [`Scanner::match_line`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineMatch {
    pub rule: String,
    pub pattern: usize,
    pub captures: BTreeMap<String, String>,
}

/// What a pattern costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Texts of which each match contains one; a line is looked at when it has one of them.
    pub literals: Vec<String>,
}

/// What a matcher's match means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    Pattern(u32),
    Recovery(u32),
    /// A start of this program, or of the one that wrote the line.
    Start(Program),
}

/// Who has a literal.
pub(crate) struct Users {
    /// Matchers, and where it stands in what their gate matches.
    pub matchers: Vec<(u32, Option<u16>)>,
    /// The gates of all of them in one, when there are several.
    shared: OnceLock<Option<Gate>>,
}

impl Users {
    fn new(matchers: Vec<(u32, Option<u16>)>) -> Users {
        Users { matchers, shared: OnceLock::new() }
    }

    /// A gate that all have to pass, and how far before the literal it begins.
    pub fn shared_gate(&self, matchers: &[(Matcher, Role)]) -> Option<(&Gate, usize)> {
        let [(_, before), _, ..] = self.matchers[..] else { return None };
        let before = before?;
        let gate = self.shared.get_or_init(|| {
            let gate = |(index, at): &(u32, Option<u16>)| {
                if *at == Some(before) { matchers.get(*index as usize)?.0.gate_tree() } else { None }
            };
            Gate::new(&Hir::alternation(self.matchers.iter().map(gate).collect::<Option<Vec<_>>>()?))
        });
        Some((gate.as_ref()?, before.into()))
    }
}

/// All patterns, ready to be matched.
pub struct Scanner {
    pub(crate) patterns: Vec<LogPattern>,
    pub(crate) matchers: Vec<(Matcher, Role)>,
    /// Canonical names of the programs that a pattern is for.
    pub(crate) components: Vec<Vec<String>>,
    pub(crate) prefilter: Prefilter,
    /// By literal: the matchers that have it.
    pub(crate) users: Vec<Users>,
}

impl Scanner {
    /// Whether there is nothing to look for, so that no log need be read.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Refuses patterns that are no regex or that no literal of six bytes or more announces; all of them are told.
    pub fn new(patterns: Vec<LogPattern>) -> Result<Scanner, Vec<PatternError>> {
        let mut matchers = Vec::new();
        let mut errors = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let mut add = |source: &str, what: &str, role: Role| match Matcher::new(source) {
                Ok(matcher) => matchers.push((matcher, role)),
                Err(why) => errors.push(PatternError {
                    rule: pattern.rule.clone(),
                    index: pattern.index,
                    why: format!("{what}{why}"),
                }),
            };
            add(&pattern.pattern, "", Role::Pattern(index as u32));
            if let Some(ended_by) = &pattern.ended_by {
                add(ended_by, "ended_by: ", Role::Recovery(index as u32));
            }
            if pattern.ignore_if_ended_seconds.is_some() && pattern.ended_by.is_none() {
                let why = "ignore_if_ended_seconds needs ended_by".to_owned();
                errors.push(PatternError { rule: pattern.rule.clone(), index: pattern.index, why });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for (program, source) in program::STARTS {
            if let Ok(matcher) = Matcher::new(source) {
                matchers.push((matcher, Role::Start(program.map(Arc::from))));
            }
        }
        let mut literals: BTreeMap<Literal, Vec<(u32, Option<u16>)>> = BTreeMap::new();
        for (index, (matcher, _)) in matchers.iter().enumerate() {
            for literal in &matcher.literals {
                let text = Literal { at: None, ..literal.clone() };
                literals.entry(text).or_default().push((index as u32, literal.at));
            }
        }
        let (literals, users): (Vec<Literal>, Vec<Users>) =
            literals.into_iter().map(|(literal, matchers)| (literal, Users::new(matchers))).unzip();
        let canonical = |name: &String| program::canonical(name).map_or_else(|| name.clone(), |name| name.into_owned());
        let components = patterns.iter().map(|pattern| pattern.components.iter().map(canonical).collect()).collect();
        Ok(Scanner { prefilter: Prefilter::new(&literals), patterns, matchers, components, users })
    }

    /// Compiles every regex, which otherwise waits for the first line that needs it; for tests of cards.
    pub fn compile_all(&self) -> Result<(), Vec<PatternError>> {
        let errors: Vec<PatternError> = self
            .matchers
            .iter()
            .filter_map(|(matcher, role)| {
                let why = matcher.compile().err()?;
                let (Role::Pattern(index) | Role::Recovery(index)) = role else { return None };
                let pattern = self.patterns.get(*index as usize)?;
                Some(PatternError { rule: pattern.rule.clone(), index: pattern.index, why })
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// What the pattern at `index` of those given to [`Scanner::new`] rests on.
    pub fn cost(&self, index: usize) -> Option<Cost> {
        let (matcher, _) = self.matchers.iter().find(|(_, role)| *role == Role::Pattern(index as u32))?;
        let literals =
            matcher.literals.iter().map(|literal| String::from_utf8_lossy(&literal.bytes).into_owned()).collect();
        Some(Cost { literals })
    }

    /// How the literals are searched for, for people.
    pub fn describe(&self) -> String {
        self.prefilter.describe()
    }

    /// The patterns that match a line, whoever wrote it unless the line says so itself.
    pub fn match_line(&self, line: &[u8]) -> Vec<LineMatch> {
        let clock = Clock::new(Timestamp::UNIX_EPOCH, 0);
        let mut feed = Feed::new(Unpacked::plain(io::Cursor::new(line.to_vec())), clock, u64::MAX);
        let mut buffer = Buffer::new();
        let mut worker = Worker::new(self);
        let mut matches = Vec::new();
        while let Some(block) = feed.next(&mut buffer) {
            for event in worker.search(buffer.bytes(), &block, None).events {
                let Some((_, Role::Pattern(index))) = self.matchers.get(event.matcher as usize) else { continue };
                let Some(pattern) = self.patterns.get(*index as usize) else { continue };
                matches.push(LineMatch {
                    rule: pattern.rule.clone(),
                    pattern: pattern.index,
                    captures: (*event.captures).clone(),
                });
            }
        }
        matches
    }

    /// The lines of a short text, from 0, that have a pattern's match, with the pattern's place among those given to
    /// [`Scanner::new`].
    pub(crate) fn match_lines(&self, text: &[u8]) -> Vec<(usize, u32)> {
        let clock = Clock::new(Timestamp::UNIX_EPOCH, 0);
        let mut feed = Feed::new(Unpacked::plain(io::Cursor::new(text.to_vec())), clock, u64::MAX);
        let mut buffer = Buffer::new();
        let mut worker = Worker::new(self);
        let mut before = 0;
        let mut matches = Vec::new();
        while let Some(block) = feed.next(&mut buffer) {
            let found = worker.search(buffer.bytes(), &block, None);
            for event in found.events {
                if let Some((_, Role::Pattern(index))) = self.matchers.get(event.matcher as usize) {
                    matches.push((before + event.line as usize, *index));
                }
            }
            before += found.lines as usize;
        }
        matches
    }

    /// Scans all logs. Logs of one program that were rotated should all be given.
    pub fn scan(&self, inputs: Vec<LogInput<'_>>, options: &ScanOptions) -> Logs {
        self.scan_events(inputs, options, None)
    }

    /// Like [`Scanner::scan`], and tells each match and each start of a program as well: those of one log in order, logs
    /// mixed.
    pub fn scan_events(&self, inputs: Vec<LogInput<'_>>, options: &ScanOptions, tell: Option<Tell<'_>>) -> Logs {
        let rotated: HashMap<String, usize> = inputs.iter().fold(HashMap::new(), |mut rotated, input| {
            let (base, is_rotated) = program::rotation_base(&input.path);
            *rotated.entry(base.to_owned()).or_default() += usize::from(is_rotated);
            rotated
        });
        let jobs: Vec<Job<'_>> = inputs
            .into_iter()
            .map(|input| {
                let (base, is_rotated) = program::rotation_base(&input.path);
                let older = rotated.get(base).copied().unwrap_or(0) > usize::from(is_rotated);
                let older = older || input.part == Some(Part::Later);
                Job::new(input, older)
            })
            .collect();
        let next = AtomicUsize::new(0);
        let shared = Shared { scanner: self, options, tell, jobs: &jobs };
        let work = || {
            let mut worker = Worker::new(self);
            let mut buffer = Buffer::new();
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(job) else { break };
                shared.work(job, &mut worker, &mut buffer);
            }
            // Nothing is left to begin: help with what the others are at.
            for job in shared.jobs {
                shared.work(job, &mut worker, &mut buffer);
            }
        };
        let threads = options.threads.clamp(1, 64);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        self.report(jobs, options.excerpt_lines)
    }

    fn report(&self, jobs: Vec<Job<'_>>, excerpt_lines: u64) -> Logs {
        let mut logs = Logs::default();
        let mut folded = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut state = lock(&job.feed);
            let done = std::mem::take(&mut *lock(&job.done));
            let mut left_out = |why: String| logs.left_out.push((job.path.clone(), why));
            match std::mem::replace(&mut *state, FeedState::Failed(String::new())) {
                FeedState::Open(feed) => {
                    if let Some(error) = &feed.error {
                        left_out(format!("read up to byte {}: {error}", feed.bytes()));
                    }
                    if feed.is_stopped {
                        left_out(format!("{OUT_OF_TIME} after {} bytes", feed.bytes()));
                        logs.unfinished.insert(job.path.clone());
                    } else if feed.is_cut {
                        left_out(format!("only its first {} bytes were read", feed.bytes()));
                    }
                    let scanned = ScannedLog {
                        path: job.path.clone(),
                        bytes: feed.bytes(),
                        lines: done.lines,
                        first: feed.first.and_then(Stamp::rfc3339),
                        last: done.fold.last.and_then(Stamp::rfc3339),
                    };
                    match logs.scanned.last_mut().filter(|later| job.is_part && later.path == job.path) {
                        Some(later) => join(later, scanned),
                        None => logs.scanned.push(scanned),
                    }
                    folded.push(Folded { copy_of: copy_of(&job.path), path: job.path.clone(), fold: done.fold });
                }
                FeedState::Failed(why) => left_out(why),
                FeedState::Unpacked => left_out("the scanner failed; please report this".to_owned()),
                FeedState::Waiting(_) => {
                    left_out(OUT_OF_TIME.to_owned());
                    logs.unfinished.insert(job.path.clone());
                }
            }
        }
        let is_excerpt = logs.scanned.iter().map(|log| log.lines).sum::<u64>() <= excerpt_lines;
        logs.hits = hits::hits(&self.patterns, &self.components, &mut folded, is_excerpt);
        logs
    }
}

/// Why a log or a part of it was not read.
const OUT_OF_TIME: &str = "the time for reading logs was over";

/// Takes the part of a log in that was before another.
fn join(later: &mut ScannedLog, earlier: ScannedLog) {
    later.bytes += earlier.bytes;
    later.lines += earlier.lines;
    later.first = earlier.first.or(later.first.take());
    later.last = later.last.take().or(earlier.last);
}

#[cfg(test)]
mod tests;
