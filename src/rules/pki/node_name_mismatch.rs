//! kubelet-node-name-mismatch: the kubelet works as another node than its certificate says that it is.

use std::collections::BTreeSet;

use super::inventory::{Role, held};
use super::same_cluster::are_one;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::{Origin, Unknown};
use crate::report::Confidence;
use crate::rules::support::{Url, file_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-node-name-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    // A cloud gives its nodes names of its own.
    if kubelet.flag("cloud-provider").is_some_and(|cloud| !cloud.value.is_empty() && cloud.value != "external") {
        return;
    }
    judge_twins(context, host, kubelet, verdict);
    let mut unread = Verdict::default();
    for one in held(host, context.cluster.at, &mut unread).iter().filter(|one| one.role == Role::KubeletClient) {
        let name = one.certificate.common_name.as_deref().and_then(|name| name.strip_prefix("system:node:"));
        let Some(certified) = name else { continue };
        let given = kubelet.flag_in_file("hostname-override").filter(|name| !name.value.is_empty());
        // The configuration file has no field for the name.
        let configuration = host.kubernetes.kubelet_configuration.as_ref().err();
        if given.is_none()
            && let Some(unread) = kubelet.unread.iter().find(|unread| Some(*unread) != configuration)
        {
            verdict.unknown(unread.clone());
            continue;
        }
        let hostname = host.texts.contains_key("/etc/hostname").then(|| host.name.to_ascii_lowercase());
        let Some(node) = given.map(|given| given.value.trim().to_ascii_lowercase()).or(hostname) else {
            verdict.unknown(Unknown::new(format!("the name of {}", host.name), "no /etc/hostname was given"));
            continue;
        };
        if node == certified {
            verdict.pass();
            continue;
        }
        let first_label = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        if given.is_none() && first_label(&node) == first_label(certified) {
            // The kernel's name may have the domain, or lack it, where the file does not.
            let what = format!("whether the kernel calls {node} {certified}");
            verdict.unknown(Unknown::new(what, "/etc/hostname has the same first part only"));
            continue;
        }
        let mut draft = Draft::new()
            .subject(node.clone())
            .message("certificate")
            .value("identity", certified)
            .value("node", &node)
            .value("certificate", one.path)
            .at(&host.name, &one.file.origin, format!("is for system:node:{certified}"));
        draft = match given {
            Some(given) => {
                draft.maybe_value("override_in", file_of(given)).at(&host.name, &given.origin, "its name here")
            }
            None => draft
                .at(&host.name, &Origin::file("/etc/hostname", None), "the host's name, which the kubelet takes")
                .confidence(Confidence::Medium),
        };
        verdict.fail(draft);
    }
    verdict.unknowns.extend(unread.unknowns.into_iter().filter(|unknown| unknown.what.contains("kubelet")));
}

/// A unit that was copied with its name: two kubelets write one Node object in turn.
fn judge_twins(context: &Context<'_>, host: &Host, kubelet: &Component, verdict: &mut Verdict) {
    let Some(given) = kubelet.flag_in_file("hostname-override").filter(|name| is_whole(&name.value)) else { return };
    let node = given.value.trim().to_ascii_lowercase();
    let others = context.cluster.hosts.iter().filter(|other| !other.name.eq_ignore_ascii_case(&host.name));
    for other in others.filter(|other| are_one(host, other) || share_server(host, other)) {
        let Some(its) = other.component(ComponentName::Kubelet) else { continue };
        let named = its.flag_in_file("hostname-override").filter(|name| is_whole(&name.value));
        let its_node = named.map_or(other.name.as_str(), |name| name.value.trim()).to_ascii_lowercase();
        // Of two that both took a third name, the first says it.
        let is_mine = node != host.name.to_ascii_lowercase()
            && (named.is_none() || its_node == other.name.to_ascii_lowercase() || host.name < other.name);
        if its_node != node || !is_mine {
            verdict.pass();
            continue;
        }
        let its_origin = named.map_or_else(|| Origin::file("/etc/hostname", None), |name| name.origin.clone());
        verdict.fail(
            Draft::new()
                .subject(node.clone())
                .message("twins")
                .value("node", &node)
                .value("other", &other.name)
                .value("own_name", host.name.to_ascii_lowercase())
                .maybe_value("override_in", file_of(given))
                .hosts([host.name.clone(), other.name.clone()])
                .at(&host.name, &given.origin, format!("the name that {} has too", other.name))
                .at(&other.name, &its_origin, "the name here"),
        );
    }
}

/// Whether kubelets of both dial one apiserver or load balancer.
fn share_server(one: &Host, other: &Host) -> bool {
    let servers = |host: &Host| -> BTreeSet<String> {
        let kubeconfigs = host.kubernetes.kubeconfigs.iter().filter(|kubeconfig| kubeconfig.path.contains("kubelet"));
        let urls =
            kubeconfigs.filter_map(|kubeconfig| Url::parse(&kubeconfig.current_cluster()?.server.as_ref()?.value));
        urls.filter(|url| !url.is_loopback()).map(|url| url.host).collect()
    };
    !servers(one).is_disjoint(&servers(other))
}

/// Without what a shell or systemd would fill in.
fn is_whole(name: &str) -> bool {
    !name.trim().is_empty() && !name.contains(['$', '%', '`', '*'])
}
