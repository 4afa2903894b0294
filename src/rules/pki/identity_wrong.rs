//! pki-identity-wrong: a component signs in under a name or group to which Kubernetes gives no rights.

use super::inventory::{Held, Role, held};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::Certificate;
use crate::facts::component::ComponentName;
use crate::facts::kubernetes::Kubeconfig;
use crate::origin::Origin;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-identity-wrong", judge: Judge::Host(judge), refine: None };

/// Groups that may do everything, and may so stand for any component.
const ADMINISTRATORS: [&str; 2] = ["system:masters", "kubeadm:cluster-admins"];

const COMPONENTS: &[(ComponentName, &str, &str)] = &[
    (ComponentName::KubeControllerManager, "/etc/kubernetes/controller-manager.conf", "system:kube-controller-manager"),
    (ComponentName::KubeScheduler, "/etc/kubernetes/scheduler.conf", "system:kube-scheduler"),
    (ComponentName::KubeProxy, "/etc/kubernetes/kube-proxy.conf", "system:kube-proxy"),
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    // Only RBAC and Node go by these names; without them the apiserver's own mode decides.
    let authorization = context
        .cluster
        .hosts
        .iter()
        .filter_map(|host| host.component(ComponentName::KubeApiserver))
        .filter_map(|apiserver| apiserver.flag("authorization-mode"))
        .collect::<Vec<_>>();
    if !authorization.is_empty()
        && !authorization.iter().all(|mode| mode.value.split(',').all(|mode| mode == "RBAC" || mode == "Node"))
    {
        return;
    }
    for (component, usual, name) in COMPONENTS {
        let flag = host.component(*component).and_then(|component| component.flag("kubeconfig"));
        let path = flag.map_or(*usual, |flag| flag.value.as_str());
        let Some(config) = host.kubernetes.kubeconfigs.iter().find(|config| config.path == path) else { continue };
        let Some((leaf, origin)) = signs_in_with(host, config, verdict) else { continue };
        if leaf.common_name.as_deref() == Some(name) || is_administrator(leaf) {
            verdict.pass();
        } else {
            verdict.fail(draft(host, component.name(), path, leaf, origin, name, ""));
        }
    }
    let mut unread = Verdict::default();
    let all: Vec<Held<'_>> = held(host, context.cluster.at, &mut unread);
    for one in all.iter().filter(|one| one.role == Role::KubeletClient) {
        let leaf = one.certificate;
        let is_node = leaf.common_name.as_deref().is_some_and(|name| name.starts_with("system:node:"))
            && leaf.organizations.iter().any(|group| group == "system:nodes");
        // Where no Node authorizer is in force, older clusters let kubelets in under other names.
        let needs_node = authorization.iter().any(|mode| mode.value.split(',').any(|mode| mode == "Node"));
        if is_node || is_administrator(leaf) {
            verdict.pass();
        } else if needs_node {
            let name = format!("system:node:{}", host.name);
            verdict.fail(draft(host, "kubelet", one.path, leaf, &one.file.origin, &name, "system:nodes"));
        }
    }
}

fn signs_in_with<'a>(
    host: &'a Host,
    config: &'a Kubeconfig,
    verdict: &mut Verdict,
) -> Option<(&'a Certificate, &'a Origin)> {
    let user = config.current_user()?;
    if user.has_token {
        return None;
    }
    let file = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(file), _) => file,
        (None, Some(path)) => verdict.known(host.kubernetes.certificates.get(&path.value)?)?,
        (None, None) => return None,
    };
    if file.certificates.is_empty()
        && let Some(problem) = file.problems.first()
    {
        verdict.unknown(crate::origin::Unknown::new(&config.path, problem));
    }
    Some((file.certificates.first()?, &file.origin))
}

fn is_administrator(leaf: &Certificate) -> bool {
    leaf.organizations.iter().any(|group| ADMINISTRATORS.contains(&group.as_str()))
}

fn draft(
    host: &Host,
    component: &str,
    path: &str,
    leaf: &Certificate,
    origin: &Origin,
    name: &str,
    group: &str,
) -> Draft {
    Draft::new()
        .subject(path)
        .value("component_name", component)
        .value("file", path)
        .value("identity", &leaf.subject)
        .value("name", name)
        .value("wanted", if group.is_empty() { format!("CN={name}") } else { format!("O={group}, CN={name}") })
        .maybe_value("group", (!group.is_empty()).then_some(group))
        .at(&host.name, origin, format!("signs in as {}", leaf.subject))
}
