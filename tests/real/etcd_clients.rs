//! Clients of etcd whose server is not there, is no member, is too old, or speaks another API.

use crate::harness::{Options, Process, Sandbox, apiserver_manifest, eventually, kubernetes_program};

const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const UNIT: &str = "/etc/systemd/system/etcd.service";

fn host() -> Option<Sandbox> {
    let addresses = &["10.0.0.11/24", "10.0.0.12/24"];
    Sandbox::start(Options { addresses, booted: true, needs: &["etcd", "etcdctl"], ..Options::default() })
}

fn apiserver(servers: &str) -> String {
    apiserver_manifest(&["--advertise-address=10.0.0.11", &format!("--etcd-servers={servers}")])
}

/// The member m1, started as its unit says.
fn member(host: &Sandbox, program: &str, more: &str) -> Process {
    host.write(
        UNIT,
        format!(
            "[Service]\nExecStart={program} --name m1 --data-dir /var/lib/etcd --listen-client-urls \
             http://10.0.0.11:2379 --advertise-client-urls http://10.0.0.11:2379 --listen-peer-urls \
             http://10.0.0.11:2380 --initial-advertise-peer-urls http://10.0.0.11:2380 --initial-cluster \
             m1=http://10.0.0.11:2380{more}\n[Install]\nWantedBy=multi-user.target\n"
        ),
    );
    host.enable(UNIT);
    let etcd = host.start_unit(UNIT, "/tmp/etcd.log");
    let health = "ETCDCTL_API=3 etcdctl --endpoints http://10.0.0.11:2379 endpoint health 2>&1";
    eventually("etcd", 60, || host.output(health).status.success().then_some(()));
    etcd
}

#[test]
fn an_apiserver_whose_etcd_is_gone() {
    const RULE: &str = "apiserver-etcd-unreachable";
    let Some(host) = host() else { return };
    host.write(MANIFEST, apiserver("http://10.0.0.11:2379"));
    let etcd = member(&host, "/usr/bin/etcd", "");
    host.check(&["--only", RULE]).silent(RULE);
    drop(etcd);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "10.0.0.11:2379"]);
    assert!(!finding.evidence_of("probe").is_empty(), "{}", report.human());
    // Nothing is listed where it should listen.
    let listed = host.output(finding.fix()[0].split(';').next().unwrap_or_default());
    assert!(listed.stdout.is_empty(), "{listed:?}");
    let _etcd = member(&host, "/usr/bin/etcd", "");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn flannel_whose_etcd_is_gone() {
    const RULE: &str = "flannel-etcd-unreachable";
    let Some(host) = host() else { return };
    let unit = "[Service]\nExecStart=/usr/bin/flanneld --etcd-endpoints=http://10.0.0.11:2379\n[Install]\n\
                WantedBy=multi-user.target\n";
    host.write("/etc/systemd/system/flanneld.service", unit);
    host.enable("/etc/systemd/system/flanneld.service");
    let etcd = member(&host, "/usr/bin/etcd", "");
    host.check(&["--only", RULE]).silent(RULE);
    drop(etcd);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "10.0.0.11:2379"]);
    let _etcd = member(&host, "/usr/bin/etcd", "");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_address_that_is_no_members() {
    const RULE: &str = "etcd-member-unknown";
    let Some(host) = host() else { return };
    let manifest = apiserver("http://10.0.0.11:2379,http://192.168.50.1:2379");
    host.write(MANIFEST, &manifest);
    let _etcd = member(&host, "/usr/bin/etcd", "");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["192.168.50.1", "10.0.0.11"]);
    assert!(finding.evidence().iter().any(|evidence| evidence["path"] == MANIFEST), "{}", report.human());
    let shown = host.sh(finding.fix().last().map(String::as_str).unwrap_or_default());
    assert!(shown.contains("192.168.50.1"), "{shown}");
    host.write(MANIFEST, apiserver("http://10.0.0.11:2379"));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_etcd_of_another_time_than_its_apiserver() {
    const RULE: &str = "etcd-version-unsupported";
    const ENDED: &str = "version-end-of-life";
    let both = ["--only", "etcd-version-unsupported,version-end-of-life"];
    let Some(host) = host() else { return };
    let version = host.sh("etcd --version");
    if !version.contains("Version: 3.4") {
        return crate::harness::skip("this etcd is not of 3.4");
    }
    host.write(MANIFEST, apiserver("http://10.0.0.11:2379").replace("v1.28.3", "v1.34.1"));
    let etcd = member(&host, "/usr/bin/etcd", "");
    let report = host.check(&both);
    let finding = report.only(RULE);
    finding.says(&["etcd 3.4"]);
    let ended = report.of_rule(ENDED);
    assert!(ended.iter().any(|finding| finding.title().contains("etcd 3.4")), "{}", report.human());
    // The snapshot that it asks for.
    host.sh("mkdir -p /var/backups");
    let snapshot = finding.fix()[0].replace("etcdctl ", "etcdctl --endpoints http://10.0.0.11:2379 ");
    host.sh(&snapshot);
    drop(etcd);
    let Some(newer) = kubernetes_program("etcd") else { return crate::harness::skip("no newer etcd is here") };
    host.sh("rm -rf /var/lib/etcd");
    let _etcd = member(&host, &newer.display().to_string(), "");
    let report = host.check(&both);
    let mut found = report.of_rule(RULE).into_iter().chain(report.of_rule(ENDED));
    assert!(!found.any(|finding| finding.title().contains("etcd")), "{}", report.human());
}

#[test]
fn flannel_of_the_v2_api_and_an_etcd_without_it() {
    const RULE: &str = "etcd-api-version-mismatch";
    let Some(host) = host() else { return };
    // What an old flanneld does not get, and its version as its image has it.
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: flannel\n  namespace: kube-system\nspec:\n  hostNetwork: true\n  \
               containers:\n  - name: flannel\n    image: quay.io/coreos/flannel:v0.12.0-amd64\n    command:\n    \
               - /opt/bin/flanneld\n    - --etcd-endpoints=http://10.0.0.11:2379\n";
    host.write("/etc/kubernetes/manifests/flannel.yaml", pod);
    let etcd = member(&host, "/usr/bin/etcd", "");
    let old = "curl -sf http://10.0.0.11:2379/v2/keys/";
    assert!(!host.output(old).status.success(), "this etcd serves v2");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["v2", "3.4"]);
    drop(etcd);
    let _etcd = member(&host, "/usr/bin/etcd", " --enable-v2=true");
    assert!(host.output(old).status.success(), "it does not serve v2");
    host.check(&["--only", RULE]).silent(RULE);
}
