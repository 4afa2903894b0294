//! What names resolve to here, by the system's own resolver: nsswitch, hosts file and DNS as every other program sees them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::origin::{Fact, Unknown};

use super::budget::{Budget, no_answer};

pub async fn ask(name: String, budget: Budget) -> (String, Fact<Vec<IpAddr>>) {
    let answer = resolve(&name, budget).await.map_err(|why| Unknown::new(&name, why));
    (name, answer)
}

/// The addresses of a name in the resolver's order, each once.
pub async fn resolve(name: &str, budget: Budget) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    match budget.within(tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => {
            let mut seen = BTreeSet::new();
            Ok(found.map(|socket| socket.ip()).filter(|address| seen.insert(*address)).collect())
        }
        Ok(Err(error)) => {
            let message = error.to_string();
            let message = message.strip_prefix("failed to lookup address information: ").unwrap_or(&message);
            Err(format!("does not resolve: {}", message.to_lowercase()))
        }
        Err(waited) => Err(format!("the resolver {}", no_answer(waited))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn resolves() {
        let budget = Budget::new(Duration::from_secs(5));
        assert_eq!(resolve("fd00::1", budget).await, Ok(vec!["fd00::1".parse().unwrap()]));
        let local = resolve("localhost", budget).await.unwrap();
        assert!(local.iter().all(IpAddr::is_loopback) && !local.is_empty(), "{local:?}");
        // A label of 64 characters is refused without asking anybody.
        let impossible = "a".repeat(64);
        let refused = resolve(&impossible, budget).await.unwrap_err();
        assert!(refused.starts_with("does not resolve: "), "{refused}");
    }
}
