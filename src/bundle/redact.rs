//! Takes the secrets out of evidence on its way into a bundle.
//!
//! What is replaced keeps its length, its line and its column, so that findings point to the same place. A private key
//! leaves its public half, so that rules about keys still work. Where it is not certain what a text holds, it is replaced;
//! what cannot be looked through is left out ([`content`] fails). The records say where and by which rule, never what.

mod csv;
mod encoded;
mod json;
mod key_block;
mod marks;
mod message;
mod names;
mod open_value;
pub(super) mod pieces;
mod shapes;
mod state;
mod stream;
mod value;
#[cfg(target_arch = "x86_64")]
mod wide;

use super::manifest::RedactionRecord;
pub use stream::Stream;

/// What stands in a secret's place: letters, so that it is still a value in YAML, JSON, TOML, an argument, a URL and base64.
pub const FILL: u8 = b'x';
/// Lines of one file and rule that are told by number.
const LINES_TOLD: usize = 20;
/// Content within content (base64 in base64, packed in base64) that is looked into.
const DEPTH: usize = 8;
/// Bytes of packed content that is unpacked to be looked into.
const UNPACKED_LIMIT: u64 = 64 << 20;

/// What is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Secrets other than private keys, which are always replaced.
    pub secrets: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { secrets: true }
    }
}

/// Content without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    pub content: Vec<u8>,
    pub records: Vec<RedactionRecord>,
}

/// A file's whole content without its secrets, or why it has to be left out.
pub fn content(path: &str, content: &[u8], policy: Policy) -> Result<Redacted, String> {
    let mut records = Records::new(path);
    let replaced = whole(path, content, policy, &mut records, 0)?;
    Ok(Redacted { content: replaced.unwrap_or_else(|| content.to_vec()), records: records.into_records() })
}

/// The content without its secrets; none when there are none. `depth` counts what it was packed in.
fn whole(
    path: &str,
    content: &[u8],
    policy: Policy,
    records: &mut Records,
    depth: usize,
) -> Result<Option<Vec<u8>>, String> {
    if depth >= DEPTH {
        return Err("it is packed into itself too many times to be redacted".to_owned());
    }
    if content.starts_with(b"TZif") {
        return Ok(None);
    }
    if is_wide(content) {
        return Err("it is UTF-16 or UTF-32, which is not redacted".to_owned());
    }
    if is_packed(content) {
        let text = unpack(content)?;
        return match whole(path, &text, policy, records, depth + 1)? {
            None => Ok(None),
            Some(text) if content.starts_with(&[0x1f, 0x8b]) => pack(&text).map(Some),
            Some(_) => Err("it holds secrets and is packed in a way that is not packed again".to_owned()),
        };
    }
    if content.first() == Some(&0x30)
        && let Some(public) = crate::parse::pem::public_half_of_der(content)
    {
        records.add("private-key", 1);
        return Ok(Some(public));
    }
    let before = records.total();
    // Keys first, while their blocks are whole.
    let keyed = key_block::replace(content, records);
    let text = keyed.as_deref().unwrap_or(content);
    let mut stream = Stream::at_depth(path, policy, depth);
    stream.knows_whole(text);
    let mut out = Vec::with_capacity(text.len());
    stream.push(text, &mut out);
    stream.finish(&mut out);
    records.extend(stream);
    Ok((records.total() > before).then_some(out))
}

/// Text of two or four bytes for each character.
fn is_wide(content: &[u8]) -> bool {
    let head = content.get(..4096).unwrap_or(content);
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    let every_second = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    content.starts_with(&[0xff, 0xfe])
        || content.starts_with(&[0xfe, 0xff])
        || (zeros > 8 && zeros * 3 > head.len() && every_second(0).max(every_second(1)) * 10 > zeros * 9)
}

pub(super) fn is_packed(content: &[u8]) -> bool {
    [&[0x1f, 0x8b, 8][..], &[0x28, 0xb5, 0x2f, 0xfd], b"\xfd7zXZ\0"].iter().any(|magic| content.starts_with(magic))
}

pub(super) fn unpack(content: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut text = Vec::new();
    let reader = crate::logs::open_packed(Box::new(std::io::Cursor::new(content.to_vec())));
    let read = reader.and_then(|reader| reader.take(UNPACKED_LIMIT + 1).read_to_end(&mut text));
    match read {
        Ok(count) if count as u64 > UNPACKED_LIMIT => Err(format!("it holds more than {UNPACKED_LIMIT} bytes packed")),
        Ok(_) => Ok(text),
        Err(_) => Err("it is packed, and cannot be unpacked to be redacted".to_owned()),
    }
}

