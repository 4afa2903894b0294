//! A process in /proc: stat, cmdline, environ, links.

use std::collections::BTreeMap;

/// Bytes of a command line or an environment that are looked at; the kernel's own limit for both is 2 MiB by default.
const TEXT_LIMIT: usize = 512 << 10;

/// Variables that configure a component, by prefix.
const KEPT_PREFIXES: [&str; 9] =
    ["ETCD_", "DOCKER_", "DOCKERD_", "KUBE", "CONTAINER_", "CONTAINERD_", "CRIO_", "CRI_", "FLANNELD_"];

/// Names that hold one of these hold a secret, unless they end in `FILE` and so hold a path.
const SECRET_WORDS: [&str; 7] = ["TOKEN", "PASS", "PWD", "SECRET", "KEY", "CREDENTIAL", "AUTH_CONFIG"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub comm: String,
    /// Stopped by a signal (SIGSTOP) or by a debugger: it holds its sockets and does nothing.
    pub stopped: bool,
    /// Clock ticks after boot.
    pub started_ticks: Option<u64>,
}

/// Parses /proc/PID/stat. The name in parentheses may hold blanks and parentheses itself, so its end is the last one.
pub fn stat(text: &str) -> Option<Stat> {
    let open = text.find('(')?;
    let close = text.rfind(')').filter(|close| *close > open)?;
    // The name is field 2 of the table in proc(5) and the start time is field 22.
    let mut fields = text[close + 1..].split_whitespace();
    let stopped = matches!(fields.next(), Some("T" | "t"));
    let started_ticks = fields.nth(18).and_then(|ticks| ticks.parse().ok());
    Some(Stat { comm: text[open + 1..close].to_owned(), stopped, started_ticks })
}

/// The arguments in /proc/PID/cmdline; empty for kernel threads and zombies. A program that writes its title there
/// (`nginx: master process`) leaves zero bytes behind it, which are no arguments.
pub fn arguments(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.get(..TEXT_LIMIT).unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let end = match bytes.ends_with(b"\0\0") {
        true => bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1),
        false => bytes.len(),
    };
    bytes[..end].split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The variables of /proc/PID/environ that configure a component. Others are never kept, nor those whose name says that
/// they hold a secret; user and password of a proxy's URL are replaced.
pub fn environment(bytes: &[u8]) -> BTreeMap<String, String> {
    let bytes = bytes.get(..TEXT_LIMIT).unwrap_or(bytes);
    bytes
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (std::str::from_utf8(&entry[..at]).ok()?, &entry[at + 1..]);
            is_kept_variable(name).then(|| (name.to_owned(), without_user(&String::from_utf8_lossy(value))))
        })
        .collect()
}

/// Whether a variable of this name configures a component and holds no secret.
pub fn is_kept_variable(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    // A label that keeps clusters apart, which is the same on all members and printed in etcd's log.
    if upper == "ETCD_INITIAL_CLUSTER_TOKEN" {
        return true;
    }
    let is_wanted =
        name == "PATH" || upper.ends_with("_PROXY") || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_wanted && (upper.ends_with("FILE") || !SECRET_WORDS.iter().any(|word| upper.contains(word)))
}

