//! One fault's life: broken, found, mended by what was printed, and silent again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::backup::Backup;
use crate::command::{eventually, say};
use crate::doctor::{self, Finding, Fix, Report, Since};
use crate::fault::{Fault, Mend};
use crate::host::Host;
use crate::results::Row;
use crate::shape::{Cluster, Shape, binaries};

/// How long nodes and pods may take to come back.
const HEALTHY: Duration = Duration::from_secs(300);

/// How long the check may still speak of what was.
const SILENT: Duration = Duration::from_secs(120);

/// Breaks, judges, mends, and leaves the cluster healthy; an error when it could not be made healthy again.
pub fn live_through(cluster: &Cluster, fault: &Fault) -> (Row, Result<()>) {
    let start = Instant::now();
    let mut row = Row::new(cluster.shape, fault);
    let lived = live(cluster, fault, &mut row);
    row.seconds = start.elapsed().as_secs();
    if let Err(why) = &lived {
        row.problem(format!("{why:#}"));
    }
    say(&row.line());
    (row, lived)
}

fn live(cluster: &Cluster, fault: &Fault, row: &mut Row) -> Result<()> {
    say(&format!("{}: {} ({} on {})", fault.name, fault.summary, fault.rule, fault.host));
    let host = cluster.host(&fault.host)?;
    let backup = Backup::take(cluster)?;
    if cluster.shape == Shape::Binaries {
        binaries::end_spinning_flannel(cluster)?;
    }
    let since = Since::now();
    let judged = host
        .ok_within(&fault.broken_by, Duration::from_secs(300))
        .context("it could not be broken")
        .and_then(|_| judge(cluster, fault, host, since, row));
    let mended = judged.and_then(|fixes| mend(cluster, fault, host, &fixes, since, row));
    if let Some(undo) = &fault.undo {
        let undone = host.script(undo, Duration::from_secs(120))?;
        if !undone.success {
            row.problem(format!("undo: {}", undone.tail()));
        }
    }
    if let Err(why) = mended {
        row.problem(format!("{why:#}"));
        say(&format!("{}: put back by hand: {why:#}", fault.name));
        for host in &cluster.hosts {
            backup.restore(host, host.name == fault.host && row.healthy_after.is_none())?;
        }
        cluster.wait_ready(HEALTHY).context("the cluster is not healthy after its files were put back")?;
        if let Err(why) = silent(cluster, since, SILENT / 2, &mut Row::new(cluster.shape, fault)) {
            row.problem(format!("files put back, and still: {why:#}"));
        }
    }
    Ok(())
}

/// Waits until the fault is found, then has it judged on every host and by all bundles together; gives its fixes.
fn judge(cluster: &Cluster, fault: &Fault, host: &Host, since: Since, row: &mut Row) -> Result<Vec<Fix>> {
    let broken = Instant::now();
    eventually("the first finding", Duration::from_secs(fault.limit), || {
        let report = doctor::live(host, since)?;
        let first = report.roots(cluster).next().context("nothing was found")?;
        ensure!(first.rule == fault.rule, "first is {}", first.line());
        Ok(())
    })?;
    row.found_after = Some(broken.elapsed().as_secs());
    // The symptoms come later, and must not take its place.
    std::thread::sleep(Duration::from_secs(fault.settle).saturating_sub(broken.elapsed()));

    let mut fixes = Vec::new();
    for (name, report) in doctor::live_on_all(&cluster.hosts, since) {
        let report = report?;
        if name == host.name {
            row.seconds_of_check = Some(report.seconds);
            match first(cluster, fault, &report) {
                Ok(_) => {
                    row.first_live = true;
                    // One fault may be two findings of one rule: both timeouts of a load balancer.
                    let same = report.roots(cluster).filter(|finding| finding.rule == fault.rule);
                    fixes = same.filter_map(|finding| finding.fix.clone()).collect();
                }
                Err(why) => row.problem(format!("live on {name}: {why:#}")),
            }
            others(cluster, fault, &report, row, &format!("live on {name}"));
        } else {
            for root in report.roots(cluster) {
                let allowed = root.rule == fault.rule
                    || fault.elsewhere.contains_key(&root.rule)
                    || fault.also.contains_key(&root.rule);
                if !allowed {
                    root.explain(&name, &report.at);
                    row.unexpected(format!("live on {name}: {}", root.line()));
                }
            }
        }
    }
    let report = doctor::by_bundles(cluster, since)?;
    match first(cluster, fault, &report) {
        Ok(finding) => {
            row.first_in_bundles = true;
            let beneath = report.consequences(finding);
            for rule in fault.consequences.iter().filter(|rule| !beneath.contains(*rule)) {
                row.problem(format!("bundles: {rule} is not beneath it, but {beneath:?}"));
            }
        }
        Err(why) => row.problem(format!("bundles: {why:#}")),
    }
    others(cluster, fault, &report, row, "bundles");
    ensure!(row.first_live, "not first on {}", host.name);
    Ok(fixes)
}

