//! What other tools made, in their own layouts: archives, and folders that were never packed.

#![expect(clippy::disallowed_methods, reason = "archives are written and read")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8sdoctor::source::SourceRef;

const PROGRAM: &str = env!("CARGO_BIN_EXE_k8sdoctor");

fn archive(directory: &Path, entries: &[(&str, &str)]) -> PathBuf {
    let path = directory.join("archive.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).expect("a file"));
    for (name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).expect("an entry");
    }
    tar.finish().expect("an archive");
    path
}

/// The same files as a folder.
fn folder(directory: &Path, entries: &[(&str, &str)]) -> PathBuf {
    let root = directory.join("folder");
    for (name, text) in entries {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    root
}

fn open(path: &Path) -> Vec<SourceRef> {
    k8sdoctor::source::open_all(Some(&path.display().to_string())).unwrap_or_else(|error| panic!("{error}"))
}

fn named(sources: &[SourceRef]) -> Vec<String> {
    sources.iter().map(k8sdoctor::collect::host::name_of).collect()
}

fn text(source: &SourceRef, path: &str) -> String {
    source.read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_else(|error| error.to_string())
}

/// Both as an archive and as a folder.
fn both(entries: &[(&str, &str)], look: impl Fn(&[SourceRef])) {
    let directory = tempfile::tempdir().expect("a directory");
    look(&open(&archive(directory.path(), entries)));
    look(&open(&folder(directory.path(), entries)));
}

/// Hosts of an archive, by name, with the logs that are read of each.
fn hosts(entries: &[(&str, &str)], log: &str) -> Vec<(String, bool)> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = archive(directory.path(), entries);
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("hosts");
    let has = |source: &k8sdoctor::source::SourceRef| source.read(log).is_ok_and(|text| text.ends_with(b"ERR\n"));
    let mut hosts: Vec<(String, bool)> =
        sources.iter().map(|source| (k8sdoctor::collect::host::name_of(source), has(source))).collect();
    hosts.sort();
    hosts
}

#[test]
fn logs_exported_by_kind_are_of_their_nodes() {
    let line = "2026-01-01T00:00:00.000000000Z stderr F E0101 00:00:00.000000 1 a.go:1] ERR\n";
    let pod = "pods/kube-system_etcd-kind-control-plane_5a1c/etcd/0.log";
    let first = format!("1234/kind-control-plane/{pod}");
    let found = hosts(
        &[
            ("1234/kind-version.txt", "kind v0.23.0 go1.22.3 linux/amd64\n"),
            ("1234/docker-info.txt", "Client:\n"),
            (first.as_str(), line),
            ("1234/kind-control-plane/kubelet.log", "Jan 01 00:00:00 kind-control-plane kubelet[1]: x\n"),
            ("1234/kind-control-plane/journal.log", "Jan 01 00:00:00 kind-control-plane kubelet[1]: x\n"),
            ("1234/kind-worker/kubelet.log", "Jan 01 00:00:00 kind-worker kubelet[1]: x\n"),
        ],
        &format!("/var/log/{pod}"),
    );
    assert_eq!(found, [("kind-control-plane".to_owned(), true), ("kind-worker".to_owned(), false)]);
}

#[test]
fn logs_of_must_gather_are_of_the_nodes_that_ran_the_pods() {
    let base = "must-gather.local.1/quay-io-openshift-sha256-1";
    let pod = format!("{base}/namespaces/openshift-etcd/pods/etcd-m1");
    let yaml = format!("{pod}/etcd-m1.yaml");
    let log = format!("{pod}/etcd/etcd/logs/current.log");
    let nodes = format!("{base}/cluster-scoped-resources/core/nodes/m1.yaml");
    let service = format!("{base}/host_service_logs/masters/kubelet_service.log");
    let other = format!("{base}/host_service_logs/masters/crio_service.log");
    let directory = tempfile::tempdir().expect("a directory");
    let path = archive(
        directory.path(),
        &[
            (nodes.as_str(), "kind: Node\n"),
            (yaml.as_str(), "kind: Pod\nspec:\n  nodeName: m1\n"),
            (log.as_str(), "2026-01-01T00:00:00.000000000Z {\"level\":\"fatal\"}\n"),
            // Merged by time, with the hosts' own names.
            (
                service.as_str(),
                "Jan 01 00:00:00.000001 m1.example.com kubenswrapper[1]: x\nJan 01 00:00:00.000002 m2 kubenswrapper[7]: y\n  z\n",
            ),
            (other.as_str(), "Jan 01 00:00:00.000001 m2 crio[5]: x\n"),
        ],
    );
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("hosts");
    let named: Vec<String> = sources.iter().map(k8sdoctor::collect::host::name_of).collect();
    assert_eq!(named, ["m1", "m2"]);
    let log = "/var/log/kubelet_service.log";
    assert_eq!(text(&sources[0], log), "Jan 01 00:00:00.000001 m1.example.com kubenswrapper[1]: x\n");
    let of_m2 = "Jan 01 00:00:00.000002 m2 kubenswrapper[7]: y\n  z\n";
    assert_eq!(text(&sources[1], log), of_m2);
    assert_eq!(sources[1].metadata(log).map(|found| found.size), Ok(of_m2.len() as u64));
    assert!(text(&sources[1], "/var/log/crio_service.log").contains("crio[5]"));
    let m1 = &sources[named.iter().position(|name| name == "m1").expect("m1")];
    let entries = m1.list("/var/log/pods").expect("a directory");
    assert_eq!(entries.len(), 1);
    assert!(entries[0].name.starts_with("openshift-etcd_etcd-m1_"), "{}", entries[0].name);
}

