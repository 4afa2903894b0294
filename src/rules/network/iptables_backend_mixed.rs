//! iptables-backend-mixed: rules stand in iptables' old tables and in those of nftables.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::firewall::{Backend, Chain};
use crate::rules::support::is_node;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "iptables-backend-mixed", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !is_node(host) {
        return;
    }
    let firewall = match &host.firewall {
        Ok(firewall) if !firewall.at_boot => firewall,
        Ok(_) => return,
        Err(unknown) => return verdict.unknown(unknown.clone()),
    };
    let of = |backend: Backend| -> Vec<&Chain> {
        // Tables that nft made itself are not iptables'.
        let is_iptables = |chain: &&Chain| {
            chain.backend == backend
                && matches!(&*chain.family, "ip" | "ip6")
                && matches!(&*chain.table, "filter" | "nat" | "mangle" | "raw" | "security")
                && chain.rule_count > 0
        };
        firewall.chains.iter().filter(is_iptables).collect()
    };
    let (legacy, nft) = (of(Backend::Legacy), of(Backend::Nft));
    let (Some(first), Some(other)) = (legacy.first(), nft.first()) else {
        // Where it is not said whose rules they are, both may be.
        let is_said = firewall.chains.iter().all(|chain| chain.backend != Backend::Unsaid);
        if is_said && !firewall.chains.is_empty() {
            verdict.pass();
        }
        return;
    };
    let count = |chains: &[&Chain]| chains.iter().map(|chain| chain.rule_count).sum::<usize>();
    let told = |chains: &[&Chain], program: &str| {
        let kube = chains.iter().find(|chain| chain.name.starts_with("KUBE-")).or(chains.first());
        let name = kube.map(|chain| chain.name.as_str()).unwrap_or_default();
        format!("{} rules of {program}, {name} among its chains", count(chains))
    };
    verdict.fail(
        Draft::new()
            .message("both")
            .value("legacy", count(&legacy))
            .value("nft", count(&nft))
            .at(&host.name, &first.origin, told(&legacy, "iptables-legacy"))
            .at(&host.name, &other.origin, told(&nft, "iptables-nft")),
    );
}
