//! Kubernetes' own programs, as tests/cluster builds them: what an apiserver refuses, takes and should not, says of its
//! nodes and leaders, and what kubeadm says of a configuration. Where they were never built the tests are skipped.

use crate::harness::cfssl::Authority;
use crate::harness::{Options, Process, Sandbox, eventually, kubernetes_program, skip};

const PKI: &str = "/etc/kubernetes/ssl";
const UNIT: &str = "/etc/systemd/system/kube-apiserver.service";
const LOG: &str = "/var/log/kube-apiserver.log";
const ADMIN: &str = "/etc/kubernetes/admin.conf";
const KUBECTL: &str = "/var/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

/// A master with certificates and these programs in /var/bin.
fn host(programs: &[&str]) -> Option<Sandbox> {
    let paths: Vec<_> = programs.iter().map(|program| (*program, kubernetes_program(program))).collect();
    if let Some((program, _)) = paths.iter().find(|(_, path)| path.is_none()) {
        skip(&format!("{program} was not built: `cargo test --test cluster -- run` does"));
        return None;
    }
    let host = Sandbox::start(Options {
        booted: true,
        needs: &["cfssl", "cfssljson", "openssl", "curl"],
        ..Options::default()
    })?;
    host.sh("mkdir -p /var/bin");
    for (program, path) in paths {
        let path = path.unwrap_or_default();
        host.sh(&format!("ln -s {} /var/bin/{program}", path.display()));
    }
    let authority = Authority::new(&host, PKI, "kubernetes");
    authority.issue("apiserver", "server", "kube-apiserver", &["m1", "10.0.0.11", "127.0.0.1", "10.96.0.1"]);
    authority.issue("admin", "client", "system:masters/admin", &[]);
    host.sh(&format!(
        "cd {PKI} && openssl genrsa -out sa.key 2048 && openssl rsa -in sa.key -pubout -out sa.pub && chmod 600 *key*"
    ));
    host.write(ADMIN, kubeconfig(&host, "admin"));
    Some(host)
}

fn kubeconfig(host: &Sandbox, user: &str) -> String {
    let data = |file: &str| host.sh(&format!("base64 -w0 {PKI}/{file}"));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority-data: {}\n    \
         server: https://10.0.0.11:6443\ncontexts:\n- name: default\n  context:\n    cluster: kubernetes\n    user: {user}\n\
         current-context: default\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    \
         client-key-data: {}\n",
        data("ca.pem"),
        data(&format!("{user}.pem")),
        data(&format!("{user}-key.pem"))
    )
}

fn unit(more: &str) -> String {
    format!(
        "[Service]\nExecStart=/var/bin/kube-apiserver --advertise-address=10.0.0.11 --secure-port=6443 \\\n    \
         --etcd-servers=http://127.0.0.1:2379 \\\n    --service-cluster-ip-range=10.96.0.0/12 \\\n    \
         --authorization-mode=RBAC \\\n    --client-ca-file={PKI}/ca.pem \\\n    --tls-cert-file={PKI}/apiserver.pem \\\n    \
         --tls-private-key-file={PKI}/apiserver-key.pem \\\n    --service-account-issuer=https://kubernetes.default.svc \\\n    \
         --service-account-key-file={PKI}/sa.pub \\\n    --service-account-signing-key-file={PKI}/sa.key{more}\n\
         Restart=always\n\n[Install]\nWantedBy=multi-user.target\n"
    )
}

fn install(host: &Sandbox, more: &str) -> String {
    let text = unit(more);
    host.write(UNIT, &text);
    host.enable(UNIT);
    text
}

fn etcd(host: &Sandbox) -> Process {
    let etcd = host.spawn("/var/bin/etcd --name m1 --data-dir /var/lib/etcd", "/tmp/etcd.log");
    eventually("etcd", 60, || host.output("curl -sf http://127.0.0.1:2379/health").status.success().then_some(()));
    etcd
}

fn apiserver(host: &Sandbox) -> Process {
    let mut apiserver = host.start_unit(UNIT, LOG);
    eventually("kube-apiserver", 240, || {
        assert!(apiserver.ended().is_none(), "it ends:\n{}", host.read(LOG));
        host.output("curl -skf --max-time 3 https://10.0.0.11:6443/readyz").status.success().then_some(())
    });
    apiserver
}

/// Starts kube-apiserver, which has to refuse with these words.
fn refusing(host: &Sandbox, words: &str) {
    let status = host.start_unit(UNIT, LOG).end_within(120);
    let log = host.read(LOG);
    assert!(!status.success() && log.contains(words), "{words:?} is not said:\n{log}");
}

