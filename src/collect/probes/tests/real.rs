//! The programs themselves, where they are installed.

use std::path::Path;

use super::servers::*;
use super::*;

fn etcd_arguments(name: &str, scheme: &str, client: u16, peer: u16, cluster: &str, directory: &Path) -> Vec<String> {
    let url = format!("{scheme}://127.0.0.1:{client}");
    let flags = [
        ("name", name.to_owned()),
        ("data-dir", directory.join("data").display().to_string()),
        ("listen-client-urls", url.clone()),
        ("advertise-client-urls", url),
        ("listen-peer-urls", format!("http://127.0.0.1:{peer}")),
        ("initial-advertise-peer-urls", format!("http://127.0.0.1:{peer}")),
        ("initial-cluster", cluster.to_owned()),
        ("heartbeat-interval", "50".to_owned()),
        ("election-timeout", "300".to_owned()),
    ];
    flags.into_iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
}

/// Asks until it is healthy, for as long as a slow machine may need.
fn wait_for(question: &EtcdQuestion, files: &Files) -> bool {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        let plan = Plan { etcd: vec![question.clone()], ..Plan::default() };
        if take(plan, files, Duration::from_secs(2)).etcd[0].healthy == Ok(true) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}

#[test]
fn etcd_with_client_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let pki = pki();
    for (name, text) in [("ca.crt", &pki.ca), ("server.crt", &pki.certificate), ("server.key", &pki.key)] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let (client, peer) = (free_port(), free_port());
    let cluster = format!("m1=http://127.0.0.1:{peer}");
    let mut arguments = etcd_arguments("m1", "https", client, peer, &cluster, directory.path());
    for flag in ["--cert-file=server.crt", "--key-file=server.key", "--trusted-ca-file=ca.crt", "--client-cert-auth"] {
        arguments.push(flag.to_owned());
    }
    let Some(_etcd) = start("etcd", &arguments, directory.path()) else { return };

    let source = MemorySource::new("m1")
        .file("/pki/client.crt", pki.certificate.clone())
        .file("/pki/client.key", pki.key.clone())
        .denied("/pki/denied.key");
    let files = files(source);
    let endpoint = format!("https://127.0.0.1:{client}");
    let named = |key: &str| ClientCertificate::Files { certificate: "/pki/client.crt".to_owned(), key: key.to_owned() };
    let question = |certificates| EtcdQuestion { endpoint: endpoint.clone(), certificates };
    let good = question(vec![named("/pki/client.key")]);
    assert!(wait_for(&good, &files), "{}", std::fs::read_to_string(directory.path().join("log")).unwrap());

    let plan = Plan {
        etcd: vec![good, question(Vec::new()), question(vec![named("/pki/denied.key")])],
        dials: vec![dial(client, Some("127.0.0.1")), dial(peer, Some("127.0.0.1"))],
        ..Plan::default()
    };
    let probes = take_in_time(plan, &files, DEADLINE);
    let [good, anonymous, denied] = &probes.etcd[..] else { panic!("{:?}", probes.etcd) };
    assert_eq!(good.healthy, Ok(true));
    let status = good.status.as_ref().unwrap();
    let members = good.members.as_ref().unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].name.as_str(), &members[0].id), ("m1", &status.member_id));
    assert_eq!(members[0].client_urls, std::slice::from_ref(&endpoint));
    assert_eq!(status.leader, status.member_id);
    assert!(status.version.starts_with("3.") && status.db_size > 0 && status.raft_index > 0, "{status:?}");

    let why = &anonymous.healthy.as_ref().unwrap_err().why;
    assert!(why.starts_with("TLS alert: "), "{why}");
    let unknown = denied.healthy.as_ref().unwrap_err();
    assert!(unknown.why.contains("for /pki/denied.key: permission denied"), "{unknown}");
    assert_eq!(unknown.remedy.as_deref(), Some("run as root"));
    assert!(!format!("{probes:?}").contains("PRIVATE KEY"));

    let handshake = |port: u16| {
        let target = format!("127.0.0.1:{port}");
        probes.handshakes.iter().find(|answer| answer.target == target).unwrap()
    };
    let chain = handshake(client).chain.as_ref().unwrap();
    assert_eq!(chain[0].common_name.as_deref(), Some("m1"));
    // The peer port talks plain HTTP here.
    let failure = handshake(peer).failure.as_deref();
    assert!(failure.is_some_and(|failure| failure.starts_with("answered in plain text: HTTP/1.1 400")), "{failure:?}");
}

