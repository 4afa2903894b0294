//! A journal of several hosts in one file, as `oc adm node-logs` merges them by time: each line names its host.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use crate::bundle::archive::Archive;

/// Of a line's beginning so much is looked at.
const HEAD: u64 = 4096;
/// Hosts that one file is split into; the lines of more are left out.
const HOSTS: usize = 256;

/// The lines of one host: those that name it, and what follows them without naming any.
pub struct HostLines<R> {
    inner: R,
    host: String,
    is_taken: bool,
    within_line: bool,
    piece: Vec<u8>,
    read: usize,
}

impl<R: BufRead> HostLines<R> {
    pub fn new(inner: R, host: &str) -> HostLines<R> {
        HostLines { inner, host: host.to_owned(), is_taken: false, within_line: false, piece: Vec::new(), read: 0 }
    }
}

impl<R: BufRead> Read for HostLines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read >= self.piece.len() {
            self.read = 0;
            let begins = !self.within_line;
            if !next_piece(&mut self.inner, &mut self.piece, &mut self.within_line)? {
                return Ok(0);
            }
            if begins && let Some(host) = crate::logs::host_of(&self.piece) {
                self.is_taken = host == self.host.as_bytes();
            }
            if !self.is_taken {
                self.piece.clear();
            }
        }
        let count = self.piece.get(self.read..).unwrap_or_default().read(into)?;
        self.read += count;
        Ok(count)
    }
}

/// A line or a part of one; false at the end.
fn next_piece(inner: &mut impl BufRead, piece: &mut Vec<u8>, within_line: &mut bool) -> io::Result<bool> {
    piece.clear();
    let count = inner.take(HEAD).read_until(b'\n', piece)?;
    *within_line = !piece.ends_with(b"\n");
    Ok(count > 0)
}

/// The entry's hosts, each with the bytes of its lines; none when no line names one or it cannot be read.
pub fn hosts(archive: &Archive, entry: &str) -> BTreeMap<String, u64> {
    count(archive, entry).unwrap_or_default()
}

fn count(archive: &Archive, entry: &str) -> io::Result<BTreeMap<String, u64>> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut now: Option<String> = None;
    let mut inner = open(archive, entry)?;
    let (mut piece, mut within_line) = (Vec::new(), false);
    loop {
        let begins = !within_line;
        if !next_piece(&mut inner, &mut piece, &mut within_line)? {
            return Ok(found);
        }
        if begins
            && let Some(host) =
                crate::logs::host_of(&piece).filter(|host| now.as_deref().map(str::as_bytes) != Some(*host))
        {
            now = Some(String::from_utf8_lossy(host).into_owned());
        }
        let Some(host) = &now else { continue };
        if let Some(bytes) = found.get_mut(host) {
            *bytes += piece.len() as u64;
        } else if found.len() < HOSTS {
            found.insert(host.clone(), piece.len() as u64);
        }
    }
}

/// The entry's text, unpacked when it is packed.
fn open(archive: &Archive, entry: &str) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    let file = archive.file(entry).ok_or(io::ErrorKind::NotFound)?;
    Ok(BufReader::with_capacity(128 << 10, crate::logs::open_packed(archive.open(file))?))
}

/// The lines of one host of an entry, as a stream.
pub fn lines(archive: &Arc<Archive>, entry: &str, host: &str) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(HostLines::new(open(archive, entry)?, host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_host_that_they_name() {
        let long = "x".repeat(3 * HEAD as usize);
        let text = format!(
            "-- Logs begin at Thu 2026-01-01 --\nJan 01 00:00:00.000001 m1 kubenswrapper[9]: one\n  its second line\n\
             Jan 01 00:00:00.000002 m2 kubenswrapper[7]: two {long} Jan 01 00:00:00 m1 x[1]: y\n\
             Jan 01 00:00:00.000003 m1 systemd[1]: three\nJan 01 00:00:01 kubelet[1]: no host: stays\n"
        );
        let m2 = format!("Jan 01 00:00:00.000002 m2 kubenswrapper[7]: two {long} Jan 01 00:00:00 m1 x[1]: y\n");
        let m1 = "Jan 01 00:00:00.000001 m1 kubenswrapper[9]: one\n  its second line\n\
                  Jan 01 00:00:00.000003 m1 systemd[1]: three\nJan 01 00:00:01 kubelet[1]: no host: stays\n";
        let archive = Arc::new(Archive::of_files([("x.log", text.as_bytes())]));
        let found = hosts(&archive, "x.log");
        assert_eq!(found, BTreeMap::from([("m1".to_owned(), m1.len() as u64), ("m2".to_owned(), m2.len() as u64)]));
        for (host, expected) in [("m1", m1), ("m2", m2.as_str()), ("m3", "")] {
            let mut lines = String::new();
            super::lines(&archive, "x.log", host).unwrap().read_to_string(&mut lines).unwrap();
            assert_eq!(lines, expected, "{host}");
        }
        assert!(hosts(&Archive::of_files([("x.log", &b"no\njournal\n"[..])]), "x.log").is_empty());
    }
}
