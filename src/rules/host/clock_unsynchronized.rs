//! host-clock-unsynchronized: nothing on a node keeps its clock right.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::system::Process;
use crate::origin::{Origin, Unknown};
use crate::report::Confidence;
use crate::rules::support::is_node;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "host-clock-unsynchronized", judge: Judge::Host(judge), refine: None };

/// Programs that set the clock, by the beginning of the kernel's name for them: time services, and guests' tools, which
/// take the time from the machine below.
const KEEPERS: [&str; 12] = [
    "chronyd",
    "ntpd",
    "ntpsec",
    "openntpd",
    "systemd-timesyn",
    "ptp4l",
    "phc2sys",
    "vmtoolsd",
    "VBoxService",
    "timesyncd",
    "ntpdate",
    "hv_utils",
];
/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 10;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !is_node(host) || is_container(host) {
        return;
    }
    let Some(processes) = verdict.known(&host.system.processes) else { return };
    if processes.len() < FEWEST || !processes.iter().any(|process| process.pid == 1) {
        verdict.unknown(Unknown::new("the time service", "only some of the host's processes are part of this source"));
        return;
    }
    if processes.iter().any(keeps_time) {
        return verdict.pass();
    }
    verdict.fail(
        Draft::new()
            .message("no_service")
            // Something that sets the clock now and then leaves no process behind.
            .confidence(Confidence::Medium)
            .at(&host.name, &Origin::file("/proc", None), "no chronyd, ntpd, systemd-timesyncd or guest's agent runs"),
    );
}

/// A container has its machine's clock.
fn is_container(host: &Host) -> bool {
    let root = host.system.mounts.iter().flatten().rfind(|mount| mount.target == "/");
    root.is_none_or(|mount| matches!(mount.fs_type.as_str(), "overlay" | "aufs" | "fuse.fuse-overlayfs" | "shiftfs"))
}

fn keeps_time(process: &Process) -> bool {
    let program = process.argv.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default());
    KEEPERS.iter().any(|keeper| process.comm.starts_with(keeper) || program.starts_with(keeper))
}
