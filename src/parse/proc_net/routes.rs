//! /proc/net/route and /proc/net/ipv6_route.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{complain, hex_u32, little_endian_v4, network_order_v6};
use crate::origin::Span;
use crate::parse::Problem;
use crate::parse::proc_system::lines::{Line, lines};

const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;
const V6_ANYCAST: u32 = 0x0010_0000;
const V6_CACHE: u32 = 0x0100_0000;
const V6_LOCAL: u32 = 0x8000_0000;

/// A row of the kernel's routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    pub destination: IpNet,
    pub gateway: Option<IpAddr>,
    /// `*` for an IPv4 route that leads to no interface.
    pub interface: String,
    pub metric: u32,
    /// It leads somewhere: it is up, and neither unreachable, prohibit nor blackhole.
    pub usable: bool,
    pub span: Span,
}

/// Parses /proc/net/route, the main table's IPv4 routes.
pub fn route(text: &str) -> (Vec<RouteRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.text.trim().is_empty() && !line.text.starts_with("Iface")) {
        match row_v4(&line) {
            Some(row) => found.push(row),
            None => complain(&mut problems, &line, "not a route in the columns of /proc/net/route"),
        }
    }
    (found, problems)
}

fn row_v4(line: &Line<'_>) -> Option<RouteRow> {
    let words: Vec<_> = line.words().collect();
    let [interface, destination, gateway, flags, _, _, metric, mask, ..] = words.as_slice() else { return None };
    let flags = hex_u32(flags)?;
    let destination = Ipv4Net::with_netmask(little_endian_v4(destination)?, little_endian_v4(mask)?).ok()?;
    let gateway = little_endian_v4(gateway)?;
    Some(RouteRow {
        destination: destination.into(),
        gateway: (flags & GATEWAY != 0).then_some(gateway.into()),
        interface: (*interface).to_owned(),
        metric: metric.parse().ok()?,
        // The kernel marks unreachable and prohibit as rejecting; a blackhole is known by its lack of an interface.
        usable: flags & UP != 0 && flags & REJECT == 0 && *interface != "*",
        span: line.span(),
    })
}

/// Parses /proc/net/ipv6_route, which lists every table: the host's own addresses, anycast, multicast and cached
/// entries are left out, so that what remains is what `ip -6 route` shows, and the kernel's unusable `::/0` on lo.
pub fn ipv6_route(text: &str) -> (Vec<RouteRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.text.trim().is_empty()) {
        match row_v6(&line) {
            Some(Some(row)) => found.push(row),
            Some(None) => {}
            None => complain(&mut problems, &line, "not a route in the columns of /proc/net/ipv6_route"),
        }
    }
    (found, problems)
}

fn row_v6(line: &Line<'_>) -> Option<Option<RouteRow>> {
    let words: Vec<_> = line.words().collect();
    let [destination, length, _, _, next_hop, metric, _, _, flags, interface] = words.as_slice() else {
        return None;
    };
    let flags = hex_u32(flags)?;
    let destination = Ipv6Net::new(network_order_v6(destination)?, u8::from_str_radix(length, 16).ok()?).ok()?;
    let next_hop = network_order_v6(next_hop)?;
    let metric = hex_u32(metric)?;
    if flags & (V6_LOCAL | V6_ANYCAST | V6_CACHE) != 0 || destination.addr().is_multicast() {
        return Some(None);
    }
    Some(Some(RouteRow {
        destination: destination.into(),
        gateway: (flags & GATEWAY != 0).then_some(next_hop.into()),
        interface: (*interface).to_owned(),
        metric,
        usable: flags & UP != 0 && flags & REJECT == 0,
        span: line.span(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rows: &[RouteRow]) -> Vec<String> {
        rows.iter()
            .map(|row| {
                let gateway = row.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
                let usable = if row.usable { "" } else { " unusable" };
                format!("{}{gateway} dev {} metric {}{usable}", row.destination, row.interface, row.metric)
            })
            .collect()
    }

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT     \n";

    #[test]
    fn ipv4() {
        let text = format!(
            "{HEAD}host0\t00000000\t01004D0A\t0003\t0\t0\t100\t00000000\t0\t0\t0   \n\
             host0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             *\t00000000\t00000000\t0201\t0\t0\t4278198272\t00000000\t0\t0\t0\n\
             *\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             eth9\t00004D0A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        let (rows, problems) = route(&text);
        assert_eq!(
            shown(&rows),
            [
                "0.0.0.0/0 via 10.77.0.1 dev host0 metric 100",
                "10.77.0.0/24 dev host0 metric 0",
                "0.0.0.0/0 dev * metric 4278198272 unusable",
                "10.244.1.0/24 dev * metric 0 unusable",
                "10.77.0.0/24 dev eth9 metric 0 unusable",
            ]
        );
        assert_eq!(problems, []);
        assert_eq!((rows[0].span.line, rows[0].span.start), (2, HEAD.len()));
    }

    #[test]
    fn ipv4_that_cannot_be_understood() {
        for line in
            ["host0\t00000000", "h\t0000000\t00000000\t1\t0\t0\t0\t0", "h\t00000000\t00000000\t1\t0\t0\t0\t00FF00FF"]
        {
            let (rows, problems) =
                route(&format!("{HEAD}{line}\nhost0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"));
            assert_eq!((rows.len(), problems.len()), (1, 1), "{line}");
            assert_eq!(problems[0].span.unwrap().line, 2);
        }
        assert_eq!(route(HEAD), (vec![], vec![]));
        assert_eq!(route(&"x\n".repeat(1000)).1.len(), super::super::PROBLEM_LIMIT);
    }

    #[test]
    fn ipv6() {
        let zero = "0".repeat(32);
        let text = format!(
            "fe800000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001    host0\n\
             {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003    host0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             00000000000000000000000000000001 80 {zero} 00 {zero} 00000000 00000004 00000000 80200001       lo\n\
             ff000000000000000000000000000000 08 {zero} 00 {zero} 00000100 00000004 00000000 00000001    host0\n\
             20010db8000000000000000000000000 40 {zero} 00 {zero} 00000000 00000004 00000000 00300001    host0\n\
             20010db8000100000000000000000000 30 {zero} 00 {zero} 00000400 00000004 00000000 00200200    lo\n\
             20010db8 40\n"
        );
        let (rows, problems) = ipv6_route(&text);
        assert_eq!(
            shown(&rows),
            [
                "fe80::/64 dev host0 metric 256",
                "::/0 via fe80::1 dev host0 metric 1024",
                "::/0 dev lo metric 4294967295 unusable",
                "2001:db8:1::/48 dev lo metric 1024 unusable",
            ]
        );
        assert_eq!(problems.len(), 1);
    }
}
