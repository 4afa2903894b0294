//! What is made of a few lines that somebody posted: a file or standard input, without the rest of the host.

#![expect(clippy::disallowed_methods, reason = "logs are written besides what the program reads")]

use k8sdoctor::engine::run::{RunOptions, run};
use k8sdoctor::report::Severity;

/// Rules and severities of the findings in a log of these lines, in the report's order.
fn findings(name: &str, lines: &[&str]) -> Vec<(String, Severity)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let sources = vec![path.to_str().unwrap().to_owned()];
    let report = run(&RunOptions { sources, ..RunOptions::default() }).unwrap().report;
    report.findings.into_iter().map(|finding| (finding.rule, finding.severity)).collect()
}

fn rules(name: &str, lines: &[&str]) -> Vec<String> {
    findings(name, lines).into_iter().map(|(rule, _)| rule).collect()
}

const REFUSED: &str = "E0801 10:00:00.000000    1234 kubelet_node_status.go:92] Unable to register node \"n1\" with API \
     server: Post https://10.0.0.1:6443/api/v1/nodes: dial tcp 10.0.0.1:6443: connect: connection refused";
const EXPIRED: &str = "E0801 10:00:01.000000    1234 reflector.go:138] Failed to list *v1.Node: Get \
     \"https://10.0.0.1:6443/api/v1/nodes\": x509: certificate has expired or is not yet valid";

#[test]
fn what_would_have_to_go_on_is_told_of_an_excerpt() {
    assert_eq!(rules("kubelet.log", &[REFUSED]), ["kubelet-apiserver-unreachable"]);
}

#[test]
fn it_is_not_told_beside_something_certain() {
    assert_eq!(rules("kubelet.log", &[REFUSED, EXPIRED]), ["pki-expired"]);
    assert_eq!(rules("kubelet.log", &[EXPIRED, REFUSED]), ["pki-expired"]);
}

#[test]
fn it_is_not_told_of_a_whole_log() {
    let other = "I0801 10:00:00.000000    1234 server.go:440] Kubelet version: v1.20.0";
    let mut lines = vec![other; 20];
    lines.push(REFUSED);
    assert_eq!(rules("kubelet.log", &lines), [] as [&str; 0]);
}

#[test]
fn what_commands_print_is_a_hint() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["node1   NotReady   <none>   3d   v1.20.0"], &["node-not-ready"]),
        (&["node1   NotReady   <none>   3d   v1.20.0", EXPIRED], &["pki-expired"]),
        (&["node1   Ready      <none>   3d   v1.20.0"], &[]),
        (
            &["The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?"],
            &["apiserver-not-running"],
        ),
        (&["[kubelet-check] It seems like the kubelet isn't running or healthy."], &["kubelet-not-running"]),
        (
            &[
                "[kubelet-check] It seems like the kubelet isn't running or healthy.",
                "failed to run Kubelet: running with swap on is not supported, please disable swap",
            ],
            &["host-swap-enabled"],
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(rules("paste.log", lines), *expected, "{lines:?}");
    }
}

#[test]
fn lines_may_be_quoted_cut_or_without_their_beginning() {
    let cases: &[(&str, &[&str])] = &[
        (
            "> 2018-12-10 04:56:17.420303 C | etcdmain: listen tcp 1.2.3.4:2380: bind: cannot assign requested address",
            &["etcd-address-not-local"],
        ),
        ("    etcd: listen tcp 52.81.42.145:2380: bind: cannot assign requested address", &["etcd-address-not-local"]),
        ("member 51eecfc041171d8f has already been bootstrapped", &["etcd-member-already-bootstrapped"]),
        (
            "unable to configure the Docker daemon with file /etc/docker/daemon.json: the following directives are specified both as a flag and in the conf",
            &["docker-hosts-conflict"],
        ),
        ("failed to run Kubelet: running with swap on is not supported, pleas>", &["host-swap-enabled"]),
    ];
    for (line, expected) in cases {
        assert_eq!(rules("paste.log", &[line]), *expected, "{line}");
    }
}

/// What any message may end with: known from no message of its own, so told where nothing else is known, of an excerpt.
#[test]
fn what_any_message_may_end_with_is_the_last_resort() {
    let ending =
        "E0801 10:00:02.000000    1234 widget.go:12] Failed: dial tcp 10.0.0.11:2379: connect: connection refused";
    let hint = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?";
    let other = "I0801 10:00:00.000000    1234 server.go:440] Kubelet version: v1.20.0";
    let mut whole = vec![other; 20];
    whole.push(ending);
    let cases: &[(&[&str], &[&str])] = &[
        (&[ending], &["etcd-endpoint-unreachable"]),
        (&[other, ending], &["etcd-endpoint-unreachable"]),
        (&[ending, EXPIRED], &["pki-expired"]),
        (&[ending, hint], &["apiserver-not-running"]),
        (&whole, &[]),
    ];
    for (lines, expected) in cases {
        assert_eq!(rules("messages", lines), *expected, "{lines:?}");
    }
}

/// What much leads to is seldom the root: of two that do not explain each other the one with fewer causes is first.
#[test]
fn what_fewer_conditions_lead_to_comes_first() {
    let swap = "F0801 10:00:01.000000    1234 server.go:262] failed to run Kubelet: Running with swap on is not supported, \
         please disable swap! or set --fail-swap-on flag to false.";
    let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    assert_eq!(rules("messages", &[down, swap]), ["host-swap-enabled", "docker-not-running"]);
}
