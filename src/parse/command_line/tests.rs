use super::*;
use crate::origin::Span;

fn command(words: &[&str]) -> CommandLine {
    let mut start = 0;
    let words = words
        .iter()
        .map(|word| {
            let span = Span { start, end: start + word.len(), line: 1, column: start as u32 + 1 };
            start += word.len() + 1;
            Sourced::new((*word).to_owned(), Origin::file("/s", Some(span)))
        })
        .collect();
    CommandLine { words, ..CommandLine::default() }
}

#[test]
#[allow(clippy::type_complexity, reason = "the type of a table")]
fn programs_that_are_components() {
    let table: &[(&[&str], Option<(ComponentName, usize)>)] = &[
        (&["/opt/bin/etcd", "--name", "a"], Some((ComponentName::Etcd, 1))),
        (&["hyperkube", "kubelet"], Some((ComponentName::Kubelet, 2))),
        (&["/hyperkube", "apiserver"], Some((ComponentName::KubeApiserver, 2))),
        (&["hyperkube", "kube-proxy"], Some((ComponentName::KubeProxy, 2))),
        (&["hyperkube", "etcd"], None),
        (&["hyperkube"], None),
        (&["docker", "daemon", "-H", "fd://"], Some((ComponentName::Dockerd, 2))),
        (&["/usr/bin/docker", "-d"], Some((ComponentName::Dockerd, 2))),
        (&["docker", "run", "etcd"], None),
        (&["dockerd"], Some((ComponentName::Dockerd, 1))),
        (&["../bin/flanneld-server", "-v", "4"], Some((ComponentName::Flanneld, 1))),
        (
            &["/go-runner", "--log-file=/x", "/usr/local/bin/kube-scheduler", "--v=2"],
            Some((ComponentName::KubeScheduler, 3)),
        ),
        (&["tini", "tini", "etcd"], None),
        (&["etcdctl", "get"], None),
        (&["/usr/bin/etcd (deleted)"], Some((ComponentName::Etcd, 1))),
        (&[], None),
    ];
    for (words, wanted) in table {
        assert_eq!(&identify(words), wanted, "{words:?}");
    }
}

#[test]
#[allow(clippy::type_complexity, reason = "the type of a table")]
fn flags_of_all_spellings() {
    let table: &[(ComponentName, &[&str], &[(&str, &[&str])], &[&str])] = &[
        (
            ComponentName::Etcd,
            &["etcd", "--name=a", "--data-dir", "/d"],
            &[("data-dir", &["/d"]), ("name", &["a"])],
            &[],
        ),
        (
            ComponentName::Etcd,
            &["etcd", "-name", "a", "--client-cert-auth", "--peer-client-cert-auth=true"],
            &[("client-cert-auth", &[""]), ("name", &["a"]), ("peer-client-cert-auth", &["true"])],
            &[],
        ),
        (
            ComponentName::KubeApiserver,
            &["x", "--etcd_servers=http://a:1,http://b:1", "--allow_privileged", "false"],
            &[("allow-privileged", &[""]), ("etcd-servers", &["http://a:1,http://b:1"])],
            &["false"],
        ),
        (
            ComponentName::Kubelet,
            &["x", "--node-labels=a=b", "--node-labels=c=d", "--oom-score-adj", "-999", "--v=2"],
            &[("node-labels", &["a=b", "c=d"]), ("oom-score-adj", &["-999"]), ("v", &["2"])],
            &[],
        ),
        (
            ComponentName::Dockerd,
            &["x", "-H", "unix:///a", "-H", "tcp://0.0.0.0:2375", "-D", "--graph=/g"],
            &[("debug", &[""]), ("graph", &["/g"]), ("host", &["unix:///a", "tcp://0.0.0.0:2375"])],
            &[],
        ),
        (ComponentName::Haproxy, &["x", "-Ws", "-f", "/c", "--", "-z"], &[("Ws", &[""]), ("f", &["/c"])], &["-z"]),
        (
            ComponentName::Flanneld,
            &["x", "-v", "16", "-ip-masq", "rest"],
            &[("ip-masq", &[""]), ("v", &["16"])],
            &["rest"],
        ),
        (ComponentName::Etcd, &["x", "--", "-a"], &[], &["-a"]),
        (ComponentName::Etcd, &["x", "-", "--", "--name"], &[], &["-", "--name"]),
        (ComponentName::Etcd, &["x", "--empty=", "--last"], &[("empty", &[""]), ("last", &[""])], &[]),
    ];
    for (component, words, wanted, arguments) in table {
        let found = flags(*component, &command(words), 1);
        let got: Vec<(&str, Vec<&str>)> = found
            .flags
            .iter()
            .map(|(name, values)| (name.as_str(), values.iter().map(|value| value.value.as_str()).collect()))
            .collect();
        let wanted: Vec<(&str, Vec<&str>)> = wanted.iter().map(|(name, values)| (*name, values.to_vec())).collect();
        assert_eq!(got, wanted, "{words:?}");
        let got: Vec<&str> = found.arguments.iter().map(|word| word.value.as_str()).collect();
        assert_eq!(&got, arguments, "{words:?}");
    }
}

#[test]
fn origins_are_narrowed_to_value_and_name() {
    let words = ["x", "--etcd_servers=http://a:1", "--name", "m1"];
    let line = words.join(" ");
    let found = flags(ComponentName::KubeApiserver, &command(&words), 1);
    let text = |origin: &Origin| {
        let span = origin.span().unwrap();
        line[span.start..span.end].to_owned()
    };
    assert_eq!(text(&found.flags["etcd-servers"][0].origin), "http://a:1");
    assert_eq!(text(&found.flags["name"][0].origin), "m1");
    let spelt: Vec<String> = found.spelt.iter().map(|word| text(&word.origin)).collect();
    assert_eq!(spelt, ["--etcd_servers", "--name"]);
    assert_eq!(found.spelt[0].value, "--etcd_servers");
}

#[test]
fn secrets_are_left_out() {
    let table: &[(&[&str], &[&str])] = &[
        (&["x", "--etcd-password=p"], &["x", "--etcd-password=<hidden>"]),
        (&["x", "--etcd-password", "p", "--v=1"], &["x", "--etcd-password", "<hidden>", "--v=1"]),
        (&["x", "--token-auth-file=/t"], &["x", "--token-auth-file=/t"]),
        (&["x", "--initial-cluster-token=c"], &["x", "--initial-cluster-token=c"]),
        (&["x", "--token", "--v=1"], &["x", "--token", "--v=1"]),
        (&["x", "--enable-bootstrap-token-auth"], &["x", "--enable-bootstrap-token-auth"]),
    ];
    for (words, wanted) in table {
        let mut words = command(words).words;
        hide_secrets(&mut words);
        let found: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
        assert_eq!(&found, wanted);
    }
    assert_eq!(public("DB_PASSWORD", "x"), HIDDEN);
    assert_eq!(public("KUBE_API_ARGS", "x"), "x");
}
