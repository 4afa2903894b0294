//! The API versions of kubeadm's configuration files, by release of kubeadm.

/// An API version of `kubeadm.k8s.io` and the minor releases of kubeadm 1 that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeadmApi {
    /// `v1beta3`
    pub version: &'static str,
    /// The first release that reads it; none when that was not recorded.
    pub since: Option<u32>,
    /// The last release that reads it, if only to migrate it; none while the newest does.
    pub until: Option<u32>,
}

/// Oldest first.
pub const KUBEADM_APIS: [KubeadmApi; 7] = [
    KubeadmApi { version: "v1alpha1", since: None, until: Some(11) },
    KubeadmApi { version: "v1alpha2", since: Some(11), until: Some(12) },
    KubeadmApi { version: "v1alpha3", since: Some(12), until: Some(14) },
    KubeadmApi { version: "v1beta1", since: Some(13), until: Some(21) },
    KubeadmApi { version: "v1beta2", since: Some(15), until: Some(26) },
    KubeadmApi { version: "v1beta3", since: Some(22), until: Some(36) },
    KubeadmApi { version: "v1beta4", since: Some(31), until: None },
];

/// The API version of a document's `apiVersion`: `kubeadm.k8s.io/v1beta2`.
pub fn kubeadm_api(api_version: &str) -> Option<KubeadmApi> {
    let version = api_version.strip_prefix("kubeadm.k8s.io/")?;
    KUBEADM_APIS.into_iter().find(|api| api.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_follows_on_the_one_before() {
        for pair in KUBEADM_APIS.windows(2) {
            assert!(pair[0].since < pair[1].since, "{pair:?}");
            // A file can always be migrated by a kubeadm that reads both.
            assert!(pair[0].until.is_some_and(|until| pair[1].since.is_some_and(|since| since <= until)), "{pair:?}");
        }
        assert_eq!(kubeadm_api("kubeadm.k8s.io/v1beta2").and_then(|api| api.until), Some(26));
        assert_eq!(kubeadm_api("kubelet.config.k8s.io/v1beta1"), None);
    }
}
