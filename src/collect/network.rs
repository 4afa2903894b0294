//! Interfaces with their addresses, routes, listening sockets: /proc/net and /sys/class/net, and on the live host what
//! getifaddrs answers, since /proc/net names no interface for an IPv4 address.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::processes::program_name;
use super::{Files, Problems};
use crate::facts::network::{Interface, Listener, ListenerProcess, Network, Route};
use crate::facts::system::Process;
use crate::origin::{Fact, Origin, Unknown};
use crate::parse;
use crate::parse::proc_net::{self, FibTrie, InterfaceAddress, ListenRow, RouteRow};
use crate::parse::proc_system::link_inode;
use crate::source::{FileKind, ReadError};

/// Bytes of a table of sockets that is too large to be read whole; listening sockets stand at its beginning.
const SOCKETS_HEAD: u64 = 4 << 20;

const INTERFACES: &str = "/sys/class/net";

/// Takes a host's network. Unknown when it cannot be said which addresses it owns.
pub fn collect(files: &Files, problems: &Problems, processes: &Fact<Vec<Process>>) -> Fact<Network> {
    let tables = Tables::find(files);
    let trie_path = tables.path("fib_trie");
    let trie = files.text(&trie_path).map_err(|error| error.unknown()).and_then(|file| {
        proc_net::fib_trie(&file.text).ok_or_else(|| Unknown::new(&*trie_path, "holds no routing table"))
    });
    let inet6 = tables.rows_v6(problems, "if_inet6", proc_net::if_inet6);
    let rows_v4 = files
        .text(&tables.path("route"))
        .map(|file| reported(problems, &file.path, proc_net::route(&file.text)))
        .map_err(|error| error.unknown());
    let rows_v6 = tables.rows_v6(problems, "ipv6_route", proc_net::ipv6_route);

    let answer = addresses(files);
    let (origin, by_interface) = match answer {
        Some(addresses) => (Origin::answer("getifaddrs"), addresses),
        None => {
            let connected = rows_v4.as_deref().unwrap_or_default();
            let addresses = addresses_of_files(
                trie.as_ref().map_err(Unknown::clone)?,
                connected,
                inet6.as_ref().map_err(Unknown::clone)?,
            );
            (Origin::file(trie_path, None), addresses)
        }
    };
    let mut names: BTreeSet<String> = by_interface.keys().cloned().collect();
    for rows in [&rows_v4, &rows_v6].into_iter().flatten() {
        names.extend(rows.iter().map(|row| row.interface.clone()).filter(|name| name != "*"));
    }
    if let Ok(entries) = files.list(INTERFACES) {
        // `bonding_masters` is a file among them.
        names.extend(entries.iter().filter(|entry| entry.kind != FileKind::File).map(|entry| entry.name.clone()));
    }
    let listeners = tables.listeners(problems).map(|rows| with_processes(files, &tables, processes, rows));
    Ok(Network {
        origin,
        interfaces: interfaces(files, names, by_interface),
        local_prefixes: trie.map(|trie| trie.prefixes.into_iter().map(IpNet::from).collect()).unwrap_or_default(),
        routes_v4: rows_v4.map(|rows| routes(&tables.path("route"), rows)),
        routes_v6: rows_v6.map(|rows| routes(&tables.path("ipv6_route"), rows)),
        listeners,
    })
}

/// The directory with the tables of the host's network namespace.
struct Tables<'a> {
    files: &'a Files,
    directory: &'static str,
}

