//! `k8sdoctor explain`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::error::CliError;
use super::exit::Exit;
use super::output;
use super::terminal::Terminal;
use crate::engine::card::Card;
use crate::engine::options::RunOptions;
use crate::engine::{CardSet, Language, run, template};
use crate::render::markdown::to_terminal;
use crate::render::paint::Paint;
use crate::render::text::escape;
use crate::report::Risk;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The rule's id, as a report shows it: etcd-address-not-local
    #[arg(value_name = "RULE")]
    rule: String,
    /// text for reading, markdown for the card as it is written; text on a terminal, else markdown
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A folder with cards of your own; may be repeated
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
}

pub fn run(arguments: &Arguments, language: Language, terminal: Terminal) -> Result<Exit, CliError> {
    let card = find(arguments, language)?;
    let markdown = markdown(&card, language);
    let default = if terminal.is_terminal { Format::Text } else { Format::Markdown };
    let text = match arguments.format.unwrap_or(default) {
        Format::Text => {
            let paint = Paint { colour: terminal.colour };
            let severity = paint.severity(card.severity, card.severity.name());
            let title = paint.strong(&escape(&card.title));
            format!("{severity}[{}]: {title}\n\n{}", card.id, to_terminal(body(&markdown), terminal.width, paint))
        }
        Format::Markdown => markdown,
    };
    output::print(&text)?;
    Ok(Exit::Clean)
}

fn find(arguments: &Arguments, language: Language) -> Result<Card, CliError> {
    let id = arguments.rule.trim();
    if arguments.rules.is_empty() {
        return match CardSet::builtin_card(id, language) {
            Some(card) => card.map_err(|error| CliError::usage(error.to_string())),
            None => Err(CliError::no_such_rule(id, None)),
        };
    }
    let options = RunOptions { rule_dirs: arguments.rules.clone(), language, ..RunOptions::default() };
    let cards = run::cards(&options)?;
    cards.get(id).cloned().ok_or_else(|| CliError::no_such_rule(id, Some(&cards)))
}

/// Without the first line, which is the title.
fn body(markdown: &str) -> &str {
    markdown.split_once('\n').map_or("", |(_, body)| body.trim_start())
}

/// The card for readers: what the machine needs of it (patterns, conditions) is left out.
fn markdown(card: &Card, language: Language) -> String {
    let word = |english: &'static str, chinese: &'static str| match language {
        Language::English => english,
        Language::Chinese => chinese,
    };
    let detect: Vec<&str> = card.detect.iter().map(|detect| detect.name()).collect();
    let mut out = format!("# {}\n\n", card.title);
    out.push_str(&format!("- {}: `{}`\n", word("rule", "规则"), card.id));
    out.push_str(&format!("- {}: {}\n", word("severity", "级别"), card.severity.name()));
    out.push_str(&format!("- {}: {}\n", word("component", "组件"), card.component));
    out.push_str(&format!("- {}: {}\n", word("detected in", "检测方式"), detect.join(", ")));
    if let Some(versions) = &card.versions {
        out.push_str(&format!("- {}: {versions}\n", word("releases", "适用版本")));
    }
    if !card.explains.is_empty() {
        let ids: Vec<&str> = card
            .explains
            .iter()
            .map(|id| id.split(['@', '#']).next().unwrap_or(id))
            .filter(|id| *id != card.id)
            .collect();
        out.push_str(&format!("- {}: {}\n", word("causes", "会引起"), ids.join(", ")));
    }
    out.push_str(&format!("\n{}", card.prose));
    out.push_str(&format!("\n## {}\n\n", word("Commands", "命令")));
    for fix in &card.fix {
        let risk = match fix.risk {
            Risk::Safe => word("safe", "安全"),
            Risk::Risky => word("risky", "有风险"),
            Risk::Manual => word("by hand", "需人工判断"),
        };
        out.push_str(&format!("- {} ({risk})\n", as_code(&shown(&fix.summary))));
        for steps in fix.commands.chunk_by(|one, next| one.0.host == next.0.host) {
            if let Some(on) = steps.first().and_then(|first| first.0.host.as_ref()) {
                out.push_str(&format!("\n  {} {}:\n", word("on", "在以下主机上执行"), as_code(shown(on).trim())));
            }
            push_commands(steps.iter().map(|command| &command.0.run), &mut out);
        }
    }
    if !card.verify.is_empty() {
        out.push_str(&format!("- {}\n", word("to see that it is mended", "确认已修复")));
        push_commands(card.verify.iter(), &mut out);
    }
    out.push_str(&format!("\n## {}\n\n", word("Sources", "资料来源")));
    for source in &card.sources {
        match &source.url {
            Some(url) => out.push_str(&format!("- {}: <{url}>\n", source.title)),
            None => out.push_str(&format!("- {}\n", source.title)),
        }
    }
    out
}

