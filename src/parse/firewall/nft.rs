//! `nft list ruleset`, as text.

use super::{At, FirewallError, RULES, add, is_masquerade, lines, nets, ports, states};
use crate::facts::firewall::{Backend, Chain, Firewall, Hook, Match, Target};

/// The tables with their chains; sets, maps and flow tables are passed over.
pub fn parse(text: &str, at: At<'_>) -> Result<Firewall, FirewallError> {
    let mut firewall = Firewall::default();
    let mut table: Option<(String, String)> = None;
    let mut in_chain = false;
    // Braces of what is neither table nor chain.
    let mut other = 0_usize;
    let (mut rules, mut tables) = (0, 0);
    for (line, span) in lines(text) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if other > 0 {
            other = (other + line.matches('{').count()).saturating_sub(line.matches('}').count());
        } else if in_chain {
            let Some(chain) = firewall.chains.last_mut() else { continue };
            if line == "}" {
                in_chain = false;
            } else if let Some(rest) = line.strip_prefix("type ") {
                chain.hook = Some(match rest.split_once(" hook ").map(|(kind, rest)| (kind, rest.split(' ').next())) {
                    Some(("filter", Some("input"))) => Hook::Input,
                    Some(("filter", Some("forward"))) => Hook::Forward,
                    _ => Hook::Other,
                });
                chain.drops = line.contains("policy drop");
            } else {
                rules += 1;
                if rules > RULES {
                    return Err(FirewallError::TooMany);
                }
                let (matches, target) = rule(line);
                add(chain, line, matches, target, at(span));
            }
        } else if let Some((family, table_name)) = &table {
            if line == "}" {
                table = None;
            } else if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.split(' ').next()) {
                let origin = at(span);
                firewall.chains.push(Chain::new(Backend::Nft, family, table_name, name, origin));
                in_chain = !line.contains('}');
            } else if line.contains('{') && !line.contains('}') {
                other = 1;
            }
        } else if let Some(rest) = line.strip_prefix("table ") {
            let mut words = rest.split_ascii_whitespace();
            let (Some(family), Some(name)) = (words.next(), words.next()) else { continue };
            tables += 1;
            // `table filter {` is of the family ip.
            table = Some(if name == "{" {
                ("ip".to_owned(), family.to_owned())
            } else {
                (family.to_owned(), name.to_owned())
            });
            if line.contains('}') {
                table = None;
            }
        }
    }
    if tables == 0 { Err(FirewallError::NoTable) } else { Ok(firewall) }
}

