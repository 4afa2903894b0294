//! PEM private keys that are read as such: their public half in their place.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::Records;
use crate::parse::pem::redacted_block;

/// A block that stands at the beginning of its lines. One with anything else in it is no block, and is blanked later.
static BLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)^-----BEGIN ([A-Z0-9 ]{0,40})PRIVATE KEY-----[ \t\r]*\n(?:[^-\n][^\n]*\n|\r?\n)*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----[ \t\r]*$").ok()
});

/// The text with each private key's block replaced; none when it has none.
pub(super) fn replace(text: &[u8], records: &mut Records) -> Option<Vec<u8>> {
    memchr::memmem::find(text, b"PRIVATE KEY-----")?;
    let pattern = BLOCK.as_ref()?;
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    let mut lines = 1;
    let mut counted = 0;
    for found in pattern.find_iter(text) {
        let Ok(block) = std::str::from_utf8(found.as_bytes()) else { continue };
        let Some(public) = redacted_block(&block.replace('\r', "")) else { continue };
        lines += memchr::memchr_iter(b'\n', text.get(counted..found.start())?).count();
        counted = found.start();
        records.add("private-key", lines as u64);
        out.extend_from_slice(text.get(copied..found.start())?);
        let public = if block.contains('\r') { public.replace('\n', "\r\n") } else { public };
        out.extend_from_slice(public.as_bytes());
        copied = found.end();
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(text.get(copied..)?);
    Some(out)
}
