//! What an apiserver says of the cluster, read with a client certificate of this host: nodes, the leaders' leases, aggregated
//! APIs and addresses of services. Only the fields that rules need are kept.

use std::net::IpAddr;

use jiff::Timestamp;
use reqwest::Client;
use serde_json::Value;

use super::budget::Budget;
use super::http;
use crate::facts::probe::{ApiServiceAnswer, ClusterAnswer, ConditionAnswer, LeaseAnswer, NodeAnswer, ServiceAnswer};
use crate::origin::{Fact, Unknown};

/// Objects of one kind that are asked for; the apiserver lists them by name.
const LIMIT: usize = 500;
/// Characters of a condition's message that are kept.
const MESSAGE: usize = 400;
/// The leases that controller-manager and scheduler hold.
const LEASES: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// `node` is asked for alone where the certificate may not list all: a kubelet's.
pub async fn ask(client: &Client, endpoint: &str, node: &str, budget: Budget) -> ClusterAnswer {
    let list = |path: &str| {
        let url = format!("{endpoint}{path}?limit={LIMIT}");
        async move { get(client, &url, budget).await }
    };
    let (nodes, heard, first, second, api_services, services, ranges) = tokio::join!(
        nodes(client, endpoint, node, budget),
        list("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
        lease(client, endpoint, LEASES[0], budget),
        lease(client, endpoint, LEASES[1], budget),
        list("/apis/apiregistration.k8s.io/v1/apiservices"),
        list("/api/v1/services"),
        list("/apis/networking.k8s.io/v1/servicecidrs"),
    );
    let offset = first.as_ref().ok().and_then(|(_, offset)| *offset);
    let at =
        offset.and_then(|offset| crate::collect::now().checked_add(jiff::SignedDuration::from_millis(offset)).ok());
    let leases = first.and_then(|(one, _)| second.map(|(two, _)| one.into_iter().chain(two).collect()));
    let items = |answer: Fact<(Option<Value>, Option<i64>)>| -> Fact<Vec<Value>> {
        let (list, _) = answer?;
        Ok(list.map(items).unwrap_or_default())
    };
    let heard: Vec<LeaseAnswer> = items(heard).unwrap_or_default().iter().filter_map(lease_of).collect();
    let nodes = nodes.map(|mut nodes| {
        for node in &mut nodes {
            node.heard = heard.iter().find(|lease| lease.name == node.name).and_then(|lease| lease.renewed);
        }
        nodes
    });
    ClusterAnswer {
        at,
        nodes,
        leases,
        api_services: items(api_services).map(|items| items.iter().filter_map(api_service).collect()),
        services: items(services).map(|items| items.iter().filter_map(service).collect()),
        service_ranges: items(ranges).map(|items| items.iter().flat_map(|item| texts(item, "/spec/cidrs")).collect()),
    }
}

async fn nodes(client: &Client, endpoint: &str, node: &str, budget: Budget) -> Fact<Vec<NodeAnswer>> {
    let all = get(client, &format!("{endpoint}/api/v1/nodes?limit={LIMIT}"), budget).await;
    let refused = match all {
        Ok((list, _)) => return Ok(list.map(items).unwrap_or_default().iter().filter_map(node_of).collect()),
        Err(unknown) if unknown.why.starts_with("HTTP 403") => unknown,
        Err(unknown) => return Err(unknown),
    };
    let is_plain =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let node = node.to_ascii_lowercase();
    if !is_plain(&node) {
        return Err(refused);
    }
    match get(client, &format!("{endpoint}/api/v1/nodes/{node}"), budget).await {
        Ok((Some(own), _)) => Ok(node_of(&own).into_iter().collect()),
        _ => Err(refused),
    }
}

async fn lease(
    client: &Client,
    endpoint: &str,
    name: &str,
    budget: Budget,
) -> Fact<(Option<LeaseAnswer>, Option<i64>)> {
    let url = format!("{endpoint}/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}");
    let (lease, offset) = get(client, &url, budget).await?;
    Ok((lease.as_ref().and_then(lease_of), offset))
}

/// The object, none when there is none of it, and how the clocks differ.
async fn get(client: &Client, url: &str, budget: Budget) -> Fact<(Option<Value>, Option<i64>)> {
    let answer = http::ask(client.get(url).header("accept", "application/json"), url, budget).await?;
    match (answer.status, answer.json()) {
        (200, Some(json)) => Ok((Some(json), answer.clock_offset_ms)),
        (404, _) => Ok((None, answer.clock_offset_ms)),
        _ => Err(Unknown::new(url, answer.summary())),
    }
}

fn items(mut list: Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn text(json: &Value, pointer: &str) -> String {
    let text = json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    text.chars().filter(|letter| !letter.is_control()).take(MESSAGE).collect()
}

fn texts(json: &Value, pointer: &str) -> Vec<String> {
    let items = json.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn time(json: &Value, pointer: &str) -> Option<Timestamp> {
    json.pointer(pointer)?.as_str()?.parse().ok()
}

fn conditions(json: &Value) -> Vec<ConditionAnswer> {
    let items = json.pointer("/status/conditions").and_then(Value::as_array);
    let condition = |json: &Value| ConditionAnswer {
        kind: text(json, "/type"),
        status: text(json, "/status"),
        reason: text(json, "/reason"),
        message: text(json, "/message"),
        since: time(json, "/lastTransitionTime"),
    };
    items.into_iter().flatten().take(50).map(condition).collect()
}

fn node_of(json: &Value) -> Option<NodeAnswer> {
    let name = text(json, "/metadata/name");
    let addresses = json.pointer("/status/addresses").and_then(Value::as_array);
    let port = json.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
    (!name.is_empty()).then(|| NodeAnswer {
        name,
        created: time(json, "/metadata/creationTimestamp"),
        addresses: addresses
            .into_iter()
            .flatten()
            .take(20)
            .map(|address| (text(address, "/type"), text(address, "/address")))
            .collect(),
        kubelet_port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
        conditions: conditions(json),
        heard: None,
    })
}

fn lease_of(json: &Value) -> Option<LeaseAnswer> {
    let name = text(json, "/metadata/name");
    (!name.is_empty()).then(|| LeaseAnswer {
        name,
        holder: text(json, "/spec/holderIdentity"),
        renewed: time(json, "/spec/renewTime"),
        duration_seconds: json
            .pointer("/spec/leaseDurationSeconds")
            .and_then(Value::as_u64)
            .and_then(|seconds| u32::try_from(seconds).ok()),
    })
}

/// None for those that the apiserver itself serves.
fn api_service(json: &Value) -> Option<ApiServiceAnswer> {
    json.pointer("/spec/service").filter(|service| service.is_object())?;
    let available = conditions(json).into_iter().find(|condition| condition.kind == "Available");
    let backend = format!("{}/{}", text(json, "/spec/service/namespace"), text(json, "/spec/service/name"));
    Some(ApiServiceAnswer { name: text(json, "/metadata/name"), backend, available })
}

/// None for those without an address.
fn service(json: &Value) -> Option<ServiceAnswer> {
    let mut addresses: Vec<IpAddr> =
        texts(json, "/spec/clusterIPs").iter().filter_map(|address| address.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(text(json, "/spec/clusterIP").parse::<IpAddr>().ok());
    }
    let name = format!("{}/{}", text(json, "/metadata/namespace"), text(json, "/metadata/name"));
    (!addresses.is_empty()).then_some(ServiceAnswer { name, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read() {
        let node = serde_json::json!({"metadata": {"name": "w1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady",
                    "message": "container runtime network not ready: NetworkReady=false", "lastTransitionTime": "2026-01-01T00:01:00Z"}]}});
        let node = node_of(&node).unwrap();
        assert_eq!((node.name.as_str(), node.kubelet_port, node.is_ready()), ("w1", Some(10_250), false));
        assert_eq!(node.condition("Ready").unwrap().reason, "KubeletNotReady");
        assert_eq!(node.addresses, [("InternalIP".to_owned(), "10.0.0.9".to_owned())]);
        assert!(node_of(&serde_json::json!({"items": []})).is_none());

        let lease = serde_json::json!({"metadata": {"name": "kube-scheduler"}, "spec": {"holderIdentity": "m1_x",
            "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.123456Z"}});
        let lease = lease_of(&lease).unwrap();
        assert_eq!((lease.holder.as_str(), lease.duration_seconds, lease.renewed.is_some()), ("m1_x", Some(15), true));

        let local = serde_json::json!({"metadata": {"name": "v1."}, "spec": {"service": null}});
        assert!(api_service(&local).is_none());
        let remote = serde_json::json!({"metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}});
        let remote = api_service(&remote).unwrap();
        assert_eq!(
            (remote.backend.as_str(), remote.available.unwrap().status.as_str()),
            ("kube-system/metrics-server", "False")
        );

        let headless = serde_json::json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None"}});
        assert!(service(&headless).is_none());
        let old = serde_json::json!({"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {"clusterIP": "10.96.0.1"}});
        assert_eq!(service(&old).unwrap().name, "default/kubernetes");
        assert!(items(serde_json::json!({"kind": "Status"})).is_empty());
    }
}
