//! Fixes that are changes of files: what a finding's commands do to files, as the files would be afterwards. The commands
//! that people are shown are the only description of a fix; here they are read, never run. A list that decides, expands or
//! pipes is left to a person, and so are commands that touch the running system.

pub mod sed;
pub mod shell;

use std::collections::BTreeMap;

use similar::{DiffOp, TextDiff};

use crate::report::{Finding, Fix, Risk, gap};
use shell::Simple;

/// Files larger than this are not changed.
const LIMIT: usize = 4 << 20;

/// What a fix does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// Commands that touch the running system, in order.
    pub commands: Vec<String>,
}

/// What becomes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    /// None when there is no such file yet.
    pub before: Option<String>,
    pub after: String,
}

/// Replacement of whole lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineEdit {
    /// The first line that is replaced, from 0; with no line replaced, the one that the new lines come before.
    pub line: usize,
    /// How many lines are replaced.
    pub replaced: usize,
    /// The new lines with their ends.
    pub text: String,
}

/// Reads the commands of a finding's fix. `file` gives a file's text as it is: `Ok(None)` for none, an error for one that
/// cannot be read or is not to be changed. None when not all that the commands do to files is understood, or when they do
/// nothing to files.
pub fn plan(fix: &Fix, file: impl Fn(&str) -> Result<Option<String>, String>) -> Option<Plan> {
    let mut plan = Plan { changes: Vec::new(), commands: Vec::new() };
    for command in &fix.commands {
        // What is to be done elsewhere changes no file of this host.
        if command.host.is_some() {
            return None;
        }
        for simple in shell::split(&command.line)? {
            step(&simple, &mut plan, &file)?;
        }
    }
    plan.changes.retain(|change| change.before.as_ref() != Some(&change.after));
    (!plan.changes.is_empty()).then_some(plan)
}

/// The plan of a finding's fix over texts that are at hand. None for a fix that a person has to decide on.
pub fn plan_over(
    finding: &Finding,
    texts: &BTreeMap<String, std::sync::Arc<crate::collect::TextFile>>,
) -> Option<Plan> {
    let fix = finding.fix.as_ref().filter(|fix| fix.risk != Risk::Manual)?;
    plan(fix, |path| match texts.get(path) {
        Some(file) if !file.lossy => Ok(Some(file.text.clone())),
        Some(_) => Err("is not UTF-8".to_owned()),
        None => Err("is not at hand".to_owned()),
    })
}

fn step(simple: &Simple, plan: &mut Plan, file: &impl Fn(&str) -> Result<Option<String>, String>) -> Option<()> {
    let words: Vec<&str> = simple.words.iter().map(String::as_str).collect();
    let edits_in_place =
        |words: &[&str]| words.iter().skip(1).any(|word| word.starts_with("-i") || *word == "--in-place");
    match words.as_slice() {
        // The file that was is kept beside it anyway.
        ["cp", ..] if plan.commands.is_empty() && words.last().is_some_and(|to| to.starts_with("/root")) => Some(()),
        ["mkdir", "-p", directory] if directory.starts_with("/etc/") && !simple.is_opaque => Some(()),
        ["sed", ..] if edits_in_place(&words) => {
            let (scripts, extended, files) = sed_arguments(&words, simple)?;
            for path in files {
                let text = text_of(plan, &path, file)?;
                let text = sed::Script::of_several(&scripts, extended)?.apply(&text);
                put(plan, &path, text, file)?;
            }
            Some(())
        }
        _ if simple.output.is_some() => {
            if simple.is_opaque {
                return None;
            }
            let output = simple.output.as_ref()?;
            let written = printed(&words, simple)?;
            if has_gap(&written) {
                return None;
            }
            let text = match output.append {
                false => written,
                true => {
                    let mut text = text_or_nothing(plan, &output.file, file)?;
                    // What stands there already is not added again.
                    if format!("\n{text}").contains(&format!("\n{written}")) {
                        return Some(());
                    }
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push('\n');
                    }
                    text + &written
                }
            };
            put(plan, &output.file, text, file)
        }
        _ => {
            plan.commands.push(simple.text.clone());
            Some(())
        }
    }
}