fn push_commands<'a>(commands: impl ExactSizeIterator<Item = &'a String>, out: &mut String) {
    if commands.len() > 0 {
        out.push_str("\n```sh\n");
        for command in commands {
            out.push_str(shown(command).trim_end());
            out.push('\n');
        }
        out.push_str("```\n\n");
    }
}

/// A template with the names of its values, since there is no host here to take them from: `{address}` is `<ADDRESS>`.
fn shown(text: &str) -> String {
    let names = template::names(text).unwrap_or_default();
    let values: BTreeMap<String, String> = names
        .into_iter()
        .map(|name| {
            let value = format!("<{}>", name.to_uppercase());
            (name, value)
        })
        .collect();
    template::fill(text, &values).unwrap_or_else(|| text.to_owned())
}

/// Text with each `<NAME>` in a code span: Markdown takes what stands in angle brackets for HTML, and shows nothing of it.
fn as_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    let mut rest = text;
    while let Some(at) = rest.find(['<', '`']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_name = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let name = rest.strip_prefix('<').and_then(|rest| Some(rest.split_once('>')?.0)).filter(is_name);
        let taken = match name {
            Some(name) if !inside => {
                out.push_str(&format!("`<{name}>`"));
                name.len() + 2
            }
            _ => {
                inside ^= rest.starts_with('`');
                out.push_str(&rest[..1]);
                1
            }
        };
        rest = &rest[taken..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_by_name() {
        for (text, expected) in [
            ("sed -i 's#{old_url}#{new_url}#' {file}", "sed -i 's#<OLD_URL>#<NEW_URL>#' <FILE>"),
            ("grep {address|ADDRESS} x", "grep <ADDRESS> x"),
            ("awk '{{print $1}}'", "awk '{print $1}'"),
            ("broken {", "broken {"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn names_of_values_are_code() {
        for (text, expected) in [
            ("listen on <HOST>'s own <OWN_ADDRESS>", "listen on `<HOST>`'s own `<OWN_ADDRESS>`"),
            ("set `a=<X>` on <HOST>", "set `a=<X>` on `<HOST>`"),
            ("a < b, <> and < X >", "a < b, <> and < X >"),
            ("地址 <ADDRESS>", "地址 `<ADDRESS>`"),
        ] {
            assert_eq!(as_code(text), expected);
        }
    }

    /// What is left of Markdown without its code and links in angle brackets.
    fn without_code(markdown: &str) -> String {
        let mut text = String::new();
        let mut fenced = false;
        for line in markdown.lines() {
            fenced ^= line.starts_with("```");
            if !fenced {
                text.extend(line.split('`').step_by(2));
                text.push('\n');
            }
        }
        text.replace("<http", "")
    }

    #[test]
    fn every_card_can_be_explained() {
        for language in [Language::English, Language::Chinese] {
            for id in CardSet::builtin_ids() {
                let card = CardSet::builtin_card(id, language).expect("its id is listed").expect("it can be read");
                let text = markdown(&card, language);
                assert!(text.starts_with(&format!("# {}\n", card.title)), "{id}");
                assert!(text.contains(card.prose.trim()), "{id}");
                let plain = without_code(&text);
                let tag = plain.split('<').skip(1).find(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
                assert!(tag.is_none(), "{id}: HTML hides <{}", tag.unwrap_or_default());
                for source in &card.sources {
                    assert!(text.contains(&source.title), "{id}");
                }
            }
        }
    }
}
