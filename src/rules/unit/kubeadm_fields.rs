//! The fields of kubeadm's configuration, as its API has them: `*` stands for an item's number or a key of the user's own,
//! `**` for anything below.

/// Versions whose fields are listed here.
pub(super) const KNOWN: [&str; 2] = ["v1beta3", "v1beta4"];

const V1BETA4: &str = "v1beta4";

const NODE: &[&str] = &[
    "nodeRegistration.name",
    "nodeRegistration.criSocket",
    "nodeRegistration.taints.**",
    "nodeRegistration.kubeletExtraArgs.**",
    "nodeRegistration.ignorePreflightErrors.*",
    "nodeRegistration.imagePullPolicy",
    "skipPhases.*",
    "patches.directory",
];
const NODE_V1BETA4: &[&str] = &["dryRun", "nodeRegistration.imagePullSerial", "timeouts.*"];
const INIT: &[&str] = &[
    "bootstrapTokens.*.token",
    "bootstrapTokens.*.description",
    "bootstrapTokens.*.ttl",
    "bootstrapTokens.*.expires",
    "bootstrapTokens.*.usages.*",
    "bootstrapTokens.*.groups.*",
    "localAPIEndpoint.advertiseAddress",
    "localAPIEndpoint.bindPort",
    "certificateKey",
];
const JOIN: &[&str] = &[
    "caCertPath",
    "discovery.bootstrapToken.token",
    "discovery.bootstrapToken.apiServerEndpoint",
    "discovery.bootstrapToken.caCertHashes.*",
    "discovery.bootstrapToken.unsafeSkipCAVerification",
    "discovery.file.kubeConfigPath",
    "discovery.tlsBootstrapToken",
    "controlPlane.localAPIEndpoint.advertiseAddress",
    "controlPlane.localAPIEndpoint.bindPort",
    "controlPlane.certificateKey",
];
const JOIN_V1BETA3: &[&str] = &["discovery.timeout"];
const CLUSTER: &[&str] = &[
    "etcd.local.imageRepository",
    "etcd.local.imageTag",
    "etcd.local.dataDir",
    "etcd.local.extraArgs.**",
    "etcd.local.serverCertSANs.*",
    "etcd.local.peerCertSANs.*",
    "etcd.external.endpoints.*",
    "etcd.external.caFile",
    "etcd.external.certFile",
    "etcd.external.keyFile",
    "networking.serviceSubnet",
    "networking.podSubnet",
    "networking.dnsDomain",
    "kubernetesVersion",
    "controlPlaneEndpoint",
    "apiServer.certSANs.*",
    "dns.imageRepository",
    "dns.imageTag",
    "certificatesDir",
    "imageRepository",
    "featureGates.*",
    "clusterName",
];
const CLUSTER_V1BETA3: &[&str] = &["apiServer.timeoutForControlPlane"];
const CLUSTER_V1BETA4: &[&str] = &[
    "etcd.local.extraEnvs.**",
    // Since 1.36.
    "etcd.external.httpEndpoints.*",
    "dns.disabled",
    "proxy.disabled",
    "encryptionAlgorithm",
    "certificateValidityPeriod",
    "caCertificateValidityPeriod",
];
const COMPONENTS: [&str; 3] = ["apiServer", "controllerManager", "scheduler"];
const COMPONENT: &[&str] = &["extraArgs.**", "extraVolumes.*.*"];
const COMPONENT_V1BETA4: &[&str] = &["extraEnvs.**"];

/// Whether a document of this kind and version has a field at the path of one of its values; none where the fields are not
/// known here.
pub(super) fn is_field(kind: &str, version: &str, path: &str) -> Option<bool> {
    if !KNOWN.contains(&version) {
        return None;
    }
    let is_new = version == V1BETA4;
    let lists: Vec<&[&str]> = match kind {
        "InitConfiguration" => vec![INIT, NODE, if is_new { NODE_V1BETA4 } else { &[] }],
        "JoinConfiguration" => {
            vec![JOIN, NODE, if is_new { NODE_V1BETA4 } else { JOIN_V1BETA3 }]
        }
        "ClusterConfiguration" => vec![CLUSTER, if is_new { CLUSTER_V1BETA4 } else { CLUSTER_V1BETA3 }],
        _ => return None,
    };
    let of_component = || {
        let (first, rest) = path.split_once('.')?;
        let lists: [&[&str]; 2] = [COMPONENT, if is_new { COMPONENT_V1BETA4 } else { &[] }];
        let is_it = kind == "ClusterConfiguration" && COMPONENTS.contains(&first);
        Some(is_it && lists.iter().any(|list| has(list, rest)))
    };
    Some(lists.iter().any(|list| has(list, path)) || of_component() == Some(true))
}

fn has(list: &[&str], path: &str) -> bool {
    list.iter().any(|pattern| fits(pattern, path))
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut words = path.split('.');
    for part in pattern.split('.') {
        match (part, words.next()) {
            // An empty map or list is a value of the field itself.
            ("**" | "*", None) => return true,
            (_, None) => return false,
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(word)) if part == word => {}
            _ => return false,
        }
    }
    words.next().is_none() || pattern.ends_with('*')
}

#[cfg(test)]
mod tests {
    use super::is_field;

    #[test]
    fn fields_by_kind_and_version() {
        for (kind, version, path, expected) in [
            ("ClusterConfiguration", "v1beta4", "networking.podSubnet", Some(true)),
            ("ClusterConfiguration", "v1beta4", "networking.podCIDR", Some(false)),
            ("ClusterConfiguration", "v1beta4", "networking.podSubnet.0", Some(false)),
            ("ClusterConfiguration", "v1beta4", "apiServer.extraArgs.0.name", Some(true)),
            ("ClusterConfiguration", "v1beta3", "apiServer.extraArgs.audit-log-path", Some(true)),
            ("ClusterConfiguration", "v1beta4", "apiServer.timeoutForControlPlane", Some(false)),
            ("ClusterConfiguration", "v1beta3", "apiServer.timeoutForControlPlane", Some(true)),
            ("ClusterConfiguration", "v1beta4", "scheduler.certSANs.0", Some(false)),
            ("ClusterConfiguration", "v1beta4", "controllerManager.extraVolumes.0.hostPath", Some(true)),
            ("ClusterConfiguration", "v1beta4", "featureGates.with.dots", Some(true)),
            ("InitConfiguration", "v1beta4", "timeouts.discovery", Some(true)),
            ("InitConfiguration", "v1beta3", "timeouts.discovery", Some(false)),
            ("InitConfiguration", "v1beta4", "nodeRegistration.kubeletExtraArgs.0.value", Some(true)),
            ("InitConfiguration", "v1beta4", "controlPlaneEndpoint", Some(false)),
            ("JoinConfiguration", "v1beta4", "discovery.bootstrapToken.caCertHashes.0", Some(true)),
            ("JoinConfiguration", "v1beta4", "discovery.bootstrapToken.caCertHash", Some(false)),
            ("JoinConfiguration", "v1beta4", "localAPIEndpoint.advertiseAddress", Some(false)),
            ("JoinConfiguration", "v1beta2", "anything", None),
            ("KubeProxyConfiguration", "v1beta4", "mode", None),
        ] {
            assert_eq!(is_field(kind, version, path), expected, "{kind} {version} {path}");
        }
    }
}
