use super::{Files, Problems};
use crate::facts::kubernetes::Kubernetes;
use crate::origin::Sourced;
pub fn collect(_: &Files, _: &Problems, _: &str) -> Kubernetes { Kubernetes { static_pods: Ok(vec![]), invalid_manifests: vec![], kubeconfigs: vec![], kubelet_configuration: Ok(None), kubeadm_configuration: vec![], certificates: Default::default() } }
pub fn add_kubeconfigs(_: &mut Kubernetes, _: &Files, _: &Problems, _: &[Sourced<String>]) {}
