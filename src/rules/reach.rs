//! Whether what a host's clients dial answers and what it speaks, from what was asked live: shared by the rules on endpoints
//! that cannot be reached, and on servers of the host itself.

use std::net::IpAddr;

use super::not_running;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::{Component, ComponentName};
use crate::facts::probe::{ConnectAnswer, ConnectOutcome, DID_NOT_ANSWER, HUNG_UP, PLAIN_TEXT, TALKS_TLS, TLS_ALERT};
use crate::facts::topology::{Edge, secure_port};
use crate::origin::{Origin, Unknown};
use crate::report::{Evidence, EvidenceKind};

/// Milliseconds; to wait less is this program's hurry, not the other side's silence.
const LEAST_PATIENCE: u64 = 1000;

/// How the reason of a failure begins where the server is there and says nothing.
pub const TAKES_CONNECTIONS: &str = "it takes connections";

/// What became of dialling one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The other side answered, whatever it said.
    Answers,
    /// Nobody did, and why: `connection refused`, `takes connections and did not answer in 3 s`.
    Fails(String),
    Unknown(Unknown),
}

/// Whether `url` can be reached from this host; none when it was not dialled.
pub fn reach(host: &Host, url: &Url) -> Option<Reach> {
    let answer = connect(host, url)?;
    Some(match &answer.outcome {
        ConnectOutcome::Refused => Reach::Fails("connection refused".to_owned()),
        ConnectOutcome::TimedOut => {
            silence(host, &answer.target, format!("{DID_NOT_ANSWER} in {:.1} s", answer.elapsed_ms as f64 / 1000.0))
        }
        ConnectOutcome::Unreachable(why) | ConnectOutcome::Other(why) => Reach::Fails(why.clone()),
        // A name is the resolver's matter.
        ConnectOutcome::NotResolved(why) => Reach::Unknown(Unknown::new(&answer.target, why.clone())),
        ConnectOutcome::Connected => spoken(host, &answer.target),
    })
}

/// Judges endpoints of which a client needs one that answers: it goes on with that. `add` puts what the rule knows beside the
/// first that failed.
pub fn judge_any<'a>(
    host: &Host,
    edges: impl Iterator<Item = &'a Edge>,
    verdict: &mut Verdict,
    add: impl FnOnce(Draft, &Edge, &Url, &str) -> Draft,
) {
    let mut failed = Vec::new();
    let mut unknown = None;
    let mut answers = false;
    for edge in edges {
        let Some(url) = edge.parsed() else { continue };
        match reach(host, &url) {
            Some(Reach::Fails(reason)) => failed.push((edge, url, reason)),
            Some(Reach::Answers) => answers = true,
            Some(Reach::Unknown(why)) => unknown = Some(why),
            None => {}
        }
    }
    let Some((edge, url, reason)) = failed.first().filter(|_| !answers && unknown.is_none()) else {
        match unknown {
            _ if answers => verdict.pass(),
            Some(unknown) => verdict.unknown(unknown),
            None => {}
        }
        return;
    };
    if let Some(unknown) = not_running::just_booted(host) {
        return verdict.unknown(unknown);
    }
    let mut finding = add(draft(host, edge, url, reason), edge, url, reason);
    for (edge, _, reason) in failed.iter().skip(1) {
        finding = finding.at(&host.name, &edge.url.origin, format!("{}: {reason}", edge.url.value));
    }
    verdict.fail(finding);
}

fn silence(host: &Host, target: &str, reason: String) -> Reach {
    if host.probes.patience_ms < LEAST_PATIENCE {
        return Reach::Unknown(Unknown::new(target, reason).with_remedy("allow more time: --timeout 5s"));
    }
    Reach::Fails(reason)
}

