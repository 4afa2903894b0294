//! auditd's log: of all that it records, what SELinux has denied. The other records tell who did what, with commands as they
//! were typed: they are neither judged nor taken along.

use std::io::{self, BufRead, BufReader, Read};

/// Where auditd writes.
pub const DIRECTORY: &str = "/var/log/audit";
/// Bytes of a line that are kept; the kernel's own limit of a record is below it.
const LINE: u64 = 16_384;
/// How the records begin that are read.
const KINDS: [&[u8]; 3] = [b"type=AVC ", b"type=USER_AVC ", b"type=SELINUX_ERR "];

/// Whether a file of that directory is such a log: auditd rotates to `.1` and packs nothing.
pub fn is_log(name: &str) -> bool {
    name.strip_prefix("audit.log").is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// Whether a path is that of an audit log.
pub fn is_path(path: &str) -> bool {
    path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/')).is_some_and(is_log)
}

/// The denials of a log, each on the line that it had; the other lines are empty.
pub struct Denials<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    at: usize,
}

impl<R: Read> Denials<R> {
    pub fn new(reader: R) -> Denials<R> {
        Denials { reader: BufReader::new(reader), line: Vec::new(), at: 0 }
    }

    /// Reads the next line, of which only its end is left when it is no denial: a denial keeps its line's number. Nothing
    /// is left at the end of the log.
    fn advance(&mut self) -> io::Result<()> {
        self.line.clear();
        self.at = 0;
        if self.reader.by_ref().take(LINE).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(());
        }
        if !self.line.ends_with(b"\n") {
            // The rest of a longer line, or nothing at the end of the log.
            self.reader.skip_until(b'\n')?;
            self.line.push(b'\n');
        }
        if !KINDS.iter().any(|kind| self.line.starts_with(kind)) {
            self.line.drain(..self.line.len() - 1);
        }
        Ok(())
    }
}

impl<R: Read> Read for Denials<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.line.len() {
            self.advance()?;
        }
        let rest = self.line.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_denied_and_nothing_else() {
        let denied = "type=AVC msg=audit(1795257450.123:456): avc:  denied  { write } for  pid=401 comm=\"etcd\"";
        let log = format!(
            "type=USER_CMD msg=audit(1795257449.1:455): pid=1 msg='cmd=6D7973716C202D7073656372657400'\n{denied}\n\
             type=PROCTITLE msg=audit(1795257450.123:456): proctitle=6574636400\n{denied}{}\n\ntype=AVC x",
            "x".repeat(40_000)
        );
        let mut kept = String::new();
        Denials::new(log.as_bytes()).read_to_string(&mut kept).expect("memory");
        let lines: Vec<&str> = kept.lines().collect();
        assert_eq!(lines.len(), log.lines().count(), "every line keeps its number: {kept}");
        assert_eq!([lines[0], lines[1], lines[2], lines[4], lines[5]], ["", denied, "", "", "type=AVC x"]);
        assert!(lines[3].starts_with(denied) && lines[3].len() == LINE as usize);
        assert!(!kept.contains("cmd=") && !kept.contains("proctitle"));
    }

    #[test]
    fn knows_its_files() {
        for (path, expected) in [
            ("/var/log/audit/audit.log", true),
            ("/var/log/audit/audit.log.4", true),
            ("/var/log/audit/audit.log.4.gz", false),
            ("/var/log/audit/other.log", false),
            ("/var/log/kubernetes/audit/audit.log", false),
        ] {
            assert_eq!(is_path(path), expected, "{path}");
        }
    }
}