/// Takes the statements of a rule apart.
fn rule(text: &str) -> (Vec<Match>, Target) {
    let words = words(text);
    // A map of verdicts, and a program that is asked: anything may come of it.
    if words.iter().any(|word| matches!(word.as_str(), "vmap" | "queue" | "synproxy")) {
        return (vec![Match::Perhaps], Target::Jump(String::new()));
    }
    let mut words = words.iter().map(String::as_str).peekable();
    let mut matches = Vec::new();
    let mut target = Target::Other;
    while let Some(word) = words.next() {
        let mut value = || {
            let inverted = words.next_if(|word| matches!(*word, "!=" | "==")) == Some("!=");
            (words.next().unwrap_or_default().to_owned(), inverted)
        };
        match word {
            "iifname" | "iif" | "oifname" | "oif" => {
                let (names, inverted) = value();
                let names: Vec<&str> = items(&names).collect();
                matches.push(match (&names[..], word.starts_with('i')) {
                    ([name], true) if !name.starts_with('@') => Match::In { name: (*name).to_owned(), inverted },
                    ([name], false) if !name.starts_with('@') => Match::Out { name: (*name).to_owned(), inverted },
                    _ => Match::Perhaps,
                });
            }
            "ip" | "ip6" => match words.next() {
                Some(side @ ("saddr" | "daddr")) => {
                    let mut value = || {
                        let inverted = words.next_if(|word| matches!(*word, "!=" | "==")) == Some("!=");
                        (words.next().unwrap_or_default().to_owned(), inverted)
                    };
                    let (list, inverted) = value();
                    let found = nets(&items(&list).collect::<Vec<_>>().join(","));
                    matches.push(match found {
                        Some(nets) if side == "saddr" => Match::Source { nets, inverted },
                        Some(nets) => Match::Destination { nets, inverted },
                        None => Match::Perhaps,
                    });
                }
                Some("protocol" | "nexthdr") => {
                    let inverted = words.next_if(|word| matches!(*word, "!=" | "==")) == Some("!=");
                    let name = items(words.next().unwrap_or_default()).collect::<Vec<_>>().join(",");
                    matches.push(Match::Protocol { name, inverted });
                }
                _ => {
                    words.next();
                    matches.push(Match::Perhaps);
                }
            },
            "tcp" | "udp" | "th" | "sctp" => {
                if word != "th" {
                    matches.push(Match::Protocol { name: word.to_owned(), inverted: false });
                }
                let is_target = words.next() == Some("dport");
                let inverted = words.next_if(|word| matches!(*word, "!=" | "==")) == Some("!=");
                let list = words.next().unwrap_or_default();
                let found = ports(&items(list).collect::<Vec<_>>().join(",")).filter(|_| is_target);
                matches.push(found.map_or(Match::Perhaps, |ranges| Match::Ports { ranges, inverted }));
            }
            "icmp" | "icmpv6" | "esp" | "ah" => {
                matches.push(Match::Protocol { name: word.to_owned(), inverted: false });
            }
            "ct" => match words.next() {
                Some("state") => {
                    let inverted = words.next_if(|word| *word == "!=").is_some();
                    let list = items(words.next().unwrap_or_default()).collect::<Vec<_>>().join(",");
                    match states(&list) {
                        Some(_) if inverted => matches.push(Match::Perhaps),
                        Some(found) => matches.push(found),
                        None if inverted => matches.push(Match::Established),
                        None => {}
                    }
                }
                // Redirected by a rule of nat.
                Some("status") => {
                    words.next();
                    matches.push(Match::Marked);
                }
                _ => matches.push(Match::Perhaps),
            },
            "meta" => match words.next() {
                Some("l4proto") => {
                    let (list, inverted) = {
                        let inverted = words.next_if(|word| matches!(*word, "!=" | "==")) == Some("!=");
                        (words.next().unwrap_or_default(), inverted)
                    };
                    let name = items(list).collect::<Vec<_>>().join(",");
                    let is_named = !name.is_empty() && !name.contains('@');
                    matches.push(if is_named { Match::Protocol { name, inverted } } else { Match::Perhaps });
                }
                Some("mark") => mark(&mut words, &mut matches),
                _ => {
                    words.next();
                    matches.push(Match::Perhaps);
                }
            },
            "mark" => mark(&mut words, &mut matches),
            "counter" => {
                while words.next_if(|word| matches!(*word, "packets" | "bytes")).is_some() {
                    words.next();
                }
            }
            "comment" => {
                words.next();
            }
            "accept" => target = Target::Accept,
            "drop" => target = Target::Drop,
            "reject" => {
                target = Target::Reject;
                break;
            }
            "return" => target = Target::Return,
            "jump" => target = Target::Jump(words.next().unwrap_or_default().to_owned()),
            "goto" => target = Target::Goto(words.next().unwrap_or_default().to_owned()),
            // Statements that let the packet go on; their options follow up to the end or the verdict.
            "log" => while words.next_if(|word| !is_verdict(word)).is_some() {},
            "#" => break,
            _ => matches.push(Match::Perhaps),
        }
    }
    matches.dedup();
    (matches, target)
}

/// `meta mark & 0x4000 == 0x4000`, `meta mark set ...`, `meta mark 0x4000`.
fn mark<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, matches: &mut Vec<Match>) {
    if words.next_if(|word| *word == "set").is_some() {
        while words.next_if(|word| !is_verdict(word)).is_some() {}
        return;
    }
    let mut inverted = false;
    let mut last = "";
    while let Some(word) = words.next_if(|word| is_of_mark(word)) {
        inverted |= word == "!=";
        last = word;
    }
    matches.push(if !inverted && is_masquerade(last) { Match::Marked } else { Match::Perhaps });
}

fn is_of_mark(word: &str) -> bool {
    matches!(word, "&" | "==" | "!=" | "and" | "or" | "|" | "^" | "xor") || word.starts_with("0x")
}

fn is_verdict(word: &str) -> bool {
    matches!(word, "accept" | "drop" | "reject" | "return" | "jump" | "goto" | "counter" | "comment")
}

/// The items of `{ a, b }`, or the word itself.
fn items(word: &str) -> impl Iterator<Item = &str> {
    word.trim_start_matches('{').trim_end_matches('}').split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Words; a string in quotes is one, and what stands in braces, and `a, b`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut has, mut depth) = (false, false, 0_usize);
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                has = true;
            }
            '{' if !quoted => {
                depth += 1;
                word.push(letter);
            }
            '}' if !quoted => {
                depth = depth.saturating_sub(1);
                word.push(letter);
            }
            ' ' | '\t' if !quoted && depth == 0 => {
                if has || !word.is_empty() {
                    push(&mut words, std::mem::take(&mut word));
                }
                has = false;
            }
            other => word.push(other),
        }
    }
    if has || !word.is_empty() {
        push(&mut words, word);
    }
    words
}

fn push(words: &mut Vec<String>, word: String) {
    match words.last_mut() {
        Some(last) if last.ends_with(',') => last.push_str(&word),
        _ => words.push(word),
    }
}
