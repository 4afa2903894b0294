//! etcd-nospace: a member says that its database has reached the quota, or has nearly done so.

use super::etcdctl::etcdctl;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::ComponentName;
use crate::facts::probe::{EtcdAnswer, EtcdStatus};
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-nospace", judge: Judge::Host(judge), refine: None };

/// Bytes, when nothing sets it (etcd: server/storage/quota.go).
const DEFAULT_QUOTA: u64 = 2 << 30;
/// Percent of the quota from which on it is told: the file never shrinks by itself.
const NEARLY: u64 = 90;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for answer in &host.probes.etcd {
        let Some(status) = verdict.known(&answer.status) else { continue };
        let quota = quota(host, answer);
        // What raised it says the same through every member.
        if let Some(alarm) = status.errors.iter().find(|error| error.contains("alarm:NOSPACE")) {
            let raised = raised_by(answer, alarm);
            verdict.fail(
                draft(host, answer, status, quota, alarm.trim())
                    .subject("alarm")
                    .message(if raised.is_some() { "alarm_of" } else { "alarm" })
                    .maybe_value("member", raised),
            );
        } else if let Some(bytes) = quota.filter(|bytes| status.db_size / NEARLY >= bytes / 100) {
            let share = format!("{} % of the quota", status.db_size / (bytes / 100).max(1));
            verdict.fail(
                draft(host, answer, status, quota, &share)
                    .subject("nearly")
                    .message("nearly")
                    .severity(Severity::Warning)
                    .note("the database's file does not shrink by itself, only by defragmentation"),
            );
        } else {
            verdict.pass();
        }
    }
}

fn draft(host: &Host, answer: &EtcdAnswer, status: &EtcdStatus, quota: Option<u64>, said: &str) -> Draft {
    let draft = Draft::new()
        .value("endpoint", &answer.endpoint)
        .value("size", in_words(status.db_size))
        .value("etcdctl", etcdctl(host, &answer.endpoint))
        .maybe_value("quota", quota.map(in_words))
        .evidence(Evidence::new(
            EvidenceKind::Probe,
            &host.name,
            Origin::answer(format!("the status of {}", answer.endpoint)),
            format!("{said}; its database has {}", in_words(status.db_size)),
        ));
    let flag = host.component(ComponentName::Etcd).and_then(|etcd| etcd.flag_in_file("quota-backend-bytes"));
    match flag.filter(|_| quota.is_some()) {
        Some(flag) => draft.at(&host.name, &flag.origin, "the quota, in bytes"),
        None => draft,
    }
}

/// The quota of a member that runs on this host; what another host sets is not known here.
fn quota(host: &Host, answer: &EtcdAnswer) -> Option<u64> {
    let url = Url::parse(&answer.endpoint)?;
    let network = host.network.as_ref().ok();
    let is_own = url.is_loopback() || url.address().is_some_and(|own| network.is_some_and(|known| known.owns(own)));
    let etcd = host.component(ComponentName::Etcd).filter(|_| is_own)?;
    match etcd.flag("quota-backend-bytes") {
        // Below zero there is none.
        Some(bytes) => match bytes.value.trim().parse::<i64>().ok()? {
            0 => Some(DEFAULT_QUOTA),
            bytes => u64::try_from(bytes).ok(),
        },
        None if etcd.unread.is_empty() => Some(DEFAULT_QUOTA),
        None => None,
    }
}

/// The name of the member that an alarm was raised by: `memberID:9372538179322589801 alarm:NOSPACE `.
fn raised_by(answer: &EtcdAnswer, alarm: &str) -> Option<String> {
    let id: u64 = alarm.split_whitespace().find_map(|word| word.strip_prefix("memberID:"))?.parse().ok()?;
    let id = format!("{id:x}");
    let member = answer.members.as_ref().ok()?.iter().find(|member| member.id == id)?;
    (!member.name.is_empty()).then(|| member.name.clone())
}

/// `2.0 GiB`, `20 MiB`, `512 KiB`.
fn in_words(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        _ if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}
