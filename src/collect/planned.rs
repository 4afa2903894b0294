//! Components that kubeadm is about to make of the configuration that was given, so that they are judged before they are
//! there: as a layer of their own, weaker than what is there already.

use std::collections::BTreeMap;

use super::components::version_of;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::kubeadm::{ETCD_DATA, KubeadmPlan};
use crate::facts::kubernetes::{ConfigDocument, Kubernetes};
use crate::facts::versions::line;
use crate::origin::Sourced;

type Flags = BTreeMap<String, Vec<Sourced<String>>>;

/// Adds what is planned to the components; those that manifests, units or processes make already keep their own flags.
pub fn add(components: &mut Vec<Component>, kubernetes: &Kubernetes) {
    let Some(plan) = kubernetes.kubeadm_plan() else { return };
    let Some(head) = plan.head() else { return };
    let mut planned = vec![(ComponentName::Kubelet, kubelet(&plan))];
    if plan.is_master() {
        planned.push((ComponentName::KubeApiserver, apiserver(&plan)));
        planned.push((ComponentName::KubeControllerManager, controller_manager(&plan, head)));
        planned.push((ComponentName::KubeScheduler, one("secure-port", &default(head, "10259"))));
        // What a joining master has for etcd the cluster says: one of its own unless etcd is external.
        if plan.external_endpoints().is_empty() {
            planned.push((ComponentName::Etcd, etcd(&plan, head)));
        }
    }
    let version = plan.version().and_then(|given| Some(Sourced::new(version_of(&given.value)?, given.origin.clone())));
    for (name, flags) in planned {
        let layer = Layer {
            kind: LayerKind::Planned,
            origin: head.kind.origin.clone(),
            flags,
            spelt: Vec::new(),
            arguments: Vec::new(),
            image: None,
        };
        match components.iter_mut().find(|component| component.name == name) {
            Some(component) if name == ComponentName::Kubelet => component.layers.push(layer),
            Some(_) => {}
            None => {
                let mut component = Component::new(name);
                component.layers.push(layer);
                if name.is_kubernetes() {
                    component.version.clone_from(&version);
                }
                components.push(component);
            }
        }
    }
    components.sort_by_key(|component| component.name);
}

/// The kubelet's configuration that kubeadm is going to write: the one beside its own, with kubeadm's default of the
/// cgroup driver, which differs from the kubelet's since 1.22.
pub fn kubelet_configuration(kubernetes: &Kubernetes) -> Option<ConfigDocument> {
    let plan = kubernetes.kubeadm_plan()?;
    let head = plan.head()?;
    let mut document = plan.kubelet.cloned().unwrap_or_else(|| ConfigDocument {
        path: head.path.clone(),
        api_version: Sourced::new("kubelet.config.k8s.io/v1beta1".to_owned(), head.kind.origin.clone()),
        kind: Sourced::new("KubeletConfiguration".to_owned(), head.kind.origin.clone()),
        values: BTreeMap::new(),
    });
    let is_old = plan.version().and_then(|version| line(&version.value)).is_some_and(|line| line < (1, 22));
    if !is_old {
        document.values.entry("cgroupDriver".to_owned()).or_insert_with(|| default(head, "systemd"));
    }
    Some(document)
}

/// A value that no line gives.
fn default(head: &ConfigDocument, value: &str) -> Sourced<String> {
    Sourced::new(value.to_owned(), head.kind.origin.clone())
}

fn one(flag: &str, value: &Sourced<String>) -> Flags {
    Flags::from([(flag.to_owned(), vec![value.clone()])])
}

fn add_flag(flags: &mut Flags, flag: &str, value: Option<&Sourced<String>>) {
    if let Some(value) = value.filter(|value| !value.value.is_empty()) {
        flags.insert(flag.to_owned(), vec![value.clone()]);
    }
}

fn kubelet(plan: &KubeadmPlan<'_>) -> Flags {
    let mut flags = Flags::new();
    add_flag(&mut flags, "container-runtime-endpoint", plan.runtime_socket());
    add_flag(&mut flags, "hostname-override", plan.node_name());
    flags
}

