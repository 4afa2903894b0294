//! What kubeadm's own preflight says.

use crate::command::Said;

/// kubeadm's verdict: `ERROR Swap`, `WARNING Hostname`, ..., each with its message.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    said: Vec<(String, String)>,
    /// How it ended when it did not come to its checks: the configuration was refused, the cluster did not answer.
    pub failure: Option<String>,
}

impl Verdict {
    pub fn of(said: &Said) -> Verdict {
        let mut verdict = Verdict::default();
        for line in said.out.lines().chain(said.err.lines()) {
            let line = line.trim();
            let check = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            if let Some((check, message)) = check
                && (check.starts_with("ERROR ") || check.starts_with("WARNING "))
            {
                // `[ERROR CRI]: ...`
                verdict.said.push((check.to_owned(), message.trim_start_matches([':', ' ']).to_owned()));
            }
        }
        let errors = verdict.said.iter().any(|(check, _)| check.starts_with("ERROR "));
        if !said.success && !errors {
            let lines: Vec<&str> = said.err.lines().filter(|line| !line.trim().is_empty()).collect();
            let is_last_word = |line: &&&str| !line.starts_with("To see the stack trace");
            let fatal = lines.iter().skip_while(|line| !line.contains("fatal errors occurred")).nth(1);
            let last = lines.iter().rfind(is_last_word);
            verdict.failure = fatal.or(last).map(|line| line.trim().to_owned());
        }
        // Faults of the configuration that it only warns of come from its reader: `W1121 ...] error unmarshaling ...`.
        let warned = said.err.lines().filter(|line| line.contains("strict decoding") || line.contains("unknown field"));
        verdict.said.extend(warned.map(|line| ("WARNING configuration".to_owned(), line.to_owned())));
        verdict
    }

    /// Its words without those that it has for every host of this machine, each once; `refuses` for a failure before any
    /// check.
    pub fn beyond(&self, always: &[&str]) -> Vec<String> {
        let mut words: Vec<String> = self
            .said
            .iter()
            .map(|(check, _)| check.clone())
            .filter(|check| !always.contains(&check.as_str()))
            .collect();
        if self.failure.is_some() {
            words.push("refuses".to_owned());
        }
        words.sort();
        words.dedup();
        words
    }
}
