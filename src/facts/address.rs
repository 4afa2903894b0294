//! Endpoints as components write them, and whose addresses they are.

use std::net::IpAddr;

use crate::facts::{Cluster, Host};

/// `https://10.0.0.1:2379` taken apart. Paths are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub scheme: String,
    /// Without brackets.
    pub host: String,
    pub port: Option<u16>,
}

impl Url {
    /// Reads a URL, or `HOST:PORT` and `HOST` without scheme.
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let authority = rest.split(['/', '?']).next()?;
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']')?;
                (host, after.strip_prefix(':'))
            }
            None if authority.matches(':').count() > 1 => (authority, None),
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        (!host.is_empty()).then(|| Url { scheme: scheme.to_ascii_lowercase(), host: host.to_owned(), port })
    }

    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The port, or the scheme's own.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.scheme == "http" { 80 } else { 443 })
    }

    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.address().is_some_and(|address| address.is_loopback())
    }
}

/// An address as it stands in a URL: IPv6 in brackets.
pub fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The other hosts of the cluster that own an address.
pub fn owners(cluster: &Cluster, address: IpAddr) -> impl Iterator<Item = &Host> {
    cluster.hosts.iter().filter(move |host| {
        host.network.as_ref().is_ok_and(|network| network.addresses().any(|(_, net)| net.addr() == address))
    })
}

/// What a host name means on this host: the address itself, or /etc/hosts.
pub fn resolve(host: &Host, name: &str) -> Vec<IpAddr> {
    if let Ok(address) = name.parse() {
        return vec![address];
    }
    let Ok(entries) = &host.names.hosts else { return Vec::new() };
    entries
        .iter()
        .filter(|entry| entry.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .map(|entry| entry.address)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        let table = [
            ("https://10.0.0.1:2379", Some(("https", "10.0.0.1", Some(2379)))),
            ("http://sandbox-1:2380/", Some(("http", "sandbox-1", Some(2380)))),
            ("https://[2001:db8::1]:6443/livez", Some(("https", "2001:db8::1", Some(6443)))),
            ("10.0.0.1:6443", Some(("", "10.0.0.1", Some(6443)))),
            ("2001:db8::1", Some(("", "2001:db8::1", None))),
            ("https://:2379", None),
            ("https://host:port", None),
        ];
        for (text, expected) in table {
            let url = Url::parse(text);
            let parts = url.as_ref().map(|url| (url.scheme.as_str(), url.host.as_str(), url.port));
            assert_eq!(parts, expected, "{text}");
        }
    }
}
