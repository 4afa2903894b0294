//! Before a cluster exists: a bare host on which something is wrong, `kubeadm ... phase preflight` and
//! `k8sdoctor check --phase preflight CONFIGURATION` side by side, the fix as it is printed, and both quiet again.
//!
//! `m1` is a cluster of one master that the bare host `p1` can join.

mod fault;
mod kubeadm;
mod lab;
mod table;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::fault::{Fault, Mend};
use self::kubeadm::Verdict;
pub use self::lab::Lab;
use self::table::Row;
use crate::build::Built;
use crate::command::say;
use crate::doctor::{Finding, Report};
use crate::life;
use crate::place::Place;

/// What the check has to end within, on a busy machine and in a debug build.
const FIX: Duration = Duration::from_secs(120);

/// Every fault that is named, or all; writes the table when it was all.
pub fn run(place: &Place, built: &Built, names: &[String]) -> Result<bool> {
    let faults: Vec<Fault> =
        fault::all()?.into_iter().filter(|fault| names.is_empty() || names.contains(&fault.name)).collect();
    ensure!(!faults.is_empty(), "no such fault: {}", names.join(" "));
    let lab = Lab::up(place, built)?;
    lab.wait()?;
    let mut healthy = Vec::new();
    for configuration in lab::CONFIGURATIONS {
        if faults.iter().any(|fault| fault.configuration == *configuration) {
            healthy.push(self::healthy(&lab, configuration)?);
        }
    }
    let mut rows = Vec::new();
    for fault in &faults {
        let row = match live_through(&lab, fault).with_context(|| fault.name.clone()) {
            Ok(row) => row,
            Err(why) => {
                lab.power_off();
                return Err(why);
            }
        };
        say(&row.line());
        rows.push(row);
    }
    lab.power_off();
    if names.is_empty() {
        table::write(&healthy, &rows)?;
    }
    let good = rows.iter().filter(|row| row.is_good()).count();
    say(&format!("{good} of {} faults", rows.len()));
    Ok(good == rows.len() && healthy.iter().all(Row::is_good))
}

/// The bare host with nothing wrong.
fn healthy(lab: &Lab, configuration: &str) -> Result<Row> {
    let mut row = Row::new(&format!("healthy-{configuration}"), "nothing is wrong", configuration);
    let (kubeadm, report) = both(lab, configuration)?;
    for finding in lab.roots(&report) {
        row.problem(format!("heard on a healthy host: {}", finding.line()));
    }
    for said in kubeadm.beyond(lab::ALWAYS) {
        row.problem(format!("kubeadm on a healthy host: {said}"));
    }
    row.seconds_of_check = report.seconds;
    say(&row.line());
    Ok(row)
}

fn both(lab: &Lab, configuration: &str) -> Result<(Verdict, Report)> {
    Ok((lab.kubeadm(configuration)?, lab.doctor(configuration)?))
}

/// Breaks, asks both, mends, and leaves the host as it was; an error when it could not be made so again.
fn live_through(lab: &Lab, fault: &Fault) -> Result<Row> {
    say(&format!("{}: {}", fault.name, fault.summary));
    let mut row = Row::new(&fault.name, &fault.summary, &fault.configuration);
    row.rule.clone_from(&fault.rule);
    row.why_not.clone_from(&fault.why_not);
    lab.keep()?;
    let start = Instant::now();
    let done = judge(lab, fault, &mut row);
    if let Err(why) = done {
        row.problem(format!("{why:#}"));
    }
    lab.put_back()?;
    if let Some(undo) = &fault.undo {
        lab.bare.script(undo, FIX)?;
    }
    if !row.is_good() || fault.mend.is_none() {
        // What the fix did not mend must not be taken for the next fault.
        quiet(lab, fault).context("the host is not as it was before")?;
    }
    row.seconds = start.elapsed().as_secs();
    Ok(row)
}

fn judge(lab: &Lab, fault: &Fault, row: &mut Row) -> Result<()> {
    lab.bare.ok_within(&fault.broken_by, FIX).context("it could not be broken")?;
    let (kubeadm, report) = both(lab, &fault.configuration)?;
    row.kubeadm = kubeadm.beyond(lab::ALWAYS);
    row.refusal.clone_from(&kubeadm.failure);
    row.seconds_of_check = report.seconds;
    if row.kubeadm != fault.kubeadm {
        row.problem(format!("kubeadm was to say {:?}", fault.kubeadm));
    }
    // What is right beside the fault may come before it.
    let is_beside =
        |finding: &&Finding| fault.also.contains_key(&finding.rule) && Some(&finding.rule) != fault.rule.as_ref();
    let roots: Vec<&Finding> = lab.roots(&report).filter(|finding| !is_beside(finding)).collect();
    let mut fix = None;
    match roots.split_first() {
        Some((first, others)) if Some(&first.rule) == fault.rule.as_ref() => {
            row.said = Some(first.line());
            let fix_commands = first.fix.as_ref().map_or(String::new(), |fix| fix.commands.join(" "));
            let evidence: String = first.evidence.iter().map(ToString::to_string).collect();
            let all = format!("{} {fix_commands} {evidence}", first.title);
            for value in fault.values.iter().filter(|value| !all.contains(*value)) {
                row.problem(format!("{value} is not named"));
            }
            fix = first.fix.clone();
            // kubeadm's own attempt leaves its messages in the runtime's log.
            for other in others.iter().filter(|other| other.rule != first.rule) {
                row.problem(format!("beside it {}", other.line()));
            }
        }
        Some((first, _)) => row.problem(format!("first is {}", first.line())),
        None if fault.rule.is_some() => row.problem("nothing was found".to_owned()),
        None => {}
    }
    let mut failed = Vec::new();
    for after in [&fault.mend, &fault.then].into_iter().flatten() {
        match after {
            Mend::Printed(_) => {
                let fix = fix.take().context("it has no fix")?;
                row.fix.clone_from(&fix.commands);
                ensure!(!fix.commands.is_empty(), "its fix has no commands");
                for command in &fix.commands {
                    ensure!(life::placeholder(command).is_none(), "the command has to be filled in: {command}");
                    // Some of them only look: what counts is that both are quiet afterwards.
                    let done = lab.bare.run(&["bash", "-c", command], FIX)?;
                    if !done.success {
                        failed.push(format!("`{command}` exits with {:?}: {}", done.code, done.tail()));
                    }
                }
                for unit in &fix.restarts {
                    lab.bare.script(&format!("systemctl restart '{unit}'"), FIX)?;
                }
            }
            Mend::Script { why, script } => {
                row.by_hand = Some(why.clone());
                lab.bare.ok_within(script, FIX)?;
            }
        }
    }
    if fault.mend.is_some() {
        quiet(lab, fault).with_context(|| failed.join("; "))?;
        row.mended = true;
    }
    Ok(())
}

/// Both have nothing to say any more; services may need a few seconds.
fn quiet(lab: &Lab, fault: &Fault) -> Result<()> {
    crate::command::eventually("both are quiet", Duration::from_secs(20), || {
        let (kubeadm, report) = both(lab, &fault.configuration)?;
        let mut left = kubeadm.beyond(lab::ALWAYS);
        left.retain(|said| !fault.kubeadm_after.contains(said));
        left.extend(kubeadm.failure);
        left.extend(lab.roots(&report).map(Finding::line));
        ensure!(left.is_empty(), "still said: {}", left.join("; "));
        Ok(())
    })
}
