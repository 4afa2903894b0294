//! Whether what a host's clients dial answers, from what was asked live: shared by the rules on endpoints that cannot be
//! reached.

use crate::engine::verdict::Draft;
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::probe::{ConnectAnswer, ConnectOutcome, DID_NOT_ANSWER, HUNG_UP, TLS_ALERT};
use crate::facts::topology::Edge;
use crate::origin::{Origin, Unknown};
use crate::report::{Evidence, EvidenceKind};

/// Milliseconds; to wait less is this program's hurry, not the other side's silence.
const LEAST_PATIENCE: u64 = 1000;

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
            silence(host, target, format!("it takes connections and {}", silent.trim_start_matches("TLS ")))
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
        }
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
        });
        assert_eq!(kind(&host), "answers");
    }
}
