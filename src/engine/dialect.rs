//! Commands of cards in the words of the releases that a host has. Cards are written for those of today: `kubeadm init
//! phase`, `crictl`, etcdctl with the v3 API. What those were called before is the same for every card and stands here.

use crate::facts::component::{ComponentName, split_items};
use crate::facts::{Cluster, Host};
use crate::report::Finding;
use crate::rules::kubelet::runtime::chosen;
use crate::rules::support::version_numbers;

/// Which words a host's programs understand; without a known release those of today.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Dialect {
    /// Minor release of Kubernetes 1.
    kubernetes: Option<u32>,
    /// The kubelet's containers are docker's.
    docker: bool,
    /// Major and minor release.
    etcd: Option<(u32, u32)>,
    /// What etcd's members advertise to clients, with commas between.
    endpoints: Option<String>,
}

/// Puts the commands of every finding into the words of the host that they are for.
pub(super) fn translate(findings: &mut [Finding], cluster: &Cluster) {
    let mut known: Vec<(&str, Dialect)> = Vec::new();
    for finding in findings {
        let name = finding.values.get("host").or(finding.hosts.first()).map(String::as_str);
        let Some(host) = cluster.hosts.iter().find(|host| Some(host.name.as_str()) == name) else { continue };
        let index = known.iter().position(|(name, _)| *name == host.name).unwrap_or_else(|| {
            known.push((&host.name, Dialect::of(cluster, host)));
            known.len() - 1
        });
        let Some((_, dialect)) = known.get(index).filter(|(_, dialect)| *dialect != Dialect::default()) else {
            continue;
        };
        let of_fix = finding.fix.iter_mut().flat_map(|fix| &mut fix.commands).map(|command| &mut command.line);
        for command in of_fix.chain(&mut finding.verify) {
            *command = dialect.command(command);
        }
    }
}

impl Dialect {
    fn of(cluster: &Cluster, host: &Host) -> Dialect {
        use ComponentName::{Dockerd, Etcd, KubeApiserver, KubeControllerManager, KubeScheduler, Kubelet};
        // A host that does not say it is taken to be of the cluster's release.
        let hosts = || std::iter::once(host).chain(&cluster.hosts);
        let release = |names: &[ComponentName]| {
            let mut found = hosts().flat_map(|host| names.iter().filter_map(|name| host.component(*name)));
            let version = found.find_map(|component| component.version.as_ref())?;
            match version_numbers(&version.value)[..] {
                [major, minor, ..] => Some((major, minor)),
                _ => None,
            }
        };
        let kubernetes = release(&[KubeApiserver, KubeControllerManager, KubeScheduler, Kubelet]);
        let runtime = host.component(Kubelet).and_then(|kubelet| chosen(host, kubelet));
        let advertised: Vec<String> = hosts()
            .skip(1)
            .filter_map(|host| host.component(Etcd)?.flag("advertise-client-urls"))
            .flat_map(split_items)
            .map(|url| url.value)
            .filter(|url| !url.contains(['$', '{', '\'', '"', ' ']))
            .collect();
        Dialect {
            kubernetes: kubernetes.filter(|(major, _)| *major == 1).map(|(_, minor)| minor),
            docker: runtime.is_some_and(|chosen| chosen.runtime == Dockerd),
            etcd: release(&[Etcd]),
            endpoints: Some(advertised.join(",")).filter(|urls| !urls.is_empty()),
        }
    }

    fn command(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if self.kubernetes.is_some_and(|minor| minor < 13) {
            // The phases were moved out of alpha by 1.13.
            text = text
                .replace("kubeadm init phase control-plane", "kubeadm alpha phase controlplane")
                .replace("kubeadm init phase upload-config kubeadm", "kubeadm config upload from-file")
                .replace("kubeadm init phase", "kubeadm alpha phase")
                .replace("kubeadm kubeconfig user", "kubeadm alpha phase kubeconfig user");
        } else if self.kubernetes.is_some_and(|minor| minor < 20) {
            text = text
                .replace("kubeadm certs ", "kubeadm alpha certs ")
                .replace("kubeadm kubeconfig user", "kubeadm alpha kubeconfig user");
        }
        if self.docker {
            text = in_docker(&text);
        }
        self.etcdctl(text)
    }

