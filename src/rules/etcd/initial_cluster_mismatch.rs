//! etcd-initial-cluster-mismatch: the member list contradicts the member's own name or URLs, or another host's list.
//! Lists of different length are no contradiction: kubeadm writes into each manifest the members of the day of its join.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::{UrlItem, is_proxy, located, members, others, same_url, urls};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Unknown;
use crate::report::Severity;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-initial-cluster-mismatch", judge: Judge::Host(judge), refine: None };

const LIST: &str = "initial-cluster";
const ADVERTISED: &str = "initial-advertise-peer-urls";

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    let list = urls(etcd, LIST);
    if is_proxy(etcd) || etcd.flag("discovery").is_some() || etcd.flag("discovery-srv").is_some() {
        return;
    }
    if list.is_empty() {
        // Nothing to contradict, unless the part that may hold a list is not known.
        if let Some(unread) = etcd.unread.first() {
            verdict.unknown(unread.clone());
        }
        return;
    }
    let before = (verdict.drafts.len(), verdict.unknowns.len());
    judge_itself(host, etcd, &list, verdict);
    for (other, its_etcd) in others(context.cluster, host) {
        judge_pair(context, host, (etcd, &list), other, its_etcd, verdict);
    }
    if (verdict.drafts.len(), verdict.unknowns.len()) == before {
        verdict.pass();
    }
}

/// A member that runs has its data and reads none of this any more; the fault shows when it is made anew.
fn draft(host: &Host, etcd: &Component, item: &UrlItem, message: &str) -> Draft {
    let draft = Draft::new().subject(message).message(message).maybe_value("member", item.named.as_ref());
    let draft = located(draft, etcd, LIST, &item.item).value("entry", &item.item.value);
    let draft = draft.value("list", etcd.flag(LIST).map_or("", |list| &list.value));
    if host.component(ComponentName::Etcd).is_some_and(|etcd| etcd.pid.is_some()) {
        return draft
            .severity(Severity::Warning)
            .note("this member runs: with its data in place it does not read the list; it will when it starts anew");
    }
    draft
}

fn judge_itself(host: &Host, etcd: &Component, list: &[UrlItem], verdict: &mut Verdict) {
    let Some(first) = list.first() else { return };
    // A name without text comes of a variable that is not set, which is a fault of its own.
    if let Some(name) = etcd.flag_or_default("name").filter(|name| !name.value.is_empty()) {
        let own: Vec<&UrlItem> = list.iter().filter(|item| item.named.as_deref() == Some(&name.value)).collect();
        if own.is_empty() {
            let names: BTreeSet<String> = list.iter().filter_map(|item| item.named.clone()).collect();
            let names: Vec<String> = names.into_iter().collect();
            let mut draft = draft(host, etcd, first, "name_missing")
                .value("name", if name.value.is_empty() { "\"\"" } else { &name.value })
                .value("names", in_words(&names))
                .at(&host.name, &first.item.origin, format!("names {}", in_words(&names)));
            if let Some(name) = etcd.flag_in_file("name") {
                draft = draft.at(&host.name, &name.origin, "this member's name");
            }
            verdict.fail(draft);
        } else {
            judge_own_urls(host, etcd, &own, verdict);
        }
    } else if etcd.flag("name").is_none() {
        verdict.unknown(Unknown::new("etcd's name", "what may set it could not be read"));
    } else {
        verdict.unknown(Unknown::new("etcd's name", "it is given as empty"));
    }
    // One URL for two names: etcd refuses the list.
    let mut names_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for item in list {
        names_of.entry(&item.text).or_default().insert(item.named.as_deref().unwrap_or_default());
    }
    for item in list {
        let names = names_of.remove(item.text.as_str()).unwrap_or_default();
        if names.len() > 1 {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            verdict.fail(
                draft(host, etcd, item, "url_twice").value("url", &item.text).value("names", in_words(&names)).at(
                    &host.name,
                    &item.item.origin,
                    format!("given to {}", in_words(&names)),
                ),
            );
        }
    }
}

/// The entry under the own name against initial-advertise-peer-urls: each has to hold the other's URLs.
fn judge_own_urls(host: &Host, etcd: &Component, own: &[&UrlItem], verdict: &mut Verdict) {
    let advertised = urls(etcd, ADVERTISED);
    let Some(first) = advertised.first() else { return };
    for item in own {
        let matches: Vec<Option<bool>> =
            advertised.iter().map(|advertised| same_url(host, &item.text, &advertised.text)).collect();
        if matches.contains(&Some(true)) {
            continue;
        }
        if matches.contains(&None) {
            verdict.unknown(Unknown::new(
                format!("whether {} and {} are the same", item.text, first.text),
                "the host's files do not say which address the name has",
            ));
            continue;
        }
        let ours = |url: &UrlItem| {
            let address = url.url.address();
            address.is_some_and(|address| host.network.as_ref().is_ok_and(|network| network.owns(address)))
        };
        let mut draft = draft(host, etcd, item, "own_url")
            .value("listed", &item.text)
            .value("advertised", &first.text)
            .at(&host.name, &item.item.origin, "the list's URL of this member")
            .at(&host.name, &first.item.origin, "the URL that it advertises");
        // Which of the two is right shows where the address is.
        let (right, wrong, flag) = match (ours(item), ours(first)) {
            (true, false) => (*item, first, ADVERTISED),
            (false, true) => (first, *item, LIST),
            _ => {
                verdict.fail(draft);
                continue;
            }
        };
        draft = located(draft, etcd, flag, &wrong.item).value("right", &right.text).value("wrong", &wrong.text);
        verdict.fail(draft);
    }
}