pub(super) fn pack(text: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).map_err(|error| error.to_string())
}

/// Where something was replaced, of one file.
#[derive(Debug)]
struct Records {
    path: String,
    found: Vec<RedactionRecord>,
}

impl Records {
    fn new(path: &str) -> Records {
        Records { path: path.to_owned(), found: Vec::new() }
    }

    fn add(&mut self, rule: &str, line: u64) {
        let at = match self.found.iter().position(|record| record.rule == rule) {
            Some(at) => at,
            None => {
                let (path, rule) = (self.path.clone(), rule.to_owned());
                self.found.push(RedactionRecord { path, rule, count: 0, lines: Vec::new() });
                self.found.len() - 1
            }
        };
        if let Some(record) = self.found.get_mut(at) {
            record.count += 1;
            if record.lines.len() < LINES_TOLD && record.lines.last() != Some(&line) {
                record.lines.push(line);
            }
        }
    }

    fn total(&self) -> u64 {
        self.found.iter().map(|record| record.count).sum()
    }

    fn extend(&mut self, stream: Stream) {
        for record in stream.into_records() {
            for at in 0..record.count {
                let line = usize::try_from(at).ok().and_then(|at| record.lines.get(at)).or(record.lines.last());
                self.add(&record.rule, line.copied().unwrap_or_default());
                if at > 10_000 {
                    break;
                }
            }
        }
    }

    fn into_records(self) -> Vec<RedactionRecord> {
        self.found
    }
}

/// A piece of a line that is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    start: usize,
    end: usize,
    rule: &'static str,
    /// None for [`FILL`].
    text: Option<Vec<u8>>,
}

impl Hit {
    fn new(start: usize, end: usize, rule: &'static str) -> Hit {
        Hit { start, end, rule, text: None }
    }
}

/// Appends one fill for each character: a byte that does not continue one.
fn fill(secret: &[u8], out: &mut Vec<u8>) {
    for byte in secret {
        if byte.is_ascii() && !byte.is_ascii_graphic() {
            out.push(*byte);
        } else if *byte & 0xc0 != 0x80 {
            out.push(FILL);
        }
    }
}

