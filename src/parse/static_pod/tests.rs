use super::*;

const ETCD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://10.0.0.1:2379
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --listen-peer-urls=https://10.0.0.1:2380 # é
    - \"--name=m1\"
    args: [--data-dir, /var/lib/etcd]
    env:
    - {name: ETCD_INITIAL_CLUSTER_TOKEN, value: k8s}
    - {name: DB_PASSWORD, value: hunter2}
    - {name: BOT_TOKEN, value: hunter3}
    - {name: HTTPS_PROXY, value: 'http://me:hunter4@10.0.0.9:3128/'}
    - name: POD_IP
      valueFrom: {fieldRef: {fieldPath: status.podIP}}
    image: registry.k8s.io/etcd:3.5.10-0
    livenessProbe:
      httpGet: {host: 127.0.0.1, path: /health, port: 2381, scheme: HTTP}
    readinessProbe:
      tcpSocket: {port: etcd}
    startupProbe:
      exec: {command: ['true']}
    name: etcd
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
  hostNetwork: true
  volumes:
  - hostPath:
      path: /var/lib/etcd
      type: DirectoryOrCreate
    name: etcd-data
  - name: other
    emptyDir: {}
";

fn covered<'a>(text: &'a str, value: &Sourced<String>) -> &'a str {
    let span = value.origin.span().expect("a span");
    &text[span.start..span.end]
}

#[test]
fn a_pod_with_the_place_of_each_word() {
    for text in [ETCD.to_owned(), ETCD.replace('\n', "\r\n")] {
        let manifest = parse("/etc/kubernetes/manifests/etcd.yaml", &text);
        assert_eq!((&manifest.invalid, &manifest.problems), (&vec![], &vec![]));
        let [pod] = &manifest.pods[..] else { panic!("one pod") };
        assert_eq!(pod.name.as_ref().map(|name| name.value.as_str()), Some("etcd"));
        assert_eq!(pod.namespace.as_deref(), Some("kube-system"));
        assert!(pod.host_network);
        assert_eq!(pod.annotations["kubeadm.kubernetes.io/etcd.advertise-client-urls"].value, "https://10.0.0.1:2379");
        let container = &pod.containers[0];
        let words: Vec<&str> = container.command.iter().map(|word| covered(&text, word)).collect();
        let expected = ["etcd", "--listen-peer-urls=https://10.0.0.1:2380", "--name=m1", "--data-dir", "/var/lib/etcd"];
        assert_eq!(words, expected);
        assert!(container.command.iter().zip(expected).all(|(word, expected)| word.value == expected));
        assert_eq!(container.command[1].origin.to_string(), "/etc/kubernetes/manifests/etcd.yaml:12:7");
        assert_eq!(container.image.as_ref().map(|image| covered(&text, image)), Some("registry.k8s.io/etcd:3.5.10-0"));
        assert_eq!(container.mounts["/var/lib/etcd"], "etcd-data");
        let [path] = &pod.host_paths[..] else { panic!("one host path") };
        assert_eq!((path.volume.as_str(), path.kind.as_str()), ("etcd-data", "DirectoryOrCreate"));
        assert_eq!(covered(&text, &path.path), "/var/lib/etcd");
    }
}

#[test]
fn probes_name_port_and_place() {
    let manifest = parse("/m/etcd.yaml", ETCD);
    let probes: Vec<String> = manifest.pods[0].containers[0]
        .probes
        .iter()
        .map(|probe| {
            let host = probe.host.as_deref().unwrap_or("-");
            format!("{} {}://{host}:{}{} {}", probe.kind, probe.scheme, probe.port, probe.path, probe.origin)
        })
        .collect();
    assert_eq!(
        probes,
        [
            "livenessProbe HTTP://127.0.0.1:2381/health /m/etcd.yaml:24:55",
            "readinessProbe TCP://-:etcd /m/etcd.yaml:26:25",
        ]
    );
}

