//! haproxy's configuration: its sections and, of them, the proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Problem;
use super::words::{Spans, Word, seconds};
use crate::facts::load_balancer::{Backend, Frontend, Proxy, ProxyLayer};
use crate::origin::{Origin, Sourced, Span};

const SECTIONS: [&str; 18] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "userlist",
    "mailers",
    "cache",
    "program",
    "http-errors",
    "ring",
    "fcgi-app",
    "crt-store",
    "traces",
    "log-forward",
    "log-profile",
];

/// A section with its lines, each split in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub header: Vec<Word>,
    pub lines: Vec<Vec<Word>>,
}

impl Section {
    fn is(&self, kind: &str) -> bool {
        self.header.first().is_some_and(|word| word.text == kind)
    }

    fn name(&self) -> &str {
        self.header.get(1).map_or("", |word| &word.text)
    }

    /// Lines that begin with these words.
    fn with<'a>(&'a self, start: &'a [&str]) -> impl DoubleEndedIterator<Item = &'a [Word]> {
        self.lines.iter().map(Vec::as_slice).filter(move |line| begins(line, start))
    }
}

fn begins(line: &[Word], start: &[&str]) -> bool {
    line.len() >= start.len() && line.iter().zip(start).all(|(word, start)| word.text == *start)
}

/// The file's sections in order.
pub fn sections(text: &str) -> (Vec<Section>, Vec<Problem>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut problems = Vec::new();
    let mut spans = Spans::new(text);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let words = words(line, start, &mut spans, &mut problems);
        start += line.len();
        let Some(first) = words.first() else { continue };
        if SECTIONS.contains(&first.text.as_str()) {
            if matches!(first.text.as_str(), "frontend" | "backend" | "listen") && words.len() < 2 {
                problems.push(Problem::new(Some(first.span), format!("`{}` has no name", first.text)));
            }
            sections.push(Section { header: words, lines: Vec::new() });
        } else if first.text.starts_with('.') {
            // Conditional blocks (.if, .endif): both branches are taken.
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(words);
        } else {
            problems
                .push(Problem::new(Some(first.span), format!("unknown keyword `{}` outside of a section", first.text)));
        }
    }
    (sections, problems)
}

/// A line's words: quoted with ' or " also in part, `\` before a space, a quote or `#`, a comment at the end.
fn words(line: &str, offset: usize, spans: &mut Spans<'_>, problems: &mut Vec<Problem>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut letters = line.char_indices().peekable();
    while let Some((start, letter)) = letters.peek().copied() {
        if letter.is_whitespace() {
            letters.next();
            continue;
        }
        if letter == '#' {
            break;
        }
        let mut text = String::new();
        let mut quote = None;
        let mut end = start;
        while let Some((at, letter)) = letters.peek().copied() {
            match (quote, letter) {
                (None, '#') => break,
                (None, letter) if letter.is_whitespace() => break,
                (Some(_), '\n') => break,
                (None, '"' | '\'') => quote = Some(letter),
                (Some(open), letter) if open == letter => quote = None,
                (None | Some('"'), '\\') => {
                    letters.next();
                    if let Some((_, escaped)) = letters.peek().copied().filter(|(_, escaped)| *escaped != '\n') {
                        text.push(escaped);
                    } else {
                        continue;
                    }
                }
                (_, letter) => text.push(letter),
            }
            let taken = letters.next().map_or(at + 1, |(at, letter)| at + letter.len_utf8());
            end = taken;
        }
        // Without the quotes, when they are around the whole word.
        let trim = usize::from(end - start == text.len() + 2 && line[start..].starts_with(['"', '\'']));
        let span = spans.span(offset + start + trim, offset + end - trim);
        if quote.is_some() {
            problems.push(Problem::new(Some(span), "quote is not closed"));
        }
        words.push(Word { text, span });
    }
    words
}

