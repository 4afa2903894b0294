//! node-cidr-exhausted: --cluster-cidr holds fewer ranges than there are nodes.

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, split_items};
use crate::origin::Unknown;
use crate::rules::support::{file_of, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "node-cidr-exhausted", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(controller) = host.component(ComponentName::KubeControllerManager) else { return };
    if controller.flag_bool("allocate-node-cidrs") != Some(true) {
        if let Some(unread) = controller.unread.first() {
            verdict.unknown(unread.clone());
        }
        return;
    }
    let nodes: Vec<String> =
        context.cluster.hosts.iter().filter(|host| has_joined(host)).map(|host| host.name.clone()).collect();
    let Some(value) = controller.flag_in_file("cluster-cidr") else { return };
    for item in split_items(value) {
        let Ok(net) = item.value.parse::<IpNet>() else { continue };
        let (mask, given) = match mask(controller, &net) {
            Ok(found) => found,
            Err(unknown) => {
                verdict.unknown(unknown);
                continue;
            }
        };
        // 2^32 ranges are enough for anybody.
        let bits = mask.checked_sub(net.prefix_len());
        let ranges = bits.map_or(0, |bits| 1u64.checked_shl(u32::from(bits)).unwrap_or(u64::MAX));
        if ranges >= nodes.len() as u64 && ranges > 0 {
            verdict.pass();
            continue;
        }
        let mut draft = Draft::new()
            .subject(item.value.clone())
            .value("cluster_cidr", &item.value)
            .value("ranges", ranges)
            .value("mask", mask)
            .value("nodes", nodes.len())
            .maybe_value("file", file_of(&item))
            .at(&host.name, &item.origin, format!("{ranges} ranges of /{mask}"))
            .note(format!("nodes: {}", in_words(&nodes)));
        if let Some(given) = given {
            draft = draft.at(&host.name, &given, "what each node gets");
        }
        verdict.fail(draft);
    }
}

/// The length of each node's range, and where it is given.
fn mask(controller: &Component, net: &IpNet) -> Result<(u8, Option<crate::origin::Origin>), Unknown> {
    let (own, usual) = match net {
        IpNet::V4(_) => ("node-cidr-mask-size-ipv4", 24),
        IpNet::V6(_) => ("node-cidr-mask-size-ipv6", 64),
    };
    let given = [own, "node-cidr-mask-size"].into_iter().find_map(|flag| controller.flag_in_file(flag));
    match given {
        Some(given) => {
            let what = format!("node-cidr-mask-size {}", given.value);
            let mask = given.value.parse::<u8>().ok().filter(|mask| *mask <= net.max_prefix_len());
            Ok((mask.ok_or_else(|| Unknown::new(what, "is no length of a network"))?, Some(given.origin.clone())))
        }
        None => match controller.unread.first() {
            Some(unread) => Err(unread.clone()),
            None => Ok((usual, None)),
        },
    }
}

/// Whether the host is a node, and not only has a kubelet installed.
fn has_joined(host: &Host) -> bool {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return false };
    let path = kubelet.flag("kubeconfig").map_or("/etc/kubernetes/kubelet.conf", |path| path.value.as_str());
    host.kubernetes.kubeconfigs.iter().any(|config| config.path == path)
}
