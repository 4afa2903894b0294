//! What is dialled because an answer named it, and what is dialled several times.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::budget::Budget;
use super::plan::{Dial, Endpoint};
use crate::facts::probe::{ApiserverAnswer, EtcdAnswer, RepeatedDial};

/// Nodes whose kubelets are dialled, and members of etcd.
const LIMIT: usize = 50;
/// Connections to one target: enough for a load balancer of three servers to choose each.
const TIMES: u32 = 6;

/// Kubelets of the nodes that apiservers tell of, as those dial them, and what etcd's members advertise.
pub fn dials(apiservers: &[ApiserverAnswer], etcd: &[EtcdAnswer], kubelets: bool) -> Vec<Dial> {
    let mut seen = BTreeSet::new();
    let mut dials = Vec::new();
    let mut add = |host: String, port: u16, by: String| {
        if seen.insert((host.clone(), port)) {
            dials.push(Dial { host, port, server_name: None, verified: false, dialled_by: BTreeSet::from([by]) });
        }
    };
    let nodes = apiservers.iter().filter_map(|answer| answer.cluster.as_ref()?.nodes.as_ref().ok()).flatten();
    for node in nodes.filter(|_| kubelets).take(LIMIT) {
        let internal = node.addresses.iter().find(|(kind, _)| kind == "InternalIP");
        // Only an address: a name from an answer is not looked up.
        if let (Some((_, address)), Some(port)) = (internal, node.kubelet_port)
            && address.parse::<std::net::IpAddr>().is_ok()
        {
            add(address.clone(), port, format!("kube-apiserver to the kubelet of {}", node.name));
        }
    }
    let members = etcd.iter().filter_map(|answer| answer.members.as_ref().ok()).flatten();
    for member in members.take(LIMIT) {
        for url in &member.client_urls {
            let Some(endpoint) = Endpoint::of_url(url, false).filter(|endpoint| !endpoint.is_unspecified()) else {
                continue;
            };
            if endpoint.host.parse::<std::net::IpAddr>().is_ok() {
                add(endpoint.host, endpoint.port, format!("clients of etcd's member {}", member.id));
            }
        }
    }
    dials
}

/// Connections to one endpoint, side by side, each closed as soon as it is there.
pub async fn repeat(endpoint: Endpoint, budget: Budget) -> Option<RepeatedDial> {
    let target = endpoint.target();
    let mut tries = JoinSet::new();
    let patience = budget.left().min(Duration::from_secs(2));
    for _ in 0..TIMES {
        let (host, port) = (endpoint.host.clone(), endpoint.port);
        tries.spawn(async move { tokio::time::timeout(patience, TcpStream::connect((host.as_str(), port))).await });
    }
    let mut found = RepeatedDial { target, connected: 0, timed_out: 0, refused: 0 };
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(Ok(_))) => found.connected += 1,
            Ok(Ok(Err(error))) if error.kind() == std::io::ErrorKind::TimedOut => found.timed_out += 1,
            Ok(Ok(Err(_))) => found.refused += 1,
            Ok(Err(_)) => found.timed_out += 1,
            Err(_) => {}
        }
    }
    // To wait for less is this program's hurry, not the other side's silence.
    (patience >= Duration::from_secs(1)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probe::{ClusterAnswer, EtcdMember, NodeAnswer};
    use crate::origin::Unknown;

    #[test]
    fn what_answers_name() {
        let unknown = || Unknown::new("x", "not part of this test");
        let node = |name: &str, address: &str| NodeAnswer {
            name: name.to_owned(),
            created: None,
            addresses: vec![("Hostname".to_owned(), name.to_owned()), ("InternalIP".to_owned(), address.to_owned())],
            kubelet_port: Some(10_250),
            conditions: Vec::new(),
            heard: None,
        };
        let cluster = ClusterAnswer {
            at: None,
            nodes: Ok(vec![node("w1", "10.0.0.9"), node("w2", "10.0.0.9"), node("evil", "metadata.internal")]),
            leases: Err(unknown()),
            api_services: Err(unknown()),
            services: Err(unknown()),
            service_ranges: Err(unknown()),
        };
        let apiserver = ApiserverAnswer {
            endpoint: "https://10.0.0.1:6443".to_owned(),
            live: Ok(true),
            version: Err(unknown()),
            cluster: Some(cluster),
            clock_offset_ms: None,
        };
        let member = EtcdMember {
            id: "a1".to_owned(),
            name: "m1".to_owned(),
            peer_urls: Vec::new(),
            client_urls: vec!["https://10.0.0.1:2379".to_owned(), "https://m1:2379".to_owned()],
            is_learner: false,
        };
        let etcd = EtcdAnswer {
            endpoint: "https://127.0.0.1:2379".to_owned(),
            healthy: Ok(true),
            members: Ok(vec![member]),
            status: Err(unknown()),
            metrics: None,
            clock_offset_ms: None,
        };
        let targets = |kubelets| -> Vec<String> {
            dials(std::slice::from_ref(&apiserver), std::slice::from_ref(&etcd), kubelets)
                .iter()
                .map(Dial::target)
                .collect()
        };
        assert_eq!(targets(true), ["10.0.0.9:10250", "10.0.0.1:2379"]);
        assert_eq!(targets(false), ["10.0.0.1:2379"]);
    }
}
