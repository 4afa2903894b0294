//! Proof on real clusters: hosts booted by systemd-nspawn become a Kubernetes cluster, are broken one fault at a time,
//! diagnosed live and by bundles, mended by the commands of the finding exactly as they are printed, and have to be silent
//! again.
//!
//!     cargo test --test cluster -- run [--shape SHAPE] [--short] [--cached] [--only FAULT,FAULT...]
//!     cargo test --test cluster -- fault NAME...       the same of one fault
//!     cargo test --test cluster -- silence [--shape SHAPE] [--minutes N]   no false alarm on a healthy one
//!     cargo test --test cluster -- preflight [FAULT...]   before a cluster exists: beside kubeadm's own preflight
//!     cargo test --test cluster -- stress [NAME...]      services that hang, full disks, no root, little memory
//!     cargo test --test cluster -- list | build | down
//!     cargo test --test cluster -- up [--shape SHAPE]  keeps a cluster until it is interrupted; `run`, `fault` and
//!                                                      `silence` of its shape use it
//!     cargo test --test cluster -- in HOST COMMAND...  on a host of the cluster that `up` keeps
//!
//! Needs root. What it builds (from Debian's packages and the Go module proxy, a quarter of an hour on two cores) is kept in
//! $XDG_CACHE_HOME/k8sdoctor/cluster or target/cluster. Without one of these words nothing is done: a plain `cargo test`
//! stays quick. With `--cached`, as CI calls it, nothing is done either where that has not been built or something is lacking,
//! and one line says what.
//!
//! The cluster lives in mount and network namespaces of its own, and every process that it starts dies with the one that
//! keeps it; what remains after a kill (control groups, files in the cache's `run`) `down` or the next run removes.
#![allow(clippy::disallowed_methods, reason = "tests make the hosts that the program looks at")]

mod backup;
mod build;
mod command;
mod dns;
mod doctor;
mod fault;
mod host;
mod life;
mod place;
mod preflight;
mod results;
mod shape;
mod silence;
mod stress;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::command::say;
use crate::fault::Fault;
use crate::place::Place;
use crate::results::Results;
use crate::shape::{Cluster, Shape};

/// Set for the process that keeps the cluster, inside its namespaces.
const INSIDE: &str = "K8SDOCTOR_CLUSTER_INSIDE";

const WORDS: [&str; 10] = ["run", "fault", "silence", "preflight", "stress", "list", "build", "up", "in", "down"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(word) = arguments.first().filter(|word| WORDS.contains(&word.as_str())) else {
        // Called by a plain `cargo test`, perhaps with words for other targets.
        if !arguments.iter().any(|argument| argument == "--list") {
            let needs = build::needs();
            let lacking = if needs.is_empty() { String::new() } else { format!("; lacks {}", needs.join(", ")) };
            println!(
                "skipped: cluster: boots real clusters; asked for with `cargo test --test cluster -- run`{lacking}"
            );
        }
        return ExitCode::SUCCESS;
    };
    match act(word, arguments.get(1..).unwrap_or_default()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("{why:#}"));
            ExitCode::from(2)
        }
    }
}

/// What `run`, `fault` and `up` are asked for.
struct Asked {
    shapes: Vec<Shape>,
    short: bool,
    /// Only where all is built and nothing is lacking.
    cached: bool,
    /// How long a healthy cluster is listened to.
    minutes: u64,
    names: Vec<String>,
}

impl Asked {
    fn of(word: &str, words: &[String]) -> Result<Asked> {
        let mut asked = Asked { shapes: Vec::new(), short: false, cached: false, minutes: 5, names: Vec::new() };
        let mut words = words.iter();
        while let Some(given) = words.next() {
            match given.as_str() {
                "--shape" => {
                    let name = words.next().context("--shape needs a name")?;
                    let shape = Shape::of(name).with_context(|| {
                        let names: Vec<_> = Shape::ALL.iter().map(|shape| shape.name()).collect();
                        format!("no shape {name}; there are {}", names.join(", "))
                    })?;
                    asked.shapes.push(shape);
                }
                "--minutes" => {
                    asked.minutes =
                        words.next().and_then(|word| word.parse().ok()).context("--minutes needs a number")?;
                }
                "--only" => {
                    let names = words.next().context("--only needs names, with commas between")?;
                    asked.names.extend(names.split(',').map(str::to_owned));
                }
                "--short" => asked.short = true,
                "--cached" => asked.cached = true,
                // cargo's own
                "--nocapture" => {}
                option if option.starts_with('-') => bail!("unknown option {option}"),
                name => asked.names.push(name.to_owned()),
            }
        }
        if asked.shapes.is_empty() {
            asked.shapes = if asked.short || ["preflight", "stress"].contains(&word) {
                vec![Shape::Stacked]
            } else {
                Shape::ALL.to_vec()
            };
        }
        Ok(asked)
    }

    fn faults(&self, shape: Shape) -> Result<Vec<Fault>> {
        let wanted = |fault: &Fault| {
            let named = self.names.is_empty() || self.names.contains(&fault.name);
            named && (fault.short || !self.short)
        };
        let mut faults: Vec<Fault> = fault::all(shape)?.into_iter().filter(wanted).collect();
        faults.sort_by_key(|fault| self.names.iter().position(|name| *name == fault.name));
        Ok(faults)
    }
}