/// The first root, when it is the fault on the right host.
fn first<'a>(cluster: &'a Cluster, fault: &Fault, report: &'a Report) -> Result<&'a Finding> {
    let first = report.roots(cluster).next().context("nothing was found")?;
    ensure!(first.rule == fault.rule, "first is {}", first.line());
    let on = first.hosts.first().map(String::as_str).unwrap_or_default();
    let right = on == fault.host || fault.named.iter().any(|name| name == on);
    ensure!(right, "it is said of {on}: {}", first.line());
    Ok(first)
}

/// Notes the roots beside the fault that nobody expects.
fn others(cluster: &Cluster, fault: &Fault, report: &Report, row: &mut Row, place: &str) {
    for root in report.roots(cluster) {
        if root.rule != fault.rule && !fault.also.contains_key(&root.rule) {
            root.explain(place, &report.at);
            row.unexpected(format!("{place}: {}", root.line()));
        }
    }
}

/// Runs the fix as it was printed, and waits until the cluster is healthy and the check silent.
fn mend(cluster: &Cluster, fault: &Fault, host: &Host, fixes: &[Fix], since: Since, row: &mut Row) -> Result<()> {
    let start = Instant::now();
    let mut failed = Vec::new();
    match &fault.mend {
        Mend::Printed(_) => {
            ensure!(!fixes.is_empty(), "no fix was printed");
            for fix in fixes {
                apply(host, fix, row, &mut failed)?;
            }
        }
        Mend::Script { why, script } => {
            row.by_hand = Some(why.clone());
            host.ok_within(script, Duration::from_secs(300)).context("the mending script")?;
        }
    }
    if let Err(why) = cluster.wait_ready(HEALTHY) {
        failed.into_iter().for_each(|text| row.problem(text));
        return Err(why.context("after the fix"));
    }
    row.healthy_after = Some(start.elapsed().as_secs());
    silent(cluster, since, SILENT, row)?;
    row.silent_after = Some(start.elapsed().as_secs());
    row.mended = true;
    Ok(())
}

/// Runs the commands exactly as they are printed, and restarts what the fix says is to be restarted.
fn apply(host: &Host, fix: &Fix, row: &mut Row, failed: &mut Vec<String>) -> Result<()> {
    row.fix.extend(fix.commands.clone());
    ensure!(!fix.commands.is_empty(), "the fix has no commands: {}", fix.summary);
    for command in &fix.commands {
        if let Some(placeholder) = placeholder(command) {
            bail!("the command has to be filled in ({placeholder}): {command}");
        }
        say(&format!("  {} # {command}", host.name));
        let done = host.script(command, Duration::from_secs(180))?;
        if !done.success {
            // `systemctl status` of what is down does so; whether the whole mends is what counts.
            failed.push(format!("`{command}` exits with {:?}: {}", done.code, done.tail()));
        }
    }
    for unit in &fix.restarts {
        host.script(&restart(unit), Duration::from_secs(120))?;
    }
    Ok(())
}

/// What "then restart NAME" means: a unit, or a static pod.
fn restart(name: &str) -> String {
    format!(
        "if systemctl cat '{name}' >/dev/null 2>&1; then systemctl daemon-reload; systemctl restart '{name}'; else
         crictl ps -q --name '{name}' | xargs -r crictl stop -t 5; fi"
    )
}

/// `<ADDRESS>`: what the reader has to know better.
pub fn placeholder(command: &str) -> Option<&str> {
    let start = command.match_indices('<').map(|(at, _)| at);
    let words = start.filter_map(|at| {
        let rest = command.get(at + 1..)?;
        let end = rest.find('>')?;
        let name = rest.get(..end)?;
        let is_name = name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || "-_".contains(c));
        is_name.then_some(name)
    });
    words.into_iter().next()
}

/// Waits until no host and no bundle says anything; tells what was said for how long.
fn silent(cluster: &Cluster, since: Since, limit: Duration, row: &mut Row) -> Result<()> {
    let start = Instant::now();
    let mut heard: BTreeMap<String, u64> = BTreeMap::new();
    // What was said the last time, with its evidence.
    let mut last = Vec::new();
    let quiet = eventually("silence", limit, || {
        let mut lines = Vec::new();
        last.clear();
        for (name, report) in doctor::live_on_all(&cluster.hosts, since) {
            let report = report?;
            lines.extend(report.roots(cluster).map(|root| format!("live on {name}: {}", root.line())));
            last.extend(report.roots(cluster).map(|root| (name.clone(), report.at.clone(), root.clone())));
        }
        heard.extend(lines.iter().map(|line| (line.clone(), start.elapsed().as_secs())));
        ensure!(lines.is_empty(), "{}", lines.join("; "));
        Ok(())
    });
    heard.iter().for_each(|(line, seconds)| say(&format!("  for {seconds} s {line}")));
    if quiet.is_err() {
        last.iter().for_each(|(name, at, root)| root.explain(name, at));
    }
    quiet?;
    let lines: Vec<String> = doctor::by_bundles(cluster, since)?.roots(cluster).map(Finding::line).collect();
    if !lines.is_empty() {
        row.unexpected(format!("bundles after the fix: {}", lines.join("; ")));
    }
    Ok(())
}
