//! cni-plugin-missing: the network configuration in force names a plug-in that is not where the runtime looks.

use crate::collect::paths::{CNI_DIRECTORIES, cni_directories};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::path::PathKind;
use crate::origin::{Origin, Unknown};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "cni-plugin-missing", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if host.component(ComponentName::Kubelet).is_none() {
        return;
    }
    let Some(configs) = verdict.known(&host.runtimes.cni) else { return };
    // The runtime takes the first valid file alone.
    let Some(config) = configs.iter().find(|config| config.problem.is_none()) else { return };
    let searched = cni_directories(&host.runtimes);
    let is_named =
        searched.len() > CNI_DIRECTORIES.len() || searched.first().is_some_and(|first| first != CNI_DIRECTORIES[0]);
    for plugin in &config.plugins {
        // A name with a slash is none that a plug-in has.
        if plugin.contains('/') {
            continue;
        }
        let at = |directory: &String| host.paths.get(&format!("{directory}/{plugin}"));
        if searched.iter().filter_map(at).any(|found| matches!(found, Ok(Some(PathKind::File)))) {
            verdict.pass();
            continue;
        }
        let flag = host.component(ComponentName::Kubelet).and_then(|kubelet| kubelet.flag("cni-bin-dir"));
        let first = searched.first().filter(|_| flag.is_none());
        match first.and_then(at) {
            Some(Ok(None)) => {
                let directory = first.map(String::as_str).unwrap_or_default();
                let mut draft = Draft::new()
                    .subject(plugin)
                    .message("file")
                    .value("plugin", plugin)
                    .value("path", directory)
                    .value("file", &config.path)
                    .at(&host.name, &config.origin, format!("names the plug-in {plugin}"))
                    .at(&host.name, &Origin::file(format!("{directory}/{plugin}"), None), "there is no such program");
                if !is_named {
                    draft = draft.note("looked for in /opt/cni/bin and where distributions put plug-ins");
                }
                verdict.fail(draft);
            }
            Some(Err(unknown)) => verdict.unknown(unknown.clone()),
            _ => verdict.unknown(Unknown::new(
                format!("the CNI plug-in {plugin}"),
                "the folder of plug-ins is not part of this source",
            )),
        }
    }
}
