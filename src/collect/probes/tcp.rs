//! Connections, and the handshakes made over them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::facts::probe::{ConnectAnswer, ConnectOutcome, DID_NOT_ANSWER, TALKS_TLS, TlsAnswer};
use crate::origin::Unknown;

use super::budget::{Budget, NOT_ASKED, no_answer};
use super::plan::{Dial, Endpoint};
use super::{names, not_asked, tls};

/// What stands for a target that had no turn.
pub fn unasked(dials: &[Dial]) -> (ConnectAnswer, Vec<TlsAnswer>) {
    let target = dials.first().map(Dial::target).unwrap_or_default();
    let unknown = not_asked(&target);
    let handshakes = dials.iter().filter_map(|dial| tls_answer(dial, Err(unknown.clone()), None)).collect();
    (connect_answer(dials, ConnectOutcome::Other(unknown.why), 0), handshakes)
}

/// One connection to the target, and a handshake for each server name. All dials have the same host and port.
pub async fn ask(dials: Vec<Dial>, budget: Budget) -> (ConnectAnswer, Vec<TlsAnswer>) {
    let Some(first) = dials.first() else { return unasked(&dials) };
    let target = first.target();
    let started = Instant::now();
    let connected = connect(&first.host, first.port, budget).await;
    let elapsed_ms = started.elapsed().as_millis() as u64;

    let (mut stream, outcome) = match connected {
        Ok((stream, peer)) => (Some((stream, peer)), ConnectOutcome::Connected),
        Err(outcome) => (None, outcome),
    };
    let peer = stream.as_ref().map(|(_, peer)| *peer);
    let mut handshakes = Vec::new();
    for dial in &dials {
        let Some(server_name) = &dial.server_name else { continue };
        let own = match (stream.take(), peer) {
            (Some((stream, _)), _) => Ok(stream),
            // Another name for the same target takes a connection of its own, to the address that answered.
            (None, Some(peer)) => match budget.within(TcpStream::connect(peer)).await {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(error)) => Err(Unknown::new(&target, describe_outcome(&outcome_of(&error)))),
                Err(waited) => Err(Unknown::new(&target, no_answer(waited))),
            },
            (None, None) if outcome == ConnectOutcome::TimedOut => {
                Err(Unknown::new(&target, no_answer(std::time::Duration::from_millis(elapsed_ms))))
            }
            (None, None) => Err(Unknown::new(&target, describe_outcome(&outcome))),
        };
        let (chain, failure) = match own {
            Ok(stream) => tls::handshake(stream, server_name, &target, unidentified(dial), budget).await,
            Err(unknown) => (Err(unknown), None),
        };
        handshakes.extend(tls_answer(dial, chain, failure));
    }
    (connect_answer(&dials, outcome, elapsed_ms), handshakes)
}

/// etcd insists on a client certificate where it asks for one; the others that do are of Kubernetes, and take anybody's.
fn unidentified(dial: &Dial) -> tls::Unidentified {
    match dial.port {
        2379 | 2380 | 4001 | 7001 => tls::Unidentified::HangUp,
        _ if dial.dialled_by.iter().any(|by| by.contains("etcd")) => tls::Unidentified::HangUp,
        _ => tls::Unidentified::GoOn,
    }
}

fn connect_answer(dials: &[Dial], outcome: ConnectOutcome, elapsed_ms: u64) -> ConnectAnswer {
    let mut dialled_by: Vec<&str> = dials.iter().flat_map(|dial| &dial.dialled_by).map(String::as_str).collect();
    dialled_by.sort_unstable();
    dialled_by.dedup();
    ConnectAnswer {
        target: dials.first().map(Dial::target).unwrap_or_default(),
        dialled_by: dialled_by.join(", "),
        outcome,
        elapsed_ms,
    }
}

fn tls_answer(
    dial: &Dial,
    chain: crate::origin::Fact<Vec<crate::facts::certificates::Certificate>>,
    failure: Option<String>,
) -> Option<TlsAnswer> {
    Some(TlsAnswer {
        target: dial.target(),
        server_name: dial.server_name.clone()?,
        dialled_by: dial.dialled_by.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        verified: dial.verified,
        chain,
        failure,
    })
}

/// The first of the host's addresses that takes a connection; the last refusal when none does. A silent address leaves
/// time for those after it.
async fn connect(host: &str, port: u16, budget: Budget) -> Result<(TcpStream, SocketAddr), ConnectOutcome> {
    let addresses: Vec<IpAddr> = names::resolve(host, budget).await.map_err(ConnectOutcome::NotResolved)?;
    let ends = Instant::now() + budget.left();
    let mut outcome = ConnectOutcome::NotResolved("has no address".to_owned());
    for (index, address) in addresses.iter().enumerate() {
        let left = ends.saturating_duration_since(Instant::now()) / (addresses.len() - index) as u32;
        let peer = SocketAddr::new(*address, port);
        outcome = match tokio::time::timeout(left, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => return Ok((stream, peer)),
            Ok(Err(error)) => outcome_of(&error),
            Err(_) => ConnectOutcome::TimedOut,
        };
    }
    Err(outcome)
}

/// Asks an `http://` endpoint whose answer was none whether it speaks TLS, and says so in the place of why the answer was
/// none. A server of Go closes such a connection without a word, or with bytes that are no HTTP.
pub async fn or_talks_tls(unknown: Unknown, endpoint: &str, budget: Budget) -> Unknown {
    let is_silence = unknown.why.contains(DID_NOT_ANSWER) || unknown.why.contains(NOT_ASKED);
    let Some(endpoint) = Endpoint::of_url(endpoint, false).filter(|endpoint| !endpoint.tls && !is_silence) else {
        return unknown;
    };
    let Ok((stream, _)) = connect(&endpoint.host, endpoint.port, budget).await else { return unknown };
    match tls::handshake(stream, &endpoint.host, &endpoint.target(), tls::Unidentified::HangUp, budget).await {
        (Ok(chain), _) if !chain.is_empty() => Unknown { why: format!("{TALKS_TLS} ({})", unknown.why), ..unknown },
        _ => unknown,
    }
}

fn outcome_of(error: &std::io::Error) -> ConnectOutcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => ConnectOutcome::Refused,
        ErrorKind::TimedOut => ConnectOutcome::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            ConnectOutcome::Unreachable(plain(error))
        }
        _ => ConnectOutcome::Other(plain(error)),
    }
}

/// The system's message in lower case, without `(os error 111)`.
pub fn plain(error: &std::io::Error) -> String {
    let message = error.to_string();
    message.split(" (os error").next().unwrap_or(&message).to_lowercase()
}

fn describe_outcome(outcome: &ConnectOutcome) -> String {
    match outcome {
        ConnectOutcome::Connected => "connected".to_owned(),
        ConnectOutcome::Refused => "connection refused".to_owned(),
        ConnectOutcome::TimedOut => "did not answer".to_owned(),
        ConnectOutcome::Unreachable(why) | ConnectOutcome::NotResolved(why) | ConnectOutcome::Other(why) => why.clone(),
    }
}