/// Scripts, whether they are extended, and the files.
fn sed_arguments(words: &[&str], simple: &Simple) -> Option<(Vec<String>, bool, Vec<String>)> {
    if simple.is_opaque || simple.output.is_some() {
        return None;
    }
    let (mut scripts, mut extended, mut rest) = (Vec::new(), false, Vec::new());
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        match *word {
            "-E" | "-r" => extended = true,
            "-e" => scripts.push((*words.next()?).to_owned()),
            "-i" | "-i.bak" => {}
            option if option.starts_with('-') => return None,
            other => rest.push(other.to_owned()),
        }
    }
    if scripts.is_empty() {
        if rest.is_empty() {
            return None;
        }
        scripts.push(rest.remove(0));
    }
    (!rest.is_empty() && !scripts.iter().any(|script| has_gap(script))).then_some((scripts, extended, rest))
}

/// What a command prints: `printf`, `echo` or `cat` of a here-document.
fn printed(words: &[&str], simple: &Simple) -> Option<String> {
    match words {
        ["printf", format] => unescaped(format),
        ["printf", format @ ("%s\\n" | "%s\n"), values @ ..] if !values.is_empty() => {
            debug_assert!(format.starts_with("%s"));
            Some(values.iter().map(|value| format!("{value}\n")).collect())
        }
        ["echo", words @ ..] if words.first().is_none_or(|word| !word.starts_with('-')) => {
            Some(format!("{}\n", words.join(" ")))
        }
        ["cat"] => simple.input.clone(),
        _ => None,
    }
}

fn unescaped(format: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(match characters.next()? {
                'n' => '\n',
                't' => '\t',
                '\\' => '\\',
                '"' => '"',
                '\'' => '\'',
                _ => return None,
            }),
            '%' => {
                characters.next().filter(|next| *next == '%')?;
                out.push('%');
            }
            other => out.push(other),
        }
    }
    Some(out)
}

/// Whether a value is left for a person to fill in: `<ADDRESS>`.
fn has_gap(text: &str) -> bool {
    gap(text).is_some()
}

fn text_of(plan: &Plan, path: &str, file: &impl Fn(&str) -> Result<Option<String>, String>) -> Option<String> {
    match plan.changes.iter().find(|change| change.path == path) {
        Some(change) => Some(change.after.clone()),
        None => file(path).ok()?.filter(|text| text.len() <= LIMIT),
    }
}

fn text_or_nothing(plan: &Plan, path: &str, file: &impl Fn(&str) -> Result<Option<String>, String>) -> Option<String> {
    match plan.changes.iter().find(|change| change.path == path) {
        Some(change) => Some(change.after.clone()),
        None => file(path).ok().map(Option::unwrap_or_default).filter(|text| text.len() <= LIMIT),
    }
}

fn put(
    plan: &mut Plan,
    path: &str,
    after: String,
    file: &impl Fn(&str) -> Result<Option<String>, String>,
) -> Option<()> {
    if let Some(change) = plan.changes.iter_mut().find(|change| change.path == path) {
        change.after = after;
        return Some(());
    }
    let before = file(path).ok()?;
    // Only configuration is made anew.
    if before.is_none() && !path.starts_with("/etc/") {
        return None;
    }
    plan.changes.push(Change { path: path.to_owned(), before, after });
    Some(())
}

impl Change {
    /// The lines that change.
    pub fn edits(&self) -> Vec<LineEdit> {
        let before = self.before.as_deref().unwrap_or("");
        let diff = TextDiff::from_lines(before, &self.after);
        let new: Vec<&str> = self.after.split_inclusive('\n').collect();
        diff.ops()
            .iter()
            .filter(|op| !matches!(op, DiffOp::Equal { .. }))
            .map(|op| LineEdit {
                line: op.old_range().start,
                replaced: op.old_range().len(),
                text: new.get(op.new_range()).map(|lines| lines.concat()).unwrap_or_default(),
            })
            .collect()
    }
}

/// Edits of two fixes that touch the same lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another fix changes the same lines")]
pub struct Conflict;