impl<'a> Tables<'a> {
    /// On the live host /proc/net is this process' own view. In a tree that is a link too (a mounted /proc) it would be
    /// that of whoever reads it, so the first process' is taken.
    fn find(files: &'a Files) -> Tables<'a> {
        let is_foreign_link = !files.is_live() && files.read_link("/proc/net").is_ok();
        let candidates = match is_foreign_link {
            true => ["/proc/1/net", "/proc/net"],
            false => ["/proc/net", "/proc/1/net"],
        };
        let holds_tables = |directory: &&str| {
            ["fib_trie", "route", "tcp"].iter().any(|name| files.exists(&format!("{directory}/{name}")) == Ok(true))
        };
        let directory = candidates.into_iter().find(holds_tables).unwrap_or(candidates[0]);
        Tables { files, directory }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// The rows of a table that is not there when the kernel runs without IPv6.
    fn rows_v6<T>(
        &self,
        problems: &Problems,
        name: &str,
        parse: impl Fn(&str) -> (Vec<T>, Vec<parse::Problem>),
    ) -> Fact<Vec<T>> {
        match self.files.text(&self.path(name)) {
            Ok(file) => Ok(reported(problems, &file.path, parse(&file.text))),
            Err(error) if error.is_absent() && !self.has_v6(name) => Ok(Vec::new()),
            Err(error) => Err(error.unknown()),
        }
    }

    /// Whether anything but the table `absent` speaks of IPv6.
    fn has_v6(&self, absent: &str) -> bool {
        ["if_inet6", "ipv6_route", "tcp6"]
            .iter()
            .filter(|name| **name != absent)
            .map(|name| self.path(name))
            .any(|path| self.files.exists(&path) != Ok(false) && !self.is_bare(&path))
            // Tables that are known to be absent tell enough where nobody took the sysctls.
            || self.files.exists("/proc/sys/net/ipv6/conf") == Ok(true)
    }

    /// Whether it is a table of sockets with nothing but its heading: captures have one where nobody uses IPv6.
    fn is_bare(&self, path: &str) -> bool {
        path.ends_with("/tcp6") && self.files.text(path).is_ok_and(|file| file.text.trim_end().lines().count() <= 1)
    }

    fn listeners(&self, problems: &Problems) -> Fact<Vec<(String, ListenRow)>> {
        let mut found = Vec::new();
        for name in ["tcp", "tcp6"] {
            let path = self.path(name);
            let rows = match sockets(self.files, &path) {
                Ok(text) => reported(problems, &path, proc_net::tcp_listeners(&text)),
                Err(error) if name == "tcp6" && error.is_absent() && !self.has_v6(name) => Vec::new(),
                Err(error) => return Err(error.unknown()),
            };
            found.extend(rows.into_iter().map(|row| (path.clone(), row)));
        }
        Ok(found)
    }
}

fn reported<T>(problems: &Problems, path: &str, (rows, found): (Vec<T>, Vec<parse::Problem>)) -> Vec<T> {
    problems.add_parsed(path, found);
    rows
}

/// A table of sockets: with some hundred thousand connections only its beginning.
fn sockets(files: &Files, path: &str) -> Result<String, ReadError> {
    match files.text(path) {
        Ok(file) => Ok(file.text.clone()),
        Err(ReadError::TooLarge { .. }) => {
            let mut head = Vec::new();
            files
                .open(path)?
                .take(SOCKETS_HEAD)
                .read_to_end(&mut head)
                .map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() })?;
            let whole_lines = memchr::memrchr(b'\n', &head).map_or(0, |end| end + 1);
            head.truncate(whole_lines);
            Ok(String::from_utf8_lossy(&head).into_owned())
        }
        Err(error) => Err(error),
    }
}

/// Addresses by interface as the kernel answers, or answered when the host was recorded; none when only its files tell.
pub fn addresses(files: &Files) -> Option<BTreeMap<String, Vec<IpNet>>> {
    match files.source().recording() {
        Some(recording) => recording.addresses.clone(),
        None if files.is_live() => answered_addresses(),
        None => None,
    }
}

/// Addresses by interface as the kernel answers; none when it does not. An alias (`eth0:1`) is a label on its interface.
fn answered_addresses() -> Option<BTreeMap<String, Vec<IpNet>>> {
    let mut found: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    for interface in if_addrs::get_if_addrs().ok()? {
        let length = match &interface.addr {
            if_addrs::IfAddr::V4(address) => address.prefixlen,
            if_addrs::IfAddr::V6(address) => address.prefixlen,
        };
        let name = interface.name.split(':').next().unwrap_or_default().to_owned();
        if let Ok(net) = IpNet::new(interface.ip(), length) {
            found.entry(name).or_default().push(net);
        }
    }
    Some(found)
}

/// Addresses by interface, as far as the files tell.
fn addresses_of_files(trie: &FibTrie, routes: &[RouteRow], inet6: &[InterfaceAddress]) -> BTreeMap<String, Vec<IpNet>> {
    let mut found: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    for address in &trie.addresses {
        let address = IpAddr::V4(*address);
        let connected = routes
            .iter()
            .filter(|row| row.usable && row.gateway.is_none() && (1..32).contains(&row.destination.prefix_len()))
            .filter(|row| row.destination.contains(&address))
            .min_by_key(|row| (std::cmp::Reverse(row.destination.prefix_len()), row.metric));
        // A prefix on lo makes a local route instead of a connected one.
        let local = || trie.prefixes.iter().filter(|prefix| IpNet::from(**prefix).contains(&address));
        let (name, length) = match (connected, local().max_by_key(|prefix| prefix.prefix_len())) {
            (Some(row), _) => (row.interface.as_str(), row.destination.prefix_len()),
            (None, Some(prefix)) => ("lo", Ipv4Net::prefix_len(prefix)),
            (None, None) => ("", 32),
        };
        if let Ok(net) = IpNet::new(address, length) {
            found.entry(name.to_owned()).or_default().push(net);
        }
    }
    for row in inet6 {
        if let Ok(net) = IpNet::new(row.address.into(), row.prefix_length) {
            found.entry(row.interface.clone()).or_default().push(net);
        }
    }
    found
}

