//! pki-key-exposed: everybody on the host can read a private key, or a kubeconfig that holds one or a token.

use super::inventory::is_in_use;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Origin;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-key-exposed", judge: Judge::Host(judge), refine: None };

const OTHERS_READ: u32 = 0o004;

fn judge(_context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let mut exposed: Vec<(&str, u32)> = Vec::new();
    for (path, file) in &host.kubernetes.certificates {
        let file = match file {
            Ok(file) => file,
            // Who may not read it has shown that it is closed, at least to him.
            Err(unknown) => {
                if path.ends_with(".key") || path.ends_with("-key.pem") {
                    verdict.unknown(unknown.clone());
                }
                continue;
            }
        };
        if file.keys.is_empty() {
            continue;
        }
        judge_one(path, file.mode, file.keys.iter().any(|key| !key.encrypted), &mut exposed, verdict);
    }
    for config in host.kubernetes.kubeconfigs.iter().filter(|config| is_in_use(config)) {
        let secret = config.users.iter().any(|user| user.has_token || user.client_key_data.is_some());
        if secret {
            judge_one(&config.path, config.mode, true, &mut exposed, verdict);
        }
    }
    let Some((first, mode)) = exposed.first() else { return };
    let paths: Vec<&str> = exposed.iter().map(|(path, _)| *path).collect();
    let mut draft = Draft::new()
        .message(if paths.len() > 1 { "several" } else { "default" })
        .value("file", first)
        .value("mode", format!("{mode:04o}"))
        .value("count", paths.len())
        .value("files", paths.join(" "));
    for (path, mode) in &exposed {
        draft = draft.at(&host.name, &Origin::file(*path, None), format!("mode {mode:04o}: everybody can read it"));
    }
    verdict.fail(draft);
}

fn judge_one<'a>(
    path: &'a str,
    mode: Option<u32>,
    secret: bool,
    exposed: &mut Vec<(&'a str, u32)>,
    verdict: &mut Verdict,
) {
    match mode.map(|mode| mode & 0o7777) {
        Some(mode) if secret && mode & OTHERS_READ != 0 => exposed.push((path, mode)),
        Some(_) => verdict.pass(),
        None => {}
    }
}
