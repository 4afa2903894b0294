//! nginx' servers that pass on to somewhere, in `http` and `stream`, from its directives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Files, Includes, TextFile};
use crate::facts::load_balancer::{Backend, Frontend, Proxy, ProxyLayer};
use crate::origin::{Origin, Place, Sourced};
use crate::parse::nginx::{self, Directive};
use crate::parse::words::{Word, seconds};

/// More backends and names than any configuration has in all its servers together; those that share an upstream repeat
/// it.
const BACKEND_LIMIT: usize = 100_000;

/// The proxy that the main configuration file makes.
pub(super) fn proxy(files: &Files, main: &TextFile) -> Proxy {
    let mut includes = Includes::new(files, main);
    let directives = expanded(&mut includes, main, 0);
    let mut reader = Reader { problems: includes.problems, frontends: Vec::new(), budget: BACKEND_LIMIT };
    // A file that is given alone may be one that the real nginx.conf includes in `http` or `stream`.
    reader.context(&directives, None);
    for directive in &directives {
        match directive.name.text.as_str() {
            "http" => reader.context(directive.children(), Some(ProxyLayer::Http)),
            "stream" => reader.context(directive.children(), Some(ProxyLayer::Tcp)),
            _ => {}
        }
    }
    Proxy { path: main.path.to_string(), frontends: reader.frontends, problems: reader.problems }
}

/// A file's directives with those of included files in their place.
fn expanded(includes: &mut Includes<'_>, file: &TextFile, depth: usize) -> Vec<Directive> {
    let (directives, problems) = nginx::parse(&file.path, &file.text);
    for problem in problems {
        includes.problems.push((Origin::file(file.path.clone(), problem.span), problem.message));
    }
    within(includes, directives, depth)
}

fn within(includes: &mut Includes<'_>, directives: Vec<Directive>, depth: usize) -> Vec<Directive> {
    let mut all = Vec::with_capacity(directives.len());
    for mut directive in directives {
        match directive.arguments.first().filter(|_| directive.is("include")) {
            Some(pattern) => {
                let origin = directive.sourced(pattern).origin;
                for file in includes.files(&pattern.text, &origin, depth) {
                    all.extend(expanded(includes, &file, depth + 1));
                }
            }
            None => {
                directive.block = directive.block.map(|block| within(includes, block, depth));
                all.push(directive);
            }
        }
    }
    all
}

/// What a server takes over from the blocks around it.
#[derive(Clone, Default)]
struct Timeouts {
    proxy_timeout: Option<Sourced<f64>>,
    proxy_read_timeout: Option<Sourced<f64>>,
}

struct Reader {
    problems: Vec<(Origin, String)>,
    frontends: Vec<Frontend>,
    budget: usize,
}

/// Upstreams and variables of an `http` or `stream` block.
struct Scope<'a> {
    upstreams: BTreeMap<&'a str, &'a Directive>,
    /// The values that a `map` or `set` gives a variable, by `$name`.
    variables: BTreeMap<String, Vec<&'a Word>>,
}

impl Reader {
    /// Reads the servers of a block; without `layer` it is told for each server from what it passes to.
    fn context(&mut self, directives: &[Directive], layer: Option<ProxyLayer>) {
        let mut scope = Scope { upstreams: BTreeMap::new(), variables: BTreeMap::new() };
        for directive in directives {
            match (directive.name.text.as_str(), directive.arguments.as_slice()) {
                ("upstream", [name, ..]) => {
                    scope.upstreams.insert(&name.text, directive);
                }
                ("map" | "geo" | "split_clients", [.., variable]) => {
                    let values = scope.variables.entry(variable.text.clone()).or_default();
                    values.extend(directive.children().iter().filter_map(|line| line.arguments.first()));
                }
                _ => {}
            }
        }
        let timeouts = self.timeouts(directives, Timeouts::default());
        for server in directives.iter().filter(|directive| directive.is("server") && directive.block.is_some()) {
            self.server(server, layer, &scope, &timeouts);
        }
    }

