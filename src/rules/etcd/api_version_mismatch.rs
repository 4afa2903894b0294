//! etcd-api-version-mismatch: a client of etcd's v2 API, and an etcd or an apiserver that has it no more.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName};
use crate::facts::topology::{self, Service};
use crate::facts::{Cluster, Host};
use crate::origin::Unknown;
use crate::rules::support::{file_of, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-api-version-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if let Some(apiserver) = host.component(ComponentName::KubeApiserver) {
        judge_storage(host, apiserver, verdict);
    }
    if let Some(flanneld) = host.component(ComponentName::Flanneld) {
        judge_flannel(context.cluster, host, flanneld, verdict);
    }
}

/// kube-apiserver stores in v3 only from 1.13 on.
fn judge_storage(host: &Host, apiserver: &Component, verdict: &mut Verdict) {
    let Some(backend) = apiserver.flag_in_file("storage-backend").filter(|backend| backend.value == "etcd2") else {
        return;
    };
    match apiserver.is_at_least(1, 13) {
        Some(true) => verdict.fail(
            Draft::new()
                .subject("storage-backend")
                .message("storage")
                .value("want", "storage")
                .value("flag", format!("--storage-backend={}", backend.value))
                .maybe_value("version", apiserver.version.as_ref().map(|version| &version.value))
                .maybe_value("file", file_of(backend))
                .at(&host.name, &backend.origin, "gone since 1.13"),
        ),
        Some(false) => verdict.pass(),
        None => verdict.unknown(Unknown::new("the release of kube-apiserver", "1.13 and later have no etcd2 backend")),
    }
}

/// flannel reads v2 before 0.21. Where it takes its networks from Kubernetes it asks no etcd.
fn judge_flannel(cluster: &Cluster, host: &Host, flanneld: &Component, verdict: &mut Verdict) {
    if flanneld.flag_bool("kube-subnet-mgr") == Some(true) {
        return;
    }
    let edges = topology::edges(cluster);
    let dialled = edges.iter().filter(|edge| {
        edge.client_host == host.name && edge.service == Service::EtcdClient && edge.client == flanneld.name.name()
    });
    let mut servers: Vec<(&Host, &Component)> = Vec::new();
    let mut origin = None;
    for edge in dialled {
        origin.get_or_insert_with(|| edge.url.origin.clone());
        for name in &edge.servers {
            let Some(server) = cluster.hosts.iter().find(|host| host.name == *name) else { continue };
            if let Some(etcd) = server.component(ComponentName::Etcd)
                && servers.iter().all(|(known, _)| known.name != server.name)
            {
                servers.push((server, etcd));
            }
        }
    }
    let Some(origin) = origin.filter(|_| !servers.is_empty()) else { return };
    match flanneld.is_at_least(0, 21) {
        Some(true) => return verdict.pass(),
        Some(false) => {}
        None => {
            let why = "before 0.21 it speaks etcd's v2 API, and from then on v3";
            return verdict.unknown(Unknown::new(format!("the version of flanneld on {}", host.name), why));
        }
    }
    let mut without = Vec::new();
    for (server, etcd) in servers {
        match serves_v2(etcd) {
            Some(true) => verdict.pass(),
            Some(false) => without.push((server, etcd)),
            None => {
                let what = format!("the version of etcd on {}", server.name);
                verdict.unknown(Unknown::new(what, "whether it serves the v2 API depends on it"));
            }
        }
    }
    let Some((first, etcd)) = without.first() else { return };
    let names: Vec<String> = without.iter().map(|(server, _)| server.name.clone()).collect();
    let mut draft = Draft::new()
        .subject("flanneld")
        .value("client", "flanneld")
        .value("want", "2")
        .value("servers", in_words(&names))
        .at(&host.name, &origin, "flannel before 0.21 speaks v2");
    if let Some(version) = &etcd.version {
        draft = draft.value("version", &version.value).at(&first.name, &version.origin, "does not serve v2");
    }
    verdict.fail(draft);
}

/// Whether an etcd serves v2: always before 3.4, on demand until 3.5, never since 3.6.
fn serves_v2(etcd: &Component) -> Option<bool> {
    match etcd.version_numbers() {
        Some((3, 6.., _)) | Some((4.., _, _)) => Some(false),
        Some((3, 4.., _)) => Some(etcd.flag_bool("enable-v2") == Some(true)),
        Some(_) => Some(etcd.flag_bool("enable-v2") != Some(false)),
        None => etcd.flag_bool("enable-v2"),
    }
}