#[test]
fn an_insecure_port_that_it_does_not_have_any_more() {
    const RULE: &str = "apiserver-insecure-port-removed";
    let Some(host) = host(&["kube-apiserver", "kube-controller-manager"]) else { return };
    const CONTROLLERS: &str = "/etc/systemd/system/kube-controller-manager.service";
    install(&host, "");
    let text = "[Service]\nExecStart=/var/bin/kube-controller-manager --master=http://127.0.0.1:8080\nRestart=always\n\
                [Install]\nWantedBy=multi-user.target\n";
    host.write(CONTROLLERS, text);
    host.enable(CONTROLLERS);
    let log = "/var/log/kube-controller-manager.log";
    let mut controllers = host.start_unit(CONTROLLERS, log);
    eventually("the controller-manager to say so", 90, || {
        (host.read(log).contains("127.0.0.1:8080: connect: connection refused") || controllers.ended().is_some())
            .then_some(())
    });
    controllers.kill();
    let report = host.check(&["--only", RULE, "--kubernetes-version", "1.34"]);
    let finding = report.only(RULE);
    finding.says(&["8080"]);
    host.write(CONTROLLERS, text.replace("--master=http://127.0.0.1:8080", &format!("--kubeconfig={ADMIN}")));
    host.sh(&format!("rm {log}"));
    host.check(&["--only", RULE, "--kubernetes-version", "1.34"]).silent(RULE);
}

#[test]
fn an_audit_policy_that_is_not_there() {
    const RULE: &str = "apiserver-audit-log-unwritable";
    let Some(host) = host(&["kube-apiserver"]) else { return };
    install(
        &host,
        " \\\n    --audit-policy-file=/etc/kubernetes/audit.yaml --audit-log-path=/var/log/kubernetes/audit.log",
    );
    refusing(&host, "/etc/kubernetes/audit.yaml: no such file");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.has_log(LOG, "/etc/kubernetes/audit.yaml: no such file");
    host.write("/etc/kubernetes/audit.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n");
    // It now ends later, because there is no etcd.
    host.start_unit(UNIT, "/tmp/kube-apiserver.log").end_within(240);
    let log = host.read("/tmp/kube-apiserver.log");
    assert!(!log.contains("audit.yaml"), "{log}");
    host.sh(&format!("rm {LOG}"));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn tokens_that_never_end_and_ports_of_components() {
    const TOKENS: &str = "static-credentials";
    const PORTS: &str = "node-port-range-conflict";
    const STOPPED: &str = "apiserver-not-running";
    const NAMES: &str = "kubelet-cluster-dns-outside-service-range";
    let Some(host) = host(&["kube-apiserver", "etcd", "kubectl"]) else { return };
    host.write("/etc/kubernetes/tokens.csv", "not-a-real-token,reader,1,\"system:masters\"\n");
    host.sh("chmod 600 /etc/kubernetes/tokens.csv");
    let ports = " \\\n    --service-node-port-range=8000-40000";
    let text = install(&host, &format!(" \\\n    --token-auth-file=/etc/kubernetes/tokens.csv{ports}"));
    let _etcd = etcd(&host);
    let mut running = apiserver(&host);
    let as_reader = "curl -skf -H 'Authorization: Bearer not-a-real-token' https://10.0.0.11:6443/api/v1/nodes";
    host.sh(as_reader);
    // A service may take the kubelet's port.
    host.sh(&format!("{KUBECTL} create service nodeport taken --tcp=80 --node-port=10250"));

    // Cluster DNS can have no address outside of the range.
    const KUBELET: &str = "/var/lib/kubelet/config.yaml";
    host.write(
        KUBELET,
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nclusterDNS:\n- 10.32.0.10\n",
    );
    host.write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/var/bin/kubelet --config=/var/lib/kubelet/config.yaml\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.enable("/etc/systemd/system/kubelet.service");
    let service = |address: &str| format!("{KUBECTL} create service clusterip dns --tcp=53 --clusterip={address} 2>&1");
    let refused = host.output(&service("10.32.0.10"));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("range"), "{refused:?}");

    let all =
        "static-credentials,node-port-range-conflict,apiserver-not-running,kubelet-cluster-dns-outside-service-range";
    let report = host.check(&["--only", all]);
    let names = report.only(NAMES);
    names.points_at(KUBELET, &host.read(KUBELET), "10.32.0.10");
    host.sh(&service("10.96.0.10"));
    host.write(KUBELET, host.read(KUBELET).replace("10.32.0.10", "10.96.0.10"));
    assert!(report.of_rule(STOPPED).is_empty(), "{}", report.human());
    let tokens = report.only(TOKENS);
    tokens.points_at(UNIT, &text, "/etc/kubernetes/tokens.csv");
    let who = host.sh(&tokens.fix()[0]);
    assert!(who.contains("reader") && !who.contains("not-a-real-token"), "{who}");
    let ports = report.of_rule(PORTS);
    let holds = ports.iter().find(|finding| finding.title().contains("10250")).expect("the kubelet's port is named");
    // Which ports services have is asked with the administrator's kubeconfig.
    let edit: Vec<String> = holds.fix().into_iter().filter(|command| !command.starts_with("kubectl")).collect();
    host.apply(&edit);
    let text = host.read(UNIT).replace(" --token-auth-file=/etc/kubernetes/tokens.csv", "");
    host.write(UNIT, text);
    running.kill();

    // Until it is started again it is what is wrong.
    let report = host.check(&["--only", STOPPED]);
    let finding = report.only(STOPPED);
    finding.says(&["m1", "kube-apiserver"]);
    host.sh(&finding.fix().pop().unwrap_or_default());
    assert!(host.systemctl_calls().contains("start kube-apiserver"), "{}", host.systemctl_calls());
    let _running = apiserver(&host);
    assert!(!host.output(as_reader).status.success(), "the token is still taken");
    let report = host.check(&["--only", all]);
    for rule in [TOKENS, PORTS, STOPPED, NAMES] {
        report.silent(rule);
    }
}