    fn timeouts(&mut self, directives: &[Directive], mut timeouts: Timeouts) -> Timeouts {
        for directive in directives {
            let target = match directive.name.text.as_str() {
                "proxy_timeout" => &mut timeouts.proxy_timeout,
                "proxy_read_timeout" => &mut timeouts.proxy_read_timeout,
                _ => continue,
            };
            if let Some(word) = directive.arguments.first() {
                let value = directive.sourced(word);
                match seconds(&word.text, 1.0) {
                    Some(seconds) => *target = Some(value.map(|_| seconds)),
                    None => self.problems.push((value.origin, format!("`{}` is no duration", word.text))),
                }
            }
        }
        timeouts
    }

    fn server(&mut self, server: &Directive, layer: Option<ProxyLayer>, scope: &Scope<'_>, outer: &Timeouts) {
        let named = |name: &'static str| server.children().iter().filter(move |directive| directive.is(name));
        let listens = || named("listen").filter_map(|listen| Some((listen, listen.arguments.first()?)));
        let listen: Vec<_> = listens().map(|(listen, word)| listen.sourced(word)).collect();
        let server_names: Vec<_> =
            named("server_name").flat_map(|name| name.arguments.iter().map(|word| name.sourced(word))).collect();
        let ssl = |word: &Word| matches!(word.text.as_str(), "ssl" | "quic");
        let terminates_tls = listens().any(|(listen, _)| listen.arguments.iter().skip(1).any(ssl))
            || named("ssl").any(|ssl| ssl.arguments.first().is_some_and(|word| word.text == "on"));
        let mut passes = Vec::new();
        let timeouts = self.timeouts(server.children(), outer.clone());
        self.passes(server.children(), &timeouts, &mut passes);
        let mut seen = BTreeSet::new();
        for (pass, target, timeouts, checked) in passes {
            if !seen.insert(target.text.as_str()) {
                continue;
            }
            // Each repeats what its server says, so names count too.
            let Some(budget) = self.budget.checked_sub(1 + server_names.len() + listen.len()) else {
                self.exhausted(server);
                break;
            };
            self.budget = budget;
            let (scheme, host) = match target.text.split_once("://") {
                Some((scheme, rest)) => (Some(scheme), rest.split('/').next().unwrap_or(rest)),
                None => (None, target.text.as_str()),
            };
            let http = layer.unwrap_or(if scheme.is_some() { ProxyLayer::Http } else { ProxyLayer::Tcp });
            let port = match (http, scheme) {
                (ProxyLayer::Tcp, _) => None,
                (_, Some("https")) => Some(443),
                _ => Some(80),
            };
            let (backends, upstream_checks) = self.backends(pass, target, host, port, scope, server);
            let origin = |from: usize, to: usize| part(pass, target, from, to);
            let (client_timeout, server_timeout) = match http {
                ProxyLayer::Tcp => (timeouts.proxy_timeout.clone(), timeouts.proxy_timeout),
                ProxyLayer::Http => (None, timeouts.proxy_read_timeout),
            };
            let name = server_names.first().map_or(host, |name| name.value.as_str());
            self.frontends.push(Frontend {
                name: name.to_owned(),
                listen: listen.clone(),
                layer: http,
                server_names: server_names.clone(),
                terminates_tls,
                transparent: false,
                backends,
                upstream_scheme: scheme.map(|scheme| Sourced::new(scheme.to_owned(), origin(0, scheme.len()))),
                health_check: checked || upstream_checks,
                client_timeout,
                server_timeout,
                origin: server.origin(),
            });
        }
    }

