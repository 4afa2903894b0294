use super::{Files, Problems};
use crate::facts::unit::{Script, Unit};
pub fn collect(_: &Files, _: &Problems) -> (Vec<Unit>, Vec<Script>) { (Vec::new(), Vec::new()) }
