//! keepalived's configuration: blocks of lines in braces.

use std::sync::Arc;

use super::Problem;
use super::words::{Spans, Word};
use crate::facts::load_balancer::{Backend, VirtualServer, VrrpInstance};
use crate::origin::{Origin, Sourced};

const DEPTH_LIMIT: usize = 16;

/// A line, and the block that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub path: Arc<str>,
    pub words: Vec<Word>,
    pub block: Option<Vec<Statement>>,
}

impl Statement {
    pub fn is(&self, keyword: &str) -> bool {
        self.words.first().is_some_and(|word| word.text == keyword)
    }

    /// The statement's words after its keyword.
    pub fn values(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    fn children(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }

    fn sourced(&self, word: &Word) -> Sourced<String> {
        Sourced::new(word.text.clone(), Origin::file(self.path.clone(), Some(word.span)))
    }

    /// A setting's value: the first word after the keyword; the last such line counts.
    fn setting(&self, keyword: &str) -> Option<Sourced<String>> {
        let line = self.children().iter().rev().find(|line| line.is(keyword))?;
        line.values().first().map(|word| line.sourced(word))
    }

    fn number(&self, keyword: &str, problems: &mut Vec<(Arc<str>, Problem)>) -> Option<Sourced<u32>> {
        let value = self.setting(keyword)?;
        match value.value.parse() {
            Ok(number) => Some(value.map(|_| number)),
            Err(_) => {
                let message = format!("{keyword} is `{}`, not a number", value.value);
                problems.push((self.path.clone(), Problem::new(value.origin.span(), message)));
                None
            }
        }
    }
}

/// The file's statements. `!` and `#` begin comments; a brace may stand on the line after.
pub fn parse(path: &Arc<str>, text: &str) -> (Vec<Statement>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut spans = Spans::new(text);
    let mut open: Vec<Vec<Statement>> = vec![Vec::new()];
    let mut start = 0;
    'lines: for line in text.split_inclusive('\n') {
        let mut words = Vec::new();
        for word in split(line, start, &mut spans) {
            match word.text.as_str() {
                "{" => {
                    push(path, &mut open, &mut words);
                    if open.len() > DEPTH_LIMIT {
                        problems.push(Problem::new(Some(word.span), "blocks nested too deep"));
                        break 'lines;
                    }
                    if open.last().is_none_or(|siblings| siblings.last().is_none_or(|last| last.block.is_some())) {
                        problems.push(Problem::new(Some(word.span), "`{` without the name of its block"));
                        let nameless = Statement { path: path.clone(), words: Vec::new(), block: None };
                        if let Some(siblings) = open.last_mut() {
                            siblings.push(nameless);
                        }
                    }
                    open.push(Vec::new());
                }
                "}" => {
                    push(path, &mut open, &mut words);
                    if !close(&mut open) {
                        problems.push(Problem::new(Some(word.span), "`}` closes nothing"));
                    }
                }
                _ => words.push(word),
            }
        }
        push(path, &mut open, &mut words);
        start += line.len();
    }
    while open.len() > 1 {
        close(&mut open);
        let opener = open.last().and_then(|siblings| siblings.last()).and_then(|statement| statement.words.first());
        let message = format!("block `{}` is not closed by `}}`", opener.map_or("", |word| &word.text));
        problems.push(Problem::new(opener.map(|word| word.span), message));
    }
    (open.pop().unwrap_or_default(), problems)
}

fn push(path: &Arc<str>, open: &mut [Vec<Statement>], words: &mut Vec<Word>) {
    if !words.is_empty()
        && let Some(siblings) = open.last_mut()
    {
        siblings.push(Statement { path: path.clone(), words: std::mem::take(words), block: None });
    }
}

/// Closes the innermost block: it belongs to the last statement of the one around it.
fn close(open: &mut Vec<Vec<Statement>>) -> bool {
    if open.len() < 2 {
        return false;
    }
    let block = open.pop();
    if let Some(opener) = open.last_mut().and_then(|siblings| siblings.last_mut()) {
        opener.block = block;
    }
    true
}

