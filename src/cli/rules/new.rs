//! `k8sdoctor rules new`: the files of a new rule, to be filled in.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The id, which names the fault: etcd-disk-slow
    id: String,
    /// The component, which is the card's folder: etcd, kubelet, host, ...
    #[arg(long)]
    component: String,
    /// The folder that holds rules/ and testdata/
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    for (what, name) in [("id", &arguments.id), ("component", &arguments.component)] {
        let fits = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            return Err(CliError::usage(format!(
                "the {what} `{name}` may hold lower-case letters, digits and `-` only"
            )));
        }
    }
    let folder = arguments.dir.join("rules").join(&arguments.component);
    let fixtures = arguments.dir.join("testdata/rules").join(&arguments.id);
    let mut files = vec![
        (folder.join(format!("{}.md", arguments.id)), card(arguments)),
        (folder.join(format!("{}.zh.md", arguments.id)), translation(arguments)),
    ];
    for (case, host) in [
        ("fail-why", "m1"),
        ("fail-second-of-two", "m1"),
        ("pass-why", "m1"),
        ("na-no-such-component", "w1"),
        ("unknown-why", "m1"),
    ] {
        files.push((fixtures.join(case).join("etc/hostname"), format!("{host}\n")));
    }
    // Nothing that is there already is touched: all or none.
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(CliError::usage(format!("{} is there already; choose another id or remove it", path.display())));
    }
    for (path, text) in &files {
        write(path, text).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
        output::print(&format!("{}\n", path.display()))?;
    }
    Ok(Exit::Clean)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn card(arguments: &Arguments) -> String {
    let Arguments { id, component, .. } = arguments;
    format!(
        r#"---
id: {id}
title: the fault in one line
severity: error
component: {component}
detect: [log]
explains: []
sources:
  - title: where it is documented
    url: https://kubernetes.io/docs/
logs:
  - pattern: 'a message that says it, with (?P<value>\S+)'
    components: [{component}]
    examples:
      - 'a message that says it, with 42'
    counterexamples:
      - 'a message that looks alike, with 42'
messages:
  log: 'the fault on {{host}}, with {{value}}'
fix:
  - risk: safe
    summary: what the commands do
    commands:
      - systemctl restart {component}
verify:
  - k8sdoctor check --only {id}
---
## What it means

## How to fix it

## How to verify it
"#
    )
}

fn translation(arguments: &Arguments) -> String {
    let id = &arguments.id;
    format!(
        "---\nid: {id}\ntitle: 一行说明故障\nmessages:\n  log: '{{host}} 上的故障:{{value}}'\nfix:\n  - 这些命令的作用\n---\n## 含义\n\n## 修复\n\n## 验证\n"
    )
}