#[test]
fn a_sosreport_without_proc_has_its_addresses_and_routes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = archive(
        directory.path(),
        &[
            ("sosreport-m1/etc/hostname", "m1\n"),
            ("sosreport-m1/sos_commands/networking/ip_-o_addr", "2: eth0    inet 10.0.0.11/24 brd 10.0.0.255\n"),
            ("sosreport-m1/sos_commands/networking/ip_route_show_table_all", "default via 10.0.0.1 dev eth0\n"),
        ],
    );
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("hosts");
    let recording = sources[0].recording().expect("a recording");
    assert!(recording.addresses.as_ref().is_some_and(|found| found["eth0"][0].to_string() == "10.0.0.11/24"));
    let table = sources[0].read("/proc/net/route").expect("a table");
    assert!(String::from_utf8_lossy(&table).contains("eth0\t00000000\t0100000A"));
}

#[test]
fn a_cluster_dump_has_the_logs_of_all_containers_of_a_pod() {
    let pods = r#"{"kind":"PodList","apiVersion":"v1","items":[
        {"metadata":{"namespace":"kube-system","name":"kube-flannel-x"},"spec":{"nodeName":"n1"}},
        {"metadata":{"namespace":"kube-system","name":"etcd-m1"},"spec":{"nodeName":"m1"}}]}"#;
    let flannel = "==== START logs for container install-cni of pod kube-system/kube-flannel-x ====\ncopied\n\
        ==== END logs for container install-cni of pod kube-system/kube-flannel-x ====\n\
        ==== START logs for container kube-flannel of pod kube-system/kube-flannel-x ====\nI0101 main.go:1] one\ntwo\n\
        ==== END logs for container kube-flannel of pod kube-system/kube-flannel-x ====\n";
    let etcd = "==== START logs for container etcd of pod kube-system/etcd-m1 ====\nunfinished";
    let entries = [
        ("nodes.json", r#"{"kind":"NodeList","items":[]}"#),
        ("kube-system/pods.json", pods),
        ("kube-system/events.json", r#"{"kind":"EventList","items":[]}"#),
        ("kube-system/kube-flannel-x/logs.txt", flannel),
        ("kube-system/etcd-m1/logs.txt", etcd),
    ];
    both(&entries, |sources| {
        assert_eq!(named(sources), ["m1", "n1"]);
        let log = |pod: &str, container: &str| format!("/var/log/pods/kube-system_{pod}_0/{container}/0.log");
        assert_eq!(text(&sources[1], &log("kube-flannel-x", "install-cni")), "copied\n");
        assert_eq!(text(&sources[1], &log("kube-flannel-x", "kube-flannel")), "I0101 main.go:1] one\ntwo\n");
        assert_eq!(text(&sources[0], &log("etcd-m1", "etcd")), "unfinished");
    });
}

#[test]
fn a_support_bundle_tells_of_its_host() {
    let info = |command: &str| {
        format!(r#"{{"command":"{command}","exitCode":"0","error":"","outputDir":"","input":"","env":null}}"#)
    };
    let (address, journal) = (info("/usr/sbin/ip -o addr"), info("/usr/bin/journalctl -u kubelet"));
    let entries = [
        (
            "support-bundle-2026-01-01T00_00_00/version.yaml",
            "apiVersion: troubleshoot.sh/v1beta2\nkind: SupportBundle\n",
        ),
        (
            "support-bundle-2026-01-01T00_00_00/host-collectors/system/hostos_info.json",
            r#"{"name":"m1","kernelVersion":"6.1.0-18-amd64","platformVersion":"12.5","platform":"debian","platformFamily":"debian"}"#,
        ),
        (
            "support-bundle-2026-01-01T00_00_00/host-collectors/system/sysctl.json",
            r#"{"net.ipv4.ip_forward":"0","net.ipv4.ping_group_range":"1\t0","..":"x","a/b":"x"}"#,
        ),
        (
            "support-bundle-2026-01-01T00_00_00/host-collectors/system/kernel_modules.json",
            r#"{"br_netfilter":{"status":"loaded","instances":2,"size":32768},"ip_vs":{"status":"loadable"}}"#,
        ),
        ("support-bundle-2026-01-01T00_00_00/host-collectors/run-host/addresses-info.json", address.as_str()),
        (
            "support-bundle-2026-01-01T00_00_00/host-collectors/run-host/addresses.txt",
            "2: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0\n",
        ),
        ("support-bundle-2026-01-01T00_00_00/host-collectors/run-host/kubelet-info.json", journal.as_str()),
        (
            "support-bundle-2026-01-01T00_00_00/host-collectors/run-host/kubelet.txt",
            "Jan 01 00:00:00 m1 kubelet[1]: x\n",
        ),
        ("support-bundle-2026-01-01T00_00_00/host-collectors/journald/etcd.txt", "Jan 01 00:00:00 m1 etcd[1]: x\n"),
        ("support-bundle-2026-01-01T00_00_00/host-collectors/journald/etcd-info.json", "{}"),
        ("support-bundle-2026-01-01T00_00_00/host-collectors/journald/etcd-stderr.txt", "a hint\n"),
        ("support-bundle-2026-01-01T00_00_00/host-collectors/kubernetes/kubernetes/manifests/etcd.yaml", "kind: Pod\n"),
    ];
    both(&entries, |sources| {
        assert_eq!(named(sources), ["m1"]);
        let m1 = &sources[0];
        assert_eq!(text(m1, "/proc/sys/net/ipv4/ip_forward"), "0\n");
        assert_eq!(text(m1, "/proc/sys/kernel/osrelease"), "6.1.0-18-amd64\n");
        assert!(text(m1, "/proc/modules").starts_with("br_netfilter 32768 2 "), "{}", text(m1, "/proc/modules"));
        assert!(!text(m1, "/proc/modules").contains("ip_vs"), "it is not loaded");
        assert!(text(m1, "/var/log/journal-etcd.txt").contains("etcd[1]"));
        assert!(text(m1, "/var/log/journal-kubelet.txt").contains("kubelet[1]"));
        assert!(text(m1, "/var/log/journal-etcd-stderr.txt").contains("not part of this source"));
        assert_eq!(text(m1, "/etc/kubernetes/manifests/etcd.yaml"), "kind: Pod\n");
        let addresses = m1.recording().and_then(|recording| recording.addresses.clone()).expect("addresses");
        assert_eq!(addresses["eth0"][0].to_string(), "10.0.0.11/24");
    });
}

#[test]
fn a_support_bundle_of_several_nodes_keeps_them_apart() {
    let entries = [
        ("b/host-collectors/system/node_list.json", r#"{"nodes":["m1","n1"]}"#),
        ("b/host-collectors/m1/system/hostos_info.json", r#"{"name":"m1","kernelVersion":"6.1.0"}"#),
        ("b/host-collectors/m1/system/sysctl.json", r#"{"net.ipv4.ip_forward":"1"}"#),
        ("b/host-collectors/n1/system/sysctl.json", r#"{"net.ipv4.ip_forward":"0"}"#),
        ("b/host-collectors/n1/journald/kubelet.txt", "Jan 01 00:00:00 n1 kubelet[1]: x\n"),
        // Written as the apiserver lists them, and as a bare list.
        (
            "b/cluster-resources/pods/kube-system.json",
            r#"{"items":[{"metadata":{"namespace":"kube-system","name":"etcd-m1"},"spec":{"nodeName":"m1"}}]}"#,
        ),
        (
            "b/cluster-resources/pods/web.json",
            r#"[{"metadata":{"namespace":"web","name":"w"},"spec":{"nodeName":"n1"}}]"#,
        ),
        ("b/cluster-resources/pods/logs/kube-system/etcd-m1/etcd.log", "now\n"),
        ("b/cluster-resources/pods/logs/kube-system/etcd-m1/etcd-previous.log", "before\n"),
        ("b/cluster-resources/pods/logs/kube-system/etcd-m1/etcd-logs-errors.log", "[\"no\"]"),
        ("b/cluster-resources/pods/logs/web/w/app.log", "web\n"),
    ];
    both(&entries, |sources| {
        assert_eq!(named(sources), ["m1", "n1"]);
        assert_eq!(text(&sources[0], "/proc/sys/net/ipv4/ip_forward"), "1\n");
        assert_eq!(text(&sources[1], "/proc/sys/net/ipv4/ip_forward"), "0\n");
        let etcd = "/var/log/pods/kube-system_etcd-m1_0";
        assert_eq!(text(&sources[0], &format!("{etcd}/etcd/0.log")), "now\n");
        assert_eq!(text(&sources[0], &format!("{etcd}/etcd/0.log.previous")), "before\n");
        assert_eq!(sources[0].list(etcd).expect("containers").len(), 1, "an error is no log");
        assert_eq!(text(&sources[1], "/var/log/pods/web_w_0/app/0.log"), "web\n");
    });
}

#[test]
fn a_sosreport_has_the_journal_under_any_of_its_names() {
    let line = "Jan 01 00:00:00 m1 kubelet[1]: x\n";
    for (names, expected) in [
        (vec!["logs/journalctl_--no-pager"], "/var/log/journal.txt"),
        (vec!["logs/journalctl_--no-pager_--boot", "logs/journalctl_--no-pager_--boot_-1"], "/var/log/journal.txt"),
        (vec!["logs/journalctl_--no-pager_--since_-3days"], "/var/log/journal.txt"),
        (vec!["logs/journalctl_--no-pager", "kubernetes/journalctl_--no-pager_--unit_kubelet"], "/var/log/journal.txt"),
        (vec!["kubernetes/journalctl_--no-pager_--unit_kubelet"], "/var/log/journal-kubelet.txt"),
    ] {
        let names: Vec<String> = names.iter().map(|name| format!("sosreport-m1/sos_commands/{name}")).collect();
        let mut entries = vec![("sosreport-m1/etc/hostname", "m1\n")];
        entries.extend(names.iter().map(|name| (name.as_str(), line)));
        both(&entries, |sources| {
            assert_eq!(text(&sources[0], expected), line, "{names:?}");
            assert_eq!(sources[0].list("/var/log").expect("logs").len(), 1, "{names:?}");
        });
    }
}

/// Made by the distribution's own program, where it is installed.
#[test]
fn a_real_sosreport_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("sosreport");
    command.args(["--batch", "-q", "-o", "host,kernel,networking,process", "--tmp-dir"]).arg(directory.path());
    let Ok(output) = command.output() else {
        eprintln!("skipped: sosreport is not installed");
        return;
    };
    let mut entries = fs::read_dir(directory.path()).expect("a directory").flatten().map(|entry| entry.path());
    let made = entries.find(|path| path.to_string_lossy().contains(".tar.") && !path.to_string_lossy().ends_with("5"));
    let Some(path) = made else {
        eprintln!("skipped: sosreport made nothing: {}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let own = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let sources = open(&path);
    assert_eq!(named(&sources), [own.trim()]);
    let source = &sources[0];
    assert!(text(source, "/proc/net/route").starts_with("Iface"), "{}", text(source, "/proc/net/route"));
    assert!(text(source, "/proc/cmdline").len() > 2);
    let mut check = Command::new(PROGRAM);
    let output = check.args(["check", "--no-config", "--format", "json"]).arg(&path).output().expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["hosts"][0]["incomplete"], false, "{}", report["problems"]);
    assert!(report["summary"]["passed"].as_u64().is_some_and(|passed| passed > 0), "{}", report["summary"]);
}

#[test]
fn one_broken_bundle_of_several_is_told_and_the_others_are_judged() {
    let tree = tempfile::tempdir().expect("a directory");
    let root =
        folder(tree.path(), &[("etc/hostname", "m1\n"), ("var/log/messages", "Jan  1 00:00:00 m1 kubelet[1]: x\n")]);
    let bundle = tree.path().join("m1.tar.zst");
    let collected = Command::new(PROGRAM).arg("collect").arg(&root).arg("-o").arg(&bundle).output().expect("it runs");
    assert!(collected.status.success());
    // The same once more beside a directory that says that it is a bundle too.
    let mut tar = tar::Builder::new(Vec::new());
    let plain = zstd::decode_all(fs::File::open(&bundle).expect("a bundle")).expect("zstd");
    let mut head = String::new();
    for entry in tar::Archive::new(plain.as_slice()).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        if name.ends_with("/head.json") {
            head.clone_from(&name);
        }
        let mut header = entry.header().clone();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
        tar.append_data(&mut header, &name, content.as_slice()).expect("an entry");
    }
    let broken = head.replacen("m1/", "m2/", 1);
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    tar.append_data(&mut header, &broken, &b"{}"[..]).expect("an entry");
    let path = tree.path().join("both.tar");
    fs::write(&path, tar.into_inner().expect("an archive")).expect("a file");
    let output = Command::new(PROGRAM)
        .args(["check", "--no-config", "--at", "2026-01-01", "--format", "json"])
        .arg(&path)
        .output()
        .expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_eq!(report["hosts"].as_array().map(Vec::len), Some(2), "{report:#}");
    assert!(report["problems"].to_string().contains("head.json cannot be understood"), "{}", report["problems"]);
}
