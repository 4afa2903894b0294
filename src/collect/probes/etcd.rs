//! etcd's health, members and status, through /health and the JSON gateway of its gRPC API.
//!
//! The gateway's prefix moved: /v3alpha until 3.2, /v3beta with 3.3, /v3 with 3.4 and alone since 3.5
//! (<https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/>). All three questions are answered by the member itself, also
//! without quorum: a member list is linearizable only when the request says so, which `{}` does not
//! (etcd: server/etcdserver/api/v3rpc/member.go).

use reqwest::Client;
use serde_json::Value;

use crate::facts::probe::{EtcdAnswer, EtcdMember, EtcdMetrics, EtcdStatus};
use crate::origin::{Fact, Unknown};

use super::budget::Budget;
use super::credentials::Presentable;
use super::http::{self, Answer};
use super::{metrics, tcp};

const PREFIXES: [&str; 3] = ["/v3", "/v3beta", "/v3alpha"];

pub async fn ask(endpoint: String, identity: Presentable, budget: Budget) -> EtcdAnswer {
    let (identity, without) = identity.parts();
    let client = match http::client(identity) {
        Ok(client) => client,
        Err(why) => {
            let unknown = Unknown::new(&endpoint, format!("the client certificate cannot be used: {why}"));
            return EtcdAnswer {
                endpoint,
                healthy: Err(unknown.clone()),
                members: Err(unknown.clone()),
                status: Err(unknown),
                metrics: None,
                clock_offset_ms: None,
            };
        }
    };
    let (healthy, members, status, metrics) = tokio::join!(
        health(&client, &endpoint, budget),
        gateway(&client, &endpoint, "/cluster/member/list", budget),
        gateway(&client, &endpoint, "/maintenance/status", budget),
        metrics(&client, &endpoint, budget),
    );
    let clock_offset_ms = healthy.as_ref().ok().and_then(|(_, offset)| *offset);
    let healthy = match healthy.map(|(healthy, _)| healthy) {
        Err(unknown) => Err(tcp::or_talks_tls(unknown, &endpoint, budget).await),
        healthy => healthy,
    };
    let explain = |unknown: Unknown| match &without {
        Some(reason) => Unknown {
            why: format!("{}; asked without a client certificate, for {reason}", unknown.why),
            remedy: reason.remedy.clone(),
            ..unknown
        },
        None => unknown,
    };
    EtcdAnswer {
        healthy: healthy.map_err(explain),
        members: members.and_then(|json| members_of(&json, &endpoint)).map_err(explain),
        status: status.and_then(|json| status_of(&json, &endpoint)).map_err(explain),
        metrics: Some(metrics.map_err(explain)),
        clock_offset_ms,
        endpoint,
    }
}

/// What it counted, at the URL for clients, where it is unless --listen-metrics-urls has moved it away.
async fn metrics(client: &Client, endpoint: &str, budget: Budget) -> Fact<EtcdMetrics> {
    let url = format!("{endpoint}/metrics");
    let answer = http::ask(client.get(&url), &url, budget).await?;
    if answer.status != 200 {
        return Err(Unknown::new(url, answer.summary()));
    }
    let now = crate::collect::now().as_second() as f64;
    Ok(metrics::parse(&String::from_utf8_lossy(&answer.body), now))
}

async fn health(client: &Client, endpoint: &str, budget: Budget) -> Fact<(bool, Option<i64>)> {
    let url = format!("{endpoint}/health");
    let answer = http::ask(client.get(&url), &url, budget).await?;
    health_of(&answer)
        .map(|healthy| (healthy, answer.clock_offset_ms))
        .ok_or_else(|| Unknown::new(url, answer.summary()))
}