/// Applies edits of several changes of one text; those that touch the same lines differently are a conflict.
///
/// # Errors
///
/// When two edits do not go together.
pub fn merged(before: &str, mut edits: Vec<LineEdit>) -> Result<String, Conflict> {
    edits.sort_by(|a, b| (a.line, a.replaced, &a.text).cmp(&(b.line, b.replaced, &b.text)));
    edits.dedup();
    for pair in edits.windows(2) {
        let [first, second] = pair else { continue };
        if second.line < first.line + first.replaced.max(1) {
            return Err(Conflict);
        }
    }
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let mut out = String::new();
    let mut at = 0;
    for edit in edits {
        out.push_str(&lines.get(at..edit.line).ok_or(Conflict)?.concat());
        out.push_str(&edit.text);
        at = edit.line + edit.replaced;
    }
    out.push_str(&lines.get(at..).ok_or(Conflict)?.concat());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(commands: &[&str]) -> Fix {
        let commands = commands.iter().map(|command| (*command).into()).collect();
        Fix { risk: Risk::Safe, summary: String::new(), commands, restarts: Vec::new() }
    }

    fn files(path: &str) -> Result<Option<String>, String> {
        match path {
            "/etc/a" => Ok(Some("one\ntwo\n".to_owned())),
            "/etc/secret" => Err("no".to_owned()),
            _ => Ok(None),
        }
    }

    #[test]
    fn commands_become_changes() {
        for (commands, expected) in [
            (
                &["sed -i 's/two/2/' /etc/a && systemctl restart x"][..],
                Some((vec![("/etc/a", "one\n2\n")], vec!["systemctl restart x"])),
            ),
            (&["cp /etc/a /root/ && sed -i '1d' /etc/a"], Some((vec![("/etc/a", "two\n")], vec![]))),
            (&["sed -i.bak -e 1d -e 's/two/2/' /etc/a"], Some((vec![("/etc/a", "2\n")], vec![]))),
            // Lines are counted as they are read, not as an expression before leaves them.
            (&["sed -i -e 1d -e '2s/two/2/' /etc/a"], Some((vec![("/etc/a", "2\n")], vec![]))),
            (
                &["mkdir -p /etc/x.d", "printf 'a = 1\\n' > /etc/x.d/f && sysctl --system"],
                Some((vec![("/etc/x.d/f", "a = 1\n")], vec!["sysctl --system"])),
            ),
            (&["echo 'x y' >> /etc/a"], Some((vec![("/etc/a", "one\ntwo\nx y\n")], vec![]))),
            (&["printf '%s\\n' a b > /etc/n"], Some((vec![("/etc/n", "a\nb\n")], vec![]))),
            (&["echo two >> /etc/a"], None),
            (&["sed -i 's/three/3/' /etc/a"], None),
            (&["sed -i 's/two/<ADDRESS>/' /etc/a"], None),
            (&["sed -i 1d /etc/none"], None),
            (&["sed -i 1d /etc/secret"], None),
            (&["sed -i 1d /etc/*"], None),
            (&["grep -q x /etc/a || sed -i 1d /etc/a"], None),
            (&["printf x > /root/f"], None),
            (&["cat x > /etc/f"], None),
            (&["systemctl restart x"], None),
        ] {
            let found = plan(&fix(commands), files);
            let found = found.as_ref().map(|plan| {
                let changes = plan.changes.iter().map(|change| (change.path.as_str(), change.after.as_str())).collect();
                (changes, plan.commands.iter().map(String::as_str).collect())
            });
            assert_eq!(found, expected, "{commands:?}");
        }
    }

    #[test]
    fn edits_of_several_fixes_are_merged_by_their_lines() {
        let before = "a\nb\nc\nd\n";
        let change = |after: &str| {
            Change { path: String::new(), before: Some(before.to_owned()), after: after.to_owned() }.edits()
        };
        for (first, second, expected) in [
            ("b\nc\nd\n", "a\nb\nc\nD\n", Ok("b\nc\nD\n")),
            ("a\nb\nc\n", "a\nB\nc\nd\n", Ok("a\nB\nc\n")),
            ("a\nB\nc\nd\n", "a\nB\nc\nd\n", Ok("a\nB\nc\nd\n")),
            ("a\nB\nc\nd\n", "a\nX\nc\nd\n", Err(Conflict)),
            ("a\nb\nc\nd\ne\n", "A\nb\nc\nd\n", Ok("A\nb\nc\nd\ne\n")),
        ] {
            let edits = change(first).into_iter().chain(change(second)).collect();
            assert_eq!(merged(before, edits).as_deref(), expected.as_deref(), "{first} {second}");
        }
        assert!(merged("", vec![LineEdit { line: 3, replaced: 1, text: String::new() }]).is_err());
    }
}
