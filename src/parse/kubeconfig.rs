//! Kubeconfigs. Of a user's credentials, what is public: certificates, the public half of a key, whether there is a token.

use std::sync::Arc;

use crate::facts::certificates::CertificateFile;
use crate::facts::kubernetes::{Kubeconfig, KubeconfigCluster, KubeconfigContext, KubeconfigUser};
use crate::origin::{Origin, Sourced};
use crate::parse::yaml::{self, Node};
use crate::parse::{Problem, config_document, pem};

/// What a file that should be a kubeconfig is.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedKubeconfig {
    /// What could be read of it; none when it is something else.
    pub kubeconfig: Option<Kubeconfig>,
    /// Why a client refuses the file.
    pub invalid: Vec<Problem>,
    /// What a client does not mind.
    pub problems: Vec<Problem>,
}

/// A kubeconfig of `path`, whose permission bits are `mode`. As clients do, only the first document is read.
pub fn parse(path: &str, text: &str, mode: Option<u32>) -> ParsedKubeconfig {
    let (documents, mut problems) = yaml::parse(text);
    let Some(document) = documents.into_iter().next() else {
        let invalid = if problems.is_empty() { vec![Problem::new(None, "the file is empty")] } else { problems };
        return ParsedKubeconfig { kubeconfig: None, invalid, problems: Vec::new() };
    };
    let root = document.root;
    let mut invalid: Vec<Problem> = document.broken.into_iter().collect();
    problems.retain(|problem| !invalid.contains(problem));
    if !looks_like(&root) {
        if invalid.is_empty() {
            let place = config_document::head(root.span, text);
            invalid.push(Problem::new(Some(place), "not a kubeconfig: neither its kind is Config nor has it clusters"));
        }
        return ParsedKubeconfig { kubeconfig: None, invalid, problems };
    }
    let reader = Reader { path: path.into() };
    let kubeconfig = Kubeconfig {
        path: path.to_owned(),
        current_context: text_of(&root, "current-context"),
        clusters: named(&root, "clusters", "cluster").map(|(name, cluster)| reader.cluster(name, cluster)).collect(),
        users: named(&root, "users", "user").map(|(name, user)| reader.user(name, user)).collect(),
        contexts: named(&root, "contexts", "context")
            .map(|(name, context)| KubeconfigContext {
                name,
                cluster: context.and_then(|context| text_of(context, "cluster")).unwrap_or_default(),
                user: context.and_then(|context| text_of(context, "user")).unwrap_or_default(),
            })
            .collect(),
        mode,
    };
    ParsedKubeconfig { kubeconfig: Some(kubeconfig), invalid, problems }
}

fn looks_like(root: &Node) -> bool {
    match root.get("kind").and_then(Node::as_str) {
        Some(kind) => kind == "Config",
        // Clients take a file without a kind for theirs.
        None => root.get("clusters").is_some(),
    }
}

/// A field that is given and not empty.
fn text_of(node: &Node, key: &str) -> Option<String> {
    let value = node.get(key).filter(|value| !value.is_null())?.as_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// The named entries of a list: `clusters: [{name: a, cluster: {...}}]`.
fn named<'a>(root: &'a Node, list: &str, field: &'a str) -> impl Iterator<Item = (String, Option<&'a Node>)> {
    let items = root.get(list).map(Node::items).unwrap_or_default();
    items.iter().map(move |item| (text_of(item, "name").unwrap_or_default(), item.get(field)))
}

struct Reader {
    path: Arc<str>,
}

impl Reader {
    fn sourced(&self, node: Option<&Node>, key: &str) -> Option<Sourced<String>> {
        let value = node?.get(key).filter(|value| !value.is_null())?;
        let text = value.as_str().filter(|text| !text.is_empty())?;
        Some(Sourced::new(text.to_owned(), Origin::file(self.path.clone(), Some(value.span))))
    }

    fn embedded(&self, node: Option<&Node>, key: &str) -> Option<CertificateFile> {
        let data = self.sourced(node, key)?;
        Some(pem::parse_base64(&data.value, data.origin))
    }

    fn cluster(&self, name: String, cluster: Option<&Node>) -> KubeconfigCluster {
        KubeconfigCluster {
            name,
            server: self.sourced(cluster, "server"),
            certificate_authority: self.sourced(cluster, "certificate-authority"),
            certificate_authority_data: self.embedded(cluster, "certificate-authority-data"),
            insecure_skip_tls_verify: cluster
                .and_then(|cluster| cluster.get("insecure-skip-tls-verify")?.as_bool())
                .unwrap_or(false),
            tls_server_name: cluster.and_then(|cluster| text_of(cluster, "tls-server-name")),
        }
    }

