//! Which of the answers of etcd a host's rules judge: what a member says of itself is told once, by the given host that it
//! is on when that host was asked too.

use crate::facts::address::{Url, owners};
use crate::facts::probe::EtcdAnswer;
use crate::facts::{Cluster, Host};

/// The answers that are judged for this host, each with the given host that the member is on.
pub fn of<'a>(cluster: &'a Cluster, host: &'a Host) -> impl Iterator<Item = (&'a EtcdAnswer, Option<&'a Host>)> {
    let mut seen = Vec::new();
    host.probes.etcd.iter().filter_map(move |answer| {
        let url = Url::parse(&answer.endpoint)?;
        let address = url.address();
        let is_own = url.is_loopback()
            || address.is_some_and(|address| host.network.as_ref().is_ok_and(|network| network.owns(address)));
        let owner = if is_own { Some(host) } else { address.and_then(|address| owners(cluster, address).next()) };
        if owner.is_some_and(|owner| owner.name != host.name && owner.probes.taken) {
            return None;
        }
        // One member answers at several of its addresses.
        if let Ok(status) = &answer.status {
            if seen.contains(&status.member_id) {
                return None;
            }
            seen.push(status.member_id.clone());
        }
        Some((answer, owner))
    })
}
