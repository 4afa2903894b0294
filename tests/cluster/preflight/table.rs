//! The table `docs/preflight.md`, written by a run of all faults.

use std::path::Path;

use anyhow::{Context, Result};

use super::lab;

/// What came of one fault.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub name: String,
    pub summary: String,
    pub configuration: String,
    pub rule: Option<String>,
    pub why_not: Option<String>,
    pub kubeadm: Vec<String>,
    /// kubeadm's last words when it did not come to its checks.
    pub refusal: Option<String>,
    /// `error[host-swap-enabled] on p1: ...`
    pub said: Option<String>,
    pub fix: Vec<String>,
    pub by_hand: Option<String>,
    pub mended: bool,
    pub problems: Vec<String>,
    pub seconds: u64,
    pub seconds_of_check: f64,
}

impl Row {
    pub fn new(name: &str, summary: &str, configuration: &str) -> Row {
        Row {
            name: name.to_owned(),
            summary: summary.to_owned(),
            configuration: configuration.to_owned(),
            ..Row::default()
        }
    }

    pub fn problem(&mut self, what: String) {
        self.problems.push(what);
    }

    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn line(&self) -> String {
        let mut text = format!(
            "{} {}: kubeadm [{}], k8sdoctor [{}], {}, {} s (check {:.1} s)",
            if self.is_good() { "ok  " } else { "BAD " },
            self.name,
            self.kubeadm.iter().chain(&self.refusal).cloned().collect::<Vec<_>>().join(", "),
            self.said.as_deref().unwrap_or("-"),
            self.fixed(),
            self.seconds,
            self.seconds_of_check
        );
        self.problems.iter().for_each(|problem| text.push_str(&format!("\n         {problem}")));
        text
    }

    fn fixed(&self) -> String {
        match (self.mended, &self.by_hand, self.fix.is_empty()) {
            (false, ..) => "not mended".to_owned(),
            (true, None, _) => "as printed".to_owned(),
            (true, Some(why), true) => format!("by hand: {why}"),
            (true, Some(why), false) => format!("as printed, and by hand: {why}"),
        }
    }
}

pub fn write(healthy: &[Row], rows: &[Row]) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/preflight.md");
    std::fs::write(&path, text(healthy, rows)).with_context(|| path.display().to_string())
}

fn text(healthy: &[Row], rows: &[Row]) -> String {
    let mut text = "\
# Before a cluster exists: kubeadm's preflight and k8sdoctor's

Written by `cargo test --test cluster -- preflight`: on a bare host each fault is put in, `kubeadm init phase preflight` or
`kubeadm join phase preflight` and `k8sdoctor check --phase preflight CONFIGURATION` are asked on it, the commands of the
finding are run as they are printed, and then both have to be quiet. On the host without a fault k8sdoctor says nothing.

kubeadm's `-` is silence. `refuses` is an end before its checks: the configuration was not taken, or the cluster to join did
not answer.
"
    .to_owned();
    for configuration in lab::CONFIGURATIONS {
        text.push_str(&format!("\n## {}\n\n", title(configuration)));
        text.push_str("| fault | kubeadm says | k8sdoctor says | fix |\n|---|---|---|---|\n");
        for row in healthy.iter().chain(rows).filter(|row| row.configuration == *configuration) {
            let said = match (&row.said, &row.why_not) {
                (Some(said), _) => said.split_once(" on ").map_or(said.clone(), |(rule, rest)| {
                    format!("`{rule}` {}", rest.split_once(": ").map_or(rest, |(_, title)| title))
                }),
                (None, Some(why)) => format!("- ({why})"),
                (None, None) => "-".to_owned(),
            };
            let fix = match (row.mended, row.said.is_some()) {
                (true, _) => row.fixed(),
                (false, true) => "not run".to_owned(),
                (false, false) => String::new(),
            };
            let mut kubeadm = if row.kubeadm.is_empty() { "-".to_owned() } else { row.kubeadm.join(", ") };
            if let Some(words) = &row.refusal {
                kubeadm.push_str(&format!(": {}", cut(words)));
            }
            let mark = if row.is_good() { "" } else { " (see below)" };
            text.push_str(&format!(
                "| {}{mark} | {} | {} | {} |\n",
                cell(&row.summary),
                cell(&kubeadm),
                cell(&said),
                cell(&fix)
            ));
        }
    }
    text.push_str("\n## Not put in\n\n");
    for (what, why) in NOT_PUT_IN {
        text.push_str(&format!("- {what}: {why}\n"));
    }
    text.push_str("\n## Of every host here, and not counted\n\n");
    for said in lab::ALWAYS {
        text.push_str(&format!("- kubeadm's {said}: a container sees no configuration of its kernel\n"));
    }
    for (rule, why) in lab::TRUE_OF_IT {
        text.push_str(&format!("- {rule}: {why}\n"));
    }
    let bad: Vec<&Row> = healthy.iter().chain(rows).filter(|row| !row.is_good()).collect();
    if !bad.is_empty() {
        text.push_str("\n## What went otherwise\n\n");
        for row in bad {
            row.problems.iter().for_each(|what| text.push_str(&format!("- {}: {}\n", row.name, cell(what))));
        }
    }
    text
}

fn title(configuration: &str) -> &'static str {
    match configuration {
        "external" => "kubeadm init with external etcd",
        "join" => "kubeadm join",
        "join-master" => "kubeadm join of a further master",
        _ => "kubeadm init",
    }
}

const NOT_PUT_IN: &[(&str, &str)] = &[
    ("a wrong time", "containers share the machine's clock; kubeadm does not look at it"),
    ("a kernel option that is missing", "containers share the machine's kernel"),
];

/// A message's beginning.
fn cut(text: &str) -> String {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    // What kubeadm repeats of a token is nobody's business.
    let text = text.split("oken: Invalid value").next().map_or(text.clone(), |before| {
        if before.len() < text.len() { format!("{before}oken: Invalid value") } else { text.clone() }
    });
    if text.chars().count() > 160 { text.chars().take(160).chain("...".chars()).collect() } else { text }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}
