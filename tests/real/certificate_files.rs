//! Certificates and keys that etcd serves with or its clients come with: ended, ending, of another key, authority or use,
//! missing, open to everybody. etcdctl or etcd itself says so before they are found.

use crate::harness::cfssl::Authority;
use crate::harness::{Finding, Options, Process, Sandbox, apiserver_manifest, eventually};

const PKI: &str = "/etc/etcd/ssl";
const UNIT: &str = "/etc/systemd/system/etcd.service";
const LOG: &str = "/var/log/etcd.log";
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const NAMES: &[&str] = &["m1", "10.0.0.11", "127.0.0.1"];

/// A master with an etcd under systemd and an apiserver that is its client, all certificates in order.
fn host() -> Option<Sandbox> {
    let host = Sandbox::start(Options {
        needs: &["etcd", "etcdctl", "cfssl", "cfssljson", "openssl", "su"],
        ..Options::default()
    })?;
    let authority = Authority::new(&host, PKI, "etcd");
    authority.issue("server", "server", "etcd", NAMES);
    authority.issue("client", "client", "kube-apiserver", &[]);
    host.sh(&format!("chmod 600 {PKI}/*-key.pem"));
    host.write(
        UNIT,
        format!(
            "[Service]\nExecStart=/usr/bin/etcd --name m1 --data-dir /var/lib/etcd --listen-client-urls \
             https://10.0.0.11:2379 --advertise-client-urls https://10.0.0.11:2379 --listen-peer-urls \
             http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster \
             m1=http://127.0.0.1:2380 --cert-file={PKI}/server.pem --key-file={PKI}/server-key.pem --client-cert-auth \
             --trusted-ca-file={PKI}/ca.pem\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"
        ),
    );
    host.enable(UNIT);
    host.write(MANIFEST, manifest("ca.pem"));
    Some(host)
}

/// A tool of OpenSSL's kind that issues with profiles.
fn authority(host: &Sandbox) -> Authority<'_> {
    Authority::of(host, PKI)
}

fn manifest(ca: &str) -> String {
    let text = apiserver_manifest(&[
        "--advertise-address=10.0.0.11",
        "--etcd-servers=https://10.0.0.11:2379",
        &format!("--etcd-cafile={PKI}/{ca}"),
        &format!("--etcd-certfile={PKI}/client.pem"),
        &format!("--etcd-keyfile={PKI}/client-key.pem"),
    ]);
    format!(
        "{text}    volumeMounts:\n    - name: etcd\n      mountPath: {PKI}\n  volumes:\n  - name: etcd\n    hostPath:\n      \
         path: {PKI}\n"
    )
}

fn etcd(host: &Sandbox) -> Process {
    let mut etcd = host.start_unit(UNIT, LOG);
    eventually("etcd's port", 30, || {
        assert!(etcd.ended().is_none(), "etcd ends:\n{}", host.read(LOG));
        host.output("ss -Hltn | grep ':2379 '").status.success().then_some(())
    });
    etcd
}