/// Whether what took the connection also says something.
fn spoken(host: &Host, target: &str) -> Reach {
    let mut silent = None;
    let mut dropped = None;
    let mut answered = false;
    let mut other = None;
    let mut hear = |why: Option<&str>| match why {
        None => answered = true,
        Some(why) if why.contains(DID_NOT_ANSWER) => silent = Some(why.to_owned()),
        Some(why) => other = Some(why.to_owned()),
    };
    for handshake in host.probes.handshakes.iter().filter(|answer| answer.target == target) {
        match (&handshake.chain, &handshake.failure) {
            (Ok(_), _) => hear(None),
            // Who refuses by TLS's own words is there; who talks something else may be anybody.
            (_, Some(failure)) if failure.starts_with(TLS_ALERT) => hear(None),
            (_, Some(failure)) if failure.contains(HUNG_UP) => dropped = Some(failure.clone()),
            (_, Some(failure)) => hear(Some(failure)),
            (Err(unknown), None) => hear(Some(&unknown.why)),
        }
    }
    let is_target = |endpoint: &str| endpoint.rsplit("://").next() == Some(target);
    for etcd in host.probes.etcd.iter().filter(|answer| is_target(&answer.endpoint)) {
        hear(etcd.healthy.as_ref().err().map(|unknown| unknown.why.as_str()));
    }
    for apiserver in host.probes.apiservers.iter().filter(|answer| is_target(&answer.endpoint)) {
        hear(apiserver.live.as_ref().err().map(|unknown| unknown.why.as_str()));
    }
    match (silent, dropped, other) {
        _ if answered => Reach::Answers,
        (Some(silent), ..) => {
            silence(host, target, format!("{TAKES_CONNECTIONS} and {}", silent.trim_start_matches("TLS ")))
        }
        (None, Some(dropped), _) => Reach::Fails(format!("it {dropped}")),
        (None, None, Some(why)) => Reach::Unknown(Unknown::new(target, why)),
        // A peer port over plain TCP: taking the connection is all that was asked of it.
        (None, None, None) => Reach::Answers,
    }
}

fn connect<'a>(host: &'a Host, url: &Url) -> Option<&'a ConnectAnswer> {
    let target = target(url);
    host.probes.connects.iter().find(|answer| answer.target == target)
}

/// `HOST:PORT` as the probes name it.
pub fn target(url: &Url) -> String {
    match url.host.contains(':') {
        true => format!("[{}]:{}", url.host, url.port_or_default()),
        false => format!("{}:{}", url.host, url.port_or_default()),
    }
}

/// The scheme that a server speaks where a client dials it with the other one, and how that showed. None when it speaks the
/// client's, or did not say.
pub fn other_scheme(host: &Host, url: &Url) -> Option<(&'static str, Evidence)> {
    let target = target(url);
    let evidence = |asked: String, said: &str| {
        Evidence::new(EvidenceKind::Probe, &host.name, Origin::answer(asked), said.to_owned())
    };
    if url.scheme == "https" {
        let mut handshakes = host.probes.handshakes.iter().filter(|answer| answer.target == target);
        // What is not HTTP either is somebody else.
        let plain = format!("{PLAIN_TEXT}HTTP/");
        let failure = handshakes.find_map(|answer| answer.failure.as_ref().filter(|why| why.starts_with(&plain)))?;
        return Some(("http", evidence(format!("TLS handshake with {target}"), failure)));
    }
    let of_etcd = host.probes.etcd.iter().map(|answer| (&answer.endpoint, answer.healthy.as_ref().err()));
    let of_apiserver = host.probes.apiservers.iter().map(|answer| (&answer.endpoint, answer.live.as_ref().err()));
    let endpoint = format!("http://{target}");
    let refusal = of_etcd
        .chain(of_apiserver)
        .filter(|(asked, _)| url.scheme == "http" && **asked == endpoint)
        .find_map(|(_, unknown)| unknown.filter(|unknown| is_from_tls(&unknown.why)))?;
    Some(("https", evidence(endpoint, &refusal.why)))
}

/// Whether a server that was asked in plain HTTP says, in its own words or by the bytes that it sent, that it speaks TLS.
fn is_from_tls(why: &str) -> bool {
    const WORDS: [&str; 3] =
        [TALKS_TLS, "Client sent an HTTP request to an HTTPS server", "The plain HTTP request was sent to HTTPS port"];
    WORDS.iter().any(|words| why.contains(words))
}

