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
    /// IPv4 prefixes of which every address may be bound: 127.0.0.0/8 while lo is up, and what `ip route add local`
    /// made. IPv6 knows no such thing: there only an interface's own address may be bound.
    pub local_prefixes: Vec<IpNet>,
    pub routes_v4: Fact<Vec<Route>>,
    pub routes_v6: Fact<Vec<Route>>,
    /// TCP listeners, IPv4 and IPv6.
    pub listeners: Fact<Vec<Listener>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// `eth0`. Addresses of fib_trie name no interface; they are given to the one whose connected route holds them, and
    /// to one with an empty name when there is none (tunnels and virtual addresses with /32).
    pub name: String,
    pub addresses: Vec<IpNet>,
    /// Set up by the administrator (IFF_UP), also without a carrier.
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
    /// The host's own name as it has it, from /etc/hostname or /proc/sys/kernel/hostname.
    pub own: Fact<String>,
    /// /etc/hosts: address and the names that stand for it, each line.
    pub hosts: Fact<Vec<HostsEntry>>,
    pub resolv_conf: Fact<ResolvConf>,
    /// What systemd-resolved asks itself, /run/systemd/resolve/resolv.conf; `None` when it does not run.
    pub systemd_resolved: Fact<Option<ResolvConf>>,
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

    /// Whether the kernel would let a process bind this address, apart from net.ipv4.ip_nonlocal_bind and its IPv6
    /// sibling: it is unspecified, an interface's, or within a local prefix. The zone of a link-local address is not
    /// looked at.
    pub fn owns(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_unspecified()
            || self.addresses().any(|(_, net)| {
                net.addr() == address || address.is_ipv4() && net.addr().is_loopback() && net.contains(&address)
            })
            || address.is_ipv4() && self.local_prefixes.iter().any(|prefix| prefix.contains(&address))
    }

    /// The interface that has this address.
    pub fn interface_of(&self, address: IpAddr) -> Option<&Interface> {
        let address = address.to_canonical();
        self.interfaces.iter().find(|interface| interface.addresses.iter().any(|net| net.addr() == address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(interfaces: &[(&str, &[&str])], local_prefixes: &[&str]) -> Network {
        let interfaces = interfaces.iter().map(|(name, addresses)| Interface {
            name: (*name).to_owned(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            up: Some(true),
            mtu: None,
            mac: None,
        });
        Network {
            origin: Origin::answer("getifaddrs"),
            interfaces: interfaces.collect(),
            local_prefixes: local_prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            routes_v4: Ok(vec![]),
            routes_v6: Ok(vec![]),
            listeners: Ok(vec![]),
        }
    }

    #[test]
    fn what_may_be_bound() {
        let usual = network(
            &[("lo", &["127.0.0.1/8", "::1/128"]), ("eth0", &["10.77.0.11/24", "fe80::1/64", "2001:db8::5/64"])],
            &["127.0.0.0/8"],
        );
        let any_ip = network(&[("lo", &["127.0.0.1/8"])], &["127.0.0.0/8", "192.0.2.0/24"]);
        let lo_down = network(&[("lo", &[]), ("eth0", &["10.77.0.11/24"])], &[]);
        for (why, network, address, expected) in [
            ("an interface has it", &usual, "10.77.0.11", true),
            ("only the same network", &usual, "10.77.0.12", false),
            ("floating", &usual, "203.0.113.12", false),
            ("every address", &usual, "0.0.0.0", true),
            ("every address", &usual, "::", true),
            ("all of loopback", &usual, "127.0.0.53", true),
            ("IPv6 loopback", &usual, "::1", true),
            ("one IPv6 loopback only", &usual, "::2", false),
            ("link-local", &usual, "fe80::1", true),
            ("another's link-local", &usual, "fe80::2", false),
            ("mapped", &usual, "::ffff:10.77.0.11", true),
            ("mapped, not owned", &usual, "::ffff:10.77.0.12", false),
            ("a local route", &any_ip, "192.0.2.77", true),
            ("beside a local route", &any_ip, "192.0.3.1", false),
            ("no IPv6", &any_ip, "::1", false),
            ("loopback is down", &lo_down, "127.0.0.1", false),
        ] {
            assert_eq!(network.owns(address.parse().unwrap()), expected, "{why}: {address}");
        }
        assert_eq!(usual.interface_of("::ffff:10.77.0.11".parse().unwrap()).map(|i| i.name.as_str()), Some("eth0"));
    }
}
