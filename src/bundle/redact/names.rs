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

/// Whether what stands under the name (as written, with `-`, `_`, `.` in it) is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let lower = name.to_ascii_lowercase();
    let plain: String = lower.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let stem = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    // A name that keeps clusters apart, by etcd's own description.
    if stem.ends_with("clustertoken") && stem.contains("initial") {
        return false;
    }
    // nginx: where a request is passed to.
    if ["proxy", "fastcgi", "uwsgi", "scgi", "grpc", "memcached"].iter().any(|to| stem == format!("{to}pass")) {
        return false;
    }
    if matches!(stem, "pass" | "auth" | "sig" | "pwd" | "psk") || lower.ends_with("_pass") || lower.ends_with("-pass") {
        return true;
    }
    if lower.ends_with("_auth") || lower.ends_with(".pass") || name.ends_with("Pass") {
        return true;
    }
    if ENDINGS.iter().any(|ending| stem.ends_with(ending)) {
        return true;
    }
    (plain.contains("password") || plain.contains("passwd")) && !HARMLESS.iter().any(|ending| stem.ends_with(ending))
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
