//! `iptables -L -n -v`, as sosreport and tickets have it.

use super::{At, FirewallError, RULES, add, hook_of, is_masquerade, lines, nets, ports, states, target_of};
use crate::facts::firewall::{Backend, Chain, Firewall, Match, Target};

/// The chains of one table.
pub fn parse(text: &str, table: &str, family: &str, at: At<'_>) -> Result<Firewall, FirewallError> {
    let mut firewall = Firewall::default();
    let mut rules = 0;
    for (line, span) in lines(text) {
        let origin = || at(span);
        if let Some(rest) = line.strip_prefix("Chain ") {
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut chain = Chain::new(Backend::Unsaid, family, table, name, origin());
            chain.hook = hook_of(table, name).filter(|_| rest.contains("policy "));
            chain.drops = rest.contains("(policy DROP");
            firewall.chains.push(chain);
            continue;
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let Some(chain) = firewall.chains.last_mut() else { continue };
        if words.is_empty() || words.first() == Some(&"pkts") || words.first() == Some(&"target") {
            continue;
        }
        rules += 1;
        if rules > RULES {
            return Err(FirewallError::TooMany);
        }
        match rule(&words) {
            Some((matches, target)) => add(chain, line, matches, target, origin()),
            // Without -v the interfaces are not shown: a rule that looks general may be for one of them.
            None => add(chain, line, vec![Match::Perhaps], Target::Jump(String::new()), origin()),
        }
    }
    firewall.chains.retain(|chain: &Chain| !chain.name.is_empty());
    if firewall.chains.is_empty() { Err(FirewallError::NoTable) } else { Ok(firewall) }
}

/// `pkts bytes target prot opt in out source destination ...`; a rule without target has one word less.
fn rule(words: &[&str]) -> Option<(Vec<Match>, Target)> {
    // opt is `--`, `-f` or `!f`.
    let opt = words.iter().take(5).position(|word| matches!(*word, "--" | "-f" | "!f"))?;
    let (target, protocol) = match opt {
        4 => (*words.get(2)?, *words.get(3)?),
        3 => ("", *words.get(2)?),
        _ => return None,
    };
    let [comes_in, goes_out, source, destination] = [1, 2, 3, 4].map(|after| words.get(opt + after).copied());
    let mut matches = Vec::new();
    let inverted = |word: &str| word.strip_prefix('!').map_or((word.to_owned(), false), |rest| (rest.to_owned(), true));
    for (word, is_in) in [(comes_in?, true), (goes_out?, false)] {
        let (name, inverted) = inverted(word);
        if name != "*" && name != "any" {
            matches.push(if is_in { Match::In { name, inverted } } else { Match::Out { name, inverted } });
        }
    }
    for (word, is_source) in [(source?, true), (destination?, false)] {
        let (text, inverted) = inverted(word);
        match nets(&text) {
            Some(nets) if nets.iter().all(|net| net.prefix_len() == 0) => {}
            Some(nets) if is_source => matches.push(Match::Source { nets, inverted }),
            Some(nets) => matches.push(Match::Destination { nets, inverted }),
            None => matches.push(Match::Perhaps),
        }
    }
    let (name, is_not) = inverted(protocol);
    let name = match name.as_str() {
        "0" | "all" => None,
        "6" => Some("tcp".to_owned()),
        "17" => Some("udp".to_owned()),
        "1" => Some("icmp".to_owned()),
        _ => Some(name),
    };
    matches.extend(name.map(|name| Match::Protocol { name, inverted: is_not }));
    let goto = words.contains(&"[goto]");
    more(words.get(opt + 5..).unwrap_or_default(), &mut matches);
    let target = match target {
        "" => Target::Other,
        name if goto => Target::Goto(name.to_owned()),
        name => target_of(name),
    };
    Some((matches, target))
}

/// What extensions print behind the addresses.
fn more(words: &[&str], matches: &mut Vec<Match>) {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "/*" => while words.next().is_some_and(|word| *word != "*/") {},
            "ctstate" | "state" => matches.extend(states(words.next().unwrap_or(&""))),
            "multiport" => {
                let kind = words.next().copied().unwrap_or_default();
                let list = words.next().copied().unwrap_or_default();
                let found = (kind == "dports").then(|| ports(list)).flatten();
                matches.push(found.map_or(Match::Perhaps, |ranges| Match::Ports { ranges, inverted: false }));
            }
            "mark" => {
                words.next();
                let value = words.next().copied().unwrap_or_default();
                matches.push(if is_masquerade(value) { Match::Marked } else { Match::Perhaps });
            }
            "tcp" | "udp" | "[goto]" => {}
            // The target's own.
            "reject-with" | "LOG" | "MARK" | "CONNMARK" | "NFLOG" => return,
            other => match other.strip_prefix("dpt:").or_else(|| other.strip_prefix("dpts:")).and_then(ports) {
                Some(ranges) => matches.push(Match::Ports { ranges, inverted: false }),
                None => matches.push(Match::Perhaps),
            },
        }
    }
}
