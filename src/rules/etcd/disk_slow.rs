//! etcd-disk-slow: what etcd measured of its own writes since it started.

use super::own_answers;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::objects::on_host;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-disk-slow", judge: Judge::Host(judge), refine: None };

/// Seconds: etcd's own alert on its write-ahead log is at this for the 99th of 100.
const SLOW: f64 = 0.5;
const SHARE: f64 = 0.01;
/// Fewer writes say little.
const FEWEST: u64 = 200;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (answer, owner) in own_answers::of(context.cluster, host) {
        let metrics = match &answer.metrics {
            Some(Ok(metrics)) => metrics,
            Some(Err(unknown)) => {
                // Another rule says that it does not answer at all.
                if answer.healthy.is_ok() {
                    verdict.unknown(unknown.clone());
                }
                continue;
            }
            None => continue,
        };
        let Some(fsync) = metrics.wal_fsync.as_ref().filter(|fsync| fsync.count >= FEWEST) else { continue };
        let Some(share) = fsync.share_above(SLOW).filter(|share| *share > SHARE) else {
            verdict.pass();
            continue;
        };
        let percent = format!("{:.0}", (share * 100.0).ceil());
        let said = format!("{percent} of 100 of its {} writes took longer than {SLOW} s", fsync.count);
        let origin = Origin::answer(format!("{}/metrics, etcd_disk_wal_fsync_duration_seconds", answer.endpoint));
        let directory = owner.and_then(|owner| owner.etcd_data.keys().next());
        let draft = Draft::new()
            .message("live")
            .value("percent", percent)
            .value("endpoint", &answer.endpoint)
            .value("took", format!("more than {SLOW} s"))
            .maybe_value("directory", directory)
            .evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, said));
        verdict.fail(on_host(draft, owner));
    }
}
