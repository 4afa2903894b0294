use std::sync::Arc;

use super::*;
use crate::source::MemorySource;

const ETCD: &str = "[Unit]\nDescription=etcd\n[Service]\nType=notify\nExecStart=/usr/local/bin/etcd --name ${NAME}\n[Install]\nWantedBy=multi-user.target\n";

fn take(source: MemorySource) -> (Vec<Unit>, Vec<Script>, Vec<crate::report::Problem>) {
    let files = Files::new(Arc::new(source));
    let problems = Problems::new("m1");
    let (units, scripts) = collect(&files, &problems);
    (units, scripts, problems.into_sorted())
}

fn words(unit: &Unit) -> Vec<&str> {
    unit.exec_start.iter().flat_map(|command| &command.words).map(|word| word.value.as_str()).collect()
}

#[test]
fn the_strongest_directory_wins_and_drop_ins_follow() {
    let (units, _, problems) = take(
        MemorySource::new("m1")
            .file("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n")
            .file(
                "/usr/lib/systemd/system/kubelet.service.d/10-a.conf",
                "[Service]\nEnvironment=\"C=--config=/lib\"\nExecStart=\nExecStart=/usr/bin/kubelet $C $F $X\n",
            )
            .file(
                "/etc/systemd/system/kubelet.service.d/20-b.conf",
                "[Service]\nEnvironment=\"C=--config=/etc\"\nEnvironmentFile=-/flags.env\nEnvironmentFile=-/none.env\n",
            )
            .file("/usr/lib/systemd/system/service.d/00-all.conf", "[Service]\nRestartSec=3\n")
            .file("/usr/lib/systemd/system/etcd.service", "[Service]\nExecStart=/old\n")
            .file("/etc/systemd/system/etcd.service", ETCD)
            .file("/usr/lib/systemd/system/getty.service", "[Service]\nExecStart=/getty\n")
            .file("/flags.env", "F=\"--a=1 --b=2\"\n")
            .link(
                "/etc/systemd/system/multi-user.target.wants/kubelet.service",
                "/usr/lib/systemd/system/kubelet.service",
            ),
    );
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["etcd.service", "kubelet.service"]);
    let (etcd, kubelet) = (&units[0], &units[1]);
    assert_eq!(etcd.path, "/etc/systemd/system/etcd.service");
    assert_eq!((etcd.enabled, kubelet.enabled), (Some(false), Some(true)));
    assert_eq!(etcd.exec_start[0].undefined[0].name, "NAME");
    assert_eq!(words(kubelet), ["/usr/bin/kubelet", "--config=/etc", "--a=1", "--b=2"]);
    assert_eq!(kubelet.exec_start[0].undefined[0].name, "X");
    assert_eq!(kubelet.drop_ins.len(), 3);
    assert_eq!(kubelet.settings["Service.ExecStart"].len(), 1);
    assert_eq!(kubelet.settings["Service.RestartSec"][0].value, "3");
    let present: Vec<(Option<bool>, bool)> =
        kubelet.environment_files.iter().map(|f| (f.present, f.optional)).collect();
    assert_eq!(present, [(Some(true), true), (Some(false), true)]);
    assert_eq!(
        kubelet.exec_start[0].words[2].origin.to_string(),
        "/flags.env:1:4 through /usr/lib/systemd/system/kubelet.service.d/10-a.conf:4:31"
    );
    assert_eq!(problems, []);
}

#[test]
fn masked_aliased_linked_and_instantiated_units() {
    let (units, ..) = take(
        MemorySource::new("m1")
            .link("/etc/systemd/system/docker.service", "/dev/null")
            .file("/etc/systemd/system/nginx.service", "")
            .file("/lib/systemd/system/chrony.service", "[Service]\nExecStart=/usr/sbin/chronyd\n")
            .link("/etc/systemd/system/chronyd.service", "/lib/systemd/system/chrony.service")
            .file("/opt/k8s/units/kube-proxy.service", "[Service]\nExecStart=/opt/kube-proxy --v=2\n")
            .link("/etc/systemd/system/kube-proxy.service", "/opt/k8s/units/kube-proxy.service")
            .file("/lib/systemd/system/etcd@.service", "[Service]\nExecStart=/usr/bin/etcd --name %i\n")
            .link("/etc/systemd/system/multi-user.target.wants/etcd@m1.service", "/lib/systemd/system/etcd@.service")
            .link("/etc/systemd/system/haproxy.service", "/nowhere/haproxy.service"),
    );
    let found: Vec<(&str, bool)> = units.iter().map(|unit| (unit.name.as_str(), unit.masked)).collect();
    assert_eq!(
        found,
        [
            ("chrony.service", false),
            ("docker.service", true),
            ("etcd@m1.service", false),
            ("kube-proxy.service", false),
            ("nginx.service", true),
        ]
    );
    assert_eq!(words(&units[2]), ["/usr/bin/etcd", "--name", "m1"]);
    assert_eq!(units[2].enabled, Some(true));
}

