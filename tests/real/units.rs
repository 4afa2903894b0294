//! Units that systemd itself takes, and that do not do what somebody meant: one boot, a fault in each unit.

use crate::harness::{Booted, alone, eventually};

/// Pasted from a document: an en dash in the place of two hyphens.
const ETCD: &str = "\
[Service]
ExecStart=/usr/bin/etcd –name m1 --data-dir /var/lib/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
";

const KUBELET: &str = "\
[Service]
ExecStart=/usr/local/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf --node-ip=${NODE_IP}
Restart=always

[Install]
WantedBy=multi-user.target
";

/// Started by hand once, and never again.
const PROXY: &str = "\
[Service]
ExecStart=/usr/local/bin/kube-proxy --kubeconfig=/etc/kubernetes/proxy.conf

[Install]
WantedBy=multi-user.target
";

const APISERVER: &str = "\
[Service]
ExecStart=/usr/local/bin/kube-apiserver --etcd-servers=http://127.0.0.1:2379
StandardError=append:/var/log/kubernetes/apiserver.log
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
";

const CONTAINERD: &str = "\
[Service]
ExecStart=/usr/local/bin/containerd
LimitNOFILE=256
Restart=always

[Install]
WantedBy=multi-user.target
";

/// Goes on and does nothing, under its own name.
const PROGRAM: &str = "#!/bin/bash\nwhile :; do sleep 1000; done\n";

#[test]
fn what_systemd_takes_and_nobody_meant() {
    let _machine = alone();
    let unit = |name: &str| format!("/etc/systemd/system/{name}.service");
    let units = [
        ("etcd", ETCD),
        ("kubelet", KUBELET),
        ("kube-proxy", PROXY),
        ("kube-apiserver", APISERVER),
        ("containerd", CONTAINERD),
    ];
    let paths = units.map(|(name, text)| (unit(name), text));
    let programs =
        ["kubelet", "kube-proxy", "kube-apiserver", "containerd"].map(|name| format!("/usr/local/bin/{name}"));
    let mut files: Vec<(&str, &str)> = paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.extend(programs.iter().map(|path| (path.as_str(), PROGRAM)));
    // Nothing is enabled at boot: the programs are not executable yet.
    let Some(host) = Booted::boot(&files, &[]) else { return };
    let run = |script: &str| {
        let (ok, said) = host.sh(script);
        assert!(ok, "{script}\n{said}");
        said
    };
    run("chmod 755 /usr/local/bin/*; systemctl daemon-reload; systemctl start kube-proxy");
    run("systemctl enable --now etcd kubelet kube-apiserver containerd 2>&1 || true");
    let mend = |fix: Vec<String>| fix.iter().for_each(|command| drop(run(command)));

    const SYNTAX: &str = "unit-syntax";
    eventually("etcd to refuse", 30, || {
        host.sh("journalctl -u etcd | grep -E 'exited|not a valid flag'").0.then_some(())
    });
    let report = host.check(&["--only", SYNTAX]);
    report.only(SYNTAX).points_at(&unit("etcd"), ETCD, "–name");
    mend(report.only(SYNTAX).fix());
    run("systemctl reset-failed etcd; systemctl restart etcd");
    eventually("etcd", 120, || {
        host.sh("ETCDCTL_API=3 etcdctl --endpoints http://127.0.0.1:2379 endpoint health").0.then_some(())
    });
    host.check(&["--only", SYNTAX]).silent(SYNTAX);

    const UNDEFINED: &str = "unit-variable-undefined";
    let said = run("journalctl -b | grep NODE_IP || true");
    assert!(said.contains("NODE_IP"), "systemd does not mind");
    let report = host.check(&["--only", UNDEFINED]);
    let finding = report.only(UNDEFINED);
    finding.says(&["kubelet", "NODE_IP"]);
    // As it says, a drop-in; `systemctl edit` would ask for the value.
    run("mkdir -p /etc/systemd/system/kubelet.service.d; printf '[Service]\\nEnvironment=NODE_IP=10.0.0.11\\n' > \
         /etc/systemd/system/kubelet.service.d/address.conf");
    run(finding.fix().last().map(String::as_str).unwrap_or_default());
    host.check(&["--only", UNDEFINED]).silent(UNDEFINED);

    const RESTART: &str = "unit-restart-policy";
    let report = host.check(&["--only", RESTART]);
    let found = report.of_rule(RESTART);
    let proxy = found.iter().find(|finding| finding.title().contains("kube-proxy")).expect("kube-proxy is found");
    for finding in &found {
        mend(finding.fix());
    }
    assert!(!proxy.evidence().is_empty());
    run("systemctl restart kube-proxy; kill -9 $(pgrep -x kube-proxy)");
    eventually("systemd to start it again", 30, || host.sh("pgrep -x kube-proxy").0.then_some(()));
    host.check(&["--only", RESTART]).silent(RESTART);

    const DIRECTORY: &str = "log-directory-missing";
    eventually("systemd's word", 30, || {
        host.sh("journalctl -u kube-apiserver | grep -E 'STDERR|209|standard'").0.then_some(())
    });
    let report = host.check(&["--only", DIRECTORY]);
    let finding = report.only(DIRECTORY);
    finding.says(&["kube-apiserver", "/var/log/kubernetes"]);
    run("systemctl reset-failed kube-apiserver");
    mend(finding.fix());
    eventually("kube-apiserver", 30, || host.sh("pgrep -x kube-apiserver").0.then_some(()));
    host.check(&["--only", DIRECTORY]).silent(DIRECTORY);

    const LIMIT: &str = "host-limit-too-low";
    assert_eq!(run("awk '/open files/ { print $4 }' /proc/$(pgrep -x containerd)/limits").trim(), "256");
    let report = host.check(&["--only", LIMIT]);
    let finding = report.only(LIMIT);
    finding.says(&["containerd", "256"]);
    mend(finding.fix());
    assert_ne!(run("awk '/open files/ { print $4 }' /proc/$(pgrep -x containerd)/limits").trim(), "256");
    host.check(&["--only", LIMIT]).silent(LIMIT);
}
