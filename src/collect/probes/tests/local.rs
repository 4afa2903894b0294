//! What stands for servers at fault: silent, talking something else, closed, refusing.

use super::servers::*;
use super::*;
use crate::facts::probe::ConnectOutcome;

#[test]
fn connections_and_handshakes() {
    let pki = pki();
    let silent = silent();
    let garbage = answering(b"\x00\x01\x02garbage");
    let plain = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let closing = answering(b"");
    let good = tls(&pki, false);
    let demanding = tls(&pki, true);
    let closed = free_port();
    let plan = Plan {
        dials: vec![
            dial(silent, Some("127.0.0.1")),
            dial(garbage, Some("127.0.0.1")),
            dial(plain, Some("127.0.0.1")),
            dial(closing, Some("127.0.0.1")),
            dial(good, Some("127.0.0.1")),
            dial(good, Some("api.example")),
            dial(good, Some("no name at all")),
            dial(good, None),
            dial(demanding, Some("127.0.0.1")),
            dial(closed, Some("127.0.0.1")),
        ],
        ..Plan::default()
    };
    let probes = take_in_time(plan, &nothing(), Duration::from_millis(1500));

    let outcome = |port: u16| {
        let target = format!("127.0.0.1:{port}");
        let found: Vec<_> = probes.connects.iter().filter(|answer| answer.target == target).collect();
        assert_eq!(found.len(), 1, "{target}");
        assert_eq!(found[0].dialled_by, "kubelet (/etc/kubernetes/kubelet.conf)");
        found[0].outcome.clone()
    };
    for port in [silent, garbage, plain, closing, good, demanding] {
        assert_eq!(outcome(port), ConnectOutcome::Connected);
    }
    assert_eq!(outcome(closed), ConnectOutcome::Refused);

    // port, server name, length of the chain or why there is none, failure
    let cases = [
        (silent, "127.0.0.1", Err("TLS did not answer in 0.9 s"), None),
        (
            garbage,
            "127.0.0.1",
            Err("answered with something that is not TLS: 00 01 02 67 61 72 62 61 67 65"),
            Some("answered with something that is not TLS: 00 01 02 67 61 72 62 61 67 65"),
        ),
        (
            plain,
            "127.0.0.1",
            Err("answered in plain text: HTTP/1.1 400 Bad Request"),
            Some("answered in plain text: HTTP/1.1 400 Bad Request"),
        ),
        (
            closing,
            "127.0.0.1",
            Err("closed the connection during the handshake"),
            Some("closed the connection during the handshake"),
        ),
        (good, "127.0.0.1", Ok(2), None),
        (good, "api.example", Ok(2), None),
        (
            good,
            "no name at all",
            Err("\"no name at all\" is no name that TLS could be asked for"),
            Some("\"no name at all\" is no name that TLS could be asked for"),
        ),
        (demanding, "127.0.0.1", Ok(2), Some("TLS alert: certificate required")),
        (closed, "127.0.0.1", Err("connection refused"), None),
    ];
    assert_eq!(probes.handshakes.len(), cases.len());
    for (port, name, chain, failure) in cases {
        let target = format!("127.0.0.1:{port}");
        let found = probes.handshakes.iter().find(|answer| answer.target == target && answer.server_name == name);
        let found = found.unwrap_or_else(|| panic!("{target} {name}"));
        let length = found.chain.as_ref().map(Vec::len).map_err(|unknown| unknown.why.as_str());
        assert_eq!(length, chain, "{target} {name}");
        // A server that closes right behind its alert may have the alert thrown away by its own reset.
        let is_reset = found.failure.as_deref() == Some("reset the connection during the handshake");
        if port != demanding || !is_reset {
            assert_eq!(found.failure.as_deref(), failure, "{target} {name}");
        }
        assert!(found.verified);
    }
    let leaf = probes.handshakes.iter().find_map(|answer| answer.chain.as_ref().ok()?.first()).unwrap();
    assert!(leaf.covers("127.0.0.1") && !leaf.covers("api.example"));
}

