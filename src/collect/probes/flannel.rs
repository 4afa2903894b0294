//! Whether etcd has flannel's network configuration. Its value is not asked for.
//!
//! flannel reads the v2 store or the v3 one, by its release; they are apart, so both are asked.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Client;
use serde_json::Value;

use crate::facts::probe::FlannelAnswer;
use crate::origin::{Fact, Unknown};

use super::budget::Budget;
use super::credentials::Presentable;
use super::http::{self, Answer};
use super::plan::FlannelQuestion;

/// v2's code of `Key not found` (etcd: client/v2, ErrorCodeKeyNotFound).
const KEY_NOT_FOUND: u64 = 100;

pub async fn ask(question: FlannelQuestion, identity: Presentable, budget: Budget) -> FlannelAnswer {
    let FlannelQuestion { endpoint, key, .. } = question;
    let (identity, _) = identity.parts();
    let client = match http::client(identity) {
        Ok(client) => client,
        Err(why) => {
            let unknown = Unknown::new(&endpoint, why);
            return FlannelAnswer { endpoint, key, in_v2: Err(unknown.clone()), in_v3: Err(unknown) };
        }
    };
    let (in_v2, in_v3) = tokio::join!(v2(&client, &endpoint, &key, budget), v3(&client, &endpoint, &key, budget));
    FlannelAnswer { endpoint, key, in_v2, in_v3 }
}

async fn v2(client: &Client, endpoint: &str, key: &str, budget: Budget) -> Fact<bool> {
    let url = format!("{endpoint}/v2/keys{key}");
    let answer = http::ask(client.get(&url), &url, budget).await?;
    in_v2(&answer).ok_or_else(|| Unknown::new(url, answer.summary()))
}

fn in_v2(answer: &Answer) -> Option<bool> {
    let json = answer.json();
    let code = json.as_ref().and_then(|json| json.get("errorCode")?.as_u64());
    match (answer.status, code) {
        (200, None) => json?.get("node").map(|_| true),
        (404, Some(KEY_NOT_FOUND)) => Some(false),
        // Go's words where the API is turned off or gone.
        (404, None) => answer.body.starts_with(b"404 page not found").then_some(false),
        _ => None,
    }
}

async fn v3(client: &Client, endpoint: &str, key: &str, budget: Budget) -> Fact<bool> {
    let body = format!(r#"{{"key":"{}","count_only":true}}"#, BASE64_STANDARD.encode(key));
    let mut gone = Unknown::new(endpoint, "the JSON gateway is not there");
    for prefix in ["/v3", "/v3beta", "/v3alpha"] {
        let url = format!("{endpoint}{prefix}/kv/range");
        let request = client.post(&url).header("content-type", "application/json").body(body.clone());
        let answer = http::ask(request, &url, budget).await?;
        if answer.status != 404 {
            return in_v3(&answer).ok_or_else(|| Unknown::new(url, answer.summary()));
        }
        gone = Unknown::new(url, answer.summary());
    }
    Err(gone)
}

/// A count of 0 is left out of the answer.
fn in_v3(answer: &Answer) -> Option<bool> {
    let json = answer.json().filter(|json| answer.status == 200 && json.get("header").is_some())?;
    Some(match json.get("count") {
        None => false,
        Some(Value::String(count)) => count != "0",
        Some(count) => count.as_u64()? > 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores() {
        let absent = r#"{"errorCode":100,"message":"Key not found","cause":"/coreos.com","index":4}"#;
        for (status, body, expected) in [
            (200, r#"{"action":"get","node":{"key":"/coreos.com/network/config","value":"{}"}}"#, Some(true)),
            (404, absent, Some(false)),
            (404, "404 page not found\n", Some(false)),
            (404, "<html>nginx</html>", None),
            (401, r#"{"errorCode":110,"message":"The request requires user authentication"}"#, None),
            (500, r#"{"errorCode":300,"message":"Raft Internal Error"}"#, None),
        ] {
            assert_eq!(
                in_v2(&Answer { status, body: body.into(), clock_offset_ms: None }),
                expected,
                "{status} {body}"
            );
        }
        for (status, body, expected) in [
            (200, r#"{"header":{"cluster_id":"1"},"count":"1"}"#, Some(true)),
            (200, r#"{"header":{"cluster_id":"1"}}"#, Some(false)),
            (200, "{}", None),
            (400, r#"{"error":"etcdserver: user name is empty","code":3}"#, None),
        ] {
            assert_eq!(
                in_v3(&Answer { status, body: body.into(), clock_offset_ms: None }),
                expected,
                "{status} {body}"
            );
        }
    }
}