/// What the last `defaults` before a proxy gives it.
#[derive(Clone, Default)]
struct Defaults {
    layer: Option<ProxyLayer>,
    client: Option<Sourced<f64>>,
    server: Option<Sourced<f64>>,
    server_options: Vec<Word>,
    backend: Option<Word>,
}

struct Reader<'a> {
    path: &'a Arc<str>,
    problems: Vec<Problem>,
    /// Servers that may still be listed: each proxy repeats those of the backends that it shares.
    budget: usize,
}

/// More servers than any configuration lists in all its proxies together.
const SERVER_LIMIT: usize = 100_000;

/// The proxies of a configuration: one [`Frontend`] for each `frontend` and `listen`, with the servers of all backends
/// that it can use.
pub fn parse(path: &Arc<str>, text: &str) -> Proxy {
    let (sections, problems) = sections(text);
    let mut reader = Reader { path, problems, budget: SERVER_LIMIT };
    let mut defaults = Defaults::default();
    let with_defaults: Vec<(&Section, Defaults)> = sections
        .iter()
        .map(|section| {
            if section.is("defaults") {
                defaults = reader.defaults(section, Defaults::default());
            }
            (section, defaults.clone())
        })
        .collect();
    let mut backends = BTreeMap::new();
    for (section, defaults) in with_defaults.iter().filter(|(section, _)| section.is("backend") || section.is("listen"))
    {
        backends.entry(section.name()).or_insert((*section, defaults));
    }
    let mut frontends = Vec::new();
    for (section, defaults) in &with_defaults {
        if section.is("frontend") || section.is("listen") {
            frontends.push(reader.frontend(section, defaults, &backends));
        }
    }
    let origin = |problem: Problem| (Origin::file(path.clone(), problem.span), problem.message);
    // A backend's own problems come up for each proxy that uses it.
    let mut problems: Vec<(Origin, String)> = Vec::new();
    let mut seen = BTreeSet::new();
    problems.extend(reader.problems.into_iter().map(origin).filter(|problem| seen.insert(problem.clone())));
    Proxy { path: path.to_string(), frontends, problems }
}

