//! Interfaces, addresses, routes, listening sockets, names.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::origin::{Fact, Origin, Sourced};

#[derive(Debug, Clone, Serialize)]
pub struct Network {
    /// Where the addresses were read: `/proc/net/fib_trie`, or the answer of getifaddrs.
    pub origin: Origin,
    pub interfaces: Vec<Interface>,
    pub routes_v4: Fact<Vec<Route>>,
    pub routes_v6: Fact<Vec<Route>>,
    /// TCP listeners, IPv4 and IPv6.
    pub listeners: Fact<Vec<Listener>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// `eth0`. Addresses of fib_trie name no interface; they are given to the one whose connected route holds them.
    pub name: String,
    pub addresses: Vec<IpNet>,
    pub up: Option<bool>,
    /// Bytes.
    pub mtu: Option<u32>,
    pub mac: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    pub destination: IpNet,
    pub gateway: Option<IpAddr>,
    pub interface: String,
    pub metric: u32,
    /// False for `unreachable` and `blackhole` routes (RTF_REJECT), which lead nowhere.
    pub usable: bool,
    pub origin: Origin,
}

impl Route {
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0 && self.usable
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    pub address: IpAddr,
    pub port: u16,
    /// The process that holds the socket, when /proc/PID/fd could be read.
    pub process: Option<ListenerProcess>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerProcess {
    pub pid: u32,
    pub name: String,
}

/// Name resolution as the host's files configure it.
#[derive(Debug, Clone, Serialize)]
pub struct Names {
    /// /etc/hosts: address and the names that stand for it, each line.
    pub hosts: Fact<Vec<HostsEntry>>,
    pub resolv_conf: Fact<ResolvConf>,
    /// The sources of `hosts:` in nsswitch.conf, in order; `None` when the file or line is absent.
    pub nsswitch_hosts: Fact<Option<Vec<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostsEntry {
    pub address: IpAddr,
    pub names: Vec<String>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResolvConf {
    pub nameservers: Vec<Sourced<IpAddr>>,
    pub search: Vec<String>,
    pub options: Vec<String>,
    pub origin: Origin,
}

impl Network {
    /// Every address that the host owns, with the interface's name.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, IpNet)> {
        self.interfaces
            .iter()
            .flat_map(|interface| interface.addresses.iter().map(move |address| (interface.name.as_str(), *address)))
    }

    /// Whether the kernel would let a process bind this address: it is unspecified, loopback (all of 127.0.0.0/8 is
    /// bindable while lo is up), or on an interface.
    pub fn owns(&self, address: IpAddr) -> bool {
        if address.is_unspecified() {
            return true;
        }
        if let IpAddr::V4(v4) = address
            && v4.is_loopback()
        {
            return self.interfaces.iter().any(|interface| interface.name == "lo" || !interface.addresses.is_empty());
        }
        self.addresses().any(|(_, net)| net.addr() == address)
    }
}