#[test]
fn silence_of_services() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("silent.sock");
    unix_silent(&socket);
    let port = silent();
    let socket = SocketQuestion { sockets: vec![socket.to_str().unwrap().to_owned()], expected: true };
    let plan = Plan {
        etcd: vec![EtcdQuestion { endpoint: format!("https://127.0.0.1:{port}"), certificates: Vec::new() }],
        apiservers: vec![ApiserverQuestion { endpoint: format!("http://127.0.0.1:{port}"), certificates: Vec::new() }],
        docker: Some(socket.clone()),
        cri: Some(socket),
        ..Plan::default()
    };
    let probes = take_in_time(plan, &nothing(), Duration::from_secs(1));
    let expected = "did not answer in 0.6 s";
    assert_eq!(probes.etcd[0].healthy.as_ref().unwrap_err().why, expected);
    assert_eq!(probes.etcd[0].members.as_ref().unwrap_err().why, expected);
    assert_eq!(probes.etcd[0].status.as_ref().unwrap_err().why, expected);
    assert_eq!(probes.apiservers[0].live.as_ref().unwrap_err().why, expected);
    assert_eq!(probes.docker.unwrap().unwrap_err().why, expected);
    assert_eq!(probes.cri.unwrap().unwrap_err().why, expected);
}

