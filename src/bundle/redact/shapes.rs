//! Secrets that are known by their own form, wherever they stand.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::marks::Kind;
use super::{Hit, names, value};

/// Texts of which one is in every match of [`SHAPES`], and what has to be true of its place.
pub(super) const MARKS: &[(&str, Kind)] = &[
    ("eyJ", Kind::Word),
    ("AKIA", Kind::Word),
    ("ASIA", Kind::Word),
    ("AIza", Kind::Word),
    ("ya29.", Kind::Word),
    ("GOCSPX-", Kind::Word),
    ("ghp_", Kind::Word),
    ("gho_", Kind::Word),
    ("ghu_", Kind::Word),
    ("ghs_", Kind::Word),
    ("ghr_", Kind::Word),
    ("github_pat_", Kind::Word),
    ("glpat-", Kind::Word),
    ("xoxa", Kind::Word),
    ("xoxb", Kind::Word),
    ("xoxe", Kind::Word),
    ("xoxp", Kind::Word),
    ("xoxr", Kind::Word),
    ("xoxs", Kind::Word),
    ("npm_", Kind::Word),
    ("sk_live_", Kind::Word),
    ("rk_live_", Kind::Word),
    ("sk-", Kind::Word),
    ("hvs.", Kind::Word),
    ("hvb.", Kind::Word),
    ("dop_v1_", Kind::Word),
    ("dckr_", Kind::Word),
    ("SG.", Kind::Word),
    ("hf_", Kind::Word),
    ("pypi-", Kind::Word),
    ("shpat_", Kind::Word),
    ("AGE-SECRET-KEY", Kind::Word),
    ("K10", Kind::Word),
    ("AQA", Kind::Word),
    ("AQB", Kind::Word),
    ("AQC", Kind::Word),
    ("AQD", Kind::Word),
    ("8Q~", Kind::Exact),
    (":AA", Kind::Exact),
    ("hooks.slack.com", Kind::Exact),
    ("$apr1$", Kind::Exact),
    ("$2a$", Kind::Exact),
    ("$2b$", Kind::Exact),
    ("$2y$", Kind::Exact),
    ("$1$", Kind::Exact),
    ("$5$", Kind::Exact),
    ("$6$", Kind::Exact),
    ("$y$", Kind::Exact),
    ("{SHA}", Kind::Exact),
    ("{SSHA}", Kind::Exact),
    ("sshpass", Kind::Exact),
    ("htpasswd", Kind::Exact),
    ("mysql", Kind::Exact),
    ("basic", Kind::Header),
    ("bearer", Kind::Header),
    ("digest", Kind::Header),
    ("token", Kind::Header),
    ("://", Kind::Url),
    (" -u", Kind::User),
    ("\t-u", Kind::User),
    ("\"-u", Kind::User),
    ("'-u", Kind::User),
    ("=-u", Kind::User),
    ("\n-u", Kind::User),
    ("\0-u", Kind::User),
    ("--user", Kind::User),
    ("--proxy-user", Kind::User),
];

static SHAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<jwt>\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_.-]{4,})",
        r"|(?P<aws>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)",
        r"|(?P<google>\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,})",
        r"|(?P<github>\bgh[pousr]_[0-9A-Za-z]{20,}|\bgithub_pat_[0-9A-Za-z_]{20,})",
        r"|(?P<vendor>\bglpat-[0-9A-Za-z_-]{16,}|\bxox[abeprs]-[0-9A-Za-z-]{8,}|\bnpm_[0-9A-Za-z]{30,}|\b[sr]k_live_[0-9A-Za-z]{16,}|\bsk-[0-9A-Za-z_-]{20,}|\bhv[sb]\.[0-9A-Za-z_-]{20,}|\bdop_v1_[0-9a-f]{40,}|\bdckr_(?:pat|oat)_[0-9A-Za-z_-]{16,}|\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}|\bhf_[0-9A-Za-z]{30,}|\bpypi-[0-9A-Za-z_-]{30,}|[0-9A-Za-z_~.-]{3}8Q~[0-9A-Za-z_~.-]{30,}|\bshpat_[0-9a-f]{32})",
        r"|(?P<telegram>\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33})",
        r"|hooks\.slack\.com/services/(?P<slack>[0-9A-Za-z/]+)",
        r"|(?P<age>\bAGE-SECRET-KEY-1[0-9A-Z]{20,})",
        r"|(?P<hash>\$(?:apr1|1|5|6|y|2[aby])\$[0-9A-Za-z./$=,]{8,}|\{S?SHA\}[0-9A-Za-z+/=]{16,})",
        r"|(?P<k3s>\bK10[0-9a-f]{16,}(?:::[^\s\x22']+)?)",
        r"|(?P<ceph>\bAQ[A-D][0-9A-Za-z+/]{34,37}==)",
        r"|(?i:\b(?:basic|bearer|digest|token)\s+)(?P<header>[0-9A-Za-z+/_~.-]{12,}=*)",
        r#"|(?:^|[\s"'=\x00])(?:-u|--user|--proxy-user)(?:[\s=]|["'],\s*["']|\x00)?["']?[^\s:"'\x00/]{1,64}:(?P<user>[^\s"'\x00]+)"#,
        r#"|\bsshpass[\s\x00]+-p[\s\x00]*["']?(?P<sshpass>[^\s"'\x00]+)"#,
        r#"|\bmysql(?:dump|admin)?\b[^\n]*?[\s\x00]-p(?P<mysql>[^\s"'\x00-][^\s"'\x00]*)"#,
        r#"|\bhtpasswd[\s\x00]+(?:-[a-zA-Z]+[\s\x00]+)+[^\s\x00]+[\s\x00]+[^\s\x00]+[\s\x00]+["']?(?P<htpasswd>[^\s"'\x00]+)"#,
    ))
    .ok()
});