/// `http://user:password@proxy:3128` with `***` for user and password, in each URL of the text. A password may hold any
/// character, so all up to the last `@` goes.
fn without_user(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    if !text.contains("://")
        && let Some(at) = text.rfind('@')
    {
        return format!("***{}", &text[at..]);
    }
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let url = after.split("://").next().and_then(|url| url.split(char::is_whitespace).next()).unwrap_or_default();
        rest = match url.rfind('@') {
            Some(at) => {
                out.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// The number in a link of /proc such as `net:[4026531840]` or `socket:[889467]`.
pub fn link_inode(target: &str, kind: &str) -> Option<u64> {
    target.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses() {
        let tail = "S 233 433 433 0 -1 4194560 54763 0 25 0 608 269 0 0 20 0 10 0 550670 1600229376 67987";
        let halted = tail.replacen('S', "T", 1);
        for (text, comm, stopped, ticks) in [
            (format!("433 (kube-apiserver) {tail}"), "kube-apiserver", false, Some(550_670)),
            (format!("7 (a) b (c)) {tail}"), "a) b (c)", false, Some(550_670)),
            (format!("7 (etcd) {halted}"), "etcd", true, Some(550_670)),
            ("7 (x) S 1".to_owned(), "x", false, None),
        ] {
            assert_eq!(stat(&text), Some(Stat { comm: comm.to_owned(), stopped, started_ticks: ticks }));
        }
        for text in ["", "7 x S", ")(", "7 (x"] {
            assert_eq!(stat(text), None, "{text}");
        }
    }

    #[test]
    fn command_lines() {
        for (bytes, expected) in [
            (&b"etcd\0--name\0m1\0"[..], vec!["etcd", "--name", "m1"]),
            (b"kubelet\0--node-labels=\0\0", vec!["kubelet", "--node-labels=", ""]),
            (b"nginx: master process /usr/sbin/nginx\0\0\0\0", vec!["nginx: master process /usr/sbin/nginx"]),
            (b"no end", vec!["no end"]),
            (b"", vec![]),
            (b"\0", vec![]),
        ] {
            assert_eq!(arguments(bytes), expected);
        }
        assert!(arguments(&vec![b'a'; 4 << 20])[0].len() <= TEXT_LIMIT);
    }

    #[test]
    fn only_variables_that_configure_and_hold_no_secret() {
        for (name, kept) in [
            ("PATH", true),
            ("ETCD_LISTEN_PEER_URLS", true),
            ("ETCD_KEY_FILE", true),
            ("FLANNELD_ETCD_KEYFILE", true),
            ("ETCD_INITIAL_CLUSTER_TOKEN", true),
            ("KUBELET_EXTRA_ARGS", true),
            ("https_proxy", true),
            ("NO_PROXY", true),
            ("ETCD_AUTH_TOKEN", false),
            ("ETCD_ROOT_PASSWORD", false),
            ("KUBE_TOKEN", false),
            ("DOCKER_AUTH_CONFIG", false),
            ("KUBE_SIGNING_KEY", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("HOME", false),
            ("MYSQL_HOST", false),
        ] {
            assert_eq!(is_kept_variable(name), kept, "{name}");
        }
    }

    #[test]
    fn environments_without_passwords() {
        let found = environment(
            b"PATH=/bin\0HOME=/root\0HTTPS_PROXY=http://u:p@ss@proxy:3128/x\0ETCD_INITIAL_CLUSTER=a=https://1,b=https://2\0broken\0",
        );
        let shown: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["ETCD_INITIAL_CLUSTER=a=https://1,b=https://2", "HTTPS_PROXY=http://***@proxy:3128/x", "PATH=/bin"]
        );
    }

    #[test]
    fn users_in_urls() {
        for (text, expected) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://u:p/a@s,s@proxy:3128", "http://***@proxy:3128"),
            ("u:p@proxy:3128", "***@proxy:3128"),
            ("https://u:p@h1:2379,https://v:q@h2", "https://***@h1:2379,https://***@h2"),
            ("--proxy http://u:p@h --email a@b", "--proxy http://***@h --email a@b"),
            ("10.0.0.0/8,.svc", "10.0.0.0/8,.svc"),
            (" ://", " ://"),
        ] {
            assert_eq!(without_user(text), expected);
        }
    }

    #[test]
    fn links_that_hold_an_inode() {
        assert_eq!(link_inode("net:[4026531840]", "net"), Some(4_026_531_840));
        assert_eq!(link_inode("socket:[889467]", "socket"), Some(889_467));
        for target in ["socket:889467", "socket:[x]", "/dev/null", "pipe:[5]"] {
            assert_eq!(link_inode(target, "socket"), None);
        }
    }
}