    fn user(&self, name: String, user: Option<&Node>) -> KubeconfigUser {
        KubeconfigUser {
            name,
            client_certificate: self.sourced(user, "client-certificate"),
            client_certificate_data: self.embedded(user, "client-certificate-data"),
            client_key: self.sourced(user, "client-key"),
            client_key_data: self.embedded(user, "client-key-data"),
            has_token: user.is_some_and(|user| text_of(user, "token").is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn admin() -> String {
        let certificate = STANDARD.encode(include_str!("../../testdata/pem/ec.crt"));
        let key = STANDARD.encode(include_str!("../../testdata/pem/ec-sec1.key"));
        format!(
            "\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: {certificate}
    server: https://10.0.0.10:6443
    insecure-skip-tls-verify: true
  name: kubernetes
- cluster:
    certificate-authority: pki/ca.crt
    server: \"https://é.example\"
    tls-server-name: kubernetes
  name: other
contexts:
- context: {{cluster: kubernetes, user: admin}}
  name: admin@kubernetes
current-context: admin@kubernetes
users:
- name: admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
- name: robot
  user:
    token: abcdef.secret
- name: nobody
  user:
"
        )
    }

    #[test]
    fn clusters_users_and_contexts() {
        let text = admin();
        let parsed = parse("/etc/kubernetes/admin.conf", &text, Some(0o600));
        assert_eq!((&parsed.invalid, &parsed.problems), (&vec![], &vec![]));
        let config = parsed.kubeconfig.expect("a kubeconfig");
        assert_eq!((config.clusters.len(), config.users.len(), config.contexts.len()), (2, 3, 1));
        let cluster = config.current_cluster().expect("a cluster");
        let server = cluster.server.as_ref().expect("a server");
        assert_eq!(server.origin.to_string(), "/etc/kubernetes/admin.conf:6:13");
        let span = server.origin.span().expect("a span");
        assert_eq!(&text[span.start..span.end], "https://10.0.0.10:6443");
        assert!(cluster.insecure_skip_tls_verify);
        let authority = cluster.certificate_authority_data.as_ref().expect("an authority");
        assert_eq!(authority.certificates[0].common_name.as_deref(), Some("etcd-ca"));
        let other = &config.clusters[1];
        assert_eq!(other.certificate_authority.as_ref().map(|path| path.value.as_str()), Some("pki/ca.crt"));
        assert_eq!(other.tls_server_name.as_deref(), Some("kubernetes"));
        let user = config.current_user().expect("a user");
        let certificate = &user.client_certificate_data.as_ref().expect("a certificate").certificates[0];
        let key = &user.client_key_data.as_ref().expect("a key").keys[0];
        assert_eq!(key.public_key_sha256.as_ref(), Ok(&certificate.public_key_sha256));
    }

    #[test]
    fn no_secret_is_kept() {
        let config = parse("/etc/kubernetes/admin.conf", &admin(), None).kubeconfig.expect("a kubeconfig");
        let tokens: Vec<bool> = config.users.iter().map(|user| user.has_token).collect();
        assert_eq!(tokens, [false, true, false]);
        let shown = format!("{config:?}");
        let key = STANDARD.encode(include_str!("../../testdata/pem/ec-sec1.key"));
        assert!(!shown.contains("abcdef.secret") && !shown.contains(&key[..40]), "{shown}");
    }

    #[test]
    fn what_is_none_says_why() {
        // (text, whether something could be read, what is invalid)
        let table = [
            ("", false, "the file is empty"),
            ("KUBE_LOGTOSTDERR=\"--logtostderr=true\"\n", false, "not a kubeconfig"),
            ("kind: KubeProxyConfiguration\nclusters: []\n", false, "not a kubeconfig"),
            ("kind: Config\nclusters: [\n", true, "did not find expected node"),
            ("clusters:\n- name: a\n  cluster: {server: x}\n bad\n", true, ""),
        ];
        for (text, some, expected) in table {
            let parsed = parse("/x", text, None);
            assert_eq!(parsed.kubeconfig.is_some(), some, "{text:?}");
            let messages: Vec<&str> = parsed.invalid.iter().map(|problem| problem.message.as_str()).collect();
            assert!(messages.len() == 1 && messages[0].contains(expected), "{text:?}: {messages:?}");
        }
        assert!(parse("/x", "clusters: []\n", None).kubeconfig.is_some());
    }

    #[test]
    fn data_that_is_no_certificate_is_told() {
        let text = "kind: Config\nclusters:\n- name: a\n  cluster:\n    certificate-authority-data: '%%'\n";
        let config = parse("/x", text, None).kubeconfig.expect("a kubeconfig");
        let data = config.clusters[0].certificate_authority_data.as_ref().expect("data");
        assert!(data.problems[0].contains("not base64"), "{:?}", data.problems);
    }
}
