//! Whose fault it is that members of etcd complain of each other: the logs of each name a peer by its id, and only taken
//! together they say which host all of them mean.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::component::ComponentName;
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};
use crate::rules::support::{Url, owners};
use crate::rules::{Context, Refined};

/// The captures that hold a peer's id, by wording.
const MEMBER: [&str; 3] = ["member", "member_id", "peer_id"];

fn member_of(hit: &LogHit) -> Option<&str> {
    MEMBER.iter().find_map(|name| hit.captures.get(*name)).map(String::as_str)
}

/// The host that every other one complains of by what this rule's patterns matched, if there is one: it complains of several
/// peers while those complain of one and the same, or it alone says nothing.
pub(super) fn suspect<'a>(cluster: &'a Cluster, rule: &str) -> Option<&'a Host> {
    let told_by = |host: &'a Host| -> BTreeSet<&'a str> {
        let hits = host.logs.hits.iter().filter(|hit| hit.rule == rule && hit.ongoing != Some(false));
        hits.filter_map(member_of).collect()
    };
    let members: BTreeMap<usize, (&Host, BTreeSet<&str>)> = cluster
        .hosts
        .iter()
        .enumerate()
        .filter(|(_, host)| host.component(ComponentName::Etcd).is_some())
        .map(|(index, host)| (index, (host, told_by(host))))
        .collect();
    let mut found = members.iter().filter_map(|(index, (host, own))| {
        let others: Vec<&BTreeSet<&str>> =
            members.iter().filter(|(other, _)| *other != index).map(|(_, (_, told))| told).collect();
        let all_mean_one =
            others.len() > 1 && others.iter().all(|told| told.len() == 1 && Some(*told) == others.first().copied());
        let is_not_of_them = others.first().is_some_and(|told| told.is_disjoint(own));
        (all_mean_one && is_not_of_them && own.len() != 1).then_some(*host)
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Puts the host that all others complain of first, and names it.
pub(super) fn refine(rule: &str, context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let Some(suspect) = suspect(context.cluster, rule) else { return Refined::Keep(Vec::new()) };
    let mut hosts = vec![suspect.name.clone()];
    let mut values = vec![("suspect", suspect.name.clone())];
    if suspect.name != host.name {
        hosts.push(host.name.clone());
        values.extend(member_of(hit).map(|member| ("member", format!("{member} ({})", suspect.name))));
    }
    Refined::KeepOn { hosts, values }
}

/// A message that names the address at which a member was dialled in vain is about that member's host.
pub(super) fn refine_by_address(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let dialled = hit.captures.get("address").and_then(|address| Url::parse(address)?.address());
    let owner = dialled
        .filter(|address| !address.is_loopback())
        .and_then(|address| owners(context.cluster, address).next())
        .filter(|owner| owner.name != host.name);
    match owner {
        Some(owner) => Refined::KeepOn { hosts: vec![owner.name.clone(), host.name.clone()], values: Vec::new() },
        None => Refined::Keep(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::component::Component;

    fn hit(member: &str) -> LogHit {
        LogHit {
            rule: "r".to_owned(),
            pattern: 0,
            component: None,
            captures: BTreeMap::from([("member".to_owned(), member.to_owned())]),
            count: 3,
            first: None,
            last: None,
            ongoing: Some(true),
            pause: None,
            restarts: 0,
            restarted: BTreeMap::new(),
            seconds: BTreeSet::new(),
            lines: Vec::new(),
            brief: false,
        }
    }

    #[test]
    fn the_one_that_all_others_mean() {
        /// Why, which members each host's messages mean, and who is suspected.
        type Row<'a> = (&'a str, &'a [&'a [&'a str]], Option<&'a str>);
        let table: [Row<'_>; 7] = [
            ("it complains of both", &[&["c"], &["c"], &["a", "b"]], Some("m3")),
            ("it says nothing", &[&["c"], &[], &["c"]], Some("m2")),
            ("one alone complains", &[&["c"], &[], &[]], None),
            ("two of each other", &[&["b"], &["a"]], None),
            ("they mean different ones", &[&["c"], &["a"], &["b"]], None),
            ("everybody of everybody", &[&["b", "c"], &["a", "c"], &["a", "b"]], None),
            ("five members", &[&["d"], &["d"], &["d"], &["a", "b", "c", "e"], &["d"]], Some("m4")),
        ];
        for (why, told, expected) in table {
            let hosts = told.iter().enumerate().map(|(index, members)| {
                let mut host = Host::empty(&format!("m{}", index + 1));
                host.components.push(Component::new(ComponentName::Etcd));
                host.logs.hits = members.iter().map(|member| hit(member)).collect();
                host
            });
            let cluster = Cluster { hosts: hosts.collect(), at: jiff::Timestamp::UNIX_EPOCH };
            assert_eq!(suspect(&cluster, "r").map(|host| host.name.as_str()), expected, "{why}");
        }
    }
}
