//! The groups of all logs together: one hit for each pattern, program and captured values. What is rare or does not last is
//! left out here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::aggregate::{
    Captures, Group, LINES, LogFold, Program, ProgramLog, RawLine, SAME_START, Series, pause, seconds,
};
use super::pattern::LogPattern;
use super::program;
use super::time::Stamp;
use crate::facts::log::LogHit;

/// Something that was last seen within so many seconds of the log's end goes on; half of it, where it came often.
const ONGOING: i64 = 60;
/// From so many matches on, the pauses between them say what is usual.
const OFTEN: u64 = 5;

/// One log's part of a hit.
struct Part<'a> {
    log: usize,
    group: &'a Group,
}

/// A log that was folded, and of whose lines it may be a copy: syslog and the journal have the same lines.
pub(crate) struct Folded {
    pub path: String,
    pub fold: LogFold,
    pub copy_of: Option<String>,
}

/// Hits out of all logs' groups, sorted. Of an excerpt, what is too short to be sure of as well.
pub(crate) fn hits(
    patterns: &[LogPattern],
    components: &[Vec<String>],
    logs: &mut [Folded],
    is_excerpt: bool,
) -> Vec<LogHit> {
    let mut excused: HashSet<(u32, Program, Captures)> = HashSet::new();
    if is_excerpt {
        for folded in logs.iter_mut() {
            for (key, group) in &mut folded.fold.groups {
                let Some(pattern) = patterns.get(key.0 as usize) else { continue };
                if group.series.is_empty() && group.excused.is_some() {
                    excused.insert(key.clone());
                }
                group.settle_excused(false, pause(pattern));
            }
        }
    }
    let logs = &*logs;
    let programs = programs(logs);
    let mut parts: BTreeMap<(u32, &Program, &Captures), Vec<Part<'_>>> = BTreeMap::new();
    for (log, folded) in logs.iter().enumerate() {
        for ((index, program, captures), group) in &folded.fold.groups {
            if !group.series.is_empty() {
                parts.entry((*index, program, captures)).or_default().push(Part { log, group });
            }
        }
    }
    let mut counts: HashMap<(u32, &Program), u64> = HashMap::new();
    let mut hits = Vec::new();
    for ((index, program, captures), parts) in &parts {
        let Some(pattern) = patterns.get(*index as usize) else { continue };
        let (count, best) = count(parts, logs);
        *counts.entry((*index, program)).or_default() += count;
        let series = joined(parts, pause(pattern));
        let persists = pattern.persist_seconds.is_none_or(|persist| {
            series.iter().any(|series| series.lasts().is_some_and(|lasts| lasts >= seconds(persist)))
        });
        if !persists && !is_excerpt {
            continue;
        }
        let brief = !persists || excused.contains(&(*index, (*program).clone(), (*captures).clone()));
        let first = series.iter().filter_map(|series| series.first).min();
        let last = series.iter().filter_map(|series| series.last).max();
        let log = match program {
            Some(_) => programs.get(*program).cloned(),
            None => own_log(parts, logs, &programs),
        };
        let ended = parts.iter().filter_map(|part| part.group.ended).max();
        let restarts = match (&log, first, last) {
            (Some(log), Some(first), Some(last)) => {
                log.starts.iter().filter(|start| first < **start && **start <= last).count() as u64
            }
            _ => 0,
        };
        let restarted = match (first, last) {
            (Some(first), Some(last)) => restarted(&programs, first, last),
            _ => BTreeMap::new(),
        };
        let mut lines: Vec<(Option<Stamp>, &str, &RawLine)> = Vec::new();
        let of_best = parts.iter().filter(|part| part.log == best);
        let of_others = parts.iter().filter(|part| part.log != best && logs[part.log].copy_of.is_none());
        for part in of_best.chain(of_others) {
            let path = logs[part.log].path.as_str();
            lines.extend(part.group.lines.iter().map(|(time, line)| (*time, path, line)));
        }
        lines.sort_by_key(|(time, _, _)| *time);
        let skip = lines.len().saturating_sub(LINES);
        let lines = lines.iter().enumerate().filter(|(at, _)| *at == 0 || *at > skip);
        hits.push((
            (*index, *program),
            LogHit {
                rule: pattern.rule.clone(),
                pattern: pattern.index,
                component: program.as_deref().map(str::to_owned),
                captures: (***captures).clone(),
                count,
                first: first.and_then(Stamp::rfc3339),
                last: last.and_then(Stamp::rfc3339),
                ongoing: ongoing(ended, last, log.as_ref(), usual_pause(&series), pattern.repeats_seconds.map(seconds)),
                pause: usual_pause(&series),
                restarts,
                restarted,
                seconds: parts.iter().flat_map(|part| part.group.seconds.iter().copied()).collect::<BTreeSet<_>>(),
                lines: lines.map(|(_, (_, path, line))| line.shown(path)).collect(),
                brief,
            },
        ));
    }
    hits.retain_mut(|((index, program), hit): &mut ((u32, &Program), LogHit)| {
        let least = patterns.get(*index as usize).and_then(|pattern| pattern.min_count).unwrap_or(0);
        let is_rare = counts.get(&(*index, *program)).copied().unwrap_or(0) < least;
        hit.brief |= is_rare;
        is_excerpt || !is_rare
    });
    let mut hits: Vec<(bool, LogHit)> = hits
        .into_iter()
        .filter_map(|((index, program), hit)| {
            let wanted = components.get(index as usize)?;
            let of = program.as_deref();
            Some((of.is_some_and(|of| wanted.iter().any(|name| *name == *of)), hit))
        })
        .collect();
    drop_foreign(patterns, &mut hits);
    let mut hits: Vec<LogHit> = hits.into_iter().map(|(_, hit)| hit).collect();
    hits.sort_by(|a, b| {
        (&a.rule, a.pattern, &a.component, &a.captures).cmp(&(&b.rule, b.pattern, &b.component, &b.captures))
    });
    hits
}

