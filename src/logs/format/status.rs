//! `systemctl status`: a line that names the unit, then, indented, how it is.
//!
//! ```text
//! ● kubelet.service - kubelet: The Kubernetes Node Agent
//!      Loaded: loaded (/lib/systemd/system/kubelet.service; enabled)
//!      Active: failed (Result: exit-code) since Mon 2026-11-16 10:35:05 UTC; 3s ago
//!    Main PID: 4347 (code=exited, status=1/FAILURE)
//! ```

/// So many lines before one the unit's name is looked for.
const LINES: usize = 12;
/// The lines that say little without the name.
const STATES: [&[u8]; 2] = [b"Active: ", b"Main PID: "];
const UNIT: &[u8] = b".service - ";
/// The name stands within so many bytes.
const HEAD: usize = 128;

/// What the last line of a text, which begins at `from`, says of a unit, with the unit's line before it; none when it is no
/// such line.
pub(crate) fn of_unit(text: &[u8], from: usize) -> Option<Vec<u8>> {
    let line = text.get(from..)?;
    let said = line.trim_ascii();
    if !line.first()?.is_ascii_whitespace() || !STATES.iter().any(|state| said.starts_with(state)) {
        return None;
    }
    let mut end = from;
    for _ in 0..LINES {
        let before = text.get(..end.checked_sub(1)?)?;
        let begin = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = before.get(begin..)?;
        if memchr::memmem::find(line.get(..line.len().min(HEAD))?, UNIT).is_some() {
            return Some([line.trim_ascii(), b" ", said].concat());
        }
        if !line.first()?.is_ascii_whitespace() {
            return None;
        }
        end = begin;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_unit() {
        let of = |text: &str| {
            let from = text.rfind('\n').map_or(0, |at| at + 1);
            of_unit(text.as_bytes(), from).map(|said| String::from_utf8(said).unwrap())
        };
        let head = "● kubelet.service - kubelet: The Kubernetes Node Agent\n     Loaded: loaded (/a; enabled)\r\n";
        for (text, expected) in [
            (
                format!("{head}     Active: failed (Result: exit-code)\r"),
                Some("● kubelet.service - kubelet: The Kubernetes Node Agent Active: failed (Result: exit-code)"),
            ),
            (
                format!("x\n{head}    Drop-In: /b\n   Main PID: 4347 (code=exited, status=1/FAILURE)"),
                Some(
                    "● kubelet.service - kubelet: The Kubernetes Node Agent Main PID: 4347 (code=exited, status=1/FAILURE)",
                ),
            ),
            (format!("{head}     Docs: https://kubernetes.io/docs/"), None),
            (format!("{head}Active: failed"), None),
            // Not the unit's before it.
            (format!("{head}\n     Active: failed"), None),
            (format!("{head}{}     Active: failed", "     x\n".repeat(LINES)), None),
            ("     Active: failed".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(of(&text).as_deref(), expected, "{text}");
        }
    }
}
