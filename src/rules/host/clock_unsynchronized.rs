//! host-clock-unsynchronized: nothing on a node keeps its clock right, by its processes, its kernel, or the other hosts' time.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::system::Process;
use crate::origin::{Origin, Unknown};
use crate::report::{Confidence, Evidence, EvidenceKind};
use crate::rules::etcd::{APART, offsets};
use crate::rules::support::{in_words, is_node};
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

/// Seconds within which a time service finds its servers after the boot.
const GRACE: u64 = 900;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    judge_others(host, verdict);
    if !is_node(host) || is_container(host) {
        return;
    }
    match &host.clock {
        // Whoever does it, it is done.
        Ok(clock) if clock.synchronized => verdict.pass(),
        Ok(_) => judge_service(host, verdict),
        Err(_) => judge_processes(host, verdict),
    }
}

/// The kernel says that nothing has synchronized its clock. That says something where there is a service that tells it so.
fn judge_service(host: &Host, verdict: &mut Verdict) {
    let Ok(processes) = &host.system.processes else { return judge_processes(host, verdict) };
    let Some(service) = processes.iter().find(|process| tells_the_kernel(host, process)) else {
        return judge_processes(host, verdict);
    };
    match &host.system.uptime_seconds {
        Ok(uptime) if *uptime >= GRACE => {}
        _ => {
            let why = "the host booted less than a quarter of an hour ago";
            return verdict.unknown(Unknown::new("whether the clock becomes synchronized", why));
        }
    }
    let origin = Origin::process(service.pid, service.comm.as_str(), None);
    verdict.fail(
        Draft::new()
            .message("no_source")
            .value("service", &service.comm)
            .at(&host.name, &Origin::answer("adjtimex"), "STA_UNSYNC: nothing has set the clock for a while")
            .at(&host.name, &origin, "runs, and has found no time to set it by"),
    );
}

/// Whether the process clears STA_UNSYNC once it has a time: chronyd only with `rtcsync`, guests' tools do not.
fn tells_the_kernel(host: &Host, process: &Process) -> bool {
    const CHRONY: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
    match &process.comm {
        comm if comm.starts_with("systemd-timesyn") || comm == "ntpd" => true,
        comm if comm == "chronyd" => CHRONY
            .iter()
            .filter_map(|path| host.texts.get(*path))
            .any(|file| file.text.lines().any(|line| line.trim() == "rtcsync")),
        _ => false,
    }
}

/// The hosts' clocks against each other, as members of etcd told the time: of three, the one that differs from the others.
fn judge_others(host: &Host, verdict: &mut Verdict) {
    let found = offsets(host);
    let offsets: Vec<i64> = found.iter().map(|(_, offset, _)| *offset).collect();
    if offsets.len() < 2 {
        return;
    }
    let (Some(least), Some(most)) = (offsets.iter().min(), offsets.iter().max()) else { return };
    let together = most - least < APART;
    if least.abs() < APART && most.abs() < APART {
        return verdict.pass();
    }
    // When they differ among themselves, it is one of them.
    if !together {
        return;
    }
    let average = offsets.iter().sum::<i64>() / offsets.len() as i64;
    let drift = format!("{:.0} s", (average as f64 / 1000.0).abs());
    let side = if average > 0 { "behind" } else { "ahead of" };
    let others: Vec<String> = found.iter().map(|(_, _, url)| url.host.clone()).collect();
    let mut draft = Draft::new()
        .message("apart")
        .value("drift", &drift)
        .value("side", side)
        .value("others", in_words(&others))
        .confidence(Confidence::High);
    for (answer, offset, _) in found {
        let origin = Origin::answer(format!("{}/health, Date", answer.endpoint));
        let said = format!("{:+.0} s from the clock of {}", offset as f64 / 1000.0, host.name);
        draft = draft.evidence(Evidence::new(EvidenceKind::Cluster, &host.name, origin, said));
    }
    verdict.fail(draft);
}

fn judge_processes(host: &Host, verdict: &mut Verdict) {
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
