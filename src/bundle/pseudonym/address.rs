//! Addresses: a permutation of each family that keeps common prefixes, after the scheme of Crypto-PAn (Xu, Fan, Ammar and
//! Moon, 2002): whether a bit is turned depends on the bits before it. Bits that say what kind of address it is are never
//! turned, nor the last ones, so that a network's first addresses stay its first.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{LazyLock, Mutex};

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

/// Networks that say what an address is for: within them it stays, but not itself unless it is in [`FIXED4`].
const KINDS4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// Networks whose addresses are the same everywhere, and that rules know by their numbers: loopback, link-local, multicast
/// and masks, documentation, and what Kubernetes, flannel, k3s and Docker take when nothing else is said.
const FIXED4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 96, 0, 0), 12),
    (Ipv4Addr::new(10, 244, 0, 0), 16),
    (Ipv4Addr::new(10, 42, 0, 0), 15),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 17, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Bits that stay as they are at an address' end.
const LAST4: u32 = 8;
const LAST6: u32 = 16;

/// Pseudonyms that are remembered.
const REMEMBERED: usize = 100_000;

static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)(?P<v6>[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:[0-9]{0,2}(?:\.[0-9]{1,3}){3})?)|(?P<v4>[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})",
    )
    .ok()
});

#[derive(Debug)]
pub(super) struct Addresses {
    key: [u8; 32],
    known: Mutex<HashMap<IpAddr, IpAddr>>,
}

impl Addresses {
    pub fn new(key: [u8; 32]) -> Addresses {
        Addresses { key, known: Mutex::new(HashMap::new()) }
    }