    /// The `proxy_pass` directives of a server and its locations, with the timeouts there and whether there is an active
    /// health check. The depth is that of the parser's blocks.
    fn passes<'a>(
        &mut self,
        directives: &'a [Directive],
        timeouts: &Timeouts,
        passes: &mut Vec<(&'a Directive, &'a Word, Timeouts, bool)>,
    ) {
        let checked = directives.iter().any(|directive| directive.is("health_check"));
        for directive in directives {
            if let Some(target) = directive.arguments.first().filter(|_| directive.is("proxy_pass")) {
                passes.push((directive, target, timeouts.clone(), checked));
            } else if directive.block.is_some() {
                let timeouts = self.timeouts(directive.children(), timeouts.clone());
                self.passes(directive.children(), &timeouts, passes);
            }
        }
    }

    /// Where a pass leads: an upstream's servers, those of a variable's values, or the host itself.
    fn backends(
        &mut self,
        pass: &Directive,
        target: &Word,
        host: &str,
        port: Option<u16>,
        scope: &Scope<'_>,
        server: &Directive,
    ) -> (Vec<Backend>, bool) {
        let variable =
            host.strip_prefix("${").map_or(host.to_owned(), |name| format!("${}", name.trim_end_matches('}')));
        let mut names = vec![host];
        if variable.starts_with('$') {
            let set = server.children().iter().filter(|directive| directive.is("set"));
            let set = set.filter_map(|directive| match directive.arguments.as_slice() {
                [name, value, ..] if name.text == variable => Some(value),
                _ => None,
            });
            let mapped = scope.variables.get(&variable).into_iter().flatten().copied();
            names = mapped.chain(set).map(|word| word.text.as_str()).collect();
            names.sort_unstable();
            names.dedup();
        }
        let mut backends = Vec::new();
        let mut checked = false;
        for name in names {
            match scope.upstreams.get(name) {
                Some(upstream) => {
                    checked |= upstream.children().iter().any(|line| line.is("check"));
                    backends.extend(upstream.children().iter().filter(|line| line.is("server")).filter_map(|line| {
                        self.budget = self.budget.checked_sub(1)?;
                        upstream_server(line, port)
                    }));
                }
                // What is neither an upstream nor an address is a variable's other value.
                None if name.is_empty() || name.starts_with('$') || (name != host && !name.contains(':')) => {}
                None => {
                    let from = if name == host { target.text.find(host).unwrap_or(0) } else { 0 };
                    let origin = if name == host { part(pass, target, from, from + host.len()) } else { pass.origin() };
                    let address = Sourced::new(with_port(name, port), origin);
                    backends.push(Backend { name: None, address, checked: false, backup: false, disabled: false });
                }
            }
        }
        if checked {
            backends.iter_mut().for_each(|backend| backend.checked = true);
        }
        if self.budget == 0 {
            self.exhausted(pass);
        }
        (backends, checked)
    }

    fn exhausted(&mut self, at: &Directive) {
        let message = format!("more than {BACKEND_LIMIT} names and backends are not read");
        if !self.problems.iter().any(|(_, known)| *known == message) {
            self.problems.push((at.origin(), message));
        }
    }
}

fn upstream_server(line: &Directive, port: Option<u16>) -> Option<Backend> {
    let word = line.arguments.first()?;
    let option = |name: &str| line.arguments.iter().skip(1).any(|word| word.text == name);
    let address = line.sourced(word).map(|address| with_port(&address, port));
    Some(Backend { name: None, address, checked: false, backup: option("backup"), disabled: option("down") })
}

/// `HOST:PORT`, with the protocol's port when none is written.
fn with_port(host: &str, port: Option<u16>) -> String {
    let bare =
        host.starts_with("unix:") || host.starts_with('$') || host.rsplit(']').next().unwrap_or("").contains(':');
    match port {
        Some(port) if !bare => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

/// The origin of a part of a word, of the whole when it was written with quotes or escapes within.
fn part(directive: &Directive, word: &Word, from: usize, to: usize) -> Origin {
    let path: Arc<str> = directive.path.clone();
    let same = word.span.end - word.span.start == word.text.len();
    let span = if same { word.span.part(from, to) } else { word.span };
    Origin { place: Place::File { path, span: Some(span) }, via: None }
}
