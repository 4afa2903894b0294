//! SELinux: whether it denies anything, and whether its policy knows containers.

use super::super::Files;
use crate::facts::system::Selinux;
use crate::origin::{Fact, Origin, Unknown};
use crate::source::ReadError;

const NOW: &str = "/sys/fs/selinux/enforce";
const CONFIG: &str = "/etc/selinux/config";
/// Where the modules of the policy in force are, by priority, and where they were until RHEL 7.2.
const MODULES: &str = "/var/lib/selinux/targeted/active/modules";
const OLD_MODULES: &str = "/etc/selinux/targeted/modules/active/modules";

pub(super) fn collect(files: &Files) -> Fact<Option<Selinux>> {
    let selinux = |enforcing, origin| Selinux { enforcing, origin, container_policy: container_policy(files) };
    if let Ok(file) = files.text(NOW) {
        let mode = file.text.trim();
        let origin = Origin::file(NOW, Some(file.span(0, mode.len())));
        return Ok(Some(selinux(mode == "1", origin)));
    }
    if files.is_of_live_host() {
        return Ok(None);
    }
    let file = match files.text(CONFIG) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error.unknown()),
    };
    let mut offset = 0;
    for line in file.text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        if let Some(mode) = line.trim_end().strip_prefix("SELINUX=") {
            let origin = Origin::file(CONFIG, Some(file.span(start, start + line.trim_end().len())));
            return Ok(match mode.trim() {
                "disabled" => None,
                mode => Some(selinux(mode == "enforcing", origin)),
            });
        }
    }
    Err(Unknown::new(CONFIG, "has no line SELINUX="))
}

fn container_policy(files: &Files) -> Fact<bool> {
    let unknown = |error: ReadError| error.unknown();
    match files.list(OLD_MODULES) {
        Ok(modules) => return Ok(modules.iter().any(|module| module.name.starts_with("container"))),
        Err(error) if error.is_absent() || matches!(error, ReadError::NotCovered { .. }) => {}
        Err(error) => return Err(error.unknown()),
    }
    for priority in files.list(MODULES).map_err(unknown)?.iter() {
        let modules = files.list(&format!("{MODULES}/{}", priority.name)).map_err(unknown)?;
        if modules.iter().any(|module| module.name == "container") {
            return Ok(true);
        }
    }
    Ok(false)
}