    /// An address' pseudonym.
    pub fn map(&self, address: IpAddr) -> IpAddr {
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(found) = known.get(&address) {
            return *found;
        }
        let mapped = match address {
            IpAddr::V4(address) => self.v4(address).into(),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(inner) => self.v4(inner).to_ipv6_mapped().into(),
                None => self.v6(address).into(),
            },
        };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(address, mapped);
        mapped
    }

    fn v4(&self, address: Ipv4Addr) -> Ipv4Addr {
        let bits = address.to_bits();
        let within = |(network, length): &(Ipv4Addr, u32), depth: u32| {
            let depth = depth.min(*length).min(32);
            (bits ^ network.to_bits()).checked_shr(32 - depth).unwrap_or_default() == 0
        };
        let mut out = bits;
        for depth in 0..32 - LAST4 {
            // On the way to a network that has to stay where it is, or within one that stays as it is.
            let fixed = FIXED4.iter().any(|fixed| within(fixed, depth));
            let kind = KINDS4.iter().any(|kind| depth < kind.1 && within(kind, depth));
            // The third part as far as it is zero, so that 10.9.0.0/16 and its first address stay so.
            let zero = depth >= 16 && (bits >> (32 - depth)) & ((1 << (depth - 16)) - 1) == 0 && bits >> 24 != 192;
            if !fixed && !kind && !zero && self.turned(4, depth, u128::from(bits) >> (32 - depth)) {
                out ^= 1 << (31 - depth);
            }
        }
        Ipv4Addr::from_bits(out)
    }

    fn v6(&self, address: Ipv6Addr) -> Ipv6Addr {
        let first = address.segments()[0];
        // What is not global unicast, unique local or link-local says nothing of a site.
        let kept = match first {
            0x2000..=0x3fff => 3,
            0xfc00..=0xfdff => 8,
            0xfe80..=0xfebf => 64,
            _ => return address,
        };
        let bits = address.to_bits();
        let mut out = bits;
        for depth in kept..128 - LAST6 {
            let before = bits >> (128 - depth);
            // A part of 16 bits stays zero as far as it is, so that `::` stays what it is.
            let part = depth % 16;
            let zero = depth >= 48 && before & ((1 << part) - 1) == 0;
            if !zero && self.turned(6, depth, before) {
                out ^= 1 << (127 - depth);
            }
        }
        Ipv6Addr::from_bits(out)
    }

    fn turned(&self, family: u8, depth: u32, before: u128) -> bool {
        let hash = Sha256::new()
            .chain_update(self.key)
            .chain_update([family])
            .chain_update(depth.to_be_bytes())
            .chain_update(before.to_be_bytes())
            .finalize();
        hash.first().is_some_and(|byte| byte & 1 == 1)
    }

    /// The network that an address and a prefix length write: without host bits when it was written so.
    fn network(&self, address: IpAddr, length: u32) -> IpAddr {
        match (address, self.map(address)) {
            (IpAddr::V4(old), IpAddr::V4(new)) if length < 32 && old.to_bits() & (u32::MAX >> length) == 0 => {
                IpAddr::V4(Ipv4Addr::from_bits(new.to_bits() & !(u32::MAX >> length)))
            }
            (IpAddr::V6(old), IpAddr::V6(new)) if length < 128 && old.to_bits() & (u128::MAX >> length) == 0 => {
                IpAddr::V6(Ipv6Addr::from_bits(new.to_bits() & !(u128::MAX >> length)))
            }
            (_, new) => new,
        }
    }

    /// Text with its addresses replaced; prefix lengths and ports stay.
    pub fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let Some(pattern) = CANDIDATE.as_ref() else { return };
        let mut done = 0;
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| pattern.captures(rest)) {
            let is_v4 = found.name("v4").is_some();
            let Some(found) = found.get(0) else { break };
            let (start, end) = (at + found.start(), at + found.end());
            let written = text.get(start..end).unwrap_or_default();
            let before = start.checked_sub(1).and_then(|at| text.get(at));
            let after = |offset: usize| text.get(end + offset);
            let joins = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            // A longer number, a version or an object identifier is no address.
            let dotted =
                before == Some(&b'.') || is_v4 && after(0) == Some(&b'.') && after(1).is_some_and(u8::is_ascii_digit);
            let longer = !is_v4 && (before == Some(&b':') || after(0) == Some(&b':'));
            let whole = ![super::joins_before(text, start), joins(after(0)), dotted, longer].contains(&true);
            let parsed: Option<IpAddr> =
                std::str::from_utf8(written).ok().filter(|_| whole).and_then(|one| one.parse().ok());
            let Some(address) = parsed else {
                // An IPv4 address may begin within what is no IPv6 address.
                let skip = written.iter().position(|byte| *byte == b':').map_or(written.len(), |colon| colon + 1);
                at = start + if is_v4 { written.len() } else { skip };
                continue;
            };
            let length: Vec<u8> = text
                .get(end..)
                .and_then(|rest| rest.strip_prefix(b"/"))
                .unwrap_or_default()
                .iter()
                .copied()
                .take_while(u8::is_ascii_digit)
                .take(4)
                .collect();
            let length = std::str::from_utf8(&length).ok().and_then(|length| length.parse::<u32>().ok());
            let mapped = match length {
                Some(length) => self.network(address, length),
                None => self.map(address),
            };
            out.extend_from_slice(text.get(done..start).unwrap_or_default());
            if mapped == address {
                out.extend_from_slice(written);
            } else {
                out.extend(mapped.to_string().bytes());
            }
            done = end;
            at = end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
    }

    /// The kernel's tables that write addresses in hexadecimal; none when this is no such table.
    pub fn table(&self, path: &str, content: &[u8]) -> Option<Vec<u8>> {
        if !path.starts_with("/proc/") {
            return None;
        }
        let table = path.rsplit_once("/net/")?.1;
        let map_line = match table {
            "route" => Addresses::route_line,
            "tcp" | "udp" | "raw" | "tcp6" | "udp6" | "raw6" => Addresses::socket_line,
            "if_inet6" | "ipv6_route" => Addresses::line6,
            _ => return None,
        };
        let mut out = Vec::with_capacity(content.len());
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            match std::str::from_utf8(line) {
                Ok(line) => out.extend(map_line(self, line).bytes()),
                Err(_) => out.extend_from_slice(b"\n"),
            }
        }
        Some(out)
    }

    /// Interface, destination, gateway, ..., mask: words as the CPU keeps them.
    fn route_line(&self, line: &str) -> String {
        let fields: Vec<&str> = line.split('\t').collect();
        let mask = fields.get(7).and_then(|mask| u32::from_str_radix(mask, 16).ok()).unwrap_or(u32::MAX);
        let map = |(index, field): (usize, &&str)| match (index, u32::from_str_radix(field, 16)) {
            (1 | 2, Ok(word)) if field.len() == 8 => {
                let mapped = self.v4(Ipv4Addr::from_bits(word.swap_bytes())).to_bits().swap_bytes();
                format!("{:08X}", if index == 1 { mapped & mask } else { mapped })
            }
            _ => (*field).to_owned(),
        };
        fields.iter().enumerate().map(map).collect::<Vec<_>>().join("\t")
    }

    /// `0100007F:1F90`, or four words before the port.
    fn socket_line(&self, line: &str) -> String {
        let map = |field: &str| -> Option<String> {
            let (words, port) = field.split_once(':')?;
            if !words.is_ascii() || !matches!(words.len(), 8 | 32) || port.trim_end().len() != 4 {
                return None;
            }
            let word = |at: usize| u32::from_str_radix(words.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::swap_bytes);
            if words.len() == 8 {
                return Some(format!("{:08X}:{port}", self.v4(Ipv4Addr::from_bits(word(0)?)).to_bits().swap_bytes()));
            }
            let bits = (0..4).try_fold(0u128, |bits, at| Some(bits << 32 | u128::from(word(at)?)))?;
            let IpAddr::V6(mapped) = self.map(Ipv6Addr::from_bits(bits).into()) else { return None };
            let words: String = (0..4)
                .map(|at| format!("{:08X}", ((mapped.to_bits() >> (96 - 32 * at)) as u32).swap_bytes()))
                .collect();
            Some(format!("{words}:{port}"))
        };
        line.split(' ').map(|field| map(field).unwrap_or_else(|| field.to_owned())).collect::<Vec<_>>().join(" ")
    }

    /// 32 digits for each address, its prefix length behind it in routes.
    fn line6(&self, line: &str) -> String {
        let fields: Vec<&str> = line.split(' ').collect();
        let map = |(index, field): (usize, &&str)| match u128::from_str_radix(field, 16) {
            Ok(bits) if field.len() == 32 => {
                let next = fields.get(index + 1).filter(|next| next.len() == 2);
                let length = next.and_then(|next| u32::from_str_radix(next, 16).ok()).unwrap_or(128);
                let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
                let length = if index == 0 && fields.len() < 8 { 128 } else { length };
                match self.network(address, length) {
                    IpAddr::V6(mapped) => format!("{:032x}", mapped.to_bits()),
                    IpAddr::V4(_) => (*field).to_owned(),
                }
            }
            _ => (*field).to_owned(),
        };
        fields.iter().enumerate().map(map).collect::<Vec<_>>().join(" ")
    }
}
