use std::sync::Arc;

use super::*;
use crate::collect::certificates;
use crate::origin::Sourced;
use crate::report::Problem;
use crate::source::MemorySource;

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: etcd}
spec:
  containers:
  - {name: etcd, image: e, command: [etcd]}
";
const KUBELET: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}}
staticPodPath: /etc/kubernetes/manifests/
";
const ADMIN: &str = "\
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster: {server: 'https://10.0.0.1:6443', certificate-authority: pki/ca.crt}
users:
- name: admin
  user: {client-certificate: /gone.crt}
";

fn run(source: MemorySource, kubelet_config_path: &str) -> (Kubernetes, Vec<Problem>) {
    let problems = Problems::new("m1");
    let found = collect(&Files::new(Arc::new(source)), &problems, kubelet_config_path);
    (found, problems.into_sorted())
}

fn paths(pods: &Fact<Vec<crate::facts::kubernetes::StaticPod>>) -> Vec<&str> {
    pods.as_ref().expect("known").iter().map(|pod| pod.path.as_str()).collect()
}

#[test]
fn every_file_of_the_manifest_directory_is_read() {
    let source = MemorySource::new("m1")
        .file("/var/lib/kubelet/config.yaml", KUBELET)
        .file("/etc/kubernetes/manifests/etcd.yaml", POD)
        .file("/etc/kubernetes/manifests/etcd.yaml.bak", POD)
        .file("/etc/kubernetes/manifests/etcd.yaml~", "apiVersion: v1\nkind: Pod\n x: y\n")
        .file("/etc/kubernetes/manifests/notes.txt", "do not edit\n")
        .file("/etc/kubernetes/manifests/x.swp", &b"b0VIM\xff\xfe"[..])
        .file("/etc/kubernetes/manifests/.etcd.yaml.swp", "b0VIM")
        .file("/etc/kubernetes/manifests/old/etcd.yaml", POD)
        .file("/var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml", POD);
    let (found, problems) = run(source, "/var/lib/kubelet/config.yaml");
    // The kubelet's configuration names the directory, so that the other one does not count.
    assert_eq!(
        paths(&found.static_pods),
        ["/etc/kubernetes/manifests/etcd.yaml", "/etc/kubernetes/manifests/etcd.yaml.bak"]
    );
    let invalid: Vec<String> = found.invalid_manifests.iter().map(|(origin, why)| format!("{origin} {why}")).collect();
    assert_eq!(invalid.len(), 3, "{invalid:?}");
    assert!(invalid[0].starts_with("/etc/kubernetes/manifests/etcd.yaml~:3:3 "), "{invalid:?}");
    assert!(invalid[1].starts_with("/etc/kubernetes/manifests/notes.txt:1:1 no Pod"), "{invalid:?}");
    assert!(invalid[2].starts_with("/etc/kubernetes/manifests/x.swp:1:6 not UTF-8"), "{invalid:?}");
    assert!(problems.iter().any(|problem| problem.place == "/etc/kubernetes/manifests/etcd.yaml~:3:3"), "{problems:?}");
}

#[test]
fn unreadable_manifests_are_unknown() {
    let denied = MemorySource::new("m1")
        .file("/etc/kubernetes/manifests/a.yaml", POD)
        .file("/etc/kubernetes/manifests/b.yaml", POD)
        .denied("/etc/kubernetes/manifests/b.yaml");
    let unknown = run(denied, "").0.static_pods.expect_err("unknown");
    assert_eq!((unknown.why.as_str(), unknown.remedy.as_deref()), ("permission denied", Some("run as root")));
    let directory = MemorySource::new("m1").file("/etc/hostname", "m1").denied("/etc/kubernetes/manifests");
    assert!(run(directory, "").0.static_pods.is_err());
    assert_eq!(run(MemorySource::new("w1"), "").0.static_pods, Ok(vec![]));
}

#[test]
fn the_kubelets_configuration() {
    let configured = |text: &str| MemorySource::new("m1").file("/var/lib/kubelet/config.yaml", text);
    let valid = run(configured(KUBELET), "").0.kubelet_configuration.expect("known").expect("there");
    assert_eq!(valid.kind.value, "KubeletConfiguration");
    assert_eq!(run(MemorySource::new("m1"), "").0.kubelet_configuration, Ok(None));
    // A flag's path is the only one that counts.
    let beside = configured(KUBELET).file("/opt/other.yaml", "");
    assert_eq!(run(beside, "/opt/kubelet.yaml").0.kubelet_configuration, Ok(None));
    // A copy without the whole folder says nothing of it.
    assert!(run(configured(KUBELET), "/opt/kubelet.yaml").0.kubelet_configuration.is_err());
    for (text, why, place) in [
        (format!("{KUBELET}port: [\n"), "did not find expected node", "/var/lib/kubelet/config.yaml:6:1"),
        (KUBELET.replace("KubeletC", "KubeProxyC"), "where the kubelet expects", "/var/lib/kubelet/config.yaml:2:7"),
        (String::new(), "the file is empty", "/var/lib/kubelet/config.yaml"),
        (KUBELET.replace("kind:", "knd:"), "without apiVersion and kind", "/var/lib/kubelet/config.yaml:1:1"),
    ] {
        let (found, problems) = run(configured(&text), "");
        let unknown = found.kubelet_configuration.expect_err("refused");
        assert!(unknown.why.contains(why), "{unknown}");
        assert_eq!(found.invalid_files.len(), 1, "{text}");
        assert_eq!(found.invalid_files[0].0.to_string(), place);
        assert_eq!(problems.iter().map(|problem| problem.place.as_str()).collect::<Vec<_>>(), [place]);
    }
}

