//! static-credentials: passwords or tokens in a file of the apiserver, which never end and are changed only by a restart.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::report::Severity;
use crate::rules::support::at_least;
use crate::rules::{Context, Detector, Judge};

use super::renewal::version;

pub(super) const DETECTOR: Detector = Detector { id: "static-credentials", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let mut found = false;
    for flag in ["basic-auth-file", "token-auth-file"] {
        let Some(path) = apiserver.flag_in_file(flag).filter(|path| !path.value.is_empty()) else { continue };
        found = true;
        let mut draft = Draft::new()
            .message(if flag == "basic-auth-file" { "passwords" } else { "default" })
            .subject(path.value.clone())
            .value("file", &path.value)
            .value("flag", flag)
            .at(&host.name, &path.origin, format!("--{flag} gives credentials that never end"));
        // Removed in 1.19: the apiserver does not start with it.
        if flag == "basic-auth-file" && version(context, host).is_some_and(|version| at_least(&version, 1, 19)) {
            draft = draft.message("removed").severity(Severity::Error);
        }
        verdict.fail(draft);
    }
    if !found {
        match apiserver.unread.first() {
            Some(unread) => verdict.unknown(unread.clone()),
            None => verdict.pass(),
        }
    }
}
