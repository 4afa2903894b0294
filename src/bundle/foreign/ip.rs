//! What `ip address` and `ip route` printed, where the kernel's own tables were not taken.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

/// Interfaces and addresses beyond this are no host's.
const LIMIT: usize = 10_000;

/// Addresses by interface, of `ip address` or `ip -o address`; none when no line has one.
pub(super) fn addresses(text: &str) -> Option<BTreeMap<String, Vec<IpNet>>> {
    let mut found: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().take(LIMIT) {
        // `2: eth0: <BROADCAST,...>` or, one line for each address, `2: eth0    inet 10.0.0.1/24 ...`.
        let numbered = line.split_once(": ").filter(|(number, _)| number.trim().parse::<u32>().is_ok());
        let rest = match numbered {
            Some((_, rest)) => {
                let name = rest.split([':', ' ', '@']).next().unwrap_or_default();
                current = (!name.is_empty()).then(|| name.to_owned());
                rest
            }
            None => line,
        };
        let mut words = rest.split_whitespace().skip_while(|word| !matches!(*word, "inet" | "inet6")).skip(1);
        let (Some(word), Some(name)) = (words.next(), &current) else { continue };
        let net = word.parse::<IpNet>().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from));
        if let Ok(net) = net {
            found.entry(name.clone()).or_default().push(net);
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The IPv4 routes of `ip route` as /proc/net/route has them; none when no line is one. Of `ip route show table all` those
/// of other tables than the main one are left out.
pub(super) fn route_table(text: &str) -> Option<String> {
    let mut out = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".to_owned();
    let mut count = 0;
    for line in text.lines().take(LIMIT) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1).copied()
        };
        let (Some(first), Some(interface)) = (words.first(), after("dev")) else { continue };
        let in_main = after("table").is_none_or(|table| table == "main");
        let destination = match *first {
            "default" => Some(Ipv4Net::default()),
            text => text.parse::<Ipv4Net>().or_else(|_| text.parse::<Ipv4Addr>().map(Ipv4Net::from)).ok(),
        };
        let Some(destination) = destination.filter(|_| in_main && !interface.contains('\t')) else { continue };
        let gateway = after("via").and_then(|via| via.parse::<Ipv4Addr>().ok());
        let is_host = destination.prefix_len() == 32;
        let flags = 1 + if gateway.is_some() { 2 } else { 0 } + if is_host { 4 } else { 0 };
        let metric = after("metric").and_then(|metric| metric.parse::<u32>().ok()).unwrap_or_default();
        let word = |address: Ipv4Addr| address.to_bits().swap_bytes();
        let _ = writeln!(
            out,
            "{interface}\t{:08X}\t{:08X}\t{flags:04X}\t0\t0\t{metric}\t{:08X}\t0\t0\t0",
            word(destination.network()),
            word(gateway.unwrap_or(Ipv4Addr::UNSPECIFIED)),
            word(destination.netmask())
        );
        count += 1;
    }
    (count > 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_forms() {
        let long = "1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue state UNKNOWN\n    link/loopback 00:00:00:00:00:00\n    \
            inet 127.0.0.1/8 scope host lo\n2: eth0@if5: <BROADCAST> mtu 1500\n    inet 10.0.0.11/24 brd 10.0.0.255 scope \
            global eth0\n    inet6 fe80::1/64 scope link\n3: tun0: <POINTOPOINT>\n    inet 10.9.0.1 peer 10.9.0.2/32\n";
        let short = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n2: eth0    inet 10.0.0.11/24 brd x\n\
            2: eth0    inet6 fe80::1/64 scope link\n3: tun0    inet 10.9.0.1 peer 10.9.0.2/32\n";
        for text in [long, short] {
            let found = addresses(text).unwrap();
            let of = |name: &str| found[name].iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(of("eth0"), ["10.0.0.11/24", "fe80::1/64"], "{text}");
            assert_eq!(of("lo"), ["127.0.0.1/8"]);
            assert_eq!(of("tun0"), ["10.9.0.1/32"]);
        }
        assert_eq!(addresses("ip: command not found\n"), None);
    }

    #[test]
    fn routes_are_the_kernels() {
        let text = "default via 10.0.0.1 dev eth0 proto dhcp metric 100\n10.0.0.0/24 dev eth0 proto kernel scope link\n\
            10.244.1.7 dev cali1 scope link\nblackhole 10.1.0.0/16\nlocal 10.0.0.11 dev eth0 table local\n\
            192.0.2.0/24 dev vrf table 10\nfe80::/64 dev eth0\n";
        let lines: Vec<String> = route_table(text).unwrap().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0",
                "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
                "cali1\t0701F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0",
            ]
        );
        assert_eq!(route_table("error\n"), None);
    }
}