fn split(line: &str, offset: usize, spans: &mut Spans<'_>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(letter) = line.get(at..).and_then(|rest| rest.chars().next()) {
        if letter.is_whitespace() {
            at += letter.len_utf8();
            continue;
        }
        if matches!(letter, '#' | '!') {
            break;
        }
        let rest = line.get(at..).unwrap_or("");
        let (from, length, after) = match letter {
            '"' => {
                let inner = rest.get(1..).unwrap_or("").trim_end_matches(['\n', '\r']);
                let length = inner.find('"').unwrap_or(inner.len());
                (at + 1, length, (at + length + 2).min(line.len()))
            }
            '{' | '}' => (at, 1, at + 1),
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || matches!(c, '{' | '}')).unwrap_or(rest.len());
                (at, length, at + length)
            }
        };
        let text = line.get(from..from + length).unwrap_or("").to_owned();
        words.push(Word { text, span: spans.span(offset + from, offset + from + length) });
        at = after;
    }
    words
}

/// What a configuration makes.
#[derive(Debug, Default)]
pub struct Interpreted {
    pub instances: Vec<VrrpInstance>,
    pub virtual_servers: Vec<VirtualServer>,
    /// What is wrong in them, each with its file.
    pub problems: Vec<(Arc<str>, Problem)>,
}

/// VRRP instances and virtual servers among statements. Passwords are not kept.
pub fn interpret(statements: &[Statement]) -> Interpreted {
    let mut found = Interpreted::default();
    for statement in statements {
        if statement.is("vrrp_instance") {
            found.instances.push(instance(statement, &mut found.problems));
        } else if statement.is("virtual_server") {
            found.virtual_servers.extend(virtual_server(statement));
        }
    }
    found
}

fn instance(statement: &Statement, problems: &mut Vec<(Arc<str>, Problem)>) -> VrrpInstance {
    // Addresses stand one a line within the block, or behind the keyword.
    let listed = |keywords: &[&str]| {
        let blocks = statement.children().iter().filter(|child| keywords.iter().any(|keyword| child.is(keyword)));
        blocks
            .flat_map(|block| {
                let inner = block.children().iter().filter_map(|line| Some((line, line.words.first()?)));
                inner.chain(block.values().first().map(|word| (block, word)))
            })
            .map(|(line, word)| line.sourced(word))
            .collect::<Vec<_>>()
    };
    let bare = |mut address: Sourced<String>| {
        if let Some((host, _)) = address.value.split_once('/') {
            let host = host.to_owned();
            if let Some(span) = address.origin.span() {
                let path = address.origin.path().unwrap_or_default();
                address.origin = Origin::file(path, Some(span.part(0, host.len())));
            }
            address.value = host;
        }
        address
    };
    let name = statement.values().first();
    if name.is_none() {
        let span = statement.words.first().map(|word| word.span);
        problems.push((statement.path.clone(), Problem::new(span, "vrrp_instance has no name")));
    }
    VrrpInstance {
        name: name.map(|word| word.text.clone()).unwrap_or_default(),
        state: statement.setting("state"),
        interface: statement.setting("interface"),
        virtual_router_id: statement.number("virtual_router_id", problems),
        priority: statement.number("priority", problems),
        virtual_addresses: listed(&["virtual_ipaddress", "virtual_ipaddress_excluded"]).into_iter().map(bare).collect(),
        unicast_peers: listed(&["unicast_peer"]).into_iter().map(bare).collect(),
        track_scripts: listed(&["track_script"]).into_iter().map(|script| script.value).collect(),
        origin: Origin::file(statement.path.clone(), name.or(statement.words.first()).map(|word| word.span)),
    }
}

/// `10.0.0.1 6443` as `10.0.0.1:6443`, with the span from the one to the other.
fn endpoint(statement: &Statement) -> Option<Sourced<String>> {
    let (address, port) = match statement.values() {
        [address, port, ..] => (address, Some(port)),
        [address] => (address, None),
        [] => return None,
    };
    let mut span = address.span;
    let value = match port {
        Some(port) if address.text == "fwmark" || address.text == "group" => format!("{} {}", address.text, port.text),
        Some(port) if address.text.contains(':') => format!("[{}]:{}", address.text, port.text),
        Some(port) => format!("{}:{}", address.text, port.text),
        None => address.text.clone(),
    };
    span.end = port.map_or(span.end, |port| port.span.end);
    Some(Sourced::new(value, Origin::file(statement.path.clone(), Some(span))))
}

