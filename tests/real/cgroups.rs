//! dockerd on a host whose control groups nobody mounted.

use crate::harness::{Options, Process, Sandbox, alone};

const RULE: &str = "cgroup-not-mounted";
const UNIT: &str = "/etc/systemd/system/docker.service";
const LOG: &str = "/var/log/docker.log";

const TEXT: &str = "\
[Unit]
Description=Docker Application Container Engine

[Service]
ExecStart=/usr/sbin/dockerd --iptables=false --bridge=none --storage-driver=vfs

[Install]
WantedBy=multi-user.target
";

/// dockerd after it has ended, or after it says that it serves.
fn start(host: &Sandbox) -> Option<Process> {
    let said = host.read(LOG).matches("API listen on").count();
    let mut dockerd = host.start_unit(UNIT, LOG);
    crate::harness::eventually("dockerd serving or ended", 60, || {
        let serves = host.read(LOG).matches("API listen on").count() > said;
        (serves || dockerd.ended().is_some()).then_some(())
    });
    dockerd.ended().is_none().then_some(dockerd)
}

#[test]
fn found_and_mended() {
    let _machine = alone();
    let Some(host) =
        Sandbox::start(Options { cgroups: false, needs: &["dockerd", "containerd", "runc"], ..Options::default() })
    else {
        return;
    };
    if !host.sh("cat /proc/cgroups").contains("devices") {
        return crate::harness::skip("this kernel has no cgroup v1 controllers");
    }
    if host
        .output("mkdir /run/probe && mount -t cgroup -o devices cgroup /run/probe && umount /run/probe")
        .status
        .success()
    {
        host.write(UNIT, TEXT);
    } else {
        return crate::harness::skip("cgroup v1 cannot be mounted here");
    }
    host.sh("mkdir -p /etc/systemd/system/multi-user.target.wants; ln -s ../docker.service /etc/systemd/system/multi-user.target.wants/");
    assert!(start(&host).is_none(), "dockerd runs without control groups:\n{}", host.read(LOG));
    assert!(host.read(LOG).contains("Devices cgroup isn't mounted"), "{}", host.read(LOG));

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["devices"]);
    let first = &finding.evidence()[0];
    assert_eq!(first["path"], "/proc/cgroups", "{}", report.human());
    assert_eq!(first["kind"], "file");
    finding.has_log(LOG, "Devices cgroup isn't mounted");

    host.apply(&finding.fix());
    assert!(host.output("mountpoint -q /sys/fs/cgroup/devices").status.success(), "{:?}", finding.fix());
    let dockerd = start(&host);
    assert!(dockerd.is_some(), "dockerd does not run:\n{}", host.read(LOG));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_host_with_its_control_groups_passes() {
    let Some(host) = Sandbox::start(Options::default()) else { return };
    if !host.sh("ls /sys/fs/cgroup").contains("devices") {
        return crate::harness::skip("the machine has no cgroup v1 mounted");
    }
    host.write(UNIT, TEXT);
    host.sh("mkdir -p /etc/systemd/system/multi-user.target.wants; ln -s ../docker.service /etc/systemd/system/multi-user.target.wants/");
    host.check(&["--only", RULE]).silent(RULE);
}
