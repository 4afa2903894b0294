//! The map of whole clusters in testdata/clusters, in each form.

use std::path::Path;

use assert_cmd::Command;

fn topology(arguments: &[&str], hosts: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/clusters/balanced");
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    // Seen from there, sources have the same names everywhere.
    command.current_dir(root).arg("topology").args(["--at", "2026-01-01"]).args(arguments).args(hosts);
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

const HOSTS: [&str; 4] = ["lb", "m1", "m2", "w1"];

#[test]
fn a_balanced_cluster() {
    insta::assert_snapshot!("text", topology(&[], &HOSTS));
    insta::assert_snapshot!("dot", topology(&["--format", "dot"], &HOSTS));
    insta::assert_snapshot!("mermaid", topology(&["--format", "mermaid"], &HOSTS));
}

#[test]
fn json_says_who_dials_whom() {
    let map: serde_json::Value = serde_json::from_str(&topology(&["--format", "json"], &HOSTS)).expect("it is JSON");
    assert_eq!(map["version"], 1);
    assert_eq!(map["hosts"].as_array().map(Vec::len), Some(4));
    let links = map["links"].as_array().expect("a list");
    let find = |host: &str, client: &str, url: &str| {
        links
            .iter()
            .find(|link| link["host"] == host && link["client"] == client && link["url"] == url)
            .unwrap_or_else(|| panic!("{host} {client} {url}"))
    };
    for (host, client, url, state, through, why) in [
        ("w1", "kubelet", "https://10.0.0.10:6443", "broken", "haproxy on lb", "is not for 10.0.0.10"),
        ("m1", "kube-controller-manager", "https://10.0.0.1:6443", "fits", "", ""),
        ("m1", "kube-scheduler", "https://10.0.0.1:8443", "broken", "", "not on port 8443"),
        ("m2", "kube-scheduler", "http://10.0.0.1:6443", "broken", "", "speaks https there, not http"),
        ("m2", "kube-controller-manager", "https://10.0.0.1:6443", "broken", "", "whom the client does not trust"),
        ("m2", "kubectl", "https://192.0.2.99:6443", "unknown", "", "no given host has 192.0.2.99"),
        ("m1", "kube-apiserver", "https://127.0.0.1:2379", "fits", "", ""),
        ("m1", "etcd", "https://10.0.0.2:2380", "broken", "", "is not for 10.0.0.2"),
        ("m1", "etcd", "https://10.0.0.3:2380", "unknown", "", "no given host has 10.0.0.3"),
        ("lb", "haproxy", "10.0.0.1:6443", "fits", "", ""),
        ("lb", "haproxy", "10.0.0.3:6443", "unknown", "", "no given host has 10.0.0.3"),
    ] {
        let link = find(host, client, url);
        assert_eq!(link["state"], state, "{host} {client} {url}: {link:#}");
        assert_eq!(link["through"].as_str().unwrap_or_default(), through, "{host} {client} {url}");
        assert!(link["why"].to_string().contains(why), "{host} {client} {url}: {}", link["why"]);
    }
    // A member does not dial itself.
    assert!(!links.iter().any(|link| link["host"] == "m1" && link["url"] == "https://10.0.0.1:2380"));
}

#[test]
fn one_host_alone_leaves_the_rest_unknown() {
    let map: serde_json::Value = serde_json::from_str(&topology(&["--format", "json"], &["w1"])).expect("it is JSON");
    assert_eq!(map["links"][0]["state"], "unknown");
    assert_eq!(map["endpoints"][0]["kind"], "unknown");
    assert_eq!(map["endpoints"][0]["clients"], 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tree has to be made first")]
fn passwords_are_masked() {
    let tree = tempfile::tempdir().expect("a folder");
    let units = tree.path().join("etc/systemd/system");
    std::fs::create_dir_all(&units).expect("a folder");
    let unit = "[Service]\nExecStart=/usr/bin/kube-apiserver --etcd-servers=https://root:hunter2@10.9.9.9:2379\n";
    std::fs::write(units.join("kube-apiserver.service"), unit).expect("a file");
    let path = tree.path().to_str().expect("its name is text");
    for form in ["text", "json", "dot", "mermaid"] {
        let drawn = topology(&["--format", form], &[path]);
        assert!(drawn.contains("10.9.9.9:2379") && !drawn.contains("hunter2"), "{form}: {drawn}");
    }
}
