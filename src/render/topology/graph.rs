//! The map as nodes and arrows, which both drawings are made of.

use std::collections::BTreeMap;

use crate::facts::topology::map::{Link, State, Topology};

/// What a node stands for. Hosts come by their place in the map, addresses of no given host last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::render) enum Node {
    Component { host: usize, name: String },
    Address(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::render) struct Arrow {
    pub from: usize,
    pub to: usize,
    pub label: String,
    pub state: State,
}

/// Nodes with their numbers, which are stable for the same map.
pub(in crate::render) struct Graph {
    pub nodes: Vec<Node>,
    pub arrows: Vec<Arrow>,
}

impl Graph {
    pub fn of(topology: &Topology) -> Graph {
        let host = |name: &str| topology.hosts.iter().position(|host| host.name == name);
        let mut pairs: Vec<(Node, Node, &Link)> = Vec::new();
        let mut known: BTreeMap<Node, usize> = BTreeMap::new();
        for (index, node) in topology.hosts.iter().enumerate() {
            for component in &node.components {
                known.insert(Node::Component { host: index, name: component.name.to_owned() }, 0);
            }
        }
        for link in &topology.links {
            let Some(from) = host(&link.host) else { continue };
            let from = Node::Component { host: from, name: link.client.clone() };
            for to in targets(link, host) {
                known.insert(from.clone(), 0);
                known.insert(to.clone(), 0);
                pairs.push((from.clone(), to, link));
            }
        }
        for (number, place) in known.values_mut().enumerate() {
            *place = number;
        }
        let mut arrows: Vec<Arrow> = Vec::new();
        for (from, to, link) in pairs {
            let (Some(from), Some(to)) = (known.get(&from), known.get(&to)) else { continue };
            let arrow = Arrow { from: *from, to: *to, label: label(link), state: link.state };
            if !arrows.contains(&arrow) {
                arrows.push(arrow);
            }
        }
        Graph { nodes: known.into_keys().collect(), arrows }
    }
}

/// Where an arrow of a link ends: the load balancer before the servers behind it, else the servers, else the address.
fn targets(link: &Link, host: impl Fn(&str) -> Option<usize>) -> Vec<Node> {
    let balancer = link.through.as_ref().and_then(|through| through.split_once(" on "));
    if let Some((program, at)) = balancer
        && let Some(at) = host(at)
    {
        return vec![Node::Component { host: at, name: program.to_owned() }];
    }
    let of_servers = link
        .servers
        .iter()
        .filter_map(|server| Some(Node::Component { host: host(&server.host)?, name: server.component.to_owned() }));
    let nodes: Vec<Node> = if link.state == State::Unknown { Vec::new() } else { of_servers.collect() };
    if nodes.is_empty() { vec![Node::Address(address(link))] } else { nodes }
}

/// The address that is dialled, without the path.
fn address(link: &Link) -> String {
    let rest = link.url.split_once("://").map_or(link.url.as_str(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

fn label(link: &Link) -> String {
    match link.why.first() {
        Some(why) if link.state == State::Broken => format!("{}: {why}", link.url),
        _ => link.url.clone(),
    }
}
