//! What the kernel tells of its network in /proc/net: owned addresses, routes, listening sockets. Numbers are
//! hexadecimal; IPv4 addresses are printed as one word in the host's byte order, which is taken for little-endian.

mod addresses;
mod routes;
mod sockets;

pub use addresses::{FibTrie, InterfaceAddress, fib_trie, if_inet6};
pub use routes::{RouteRow, ipv6_route, route};
pub use sockets::{ListenRow, tcp_listeners};

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Problem;
use super::proc_system::lines::Line;

/// Problems of one file that are kept; a file of another format has one for each of its lines.
const PROBLEM_LIMIT: usize = 5;

fn complain(problems: &mut Vec<Problem>, line: &Line<'_>, message: &str) {
    if problems.len() < PROBLEM_LIMIT {
        problems.push(Problem::new(Some(line.span()), message));
    }
}

fn hex_u32(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// `0100007F` is 127.0.0.1.
fn little_endian_v4(text: &str) -> Option<Ipv4Addr> {
    (text.len() == 8).then(|| hex_u32(text).map(|word| Ipv4Addr::from(word.swap_bytes()))).flatten()
}

/// `fe80...`: 32 digits in network order, as in if_inet6 and ipv6_route.
fn network_order_v6(text: &str) -> Option<Ipv6Addr> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from)).flatten()
}

/// Four words in host order, as in tcp6.
fn little_endian_v6(text: &str) -> Option<Ipv6Addr> {
    if text.len() != 32 {
        return None;
    }
    let word = |at: usize| Some(u128::from(hex_u32(text.get(at..at + 8)?)?.swap_bytes()));
    Some(Ipv6Addr::from(word(0)? << 96 | word(8)? << 64 | word(16)? << 32 | word(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_each_byte_order() {
        for (text, expected) in [
            ("0100007F", Some("127.0.0.1")),
            ("0B004D0A", Some("10.77.0.11")),
            ("00000000", Some("0.0.0.0")),
            ("100007F", None),
            ("0100007G", None),
            ("", None),
        ] {
            assert_eq!(little_endian_v4(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
        for (text, expected) in [
            ("00000000000000000000000001000000", Some("::1")),
            ("0000000000000000FFFF00000B004D0A", Some("::ffff:10.77.0.11")),
            ("B80D0120000000000000000001000000", Some("2001:db8::1")),
            ("0000", None),
            ("ü000000000000000000000000000000", None),
        ] {
            assert_eq!(little_endian_v6(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
        let link_local = network_order_v6("fe800000000000000c11d5fffe53ea68");
        assert_eq!(link_local, Some("fe80::c11:d5ff:fe53:ea68".parse().unwrap()));
    }
}
