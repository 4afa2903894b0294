//! pki-ca-mismatch: masters that should share an authority or the service-account key hold different ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::inventory::{file_at, flag_file, key_file, readable};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::CertificateFile;
use crate::facts::component::ComponentName;
use crate::origin::{Fact, Origin};
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-ca-mismatch", judge: Judge::Cluster(judge), refine: None };

/// What masters share.
struct Shared {
    what: &'static str,
    component: ComponentName,
    flag: &'static str,
    /// Where it lies on a master of kubeadm whose manifests are not known; the second is a file that only a master has.
    usual: (&'static str, &'static str),
}

const SERVICE_ACCOUNT_FLAG: &str = "service-account-key-file";

const SHARED: &[Shared] = &[
    Shared {
        what: "cluster's certificate authority",
        component: ComponentName::KubeApiserver,
        flag: "client-ca-file",
        usual: ("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/apiserver.crt"),
    },
    Shared {
        what: "etcd peers' certificate authority",
        component: ComponentName::Etcd,
        flag: "peer-trusted-ca-file",
        usual: ("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/peer.crt"),
    },
    Shared {
        what: "front proxy's certificate authority",
        component: ComponentName::KubeApiserver,
        flag: "requestheader-client-ca-file",
        usual: ("/etc/kubernetes/pki/front-proxy-ca.crt", "/etc/kubernetes/pki/apiserver.crt"),
    },
    Shared {
        what: "service-account key",
        component: ComponentName::KubeApiserver,
        flag: SERVICE_ACCOUNT_FLAG,
        usual: ("/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/apiserver.crt"),
    },
];

/// One host's copy.
struct Copy<'a> {
    host: &'a Host,
    path: &'a str,
    origin: &'a Origin,
    /// The public keys in it; two copies agree when they have one in common, as while an authority is exchanged.
    keys: BTreeSet<String>,
    newest: Option<Timestamp>,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    for shared in SHARED {
        let mut copies: Vec<Copy<'_>> = Vec::new();
        let mut unknown = Vec::new();
        for host in &context.cluster.hosts {
            let Some((path, file)) = copy(host, shared) else { continue };
            match readable(path, file) {
                Ok(file) if !public_keys(file).is_empty() => copies.push(Copy {
                    host,
                    path,
                    origin: &file.origin,
                    keys: public_keys(file),
                    newest: file.certificates.iter().map(|certificate| certificate.not_before).max(),
                }),
                Ok(_) => {}
                Err(why) => unknown.push(why),
            }
        }
        if copies.len() + unknown.len() < 2 {
            continue;
        }
        for why in unknown {
            verdict.unknown(why);
        }
        if shared.flag == SERVICE_ACCOUNT_FLAG {
            // A key that its own host does not sign with is that host's fault alone, which service-account-key-mismatch
            // names, and says nothing of what the others share.
            copies.retain(is_own_pair);
        }
        if copies.len() > 1 {
            compare(shared, &copies, verdict);
        }
    }
}

fn copy<'a>(host: &'a Host, shared: &Shared) -> Option<(&'a str, &'a Fact<CertificateFile>)> {
    if let Some((path, file)) = flag_file(host, shared.component, shared.flag) {
        return Some((&path.value, file));
    }
    let (usual, of_masters) = shared.usual;
    // With the component's flags known, only what they name counts.
    if host.component(shared.component).is_some() || file_at(host, of_masters).is_none() {
        return None;
    }
    let (path, file) = host.kubernetes.certificates.get_key_value(usual)?;
    Some((path, file))
}

fn public_keys(file: &CertificateFile) -> BTreeSet<String> {
    let certificates = file.certificates.iter().map(|certificate| &certificate.public_key_sha256);
    let private = file.keys.iter().filter_map(|key| key.public_key_sha256.as_ref().ok());
    certificates.chain(&file.public_keys).chain(private).cloned().collect()
}

fn compare(shared: &Shared, copies: &[Copy<'_>], verdict: &mut Verdict) {
    // Each copy is compared with what most have; of two halves the newer is the one that somebody made anew.
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for key in copies.iter().flat_map(|copy| &copy.keys) {
        *votes.entry(key).or_default() += 1;
    }
    let weight = |copy: &Copy<'_>| {
        let most = copy.keys.iter().filter_map(|key| votes.get(key.as_str())).max().copied().unwrap_or(0);
        (most, std::cmp::Reverse(copy.newest))
    };
    let Some(model) = copies.iter().rev().max_by_key(|copy| weight(copy)) else { return };
    let odd: Vec<&Copy<'_>> = copies.iter().filter(|copy| copy.keys.is_disjoint(&model.keys)).collect();
    if odd.is_empty() {
        return verdict.pass();
    }
    let agreeing: Vec<&Copy<'_>> = copies.iter().filter(|copy| !copy.keys.is_disjoint(&model.keys)).collect();
    for one in &odd {
        // Another authority's file under this flag is a fault of that host alone, which another rule names.
        if shared.flag == "requestheader-client-ca-file" && is_of_cluster(one) {
            continue;
        }
        let others: Vec<String> = agreeing.iter().map(|copy| copy.host.name.clone()).collect();
        let mut hosts = vec![one.host.name.clone()];
        hosts.extend(others.iter().cloned());
        let mut draft = Draft::new()
            .subject(format!("{}:{}", one.host.name, one.path))
            .value("what", shared.what)
            .value("host", &one.host.name)
            .value("file", one.path)
            .value("others", in_words(&others))
            .value("other", &model.host.name)
            .value("other_file", model.path)
            .hosts(hosts)
            .at(&one.host.name, one.origin, format!("{} on {}: key {}", shared.what, one.host.name, short(&one.keys)));
        for copy in &agreeing {
            draft = draft.at(&copy.host.name, copy.origin, format!("on {}: key {}", copy.host.name, short(&copy.keys)));
        }
        let own_key = one.keys.iter().find_map(|key| key_file(one.host, key));
        let model_key = model.keys.iter().find_map(|key| key_file(model.host, key));
        let is_kubeadm = one.path.starts_with("/etc/kubernetes/pki/");
        draft = draft
            .maybe_value("key", own_key.or(model_key))
            .maybe_value("other_key", model_key)
            .maybe_value("kubeadm", is_kubeadm.then_some("yes"));
        if shared.flag == SERVICE_ACCOUNT_FLAG {
            draft = draft.message("service_account").value("service_account", "yes");
        }
        verdict.fail(draft);
    }
}

/// Whether the controller-manager beside it, where one signs, signs with the key that this host verifies with.
fn is_own_pair(copy: &Copy<'_>) -> bool {
    let flag = "service-account-private-key-file";
    let Some((_, Ok(file))) = flag_file(copy.host, ComponentName::KubeControllerManager, flag) else { return true };
    let signing = public_keys(file);
    signing.is_empty() || !signing.is_disjoint(&copy.keys)
}

/// Whether it is the cluster's own authority.
fn is_of_cluster(copy: &Copy<'_>) -> bool {
    matches!(
        flag_file(copy.host, ComponentName::KubeApiserver, "client-ca-file"),
        Some((path, Ok(file))) if path.value == copy.path || !public_keys(file).is_disjoint(&copy.keys)
    )
}

/// The beginning of the digests, enough to tell them apart.
fn short(keys: &BTreeSet<String>) -> String {
    let short: Vec<String> = keys.iter().map(|key| key.chars().take(12).collect()).collect();
    in_words(&short)
}
