//! What the patterns of the built-in cards rest on, worked out when the program was built: a program that is started on a
//! host that hardly answers had better not do it each time.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::literals::{self, Parsed};

const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/patterns.bin"));

/// What a pattern rests on; an error when it is no regex.
pub(crate) fn parsed(pattern: &str) -> Result<Parsed, String> {
    match known().get(pattern) {
        Some(parsed) => Ok(parsed.clone()),
        None => literals::parse(pattern),
    }
}

fn known() -> &'static BTreeMap<&'static str, Parsed> {
    static KNOWN: OnceLock<BTreeMap<&'static str, Parsed>> = OnceLock::new();
    KNOWN.get_or_init(|| postcard::from_bytes(BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_parsing_gives() {
        assert!(known().len() > 500, "{}", known().len());
        for (pattern, parsed) in known() {
            assert_eq!(literals::parse(pattern).as_ref(), Ok(parsed), "{pattern}");
        }
        assert!(parsed("no card has this pattern (").is_err());
    }
}
