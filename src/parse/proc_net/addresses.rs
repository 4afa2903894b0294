//! /proc/net/fib_trie and /proc/net/if_inet6.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::{complain, network_order_v6};
use crate::origin::Span;
use crate::parse::Problem;
use crate::parse::proc_system::lines::lines;

/// What the kernel's local table says may be bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FibTrie {
    /// `/32 host LOCAL`: addresses of interfaces, which it does not name. Sorted, each once.
    pub addresses: Vec<Ipv4Addr>,
    /// Shorter `LOCAL` prefixes: 127.0.0.0/8, and what `ip route add local` made.
    pub prefixes: Vec<Ipv4Net>,
}

/// Parses /proc/net/fib_trie. Only the table `Local` counts for what may be bound; `local` routes of a policy table
/// (as transparent proxies make) do not. `None` when the text holds no table at all.
pub fn fib_trie(text: &str) -> Option<FibTrie> {
    let has_local = lines(text).any(|line| line.text == "Local:");
    let (mut counts, mut tables) = (false, 0);
    let mut found = FibTrie::default();
    let mut leaf = None;
    for line in lines(text) {
        let entry = line.text.trim_start();
        if entry.len() == line.text.len() && entry.ends_with(':') {
            tables += 1;
            counts = entry == if has_local { "Local:" } else { "Main:" };
            leaf = None;
        } else if !counts {
        } else if let Some(address) = entry.strip_prefix("|-- ") {
            leaf = address.trim().parse::<Ipv4Addr>().ok();
        } else if let Some(attributes) = entry.strip_prefix('/') {
            let mut words = attributes.split_whitespace();
            let length = words.next().and_then(|length| length.parse::<u8>().ok());
            let kind = words.nth(1);
            if let (Some(address), Some(length), Some("LOCAL")) = (leaf, length, kind) {
                match Ipv4Net::new(address, length) {
                    Ok(_) if length == 32 => found.addresses.push(address),
                    Ok(prefix) => found.prefixes.push(prefix),
                    Err(_) => {}
                }
            }
        }
    }
    found.addresses.sort();
    found.addresses.dedup();
    found.prefixes.sort();
    found.prefixes.dedup();
    (tables > 0).then_some(found)
}

/// A row of /proc/net/if_inet6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    pub address: Ipv6Addr,
    pub prefix_length: u8,
    pub interface: String,
    pub span: Span,
}

pub fn if_inet6(text: &str) -> (Vec<InterfaceAddress>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.text.trim().is_empty()) {
        let words: Vec<_> = line.words().collect();
        let row = match words.as_slice() {
            [address, _, length, _, _, interface] => network_order_v6(address)
                .zip(u8::from_str_radix(length, 16).ok().filter(|length| *length <= 128))
                .map(|(address, prefix_length)| InterfaceAddress {
                    address,
                    prefix_length,
                    interface: (*interface).to_owned(),
                    span: line.span(),
                }),
            _ => None,
        };
        match row {
            Some(row) => found.push(row),
            None => complain(&mut problems, &line, "not an address with its interface, in six columns"),
        }
    }
    (found, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGED: &str = "\
Main:
  +-- 0.0.0.0/1 2 0 2
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.77.0.0/24 2 0 2
        |-- 10.77.0.0
           /24 link UNICAST
        |-- 10.77.0.11
           /32 host LOCAL
        |-- 10.77.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
Local:
  +-- 0.0.0.0/1 2 0 2
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.77.0.0/24 2 0 2
        |-- 10.77.0.0
           /24 link UNICAST
        |-- 10.77.0.11
           /32 host LOCAL
        |-- 10.77.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
";

    #[test]
    fn owned_addresses_and_prefixes() {
        let policy = "\
Id 100:
  |-- 0.0.0.0
     /0 host LOCAL
Main:
  |-- 0.0.0.0
     /0 universe UNICAST
Local:
  |-- 192.0.2.0
     /24 host LOCAL
     /32 host LOCAL
";
        for (why, text, addresses, prefixes) in [
            ("both tables list the merged trie", MERGED, vec!["10.77.0.11", "127.0.0.1"], vec!["127.0.0.0/8"]),
            ("a proxy's table lets nothing be bound", policy, vec!["192.0.2.0"], vec!["192.0.2.0/24"]),
            ("loopback is down", "Main:\nLocal:\n", vec![], vec![]),
            ("nonsense lengths", "Local:\n |-- 1.2.3.4\n /99 host LOCAL\n /x host LOCAL\n / LOCAL\n", vec![], vec![]),
        ] {
            let found = fib_trie(text).unwrap();
            assert_eq!(found.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), addresses, "{why}");
            assert_eq!(found.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(), prefixes, "{why}");
        }
        assert_eq!(fib_trie(""), None);
        assert_eq!(fib_trie("not a trie\n"), None);
    }

    #[test]
    fn ipv6_addresses_of_interfaces() {
        let text = "fe800000000000000c11d5fffe53ea68 02 40 20 80    host0\n\
                    00000000000000000000000000000001 01 80 10 80       lo\n\
                    00000000000000000000000000000001 01 ff 10 80       lo\n";
        let (found, problems) = if_inet6(text);
        let rows: Vec<_> =
            found.iter().map(|row| format!("{}/{} {}", row.address, row.prefix_length, row.interface)).collect();
        assert_eq!(rows, ["fe80::c11:d5ff:fe53:ea68/64 host0", "::1/128 lo"]);
        assert_eq!(found[1].span.line, 2);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].span.unwrap().line, 3);
    }
}
