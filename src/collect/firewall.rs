//! Packet filter rules, where a tree has what the tools printed, or the files that a service sets them up from at boot. On
//! the live host the tools are asked ([`super::probes`]).

use super::{Files, TextFile};
use crate::facts::firewall::{Backend, Firewall};
use crate::origin::{Fact, Origin, Unknown};
use crate::parse::firewall;

/// Files with printed rules: sosreport's, by release, and `answers/`, where captures keep what commands printed. All that
/// are there are read, the first of each group.
const PRINTED: [&[&str]; 2] = [
    &[
        "/sos_commands/firewall_tables/nft_-a_list_ruleset",
        "/sos_commands/firewall_tables/nft_list_ruleset",
        "/sos_commands/networking/nft_list_ruleset",
        "/answers/nft.txt",
        "/answers/iptables.txt",
        "/answers/iptables-save.txt",
        "/sos_commands/networking/iptables-save",
        "/sos_commands/firewall_tables/iptables_-t_filter_-nvL",
        "/sos_commands/networking/iptables_-t_filter_-nvL",
        "/sos_commands/firewall_tables/iptables_-vnxL",
    ],
    &["/answers/iptables-legacy.txt", "/answers/iptables-legacy-save.txt"],
];

/// What a service loads at boot.
const AT_BOOT: [(&str, &str); 4] = [
    ("iptables.service", "/etc/sysconfig/iptables"),
    ("netfilter-persistent.service", "/etc/iptables/rules.v4"),
    ("nftables.service", "/etc/sysconfig/nftables.conf"),
    ("nftables.service", "/etc/nftables.conf"),
];

/// Targets that want such a service.
const TARGETS: [&str; 3] = ["multi-user", "basic", "sysinit"];

pub fn collect(files: &Files) -> Fact<Firewall> {
    if files.is_of_live_host() {
        return Err(Unknown::new("the packet filter's rules", Unknown::NOT_ASKED));
    }
    let mut all: Option<Firewall> = None;
    for group in PRINTED {
        let found = group.iter().filter_map(|path| files.text(path).ok()).find_map(|file| read(&file).ok());
        if let Some(found) = found {
            all.get_or_insert_default().chains.extend(found.chains);
        }
    }
    if let Some(all) = all {
        return Ok(all);
    }
    let is_enabled = |unit: &str| {
        let links = TARGETS.iter().map(|target| format!("/etc/systemd/system/{target}.target.wants/{unit}"));
        links.into_iter().any(|link| files.read_link(&link).is_ok() || files.exists(&link) == Ok(true))
    };
    for (unit, path) in AT_BOOT {
        if !is_enabled(unit) {
            continue;
        }
        let Ok(file) = files.text(path) else { continue };
        if let Ok(found) = read(&file) {
            return Ok(Firewall { at_boot: true, ..found });
        }
    }
    Err(Unknown::new("the packet filter's rules", "what iptables-save or nft prints is not part of this source")
        .with_remedy("record it too: iptables-save > answers/iptables.txt"))
}

fn read(file: &TextFile) -> Result<Firewall, firewall::FirewallError> {
    let mut found = firewall::any(&file.text, &|span| Origin::file(file.path.clone(), Some(span)))?;
    if file.path.contains("legacy") {
        for chain in &mut found.chains {
            chain.backend = Backend::Legacy;
        }
    }
    Ok(found)
}
