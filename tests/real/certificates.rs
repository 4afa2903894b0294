//! A server certificate that lacks the load balancer's address, on disk and as it is served.

use crate::harness::{Options, Process, Sandbox, apiserver_manifest, eventually};

const RULE: &str = "pki-san-missing";
const PKI: &str = "/etc/kubernetes/ssl";
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

/// By hand, not with kubeadm: its own folder, so that the printed fix is OpenSSL's.
const FLAGS: &[&str] = &[
    "--advertise-address=10.0.0.11",
    "--client-ca-file=/etc/kubernetes/ssl/ca.crt",
    "--tls-cert-file=/etc/kubernetes/ssl/apiserver.crt",
    "--tls-private-key-file=/etc/kubernetes/ssl/apiserver.key",
    "--etcd-servers=http://127.0.0.1:2379",
];

/// The load balancer's address is on the host too, as a virtual address of keepalived is on the master that has it.
const BALANCER: &str = "10.0.0.88";

fn kubeconfig(host: &Sandbox) -> String {
    let ca = host.sh(&format!("base64 -w0 {PKI}/ca.crt"));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority-data: {ca}\n    \
         server: https://{BALANCER}:6443\ncontexts:\n- name: default\n  context:\n    cluster: kubernetes\n    user: node\n\
         current-context: default\nusers:\n- name: node\n  user: {{}}\n"
    )
}

fn serve(host: &Sandbox) -> Process {
    let server = host.spawn(
        &format!("openssl s_server -accept 6443 -cert {PKI}/apiserver.crt -key {PKI}/apiserver.key -www -quiet"),
        "/tmp/server.log",
    );
    eventually("a TLS server", 10, || host.output("ss -Hltn | grep ':6443 '").status.success().then_some(()));
    server
}

#[test]
fn found_on_disk_and_as_served_and_mended() {
    let Some(host) = Sandbox::start(Options {
        addresses: &["10.0.0.11/24", "10.0.0.88/32"],
        needs: &["openssl", "ss"],
        ..Options::default()
    }) else {
        return;
    };
    host.sh(&format!(
        r#"set -e
        mkdir -p {PKI}; cd {PKI}
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=kubernetes
        openssl req -newkey rsa:2048 -nodes -keyout apiserver.key -out /tmp/csr -subj /CN=kube-apiserver
        printf 'subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:m1,IP:10.0.0.11,IP:10.96.0.1,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' > /tmp/ext
        openssl x509 -req -in /tmp/csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile /tmp/ext -out apiserver.crt"#
    ));
    host.write(MANIFEST, apiserver_manifest(FLAGS));
    host.write("/etc/kubernetes/kubelet.conf", kubeconfig(&host));
    let mut server = serve(&host);

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&[BALANCER]);
    let kinds: Vec<&str> = finding.evidence().iter().filter_map(|evidence| evidence["kind"].as_str()).collect();
    assert!(kinds.contains(&"file") && kinds.contains(&"probe"), "{kinds:?}\n{}", report.human());
    let certificate = format!("{PKI}/apiserver.crt");
    assert_eq!(finding.evidence()[0]["path"], certificate, "{}", report.human());
    let named = finding.evidence().iter().any(|evidence| evidence["path"] == "/etc/kubernetes/kubelet.conf");
    assert!(named, "who dials it is not said\n{}", report.human());

    host.apply(&finding.fix());
    let names = host.sh(&format!("openssl x509 -in {certificate} -noout -ext subjectAltName,extendedKeyUsage"));
    for name in [BALANCER, "10.0.0.11", "DNS:kubernetes.default.svc", "TLS Web Server Authentication"] {
        assert!(names.contains(name), "{name} is not in the new certificate: {names}");
    }
    // The file is right, what is served is still the old one.
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    assert_eq!(finding.evidence_of("probe").len(), finding.evidence().len(), "{}", report.human());
    server.kill();
    let _server = serve(&host);
    host.check(&["--only", RULE]).silent(RULE);
}
