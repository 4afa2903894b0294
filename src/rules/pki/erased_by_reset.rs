//! pki-erased-by-reset: certificates of an etcd that kubeadm does not run lie where `kubeadm reset` deletes everything.

use std::collections::BTreeMap;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{ComponentName, LayerKind};
use crate::origin::Sourced;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-erased-by-reset", judge: Judge::Host(judge), refine: None };

const FLAGS: [&str; 6] =
    ["cert-file", "key-file", "trusted-ca-file", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file"];

fn judge(_context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    // A member that kubeadm made goes with its certificates.
    if etcd.layers.iter().any(|layer| layer.kind == LayerKind::Manifest) {
        return;
    }
    let mut lost: BTreeMap<&str, &Sourced<String>> = BTreeMap::new();
    for flag in FLAGS {
        let Some(path) = etcd.flag_in_file(flag) else { continue };
        if path.value.starts_with("/etc/kubernetes/pki/") {
            lost.insert(&path.value, path);
        } else {
            verdict.pass();
        }
    }
    if lost.is_empty()
        && verdict.passes == 0
        && let Some(unread) = etcd.unread.first()
    {
        verdict.unknown(unread.clone());
    }
    let Some(first) = lost.keys().next().copied() else { return };
    let mut draft = Draft::new().value("file", first).value("count", lost.len());
    for path in lost.values() {
        draft = draft.at(&host.name, &path.origin, "kubeadm reset deletes it, and etcd still needs it");
    }
    verdict.fail(draft);
}