/// All interfaces by name, the loopback last: it says the least.
fn interfaces(files: &Files, names: BTreeSet<String>, mut addresses: BTreeMap<String, Vec<IpNet>>) -> Vec<Interface> {
    let mut found: Vec<_> = names
        .into_iter()
        .map(|name| {
            let value = |attribute: &str| match name.as_str() {
                "" => None,
                _ => files.line(&format!("{INTERFACES}/{name}/{attribute}")).ok().filter(|value| !value.is_empty()),
            };
            Interface {
                addresses: addresses.remove(&name).unwrap_or_default(),
                up: is_up(value("flags").as_deref(), || value("operstate")),
                mtu: value("mtu").and_then(|mtu| mtu.parse().ok()),
                mac: value("address").filter(|mac| mac.bytes().any(|byte| !matches!(byte, b'0' | b':'))),
                name,
            }
        })
        .collect();
    found.sort_by_key(|interface| interface.name == "lo");
    found
}

/// IFF_UP of `flags` (`0x1003`). Without it `operstate`, where `unknown` is said of devices without a carrier while they
/// are up (lo, tunnels), and a missing carrier (`lowerlayerdown`, `dormant`) says nothing.
fn is_up(flags: Option<&str>, operstate: impl Fn() -> Option<String>) -> Option<bool> {
    const IFF_UP: u32 = 1;
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
    flags.map(|flags| flags & IFF_UP != 0).or_else(|| match operstate()?.as_str() {
        "up" | "unknown" => Some(true),
        "down" => Some(false),
        _ => None,
    })
}

fn routes(path: &str, rows: Vec<RouteRow>) -> Vec<Route> {
    let path: std::sync::Arc<str> = path.into();
    rows.into_iter()
        .map(|row| Route {
            destination: row.destination,
            gateway: row.gateway,
            interface: row.interface,
            metric: row.metric,
            usable: row.usable,
            origin: Origin::file(path.clone(), Some(row.span)),
        })
        .collect()
}

fn with_processes(
    files: &Files,
    tables: &Tables<'_>,
    processes: &Fact<Vec<Process>>,
    rows: Vec<(String, ListenRow)>,
) -> Vec<Listener> {
    let wanted = rows.iter().map(|(_, row)| row.inode).filter(|inode| *inode != 0).collect();
    let holders = match processes {
        Ok(processes) => holders(files, tables, processes, wanted),
        Err(_) => BTreeMap::new(),
    };
    rows.into_iter()
        .map(|(path, row)| Listener {
            address: row.address.ip(),
            port: row.address.port(),
            process: holders.get(&row.inode).cloned(),
            origin: Origin::file(path, Some(row.span)),
        })
        .collect()
}

/// The processes that hold these sockets; of several (a server and its workers) the one with the lowest number. Links
/// are read only until all are found, and only of processes in the namespace that the sockets are in.
fn holders(
    files: &Files,
    tables: &Tables<'_>,
    processes: &[Process],
    mut wanted: BTreeSet<u64>,
) -> BTreeMap<u64, ListenerProcess> {
    let reader = if files.is_of_live_host() && tables.directory == "/proc/net" { "self" } else { "1" };
    let namespace =
        files.read_link(&format!("/proc/{reader}/ns/net")).ok().and_then(|target| link_inode(&target, "net"));
    let mut found = BTreeMap::new();
    for process in processes {
        if wanted.is_empty() {
            break;
        }
        let is_elsewhere = namespace.zip(process.network_namespace).is_some_and(|(here, there)| here != there);
        if is_elsewhere {
            continue;
        }
        let directory = format!("/proc/{}/fd", process.pid);
        let Ok(entries) = files.list(&directory) else { continue };
        for entry in entries.iter() {
            let Ok(target) = files.read_link(&format!("{directory}/{}", entry.name)) else { continue };
            if let Some(inode) = link_inode(&target, "socket")
                && wanted.remove(&inode)
            {
                found.insert(inode, ListenerProcess { pid: process.pid, name: program_name(process).to_owned() });
            }
        }
    }
    found
}