/// What a client says: nothing when all is well.
fn refused(host: &Sandbox, ca: &str) -> Option<String> {
    let output = host.output(&format!(
        "ETCDCTL_API=3 etcdctl --endpoints https://10.0.0.11:2379 --cacert {PKI}/{ca} --cert {PKI}/client.pem --key \
         {PKI}/client-key.pem --dial-timeout 3s endpoint health 2>&1"
    ));
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn served(host: &Sandbox, ca: &str) {
    eventually("etcd", 30, || refused(host, ca).is_none().then_some(()));
}

/// The commands that are there to be run as they stand.
fn apply(host: &Sandbox, finding: &Finding<'_>) {
    host.apply(&finding.fix());
}

#[test]
fn a_certificate_that_has_ended() {
    const RULE: &str = "pki-expired";
    let Some(host) = host() else { return };
    authority(&host).issue("server", "ended", "etcd", NAMES);
    let mut etcd = etcd(&host);
    assert!(refused(&host, "ca.pem").is_some(), "a client takes it");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["server.pem", "2021-01-01"]);
    apply(&host, &finding);
    served(&host, "ca.pem");
    // Clients were refused a moment ago, and the log says so.
    etcd.kill();
    host.sh(&format!("rm {LOG}"));
    let _etcd = self::etcd(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_certificate_that_ends_soon() {
    const RULE: &str = "pki-expires-soon";
    let Some(host) = host() else { return };
    authority(&host).issue("server", "ending", "etcd", NAMES);
    let _etcd = etcd(&host);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["server.pem"]);
    apply(&host, &finding);
    served(&host, "ca.pem");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_key_of_another_certificate() {
    const RULE: &str = "pki-key-mismatch";
    let Some(host) = host() else { return };
    host.sh(&format!("cd {PKI} && cp -p server-key.pem server-key.pem.right && cp -p client-key.pem server-key.pem"));
    let ended = host.start_unit(UNIT, LOG).end_within(30);
    let log = host.read(LOG);
    assert!(!ended.success() && log.contains("private key does not match public key"), "{log}");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["server-key.pem", "server.pem"]);
    // What it asks to compare differs, until the right key is back.
    let compare = &finding.fix()[0];
    let sums =
        |said: &str| said.split_whitespace().filter(|word| word.len() == 64).map(str::to_owned).collect::<Vec<_>>();
    let before = sums(&host.sh(compare));
    assert!(before.len() == 2 && before[0] != before[1], "{before:?}");
    host.sh(&format!("cd {PKI} && mv server-key.pem.right server-key.pem"));
    let _etcd = etcd(&host);
    served(&host, "ca.pem");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_authority_that_has_not_issued_it() {
    const RULE: &str = "pki-chain-broken";
    let Some(host) = host() else { return };
    Authority::new(&host, "/etc/kubernetes/ssl", "kubernetes");
    host.sh(&format!("cp /etc/kubernetes/ssl/ca.pem {PKI}/trusted.pem"));
    host.write(MANIFEST, manifest("trusted.pem"));
    let _etcd = etcd(&host);
    let said = refused(&host, "trusted.pem").expect("a client takes it");
    assert!(said.contains("unhealthy"), "{said}");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["trusted.pem", "kube-apiserver"]);
    let verify = format!("openssl verify -CAfile {PKI}/trusted.pem {PKI}/server.pem");
    assert!(!host.output(&verify).status.success());
    host.sh(&finding.fix()[0]);
    // The authority that issued it, in the place of the other cluster's.
    host.sh(&format!("cp {PKI}/ca.pem {PKI}/trusted.pem && {verify}"));
    served(&host, "trusted.pem");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_servers_certificate_for_clients_only() {
    const RULE: &str = "pki-usage-missing";
    let Some(host) = host() else { return };
    authority(&host).issue("server", "client", "etcd", NAMES);
    let _etcd = etcd(&host);
    assert!(refused(&host, "ca.pem").is_some(), "a client takes it");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["server.pem", "serverAuth"]);
    host.sh(&finding.fix()[0]);
    authority(&host).issue("server", "server", "etcd", NAMES);
    served(&host, "ca.pem");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_certificate_that_is_not_there() {
    const RULE: &str = "pki-file-missing";
    let Some(host) = host() else { return };
    host.sh(&format!("mv {PKI}/server.pem /root/"));
    let ended = host.start_unit(UNIT, LOG).end_within(30);
    let log = host.read(LOG);
    assert!(!ended.success() && log.contains("server.pem: no such file or directory"), "{log}");
    let report = host.check(&["--only", RULE]);
    report.only(RULE).says(&["server.pem"]);
    host.sh(&format!("mv /root/server.pem {PKI}/"));
    let _etcd = etcd(&host);
    served(&host, "ca.pem");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_key_that_everybody_reads() {
    const RULE: &str = "pki-key-exposed";
    let Some(host) = host() else { return };
    host.sh(&format!("chmod 644 {PKI}/ca-key.pem"));
    let read = format!("su -s /bin/sh nobody -c 'cat {PKI}/ca-key.pem' >/dev/null 2>&1");
    host.sh(&read);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["ca-key.pem"]);
    apply(&host, &finding);
    assert!(!host.output(&read).status.success(), "nobody still reads it");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn certificates_where_kubeadm_reset_erases() {
    const RULE: &str = "pki-erased-by-reset";
    let Some(host) = host() else { return };
    // Beside kubeadm's own files, as guides of its first releases have it.
    host.sh(&format!("mkdir -p /etc/kubernetes/pki && cp -a {PKI} /etc/kubernetes/pki/etcd"));
    let text = host.read(UNIT).replace(PKI, "/etc/kubernetes/pki/etcd");
    host.write(UNIT, &text);
    let mut etcd = etcd(&host);
    let report = host.check(&["--only", RULE, "--fail-on", "info"]);
    let finding = report.only(RULE);
    finding.says(&["/etc/kubernetes/pki"]);
    apply(&host, &finding);
    if let Some(kubeadm) = crate::harness::kubernetes_program("kubeadm") {
        host.output(&format!("{} reset --force --cri-socket unix:///run/none.sock", kubeadm.display()));
        assert!(!host.path("/etc/kubernetes/pki/etcd/server.pem").exists(), "kubeadm left them");
    }
    assert!(!host.read("/etc/etcd/pki-copy/etcd/server.pem").is_empty(), "no copy is left");
    host.write(UNIT, text.replace("/etc/kubernetes/pki/etcd", PKI));
    etcd.kill();
    let _etcd = self::etcd(&host);
    host.check(&["--only", RULE, "--fail-on", "info"]).silent(RULE);
}

#[test]
fn a_name_without_its_prefix() {
    const RULE: &str = "pki-identity-wrong";
    let Some(host) = host() else { return };
    let authority = Authority::new(&host, "/etc/kubernetes/ssl", "kubernetes");
    let kubeconfig = || {
        let data = |file: &str| host.sh(&format!("base64 -w0 /etc/kubernetes/ssl/{file}"));
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority-data: {}\n    \
             server: https://10.0.0.11:6443\ncontexts:\n- name: default\n  context:\n    cluster: kubernetes\n    \
             user: kube-scheduler\ncurrent-context: default\nusers:\n- name: kube-scheduler\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            data("ca.pem"),
            data("scheduler.pem"),
            data("scheduler-key.pem")
        );
        host.write("/etc/kubernetes/scheduler.conf", text);
    };
    host.write(
        "/etc/systemd/system/kube-scheduler.service",
        "[Service]\nExecStart=/usr/bin/kube-scheduler --kubeconfig=/etc/kubernetes/scheduler.conf\nRestart=always\n\
         [Install]\nWantedBy=multi-user.target\n",
    );
    host.enable("/etc/systemd/system/kube-scheduler.service");
    authority.issue("scheduler", "client", "kube-scheduler", &[]);
    kubeconfig();
    let report = host.check(&["--only", RULE]);
    report.only(RULE).says(&["kube-scheduler", "system:kube-scheduler"]);
    authority.issue("scheduler", "client", "system:kube-scheduler", &[]);
    kubeconfig();
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_kubelet_whose_certificate_has_ended() {
    const RULE: &str = "kubelet-client-certificate-expired";
    let Some(host) = host() else { return };
    let ssl = "/etc/kubernetes/ssl";
    let authority = Authority::new(&host, ssl, "kubernetes");
    let issue = |profile: &str| {
        authority.issue("kubelet", profile, "system:nodes/system:node:m1", &[]);
        let data = |file: &str| host.sh(&format!("base64 -w0 {ssl}/{file}"));
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority-data: {}\n    \
             server: https://10.0.0.11:6443\ncontexts:\n- name: default\n  context:\n    cluster: kubernetes\n    \
             user: default-auth\ncurrent-context: default\nusers:\n- name: default-auth\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            data("ca.pem"),
            data("kubelet.pem"),
            data("kubelet-key.pem")
        );
        text
    };
    host.write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\nRestart=always\n[Install]\n\
         WantedBy=multi-user.target\n",
    );
    host.enable("/etc/systemd/system/kubelet.service");
    host.write("/etc/kubernetes/kubelet.conf", issue("ended"));
    let verify = format!("openssl verify -CAfile {ssl}/ca.pem {ssl}/kubelet.pem 2>&1");
    let refused = host.output(&verify);
    assert!(String::from_utf8_lossy(&refused.stdout).contains("has expired"), "{refused:?}");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["/etc/kubernetes/kubelet.conf", "2021-01-01"]);
    // Its commands, but for kubeadm's, whose result is made here.
    let fix = finding.fix();
    let issued = fix.iter().position(|command| command.contains("kubeconfig user")).map_or(0, |at| at + 1);
    host.write("/root/kubelet.conf", issue("client"));
    host.sh("mkdir -p /var/lib/kubelet/pki && touch /var/lib/kubelet/pki/kubelet-client-current.pem");
    let in_root: Vec<String> = fix[issued..].iter().map(|command| format!("cd /root; {command}")).collect();
    host.apply(&in_root);
    host.sh(&verify);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_authority_that_signs_and_nobody_trusts() {
    const RULE: &str = "cluster-signing-mismatch";
    let Some(host) = host() else { return };
    let ssl = "/etc/kubernetes/ssl";
    let cluster = Authority::new(&host, ssl, "kubernetes");
    cluster.issue("apiserver", "server", "kube-apiserver", NAMES);
    Authority::new(&host, "/etc/kubernetes/signing", "signing");
    host.write(
        MANIFEST,
        apiserver_manifest(&[
            "--advertise-address=10.0.0.11",
            "--etcd-servers=http://127.0.0.1:2379",
            &format!("--client-ca-file={ssl}/ca.pem"),
            &format!("--tls-cert-file={ssl}/apiserver.pem"),
            &format!("--tls-private-key-file={ssl}/apiserver-key.pem"),
        ]),
    );
    let controller_manager = |folder: &str| {
        let flags = format!(
            "    - --cluster-signing-cert-file={folder}/ca.pem\n    - --cluster-signing-key-file={folder}/ca-key.pem\n    \
             - --root-ca-file={ssl}/ca.pem\n"
        );
        let text = apiserver_manifest(&[]).replace("kube-apiserver", "kube-controller-manager") + &flags;
        host.write("/etc/kubernetes/manifests/kube-controller-manager.yaml", text);
        // A kubelet's request, signed as the controller-manager would.
        host.sh(&format!(
            "openssl req -newkey rsa:2048 -nodes -keyout /tmp/k -out /tmp/csr -subj /O=system:nodes/CN=system:node:w1 && \
             openssl x509 -req -in /tmp/csr -CA {folder}/ca.pem -CAkey {folder}/ca-key.pem -CAcreateserial -out /tmp/kubelet.crt"
        ));
        host.output(&format!("openssl verify -CAfile {ssl}/ca.pem /tmp/kubelet.crt")).status.success()
    };
    assert!(!controller_manager("/etc/kubernetes/signing"), "the apiserver trusts it");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["/etc/kubernetes/signing/ca.pem", "/etc/kubernetes/ssl/ca.pem"]);
    host.sh(&finding.fix()[0]);
    assert!(controller_manager(ssl));
    host.check(&["--only", RULE]).silent(RULE);
}
