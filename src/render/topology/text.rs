//! The map for reading.

use crate::facts::topology::map::{Endpoint, EndpointKind, Link, Node, Served, State, Topology};
use crate::render::paint::Paint;
use crate::render::text::{columns, escape};
use crate::report::Severity;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub colour: bool,
}

/// Hosts, etcd members, endpoints, and then who dials whom, by host.
pub fn render(topology: &Topology, options: Options) -> String {
    let mut text = Text { out: String::new(), paint: Paint { colour: options.colour } };
    text.heading("hosts");
    for host in &topology.hosts {
        text.host(host);
    }
    if !topology.etcd_members.is_empty() {
        text.heading("etcd members");
        let rows = topology.etcd_members.iter().map(|member| {
            let host = member.host.as_ref().map_or_else(|| "no given host".to_owned(), |host| format!("on {host}"));
            vec![member.name.clone(), member.peer_url.clone(), host, format!("named by {}", member.named_by.join(", "))]
        });
        text.table(1, rows.collect());
    }
    if !topology.endpoints.is_empty() {
        text.heading("control plane endpoints");
        for endpoint in &topology.endpoints {
            text.endpoint(endpoint);
        }
    }
    if !topology.links.is_empty() {
        text.heading("who dials whom");
        for host in &topology.hosts {
            let links: Vec<&Link> = topology.links.iter().filter(|link| link.host == host.name).collect();
            if !links.is_empty() {
                text.line(1, &text.paint.strong(&escape(&host.name)));
                links.into_iter().for_each(|link| text.link(link));
            }
        }
        text.summary(&topology.links);
    }
    text.out
}

struct Text {
    out: String,
    paint: Paint,
}

impl Text {
    fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(&self.paint.heading(text));
        self.out.push('\n');
    }

    /// `text` is fit to be printed already.
    fn line(&mut self, depth: usize, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// Columns that line up; the last is as long as it is.
    fn table(&mut self, depth: usize, rows: Vec<Vec<String>>) {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
        let mut widths: Vec<usize> = Vec::new();
        for row in &rows {
            for (index, cell) in row.iter().enumerate() {
                match widths.get_mut(index) {
                    Some(width) => *width = columns(cell).max(*width),
                    None => widths.push(columns(cell)),
                }
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(cell)) + 2));
            }
            self.line(depth, line.trim_end());
        }
    }

    fn host(&mut self, host: &Node) {
        let roles = if host.roles.is_empty() { "no role".to_owned() } else { host.roles.join(", ") };
        let addresses =
            if host.addresses.is_empty() { "addresses not known".to_owned() } else { host.addresses.join(", ") };
        let line = format!("{}  {}  {}", self.paint.strong(&escape(&host.name)), escape(&roles), escape(&addresses));
        self.line(1, &line);
        let rows = host.components.iter().map(|component| {
            let running = match component.running {
                Some(true) => "runs",
                Some(false) => "does not run",
                None => "",
            };
            vec![
                component.name.to_owned(),
                component.version.clone().unwrap_or_else(|| "-".to_owned()),
                running.to_owned(),
                component.listens.join(","),
                component.configured_at.to_string(),
            ]
        });
        self.table(2, rows.collect());
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let by = endpoint.by.join(", ");
        let what = match endpoint.kind {
            EndpointKind::VirtualAddress => format!("virtual address, carried by {by}"),
            EndpointKind::LoadBalancer => format!("load balancer: {by}"),
            EndpointKind::Apiserver => format!("the apiserver of {by} alone"),
            EndpointKind::Unknown if by.is_empty() => "no given host has it".to_owned(),
            EndpointKind::Unknown => format!("an address of {by}, where nothing known answers"),
        };
        let clients = match endpoint.clients {
            1 => "1 client".to_owned(),
            many => format!("{many} clients"),
        };
        let line = format!("{}  {}  {clients}", self.paint.strong(&escape(&endpoint.address)), escape(&what));
        self.line(1, &line);
        if let Some(intended) = &endpoint.intended_at {
            self.line(2, &format!("controlPlaneEndpoint of {}", escape(&intended.to_string())));
        }
        let rows = endpoint.backends.iter().map(|backend| {
            let host = backend.host.clone().unwrap_or_else(|| "no given host".to_owned());
            vec!["->".to_owned(), backend.address.clone(), host]
        });
        self.table(2, rows.collect());
    }

    fn link(&mut self, link: &Link) {
        let mark = match link.state {
            State::Fits => self.paint.good("fits   "),
            State::Broken => self.paint.severity(Severity::Error, "broken "),
            State::Unknown => self.paint.severity(Severity::Warning, "unknown"),
        };
        let service = link.service.map(|service| format!("  ({service})")).unwrap_or_default();
        let place = self.paint.faint(&escape(&link.configured_at.to_string()));
        self.line(2, &format!("{mark}  {} -> {}{service}  {place}", escape(&link.client), escape(&link.url)));
        for why in &link.why {
            self.line(7, &escape(why));
        }
        let servers: Vec<&str> = link.servers.iter().map(|server| server.host.as_str()).collect();
        if link.state != State::Unknown && !servers.is_empty() {
            let through = link.through.as_ref().map(|through| format!("through {through} ")).unwrap_or_default();
            self.line(7, &escape(&format!("{through}to {}", servers.join(", "))));
        }
        // Servers that serve the same are told together.
        let mut certificates: Vec<(Vec<&str>, String)> = Vec::new();
        for server in &link.servers {
            let Some(served) = &server.certificate else { continue };
            let text = certificate(served);
            match certificates.iter_mut().find(|(_, known)| *known == text) {
                Some((hosts, _)) => hosts.push(&server.host),
                None => certificates.push((vec![&server.host], text)),
            }
        }
        for (hosts, text) in certificates {
            self.line(7, &escape(&format!("{}: {text}", hosts.join(", "))));
        }
    }

    fn summary(&mut self, links: &[Link]) {
        let count = |state: State| links.iter().filter(|link| link.state == state).count();
        let (fits, broken, unknown) = (count(State::Fits), count(State::Broken), count(State::Unknown));
        self.out.push_str(&format!("\n{} connections: {fits} fit, {broken} broken, {unknown} unknown\n", links.len()));
    }
}

fn certificate(served: &Served) -> String {
    let day = served.expires.strftime("%Y-%m-%d");
    let mut text = format!("{} by {} until {day}", served.subject, served.issuer);
    match (&served.verified_name, served.has_name) {
        (Some(name), Some(true)) => text.push_str(&format!(", has {name}")),
        (Some(name), _) => text.push_str(&format!(", lacks {name}: it has {}", served.names.join(", "))),
        (None, _) => text.push_str(", not verified"),
    }
    if served.trusted == Some(false) {
        text.push_str(", not trusted");
    }
    text
}
