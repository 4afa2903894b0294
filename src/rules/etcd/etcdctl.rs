//! etcdctl as it is called on this host: with the endpoint and the certificates that the host has for it.

use crate::facts::Host;
use crate::facts::component::ComponentName;

/// Certificate, key and CA of clients, best first: what the apiserver presents, what kubeadm makes for this, the server's own.
const OF_FLAGS: [(ComponentName, [&str; 3]); 2] = [
    (ComponentName::KubeApiserver, ["etcd-cafile", "etcd-certfile", "etcd-keyfile"]),
    (ComponentName::Etcd, ["trusted-ca-file", "cert-file", "key-file"]),
];
const KUBEADM: [&str; 3] = [
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.key",
];

/// `ETCDCTL_API=3 etcdctl --endpoints=https://10.0.0.1:2379 --cacert=... --cert=... --key=...`; certificates are left out
/// where the host has none, or a path that a shell would read otherwise.
pub fn etcdctl(host: &Host, endpoint: &str) -> String {
    let mut command = format!("ETCDCTL_API=3 etcdctl --endpoints={endpoint}");
    if !endpoint.starts_with("https://") {
        return command;
    }
    let of_flags = OF_FLAGS.iter().map(|(name, flags)| {
        let component = host.component(*name)?;
        let [ca, certificate, key] = flags.map(|flag| Some(component.flag(flag)?.value.as_str()));
        Some([ca?, certificate?, key?])
    });
    let kubeadm = host.kubernetes.certificates.contains_key(KUBEADM[1]).then_some(KUBEADM);
    let files = of_flags.chain([kubeadm]).flatten().find(|files| files.iter().all(|path| is_plain(path)));
    for (flag, path) in ["cacert", "cert", "key"].iter().zip(files.into_iter().flatten()) {
        command.push_str(&format!(" --{flag}={path}"));
    }
    command
}

fn is_plain(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}