    fn etcdctl(&self, text: String) -> String {
        match self.etcd {
            Some((major, _)) if major < 3 => text
                .replace("ETCDCTL_API=3 etcdctl endpoint health --cluster", "etcdctl cluster-health")
                .replace("ETCDCTL_API=3 etcdctl endpoint status --cluster -w table", "etcdctl cluster-health")
                .replace("ETCDCTL_API=3 etcdctl member list -w table", "etcdctl member list"),
            // `--cluster` came with 3.3.
            Some(release) if release < (3, 3) => {
                let endpoints = format!("--endpoints={}", self.endpoints.as_deref().unwrap_or("ENDPOINT,ENDPOINT"));
                text.replace("endpoint health --cluster", &format!("{endpoints} endpoint health"))
                    .replace("endpoint status --cluster", &format!("{endpoints} endpoint status"))
            }
            _ => text,
        }
    }
}

/// A command of crictl as docker has it; docker calls containers `k8s_<container>_<pod>_...`.
fn in_docker(text: &str) -> String {
    if text.contains("--runtime-endpoint") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("crictl ") {
        out.push_str(&rest[..at]);
        rest = &rest[at + "crictl ".len()..];
        let next = rest.find("crictl ").unwrap_or(rest.len());
        let end = rest.find(['|', ';', ')', '&', '#', '\n']).unwrap_or(rest.len()).min(next);
        let (own, after) = rest.split_at(end);
        rest = after;
        out.push_str("docker ");
        if let Some(pods) = own.strip_prefix("pods ") {
            let pods =
                pods.replace("--name ", "--filter name=k8s_POD_").replace("--state NotReady", "--filter status=exited");
            out.push_str("ps ");
            out.push_str(&pods);
        } else {
            out.push_str(&own.replace("stopp", "stop").replace("rmp", "rm").replace("--name ", "--filter name=k8s_"));
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kubernetes: Option<u32>, docker: bool, etcd: Option<(u32, u32)>) -> Dialect {
        Dialect { kubernetes, docker, etcd, endpoints: Some("https://10.0.0.1:2379".to_owned()) }
    }

    #[test]
    fn says_what_releases_understand() {
        let table = [
            (of(Some(9), false, None), "kubeadm init phase certs apiserver", "kubeadm alpha phase certs apiserver"),
            (of(Some(13), false, None), "kubeadm init phase certs apiserver", "kubeadm init phase certs apiserver"),
            (of(Some(15), false, None), "kubeadm certs check-expiration", "kubeadm alpha certs check-expiration"),
            (of(Some(30), false, None), "kubeadm certs check-expiration", "kubeadm certs check-expiration"),
            (of(None, false, None), "kubeadm init phase certs apiserver", "kubeadm init phase certs apiserver"),
            (
                of(Some(9), true, None),
                "crictl rm -f $(crictl ps -q --name kube-apiserver)   # again",
                "docker rm -f $(docker ps -q --filter name=k8s_kube-apiserver)   # again",
            ),
            (
                of(Some(9), true, None),
                "crictl pods --name kube-apiserver -q | xargs -r crictl stopp",
                "docker ps --filter name=k8s_POD_kube-apiserver -q | xargs -r docker stop",
            ),
            (
                of(None, true, None),
                "crictl --runtime-endpoint unix:///run/x.sock info",
                "crictl --runtime-endpoint unix:///run/x.sock info",
            ),
            (of(None, false, Some((2, 3))), "ETCDCTL_API=3 etcdctl member list -w table", "etcdctl member list"),
            (
                of(None, false, Some((3, 1))),
                "ETCDCTL_API=3 etcdctl endpoint health --cluster",
                "ETCDCTL_API=3 etcdctl --endpoints=https://10.0.0.1:2379 endpoint health",
            ),
            (
                of(None, false, Some((3, 5))),
                "ETCDCTL_API=3 etcdctl endpoint health --cluster",
                "ETCDCTL_API=3 etcdctl endpoint health --cluster",
            ),
        ];
        for (dialect, text, expected) in table {
            assert_eq!(dialect.command(text), expected, "{dialect:?}");
        }
    }
}
