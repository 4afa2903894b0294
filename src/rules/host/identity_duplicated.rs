//! host-identity-duplicated: two hosts of the cluster share what has to be a host's own: the clone of a machine.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{is_container_interface, main_address};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "host-identity-duplicated", judge: Judge::Cluster(judge), refine: None };

/// What is compared: the message's name, the value, and where it stands.
type Identity = (&'static str, String, Origin);

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let hosts = &context.cluster.hosts;
    for (index, host) in hosts.iter().enumerate() {
        let own = identities(host);
        for other in hosts.iter().skip(index + 1) {
            // One host that was given twice is no clone.
            if is_same(host, other) {
                continue;
            }
            let others = identities(other);
            let mut compared = false;
            for (kind, value, origin) in &own {
                let Some((_, _, other_origin)) =
                    others.iter().find(|(known, other, _)| known == kind && other == value)
                else {
                    compared |= others.iter().any(|(known, _, _)| known == kind);
                    continue;
                };
                compared = false;
                verdict.fail(draft(host, other, kind, value, origin, other_origin));
            }
            if compared {
                verdict.pass();
            } else if own.is_empty() || others.is_empty() {
                let of = if own.is_empty() { host } else { other };
                for fact in [&of.system.machine_id, &of.system.product_uuid] {
                    verdict.known(fact);
                }
            }
        }
    }
}

fn identities(host: &Host) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    if let Ok(id) = &host.system.machine_id {
        found.push(("machine_id", id.to_ascii_lowercase(), Origin::file("/etc/machine-id", None)));
    }
    if let Ok(uuid) = &host.system.product_uuid
        && is_real_uuid(uuid)
    {
        found.push(("product_uuid", uuid.to_ascii_lowercase(), Origin::file("/sys/class/dmi/id/product_uuid", None)));
    }
    if let Ok(network) = &host.network {
        for interface in network.interfaces.iter().filter(|one| one.name != "lo" && !is_container_interface(&one.name))
        {
            let mac = interface.mac.as_deref().filter(|mac| !mac.is_empty() && *mac != "00:00:00:00:00:00");
            // Only the interface that the cluster talks by; bonds and bridges share their members' addresses.
            let is_main =
                main_address(network).is_some_and(|main| interface.addresses.iter().any(|net| net.addr() == main));
            if let Some(mac) = mac.filter(|_| is_main) {
                let place = Origin::file(format!("/sys/class/net/{}/address", interface.name), None);
                found.push(("mac", mac.to_ascii_lowercase(), place));
            }
        }
    }
    // The name in the report is made distinct; what the file says is not.
    if let Some(text) = host.texts.get("/etc/hostname")
        && let Some(name) = text.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))
    {
        found.push((
            "hostname",
            name.to_ascii_lowercase(),
            Origin::file("/etc/hostname", Some(text.span(0, name.len()))),
        ));
    }
    found
}

/// Some vendors fill in the same number everywhere.
fn is_real_uuid(uuid: &str) -> bool {
    let digits: Vec<u8> = uuid.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.len() == 32
        && !digits.windows(2).all(|pair| pair[0] == pair[1])
        && !uuid.to_ascii_lowercase().starts_with("03000200-0400-0500")
}

/// The same machine and the same address.
fn is_same(a: &Host, b: &Host) -> bool {
    let same_machine = matches!((&a.system.machine_id, &b.system.machine_id), (Ok(a), Ok(b)) if a == b);
    let address = |host: &Host| host.network.as_ref().ok().and_then(main_address);
    let names = |host: &Host| host.texts.get("/etc/hostname").map(|text| text.text.trim().to_owned());
    let same_address = match (address(a), address(b)) {
        (Some(a), Some(b)) => a == b,
        _ => names(a).is_some() && names(a) == names(b),
    };
    same_machine && same_address
}

fn draft(host: &Host, other: &Host, kind: &str, value: &str, origin: &Origin, other_origin: &Origin) -> Draft {
    let evidence = |host: &Host, origin: &Origin, label: String| {
        Evidence::new(EvidenceKind::Cluster, &host.name, origin.clone(), label)
    };
    let draft = Draft::new()
        .subject(format!("{kind} {value}"))
        .message(kind)
        .value("identity", value)
        .value("other", &other.name)
        .value("kind", kind)
        .value("one", &host.name)
        .hosts([other.name.clone(), host.name.clone()])
        .evidence(evidence(other, other_origin, format!("{} has {value}", other.name)))
        .evidence(evidence(host, origin, format!("and {} has it too", host.name)));
    match kind {
        // Containers that play hosts show the number of the machine below them.
        "product_uuid" => draft.severity(Severity::Info),
        "machine_id" => draft.severity(Severity::Warning),
        _ => draft,
    }
}
