//! host-disk-full: a file system that Kubernetes writes to has no blocks or no inodes left.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::filesystem::FilesystemUse;
use crate::rules::filesystems::{filled, in_words};
use crate::rules::support::is_node;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "host-disk-full", judge: Judge::Host(judge), refine: None };

/// Percent that have to be left, and bytes: the last hundredth of a large disk is much.
const LEAST_PERCENT: f64 = 1.0;
const LEAST_BYTES: u64 = 512 << 20;
const LEAST_INODES_PERCENT: f64 = 0.5;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let known = match &host.filesystems {
        Ok(known) => known,
        Err(unknown) => {
            if host.probes.kernel.is_some() || is_node(host) || host.component(ComponentName::Etcd).is_some() {
                verdict.unknown(unknown.clone());
            }
            return;
        }
    };
    for one in filled(host, known) {
        match full(one) {
            None => verdict.pass(),
            Some((message, left)) => verdict.fail(
                Draft::new()
                    .subject(&one.target)
                    .message(message)
                    .value("path", &one.target)
                    .value("left", &left)
                    .value("size", in_words(one.total))
                    .at(&host.name, &one.origin, format!("{left} left")),
            ),
        }
    }
}

/// Which message says what is used up, and what is left.
fn full(one: &FilesystemUse) -> Option<(&'static str, String)> {
    if one.available < LEAST_BYTES && one.available_percent() < LEAST_PERCENT {
        return Some(("blocks", in_words(one.available)));
    }
    let (_, free) = one.inodes?;
    let percent = one.free_inodes_percent()?;
    (percent < LEAST_INODES_PERCENT).then(|| ("inodes", format!("{free} inodes")))
}
