//! What a cluster tells everybody who wants to join it: the ConfigMap cluster-info, which kubeadm makes and system:anonymous
//! may read. Of a token it has the public half, its ID, beside a signature.

use reqwest::Client;
use serde_json::Value;

use crate::facts::probe::ClusterInfo;
use crate::origin::{Fact, Unknown};
use crate::parse::kubeconfig;

use super::budget::Budget;
use super::http::{self, Answer};

/// Before the ID of each token that signs it (kubeadm: bootstrapapi.JWSSignatureKeyPrefix).
const SIGNATURE: &str = "jws-kubeconfig-";

/// Asks the apiserver at `https://HOST:PORT`.
pub async fn ask(endpoint: String, budget: Budget) -> Fact<ClusterInfo> {
    let client: Client = http::client(None).map_err(|why| Unknown::new(&endpoint, why))?;
    let url = format!("{endpoint}/api/v1/namespaces/kube-public/configmaps/cluster-info");
    let answer = http::ask(client.get(&url), &url, budget).await?;
    cluster_info(&answer).ok_or_else(|| Unknown::new(url, answer.summary()))
}

fn cluster_info(answer: &Answer) -> Option<ClusterInfo> {
    let json = answer.json().filter(|_| answer.status == 200)?;
    let data = json.get("data").and_then(Value::as_object)?;
    let text = data.get("kubeconfig").and_then(Value::as_str)?;
    let kubeconfig = kubeconfig::parse("cluster-info", text, None).kubeconfig?;
    let authorities = kubeconfig.clusters.iter().filter_map(|cluster| cluster.certificate_authority_data.as_ref());
    let certificates = authorities.flat_map(|file| &file.certificates);
    Some(ClusterInfo {
        token_ids: data.keys().filter_map(|key| key.strip_prefix(SIGNATURE)).map(str::to_owned).collect(),
        authorities: certificates.map(|certificate| format!("sha256:{}", certificate.public_key_sha256)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    #[test]
    fn reads_cluster_info() {
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let kubeconfig = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://lb:6443\n  \
             name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers: null\n",
            BASE64_STANDARD.encode(&authority)
        );
        let map =
            |data: Value| serde_json::json!({ "kind": "ConfigMap", "apiVersion": "v1", "data": data }).to_string();
        let told = map(serde_json::json!({ "kubeconfig": kubeconfig, "jws-kubeconfig-abcdef": "x..y" }));
        let cases = [
            (200, told.clone(), Some((vec!["abcdef"], 1))),
            (200, map(serde_json::json!({ "kubeconfig": kubeconfig })), Some((vec![], 1))),
            (200, map(serde_json::json!({ "jws-kubeconfig-abcdef": "x..y" })), None),
            (200, map(serde_json::json!({ "kubeconfig": "{" })), None),
            (403, told, None),
            (200, "<html>".to_owned(), None),
        ];
        for (status, body, expected) in cases {
            let info = cluster_info(&Answer { status, body: body.clone().into(), clock_offset_ms: None });
            let found = info
                .as_ref()
                .map(|info| (info.token_ids.iter().map(String::as_str).collect::<Vec<_>>(), info.authorities.len()));
            assert_eq!(found, expected, "{status} {body}");
            let all_hashes =
                info.iter().flat_map(|info| &info.authorities).all(|hash| hash.len() == "sha256:".len() + 64);
            assert!(all_hashes, "{info:?}");
        }
    }
}
