//! What components do when nothing sets a flag, as far as rules ask for it. Where a default changed with a release, and
//! the release is not known, there is no answer.

use super::{Component, ComponentName, LayerKind};
use crate::origin::{Origin, Sourced};

/// Major, minor, patch.
type Version = (u32, u32, u32);

impl Component {
    /// The value in force, or the default of the component's version. None when there is no default, when the default
    /// depends on a version that is not known, and when something that could set the flag could not be read.
    pub fn flag_or_default(&self, name: &str) -> Option<Sourced<String>> {
        if let Some(value) = self.flag(name) {
            return Some(value.clone());
        }
        if !self.unread.is_empty() {
            return None;
        }
        let value = self.default_value(name)?;
        let of = match &self.version {
            Some(version) => format!("{} {}", self.name.name(), minor_of(&version.value)),
            None => self.name.name().to_owned(),
        };
        Some(Sourced::new(value, Origin::default_of(of)))
    }

    /// Major, minor and patch of the version, when it is known.
    pub fn version_numbers(&self) -> Option<(u32, u32, u32)> {
        let version = self.version.as_ref()?.value.trim_start_matches('v');
        let mut numbers = version.split(['.', '-', '+', '_']).map(|part| part.parse::<u32>().ok());
        let major = numbers.next()??;
        let minor = numbers.next()??;
        Some((major, minor, numbers.next().flatten().unwrap_or(0)))
    }

    /// Whether the version is at least `major.minor`; None when it is not known.
    pub fn is_at_least(&self, major: u32, minor: u32) -> Option<bool> {
        self.version_numbers().map(|(a, b, _)| (a, b) >= (major, minor))
    }

    fn default_value(&self, name: &str) -> Option<String> {
        let fixed = match self.name {
            ComponentName::Etcd => return self.etcd_default(name),
            ComponentName::KubeApiserver => apiserver_default(name, self.version_numbers()),
            ComponentName::KubeControllerManager => controller_manager_default(name, self.version_numbers()),
            ComponentName::KubeScheduler => scheduler_default(name, self.version_numbers()),
            ComponentName::Kubelet => kubelet_default(name, self.version_numbers(), self.has_config_file()),
            ComponentName::KubeProxy => match name {
                "bind-address" => Some("0.0.0.0"),
                "healthz-bind-address" => Some("0.0.0.0:10256"),
                "metrics-bind-address" => Some("127.0.0.1:10249"),
                _ => None,
            },
            ComponentName::Dockerd => match name {
                "host" => Some("unix:///var/run/docker.sock"),
                "data-root" | "graph" => {
                    // Two names of one thing: the other may be the one that is given.
                    let other = if name == "graph" { "data-root" } else { "graph" };
                    return Some(self.flag(other).map_or("/var/lib/docker", |value| &value.value).to_owned());
                }
                "exec-root" => Some("/var/run/docker"),
                _ => None,
            },
            ComponentName::Flanneld => match name {
                "etcd-endpoints" => Some("http://127.0.0.1:4001,http://127.0.0.1:2379"),
                "etcd-prefix" => Some("/coreos.com/network"),
                "subnet-file" => Some("/run/flannel/subnet.env"),
                _ => None,
            },
            _ => None,
        };
        fixed.map(str::to_owned)
    }

    fn has_config_file(&self) -> bool {
        self.flag("config").is_some() || self.layers.iter().any(|layer| layer.kind == LayerKind::ConfigFile)
    }

    fn etcd_default(&self, name: &str) -> Option<String> {
        let before_2_3 = self.version_numbers().map(|version| (version.0, version.1) < (2, 3));
        Some(match name {
            "data-dir" => {
                let member = self.flag("name").map_or("default", |member| member.value.as_str());
                format!("{member}.etcd")
            }
            "listen-client-urls" | "advertise-client-urls" if before_2_3 == Some(true) => {
                "http://localhost:2379,http://localhost:4001".to_owned()
            }
            "listen-client-urls" | "advertise-client-urls" => "http://localhost:2379".to_owned(),
            "listen-peer-urls" | "initial-advertise-peer-urls" if before_2_3 == Some(true) => {
                "http://localhost:2380,http://localhost:7001".to_owned()
            }
            "listen-peer-urls" | "initial-advertise-peer-urls" => "http://localhost:2380".to_owned(),
            "name" => "default".to_owned(),
            "initial-cluster-state" => "new".to_owned(),
            "initial-cluster-token" => "etcd-cluster".to_owned(),
            "heartbeat-interval" => "100".to_owned(),
            "election-timeout" => "1000".to_owned(),
            "client-cert-auth" | "peer-client-cert-auth" | "force-new-cluster" => "false".to_owned(),
            _ => return None,
        })
    }
}

fn minor_of(version: &str) -> String {
    version.trim_start_matches('v').splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

fn before(version: Option<Version>, minor: u32) -> Option<bool> {
    version.map(|(major, at, _)| (major, at) < (1, minor))
}

fn apiserver_default(name: &str, version: Option<Version>) -> Option<&'static str> {
    Some(match name {
        "bind-address" => "0.0.0.0",
        "secure-port" => "6443",
        // Plain HTTP ended with 1.20.
        "insecure-bind-address" if before(version, 20)? => "127.0.0.1",
        "insecure-port" if before(version, 20)? => "8080",
        "insecure-port" if before(version, 24)? => "0",
        "anonymous-auth" if !before(version, 6)? => "true",
        "allow-privileged" => "false",
        "authorization-mode" => "AlwaysAllow",
        "apiserver-count" => "1",
        "endpoint-reconciler-type" if !before(version, 11)? => "lease",
        "endpoint-reconciler-type" if !before(version, 9)? => "master-count",
        "service-node-port-range" => "30000-32767",
        "etcd-prefix" => "/registry",
        _ => return None,
    })
}

