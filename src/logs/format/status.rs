//! `systemctl status`: a line that names the unit, then, indented, how it is.
//!
//! ```text
//! ● kubelet.service - kubelet: The Kubernetes Node Agent
//!      Loaded: loaded (/lib/systemd/system/kubelet.service; enabled)
//!      Active: failed (Result: exit-code) since Mon 2026-11-16 10:35:05 UTC; 3s ago
//!    Main PID: 4347 (code=exited, status=1/FAILURE)
//! ```

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A unit's name is so many lines away at most.
const LINES: usize = 12;
/// So many bytes after the name its states are looked for.
const LENGTH: usize = 4096;
/// The lines that say little without the name.
const STATES: [&[u8]; 2] = [b"Active: ", b"Main PID: "];
static UNIT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b".service - "));
/// The name stands within so many bytes.
const HEAD: usize = 128;

/// What a line (of a text, without its end) says of a unit, in one line with the unit's: the states that follow a name, or
/// the name that is before a state. None when it is no such line.
pub(crate) fn of_unit(text: &[u8], from: usize, to: usize) -> Option<Vec<u8>> {
    let line = text.get(from..to)?;
    if is_name(line) {
        return states(line, text.get(to + 1..text.len().min(to + LENGTH))?);
    }
    if !line.first()?.is_ascii_whitespace() || !is_state(line) {
        return None;
    }
    let mut end = from;
    for _ in 0..LINES {
        let before = text.get(..end.checked_sub(1)?)?;
        let begin = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let name = before.get(begin..)?;
        if is_name(name) {
            return Some([name.trim_ascii(), b" ", line.trim_ascii()].concat());
        }
        if !name.first()?.is_ascii_whitespace() {
            return None;
        }
        end = begin;
    }
    None
}

fn states(name: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
    let lines = rest.split(|byte| *byte == b'\n').take(LINES);
    let own = lines.take_while(|line| line.first().is_some_and(u8::is_ascii_whitespace));
    let states: Vec<&[u8]> = own.filter(|line| is_state(line)).map(<[u8]>::trim_ascii).collect();
    (!states.is_empty()).then(|| [&[name.trim_ascii()], states.as_slice()].concat().join(&b" "[..]))
}

fn is_name(line: &[u8]) -> bool {
    UNIT.find(&line[..line.len().min(HEAD)]).is_some()
}

fn is_state(line: &[u8]) -> bool {
    let said = line.trim_ascii_start();
    STATES.iter().any(|state| said.starts_with(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_unit() {
        let of = |text: &str| {
            let from = text.rfind('\n').map_or(0, |at| at + 1);
            of_unit(text.as_bytes(), from, text.len()).map(|said| String::from_utf8(said).unwrap())
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
        let name = "● kubelet.service - kubelet: The Kubernetes Node Agent";
        let told = |text: &str| of_unit(text.as_bytes(), 0, name.len()).map(|said| String::from_utf8(said).unwrap());
        let state = "   Active: failed (Result: exit-code)\r\n";
        let pid = "   Main PID: 4347 (code=exited, status=1/FAILURE)";
        assert_eq!(
            told(&format!("{name}\n     Loaded: loaded\n{state}     Docs: x\n{pid}")).as_deref(),
            Some(format!("{name} Active: failed (Result: exit-code) {}", pid.trim_start()).as_str())
        );
        for other in [name.to_owned(), format!("{name}\n"), format!("{name}\n\n{state}"), format!("{name}\nx\n{state}")]
        {
            assert_eq!(told(&other), None, "{other}");
        }
    }
}
