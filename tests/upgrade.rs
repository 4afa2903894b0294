//! What breaks with a release, asked of a repository's files: no host, only what the files show.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn check(arguments: &[&str]) -> (Option<i32>, Value) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    command.current_dir(root).args(["check", "--format", "json", "--at", "2026-01-01"]).args(arguments);
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// `rule subject`, in order.
fn found(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list");
    let text = |finding: &Value| {
        format!("{} {}", finding["rule"].as_str().unwrap_or("?"), finding["subject"].as_str().unwrap_or("-"))
    };
    let mut found: Vec<String> = findings.iter().filter(|finding| finding["severity"] != "info").map(text).collect();
    found.sort();
    found
}

#[test]
fn a_repository() {
    for (release, code, expected) in [
        ("1.22", 0, vec![]),
        (
            "1.24",
            1,
            vec![
                "apiserver-flag-removed kube-apiserver --insecure-port",
                "kubelet-flag-removed kubelet --network-plugin",
                "kubelet-flag-removed kubelet DynamicKubeletConfig",
                "kubelet-runtime-unreachable /var/run/dockershim.sock",
            ],
        ),
        (
            "v1.31.2",
            1,
            vec![
                "apiserver-flag-removed kube-apiserver --insecure-port",
                "apiserver-flag-removed kube-apiserver --logtostderr",
                "kubelet-flag-removed kubelet --network-plugin",
                "kubelet-flag-removed kubelet DynamicKubeletConfig",
                "kubelet-runtime-unreachable /var/run/dockershim.sock",
            ],
        ),
    ] {
        // Whether kubeadm reads its configuration has rules and tests of its own.
        let (exit, report) = check(&["--kubernetes-version", release, "repository"]);
        let mut rules = found(&report);
        rules.retain(|rule| !rule.starts_with("kubeadm-"));
        assert_eq!(rules, expected, "{release}: {report:#}");
        assert!(exit == Some(code) || !rules.is_empty(), "{release}");
        // What needs a host does not apply.
        let unjudged = report["unknown"].as_array().expect("a list");
        assert!(unjudged.is_empty(), "{release}: {unjudged:#?}");
    }
}

#[test]
fn a_single_file_and_a_release_that_is_none() {
    let (code, report) = check(&["--kubernetes-version", "1.24", "repository/units/kubelet.service"]);
    assert_eq!((code, found(&report)), (Some(1), vec!["kubelet-flag-removed kubelet --network-plugin".to_owned()]));
    for wrong in ["latest", "1", "1.x", "32", "1.2.3.4", "2.0", "1.99999", "1.2"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
        let output = command.args(["check", "--kubernetes-version", wrong, "/"]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("such as 1.34"), "{wrong}");
        assert!(output.stdout.is_empty(), "{wrong}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tree has to be made first")]
fn a_host_of_old() {
    let tree = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        ("etc/hostname", "w1\n"),
        (
            "etc/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml\n",
        ),
        (
            "var/lib/kubelet/config.yaml",
            "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\n",
        ),
        ("proc/sys/kernel/osrelease", "4.18.0-553.el8_10.x86_64\n"),
        ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t2\t1\t1\nmemory\t3\t1\t1\n"),
        (
            "proc/mounts",
            "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
             cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
        ),
    ] {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let path = tree.path().to_str().expect("its name is text");
    for (release, expected) in [
        (Some("1.31"), vec![]),
        (Some("1.32"), vec!["host-kernel-too-old"]),
        (Some("1.35"), vec!["cgroup-v1-refused", "host-kernel-too-old"]),
        // A node that runs is not told of what an upgrade would ask.
        (None, vec![]),
    ] {
        let asked: Vec<&str> = release.iter().flat_map(|release| ["--kubernetes-version", release]).collect();
        let only = ["--only", "cgroup-v1-refused,host-kernel-too-old"];
        let (_, report) = check(&[&asked[..], &only, &[path]].concat());
        let rules: Vec<String> =
            found(&report).iter().map(|found| found.split(' ').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(rules, expected, "{release:?}: {report:#}");
    }
}
