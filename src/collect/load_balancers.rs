//! nginx, haproxy and keepalived as configured, includes followed. All proxies are given; which of them stand before an
//! apiserver is for rules to say.

mod nginx;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::runtimes::{expand, first_text};
use super::{Files, Problems, TextFile};
use crate::facts::load_balancer::{Keepalived, LoadBalancers, Proxy};
use crate::origin::{Fact, Origin};
use crate::parse::haproxy;
use crate::parse::keepalived::{self, Interpreted, Statement};
use crate::source::{ReadError, SourceKind};

const HAPROXY: [&str; 2] = ["/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg"];
/// The distributions', a build from source, OpenResty, and kubeasz' own build.
const NGINX: [&str; 5] = [
    "/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
    "/etc/kube-lb/conf/kube-lb.conf",
    "/etc/l4lb/conf/l4lb.conf",
];
const KEEPALIVED: [&str; 2] = ["/etc/keepalived/keepalived.conf", "/usr/local/etc/keepalived/keepalived.conf"];

/// Files that one configuration may include, and how deep.
const INCLUDE_LIMIT: usize = 256;
const INCLUDE_DEPTH: usize = 8;

pub fn collect(files: &Files, problems: &Problems) -> LoadBalancers {
    LoadBalancers {
        haproxy: first_text(files, &HAPROXY)
            .map(|file| file.map(|file| told(haproxy::parse(&file.path, &file.text), problems))),
        nginx: first_text(files, &NGINX).map(|file| file.map(|file| told(nginx::proxy(files, &file), problems))),
        keepalived: keepalived(files, problems),
    }
}

/// The proxy, its problems being noted for the host too.
fn told(proxy: Proxy, problems: &Problems) -> Proxy {
    for (origin, message) in &proxy.problems {
        problems.add(origin.path().unwrap_or(&proxy.path), origin.span(), message.clone(), None);
    }
    proxy
}

fn keepalived(files: &Files, problems: &Problems) -> Fact<Option<Keepalived>> {
    let Some(file) = first_text(files, &KEEPALIVED)? else { return Ok(None) };
    let mut includes = Includes::new(files, &file);
    let mut statements = Vec::new();
    keepalived_file(&mut includes, &file, 0, &mut statements, problems);
    let Interpreted { instances, virtual_servers, problems: wrong } = keepalived::interpret(&statements);
    for (path, problem) in wrong {
        problems.add_parsed(&path, vec![problem]);
    }
    for (origin, message) in includes.problems {
        problems.add(origin.path().unwrap_or(&file.path), origin.span(), message, None);
    }
    Ok(Some(Keepalived { path: file.path.to_string(), instances, virtual_servers }))
}

fn keepalived_file(
    includes: &mut Includes<'_>,
    file: &TextFile,
    depth: usize,
    statements: &mut Vec<Statement>,
    problems: &Problems,
) {
    let (parsed, wrong) = keepalived::parse(&file.path, &file.text);
    problems.add_parsed(&file.path, wrong);
    for statement in parsed {
        match statement.values().first().filter(|_| statement.is("include")) {
            Some(pattern) => {
                let origin = Origin::file(file.path.clone(), Some(pattern.span));
                for included in includes.files(&pattern.text, &origin, depth) {
                    keepalived_file(includes, &included, depth + 1, statements, problems);
                }
            }
            None => statements.push(statement),
        }
    }
}

/// Follows `include`, each file once, within limits.
struct Includes<'a> {
    source: &'a Files,
    /// Of the main file; relative paths begin there.
    directory: String,
    seen: BTreeSet<String>,
    problems: Vec<(Origin, String)>,
}

impl<'a> Includes<'a> {
    fn new(source: &'a Files, main: &TextFile) -> Includes<'a> {
        let directory = main.path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
        Includes { source, directory, seen: BTreeSet::from([main.path.to_string()]), problems: Vec::new() }
    }

    /// The files that a pattern stands for. What cannot be read is a problem at `origin`.
    fn files(&mut self, pattern: &str, origin: &Origin, depth: usize) -> Vec<Arc<TextFile>> {
        let pattern =
            if pattern.starts_with('/') { pattern.to_owned() } else { format!("{}/{pattern}", self.directory) };
        let mut found = Vec::new();
        let paths = match expand(self.source, &pattern) {
            Ok(paths) => paths,
            Err(error) => {
                if !self.is_expected(&pattern, &error) {
                    self.problem(origin, format!("cannot be followed: {error}"));
                }
                return found;
            }
        };
        for path in paths {
            if self.seen.contains(&path) {
                continue;
            }
            if depth >= INCLUDE_DEPTH || self.seen.len() > INCLUDE_LIMIT {
                self.problem(origin, "too many files are included; the rest is not read".to_owned());
                break;
            }
            self.seen.insert(path.clone());
            match self.source.text(&path) {
                Ok(file) => found.push(file),
                Err(error) if self.is_expected(&path, &error) => {}
                Err(error) => self.problem(origin, format!("cannot be included: {error}")),
            }
        }
        found
    }

    /// A single file comes without what it includes, a tree without nginx' modules, which proxy nothing.
    fn is_expected(&self, path: &str, error: &ReadError) -> bool {
        let module = path.contains("/modules-enabled/") || path.contains("/modules/");
        matches!(error, ReadError::NotCovered { .. }) && (module || self.source.kind() == SourceKind::File)
    }

    fn problem(&mut self, origin: &Origin, message: String) {
        self.problems.push((origin.clone(), message));
    }
}

#[cfg(test)]
mod tests;