/// `{"health":"true"}`, with a boolean in very old releases; an unhealthy member says false with status 503.
fn health_of(answer: &Answer) -> Option<bool> {
    match answer.json()?.get("health")? {
        Value::Bool(healthy) => Some(*healthy),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The answer of the first prefix that this release has.
async fn gateway(client: &Client, endpoint: &str, method: &str, budget: Budget) -> Fact<Value> {
    let mut refused = None;
    for prefix in PREFIXES {
        let url = format!("{endpoint}{prefix}{method}");
        let request = client.post(&url).header("content-type", "application/json").body("{}");
        let answer = http::ask(request, &url, budget).await?;
        match (answer.status, answer.json()) {
            (200, Some(json)) => return Ok(json),
            (404, _) => refused = refused.or(Some(Unknown::new(url, "the JSON gateway is not there or turned off"))),
            _ => return Err(Unknown::new(url, answer.summary())),
        }
    }
    Err(refused.unwrap_or_else(|| Unknown::new(endpoint, "the JSON gateway is not there")))
}

fn members_of(json: &Value, endpoint: &str) -> Fact<Vec<EtcdMember>> {
    let members = json.get("members").and_then(Value::as_array);
    let members = members.ok_or_else(|| Unknown::new(endpoint, "the answer lists no members"))?;
    let member = |member: &Value| {
        Some(EtcdMember {
            id: number(member, &["ID", "id"]).map(hex)?,
            name: text(member, "name"),
            peer_urls: texts(member, "peerURLs"),
            client_urls: texts(member, "clientURLs"),
            is_learner: member.get("isLearner").and_then(Value::as_bool).unwrap_or(false),
        })
    };
    let found: Option<Vec<EtcdMember>> = members.iter().map(member).collect();
    found.ok_or_else(|| Unknown::new(endpoint, "the answer lists a member without ID"))
}

fn status_of(json: &Value, endpoint: &str) -> Fact<EtcdStatus> {
    let header = json.get("header");
    let id = |name: &str| header.and_then(|header| number(header, &[name])).map(hex);
    match (id("member_id"), id("cluster_id")) {
        (Some(member_id), Some(cluster_id)) => Ok(EtcdStatus {
            member_id,
            cluster_id,
            // Fields that are 0 are left out by the gateway.
            leader: hex(number(json, &["leader"]).unwrap_or(0)),
            version: text(json, "version"),
            db_size: number(json, &["dbSize", "db_size"]).unwrap_or(0),
            raft_index: number(json, &["raftIndex", "raft_index"]).unwrap_or(0),
            errors: texts(json, "errors"),
        }),
        _ => Err(Unknown::new(endpoint, "the answer has no header with member and cluster")),
    }
}

/// JSON of protocol buffers writes 64-bit numbers as decimal strings.
fn number(json: &Value, names: &[&str]) -> Option<u64> {
    match names.iter().find_map(|name| json.get(name))? {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_u64(),
    }
}

/// As etcdctl and etcd's logs write member IDs.
fn hex(id: u64) -> String {
    format!("{id:x}")
}

fn text(json: &Value, name: &str) -> String {
    json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(json: &Value, name: &str) -> Vec<String> {
    let items = json.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_answers() {
        let cases = [
            (200, r#"{"health":"true"}"#, Some(true)),
            (200, r#"{"health":"true","reason":""}"#, Some(true)),
            (200, r#"{"health": true}"#, Some(true)),
            (503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#, Some(false)),
            (503, r#"{"health":"false"}"#, Some(false)),
            (200, "ok", None),
            (404, "404 page not found", None),
            (200, r#"{"health":"perhaps"}"#, None),
        ];
        for (status, body, expected) in cases {
            assert_eq!(health_of(&Answer { status, body: body.into(), clock_offset_ms: None }), expected, "{body}");
        }
    }

    #[test]
    fn members_and_status() {
        let json = serde_json::json!({"header": {"cluster_id": "14841639068965178418", "member_id": "10276657743932975437"},
            "members": [
                {"ID": "10276657743932975437", "name": "m1", "peerURLs": ["https://10.0.0.1:2380"],
                 "clientURLs": ["https://10.0.0.1:2379"]},
                {"ID": "1", "peerURLs": ["https://10.0.0.2:2380"], "isLearner": true}]});
        let members = members_of(&json, "e").unwrap();
        assert_eq!(members[0].id, "8e9e05c52164694d");
        assert_eq!((members[1].id.as_str(), members[1].name.as_str(), members[1].is_learner), ("1", "", true));
        assert!(members_of(&serde_json::json!({"members": [{"name": "x"}]}), "e").is_err());
        assert!(members_of(&serde_json::json!({}), "e").is_err());

        let status = serde_json::json!({"header": {"cluster_id": "14841639068965178418", "member_id": "10276657743932975437"},
            "version": "3.4.23", "dbSize": "20480", "raftIndex": "8", "errors": ["memberID:1 alarm:NOSPACE "]});
        let status = status_of(&status, "e").unwrap();
        assert_eq!((status.cluster_id.as_str(), status.leader.as_str()), ("cdf818194e3a8c32", "0"));
        assert_eq!((status.db_size, status.raft_index, status.errors.len()), (20480, 8, 1));
        assert!(status_of(&serde_json::json!({"version": "3.4.23"}), "e").is_err());
    }
}