#[test]
fn kubeconfigs_of_usual_places_and_of_flags() {
    let source = MemorySource::new("m1")
        .file_with_mode("/etc/kubernetes/admin.conf", ADMIN, 0o640)
        .file("/etc/kubernetes/cloud.conf", "[Global]\nregion=x\n")
        .file("/etc/kubernetes/scheduler.conf", format!("{ADMIN}contexts: [\n"))
        .file("/etc/kubernetes/kubelet.conf", ADMIN)
        .denied("/etc/kubernetes/kubelet.conf")
        .file("/opt/kubeconfig", ADMIN)
        .file("/opt/none", "PORT=1\n")
        .file("/root/.kube/config", "");
    let problems = Problems::new("m1");
    let files = Files::new(Arc::new(source));
    let mut found = collect(&files, &problems, "");
    let named =
        ["/opt/kubeconfig", "/opt/none", "/opt/gone", "/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf"];
    let named = named.map(|path| Sourced::new(path.to_owned(), Origin::file("/m/a.yaml", None)));
    add_kubeconfigs(&mut found, &files, &problems, &named);
    let read: Vec<(&str, Option<u32>)> =
        found.kubeconfigs.iter().map(|config| (config.path.as_str(), config.mode)).collect();
    assert_eq!(
        read,
        [
            ("/etc/kubernetes/admin.conf", Some(0o640)),
            ("/etc/kubernetes/scheduler.conf", Some(0o644)),
            ("/opt/kubeconfig", Some(0o644)),
        ]
    );
    let unread: Vec<&str> = found.unread_kubeconfigs.iter().map(|unknown| unknown.what.as_str()).collect();
    assert_eq!(unread, ["/etc/kubernetes/kubelet.conf"]);
    let invalid: Vec<Option<&str>> = found.invalid_files.iter().map(|(origin, _)| origin.path()).collect();
    assert_eq!(invalid, [Some("/etc/kubernetes/scheduler.conf"), Some("/root/.kube/config"), Some("/opt/none")]);
    assert_eq!(found.absent_files.iter().map(|name| name.value.as_str()).collect::<Vec<_>>(), ["/opt/gone"]);
}

#[test]
fn certificates_that_other_files_name() {
    let source = MemorySource::new("m1")
        .file("/var/lib/kubelet/config.yaml", KUBELET)
        .file("/etc/kubernetes/admin.conf", ADMIN)
        .file("/etc/kubernetes/pki/ca.crt", include_str!("../../../testdata/pem/ec.crt"));
    let problems = Problems::new("m1");
    let files = Files::new(Arc::new(source));
    let mut found = collect(&files, &problems, "");
    let flag = Sourced::new("/gone.key".to_owned(), Origin::file("/m/a.yaml", None));
    certificates::add(&mut found, &files, &problems, &[flag]);
    assert_eq!(found.certificates.keys().collect::<Vec<_>>(), ["/etc/kubernetes/pki/ca.crt"]);
    let absent: Vec<String> = found.absent_files.iter().map(|name| format!("{} {}", name.value, name.origin)).collect();
    assert_eq!(absent, ["/gone.key /m/a.yaml", "/gone.crt /etc/kubernetes/admin.conf:8:30"]);
}

#[test]
fn kubeadms_configuration_is_found_by_what_it_says() {
    let init = "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\napi: {advertiseAddress: 10.0.0.1}\n";
    let source = MemorySource::new("m1")
        .file("/root/config.yaml", format!("{init}---\n{KUBELET}"))
        .file("/root/kubelet.yaml", KUBELET)
        .file("/root/notes.txt", init)
        .file("/root/broken.yml", format!("{init}x: [\n"))
        .file("/root/grep.yaml", "kubeadm.k8s.io/ is an API\n")
        .file("/etc/kubernetes/kubeadm-config.yaml", init)
        .file("/etc/kubernetes/other.yaml", init);
    let (found, _) = run(source, "");
    let read: Vec<(&str, &str)> = found
        .kubeadm_configuration
        .iter()
        .map(|document| (document.path.as_str(), document.kind.value.as_str()))
        .collect();
    assert_eq!(
        read,
        [
            ("/etc/kubernetes/kubeadm-config.yaml", "MasterConfiguration"),
            ("/root/broken.yml", "MasterConfiguration"),
            ("/root/config.yaml", "MasterConfiguration"),
            ("/root/config.yaml", "KubeletConfiguration"),
        ]
    );
    let invalid: Vec<String> = found.invalid_files.iter().map(|(origin, _)| origin.to_string()).collect();
    assert_eq!(invalid, ["/root/broken.yml:5:1"]);
}
