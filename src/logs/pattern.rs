//! What a card gives for each log pattern, and what a scanner makes of it.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem::Finder;
use regex_automata::meta::{self, Regex};
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

use super::gate::Gate;
use super::literals::{self, Literal, Parsed};
use super::prepared;

/// A regex may compile to this many bytes; a pattern that needs more is refused.
const REGEX_SIZE_LIMIT: usize = 1 << 20;
/// The lazy automaton of one pattern may use this much memory for each thread.
const REGEX_CACHE_LIMIT: usize = 192 << 10;
/// A pattern has to hold some text of at least this many bytes that each of its matches contains.
pub const MIN_LITERAL: usize = 6;

/// One log pattern of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPattern {
    pub rule: String,
    /// Index of the pattern in its card.
    pub index: usize,
    /// In the syntax of the regex crate. `\b`, `\d`, `\w` and `\s` are ASCII; it is matched within a line, as it stands in
    /// the log; a line that escapes its quotes (JSON, logrus) is tried once more unescaped. Named groups are captured.
    pub pattern: String,
    /// Programs whose lines it is for: `etcd`, `kubelet`, `kernel`. Empty: any. A line that does not say who wrote it
    /// matches whatever is given here.
    pub components: Vec<String>,
    /// Only a hit when it is still seen that many seconds after a series of it began.
    pub persist_seconds: Option<u64>,
    /// Normal within that many seconds after the program's start, or after the beginning of its log.
    pub after_start_seconds: Option<u64>,
    /// Only a hit when the program wrote it that often.
    pub min_count: Option<u64>,
    /// A regex of a line by which the same program shows that it recovered. Groups that both name have to agree.
    pub ended_by: Option<String>,
    /// A series that recovered within that many seconds of its beginning is normal. Needs `ended_by`.
    pub ignore_if_ended_seconds: Option<u64>,
    /// The program writes it again within that many seconds for as long as it is so.
    pub repeats_seconds: Option<u64>,
}

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: log pattern {index}: {why}")]
pub struct PatternError {
    pub rule: String,
    pub index: usize,
    pub why: String,
}

/// A regex that is compiled when a line first needs it, and the texts of which each of its matches contains one.
pub(crate) struct Matcher {
    pub source: String,
    pub literals: Vec<Literal>,
    pub groups: Vec<String>,
    /// Texts that a match contains too; see [`Parsed::also`].
    also: Vec<Vec<Finder<'static>>>,
    gate_range: Option<Range<u32>>,
    /// Where a match has its literal, when that is the same for each.
    literal_at: Option<usize>,
    gate: OnceLock<Option<Gate>>,
    regex: OnceLock<Option<Regex>>,
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher").field("source", &self.source).field("literals", &self.literals).finish()
    }
}

impl Matcher {
    pub fn new(source: &str) -> Result<Matcher, String> {
        let Parsed { required, gate, also, groups } =
            prepared::parsed(source).map_err(|error| format!("no valid regex: {error}"))?;
        let literals = required.ok_or_else(|| {
            "each match could be different in every byte; give it a fixed text of 6 bytes or more".to_owned()
        })?;
        if let Some(short) = literals.iter().find(|literal| literal.bytes.len() < MIN_LITERAL) {
            return Err(format!(
                "the longest text that every match contains is {:?}, {} bytes; {MIN_LITERAL} or more without quotes, \
                 backslashes, <, > and & are needed",
                String::from_utf8_lossy(&short.bytes),
                short.bytes.len()
            ));
        }
        let finder = |text: &Vec<u8>| Finder::new(text).into_owned();
        let at = literals.first().and_then(|literal| literal.at);
        let is_fixed =
            gate.as_ref().is_some_and(|gate| gate.start == 0) && literals.iter().all(|literal| literal.at == at);
        Ok(Matcher {
            literal_at: at.filter(|_| is_fixed).map(usize::from),
            source: source.to_owned(),
            literals,
            groups,
            also: also.iter().map(|texts| texts.iter().map(finder).collect()).collect(),
            gate_range: gate,
            gate: OnceLock::new(),
            regex: OnceLock::new(),
        })
    }

    /// Where a match that has its literal at `place` begins, when that is the same for each.
    pub fn beginning(&self, place: usize) -> Option<usize> {
        place.checked_sub(self.literal_at?)
    }

    /// What has to match at a literal, when something has to.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.get_or_init(|| Gate::new(&self.gate_tree()?)).as_ref()
    }

    /// What the gate is made of.
    pub fn gate_tree(&self) -> Option<Hir> {
        literals::gate(&self.source, self.gate_range.as_ref()?)
    }

    /// Whether a text has everything that a match contains.
    pub fn has_all(&self, text: &[u8]) -> bool {
        self.also.iter().all(|texts| texts.iter().any(|finder| finder.find(text).is_some()))
    }

    /// None when the compiled regex would be too large; [`Matcher::compile`] says so.
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| self.compile().ok()).as_ref()
    }

    pub fn compile(&self) -> Result<Regex, String> {
        // What regex::bytes::Regex is made of; this one can be asked for a match that begins at a place.
        Regex::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(literals::NEST_LIMIT))
            .configure(
                Regex::config()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(REGEX_SIZE_LIMIT))
                    .hybrid_cache_capacity(REGEX_CACHE_LIMIT),
            )
            .build(&self.source)
            .map_err(|error| said(&error))
    }
}

fn said(error: &meta::BuildError) -> String {
    match (error.size_limit(), error.syntax_error()) {
        (Some(limit), _) => format!("compiled it exceeds {limit} bytes"),
        (None, Some(syntax)) => syntax.to_string(),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_cost_too_much() {
        let cases = [
            ("connection refused", true),
            (r"(?P<what>\w+) failed to bind", true),
            (r"(?i)no such image", true),
            (r"error", false),
            (r"\d+ms", false),
            (r"(abc|connection refused)", false),
            (r"(connection reset|connection refused)", true),
            (r"(unclosed", false),
            (r"(long literal)?x", false),
            (r#"a"b"c"d"e"f"#, false),
        ];
        for (pattern, good) in cases {
            assert_eq!(Matcher::new(pattern).is_ok(), good, "{pattern}: {:?}", Matcher::new(pattern));
        }
    }

    #[test]
    fn classes_are_ascii() {
        let matcher = Matcher::new(r"member \w+$|member é+$").unwrap();
        assert!(matcher.regex().unwrap().is_match("member abc"));
        assert!(!matcher.regex().unwrap().is_match("member ü"));
        assert!(matcher.regex().unwrap().is_match("member é"));
    }
}
