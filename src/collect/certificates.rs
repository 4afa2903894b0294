use super::{Files, Problems};
use crate::facts::kubernetes::Kubernetes;
use crate::origin::Sourced;
pub fn add(_: &mut Kubernetes, _: &Files, _: &Problems, _: &[Sourced<String>]) {}
