//! A network namespace without a default route, and an apiserver that has to find out its address by it.

use crate::harness::{Options, Sandbox, apiserver_manifest};

const RULE: &str = "host-no-default-route";
const PATH: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

const FLAGS: &[&str] = &["--secure-port=6443", "--etcd-servers=http://127.0.0.1:2379"];

fn host_without_route() -> Option<Sandbox> {
    let host = Sandbox::start(Options { gateway: None, ..Options::default() })?;
    host.write(PATH, apiserver_manifest(FLAGS));
    assert!(!host.sh("ip route").contains("default"));
    Some(host)
}

#[test]
fn found_and_mended_as_printed() {
    let Some(host) = host_without_route() else { return };
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1"]);
    assert_eq!(finding.evidence()[0]["path"], "/proc/net/route", "{}", report.human());
    assert!(finding.evidence().iter().any(|evidence| evidence["path"] == PATH), "{}", report.human());

    host.apply(&finding.fix());
    assert!(host.read(PATH).contains("\n    - --advertise-address=10.0.0.11\n"), "{}", host.read(PATH));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn found_and_mended_by_a_route() {
    let Some(host) = host_without_route() else { return };
    host.check(&["--only", RULE]).only(RULE);
    host.sh("ip route add default via 10.0.0.1 dev eth0");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_address_that_is_given_needs_no_route() {
    let Some(host) = host_without_route() else { return };
    let manifest = apiserver_manifest(FLAGS)
        .replace("    - --secure-port", "    - --advertise-address=10.0.0.11\n    - --secure-port");
    host.write(PATH, manifest);
    host.check(&["--only", RULE]).silent(RULE);
}