/// Where a component's own server listens on this host, as the probes name it: its address, or 127.0.0.1 when it listens on
/// all. `flag` tells etcd's client and peer servers apart.
pub fn own_targets(component: &Component, flag: &str) -> Vec<String> {
    let local = |host: &str, port: u16| {
        let address: Option<IpAddr> = host.parse().ok();
        let host = if address.is_some_and(|address| address.is_unspecified()) { "127.0.0.1" } else { host };
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    };
    match component.name {
        ComponentName::Etcd => component
            .flag_items(flag)
            .iter()
            .filter_map(|item| Url::parse(&item.value))
            .filter(|url| matches!(url.scheme.as_str(), "http" | "https"))
            .map(|url| local(&url.host, url.port_or_default()))
            .collect(),
        ComponentName::KubeApiserver => {
            let bind = component.flag("bind-address").map_or("0.0.0.0", |address| address.value.trim());
            vec![local(bind, secure_port(component))]
        }
        ComponentName::Kubelet => {
            let address = component.flag("address").map_or("0.0.0.0", |address| address.value.trim());
            let port = component.flag("port").and_then(|port| port.value.trim().parse().ok()).unwrap_or(10250);
            vec![local(address, port)]
        }
        _ => Vec::new(),
    }
}

/// Whether something takes connections where the component's own server listens.
pub fn listens(host: &Host, component: &Component) -> bool {
    let targets = own_targets(component, "listen-client-urls");
    let mut answers = host.probes.connects.iter().filter(|answer| targets.contains(&answer.target));
    answers.any(|answer| answer.outcome == ConnectOutcome::Connected)
}

