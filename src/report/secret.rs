//! The last guard before a file's line is shown: what stands behind the name of a secret is masked. The columns stay.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)(?P<key>[\w.-]*(?:client-key-data|token|passwd|password|secret|auth_pass)["']?(?:\s*[:=]\s*|\s+)["']?|authorization:\s*\w+\s+)(?P<value>[^\s"',]+)|(?P<url>://[^\s/:@"']*:)(?P<password>[^\s/@"']+)@"#,
    )
    .ok()
});

/// The text of one line with `*` for each character of a secret's value.
///
/// etcd's `initial-cluster-token` is a name that keeps clusters apart, and is shown.
pub fn mask(line: &str) -> Cow<'_, str> {
    // A guard that cannot be built shows nothing.
    let Some(secret) = SECRET.as_ref() else { return Cow::Owned("*".repeat(line.chars().count())) };
    secret.replace_all(line, |found: &Captures<'_>| {
        if let (Some(url), Some(password)) = (found.name("url"), found.name("password")) {
            return format!("{}{}@", url.as_str(), "*".repeat(password.as_str().chars().count()));
        }
        let (key, value) = (&found["key"], &found["value"]);
        let lower = key.to_ascii_lowercase();
        let separated = key.contains([':', '=']) || lower.trim_end().ends_with("auth_pass") || lower.contains("--");
        if lower.contains("cluster-token") || lower.contains("cluster_token") || !separated {
            return found[0].to_owned();
        }
        format!("{key}{}", "*".repeat(value.chars().count()))
    })
}

/// Whether no line of the text may be shown at all.
pub fn is_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_values_and_keeps_columns() {
        for (line, expected) in [
            ("    token: abcdef.0123", "    token: ***********"),
            ("    client-key-data: LS0tLS1C", "    client-key-data: ********"),
            ("  auth_pass geheim é", "  auth_pass ****** é"),
            ("ExecStart=/usr/bin/x --token=abc --v=2", "ExecStart=/usr/bin/x --token=*** --v=2"),
            ("kubeadm join --token abc", "kubeadm join --token ***"),
            ("{\"password\": \"x y\"}", "{\"password\": \"* y\"}"),
            ("PASSWORD='äß'", "PASSWORD='**'"),
            ("Authorization: Bearer abc", "Authorization: Bearer ***"),
            ("--initial-cluster-token=etcd-1", "--initial-cluster-token=etcd-1"),
            ("ETCD_INITIAL_CLUSTER_TOKEN=etcd-1", "ETCD_INITIAL_CLUSTER_TOKEN=etcd-1"),
            ("--token-auth-file=/etc/tokens.csv", "--token-auth-file=/etc/tokens.csv"),
            ("the token expired", "the token expired"),
            ("secretName: pull", "secretName: pull"),
            ("HTTP_PROXY=http://bob:hunter2@proxy:3128", "HTTP_PROXY=http://bob:*******@proxy:3128"),
            ("image: registry:5000/pause@sha256:ab", "image: registry:5000/pause@sha256:ab"),
            ("https://10.0.0.1:2379,http://a@b", "https://10.0.0.1:2379,http://a@b"),
        ] {
            let masked = mask(line);
            assert_eq!(masked, expected);
            assert_eq!(masked.chars().count(), line.chars().count());
        }
        assert!(is_key("-----BEGIN RSA PRIVATE KEY-----\n"));
    }
}
