//! Names that a secret is given under: keys of configurations, variables, flags, headers.

/// Words of which one is in every such name, for the first look at a text. Lower case.
pub(super) const WORDS: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "accesskey",
    "private_key",
    "private-key",
    "privatekey",
    "key-data",
    "keydata",
    "certificate-key",
    "certificate_key",
    "certificatekey",
    "encryption-key",
    "encryption_key",
    "encryptionkey",
    "master_key",
    "master-key",
    "masterkey",
    "signing_key",
    "signingkey",
    "session_key",
    "account_key",
    "accountkey",
    "auth",
    "cookie",
    "psk",
    "connectionstring",
    "connection_string",
    "connection-string",
    "hmac",
    "sig=",
    "ssh_key",
    "sshkey",
    "keyring",
    "license",
    "\"key\"",
    "key =",
];

/// How a name ends that is one of a secret, without `-`, `_` and `.`. Lower case.
const ENDINGS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "apikey",
    "apikeys",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "secretaccesskey",
    "privatekey",
    "clientkeydata",
    "keydata",
    "certificatekey",
    "encryptionkey",
    "masterkey",
    "signingkey",
    "sessionkey",
    "accountkey",
    "credential",
    "credentials",
    "authpass",
    "connectionstring",
    "authorization",
    "cookie",
    "psk",
    "secretid",
    "hmackey",
    "hmac",
    "sshkey",
    "requirepass",
    "masterauth",
    "licensekey",
    "tokensecret",
    "basicauth",
    "passwordhash",
    "authkey",
    "signature",
    "keyring",
    "sasldata",
    "tokendata",
    "secretdata",
    "authstring",
    "registryauth",
    "registryauthconfig",
];

/// Endings of names that speak of a secret and hold none: where it is, how long, how many.
const HARMLESS: &[&str] = &[
    "file",
    "files",
    "path",
    "paths",
    "dir",
    "directory",
    "name",
    "names",
    "ref",
    "refs",
    "policy",
    "url",
    "uri",
    "endpoint",
    "ttl",
    "length",
    "type",
    "format",
    "mode",
    "provider",
    "config",
    "enabled",
    "required",
    "authentication",
    "expiry",
    "expiration",
    "expirationseconds",
    "age",
    "audience",
    "audiences",
    "issuer",
    "prompt",
    "namespace",
    "version",
    "count",
    "size",
    "timeout",
    "interval",
    "method",
    "algorithm",
    "command",
    "helper",
];

/// Last letters of [`ENDINGS`] and of what else makes a name a secret's: most names end otherwise.
const LAST: [bool; 256] = {
    let mut last = [false; 256];
    let mut at = 0;
    while at < ENDINGS.len() {
        let ending = ENDINGS[at].as_bytes();
        last[ending[ending.len() - 1] as usize] = true;
        at += 1;
    }
    // pass, auth, sig
    last[b's' as usize] = true;
    last[b'h' as usize] = true;
    last[b'g' as usize] = true;
    last
};

/// Whether what stands under the name (as written, with `-`, `_`, `.` in it) is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut plain = Vec::with_capacity(name.len());
    plain.extend(name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()));
    let digits = plain.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let stem = plain.get(..plain.len() - digits).unwrap_or_default();
    let ends = |ending: &str| stem.ends_with(ending.as_bytes());
    let Some(last) = stem.last() else { return false };
    if LAST.get(usize::from(*last)) == Some(&true) {
        if is_cluster_name(stem) {
            return false;
        }
        // nginx: where a request is passed to.
        let is_proxy = |to: &str| stem.strip_suffix(b"pass") == Some(to.as_bytes());
        if ["proxy", "fastcgi", "uwsgi", "scgi", "grpc", "memcached"].into_iter().any(is_proxy) {
            return false;
        }
        if matches!(stem, b"pass" | b"auth" | b"sig" | b"pwd" | b"psk") || name.ends_with("Pass") {
            return true;
        }
        let as_written = |ending: &str| {
            let at = name.len().checked_sub(ending.len());
            at.and_then(|at| name.as_bytes().get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
        };
        if ["_pass", "-pass", ".pass", "_auth"].into_iter().any(as_written) || ENDINGS.iter().any(|ending| ends(ending))
        {
            return true;
        }
    }
    ["password", "passwd"].iter().any(|word| memchr::memmem::find(&plain, word.as_bytes()).is_some())
        && !HARMLESS.iter().any(|ending| ends(ending))
}

/// Whether etcd's `initial-cluster-token` stands under the name, however it is written: it keeps clusters apart, by etcd's own
/// description, and lets nobody in.
pub(super) fn tells_clusters_apart(name: &[u8]) -> bool {
    let plain: Vec<u8> = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    is_cluster_name(&plain)
}

fn is_cluster_name(plain: &[u8]) -> bool {
    plain.ends_with(b"clustertoken") && memchr::memmem::find(plain, b"initial").is_some()
}

/// Whether the name is a password's, after which prose does not follow.
pub(super) fn is_password(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["pass", "pwd"].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_secrets_from_what_speaks_of_them() {
        for name in [
            "password",
            "DB_PASSWORD",
            "db.password",
            "MYSQL_ROOT_PASSWORD",
            "passwd",
            "ssh-passphrase",
            "dbPass",
            "auth_pass",
            "token",
            "bootstrap-token",
            "KUBE_TOKEN",
            "id-token",
            "refresh_token",
            "clientSecret",
            "client_secret",
            "AWS_SECRET_ACCESS_KEY",
            "aws_access_key_id",
            "AccountKey",
            "client-key-data",
            "certificate-key",
            "secret",
            "Authorization",
            "auth",
            "identitytoken",
            "PASSWORD1",
            "password_hash",
            "_auth",
            "apiKey",
            "X-Auth-Token",
            "requirepass",
            "sig",
            "private_key",
            "PrivateKey",
            "aadClientSecret",
            "SharedAccessKey",
            "stats_password",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "initial-cluster-token",
            "ETCD_INITIAL_CLUSTER_TOKEN",
            "token-auth-file",
            "secretName",
            "tokenTTL",
            "token-ttl",
            "enable-bootstrap-token-auth-x",
            "passwordFile",
            "password-file",
            "secretRef",
            "bypass",
            "tls-private-key-file",
            "service-account-key-file",
            "certificate-authority-data",
            "compass",
            "authorization-mode",
            "key-file",
            "author",
            "tokenReview",
            "service-account-signing-key-file",
            "passed",
            "oauth",
            "keyFile",
            "proxy_pass",
            "fastcgi_pass",
            "etcd-keyfile",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