/// Two hosts' lists against each other: the same name with another URL, the same URL with another name, another token.
fn judge_pair(
    context: &Context<'_>,
    host: &Host,
    (etcd, list): (&Component, &[UrlItem]),
    other: &Host,
    its_etcd: &Component,
    verdict: &mut Verdict,
) {
    // Each pair once, by its later host.
    let place = |of: &Host| context.cluster.hosts.iter().position(|known| std::ptr::eq(known, of));
    if place(other) > place(host) {
        return;
    }
    let (ours, theirs) = (members(etcd), members(its_etcd));
    // Lists that share no entry may well be two clusters.
    if !ours.iter().any(|(name, urls)| theirs.get(name) == Some(urls)) {
        return;
    }
    let its_list = urls(its_etcd, LIST);
    for item in list {
        let Some(name) = &item.named else { continue };
        let contrary = its_list.iter().find(|their| match &their.named {
            Some(their_name) if their_name == name => theirs
                .get(name)
                .is_some_and(|urls| urls.iter().all(|url| same_url(host, &item.text, url) == Some(false))),
            Some(_) => their.text == item.text && !theirs.contains_key(name),
            None => false,
        });
        let Some(contrary) = contrary else { continue };
        let mut draft = draft(host, etcd, item, "differs")
            .value("other_host", &other.name)
            .value("other_entry", &contrary.item.value)
            .at(&host.name, &item.item.origin, format!("{} says {}", other.name, contrary.item.value))
            .at(&other.name, &contrary.item.origin, format!("{} says {}", host.name, item.item.value))
            .hosts([&host.name, &other.name]);
        if its_etcd.pid.is_none() {
            draft = draft.severity(Severity::Error);
        }
        verdict.fail(draft);
    }
    judge_lacking((host, etcd, &ours), (other, its_etcd, &theirs), verdict);
    let token = |etcd: &Component| etcd.flag("initial-cluster-token").map(|token| token.value.clone());
    let is_new = |etcd: &Component| etcd.flag("initial-cluster-state").is_none_or(|state| state.value == "new");
    let default = || "etcd-cluster".to_owned();
    let (our_token, their_token) = (token(etcd).unwrap_or_else(default), token(its_etcd).unwrap_or_else(default));
    if our_token != their_token && is_new(etcd) && is_new(its_etcd) {
        let Some(first) = list.first() else { return };
        let at = etcd.flag_in_file("initial-cluster-token").map_or(&first.item.origin, |token| &token.origin);
        let mut draft = draft(host, etcd, first, "token")
            .value("token", &our_token)
            .value("other_token", &their_token)
            .value("other_host", &other.name)
            .at(&host.name, at, format!("{} has {their_token}", other.name))
            .hosts([&host.name, &other.name]);
        if let Some(token) = its_etcd.flag_in_file("initial-cluster-token") {
            draft = draft.at(&other.name, &token.origin, format!("{} has {our_token}", host.name));
        }
        verdict.fail(draft);
    }
}

type Listed<'a> = (&'a Host, &'a Component, &'a BTreeMap<String, BTreeSet<String>>);

/// Members that are both set up to bootstrap the cluster have to be given the same list; one that joins later says
/// `existing`, and kubeadm's first master says nothing.
fn judge_lacking(one: Listed<'_>, other: Listed<'_>, verdict: &mut Verdict) {
    let says_new = |etcd: &Component| etcd.flag("initial-cluster-state").is_some_and(|state| state.value == "new");
    let (short, long) = if one.2.len() < other.2.len() { (one, other) } else { (other, one) };
    if !says_new(short.1) || !says_new(long.1) || short.2.len() < 2 {
        return;
    }
    let Some(missing) = long.2.keys().find(|name| !short.2.contains_key(*name)) else { return };
    let (short_list, long_list) = (urls(short.1, LIST), urls(long.1, LIST));
    let entry = long_list.iter().find(|item| item.named.as_ref() == Some(missing));
    let (Some(first), Some(entry)) = (short_list.first(), entry) else { return };
    verdict.fail(
        draft(short.0, short.1, first, "lacks")
            .subject(format!("lacks {missing}"))
            .value("lacking", &short.0.name)
            .value("missing", &entry.item.value)
            .value("other_host", &long.0.name)
            .at(&short.0.name, &first.item.origin, format!("{missing} is not in this list"))
            .at(&long.0.name, &entry.item.origin, format!("{} has it", long.0.name))
            .hosts([&short.0.name, &long.0.name]),
    );
}
