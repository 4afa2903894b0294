//! Secrets that programs write to their logs are not kept in what is quoted of them.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::{Captures, Regex};

/// What stands in a secret's place.
const HIDDEN: &str = "***";

/// The text without tokens, passwords, keys and credentials in URLs.
pub(crate) fn redact(text: Cow<'_, str>) -> String {
    static SECRETS: OnceLock<Option<Regex>> = OnceLock::new();
    let secrets = SECRETS.get_or_init(|| {
        Regex::new(concat!(
            // A word that announces a secret, kept, and the secret.
            r#"(?P<keep>(?i:bearer |basic |(?:password|passwd|token|secret|certificate[-_]key|api[-_]?key)\\?"?[=:] ?\\?"?))"#,
            r#"[^\s"',;&\\]{6,}"#,
            // user:password@ in a URL.
            r"|(?P<url>://[^\s/:@]{1,64}:)[^\s/@]+(?P<host>@)",
            // kubeadm's tokens, JSON web tokens.
            r"|\b[a-z0-9]{6}\.[a-z0-9]{16}\b|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+",
            // A PEM key, as far as it is in the line.
            r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
        ))
        .ok()
    });
    let Some(secrets) = secrets else { return String::new() };
    let hide = |found: &Captures<'_>| {
        let kept = |name| found.name(name).map_or("", |part| part.as_str());
        format!("{}{}{HIDDEN}{}", kept("keep"), kept("url"), kept("host"))
    };
    match secrets.replace_all(&text, hide) {
        Cow::Owned(redacted) => redacted,
        Cow::Borrowed(_) => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_secrets_alone() {
        let cases = [
            ("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***"),
            ("kubeadm join --token abcdef.0123456789abcdef x", "kubeadm join --token *** x"),
            (r#"{"password":"hunter22","user":"x"}"#, r#"{"password":"***","user":"x"}"#),
            ("proxy http://bob:hunter22@proxy:3128 failed", "proxy http://bob:***@proxy:3128 failed"),
            ("got eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJr.sig_na-ture", "got ***"),
            ("x -----BEGIN RSA PRIVATE KEY----- MIIE", "x ***"),
            ("dial tcp 10.0.0.1:2379: connection refused", "dial tcp 10.0.0.1:2379: connection refused"),
            ("invalid bearer token", "invalid bearer token"),
            ("file.go:12] etcd.0123456789abcdef", "file.go:12] etcd.0123456789abcdef"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(Cow::Borrowed(text)), expected);
        }
    }
}