impl Reader<'_> {
    fn origin(&self, span: Span) -> Origin {
        Origin::file(self.path.clone(), Some(span))
    }

    fn sourced(&self, word: &Word) -> Sourced<String> {
        Sourced::new(word.text.clone(), self.origin(word.span))
    }

    /// The section's own settings over those given.
    fn defaults(&mut self, section: &Section, mut given: Defaults) -> Defaults {
        if let Some([_, mode, ..]) = section.with(&["mode"]).next_back() {
            given.layer = Some(if mode.text == "http" { ProxyLayer::Http } else { ProxyLayer::Tcp });
            if !matches!(mode.text.as_str(), "http" | "tcp" | "log" | "spop" | "health") {
                self.problems.push(Problem::new(Some(mode.span), format!("unknown mode `{}`", mode.text)));
            }
        }
        given.client = self.timeout(section, &["client", "clitimeout"]).or(given.client);
        given.server = self.timeout(section, &["server", "srvtimeout"]).or(given.server);
        for line in section.with(&["default-server"]) {
            given.server_options.extend(line.iter().skip(1).cloned());
        }
        if let Some([_, backend, ..]) = section.with(&["default_backend"]).next_back() {
            given.backend = Some(backend.clone());
        }
        given
    }

    fn timeout(&mut self, section: &Section, names: &[&str; 2]) -> Option<Sourced<f64>> {
        let word = section.lines.iter().rev().find_map(|line| match line.as_slice() {
            [timeout, name, value, ..] if timeout.text == "timeout" && name.text == names[0] => Some(value),
            [name, value, ..] if name.text == names[1] => Some(value),
            _ => None,
        })?;
        match seconds(&word.text, 1e-3) {
            Some(seconds) => Some(Sourced::new(seconds, self.origin(word.span))),
            None => {
                self.problems.push(Problem::new(Some(word.span), format!("`{}` is no duration", word.text)));
                None
            }
        }
    }

    fn frontend(
        &mut self,
        section: &Section,
        given: &Defaults,
        all: &BTreeMap<&str, (&Section, &Defaults)>,
    ) -> Frontend {
        let own = self.defaults(section, given.clone());
        let mut listen = Vec::new();
        let (mut terminates_tls, mut transparent) = (false, false);
        // The address may stand behind the name, as it had to before 1.5.
        let header = section.header.get(2).filter(|word| word.text.contains(':'));
        for word in header.into_iter().chain(section.with(&["bind"]).filter_map(|line| line.get(1))) {
            let mut from = 0;
            for address in word.text.split(',') {
                let mut item = self.sourced(word);
                if word.span.end - word.span.start == word.text.len() {
                    item.origin = self.origin(word.span.part(from, from + address.len()));
                }
                item.value = address.to_owned();
                listen.push(item);
                from += address.len() + 1;
            }
        }
        for line in section.with(&["bind"]) {
            terminates_tls |= line.iter().skip(2).any(|word| word.text == "ssl");
            transparent |= line.iter().skip(2).any(|word| word.text == "transparent");
        }
        let mut servers_timeout = own.server.clone().filter(|_| section.is("listen"));
        let mut backends = if section.is("listen") { self.servers(section, &own) } else { Vec::new() };
        let used = section.with(&["use_backend"]).filter_map(|line| line.get(1)).chain(own.backend.as_ref());
        let mut seen = BTreeSet::new();
        for word in used.cloned().collect::<Vec<_>>() {
            // A name may be computed, from SNI for one.
            if word.text.contains('%') || !seen.insert(word.text.clone()) {
                continue;
            }
            let Some((backend, given)) = all.get(word.text.as_str()) else {
                let message = format!("there is no backend `{}`", word.text);
                self.problems.push(Problem::new(Some(word.span), message));
                continue;
            };
            let own = self.defaults(backend, (*given).clone());
            backends.extend(self.servers(backend, &own));
            servers_timeout = servers_timeout.or(own.server);
        }
        let named = section.header.get(1).or(section.header.first());
        Frontend {
            name: section.name().to_owned(),
            listen,
            layer: own.layer.unwrap_or(ProxyLayer::Tcp),
            server_names: Vec::new(),
            terminates_tls,
            transparent,
            health_check: backends.iter().any(|backend| backend.checked),
            backends,
            upstream_scheme: None,
            client_timeout: own.client,
            server_timeout: servers_timeout,
            origin: Origin::file(self.path.clone(), named.map(|word| word.span)),
        }
    }

    fn servers(&mut self, section: &Section, own: &Defaults) -> Vec<Backend> {
        let mut servers = Vec::new();
        for line in section.with(&["server"]) {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            if self.budget == 0 {
                let message = format!("more than {SERVER_LIMIT} servers are not read");
                self.problems.push(Problem::new(line.first().map(|word| word.span), message));
            }
            let [_, name, address, options @ ..] = line else {
                let span = line.first().map(|word| word.span);
                self.problems.push(Problem::new(span, "`server` needs a name and an address"));
                continue;
            };
            let mut backend = Backend {
                name: Some(name.text.clone()),
                address: self.sourced(address),
                checked: false,
                backup: false,
                disabled: false,
            };
            for option in own.server_options.iter().chain(options) {
                match option.text.as_str() {
                    "check" => backend.checked = true,
                    "no-check" => backend.checked = false,
                    "backup" => backend.backup = true,
                    "non-backup" | "no-backup" => backend.backup = false,
                    "disabled" => backend.disabled = true,
                    "enabled" | "no-disabled" => backend.disabled = false,
                    _ => {}
                }
            }
            servers.push(backend);
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
global
    log /dev/log local0
defaults
    mode tcp
    timeout client 5000
    timeout server 1m # c
    default-server check inter 2s
    default_backend masters
frontend kube-apiserver
    bind *:8443,10.0.0.1:6443 name x
    use_backend spare if { dst_port 1 }
backend masters
    option httpchk GET /healthz
    server m1 10.0.0.11:6443
    server m2 '10.0.0.12:6443' no-check backup
backend spare
    timeout server 2h
    server m3 \"10.0.0.13:6443\" disabled
listen stats 0.0.0.0:9000
    mode http
    bind :9443 ssl crt /etc/x.pem
    default_backend none
    server only
";

    #[test]
    fn proxies_have_listeners_servers_and_defaults() {
        let proxy = parse(&"/h".into(), CONFIG);
        let [apiserver, stats] = proxy.frontends.as_slice() else { panic!("{:?}", proxy.frontends) };
        let listen: Vec<_> =
            apiserver.listen.iter().map(|listen| (listen.value.as_str(), listen.origin.to_string())).collect();
        assert_eq!(listen, [("*:8443", "/h:10:10".to_owned()), ("10.0.0.1:6443", "/h:10:17".to_owned())]);
        assert_eq!(apiserver.layer, ProxyLayer::Tcp);
        assert_eq!(apiserver.client_timeout.as_ref().unwrap().value, 5.0);
        // The first backend used decides.
        assert_eq!(apiserver.server_timeout.as_ref().unwrap().value, 7200.0);
        let backends: Vec<_> = apiserver
            .backends
            .iter()
            .map(|b| (b.name.as_deref().unwrap(), b.address.value.as_str(), b.checked, b.backup, b.disabled))
            .collect();
        assert_eq!(
            backends,
            [
                ("m3", "10.0.0.13:6443", true, false, true),
                ("m1", "10.0.0.11:6443", true, false, false),
                ("m2", "10.0.0.12:6443", false, true, false)
            ]
        );
        for backend in &apiserver.backends {
            let span = backend.address.origin.span().unwrap();
            assert_eq!(&CONFIG[span.start..span.end], backend.address.value);
        }
        assert!(apiserver.health_check && !apiserver.terminates_tls);
        assert_eq!(stats.name, "stats");
        assert_eq!(stats.layer, ProxyLayer::Http);
        assert!(stats.terminates_tls && stats.backends.is_empty());
        assert_eq!(stats.listen.len(), 2);
        let problems: Vec<_> = proxy.problems.iter().map(|(origin, text)| format!("{origin} {text}")).collect();
        assert_eq!(problems, ["/h:23:5 `server` needs a name and an address", "/h:22:21 there is no backend `none`"]);
    }

    #[test]
    fn words_may_be_quoted() {
        for (line, expected) in [
            ("a b\\ c # d", vec!["a", "b c"]),
            ("a \"b c\"d 'e\\'", vec!["a", "b cd", "e\\"]),
            ("a#b", vec!["a"]),
            ("\"x", vec!["x"]),
            ("a \\", vec!["a", ""]),
            ("é \"\"", vec!["é", ""]),
        ] {
            let found = words(line, 0, &mut Spans::new(line), &mut Vec::new());
            assert_eq!(found.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), expected, "{line}");
        }
    }

    #[test]
    fn broken_files_say_where() {
        for (text, expected) in [
            ("bind *:1\n", "/h:1:1 unknown keyword `bind` outside of a section"),
            ("listen\n", "/h:1:1 `listen` has no name"),
            ("listen x\n timeout client 5q\n", "/h:2:17 `5q` is no duration"),
            ("listen x\n mode htpp\n", "/h:2:7 unknown mode `htpp`"),
            ("listen x\n bind \"*:1\n", "/h:2:7 quote is not closed"),
        ] {
            let proxy = parse(&"/h".into(), text);
            let shown: Vec<_> = proxy.problems.iter().map(|(origin, text)| format!("{origin} {text}")).collect();
            assert_eq!(shown, [expected], "{text}");
        }
    }
}