#[test]
fn secrets_of_the_environment_are_not_kept() {
    let manifest = parse("/m/etcd.yaml", ETCD);
    assert!(!format!("{manifest:?}").contains("hunter"));
    let environment = &manifest.pods[0].containers[0].environment;
    let values: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.value.as_str())).collect();
    assert_eq!(
        values,
        [
            ("BOT_TOKEN", "<secret>"),
            ("DB_PASSWORD", "<secret>"),
            ("ETCD_INITIAL_CLUSTER_TOKEN", "k8s"),
            ("HTTPS_PROXY", "http://<secret>@10.0.0.9:3128/"),
        ]
    );
}

#[test]
fn what_the_kubelet_refuses() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    image: i\n";
    // (text, pods that are still read, why, at line)
    let table: &[(String, usize, &str, u32)] = &[
        (String::new(), 0, "the file is empty", 0),
        ("KUBE_MASTER=x\n".to_owned(), 0, "no Pod: the document has no kind", 1),
        ("apiVersion: apps/v1\nkind: Deployment\n".to_owned(), 0, "a Deployment, where", 2),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n".to_owned(), 0, "has no spec", 1),
        (
            format!("{pod}    command:\n    - sleep\n    - 5\n"),
            1,
            "command.1 is a number where a string belongs; put",
            10,
        ),
        (format!("{pod}    args: --v=2\n"), 1, "args is a string where a list", 8),
        (format!("{pod}    env: [{{name: A, value: on}}]\n"), 1, "spec.containers.0.env.0.value is a bool", 8),
        (format!("{pod}\t command: []\n"), 0, "tab", 8),
        (format!("{pod}   command: []\n"), 0, "", 8),
        (pod.replace("image: i", "tty: true"), 1, "spec.containers.0 has no image", 6),
        (pod.replace("{name: a}", "{}"), 1, "no metadata.name", 1),
        (pod.replace("v1", "v1beta3"), 1, "a Pod of apiVersion v1beta3", 1),
        (pod.replace("  - name: a\n    image: i\n", ""), 1, "has no containers", 5),
        (
            format!("kind: List\nitems:\n- {}", pod.replace('\n', "\n  ")),
            1,
            "one Pod of a manifest file, not a List",
            1,
        ),
    ];
    for (text, pods, expected, line) in table {
        let manifest = parse("/m/a.yaml", text);
        assert_eq!(manifest.pods.len(), *pods, "{text:?}");
        assert_eq!(manifest.invalid.len(), 1, "{text:?}: {:?}", manifest.invalid);
        let (origin, why) = &manifest.invalid[0];
        assert!(why.contains(expected), "{text:?}: {why}");
        assert_eq!(origin.span().map_or(0, |span| span.line), *line, "{text:?}: {why}");
    }
    assert_eq!(parse("/m/a.yaml", pod).invalid, []);
}

#[test]
fn json_manifests_and_lists() {
    let text = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"kube-apiserver"},
 "spec":{"hostNetwork":true,"containers":[{"name":"kube-apiserver","image":"i",
 "command":["/bin/sh","-c","exec kube-apiserver --v=2"]}]}}"#;
    let manifest = parse("/m/kube-apiserver.manifest", text);
    assert_eq!(manifest.invalid, []);
    let words: Vec<&str> = manifest.pods[0].containers[0].command.iter().map(|word| covered(text, word)).collect();
    assert_eq!(words, ["/bin/sh", "-c", "exec kube-apiserver --v=2"]);
    let list = format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{text},{text}]}}"#);
    assert_eq!(parse("/m/list.json", &list).pods.len(), 2);
}

#[test]
fn later_documents_are_ignored_and_repeated_keys_allowed() {
    let manifest = parse("/m/etcd.yaml", &format!("{ETCD}---\n{ETCD}"));
    assert_eq!((manifest.pods.len(), manifest.invalid.len(), manifest.problems.len()), (1, 0, 1));
    assert_eq!(manifest.problems[0].span.map(|span| span.line), Some(ETCD.lines().count() as u32 + 2));
    let manifest =
        parse("/m/etcd.yaml", &ETCD.replace("  hostNetwork: true\n", "  hostNetwork: false\n  hostNetwork: true\n"));
    assert_eq!((manifest.pods[0].host_network, manifest.invalid.len(), manifest.problems.len()), (true, 0, 1));
}
