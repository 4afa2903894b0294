//! etcd's URLs and member list as they are in force, each value where it can be edited. Shared by the rules on them.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::verdict::Draft;
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, split_items};
use crate::origin::Sourced;
use crate::rules::support::{Url, file_of, resolve, unit_of};

/// A URL of a flag. `named` is the part before `=` of initial-cluster's entries.
#[derive(Debug, Clone)]
pub struct UrlItem {
    pub named: Option<String>,
    pub text: String,
    pub url: Url,
    /// The whole entry.
    pub item: Sourced<String>,
}

/// The URLs of a flag in force; what is no URL is left out.
pub fn urls(etcd: &Component, flag: &str) -> Vec<UrlItem> {
    let Some(value) = etcd.flag_in_file(flag) else { return Vec::new() };
    split_items(value)
        .into_iter()
        .filter_map(|item| {
            let (named, text) = match item.value.split_once('=') {
                Some((name, url)) if flag == "initial-cluster" => (Some(name.trim().to_owned()), url.trim()),
                _ => (None, item.value.as_str()),
            };
            let url = Url::parse(text).filter(|url| !url.scheme.is_empty())?;
            Some(UrlItem { named, text: text.trim_end_matches('/').to_owned(), url, item })
        })
        .collect()
}

/// initial-cluster by member, each with its URLs.
pub fn members(etcd: &Component) -> BTreeMap<String, BTreeSet<String>> {
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in urls(etcd, "initial-cluster") {
        members.entry(item.named.unwrap_or_default()).or_default().insert(item.text);
    }
    members
}

/// Whether etcd is a proxy (`--proxy=on`, until 3.5), which is no member.
pub fn is_proxy(etcd: &Component) -> bool {
    etcd.flag("proxy").is_some_and(|mode| mode.value != "off")
        || etcd.layers.iter().any(|layer| {
            layer.arguments.first().is_some_and(|word| matches!(word.value.as_str(), "gateway" | "grpc-proxy"))
        })
}

/// Whether two URLs mean the same: one of them may give a name for the other's address. None when a name is not known here.
pub fn same_url(host: &Host, a: &str, b: &str) -> Option<bool> {
    if a == b {
        return Some(true);
    }
    let (a, b) = (Url::parse(a)?, Url::parse(b)?);
    if a.scheme != b.scheme || a.port_or_default() != b.port_or_default() {
        return Some(false);
    }
    if a.host.eq_ignore_ascii_case(&b.host) {
        return Some(true);
    }
    let (of_a, of_b) = (resolve(host, &a.host), resolve(host, &b.host));
    if of_a.is_empty() || of_b.is_empty() {
        return None;
    }
    Some(of_a.iter().any(|address| of_b.contains(address)))
}

/// The layer that a value stands in.
pub fn layer_of<'a>(etcd: &'a Component, flag: &str, value: &str) -> Option<&'a Layer> {
    let with_value = |layer: &&Layer| {
        layer.flags.get(flag).and_then(|values| values.last()).is_some_and(|known| known.value == value)
    };
    let mut layers = etcd.layers.iter().filter(with_value);
    layers.find(|layer| layer.origin.path().is_some()).or_else(|| etcd.layers.iter().find(with_value))
}

/// The draft with the file that holds a flag's item and the unit to restart.
pub fn located(draft: Draft, etcd: &Component, flag: &str, item: &Sourced<String>) -> Draft {
    let whole = etcd.flag_in_file(flag).map_or("", |value| &value.value);
    let unit = layer_of(etcd, flag, whole).and_then(unit_of);
    draft.value("flag", flag).maybe_value("file", file_of(item)).maybe_value("unit", unit)
}

/// The other given hosts with an etcd of their own, in order.
pub fn others<'a>(
    cluster: &'a crate::facts::Cluster,
    host: &'a Host,
) -> impl Iterator<Item = (&'a Host, &'a Component)> {
    cluster
        .hosts
        .iter()
        .filter(move |other| !std::ptr::eq(*other, host))
        .filter_map(|other| Some((other, other.component(ComponentName::Etcd)?)))
}
