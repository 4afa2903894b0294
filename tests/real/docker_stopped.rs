//! dockerd that a script starts at boot, and that has ended.

use crate::harness::{Options, Sandbox, alone, eventually};

const RULE: &str = "docker-not-running";
const SCRIPT: &str = "/root/start-docker.sh";

#[test]
fn found_and_started_as_printed() {
    let _machine = alone();
    let needs = &["dockerd", "docker", "runc", "nohup", "pkill"];
    let Some(host) = Sandbox::start(Options { needs, ..Options::default() }) else { return };
    // What does not run in the first minute after boot is no fault yet.
    host.sh("awk '{ print $1 + 3600, $2 }' /proc/uptime > /run/uptime && mount --bind /run/uptime /proc/uptime");
    host.write(
        SCRIPT,
        "#!/bin/sh\nexec dockerd --iptables=false --bridge=none --storage-driver=vfs >>/var/log/docker.log 2>&1\n",
    );
    host.write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --container-runtime=docker --kubeconfig=/etc/kubernetes/kubelet.conf\n",
    );
    host.write("/etc/rc.local", format!("#!/bin/sh\n{SCRIPT} &\nexit 0\n"));
    host.sh(&format!("chmod 755 {SCRIPT} /etc/rc.local"));
    // A host has more processes than one.
    let _others = [host.spawn("sleep infinity", "/dev/null"), host.spawn("sleep infinity", "/dev/null")];
    host.sh("/etc/rc.local");
    let serves = || host.output("docker info").status.success().then_some(());
    eventually("dockerd", 60, serves);
    host.check(&["--only", RULE]).silent(RULE);

    host.sh("kill -KILL $(cat /run/docker.pid)");
    eventually("dockerd's end", 10, || host.output("docker info").status.success().eq(&false).then_some(()));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1"]);
    for command in finding.fix() {
        // What goes on in the background would keep the pipe of this test open.
        host.sh(&format!("{{ {command}\n}} >/dev/null 2>&1"));
    }
    eventually("dockerd", 60, serves);
    host.check(&["--only", RULE]).silent(RULE);
}
