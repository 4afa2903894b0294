//! Endpoints as configuration writes them: URLs, `HOST:PORT`, lists of either.

use std::net::IpAddr;

use reqwest::Url;

/// Where something is dialled, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Endpoint {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Endpoint {
    /// Of a URL with `http`, `https` or, as etcd allows, no scheme at all, for which `bare_is_tls` decides. None for
    /// anything that no TCP connection can be made of (`unix:`, no host, no valid port).
    pub fn of_url(text: &str, bare_is_tls: bool) -> Option<Endpoint> {
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text).ok()?
        } else {
            Url::parse(&format!("{}://{text}", if bare_is_tls { "https" } else { "http" })).ok()?
        };
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().filter(|port| *port != 0)?;
        is_host(host).then(|| Endpoint { host: host.to_owned(), port, tls })
    }

    /// Of `HOST:PORT`, `ADDRESS:PORT` and `[ADDRESS]:PORT`, as load balancers write their backends.
    pub fn of_address(text: &str, tls: bool) -> Option<Endpoint> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None => host,
        };
        let port = port.parse().ok().filter(|port: &u16| *port != 0)?;
        is_host(host).then(|| Endpoint { host: host.to_owned(), port, tls })
    }

    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether the host is `0.0.0.0` or `::`, which is listened on but not dialled.
    pub fn is_unspecified(&self) -> bool {
        self.address().is_some_and(|address| address.is_unspecified())
    }

    /// `HOST:PORT` with brackets where they belong.
    pub fn target(&self) -> String {
        target(&self.host, self.port)
    }

    /// `https://HOST:PORT`: without path, and without the user and password that a URL may hold.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.target())
    }
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub fn target(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_name(text)
}

/// Whether this is a name to resolve: no address, no file's name, nothing that a shell was to fill in.
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.parse::<IpAddr>().is_err() && text.trim_end_matches('.').split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("https://10.0.0.1:2379", Some("https://10.0.0.1:2379")),
            ("http://127.0.0.1:2379/", Some("http://127.0.0.1:2379")),
            ("https://lb.example:6443/path", Some("https://lb.example:6443")),
            ("https://lb.example", Some("https://lb.example:443")),
            ("https://[fd00::1]:6443", Some("https://[fd00::1]:6443")),
            ("https://user:secret@10.0.0.1:6443", Some("https://10.0.0.1:6443")),
            ("10.0.0.1:8080", Some("http://10.0.0.1:8080")),
            ("localhost:8080", Some("http://localhost:8080")),
            ("unix:///run/etcd.sock", None),
            ("https://10.0.0.1:99999", None),
            ("https://10.0.0.1:0", None),
            ("https://", None),
            ("", None),
            ("https://$IP:2379", None),
        ];
        for (text, expected) in cases {
            let found = Endpoint::of_url(text, false).map(|endpoint| endpoint.url());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert!(Endpoint::of_url("10.0.0.1:6443", true).is_some_and(|endpoint| endpoint.tls));
    }

    #[test]
    fn addresses() {
        let cases = [
            ("10.0.0.1:6443", Some("10.0.0.1:6443")),
            ("[fd00::1]:6443", Some("[fd00::1]:6443")),
            ("m1:6443", Some("m1:6443")),
            ("unix:/run/x.sock", None),
            ("*:6443", None),
            ("m1", None),
            ("m1:http", None),
            (":6443", None),
        ];
        for (text, expected) in cases {
            let found = Endpoint::of_address(text, true).map(|endpoint| endpoint.target());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
