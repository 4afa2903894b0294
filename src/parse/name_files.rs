//! /etc/hosts, resolv.conf, nsswitch.conf.

use std::net::IpAddr;

use super::Problem;
use super::proc_system::lines::lines;
use crate::origin::Span;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsRow {
    pub address: IpAddr,
    pub names: Vec<String>,
    pub span: Span,
}

/// Parses /etc/hosts. A line whose address cannot be read is a problem, as the resolver passes over it in silence.
pub fn hosts(text: &str) -> (Vec<HostsRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text) {
        let content = line.text.split('#').next().unwrap_or_default();
        let mut words = content.split_whitespace();
        let Some(first) = words.next() else { continue };
        let names: Vec<_> = words.map(str::to_owned).collect();
        match address(first) {
            Some(_) if names.is_empty() => {
                problems.push(Problem::new(Some(line.span_of(first)), "an address without a name"));
            }
            Some(address) => {
                let span = line.span_of(content.trim());
                found.push(HostsRow { address, names, span });
            }
            None => problems.push(Problem::new(
                Some(line.span_of(first)),
                format!("{} is no IP address, so the line has no effect", shortened(first)),
            )),
        }
    }
    (found, problems)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// An address, with the zone of a link-local one (`fe80::1%eth0`) left out.
fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvRows {
    /// In order, all of them; the resolver asks the first three.
    pub nameservers: Vec<(IpAddr, Span)>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// Parses resolv.conf as glibc does: of several `search` and `domain` lines the last one holds, `options` add up, and a
/// comment has its mark in the first column.
pub fn resolv_conf(text: &str) -> (ResolvRows, Vec<Problem>) {
    let (mut found, mut problems) = (ResolvRows::default(), Vec::new());
    for line in lines(text).filter(|line| !line.text.starts_with(['#', ';'])) {
        let mut words = line.words();
        match words.next() {
            Some("nameserver") => match words.next() {
                Some(word) => match address(word) {
                    Some(address) => found.nameservers.push((address, line.span_of(word))),
                    None => problems.push(Problem::new(
                        Some(line.span_of(word)),
                        format!("{} is no IP address; a nameserver has to be one", shortened(word)),
                    )),
                },
                None => problems.push(Problem::new(Some(line.span()), "a nameserver without an address")),
            },
            Some("search") => found.search = words.map(str::to_owned).collect(),
            Some("domain") => found.search = words.take(1).map(str::to_owned).collect(),
            Some("options") => found.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    (found, problems)
}

/// The sources of a database in nsswitch.conf, in order, without the actions in brackets; none when no line is for it.
pub fn nsswitch(text: &str, database: &str) -> Option<(Vec<String>, Span)> {
    lines(text).find_map(|line| {
        let content = line.text.split('#').next().unwrap_or_default();
        let sources = content.trim_start().strip_prefix(database)?.trim_start().strip_prefix(':')?;
        Some((sources_of(sources), line.span_of(content.trim())))
    })
}

fn sources_of(text: &str) -> Vec<String> {
    let mut outside = String::with_capacity(text.len());
    let mut in_action = false;
    for character in text.chars() {
        match character {
            '[' => in_action = true,
            ']' => {
                in_action = false;
                outside.push(' ');
            }
            _ if !in_action => outside.push(character),
            _ => {}
        }
    }
    outside.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lines() {
        let text = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # loopback\n# 10.0.0.9 gone\n\n\
                    \u{20} 10.77.0.11 m1 m1.lab\nfe80::1%lo0 link\n10.77.0 bad\n10.77.0.12\n";
        let (rows, problems) = hosts(text);
        let shown: Vec<_> = rows.iter().map(|row| format!("{} {}", row.address, row.names.join(" "))).collect();
        assert_eq!(
            shown,
            ["127.0.0.1 localhost", "::1 localhost ip6-localhost", "10.77.0.11 m1 m1.lab", "fe80::1 link"]
        );
        assert_eq!(&text[rows[1].span.start..rows[1].span.end], "::1\tlocalhost ip6-localhost");
        assert_eq!((rows[2].span.line, rows[2].span.column), (5, 3));
        let lines: Vec<_> = problems.iter().filter_map(|problem| problem.span).map(|span| span.line).collect();
        assert_eq!(lines, [7, 8]);
    }

    #[test]
    fn resolver_configuration() {
        let text = "# made by hand\n;nameserver 9.9.9.9\ndomain a.b c\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n\
                    search x y\noptions ndots:5\noptions edns0 trust-ad\nnameserver dns.example\nnameserver\n";
        let (found, problems) = resolv_conf(text);
        let addresses: Vec<_> = found.nameservers.iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.53", "fe80::1"]);
        let span = found.nameservers[0].1;
        assert_eq!((&text[span.start..span.end], span.line, span.column), ("127.0.0.53", 4, 12));
        assert_eq!(found.search, ["x", "y"]);
        assert_eq!(found.options, ["ndots:5", "edns0", "trust-ad"]);
        assert_eq!(problems.len(), 2);
        assert_eq!(resolv_conf("search x\ndomain a.b c\n").0.search, ["a.b"]);
    }

    #[test]
    fn name_service_switch() {
        for (text, expected) in [
            ("passwd: files\nhosts:          files dns\n", Some(vec!["files", "dns"])),
            (
                "hosts: files mdns4_minimal [NOTFOUND=return] dns myhostname # x",
                Some(vec!["files", "mdns4_minimal", "dns", "myhostname"]),
            ),
            ("hosts: resolve [!UNAVAIL=return]files", Some(vec!["resolve", "files"])),
            ("# hosts: files\npasswd: files\n", None),
            ("hostsx: files\n", None),
            ("hosts:\n", Some(vec![])),
        ] {
            let found = nsswitch(text, "hosts").map(|(sources, _)| sources);
            assert_eq!(found, expected.map(|sources| sources.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }
}