#[test]
fn units_of_other_names_are_kept_for_what_they_run() {
    let (units, scripts, _) = take(
        MemorySource::new("m1")
            .file("/etc/systemd/system/store.service", "[Service]\nExecStart=/opt/bin/etcd --name a\n")
            .file(
                "/etc/systemd/system/start-api.service",
                "[Service]\nEnvironment=PORT=6443\nExecStart=/bin/bash /srv/api.sh\n",
            )
            .file("/etc/systemd/system/backup.service", "[Service]\nExecStart=/opt/backup\n")
            .file("/srv/api.sh", "kube-apiserver --secure-port=$PORT >> api.log\n")
            .file("/home/work/k8s/etcd/start-etcd.sh", "./bin/etcd --name b\n")
            .file("/home/work/k8s/other.sh", "etcd --name c\n")
            .file("/root/hello.sh", "echo hello\n")
            .file("/opt/clean.sh", "rm x \u{2013}rf\n"),
    );
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["start-api.service", "store.service"]);
    let paths: Vec<&str> = scripts.iter().map(|script| script.path.as_str()).collect();
    assert_eq!(paths, ["/home/work/k8s/etcd/start-etcd.sh", "/opt/clean.sh", "/srv/api.sh"]);
    assert_eq!(scripts[2].commands[0].words[1].value, "--secure-port=6443");
    assert_eq!(scripts[2].commands[0].undefined, []);
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let (units, _, problems) = take(
        MemorySource::new("m1")
            .file(
                "/etc/systemd/system/etcd.service",
                ETCD.replace("[Install]", "EnvironmentFile=/etc/etcd.env\n[Install]"),
            )
            .file("/etc/etcd.env", "NAME=m1\n")
            .denied("/etc/etcd.env"),
    );
    assert_eq!(units[0].exec_start[0].undefined, []);
    assert_eq!(units[0].environment_files[0].present, None);
    assert_eq!(words(&units[0]), ["/usr/local/bin/etcd", "--name", "${NAME}"]);
    assert_eq!(problems[0].place, "/etc/etcd.env");
}

#[test]
fn environment_files_by_pattern() {
    let (units, ..) = take(
        MemorySource::new("m1")
            .file(
                "/etc/systemd/system/etcd.service",
                ETCD.replace("[Install]", "EnvironmentFile=/etc/etcd.d/*.env\nEnvironmentFile=/no/*.env\n[Install]"),
            )
            .file("/etc/etcd.d/1.env", "NAME=a\n")
            .file("/etc/etcd.d/2.env", "NAME=b\n")
            .file("/etc/etcd.d/3.txt", "NAME=c\n"),
    );
    assert_eq!(words(&units[0])[2], "b");
    let present: Vec<Option<bool>> = units[0].environment_files.iter().map(|file| file.present).collect();
    assert_eq!(present, [Some(true), Some(true), Some(false)]);
}

#[test]
fn passwords_stay_out_of_facts() {
    let (units, ..) = take(MemorySource::new("m1").file(
        "/etc/systemd/system/flanneld.service",
        "[Service]\nEnvironment=FLANNELD_ETCD_PASSWORD=hunter2\nExecStart=/flanneld --etcd-password=hunter2 --x=${FLANNELD_ETCD_PASSWORD}\n",
    ));
    let shown =
        serde_json::to_string(&units[0].settings).unwrap() + &serde_json::to_string(&units[0].environment).unwrap();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(words(&units[0])[1], "--etcd-password=<hidden>");
}

#[test]
fn wildcards() {
    let table = [
        ("*.env", "a.env", true),
        ("*.env", "a.envx", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[ab", "a", false),
        ("**a*", "xay", true),
        ("", "", true),
        ("*", "", true),
    ];
    for (pattern, name, wanted) in table {
        assert_eq!(wildcard(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
    }
}
