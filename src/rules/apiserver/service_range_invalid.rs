//! service-range-invalid: a range for services that kube-apiserver refuses when it starts.

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, split_items};
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{file_of, starting_layers};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "service-range-invalid", judge: Judge::Host(judge), refine: None };

/// Bits that a range may leave to addresses: a bitmap of all of them is kept in etcd. Since 1.33 IPv6 may have 64.
const MOST_BITS: u8 = 20;
/// At least eight addresses.
const LEAST_BITS: u8 = 3;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    // A running one has taken its own; what the next start reads is in the files.
    let mut given = false;
    for layer in starting_layers(host, apiserver) {
        let Some(value) = layer.flags.get("service-cluster-ip-range").and_then(|values| values.last()) else {
            continue;
        };
        given = true;
        match fault(apiserver, value) {
            Ok(None) => verdict.pass(),
            Ok(Some((range, reason))) => verdict.fail(
                Draft::new()
                    .subject(value.value.clone())
                    .message("files")
                    .value("range", &range.value)
                    .value("reason", &reason)
                    .maybe_value("first_address", first_address(&range.value))
                    .maybe_value("config", file_of(value))
                    .at(&host.name, &range.origin, reason),
            ),
            Err(unknown) => verdict.unknown(unknown),
        }
    }
    if !given && let Some(unread) = apiserver.unread.first() {
        verdict.unknown(unread.clone());
    }
}

/// The address that kube-apiserver itself would have in the range, by which pods dial it.
fn first_address(range: &str) -> Option<std::net::IpAddr> {
    range.trim().parse::<IpNet>().ok()?.trunc().hosts().next()
}

/// The range that is refused, and why.
fn fault(apiserver: &Component, value: &Sourced<String>) -> Result<Option<(Sourced<String>, String)>, Unknown> {
    let items = split_items(value);
    if items.len() > 2 {
        return Ok(Some((value.clone(), "more than two ranges".to_owned())));
    }
    let mut families = Vec::new();
    for item in items {
        let Ok(net) = item.value.parse::<IpNet>() else {
            return Ok(Some((item, "no network: ADDRESS/LENGTH is expected".to_owned())));
        };
        let is_v4 = matches!(net, IpNet::V4(_));
        let bits = net.max_prefix_len() - net.prefix_len();
        if bits < LEAST_BITS {
            let reason = format!("too small: a length of at most {} is needed", net.max_prefix_len() - LEAST_BITS);
            return Ok(Some((item, reason)));
        }
        if bits > MOST_BITS {
            let reason = format!("too large: a length of at least {} is needed", net.max_prefix_len() - MOST_BITS);
            match (is_v4, apiserver.is_at_least(1, 33)) {
                (true, _) | (false, Some(false)) => return Ok(Some((item, reason))),
                (false, Some(true)) if bits <= 64 => {}
                (false, Some(true)) => return Ok(Some((item, "too large: the length is less than 64".to_owned()))),
                (false, None) => {
                    let why = "how large an IPv6 range may be depends on it";
                    return Err(Unknown::new("the release of kube-apiserver", why));
                }
            }
        }
        if families.contains(&is_v4) {
            return Ok(Some((value.clone(), "two ranges of one address family".to_owned())));
        }
        families.push(is_v4);
    }
    Ok(None)
}
