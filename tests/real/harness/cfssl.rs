//! Certificates as an operator makes them by hand with cfssl: a CA, one client, a server and a peer for each member.

use super::Sandbox;

const PROFILES: &str = r#"{
  "signing": {
    "default": { "expiry": "43800h" },
    "profiles": {
      "server": { "expiry": "43800h", "usages": ["signing", "key encipherment", "server auth", "client auth"] },
      "client": { "expiry": "43800h", "usages": ["signing", "key encipherment", "client auth"] },
      "ended": {
        "expiry": "8760h", "not_before": "2020-01-01T00:00:00Z", "not_after": "2021-01-01T00:00:00Z",
        "usages": ["signing", "key encipherment", "server auth", "client auth"]
      },
      "ending": {
        "expiry": "8760h", "not_before": "2025-01-01T00:00:00Z", "not_after": "ENDING",
        "usages": ["signing", "key encipherment", "server auth", "client auth"]
      },
      "peer": { "expiry": "43800h", "usages": ["signing", "key encipherment", "server auth", "client auth"] }
    }
  }
}
"#;

/// A folder of certificates in a sandbox.
pub struct Authority<'a> {
    host: &'a Sandbox,
    folder: String,
}

impl<'a> Authority<'a> {
    /// Makes ca.pem and ca-key.pem in the folder.
    pub fn new(host: &'a Sandbox, folder: &str, name: &str) -> Authority<'a> {
        let ending = host.sh("date -u -d '+10 days' +%Y-%m-%dT%H:%M:%SZ");
        host.write(&format!("{folder}/ca-config.json"), PROFILES.replace("ENDING", ending.trim()));
        let request = format!(r#"{{"CN": "{name}", "key": {{"algo": "rsa", "size": 2048}}}}"#);
        host.write(&format!("{folder}/ca-csr.json"), request);
        host.sh(&format!("cd {folder} && cfssl gencert -initca ca-csr.json 2>/dev/null | cfssljson -bare ca -"));
        Authority { host, folder: folder.to_owned() }
    }

    /// The one whose ca.pem and ca-key.pem are in the folder.
    pub fn of(host: &'a Sandbox, folder: &str) -> Authority<'a> {
        Authority { host, folder: folder.to_owned() }
    }

    /// Issues FILE.pem and FILE-key.pem; a common name may have an organization before it: `system:masters/admin`.
    pub fn issue(&self, file: &str, profile: &str, common_name: &str, names: &[&str]) {
        let (organization, common_name) = common_name.split_once('/').unwrap_or(("", common_name));
        let organizations =
            if organization.is_empty() { String::new() } else { format!("{{\"O\": {organization:?}}}") };
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let request = format!(
            r#"{{"CN": "{common_name}", "hosts": [{}], "names": [{organizations}], "key": {{"algo": "ecdsa", "size": 256}}}}"#,
            names.join(", ")
        );
        self.host.write(&format!("{}/{file}.json", self.folder), request);
        self.host.sh(&format!(
            "cd {} && cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile={profile} {file}.json \
             2>/dev/null | cfssljson -bare {file}",
            self.folder
        ));
    }
}
