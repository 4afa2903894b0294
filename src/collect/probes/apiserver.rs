//! Whether an apiserver lives, and its version. Both are answered to system:anonymous by default; where they are not, the
//! refusal itself is an apiserver's answer. No token is ever sent. With a client certificate it is asked about the cluster too.

use reqwest::Client;
use serde_json::Value;

use crate::facts::probe::ApiserverAnswer;
use crate::origin::{Fact, Unknown};

use super::budget::Budget;
use super::credentials::Presentable;
use super::http::{self, Answer};
use super::{objects, tcp};

/// `node` is what the cluster may call this host.
pub async fn ask(endpoint: String, identity: Presentable, node: String, budget: Budget) -> ApiserverAnswer {
    let (identity, mut without) = identity.parts();
    let has_identity = identity.is_some();
    // A client certificate that cannot be used is no reason not to ask.
    let client = http::client(identity).or_else(|why| {
        without = Some(Unknown::new("client certificate", format!("cannot be used: {why}")));
        http::client(None)
    });
    let client = match client {
        Ok(client) => client,
        Err(why) => {
            let unknown = Unknown::new(&endpoint, why);
            let (live, version) = (Err(unknown.clone()), Err(unknown));
            return ApiserverAnswer { endpoint, live, version, cluster: None, clock_offset_ms: None };
        }
    };
    let cluster = async {
        match has_identity && without.is_none() {
            true => Some(objects::ask(&client, &endpoint, &node, budget).await),
            false => None,
        }
    };
    let (live, version, cluster) =
        tokio::join!(live(&client, &endpoint, budget), version(&client, &endpoint, budget), cluster);
    let clock_offset_ms = live.as_ref().ok().and_then(|(_, offset)| *offset);
    let live = match live.map(|(live, _)| live) {
        Err(unknown) => Err(tcp::or_talks_tls(unknown, &endpoint, budget).await),
        live => live,
    };
    let version = version.map_err(|unknown| match without {
        Some(reason) => Unknown {
            why: format!("{}; asked without a client certificate, for {reason}", unknown.why),
            remedy: reason.remedy,
            ..unknown
        },
        None => unknown,
    });
    ApiserverAnswer { endpoint, live, version, cluster, clock_offset_ms }
}

/// /livez since 1.16, /healthz before.
async fn live(client: &Client, endpoint: &str, budget: Budget) -> Fact<(bool, Option<i64>)> {
    let mut url = format!("{endpoint}/livez");
    let mut answer = http::ask(client.get(&url), &url, budget).await?;
    if answer.status == 404 {
        url = format!("{endpoint}/healthz");
        answer = http::ask(client.get(&url), &url, budget).await?;
    }
    let live = live_of(&answer).map(|live| (live, answer.clock_offset_ms));
    live.ok_or_else(|| Unknown::new(url, format!("not an apiserver's answer: {}", answer.summary())))
}

/// None for an answer that is not an apiserver's.
fn live_of(answer: &Answer) -> Option<bool> {
    match answer.status {
        200 => answer.body.trim_ascii().eq(b"ok").then_some(true),
        401 | 403 => is_refusal(answer).then_some(true),
        // Its own checks failed, or what stands before it found nobody behind.
        500..=599 => Some(false),
        _ => None,
    }
}

/// A Status object, or the bare word of releases before 1.9.
fn is_refusal(answer: &Answer) -> bool {
    let status = answer.json().is_some_and(|json| json.get("kind").and_then(Value::as_str) == Some("Status"));
    status || answer.body.trim_ascii() == b"Unauthorized"
}

async fn version(client: &Client, endpoint: &str, budget: Budget) -> Fact<String> {
    let url = format!("{endpoint}/version");
    let answer = http::ask(client.get(&url), &url, budget).await?;
    let version = answer.json().filter(|_| answer.status == 200);
    let version = version.as_ref().and_then(|json| json.get("gitVersion")?.as_str());
    version.map(str::to_owned).ok_or_else(|| Unknown::new(url, answer.summary()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liveness() {
        let forbidden = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}"#;
        let cases = [
            (200, "ok", Some(true)),
            (200, "<html>welcome</html>", None),
            (403, forbidden, Some(true)),
            (403, "<html>nginx</html>", None),
            (401, "Unauthorized\n", Some(true)),
            (500, "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed", Some(false)),
            (502, "<html>Bad Gateway</html>", Some(false)),
            (301, "", None),
            (400, "Client sent an HTTP request to an HTTPS server.\n", None),
        ];
        for (status, body, expected) in cases {
            assert_eq!(
                live_of(&Answer { status, body: body.into(), clock_offset_ms: None }),
                expected,
                "{status} {body}"
            );
        }
    }
}