#[test]
fn etcd_that_lost_its_quorum() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (clients, peers) = ([free_port(), free_port()], [free_port(), free_port()]);
    let cluster = format!("m1=http://127.0.0.1:{},m2=http://127.0.0.1:{}", peers[0], peers[1]);
    let run = |index: usize, name: &str| {
        let directory = directories[index].path();
        start("etcd", &etcd_arguments(name, "http", clients[index], peers[index], &cluster, directory), directory)
    };
    let (Some(_first), Some(second)) = (run(0, "m1"), run(1, "m2")) else { return };
    let question = EtcdQuestion { endpoint: format!("http://127.0.0.1:{}", clients[0]), certificates: Vec::new() };
    assert!(wait_for(&question, &nothing()));
    drop(second);
    // Until the election timeout, the leader may still think that it leads.
    std::thread::sleep(Duration::from_secs(1));

    let probes = take_in_time(Plan { etcd: vec![question], ..Plan::default() }, &nothing(), DEADLINE);
    let answer = &probes.etcd[0];
    match &answer.healthy {
        Ok(healthy) => assert!(!healthy),
        Err(unknown) => assert!(unknown.why.starts_with("did not answer in "), "{unknown}"),
    }
    assert_eq!(answer.members.as_ref().unwrap().len(), 2);
    assert_eq!(answer.status.as_ref().unwrap().leader, "0");
}

#[test]
fn containerd() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\n[grpc]\n  address = \"{}\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"{}\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"registry.k8s.io/pause:3.7\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    conf_dir = \"{}\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  SystemdCgroup = true\n",
        at("root"),
        at("state"),
        at("containerd.sock"),
        at("opt"),
        at("cni")
    );
    std::fs::write(directory.path().join("config.toml"), config).unwrap();
    let Some(mut containerd) = start("containerd", &["--config".to_owned(), at("config.toml")], directory.path())
    else {
        return;
    };
    let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until && containerd.runs() && !log().contains("containerd successfully booted") {
        std::thread::sleep(Duration::from_millis(100));
    }
    if !log().contains("Start cri plugin") || !log().contains("containerd successfully booted") {
        println!("skipped: containerd with CRI does not run here:\n{}", log());
        return;
    }
    let question = SocketQuestion { sockets: vec![at("containerd.sock")], expected: true };
    let probes = take_in_time(Plan { cri: Some(question), ..Plan::default() }, &nothing(), DEADLINE);
    let answer = probes.cri.unwrap().unwrap();
    assert!(answer.runtime.starts_with("containerd "), "{answer:?}");
    assert_eq!(answer.images, Ok(Vec::new()));
    assert!(answer.unready.iter().any(|text| text.starts_with("NetworkReady: NetworkPluginNotReady")), "{answer:?}");
    if answer.runtime.starts_with("containerd 1.") || answer.runtime.starts_with("containerd v1.") {
        assert_eq!(answer.sandbox_image.as_deref(), Some("registry.k8s.io/pause:3.7"));
    }
    assert_eq!(answer.cgroup_driver.as_deref(), Some("systemd"));
}

#[test]
#[ignore = "dockerd writes to /etc/docker and /opt/containerd, whatever its flags"]
fn dockerd() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let flags = [
        format!("--host=unix://{}", at("docker.sock")),
        format!("--data-root={}", at("data")),
        format!("--exec-root={}", at("exec")),
        format!("--pidfile={}", at("pid")),
        format!("--config-file={}", at("daemon.json")),
        "--storage-driver=vfs".to_owned(),
        "--bridge=none".to_owned(),
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
        "--ip-forward=false".to_owned(),
    ];
    std::fs::write(directory.path().join("daemon.json"), "{}").unwrap();
    let Some(mut dockerd) = start("dockerd", &flags, directory.path()) else { return };
    let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until && dockerd.runs() && !log().contains("API listen on") {
        std::thread::sleep(Duration::from_millis(100));
    }
    if !log().contains("API listen on") {
        println!("skipped: dockerd does not run here:\n{}", log());
        return;
    }
    let question = SocketQuestion { sockets: vec![at("docker.sock")], expected: true };
    let probes = take_in_time(Plan { docker: Some(question), ..Plan::default() }, &nothing(), DEADLINE);
    let answer = probes.docker.unwrap().unwrap();
    assert!(answer.version.starts_with(|first: char| first.is_ascii_digit()), "{answer:?}");
    assert_eq!(answer.storage_driver.as_deref(), Some("vfs"));
    assert!(answer.cgroup_driver.is_some());
    assert_eq!(answer.images, Ok(Vec::new()));
}
