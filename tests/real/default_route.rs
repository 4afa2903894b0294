//! A network namespace without a default route, and an apiserver that has to find out its address by it.

use crate::harness::{Options, Sandbox};

const RULE: &str = "host-no-default-route";
const PATH: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

const MANIFEST: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
  namespace: kube-system
spec:
  hostNetwork: true
  containers:
  - name: kube-apiserver
    image: registry.k8s.io/kube-apiserver:v1.28.3
    command:
    - kube-apiserver
    - --secure-port=6443
    - --etcd-servers=http://127.0.0.1:2379
";

fn host_without_route() -> Option<Sandbox> {
    let host = Sandbox::start(Options { gateway: None, ..Options::default() })?;
    host.write(PATH, MANIFEST);
    assert!(!host.sh("ip route").contains("default"));
    Some(host)
}

#[test]
fn found_and_mended_by_a_route_where_the_gateway_is_known() {
    let Some(host) = host_without_route() else { return };
    host.write("/etc/resolv.conf", "nameserver 10.0.0.1\n");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1"]);
    assert_eq!(finding.evidence()[0]["path"], "/proc/net/route", "{}", report.human());
    assert!(finding.evidence().iter().any(|evidence| evidence["path"] == PATH), "{}", report.human());

    host.apply(&finding.fix());
    assert!(host.sh("ip route").contains("default via 10.0.0.1 dev eth0"), "{:?}", finding.fix());
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn found_and_mended_by_an_address_where_no_gateway_is_known() {
    let Some(host) = host_without_route() else { return };
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    host.apply(&finding.fix());
    assert!(host.read(PATH).contains("\n    - --advertise-address=10.0.0.11\n"), "{}", host.read(PATH));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_address_that_is_given_needs_no_route() {
    let Some(host) = host_without_route() else { return };
    let manifest = MANIFEST.replace("    - --secure-port", "    - --advertise-address=10.0.0.11\n    - --secure-port");
    host.write(PATH, manifest);
    host.check(&["--only", RULE]).silent(RULE);
}
