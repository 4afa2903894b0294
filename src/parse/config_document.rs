//! Kubernetes' own configuration documents, one or several in a file: KubeletConfiguration, KubeProxyConfiguration, and
//! kubeadm's MasterConfiguration, InitConfiguration, ClusterConfiguration and JoinConfiguration.

use std::sync::Arc;

use crate::facts::kubernetes::ConfigDocument;
use crate::origin::{Origin, Sourced, Span};
use crate::parse::Problem;
use crate::parse::yaml::{self, Document};

/// Stands where a document holds a secret: that one is there is known, which one is not kept.
pub const SECRET: &str = "<secret>";

/// Follows the ID of a bootstrap token, which is no secret: `abcdef.<secret>`.
const OF_TOKEN: &str = ".<secret>";

/// Stands where a document holds a bootstrap token that cannot be one.
pub const MALFORMED_SECRET: &str = "<malformed secret>";

/// The documents of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigDocuments {
    pub documents: Vec<ConfigDocument>,
    /// What makes Kubernetes' readers refuse the file: a fault of syntax, a document without apiVersion and kind.
    /// Documents that broke off are in `documents` with what stood before the fault.
    pub invalid: Vec<Problem>,
    /// Faults that they only warn of.
    pub problems: Vec<Problem>,
}

/// Every document of a text of `path`, flattened. Null values are left out, secrets are [`SECRET`].
pub fn parse(path: &str, text: &str) -> ConfigDocuments {
    let (documents, problems) = yaml::parse(text);
    let mut found = ConfigDocuments::default();
    let path: Arc<str> = path.into();
    for Document { root, broken } in documents {
        if root.is_null() && broken.is_none() {
            // Nothing between two `---`.
            continue;
        }
        let mut values = yaml::flatten(&root);
        let api_version = values.remove("apiVersion").filter(|(value, _)| !value.is_empty());
        let kind = values.remove("kind").filter(|(value, _)| !value.is_empty());
        let whole = broken.is_none();
        found.invalid.extend(broken);
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            if whole {
                found.invalid.push(Problem::new(Some(head(root.span, text)), "a document without apiVersion and kind"));
            }
            continue;
        };
        let sourced = |(value, span): (String, Span)| Sourced::new(value, Origin::file(path.clone(), Some(span)));
        found.documents.push(ConfigDocument {
            path: path.to_string(),
            api_version: sourced(api_version),
            kind: sourced(kind),
            values: values
                .into_iter()
                .map(|(key, (value, span))| {
                    let value = if is_secret(&key) && !value.is_empty() { stand_in(&key, &value) } else { value };
                    (key, sourced((value, span)))
                })
                .collect(),
        });
    }
    found.problems = problems.into_iter().filter(|problem| !found.invalid.contains(problem)).collect();
    // A text that is too large has no document that could be broken.
    if found.documents.is_empty() && found.invalid.is_empty() {
        found.invalid = std::mem::take(&mut found.problems);
    }
    found
}

/// Whether the value at a path is one that opens something: bootstrap tokens, the key of uploaded certificates.
fn is_secret(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    matches!(name.as_str(), "token" | "tlsbootstraptoken" | "certificatekey" | "secret" | "password")
}

/// What is kept of a secret: that it is there, and of a bootstrap token its ID.
fn stand_in(path: &str, value: &str) -> String {
    if !path.to_ascii_lowercase().ends_with("token") {
        return SECRET.to_owned();
    }
    match value.split_once('.') {
        Some((id, _)) if is_bootstrap_token(value) => format!("{id}{OF_TOKEN}"),
        _ => MALFORMED_SECRET.to_owned(),
    }
}

/// The ID of a bootstrap token, of what a document keeps of it.
pub fn token_id(kept: &str) -> Option<&str> {
    kept.strip_suffix(OF_TOKEN)
}

/// `abcdef.0123456789abcdef`
fn is_bootstrap_token(value: &str) -> bool {
    let is_part = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    value.split_once('.').is_some_and(|(id, secret)| is_part(id, 6) && is_part(secret, 16))
}

