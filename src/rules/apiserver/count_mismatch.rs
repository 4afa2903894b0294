//! apiserver-count-mismatch: --apiserver-count is not the number of apiservers, where that number decides which of them
//! stand behind the service `kubernetes`.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{configured_layers, file_of, in_words, owners, unit_to_restart};
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-count-mismatch", judge: Judge::Cluster(judge), refine: None };

/// How an apiserver keeps the list of all.
enum Reconciler {
    /// Each has a lease and the count is not looked at.
    Other,
    Count,
    Unknown,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let apiservers: Vec<(&Host, &Component)> = context
        .cluster
        .hosts
        .iter()
        .filter_map(|host| Some((host, host.component(ComponentName::KubeApiserver)?)))
        .collect();
    let all = addresses(context, &apiservers);
    let names: Vec<String> = apiservers.iter().map(|(host, _)| host.name.clone()).collect();
    for (host, apiserver) in &apiservers {
        let given = apiserver.flag_in_file("apiserver-count");
        let count = match given {
            Some(value) => value.value.parse::<usize>().ok(),
            None if apiserver.unread.is_empty() => Some(1),
            None => None,
        };
        let what = format!("how kube-apiserver on {} counts the others", host.name);
        match reconciler(apiserver) {
            Reconciler::Other => {
                verdict.pass();
                continue;
            }
            Reconciler::Unknown => {
                // Where the number is right, it does not matter who looks at it.
                if count == Some(apiservers.len()) && count == all {
                    verdict.pass();
                } else {
                    verdict.unknown(Unknown::new(
                        what,
                        "the default of --endpoint-reconciler-type depends on its version",
                    ));
                }
                continue;
            }
            Reconciler::Count => {}
        }
        let Some(count) = count else {
            verdict.unknown(Unknown::new(what, "its --apiserver-count could not be read"));
            continue;
        };
        // Fewer than were given is wrong whatever else there is; more may be right when not all were given.
        if count < apiservers.len() || all.is_some_and(|all| all != count) {
            let wanted = all.unwrap_or(apiservers.len()).max(apiservers.len());
            verdict.fail(draft(host, apiserver, given, count, wanted, &names));
        } else if all == Some(count) {
            verdict.pass();
        } else {
            let why = format!("it counts {count}, and {} were given", apiservers.len());
            verdict.unknown(Unknown::new(what, why).with_remedy("give the evidence of all masters"));
        }
    }
}

fn reconciler(apiserver: &Component) -> Reconciler {
    let kind = apiserver.flag_or_default("endpoint-reconciler-type");
    match kind.as_ref().map(|kind| kind.value.as_str()) {
        Some("master-count") => Reconciler::Count,
        Some(_) => Reconciler::Other,
        // There was nothing else before 1.9.
        None if apiserver.is_at_least(1, 9) == Some(false) => Reconciler::Count,
        None => Reconciler::Unknown,
    }
}

/// How many apiservers there are, when something names them all: a load balancer's servers, each of them given.
fn addresses(context: &Context<'_>, apiservers: &[(&Host, &Component)]) -> Option<usize> {
    let masters: BTreeSet<&str> = apiservers.iter().map(|(host, _)| host.name.as_str()).collect();
    let mut balancers = context
        .cluster
        .hosts
        .iter()
        .flat_map(|host| [&host.load_balancers.haproxy, &host.load_balancers.nginx])
        .filter_map(|proxy| proxy.as_ref().ok()?.as_ref())
        .flat_map(|proxy| &proxy.frontends);
    let complete = balancers.any(|frontend| {
        let behind: Option<BTreeSet<&str>> = frontend
            .backends
            .iter()
            .map(|backend| {
                let address = crate::rules::support::Url::parse(&backend.address.value)?.address()?;
                owners(context.cluster, address).next().map(|host| host.name.as_str())
            })
            .collect();
        behind.is_some_and(|behind| !behind.is_empty() && behind == masters)
    });
    complete.then_some(masters.len())
}

fn draft(
    host: &Host,
    apiserver: &Component,
    given: Option<&Sourced<String>>,
    count: usize,
    wanted: usize,
    names: &[String],
) -> Draft {
    let layer = configured_layers(apiserver).first().copied();
    let draft = Draft::new()
        .subject(host.name.clone())
        .hosts([host.name.clone()])
        .value("on", &host.name)
        .value("count", count)
        .value("wanted", wanted)
        .value("masters", in_words(names))
        .maybe_value("unit", layer.and_then(|layer| unit_to_restart(host, apiserver, layer)))
        .note(format!("apiservers: {}", in_words(names)));
    let edited = given.and_then(|value| {
        let (old, new) = (value.value.as_str(), wanted.to_string());
        edit::edit(host, &value.origin, (old, &new), (old, &new))
    });
    match (given, layer) {
        (Some(value), _) => draft
            .maybe_value("file", file_of(value))
            .maybe_value("edit", edited.and_then(|edited| edit::command(&[edited])))
            .at(&host.name, &value.origin, format!("{wanted} there are")),
        (None, Some(layer)) => {
            draft.message("by_default").at(&host.name, &layer.origin, "gives no --apiserver-count, which is 1")
        }
        (None, None) => draft.message("by_default"),
    }
}