const RULES: &[(&str, &str)] = &[
    ("jwt", "json-web-token"),
    ("aws", "aws-access-key"),
    ("google", "google-credential"),
    ("github", "github-token"),
    ("vendor", "vendor-token"),
    ("telegram", "vendor-token"),
    ("slack", "vendor-token"),
    ("age", "age-key"),
    ("hash", "password-hash"),
    ("k3s", "cluster-token"),
    ("ceph", "ceph-key"),
    ("header", "authorization"),
    ("user", "command-line-credential"),
    ("sshpass", "command-line-credential"),
    ("mysql", "command-line-credential"),
    ("htpasswd", "command-line-credential"),
];

/// Finds them in a line. False when it cannot be told, and the line has to go.
pub(super) fn find(line: &[u8], hits: &mut Vec<Hit>) -> bool {
    let Some(shapes) = SHAPES.as_ref() else { return false };
    for captures in shapes.captures_iter(line) {
        for (name, rule) in RULES {
            if let Some(found) = captures.name(name) {
                // `Bearer authentication` and the like: a credential has something that no word has.
                let is_word = *name == "header"
                    && found.as_bytes().iter().all(|byte| byte.is_ascii_lowercase() || b".-_".contains(byte));
                // Of `--initial-cluster-token etcd-1` the scheme is the end of a name, and no scheme.
                let of_cluster = *name == "header"
                    && captures.get(0).is_some_and(|whole| {
                        let (start, end) = value::name_around(line, whole.start());
                        names::tells_clusters_apart(line.get(start..end).unwrap_or_default())
                    });
                if !is_word && !of_cluster {
                    hits.push(Hit::new(found.start(), found.end(), rule));
                }
            }
        }
    }
    urls(line, hits);
    true
}

/// Passwords in URLs: `scheme://user:password@host`.
fn urls(line: &[u8], hits: &mut Vec<Hit>) {
    for at in memchr::memmem::find_iter(line, b"://") {
        url(line, at, hits);
    }
}

/// The password in the URL whose `://` stands at this place.
pub(super) fn url(line: &[u8], at: usize, hits: &mut Vec<Hit>) {
    let start = at + 3;
    let rest = line.get(start..).unwrap_or_default();
    let word = rest
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`' | 0));
    let word = rest.get(..word.unwrap_or(rest.len())).unwrap_or_default();
    let authority = word.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = word.get(..authority.unwrap_or(word.len())).unwrap_or_default();
    let mut end = memchr::memrchr(b'@', authority);
    let colon = memchr::memchr(b':', authority);
    // A password that was not encoded may hold a slash; then what follows the colon is no port.
    if end.is_none()
        && let Some(colon) = colon
        && authority.get(colon + 1).is_some_and(|byte| !byte.is_ascii_digit() && *byte != b'[')
    {
        end = memchr::memrchr(b'@', word);
    }
    let Some(end) = end else { return };
    match colon.filter(|colon| *colon < end) {
        Some(colon) => hits.push(Hit::new(start + colon + 1, start + end, "url-password")),
        // A token alone, as some registries and git servers take it.
        None if end >= 20 => hits.push(Hit::new(start, start + end, "url-password")),
        None => {}
    }
}

/// Bootstrap tokens: six and sixteen small letters and digits with a dot between them.
pub(super) fn bootstrap_tokens(line: &[u8], hits: &mut Vec<Hit>) {
    let is_token = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    for dot in memchr::memchr_iter(b'.', line) {
        let (Some(start), end) = (dot.checked_sub(6), dot + 17) else { continue };
        let (Some(id), Some(secret)) = (line.get(start..dot), line.get(dot + 1..end)) else { continue };
        let bounded = !start.checked_sub(1).and_then(|at| line.get(at)).is_some_and(is_word)
            && !line.get(end).is_some_and(is_word);
        let has_digit = id.iter().chain(secret).any(u8::is_ascii_digit);
        if bounded && has_digit && id.iter().all(is_token) && secret.iter().all(is_token) {
            hits.push(Hit::new(dot + 1, end, "bootstrap-token"));
        }
    }
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}