#[test]
fn nodes_and_leaders_that_are_not_heard_of() {
    const NODE: &str = "node-not-ready";
    const LEADER: &str = "leader-election-lost";
    let Some(host) = host(&["kube-apiserver", "etcd", "kubectl", "kube-scheduler"]) else { return };
    install(&host, "");
    let _etcd = etcd(&host);
    let mut running = apiserver(&host);
    let both = ["--only", "node-not-ready,leader-election-lost"];
    let node = |ready: &str| {
        let condition = format!(
            r#"{{"status":{{"conditions":[{{"type":"Ready","status":"{ready}","reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status.","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}}]}}}}"#
        );
        host.sh(&format!("{KUBECTL} patch node w1 --subresource=status --type=merge -p '{condition}'"));
    };
    host.write("/tmp/node.yaml", "apiVersion: v1\nkind: Node\nmetadata:\n  name: w1\n");
    host.sh(&format!("{KUBECTL} create -f /tmp/node.yaml"));
    node("Unknown");
    let report = host.check(&both);
    let finding = report.only(NODE);
    finding.says(&["w1"]);
    assert!(!finding.evidence_of("probe").is_empty(), "{}", report.human());
    node("True");
    let report = host.check(&both);
    report.silent(NODE);
    report.silent(LEADER);

    // A scheduler leads, and what its lease goes through is gone for longer than that is valid.
    let log = "/var/log/kube-scheduler.log";
    let scheduler = "/var/bin/kube-scheduler --kubeconfig=/etc/kubernetes/admin.conf --leader-elect-lease-duration=6s \
                     --leader-elect-renew-deadline=4s --leader-elect-retry-period=1s";
    let mut leading = host.spawn(scheduler, log);
    eventually("the scheduler to lead", 90, || host.read(log).contains("successfully acquired lease").then_some(()));
    running.kill();
    leading.end_within(60);
    let _running = apiserver(&host);
    let report = host.check(&both);
    let found = report.of_rule(LEADER);
    assert_eq!(found.len(), 1, "{}", report.human());
    found[0].has_log(log, "lection lost");
    let _leading = host.spawn(scheduler, log);
    eventually("the scheduler to lead again", 90, || {
        (host.read(log).matches("successfully acquired lease").count() > 1).then_some(())
    });
    host.check(&both).silent(LEADER);
}

#[test]
fn a_configuration_that_kubeadm_does_not_read_any_more() {
    const RULE: &str = "kubeadm-config-outdated";
    let Some(host) = host(&["kubeadm"]) else { return };
    let file = "/etc/kubernetes/kubeadm.yaml";
    let text = "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.1\n\
                controlPlaneEndpoint: lb.example.internal:6443\n";
    host.write(file, text);
    let validate = format!("/var/bin/kubeadm config validate --config {file} 2>&1");
    let refused = host.output(&validate);
    assert!(!refused.status.success(), "{refused:?}");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.points_at(file, text, "v1beta2");
    host.write(file, text.replace("v1beta2", "v1beta4"));
    host.sh(&validate);
    host.check(&["--only", RULE]).silent(RULE);
}