/// Whether there is nothing left to replace.
fn is_filled(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(*byte, FILL | b'*' | b' ' | b'.' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(path: &str, text: &str) -> String {
        String::from_utf8(content(path, text.as_bytes(), Policy::default()).unwrap().content).unwrap()
    }

    #[test]
    fn what_tells_clusters_apart_is_no_secret() {
        for text in [
            "--initial-cluster-token etcd-cluster-1 --initial-cluster a=https://10.0.0.1:2380",
            "    --initial-cluster-token my-etcd-token \\\n    --initial-cluster-state new",
            "    --initial-cluster-token etcd-token --initial-cluster-state new",
            "  --initial-cluster-token=etcd-cluster-1 \\\n  --name m1",
            "ETCD_INITIAL_CLUSTER_TOKEN=\"etcd-cluster-1\"\n",
            "export ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster-1\n",
            "initial-cluster-token: 'etcd-cluster-1'\n",
            "{\"initial-cluster-token\":\"etcd-cluster-1\"}",
            "- --initial-cluster-token\n- etcd-cluster-1\n",
            "etcd\0--initial-cluster-token\0etcd-cluster-1\0",
        ] {
            assert_eq!(redacted("/etc/x", text), text);
        }
    }

    #[test]
    fn a_secret_leaves_the_rest_of_its_line() {
        for (text, expected) in [
            ("  --token hunter2222 \\\n  --v=2", "  --token xxxxxxxxxx \\\n  --v=2"),
            ("  --token=hunter2222 \\\n  --v=2", "  --token=xxxxxxxxxx \\\n  --v=2"),
            ("  --token \\\n  hunter2222 \\\n  --v=2", "  --token \\\n  xxxxxxxxxx \\\n  --v=2"),
            ("TOKEN=hunter2222 \\\n--v=2", "TOKEN=xxxxxxxxxx \\\n--v=2"),
            ("TOKEN=hunter\\\n2222\nA=b\n", "TOKEN=xxxxxx\\\nxxxx\nA=b\n"),
            ("TOKEN=\\\nhunter2222\nA=b\n", "TOKEN=\\\nxxxxxxxxxx\nA=b\n"),
            ("TOKEN=hunter2222\\\\\nA=b\n", "TOKEN=xxxxxxxxxxxx\nA=b\n"),
            ("Environment=\"TOKEN=hunter2222\" \\\n  A=b", "Environment=\"TOKEN=xxxxxxxxxx\" \\\n  A=b"),
            (
                "  --header \"Bearer hunter2222hunter\" \\\n  --v=2",
                "  --header \"Bearer xxxxxxxxxxxxxxxx\" \\\n  --v=2",
            ),
            ("{\"a\":{\"client_auth\":true},\"b\":\"c\"}", "{\"a\":{\"client_auth\":true},\"b\":\"c\"}"),
            ("{\"a\":{\"token\":12345678},\"b\":\"c\"}", "{\"a\":{\"token\":xxxxxxxx},\"b\":\"c\"}"),
            ("  --password 'hunter2222' \\\n  --v=2", "  --password 'xxxxxxxxxx' \\\n  --v=2"),
            // A quote or a bracket that closes on a later line.
            ("TOKEN=\"hunter\\\n2222\" A=b\n", "TOKEN=\"xxxxxx\\\nxxxx\" A=b\n"),
            ("TOKEN=\"\\\nhunter\\\n  2222\"\nA=b\n", "TOKEN=\"\\\nxxxxxx\\\n  xxxx\"\nA=b\n"),
            ("TOKEN='hunter\n2222'\nA=b\n", "TOKEN='xxxxxx\nxxxx'\nA=b\n"),
            (
                "Environment=\"A=b\" 'TOKEN=hunter\\\n2222' \"C=d\"\nUser=x\n",
                "Environment=\"A=b\" 'TOKEN=xxxxxx\\\nxxxx' \"C=d\"\nUser=x\n",
            ),
            ("Environment=\"TOKEN=hunter\\\n2222\"\nUser=x\n", "Environment=\"TOKEN=xxxxxx\\\nxxxx\"\nUser=x\n"),
            ("password: \"hunter\\\n  2222\"\nuser: x\n", "password: \"xxxxxx\\\n  xxxx\"\nuser: x\n"),
            ("\"password\": \"hunter\\\n2222\", \"a\": 1\n", "\"password\": \"xxxxxx\\\nxxxx\", \"a\": 1\n"),
            ("  --token \"hunter\\\n2222\" \\\n  --v=2\n", "  --token \"xxxxxx\\\nxxxx\" \\\n  --v=2\n"),
            ("curl -H \"Token: hunter\\\n2222\" x\nA=b\n", "curl -H \"Token: xxxxxx\\\nxxxx\" x\nA=b\n"),
            (
                "tokens = [\n  \"hunter\",\n  \"2222\",\n]\na = \"b\"\n",
                "tokens = [\n  \"xxxxxx\",\n  \"xxxx\",\n]\na = \"b\"\n",
            ),
            ("passwords: [ab12,\n  hunter]\na: b\n", "passwords: [xxxx,\n  xxxxxx]\na: b\n"),
            ("read -p \"Password: \" x\necho \"$x\"\n", "read -p \"Password: \" x\necho \"$x\"\n"),
            ("read -p \"Password: \" \\\n  name\necho \"$x\"\n", "read -p \"Password: \" \\\n  name\necho \"$x\"\n"),
        ] {
            assert_eq!(redacted("/etc/x", text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_process_has_the_stand_ins_of_its_unit() {
        for line in [
            "etcd --initial-cluster-token etcd-cluster-1 --name m1",
            "kubelet --token hunter2222 --v=2",
            "kubelet --token=hunter2222 --v=2",
            "curl -u admin:hunter2222 https://10.0.0.1",
            "sshpass -p hunter2222 ssh m1",
            "mysqldump -h db -phunter2222 x",
            "htpasswd -b -c file bob hunter2222",
            "kubeadm join --token abcdef.0123456789abcdef 10.0.0.1:6443",
        ] {
            let unit = redacted("/etc/systemd/system/x.service", &format!("ExecStart=/usr/bin/{line}\n"));
            let process = redacted("/proc/1/cmdline", &format!("/usr/bin/{line}").replace(' ', "\0"));
            assert_eq!(unit.trim_end().strip_prefix("ExecStart="), Some(process.replace('\0', " ").as_str()));
            assert!(!process.contains("hunter2222"), "{process}");
        }
    }
}
