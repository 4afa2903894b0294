//! apiserver-address-not-local: kube-apiserver binds an address that the host does not have, or advertises another host's.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::log::LogHit;
use crate::report::Severity;
use crate::rules::support::{addresses_in_words, configured_layers, file_of, main_address, owners, unit_of};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-address-not-local", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    for layer in configured_layers(apiserver) {
        for flag in ["bind-address", "insecure-bind-address", "address", "advertise-address"] {
            let Some(value) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
            let Ok(address) = value.value.parse::<IpAddr>() else { continue };
            let Some(network) = verdict.known(&host.network) else { return };
            if network.owns(address) {
                verdict.pass();
                continue;
            }
            let owner = owners(context.cluster, address).next();
            let mut draft = Draft::new()
                .subject(format!("{flag}={address}"))
                .value("address", address)
                .value("flag", flag)
                .maybe_value("own_address", main_address(network))
                .maybe_value("file", file_of(value))
                .maybe_value("unit", unit_of(layer))
                .maybe_value("owner", owner.map(|owner| &owner.name))
                .note(addresses_in_words(&host.name, network));
            let label = match owner {
                Some(owner) => format!("{} has it", owner.name),
                None => "no interface has it".to_owned(),
            };
            draft = draft.at(&host.name, &value.origin, label);
            if flag == "advertise-address" {
                draft = match owner {
                    Some(_) => draft.message("advertises_other"),
                    // A translated address in front of the host may be meant; clients' trouble will tell.
                    None => draft.message("advertises_unknown").severity(Severity::Warning),
                };
            }
            verdict.fail(draft);
        }
    }
}

fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let address = hit.captures.get("address").map(|text| text.trim_matches(['[', ']']));
    let (Some(address), Ok(network)) = (address.and_then(|text| text.parse::<IpAddr>().ok()), &host.network) else {
        return Refined::Keep(Vec::new());
    };
    if network.owns(address) {
        return Refined::Drop;
    }
    Refined::Keep(main_address(network).map(|own| ("own_address", own.to_string())).into_iter().collect())
}
