//! nginx, haproxy and keepalived, as far as they stand before an apiserver.

use serde::Serialize;

use crate::origin::{Fact, Origin, Sourced};

#[derive(Debug, Clone, Serialize)]
pub struct LoadBalancers {
    pub haproxy: Fact<Option<Proxy>>,
    pub nginx: Fact<Option<Proxy>>,
    pub keepalived: Fact<Option<Keepalived>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proxy {
    pub path: String,
    pub frontends: Vec<Frontend>,
    pub problems: Vec<(Origin, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frontend {
    pub name: String,
    /// `ADDRESS:PORT` as written: `*:8443`, `10.0.0.1:6443`, `8080`.
    pub listen: Vec<Sourced<String>>,
    pub layer: ProxyLayer,
    /// nginx server_name values.
    pub server_names: Vec<Sourced<String>>,
    /// Whether it ends TLS itself (`ssl crt`, `listen ... ssl`).
    pub terminates_tls: bool,
    /// haproxy's `bind ... transparent`: an address may be bound that the host does not have.
    pub transparent: bool,
    pub backends: Vec<Backend>,
    /// Scheme of nginx' proxy_pass, `http` or `https`; none for stream and haproxy.
    pub upstream_scheme: Option<Sourced<String>>,
    pub health_check: bool,
    /// Seconds that a connection may be idle towards the client and the server, when given.
    pub client_timeout: Option<Sourced<f64>>,
    pub server_timeout: Option<Sourced<f64>>,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyLayer {
    Tcp,
    Http,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backend {
    pub name: Option<String>,
    /// `HOST:PORT`.
    pub address: Sourced<String>,
    pub checked: bool,
    pub backup: bool,
    pub disabled: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Keepalived {
    pub path: String,
    pub instances: Vec<VrrpInstance>,
    pub virtual_servers: Vec<VirtualServer>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VrrpInstance {
    pub name: String,
    pub state: Option<Sourced<String>>,
    pub interface: Option<Sourced<String>>,
    pub virtual_router_id: Option<Sourced<u32>>,
    pub priority: Option<Sourced<u32>>,
    /// `10.0.0.88`, without prefix length.
    pub virtual_addresses: Vec<Sourced<String>>,
    pub unicast_peers: Vec<Sourced<String>>,
    pub track_scripts: Vec<String>,
    pub origin: Origin,
}

/// An LVS service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VirtualServer {
    pub address: Sourced<String>,
    /// `DR`, `NAT`, `TUN`.
    pub forwarding: Option<String>,
    pub real_servers: Vec<Backend>,
    pub health_check: bool,
}