/// A line that does not name its program matches patterns for any. When the file's name tells whose it is, and a pattern
/// for that program or for any matches it too, those for others only are wrong. `hits` says of each whether it is for its program.
fn drop_foreign(patterns: &[LogPattern], hits: &mut Vec<(bool, LogHit)>) {
    let place = |hit: &LogHit| hit.lines.first().map(|line| (line.path.clone(), line.line));
    let for_any: HashSet<(&str, usize)> = patterns
        .iter()
        .filter(|pattern| pattern.components.is_empty())
        .map(|pattern| (pattern.rule.as_str(), pattern.index))
        .collect();
    let is_foreign = |(is_own, hit): &(bool, LogHit)| {
        !is_own && hit.component.is_some() && !for_any.contains(&(hit.rule.as_str(), hit.pattern))
    };
    let native: HashSet<(String, u64)> =
        hits.iter().filter(|hit| !is_foreign(hit)).filter_map(|(_, hit)| place(hit)).collect();
    hits.retain(|hit| !is_foreign(hit) || place(&hit.1).is_none_or(|place| !native.contains(&place)));
}

/// How often it occurred, lines that two logs both have counted once, and the log with most of them.
fn count(parts: &[Part<'_>], logs: &[Folded]) -> (u64, usize) {
    let mut own = 0;
    let mut copies: BTreeMap<&str, u64> = BTreeMap::new();
    let mut best = (0, 0);
    for part in parts {
        let count = part.group.series.iter().map(|series| series.count).sum();
        match &logs[part.log].copy_of {
            Some(name) => *copies.entry(name).or_default() += count,
            None => own += count,
        }
        if count > best.0 {
            best = (count, part.log);
        }
    }
    (own + copies.values().max().copied().unwrap_or(0), best.1)
}

fn joined(parts: &[Part<'_>], pause: u64) -> Vec<Series> {
    let mut all: Vec<Series> = parts.iter().flat_map(|part| part.group.series.iter().copied()).collect();
    // Times since boot can't be compared with others.
    if all.iter().any(|series| series.first.is_some_and(|time| time.absolute)) {
        all.retain(|series| series.first.is_none_or(|time| time.absolute));
    }
    all.sort_by_key(|series| series.first);
    let mut joined: Vec<Series> = Vec::new();
    for series in all {
        if !joined.last_mut().is_some_and(|known| known.join(&series, pause)) {
            joined.push(series);
        }
    }
    joined
}

fn programs(logs: &[Folded]) -> HashMap<Program, ProgramLog> {
    let mut programs: HashMap<Program, ProgramLog> = HashMap::new();
    for folded in logs {
        for (program, log) in &folded.fold.programs {
            let all = programs.entry(program.clone()).or_default();
            all.first = all.first.into_iter().chain(log.first).min();
            all.last = all.last.max(log.last);
            all.starts.extend(&log.starts);
        }
    }
    for log in programs.values_mut() {
        log.starts.sort_unstable();
        log.starts.dedup_by(|later, earlier| later.seconds_since(*earlier) < SAME_START);
    }
    programs
}

/// What of a node's own programs started after `first` until `last`.
fn restarted(programs: &HashMap<Program, ProgramLog>, first: Stamp, last: Stamp) -> BTreeMap<String, u64> {
    programs
        .iter()
        .filter_map(|(program, log)| Some((program.as_deref().filter(|name| program::is_of_node(name))?, log)))
        .filter_map(|(program, log)| {
            let meanwhile = |start: &&Stamp| start.absolute == first.absolute && first < **start && **start <= last;
            let count = log.starts.iter().filter(meanwhile).count() as u64;
            (count > 0).then(|| (program.to_owned(), count))
        })
        .collect()
}

/// The log itself, for lines that do not say who wrote them; its programs may have gone on in another file, as a container
/// that was started again does.
fn own_log(parts: &[Part<'_>], logs: &[Folded], programs: &HashMap<Program, ProgramLog>) -> Option<ProgramLog> {
    let mut own = ProgramLog::default();
    for part in parts {
        let fold = &logs.get(part.log)?.fold;
        let named = fold.programs.keys().filter(|program| program.is_some());
        own.last = own.last.max(named.filter_map(|program| programs.get(program)?.last).max());
        own.first = own.first.into_iter().chain(fold.programs.values().filter_map(|log| log.first)).min();
        own.last = own.last.max(fold.last);
    }
    Some(own)
}

/// The longest pause of the last series, when that is long enough to tell.
fn usual_pause(series: &[Series]) -> Option<i64> {
    series.last().filter(|series| series.count >= OFTEN).map(|series| series.gap)
}

/// Whether it went on until the end of its program's log. What came again and again is over when it has stayed away for twice
/// its longest pause, or what the card says of it; of what came once or twice, a tenth of the log's length has to be enough.
fn ongoing(
    ended: Option<Option<Stamp>>,
    last: Option<Stamp>,
    log: Option<&ProgramLog>,
    pause: Option<i64>,
    repeats: Option<i64>,
) -> Option<bool> {
    if let Some(ended) = ended
        && (ended.is_none() || ended >= last)
    {
        return Some(false);
    }
    let (last, log) = (last?, log?);
    let end = log.last.filter(|end| end.absolute == last.absolute)?;
    let span = log.first.map_or(0, |first| end.seconds_since(first));
    let usual = pause.map_or(i64::MAX, |pause| pause.saturating_mul(2));
    let floor = if pause.is_some() { ONGOING / 2 } else { ONGOING };
    let least = repeats.map_or(floor.max(usual.min(span / 10)), |repeats| {
        repeats.saturating_mul(2).max(pause.map_or(0, |pause| pause.saturating_mul(2)))
    });
    Some(end.seconds_since(last) <= least)
}
