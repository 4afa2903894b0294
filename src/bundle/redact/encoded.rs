//! Base64 in a line: what is in it is redacted as a text of its own, and encoded again.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{DEPTH, Hit, Policy, Records};

/// Shorter runs are taken for words.
const SHORTEST: usize = 20;
/// Longer runs are not looked into, and go.
const LONGEST: usize = 192 << 10;
/// What `-----BEGIN` becomes, and what that becomes again. A certificate begins with the same; it decodes.
const MARKS: [&[u8]; 2] = [b"LS0tLS1CRUdJTi", b"TFMwdExTMUNSVWRKVG"];
const CERTIFICATE: &[u8] = b"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Places of long runs in a text: cheap, for the first look. Runs of hexadecimal digits alone are passed over.
pub(super) fn places(text: &[u8], found: &mut Vec<usize>) {
    let mut at = 0;
    // Every run of SHORTEST bytes has a byte at one of these places.
    while at + SHORTEST <= text.len() {
        let probe = at + SHORTEST - 1;
        if !text.get(probe).copied().is_some_and(is_base64) {
            at = probe + 1;
            continue;
        }
        let before = text.get(at..probe).unwrap_or_default().iter().rposition(|byte| !is_base64(*byte));
        match before {
            Some(other) => at += other + 1,
            None => {
                let run = run_at(text, at);
                if is_promising(run) {
                    found.push(at);
                }
                at += run.len() + 1;
            }
        }
    }
}

fn run_at(text: &[u8], at: usize) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().position(|byte| !is_base64(*byte)).unwrap_or(rest.len());
    rest.get(..length).unwrap_or_default()
}

/// Whether the run that begins at a place may be encoded text.
#[cfg(target_arch = "x86_64")]
pub(super) fn is_promising_at(text: &[u8], at: usize) -> bool {
    is_promising(run_at(text, at))
}

/// Encoded text has letters of both cases: names, paths and digests seldom do.
fn is_promising(run: &[u8]) -> bool {
    run.iter().any(u8::is_ascii_uppercase) && run.iter().any(u8::is_ascii_lowercase)
}

/// What a line's runs say.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The encoded text goes on beyond the line: it begins a key and does not end it.
    pub unfinished: bool,
}

/// Finds encoded secrets in a line.
pub(super) fn find(line: &[u8], policy: Policy, depth: usize, hits: &mut Vec<Hit>) -> Found {
    let mut found = Found::default();
    let mut starts = Vec::new();
    places(line, &mut starts);
    for start in starts {
        let rest = line.get(start..).unwrap_or_default();
        let body = rest.iter().position(|byte| !is_base64(*byte)).unwrap_or(rest.len());
        let padding = rest.get(body..).unwrap_or_default().iter().take(2).take_while(|byte| **byte == b'=').count();
        let run = rest.get(..body + padding).unwrap_or_default();
        if run.len() > LONGEST {
            hits.push(Hit::new(start, start + run.len(), "long-encoded-text"));
            continue;
        }
        if let Some(hit) = look(run, start, policy, depth, &mut found) {
            hits.push(hit);
        }
    }
    found
}

fn look(run: &[u8], start: usize, policy: Policy, depth: usize, found: &mut Found) -> Option<Hit> {
    // A path or a word may stand right before it.
    let marked = MARKS.iter().filter_map(|mark| memchr::memmem::find(run, mark)).min().unwrap_or(0);
    for from in [0, marked] {
        let Some(part) = run.get(from..) else { continue };
        if let Some(text) = decode(part) {
            let whole = start + from;
            if text.starts_with(b"-----BEGIN") && memchr::memmem::find(&text, b"PRIVATE KEY").is_some() {
                found.unfinished |= memchr::memmem::find(&text, b"-----END").is_none();
            }
            let blank = Some(Hit::new(whole, start + run.len(), "encoded-secret"));
            if depth + 1 >= DEPTH {
                return blank;
            }
            let mut records = Records::new("");
            let redacted = match super::whole("", &text, policy, &mut records, depth + 1) {
                Ok(redacted) => redacted,
                Err(_) if is_text(&text) => return blank,
                Err(_) => continue,
            };
            let Some(redacted) = redacted else {
                // Certificates and texts without secrets.
                if from == 0 && marked > 0 {
                    continue;
                }
                return None;
            };
            let has_key = records.found.iter().any(|record| record.rule.ends_with("private-key"));
            let rule = if has_key { "encoded-private-key" } else { "encoded-secret" };
            let text = Some(engine(part).encode(redacted).into_bytes());
            return Some(Hit { start: whole, end: start + run.len(), rule, text });
        }
    }
    // What begins a key and does not decode is not let through.
    let is_key = marked > 0 || MARKS.iter().any(|mark| run.starts_with(mark));
    (is_key && !run.starts_with(CERTIFICATE)).then(|| Hit::new(start, start + run.len(), "encoded-secret"))
}

fn engine(run: &[u8]) -> GeneralPurpose {
    let is_url = run.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let alphabet = if is_url { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let padded = run.ends_with(b"=") || run.len().is_multiple_of(4);
    GeneralPurpose::new(alphabet, CONFIG.with_encode_padding(padded))
}

/// What the run encodes, when that is a text, packed, or a key.
fn decode(run: &[u8]) -> Option<Vec<u8>> {
    let mut run = run;
    let text = loop {
        match engine(run).decode(run) {
            Ok(text) => break text,
            // A run that was cut off has up to three characters too many.
            Err(_) if run.len() % 4 == 1 => run = run.get(..run.len() - 1)?,
            Err(_) => return None,
        }
    };
    let is_key = text.first() == Some(&0x30) && crate::parse::pem::public_half_of_der(&text).is_some();
    (is_key || super::is_packed(&text) || is_text(&text)).then_some(text)
}

fn is_text(bytes: &[u8]) -> bool {
    let strange = bytes.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31 | 127..)).count();
    strange * 20 <= bytes.len()
}
