//! journald's export format (`journalctl -o export`), turned into lines as `journalctl -o short-iso-precise` prints them.
//!
//! An entry is fields until an empty line. A field is `NAME=value\n`, or for values with bytes that are no text `NAME\n`, the
//! value's length as 64 bits little endian, the value, `\n`.

use std::io::{self, Read};

use jiff::Timestamp;

/// What an export begins with.
pub const MAGIC: &[u8] = b"__CURSOR=";
/// More of one message is not kept.
const VALUE_LIMIT: usize = 1 << 20;
const FIELD_NAME_LIMIT: usize = 64;

/// Reads an export, gives lines.
pub struct ExportReader<R> {
    inner: R,
    input: Vec<u8>,
    at: usize,
    ended: bool,
    entry: Entry,
    output: Vec<u8>,
    given: usize,
}

/// What is shown of a journal's entry.
#[derive(Default)]
pub(super) struct Entry {
    micros: Option<i64>,
    host: Vec<u8>,
    identifier: Vec<u8>,
    command: Vec<u8>,
    unit: Vec<u8>,
    pid: Vec<u8>,
    is_kernel: bool,
    message: Vec<u8>,
    any: bool,
}

impl<R: Read> ExportReader<R> {
    pub fn new(inner: R) -> ExportReader<R> {
        ExportReader {
            inner,
            input: Vec::new(),
            at: 0,
            ended: false,
            entry: Entry::default(),
            output: Vec::new(),
            given: 0,
        }
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.input.drain(..self.at);
        self.at = 0;
        let known = self.input.len();
        self.input.resize(known + (64 << 10), 0);
        let read = loop {
            match self.inner.read(&mut self.input[known..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.input.truncate(known + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(!self.ended)
    }

    /// A line without its end, its first `limit` bytes; none at the end of the input.
    fn line(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let rest = &self.input[self.at..];
            let end = memchr::memchr(b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            let room = limit.saturating_sub(line.len()).min(piece.len());
            line.extend_from_slice(&piece[..room]);
            self.at += piece.len() + usize::from(end.is_some());
            if end.is_some() {
                return Ok(Some(line));
            }
            if !self.more()? {
                return Ok((!line.is_empty()).then_some(line));
            }
        }
    }

    /// The next `length` bytes, of which `limit` are kept; an end before them ends the value.
    fn bytes(&mut self, mut length: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut value = Vec::new();
        while length > 0 {
            let rest = &self.input[self.at..];
            if rest.is_empty() {
                if !self.more()? {
                    break;
                }
                continue;
            }
            let piece = &rest[..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
            value.extend_from_slice(&piece[..piece.len().min(limit.saturating_sub(value.len()))]);
            self.at += piece.len();
            length -= piece.len() as u64;
        }
        Ok(value)
    }

    /// Reads on until an entry is whole; false at the end.
    fn next_entry(&mut self) -> io::Result<bool> {
        loop {
            let Some(line) = self.line(VALUE_LIMIT)? else {
                return Ok(self.entry.any && self.finish_entry());
            };
            if line.is_empty() {
                if self.entry.any {
                    self.finish_entry();
                    return Ok(true);
                }
                continue;
            }
            let (name, value) = match memchr::memchr(b'=', &line) {
                Some(at) => (line[..at].to_vec(), line[at + 1..].to_vec()),
                None if line.len() <= FIELD_NAME_LIMIT => {
                    let length: [u8; 8] = self.bytes(8, 8)?.try_into().unwrap_or_default();
                    let value = self.bytes(u64::from_le_bytes(length), VALUE_LIMIT)?;
                    self.line(0)?;
                    (line, value)
                }
                None => continue,
            };
            self.entry.any = true;
            self.entry.take(&name, &value);
        }
    }

    fn finish_entry(&mut self) -> bool {
        let entry = std::mem::take(&mut self.entry);
        self.output.clear();
        self.given = 0;
        entry.write_line(&mut self.output);
        true
    }
}

impl Entry {
    /// Of a time, in microseconds since the epoch.
    pub fn at(micros: Option<i64>) -> Entry {
        Entry { micros, ..Entry::default() }
    }

    /// Takes a field, if it is one that is shown.
    pub fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"__REALTIME_TIMESTAMP" => {
                self.micros = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            b"_HOSTNAME" => self.host = value.to_vec(),
            b"SYSLOG_IDENTIFIER" => self.identifier = value.to_vec(),
            b"_COMM" => self.command = value.to_vec(),
            b"_SYSTEMD_UNIT" => self.unit = value.to_vec(),
            b"_PID" => self.pid = value.to_vec(),
            b"_TRANSPORT" if value == b"kernel" => self.is_kernel = true,
            b"MESSAGE" => self.message = value.to_vec(),
            _ => {}
        }
    }

    /// One entry is one line; its number is the entry's.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let time = self.micros.and_then(|micros| Timestamp::from_microsecond(micros).ok());
        let time = time.map_or_else(String::new, |time| format!("{time:.6} "));
        let program = [&self.identifier, &self.command, &self.unit].into_iter().find(|name| !name.is_empty());
        let program = if self.is_kernel { b"kernel" } else { program.map_or(b"unknown".as_slice(), Vec::as_slice) };
        let clean = |text: &[u8]| -> Vec<u8> {
            text.iter().map(|byte| if matches!(byte, b' ' | b'\n' | b':') { b'_' } else { *byte }).collect()
        };
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(&if self.host.is_empty() { b"-".to_vec() } else { clean(&self.host) });
        out.push(b' ');
        out.extend_from_slice(&clean(program));
        if self.pid.iter().all(u8::is_ascii_digit) && (1..=10).contains(&self.pid.len()) {
            out.push(b'[');
            out.extend_from_slice(&self.pid);
            out.push(b']');
        }
        out.extend_from_slice(b": ");
        out.extend(self.message.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        out.push(b'\n');
    }
}

impl<R: Read> Read for ExportReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.output.len() && !self.next_entry()? {
            return Ok(0);
        }
        let rest = &self.output[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(export: &[u8]) -> String {
        let mut text = Vec::new();
        ExportReader::new(export).read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn gives_a_line_for_each_entry() {
        let mut export = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000123456\n_HOSTNAME=m1\nSYSLOG_IDENTIFIER=kubelet\n\
            _PID=42\nMESSAGE=one=two\n\n__CURSOR=s=2\n__REALTIME_TIMESTAMP=1700000001000000\n_TRANSPORT=kernel\nMESSAGE\n"
            .to_vec();
        export.extend_from_slice(&9u64.to_le_bytes());
        export.extend_from_slice(b"a\n\nb\x00=c\nd\n_HOSTNAME=m1\n\n");
        assert_eq!(
            lines(&export),
            "2023-11-14T22:13:20.123456Z m1 kubelet[42]: one=two\n2023-11-14T22:13:21.000000Z m1 kernel: a  b\0=c d\n"
        );
    }

    #[test]
    fn a_cut_or_lying_export_ends() {
        let mut export = b"__CURSOR=s\nMESSAGE\n".to_vec();
        export.extend_from_slice(&u64::MAX.to_le_bytes());
        export.extend_from_slice(b"short");
        assert_eq!(lines(&export), "- unknown: short\n");
        assert_eq!(lines(b"MESSAGE=x"), "- unknown: x\n");
        assert_eq!(lines(b"\n\n\n"), "");
    }
}
