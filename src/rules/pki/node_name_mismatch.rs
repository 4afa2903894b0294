//! kubelet-node-name-mismatch: the kubelet works as another node than its certificate says that it is.

use super::inventory::{Role, held};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::{Origin, Unknown};
use crate::report::Confidence;
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-node-name-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    // A cloud gives its nodes names of its own.
    if kubelet.flag("cloud-provider").is_some_and(|cloud| !cloud.value.is_empty() && cloud.value != "external") {
        return;
    }
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