/// The draft of an endpoint that fails: what was asked, and where the client is told to dial it.
pub fn draft(host: &Host, edge: &Edge, url: &Url, reason: &str) -> Draft {
    let target = target(url);
    Draft::new()
        .subject(&target)
        .message("live")
        .value("address", &target)
        .value("endpoint", &target)
        .value("url", &edge.url.value)
        .value("client", &edge.client)
        .value("reason", reason)
        .at(&host.name, &edge.url.origin, format!("{}: {reason}", edge.client))
        .evidence(Evidence::new(
            EvidenceKind::Probe,
            &host.name,
            Origin::answer(format!("dialling {target}")),
            reason.to_owned(),
        ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probe::{ApiserverAnswer, EtcdAnswer};

    fn answered(outcome: ConnectOutcome, patience_ms: u64) -> Host {
        let mut host = Host::empty("m1");
        host.probes.taken = true;
        host.probes.patience_ms = patience_ms;
        host.probes.connects.push(ConnectAnswer {
            target: "10.0.0.1:2379".to_owned(),
            dialled_by: "kube-apiserver".to_owned(),
            outcome,
            elapsed_ms: 1,
        });
        host
    }

    fn etcd(why: Result<bool, &str>) -> EtcdAnswer {
        let unknown = Unknown::new("x", "not part of this test");
        EtcdAnswer {
            endpoint: "https://10.0.0.1:2379".to_owned(),
            healthy: why.map_err(|why| Unknown::new("https://10.0.0.1:2379/health", why)),
            members: Err(unknown.clone()),
            status: Err(unknown),
            metrics: None,
            clock_offset_ms: None,
        }
    }

    #[test]
    fn schemes_are_told_apart() {
        let unknown = |why: &str| Unknown::new("x", why);
        let handshake = |failure: &str| crate::facts::probe::TlsAnswer {
            target: "10.0.0.1:2379".to_owned(),
            server_name: "10.0.0.1".to_owned(),
            dialled_by: String::new(),
            verified: true,
            chain: Err(unknown(failure)),
            failure: Some(failure.to_owned()),
        };
        for (url, failure, why, expected) in [
            ("https://10.0.0.1:2379", "answered in plain text: HTTP/1.1 400 Bad Request", "", Some("http")),
            ("https://10.0.0.1:2379", "answered in plain text: SSH-2.0-OpenSSH_9.2", "", None),
            ("https://10.0.0.1:2379", "TLS alert: certificate required", "", None),
            ("https://10.0.0.2:2379", "answered in plain text: HTTP/1.1 400 Bad Request", "", None),
            ("http://10.0.0.1:2379", "", "HTTP 400: Client sent an HTTP request to an HTTPS server.", Some("https")),
            ("http://10.0.0.1:2379", "", "answered in TLS", Some("https")),
            ("http://10.0.0.1:2379", "", "did not answer in 3 s", None),
            ("http://10.0.0.2:2379", "", "answered in TLS", None),
        ] {
            let mut host = answered(ConnectOutcome::Connected, 3000);
            host.probes.handshakes.push(handshake(failure));
            let mut answer = etcd(Err(why));
            answer.endpoint = "http://10.0.0.1:2379".to_owned();
            host.probes.etcd.push(answer);
            let found = other_scheme(&host, &Url::parse(url).unwrap());
            assert_eq!(found.map(|(scheme, _)| scheme), expected, "{url} {failure} {why}");
        }
    }

    #[test]
    fn own_servers() {
        use crate::origin::Sourced;
        let component = |name, flags: &[(&str, &str)]| {
            let mut component = Component::new(name);
            let origin = Origin::default_of("this test");
            let flags = flags
                .iter()
                .map(|(flag, value)| ((*flag).to_owned(), vec![Sourced::new((*value).to_owned(), origin.clone())]));
            component.layers.push(crate::facts::component::Layer {
                kind: crate::facts::component::LayerKind::Unit,
                origin: origin.clone(),
                flags: flags.collect(),
                spelt: Vec::new(),
                arguments: Vec::new(),
                image: None,
            });
            component
        };
        let etcd = component(ComponentName::Etcd, &[("listen-client-urls", "https://0.0.0.0:2379,http://[::1]:2381")]);
        assert_eq!(own_targets(&etcd, "listen-client-urls"), ["127.0.0.1:2379", "[::1]:2381"]);
        assert!(own_targets(&etcd, "listen-peer-urls").is_empty());
        let apiserver = component(ComponentName::KubeApiserver, &[("secure-port", "8443")]);
        assert_eq!(own_targets(&apiserver, ""), ["127.0.0.1:8443"]);
        let bound = component(ComponentName::KubeApiserver, &[("bind-address", "10.0.0.1")]);
        assert_eq!(own_targets(&bound, ""), ["10.0.0.1:6443"]);
        assert_eq!(own_targets(&component(ComponentName::Kubelet, &[]), ""), ["127.0.0.1:10250"]);
    }

    #[test]
    fn silence_is_told_from_an_answer() {
        use ConnectOutcome::{Connected, NotResolved, Refused, TimedOut};
        let url = Url::parse("https://10.0.0.1:2379").unwrap();
        let kind = |host: &Host| match reach(host, &url) {
            None => "not dialled",
            Some(Reach::Answers) => "answers",
            Some(Reach::Fails(_)) => "fails",
            Some(Reach::Unknown(_)) => "unknown",
        };
        assert_eq!(kind(&Host::empty("m1")), "not dialled");
        for (outcome, patience, said, expected) in [
            (Refused, 300, None, "fails"),
            (TimedOut, 3000, None, "fails"),
            (TimedOut, 300, None, "unknown"),
            (Connected, 300, Some(Err("did not answer in 0.3 s")), "unknown"),
            (NotResolved("no such host".to_owned()), 3000, None, "unknown"),
            (Connected, 3000, None, "answers"),
            (Connected, 3000, Some(Ok(true)), "answers"),
            (Connected, 3000, Some(Ok(false)), "answers"),
            (Connected, 3000, Some(Err("did not answer in 3 s")), "fails"),
            (Connected, 3000, Some(Err("TLS did not answer in 3 s")), "fails"),
            (Connected, 3000, Some(Err("invalid HTTP version")), "unknown"),
            (Connected, 3000, Some(Err("was not asked before the time was over")), "unknown"),
        ] {
            let mut host = answered(outcome.clone(), patience);
            host.probes.etcd.extend(said.map(etcd));
            assert_eq!(kind(&host), expected, "{outcome:?} {said:?}");
        }
        // One that answers another question is not silent.
        let mut host = answered(Connected, 3000);
        host.probes.etcd.push(etcd(Err("did not answer in 3 s")));
        host.probes.apiservers.push(ApiserverAnswer {
            endpoint: "https://10.0.0.1:2379".to_owned(),
            live: Ok(false),
            version: Err(Unknown::new("x", "y")),
            cluster: None,
            clock_offset_ms: None,
        });
        assert_eq!(kind(&host), "answers");
    }
}
