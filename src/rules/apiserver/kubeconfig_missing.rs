//! kubeconfig-missing: what the card's conditions cannot say, that the administrator's kubeconfig could not be read.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "kubeconfig-missing", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let unread = host.kubernetes.unread_kubeconfigs.iter().filter(|unknown| unknown.what == "/root/.kube/config");
    unread.for_each(|unknown| verdict.unknown(unknown.clone()));
}
