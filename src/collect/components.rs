use super::{Files, Problems};
use crate::facts::component::Component;
use crate::facts::kubernetes::{ConfigDocument, StaticPod};
use crate::facts::system::Process;
use crate::facts::unit::{Script, Unit};
use crate::origin::Fact;
pub struct Sources<'a> { pub processes: &'a Fact<Vec<Process>>, pub static_pods: &'a Fact<Vec<StaticPod>>, pub units: &'a [Unit], pub scripts: &'a [Script], pub kubelet_configuration: &'a Fact<Option<ConfigDocument>>, pub kubeadm_configuration: &'a [ConfigDocument], pub files: &'a Files, pub problems: &'a Problems }
pub fn kubelet_config_path(_: &[Unit], _: &Fact<Vec<Process>>) -> String { "/var/lib/kubelet/config.yaml".to_owned() }
pub fn build(_: Sources<'_>) -> Vec<Component> { Vec::new() }