fn controller_manager_default(name: &str, version: Option<Version>) -> Option<&'static str> {
    Some(match name {
        "bind-address" => "0.0.0.0",
        "secure-port" => "10257",
        "leader-elect" if before(version, 4)? => "false",
        "leader-elect" => "true",
        "cluster-name" => "kubernetes",
        _ => return None,
    })
}

fn scheduler_default(name: &str, version: Option<Version>) -> Option<&'static str> {
    Some(match name {
        "bind-address" => "0.0.0.0",
        "secure-port" => "10259",
        "leader-elect" => match version? {
            (1, minor, _) if minor < 4 => "false",
            // Lost in a rework of the configuration and put back in 1.9.4.
            (1, 9, patch) if patch < 4 => "false",
            _ => "true",
        },
        _ => return None,
    })
}

fn kubelet_default(name: &str, version: Option<Version>, has_config_file: bool) -> Option<&'static str> {
    Some(match name {
        "address" => "0.0.0.0",
        "port" => "10250",
        "healthz-port" => "10248",
        "healthz-bind-address" => "127.0.0.1",
        // A configuration file starts from safer defaults than flags do.
        "read-only-port" => {
            if has_config_file {
                "0"
            } else {
                "10255"
            }
        }
        "anonymous-auth" => {
            if has_config_file {
                "false"
            } else {
                "true"
            }
        }
        "authorization-mode" => {
            if has_config_file {
                "Webhook"
            } else {
                "AlwaysAllow"
            }
        }
        "fail-swap-on" if before(version, 8)? => return None,
        "fail-swap-on" => "true",
        "cgroup-driver" => "cgroupfs",
        "cgroups-per-qos" if !before(version, 6)? => "true",
        "container-runtime" if before(version, 24)? => "docker",
        "container-runtime-endpoint" if before(version, 24)? => "unix:///var/run/dockershim.sock",
        "container-runtime-endpoint" if !before(version, 27)? => "unix:///run/containerd/containerd.sock",
        "root-dir" => "/var/lib/kubelet",
        "cert-dir" => "/var/lib/kubelet/pki",
        "resolv-conf" => "/etc/resolv.conf",
        "max-pods" => "110",
        "cni-bin-dir" if before(version, 24)? => "/opt/cni/bin",
        "cni-conf-dir" if before(version, 24)? => "/etc/cni/net.d",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Unknown;

    fn component(name: ComponentName, version: &str) -> Component {
        let mut component = Component::new(name);
        component.version = (!version.is_empty()).then(|| Sourced::new(version.to_owned(), Origin::file("/m", None)));
        component
    }

    #[test]
    fn defaults_by_version() {
        use ComponentName::*;
        let table: &[(ComponentName, &str, &str, Option<&str>)] = &[
            (Etcd, "3.5.9", "listen-client-urls", Some("http://localhost:2379")),
            (Etcd, "", "listen-peer-urls", Some("http://localhost:2380")),
            (Etcd, "2.2.1", "listen-client-urls", Some("http://localhost:2379,http://localhost:4001")),
            (Etcd, "", "data-dir", Some("default.etcd")),
            (KubeApiserver, "1.9.0", "insecure-port", Some("8080")),
            (KubeApiserver, "1.19.16", "insecure-bind-address", Some("127.0.0.1")),
            (KubeApiserver, "1.20.0", "insecure-bind-address", None),
            (KubeApiserver, "1.22.1", "insecure-port", Some("0")),
            (KubeApiserver, "1.34.4", "insecure-port", None),
            (KubeApiserver, "", "insecure-port", None),
            (KubeApiserver, "", "secure-port", Some("6443")),
            (KubeScheduler, "1.3.3", "leader-elect", Some("false")),
            (KubeScheduler, "1.9.2", "leader-elect", Some("false")),
            (KubeScheduler, "1.9.4", "leader-elect", Some("true")),
            (KubeScheduler, "1.34.0", "leader-elect", Some("true")),
            (KubeControllerManager, "1.9.2", "leader-elect", Some("true")),
            (KubeControllerManager, "", "leader-elect", None),
            (Kubelet, "1.23.0", "container-runtime-endpoint", Some("unix:///var/run/dockershim.sock")),
            (Kubelet, "1.25.0", "container-runtime-endpoint", None),
            (Kubelet, "1.34.1", "container-runtime-endpoint", Some("unix:///run/containerd/containerd.sock")),
            (Kubelet, "1.6.0", "fail-swap-on", None),
            (Kubelet, "1.8.0", "fail-swap-on", Some("true")),
            (Kubelet, "v1.29.6-rc.1", "max-pods", Some("110")),
            (Nginx, "1.25.0", "c", None),
        ];
        for (name, version, flag, wanted) in table {
            let found = component(*name, version).flag_or_default(flag);
            assert_eq!(found.map(|value| value.value).as_deref(), *wanted, "{name:?} {version} {flag}");
        }
    }

    #[test]
    fn a_default_says_whose_it_is_and_is_not_taken_for_unread_files() {
        let mut kubelet = component(ComponentName::Kubelet, "1.34.1");
        let found = kubelet.flag_or_default("port").unwrap();
        assert_eq!(found.origin.to_string(), "default of kubelet 1.34");
        kubelet.unread.push(Unknown::new("/var/lib/kubelet/config.yaml", "permission denied"));
        assert_eq!(kubelet.flag_or_default("port"), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(component(ComponentName::Kubelet, "1.9.11").is_at_least(1, 10), Some(false));
        assert_eq!(component(ComponentName::Kubelet, "1.34.4").is_at_least(1, 10), Some(true));
        assert_eq!(component(ComponentName::Kubelet, "latest").is_at_least(1, 10), None);
    }
}
