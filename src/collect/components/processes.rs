//! Which running process is which component.

use std::collections::BTreeMap;

use super::{add_environment, new_layer};
use crate::facts::component::{ComponentName, Layer, LayerKind};
use crate::facts::system::Process;
use crate::facts::unit::CommandLine;
use crate::origin::{Origin, Sourced};
use crate::parse::command_line;
use crate::parse::shell_script;

/// How nginx titles its master; the workers' titles say nothing.
const NGINX_MASTER: &str = "nginx: master process ";

/// The component's processes and where their flags begin: first those in the host's own network, then by process id.
/// Those of containers are among them; shells that start one are not.
pub fn of(name: ComponentName, all: &[Process]) -> Vec<(&Process, usize)> {
    let host_network = all.iter().find(|process| process.pid == 1).and_then(|process| process.network_namespace);
    let mut found: Vec<(&Process, usize)> = all
        .iter()
        .filter_map(|process| Some((process, identify(process).filter(|(found, _)| *found == name)?.1)))
        .collect();
    found.sort_by_key(|(process, _)| {
        let elsewhere =
            host_network.is_some() && process.network_namespace.is_some() && process.network_namespace != host_network;
        (elsewhere, process.pid)
    });
    found
}

fn identify(process: &Process) -> Option<(ComponentName, usize)> {
    let first = process.argv.first()?;
    if first.starts_with("nginx: ") {
        return first.starts_with(NGINX_MASTER).then_some((ComponentName::Nginx, 1));
    }
    let program = process.exe.as_deref().map(command_line::base_name).unwrap_or_default();
    if shell_script::is_shell(program) || matches!(program, "sudo" | "su" | "env" | "nohup" | "busybox" | "go-runner") {
        return None;
    }
    let mut words: Vec<&str> = process.argv.iter().map(String::as_str).take(16).collect();
    // A wrapper that waits for its child is not the child.
    if matches!(command_line::base_name(first), "tini" | "dumb-init" | "go-runner") {
        return None;
    }
    command_line::identify(&words).or_else(|| {
        words[0] = process.exe.as_deref()?;
        command_line::identify(&words)
    })
}

pub fn layer(name: ComponentName, process: &Process, from: usize) -> Layer {
    let origin = |argument| Origin::process(process.pid, name.name(), argument);
    let mut words: Vec<Sourced<String>> = match process.argv.first() {
        Some(title) if title.starts_with(NGINX_MASTER) => title[NGINX_MASTER.len()..]
            .split_whitespace()
            .map(|word| Sourced::new(word.to_owned(), origin(Some(0))))
            .collect(),
        _ => {
            let words = process.argv.iter().enumerate();
            words.map(|(index, word)| Sourced::new(word.clone(), origin(Some(index)))).collect()
        }
    };
    command_line::hide_secrets(&mut words);
    let command = CommandLine { words, ..CommandLine::default() };
    let mut layer = new_layer(LayerKind::Process, origin(None), command_line::flags(name, &command, from));
    let environment: BTreeMap<String, Sourced<String>> = process
        .environment
        .iter()
        .map(|(variable, value)| (variable.clone(), Sourced::new(command_line::public(variable, value), origin(None))))
        .collect();
    add_environment(name, &mut layer, &environment);
    layer
}