fn virtual_server(statement: &Statement) -> Option<VirtualServer> {
    let address = endpoint(statement)?;
    let is_checker = |line: &Statement| {
        let keyword = line.words.first().map_or("", |word| word.text.as_str());
        keyword.ends_with("_CHECK") || keyword.ends_with("_GET")
    };
    let server = |line: &Statement, backup| {
        Some(Backend {
            name: None,
            address: endpoint(line)?,
            checked: line.children().iter().any(is_checker),
            backup,
            disabled: false,
        })
    };
    let real_servers: Vec<Backend> = statement
        .children()
        .iter()
        .filter_map(|line| match () {
            () if line.is("real_server") => server(line, false),
            () if line.is("sorry_server") => server(line, true),
            () => None,
        })
        .collect();
    let forwarding = statement.setting("lb_kind").or_else(|| statement.setting("lvs_method"));
    Some(VirtualServer {
        address,
        forwarding: forwarding.map(|kind| kind.value),
        health_check: real_servers.iter().any(|server| server.checked),
        real_servers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
! Configuration File
global_defs {
  router_id LVS1   # c
}
vrrp_script check_api
{
  script \"/etc/keepalived/check.sh 1\"
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 10O
    authentication {
        auth_type PASS
        auth_pass geheim
    }
    unicast_peer {
        10.0.0.12
        10.0.0.13
    }
    virtual_ipaddress {
        10.0.0.88/24 dev eth0 label eth0:1
    }
    track_script { check_api weight 2 }
}
virtual_server 10.0.0.88 6443 {
    lb_kind DR
    real_server 10.0.0.11 6443 {
        weight 1
        TCP_CHECK { connect_timeout 3 }
    }
    real_server fd00::12 6443 {
    }
}
";

    #[test]
    fn instances_and_servers_are_read() {
        let (statements, problems) = parse(&"/k".into(), CONFIG);
        assert_eq!(problems, []);
        let Interpreted { instances, virtual_servers: servers, problems } = interpret(&statements);
        let instance = &instances[0];
        assert_eq!((instances.len(), instance.name.as_str()), (1, "VI_1"));
        assert_eq!(instance.origin.to_string(), "/k:9:15");
        assert_eq!(instance.state.as_ref().unwrap().value, "MASTER");
        assert_eq!(instance.virtual_router_id.as_ref().unwrap().value, 51);
        assert_eq!(instance.priority, None);
        assert_eq!(problems[0].1.message, "priority is `10O`, not a number");
        assert_eq!(instance.virtual_addresses[0].value, "10.0.0.88");
        let span = instance.virtual_addresses[0].origin.span().unwrap();
        assert_eq!(&CONFIG[span.start..span.end], "10.0.0.88");
        assert_eq!(instance.unicast_peers[1].origin.to_string(), "/k:20:9");
        assert_eq!(instance.track_scripts, ["check_api"]);
        assert!(!format!("{instance:?}").contains("geheim"));
        let server = &servers[0];
        assert_eq!(server.address.value, "10.0.0.88:6443");
        let span = server.address.origin.span().unwrap();
        assert_eq!(&CONFIG[span.start..span.end], "10.0.0.88 6443");
        assert_eq!(server.forwarding.as_deref(), Some("DR"));
        let real: Vec<_> = server.real_servers.iter().map(|real| (real.address.value.as_str(), real.checked)).collect();
        assert_eq!(real, [("10.0.0.11:6443", true), ("[fd00::12]:6443", false)]);
        assert!(server.health_check);
    }

    #[test]
    fn broken_files_say_where_and_keep_the_rest() {
        for (text, line, message, count) in [
            ("a {\n b c\n", 1, "block `a` is not closed by `}`", 1),
            ("a 1\n}\nb 2\n", 2, "`}` closes nothing", 2),
            ("{\n a\n}\nb\n", 1, "`{` without the name of its block", 2),
            ("a {\n}\n{\n}\n", 3, "`{` without the name of its block", 2),
        ] {
            let (statements, problems) = parse(&"/k".into(), text);
            assert_eq!(problems[0].message, message, "{text}");
            assert_eq!(problems[0].span.unwrap().line, line, "{text}");
            assert_eq!(statements.len(), count, "{text}");
        }
        let (_, problems) = parse(&"/k".into(), &"a{".repeat(100_000));
        assert!(problems.iter().any(|problem| problem.message.contains("deep")));
        for text in ["\"", "a \"b", "}", "!", "\"\u{e9}"] {
            parse(&"/k".into(), text);
        }
    }
}