/// The first line of a span, for a fault of a document as a whole.
pub(super) fn head(span: Span, text: &str) -> Span {
    let whole = text.get(span.start..span.end).unwrap_or_default();
    let line = whole.split(['\n', '\r']).next().unwrap_or_default();
    Span { end: span.start + line.len(), ..span }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBEADM: &str = "\
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
bootstrapTokens:
- token: abcdef.0123456789abcdef
  ttl: 24h0m0s
certificateKey: \"00ff\"
localAPIEndpoint:
  advertiseAddress: 10.0.0.1
  bindPort: 6443
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
controlPlaneEndpoint: \"lb.example:6443\"
apiServer:
  certSANs: [lb.example, 10.0.0.10]
networking:
  podSubnet:
";

    #[test]
    fn documents_are_flattened_with_their_places() {
        let found = parse("/root/kubeadm.yaml", KUBEADM);
        assert_eq!((found.documents.len(), &found.invalid, &found.problems), (2, &vec![], &vec![]));
        let [init, cluster] = &found.documents[..] else { panic!("two documents") };
        assert_eq!(init.kind.value, "InitConfiguration");
        let address = init.get("localAPIEndpoint.advertiseAddress").expect("an address");
        assert_eq!(
            (address.value.as_str(), address.origin.to_string()),
            ("10.0.0.1", "/root/kubeadm.yaml:8:21".to_owned())
        );
        let endpoint = cluster.get("controlPlaneEndpoint").and_then(|value| value.origin.span()).expect("a span");
        assert_eq!(&KUBEADM[endpoint.start..endpoint.end], "lb.example:6443");
        let names: Vec<&str> = cluster.list("apiServer.certSANs").iter().map(|name| name.value.as_str()).collect();
        assert_eq!(names, ["lb.example", "10.0.0.10"]);
        assert_eq!(cluster.get("networking.podSubnet"), None);
    }

    #[test]
    fn secrets_are_not_kept() {
        let found = parse("/root/kubeadm.yaml", KUBEADM);
        let init = &found.documents[0];
        let token = init.get("bootstrapTokens.0.token").map(|token| token.value.as_str());
        assert_eq!((token, token.and_then(token_id)), (Some("abcdef.<secret>"), Some("abcdef")));
        assert_eq!(init.get("certificateKey").map(|key| key.value.as_str()), Some(SECRET));
        assert_eq!(init.get("bootstrapTokens.0.ttl").map(|ttl| ttl.value.as_str()), Some("24h0m0s"));
    }

    #[test]
    fn invalid_documents_are_told() {
        // (text, kinds that were read, what is invalid, at line)
        let table: &[(&str, &[&str], &str, u32)] = &[
            ("kind: KubeletConfiguration\nport: 1\n", &[], "without apiVersion and kind", 1),
            (
                "apiVersion: v1\nkind: A\nx: [\n---\napiVersion: v1\nkind: B\n",
                &["A", "B"],
                "did not find expected node",
                4,
            ),
            ("just text\n", &[], "without apiVersion and kind", 1),
            ("apiVersion: v1\nkind: A\nx: 1\n y: 2\n", &["A"], "mapping values are not allowed", 4),
        ];
        for (text, kinds, expected, line) in table {
            let found = parse("/x.yaml", text);
            let read: Vec<&str> = found.documents.iter().map(|document| document.kind.value.as_str()).collect();
            assert_eq!(read, *kinds, "{text:?}");
            assert_eq!(found.invalid.len(), 1, "{text:?}");
            let problem = &found.invalid[0];
            assert!(problem.message.contains(expected), "{text:?}: {problem:?}");
            assert_eq!(problem.span.map(|span| span.line), Some(*line), "{text:?}");
        }
    }

    #[test]
    fn a_key_given_twice_is_a_warning() {
        let found = parse("/x.yaml", "apiVersion: v1\nkind: A\nport: 1\nport: 2\n");
        assert_eq!(found.documents[0].get("port").map(|port| port.value.as_str()), Some("2"));
        assert_eq!((found.invalid.len(), found.problems.len()), (0, 1));
        assert_eq!(parse("/x.yaml", "---\n---\n# nothing\n"), ConfigDocuments::default());
    }
}
