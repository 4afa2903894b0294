//! A kube-apiserver that takes connections on 127.0.0.1:6443 alone.

use crate::harness::{Options, Process, Sandbox, apiserver_manifest, eventually};

const RULE: &str = "apiserver-loopback-only";
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

const FLAGS: &[&str] = &[
    "--advertise-address=10.0.0.11",
    "--bind-address=127.0.0.1",
    "--secure-port=6443",
    "--etcd-servers=http://127.0.0.1:2379",
];

/// A program with the apiserver's name, and its flags as the manifest has them, that listens where --bind-address says.
fn start(host: &Sandbox) -> Process {
    let manifest = host.read(MANIFEST);
    let flags: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|word| word.starts_with("--"))
        .collect();
    let address = flags.iter().find_map(|flag| flag.strip_prefix("--bind-address=")).expect("the manifest has it");
    host.sh("cp $(readlink -f $(command -v perl)) /var/lib/kube-apiserver");
    let server = format!(
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => q({address}), LocalPort => 6443, Listen => 5, \
         ReuseAddr => 1) or die; while (my $c = $s->accept) {{ close $c }}"
    );
    let command = format!("/var/lib/kube-apiserver -e '{server}' -- {}", flags.join(" "));
    let process = host.spawn(&command, "/tmp/kube-apiserver.log");
    eventually("a listener on 6443", 10, || host.output("ss -Hltn | grep ':6443 '").status.success().then_some(()));
    process
}

#[test]
fn a_listener_on_loopback_alone_is_found_and_mended() {
    let Some(host) = Sandbox::start(Options { needs: &["perl", "ss"], ..Options::default() }) else { return };
    host.write(MANIFEST, apiserver_manifest(FLAGS));
    let mut apiserver = start(&host);

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "127.0.0.1"]);
    finding.points_at(MANIFEST, &apiserver_manifest(FLAGS), "127.0.0.1");
    assert!(report.human().contains("listens on 127.0.0.1:6443"), "the socket is not said:\n{}", report.human());

    host.apply(&finding.fix());
    // The kubelet's part.
    apiserver.kill();
    let _apiserver = start(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_listener_on_loopback_alone_is_found_without_configuration() {
    let Some(host) = Sandbox::start(Options { needs: &["perl", "ss"], ..Options::default() }) else { return };
    host.write(MANIFEST, apiserver_manifest(FLAGS));
    let _apiserver = start(&host);
    // What runs is older than the file: the file is right already.
    host.write(MANIFEST, apiserver_manifest(FLAGS).replace("    - --bind-address=127.0.0.1\n", ""));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    assert!(finding.title().contains("loopback") || finding.title().contains("127.0.0.1"), "{}", report.human());
}
