//! /proc/net/tcp and /proc/net/tcp6.

use std::net::{IpAddr, SocketAddr};

use super::{complain, hex_u32, little_endian_v4, little_endian_v6};
use crate::origin::Span;
use crate::parse::Problem;
use crate::parse::proc_system::lines::lines;

/// The state `LISTEN`.
const LISTEN: &str = "0A";

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenRow {
    /// An IPv4 address that an IPv6 socket is bound to (`::ffff:10.0.0.1`) is given as IPv4.
    pub address: SocketAddr,
    /// What /proc/PID/fd names it by; 0 when no process holds it.
    pub inode: u64,
    pub span: Span,
}

/// The listening sockets in /proc/net/tcp or /proc/net/tcp6. The kernel lists them before all connections.
pub fn tcp_listeners(text: &str) -> (Vec<ListenRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text) {
        let mut words = line.words();
        let (Some(local), Some(state)) = (words.nth(1), words.nth(1)) else { continue };
        if state != LISTEN {
            continue;
        }
        let address = local.split_once(':').and_then(|(address, port)| {
            let address: IpAddr = match address.len() {
                8 => little_endian_v4(address)?.into(),
                _ => IpAddr::from(little_endian_v6(address)?).to_canonical(),
            };
            Some(SocketAddr::new(address, u16::try_from(hex_u32(port)?).ok()?))
        });
        match (address, words.nth(5).and_then(|inode| inode.parse().ok())) {
            (Some(address), Some(inode)) => found.push(ListenRow { address, inode, span: line.span() }),
            _ => complain(&mut problems, &line, "not a socket in the columns of /proc/net/tcp"),
        }
    }
    (found, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets() {
        let tail = "00000000:00000000 00:00000000 00000000     0        0";
        let v6_any = "0".repeat(32);
        for (why, row, expected) in [
            ("IPv4", format!("0100007F:094D 00000000:0000 0A {tail} 890061 2 0000"), Some(("127.0.0.1:2381", 890061))),
            ("connected", format!("0100007F:094D 0100007F:9664 01 {tail} 0 3 0000"), None),
            ("every address", format!("{v6_any}:192B {v6_any}:0000 0A {tail} 890014 2 0"), Some(("[::]:6443", 890014))),
            (
                "mapped",
                format!("0000000000000000FFFF00000B004D0A:0050 {v6_any}:0000 0A {tail} 7 1 0"),
                Some(("10.77.0.11:80", 7)),
            ),
        ] {
            let text = format!("  sl  local_address rem_address   st tx_queue\n   0: {row}\n");
            let (rows, problems) = tcp_listeners(&text);
            let shown: Vec<_> = rows.iter().map(|row| (row.address.to_string(), row.inode)).collect();
            let expected: Vec<_> = expected.iter().map(|(address, inode)| ((*address).to_owned(), *inode)).collect();
            assert_eq!(shown, expected, "{why}");
            assert!(rows.iter().all(|row| row.span.line == 2));
            assert_eq!(problems, [], "{why}");
        }
        for row in ["0: 0100007F 0:0 0A", "0: 0100007F:FFFFF 0:0 0A a b c d e 1", "0: ü:1 0:0 0A a b c d e 1"] {
            assert_eq!(tcp_listeners(row).1.len(), 1, "{row}");
        }
    }
}
