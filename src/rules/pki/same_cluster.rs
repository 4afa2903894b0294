//! Whether two masters that were given together belong to one cluster: hosts of two clusters may be given by mistake, and
//! then nothing of them has to agree.

use std::collections::BTreeSet;

use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::support::Url;

/// True when they share an etcd, or the authority that clients are checked against.
pub(super) fn are_one(one: &Host, other: &Host) -> bool {
    let (ours, theirs) = (members(one), members(other));
    ours.intersection(&theirs).next().is_some() || authority(one).is_some_and(|own| authority(other) == Some(own))
}

/// Every etcd URL that the host's configuration names, but those that mean the host itself alone.
fn members(host: &Host) -> BTreeSet<String> {
    use ComponentName::{Etcd, KubeApiserver};
    let mut found = BTreeSet::new();
    for (name, flag) in [(KubeApiserver, "etcd-servers"), (Etcd, "initial-cluster")] {
        let Some(component) = host.component(name) else { continue };
        for item in component.flag_items(flag) {
            let text = item.value.split_once('=').map_or(item.value.as_str(), |(_, url)| url);
            if let Some(url) = Url::parse(text).filter(|url| !url.is_loopback()) {
                found.insert(url.host);
            }
        }
    }
    found
}

fn authority(host: &Host) -> Option<&str> {
    let path = &host.component(ComponentName::KubeApiserver)?.flag("client-ca-file")?.value;
    let file = host.kubernetes.certificates.get(path)?.as_ref().ok()?;
    Some(file.certificates.first()?.public_key_sha256.as_str())
}