fn apiserver(plan: &KubeadmPlan<'_>) -> Flags {
    let mut flags = Flags::new();
    add_flag(&mut flags, "advertise-address", plan.advertise_address());
    add_flag(&mut flags, "secure-port", plan.bind_port());
    add_flag(&mut flags, "service-cluster-ip-range", plan.service_range());
    for (field, flag) in [("caFile", "etcd-cafile"), ("certFile", "etcd-certfile"), ("keyFile", "etcd-keyfile")] {
        add_flag(&mut flags, flag, plan.external_etcd(field));
    }
    let endpoints = plan.external_endpoints();
    if let Some(first) = endpoints.first() {
        // A list in the file, one flag in the manifest: a single one keeps its own place, several that of the first.
        let joined = endpoints.iter().map(|endpoint| endpoint.value.as_str()).collect::<Vec<_>>().join(",");
        add_flag(&mut flags, "etcd-servers", Some(&Sourced::new(joined, first.origin.clone())));
    }
    flags
}

fn controller_manager(plan: &KubeadmPlan<'_>, head: &ConfigDocument) -> Flags {
    let mut flags = one("secure-port", &default(head, "10257"));
    if let Some(range) = plan.pod_range() {
        add_flag(&mut flags, "cluster-cidr", Some(range));
        add_flag(&mut flags, "allocate-node-cidrs", Some(&Sourced::new("true".to_owned(), range.origin.clone())));
        add_flag(&mut flags, "service-cluster-ip-range", plan.service_range());
    }
    flags
}

/// Its data alone: kubeadm makes the certificates that go with the URLs, and the ports are the usual ones.
fn etcd(plan: &KubeadmPlan<'_>, head: &ConfigDocument) -> Flags {
    one("data-dir", &plan.etcd_data().cloned().unwrap_or_else(|| default(head, ETCD_DATA)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Host;
    use crate::parse::config_document;

    fn planned(text: &str) -> Vec<Component> {
        let mut kubernetes = Host::empty("p1").kubernetes;
        kubernetes.kubeadm_configuration = config_document::parse("/srv/x.yaml", text).documents;
        kubernetes.kubeadm_given = Some("/srv/x.yaml".to_owned());
        let mut components = Vec::new();
        add(&mut components, &kubernetes);
        components
    }

    fn shown(components: &[Component]) -> Vec<String> {
        let flags = components.iter().flat_map(|component| {
            component.layers.iter().flat_map(|layer| &layer.flags).map(|(flag, values)| {
                format!("{} {flag}={}", component.name.name(), values.last().map_or("", |value| &value.value))
            })
        });
        flags.collect()
    }

    #[test]
    fn what_kubeadm_is_about_to_make() {
        let init = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 10.0.0.1}\n";
        let cluster =
            "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.4\n";
        let external =
            "etcd: {external: {endpoints: [\"https://10.0.0.8:2379\", \"https://10.0.0.9:2379\"], caFile: /ca}}\n";
        let join = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration: {criSocket: \"unix:///run/x.sock\"}\n";
        let master = "controlPlane: {localAPIEndpoint: {bindPort: 7443}}\n";
        let ports = ["kube-controller-manager secure-port=10257", "kube-scheduler secure-port=10259"];
        for (text, expected) in [
            (
                format!("{init}{cluster}"),
                vec!["etcd data-dir=/var/lib/etcd", "kube-apiserver advertise-address=10.0.0.1", ports[0], ports[1]],
            ),
            (
                format!("{init}{cluster}{external}"),
                vec![
                    "kube-apiserver advertise-address=10.0.0.1",
                    "kube-apiserver etcd-cafile=/ca",
                    "kube-apiserver etcd-servers=https://10.0.0.8:2379,https://10.0.0.9:2379",
                    ports[0],
                    ports[1],
                ],
            ),
            (join.to_owned(), vec!["kubelet container-runtime-endpoint=unix:///run/x.sock"]),
            (
                format!("{join}{master}"),
                vec![
                    "etcd data-dir=/var/lib/etcd",
                    "kube-apiserver secure-port=7443",
                    ports[0],
                    ports[1],
                    "kubelet container-runtime-endpoint=unix:///run/x.sock",
                ],
            ),
        ] {
            assert_eq!(shown(&planned(&text)), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_planned_by_a_file_that_merely_lies_there() {
        let mut kubernetes = Host::empty("p1").kubernetes;
        let text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n";
        kubernetes.kubeadm_configuration = config_document::parse("/root/x.yaml", text).documents;
        let mut components = Vec::new();
        add(&mut components, &kubernetes);
        assert!(components.is_empty() && kubelet_configuration(&kubernetes).is_none());
    }
}