fn act(word: &str, words: &[String]) -> Result<bool> {
    let place = Place::find();
    match word {
        "list" => {
            for shape in Shape::ALL {
                for fault in fault::all(shape)? {
                    let short = if fault.short { " (short)" } else { "" };
                    println!(
                        "{}/{}: {} on {}: {}{short}",
                        shape.name(),
                        fault.name,
                        fault.rule,
                        fault.host,
                        fault.summary
                    );
                }
            }
            return Ok(true);
        }
        "down" => return place.sweep().map(|()| true),
        "in" => {
            let cluster = Cluster::running(&place).context("no cluster is up: `up` keeps one")?;
            let (host, command) = words.split_first().context("in HOST COMMAND...")?;
            cluster.install_doctor()?;
            let said = cluster.host(host)?.script(&command.join(" "), Duration::from_secs(600))?;
            print!("{}", said.out);
            eprint!("{}", said.err);
            return Ok(said.success);
        }
        _ => {}
    }
    let mut needs = build::needs();
    let asked = Asked::of(word, words)?;
    if asked.cached {
        needs.extend(asked.shapes.iter().flat_map(|shape| shape.unbuilt(&place)));
        if !needs.is_empty() {
            println!("skipped: cluster {word}: lacks {}", needs.join(", "));
            return Ok(true);
        }
    }
    ensure!(needs.is_empty(), "lacks {}", needs.join(", "));
    if word == "fault" {
        ensure!(!asked.names.is_empty(), "which fault? `list` tells");
    }
    if let ("run" | "fault" | "silence", Some(cluster)) = (word, Cluster::running(&place)) {
        let is_wanted = asked.shapes.contains(&cluster.shape);
        ensure!(is_wanted, "a cluster of the shape {} is up; `down` removes it", cluster.shape.name());
        cluster.install_doctor()?;
        return match word {
            "silence" => listen(&cluster, &asked, Vec::new()),
            _ => through(&cluster, &asked),
        };
    }
    if std::env::var_os(INSIDE).is_some() {
        return keep(&place, word, &asked);
    }
    if let Some(running) = place.running() {
        bail!("a cluster is up already (process {}); `down` removes it", running.keeper);
    }
    for shape in &asked.shapes {
        let built = shape.build(&place)?;
        if word == "preflight" {
            build::cri_dockerd(&built.programs)?;
        }
    }
    if word == "build" {
        return Ok(true);
    }
    place.sweep()?;
    if ["preflight", "stress"].contains(&word) {
        return inside(&place, word, words, Shape::Stacked);
    }
    let mut good = true;
    for shape in &asked.shapes {
        if ["run", "fault"].contains(&word) && asked.faults(*shape)?.is_empty() {
            continue;
        }
        good &= inside(&place, word, words, *shape)?;
    }
    Ok(good)
}

/// Runs this program again in namespaces of its own, and removes what it leaves, however it ends.
fn inside(place: &Place, word: &str, words: &[String], shape: Shape) -> Result<bool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--"]).arg(std::env::current_exe()?);
    command.arg(word).args(words).args(["--shape", shape.name()]).env(INSIDE, shape.name());
    let mut child = command.spawn().context("unshare")?;
    let status = loop {
        if interrupted.load(Ordering::Relaxed) {
            say("interrupted");
            let _ = child.kill();
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    place.sweep()?;
    if interrupted.load(Ordering::Relaxed) && word != "up" {
        bail!("interrupted; nothing is left behind");
    }
    Ok(status.success() || word == "up")
}

/// The process that keeps the cluster.
fn keep(place: &Place, word: &str, asked: &Asked) -> Result<bool> {
    let shape = *asked.shapes.last().context("no shape")?;
    let built = shape.build(place)?;
    if word == "preflight" {
        return preflight::run(place, &built, &asked.names);
    }
    if word == "stress" {
        return stress::run(place, &built, &asked.names);
    }
    let mut watch = None;
    let cluster = Cluster::up(shape, &built, place, |cluster| {
        watch = (word == "silence").then(|| silence::Watch::start(cluster));
    })?;
    if word == "silence" {
        let boot = watch.map(|watch| watch.end(&cluster, "from the boot until every node is ready", silence::JOINING));
        let good = listen(&cluster, asked, boot.into_iter().collect());
        cluster.power_off();
        return good;
    }
    if word == "up" {
        say("the cluster is kept until this is interrupted, or `down`");
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    let good = through(&cluster, asked);
    cluster.power_off();
    good
}

/// A healthy cluster is listened to.
fn listen(cluster: &Cluster, asked: &Asked, mut stages: Vec<results::Stage>) -> Result<bool> {
    stages.extend(silence::stages(cluster, Duration::from_secs(asked.minutes * 60))?);
    let good = stages.iter().all(|stage| stage.heard.is_empty());
    let mut results = Results::load();
    results.merge_silence(cluster.shape, stages);
    results.write()?;
    Ok(good)
}

/// Every fault that is asked for, one after another.
fn through(cluster: &Cluster, asked: &Asked) -> Result<bool> {
    let faults = asked.faults(cluster.shape)?;
    ensure!(!faults.is_empty(), "no such fault in the shape {}", cluster.shape.name());
    let mut rows = Vec::new();
    let mut worse = Vec::new();
    for fault in &faults {
        let (row, lost) = match life::live_through(cluster, fault) {
            (row, Ok(())) => (row, None),
            (row, Err(why)) => (row, Some(why.context(fault.name.clone()))),
        };
        // At once: what was found out is kept when the next one takes the cluster with it.
        let mut results = Results::load();
        worse.extend(results.merge(std::slice::from_ref(&row)));
        results.write()?;
        rows.push(row);
        if let Some(lost) = lost {
            return Err(lost);
        }
    }
    worse.iter().for_each(|line| say(line));
    let good = rows.iter().filter(|row| row.is_good()).count();
    say(&format!("{good} of {} faults: found first, nothing else, mended, silent again", rows.len()));
    Ok(good == rows.len())
}