#[test]
fn a_resolver_that_hangs_is_left_behind() {
    let started = Instant::now();
    let waited = on_runtime(async {
        let budget = Budget::new(Duration::from_millis(300));
        budget.within(tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(3)))).await.unwrap_err()
    });
    assert!(waited.is_some() && started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[test]
fn more_questions_than_turns() {
    let port = silent();
    let ask = |number| EtcdQuestion { endpoint: format!("http://127.0.0.1:{port}/{number}"), certificates: Vec::new() };
    let plan = Plan { etcd: (0..200).map(ask).collect(), ..Plan::default() };
    let probes = take_in_time(plan, &nothing(), Duration::from_millis(800));
    assert_eq!(probes.etcd.len(), 200);
    assert!(probes.etcd.iter().enumerate().all(|(index, answer)| answer.endpoint.ends_with(&format!("/{index}"))));
    assert!(probes.etcd.iter().all(|answer| answer.healthy.is_err()));
    assert!(probes.etcd.iter().any(|answer| answer.healthy.as_ref().is_err_and(|unknown| unknown.why == NOT_ASKED)));
}

#[test]
fn apiservers() {
    let version = r#"{"major":"1","minor":"34","gitVersion":"v1.34.4"}"#;
    let forbidden = r#"{"kind":"Status","status":"Failure","message":"forbidden: no anonymous","code":403}"#;
    let healthy = http(Box::leak(Box::new([("/livez", "200 OK", "ok"), ("/version", "200 OK", version)])));
    let old = http(Box::leak(Box::new([("/healthz", "200 OK", "ok"), ("/version", "200 OK", version)])));
    let strict =
        http(Box::leak(Box::new([("/livez", "403 Forbidden", forbidden), ("/version", "403 Forbidden", forbidden)])));
    let failing = http(Box::leak(Box::new([("/livez", "500 Internal Server Error", "[-]etcd failed")])));
    let other = http(&[("/livez", "200 OK", "<html>welcome to nginx</html>")]);
    let redirecting = http(&[("/livez", "302 Found", "")]);
    // port, certificate, live, version
    let denied = ClientCertificate::Kubeconfig { path: "/etc/kubernetes/admin.conf".to_owned() };
    let cases = [
        (healthy, Ok(true), Ok("v1.34.4")),
        (old, Ok(true), Ok("v1.34.4")),
        (
            strict,
            Ok(true),
            Err("HTTP 403: forbidden: no anonymous; asked without a client certificate, \
                 for /etc/kubernetes/admin.conf: permission denied"),
        ),
        (
            failing,
            Ok(false),
            Err("HTTP 404: 404 page not found; asked without a client certificate, \
                 for /etc/kubernetes/admin.conf: permission denied"),
        ),
    ];
    let question = |port: &u16| ApiserverQuestion {
        endpoint: format!("http://127.0.0.1:{port}"),
        certificates: vec![denied.clone()],
    };
    let asked = [healthy, old, strict, failing, other, redirecting];
    let plan = Plan { apiservers: asked.iter().map(question).collect(), ..Plan::default() };
    let source = MemorySource::new("m1").denied("/etc/kubernetes/admin.conf");
    let probes = take_in_time(plan, &files(source), Duration::from_secs(2));
    for (answer, (port, live, version)) in probes.apiservers.iter().zip(cases) {
        assert_eq!(answer.endpoint, format!("http://127.0.0.1:{port}"));
        assert_eq!(answer.live, live);
        assert_eq!(answer.version.as_deref().map_err(|unknown| unknown.why.as_str()), version);
    }
    for (answer, why) in probes.apiservers[4..].iter().zip(["<html>welcome to nginx</html>", "HTTP 302"]) {
        assert!(answer.live.as_ref().unwrap_err().why.contains(why), "{answer:?}");
    }
    let remedy = probes.apiservers[2].version.as_ref().unwrap_err().remedy.as_deref();
    assert_eq!(remedy, Some("run as root"));
}

#[test]
fn docker() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let ask = |sockets: Vec<String>, expected| {
        let plan = Plan { docker: Some(SocketQuestion { sockets, expected }), ..Plan::default() };
        take_in_time(plan, &nothing(), Duration::from_secs(1)).docker
    };
    unix_http(
        path("docker.sock").as_ref(),
        &[
            ("/version", "200 OK", r#"{"Version":"24.0.7","ApiVersion":"1.43"}"#),
            (
                "/info",
                "200 OK",
                r#"{"CgroupDriver":"cgroupfs","CgroupVersion":"2","Driver":"overlay2",
                    "SecurityOptions":["name=seccomp,profile=builtin"],"Warnings":["WARNING: No swap limit support"]}"#,
            ),
            ("/images/json", "500 Internal Server Error", r#"{"message":"layer store is broken"}"#),
        ],
    );
    let found = ask(vec![path("absent.sock"), path("docker.sock")], true).unwrap().unwrap();
    assert_eq!((found.version.as_str(), found.cgroup_driver.as_deref()), ("24.0.7", Some("cgroupfs")));
    assert_eq!((found.cgroup_version.as_deref(), found.storage_driver.as_deref()), (Some("2"), Some("overlay2")));
    assert_eq!(found.security_options, ["name=seccomp,profile=builtin"]);
    assert_eq!(found.warnings, ["WARNING: No swap limit support"]);
    assert_eq!(found.images.unwrap_err().why, "HTTP 500: layer store is broken");

    assert!(ask(vec![path("absent.sock")], false).is_none());
    assert_eq!(ask(vec![path("absent.sock")], true).unwrap().unwrap_err().why, "no such socket");
    drop(std::os::unix::net::UnixListener::bind(path("stale.sock")).unwrap());
    assert_eq!(ask(vec![path("stale.sock")], false).unwrap().unwrap_err().why, "connection refused");
}

#[test]
fn etcd_of_other_releases_and_none() {
    let members = r#"{"header":{"cluster_id":"2","member_id":"1"},"members":[{"ID":"1","name":"m1"}]}"#;
    let old = http(Box::leak(Box::new([
        ("/health", "200 OK", r#"{"health": "true"}"#),
        ("/v3alpha/cluster/member/list", "200 OK", members),
        ("/v3alpha/maintenance/status", "503 Service Unavailable", r#"{"error":"etcdserver: no leader","code":14}"#),
    ])));
    let https = http(&[("/health", "400 Bad Request", "Client sent an HTTP request to an HTTPS server.\n")]);
    let closed = free_port();
    let question = |port: &u16| EtcdQuestion { endpoint: format!("http://127.0.0.1:{port}"), certificates: Vec::new() };
    let plan = Plan { etcd: [old, https, closed].iter().map(question).collect(), ..Plan::default() };
    let etcd = take_in_time(plan, &nothing(), Duration::from_secs(2)).etcd;
    assert_eq!(etcd[0].healthy, Ok(true));
    assert_eq!(etcd[0].members.as_ref().unwrap()[0].name, "m1");
    assert_eq!(etcd[0].status.as_ref().unwrap_err().why, "HTTP 503: etcdserver: no leader");
    let told = "HTTP 400: Client sent an HTTP request to an HTTPS server.";
    assert_eq!(etcd[1].healthy.as_ref().unwrap_err().why, told);
    assert_eq!(etcd[1].members.as_ref().unwrap_err().why, "the JSON gateway is not there or turned off");
    assert_eq!(etcd[2].healthy.as_ref().unwrap_err().why, "connection refused");
}

#[test]
fn nothing_is_asked_for_what_is_not_this_host() {
    let plan = Plan { dials: vec![dial(silent(), None)], ..Plan::default() };
    let tree = Files::new(Arc::new(MemorySource::new("m1")));
    let probes = take(plan, &tree, DEADLINE);
    assert!(!probes.taken && probes.connects.is_empty());
}
