//! `k8sdoctor collect`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::error::CliError;
use super::exit::Exit;
use super::progress::Progress;
use super::{output, value};
use crate::bundle::manifest::LeftOut;
use crate::bundle::pseudonym::Wanted;
use crate::bundle::record::{self, CollectOptions, Listed, Summary};
use crate::bundle::redact::Policy;
use crate::engine::{CardSet, Language};
use crate::render::text::escape;
use crate::source::SourceRef;

/// Lines of what is missing that are printed.
const LINES: usize = 20;

#[derive(Debug, Args)]
pub struct Arguments {
    /// A host's extracted tree or an archive of one; this host when not given
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    /// The file to write, replaced only when the new one is whole; k8sdoctor-HOST-TIME.tar.zst when not given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say what would be taken, and take nothing
    #[arg(long)]
    list: bool,
    /// The bundle's size at most, such as 20M: the oldest logs are left out
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    max_size: Option<u64>,
    /// How long it may take; what was taken until then is kept, and says that it is not whole
    #[arg(long, value_name = "SECONDS", value_parser = value::duration, default_value = "10m")]
    timeout: Duration,
    /// How far back logs are taken: 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    since: Option<Duration>,
    /// How long to wait for answers of sockets
    #[arg(long, value_name = "SECONDS", value_parser = value::duration, default_value = "5s")]
    probe_timeout: Duration,
    /// Ask nothing over sockets
    #[arg(long)]
    no_probe: bool,
    /// Keep passwords and tokens; private keys are left out all the same
    #[arg(long)]
    no_redact: bool,
    #[command(flatten)]
    pseudonyms: Pseudonyms,
}

/// What is replaced beside secrets.
#[derive(Debug, Args)]
pub struct Pseudonyms {
    /// Replace addresses, or names of hosts and domains, by others that fit together as they do; may be repeated or separated by commas
    #[arg(long = "redact", value_enum, value_name = "WHAT", value_delimiter = ',')]
    what: Vec<Replaced>,
    /// Any words, the same on each host of a cluster, so that their bundles fit together; keep them to yourself
    #[arg(long, value_name = "WORDS", requires = "what")]
    redact_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Replaced {
    Addresses,
    Hostnames,
}

impl Pseudonyms {
    pub fn wanted(&self) -> Wanted {
        Wanted {
            addresses: self.what.contains(&Replaced::Addresses),
            hostnames: self.what.contains(&Replaced::Hostnames),
            key: self.redact_key.clone(),
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let mut hosts = open(arguments)?;
    let (Some(source), true) = (hosts.pop(), hosts.is_empty()) else {
        return Err(CliError::usage("the source holds several hosts; give one of them"));
    };
    let options = CollectOptions {
        since: arguments.since,
        timeout: arguments.timeout,
        max_size: arguments.max_size,
        probe_deadline: (!arguments.no_probe).then_some(arguments.probe_timeout),
        redact: Policy { secrets: !arguments.no_redact },
        pseudonyms: arguments.pseudonyms.wanted(),
        rules: CardSet::builtin(Language::English).map_or(0, |cards| cards.len()),
    };
    let name = crate::collect::host::name_of(&source);
    if arguments.list {
        let listed = record::list(source, &options).map_err(|error| CliError::usage(error.to_string()))?;
        output::print(&listing(&name, &listed, &options))?;
        return Ok(Exit::Clean);
    }
    // A bundle that does not tell the host's name is not called by it.
    let named = if options.pseudonyms.hostnames { "host" } else { &name };
    let path = arguments.output.clone().unwrap_or_else(|| default_path(named));
    let progress = Progress::start(format!("collecting {name}"));
    let done = record::to_file(source, &path, &options);
    drop(progress);
    let summary = done.map_err(|error| CliError::usage(error.to_string()))?;
    output::print(&told(&path.display().to_string(), &summary))?;
    Ok(if summary.incomplete.is_some() { Exit::Incomplete } else { Exit::Clean })
}

/// The hosts of the source, which is not waited for longer than for all.
fn open(arguments: &Arguments) -> Result<Vec<SourceRef>, CliError> {
    let (tell, told) = std::sync::mpsc::channel();
    let named = arguments.source.clone();
    std::thread::spawn(move || {
        let _ = tell.send(crate::source::open_all(named.as_deref()));
    });
    let incomplete = |message: String| CliError { message, exit: Exit::Incomplete };
    match told.recv_timeout(arguments.timeout) {
        Ok(opened) => opened.map_err(|error| incomplete(error.to_string())),
        Err(_) => {
            let source = arguments.source.as_deref().unwrap_or("this host");
            let seconds = arguments.timeout.as_secs_f64();
            Err(incomplete(format!("{source}: no answer within {seconds:.1} s: its disk hangs")))
        }
    }
}

fn default_path(host: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let host: String = host.chars().map(plain).take(100).collect();
    let time = crate::collect::now().strftime("%Y%m%dT%H%M%SZ");
    PathBuf::from(format!("k8sdoctor-{host}-{time}.tar.zst"))
}

fn told(path: &str, summary: &Summary) -> String {
    let mut out = format!(
        "{}: {} files of {}, {} bytes ({} unpacked), {} secrets replaced\n",
        escape(path),
        summary.files,
        escape(&summary.host),
        summary.written,
        summary.bytes,
        summary.redactions
    );
    if let Some(why) = &summary.incomplete {
        out.push_str(&format!("not whole: {}\n", escape(why)));
    }
    missing("left out", &summary.left_out, &mut out);
    missing("could not be read", &summary.refused, &mut out);
    out
}

fn missing(what: &str, list: &[LeftOut], out: &mut String) {
    if list.is_empty() {
        return;
    }
    out.push_str(&format!("{what}:\n"));
    for LeftOut { path, why } in list.iter().take(LINES) {
        out.push_str(&format!("  {}: {}\n", escape(path), escape(why)));
    }
    if list.len() > LINES {
        out.push_str(&format!("  and {} more\n", list.len() - LINES));
    }
}

fn listing(host: &str, listed: &Listed, options: &CollectOptions) -> String {
    let mut out = format!("of {} would be taken:\n", escape(host));
    for (path, size) in &listed.files {
        out.push_str(&format!("  {size:>12}  {}\n", escape(path)));
    }
    out.push_str(&format!("{} files and streams", listed.files.len()));
    out.push_str(if options.probe_deadline.is_some() {
        ", and the answers of etcd, the apiserver, the container runtime and the endpoints that are dialled,\n\
         of the kernel (free space, clock), and of `nft list ruleset` or iptables-save, which are run where it has rules\n"
    } else {
        "\n"
    });
    missing("left out", &listed.left_out, &mut out);
    missing("could not be read", &listed.refused, &mut out);
    out
}
