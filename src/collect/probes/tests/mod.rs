//! Probes of real sockets, all on loopback and on ports that the system gives.
#![allow(clippy::disallowed_methods, reason = "the tests start the servers that are asked")]

mod local;
mod real;
mod servers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::source::MemorySource;

fn files(source: MemorySource) -> Files {
    Files::new(Arc::new(source.live()))
}

fn nothing() -> Files {
    files(MemorySource::new("m1"))
}

fn dial(port: u16, server_name: Option<&str>) -> Dial {
    Dial {
        host: "127.0.0.1".to_owned(),
        port,
        server_name: server_name.map(str::to_owned),
        verified: server_name.is_some(),
        dialled_by: ["kubelet (/etc/kubernetes/kubelet.conf)".to_owned()].into(),
    }
}

/// Takes the probes and holds them to their deadline.
fn take_in_time(plan: Plan, files: &Files, deadline: Duration) -> Probes {
    let started = Instant::now();
    let probes = take(plan, files, deadline);
    let elapsed = started.elapsed();
    assert!(elapsed < deadline + Duration::from_millis(200), "{elapsed:?} of {deadline:?}");
    assert!(probes.taken);
    probes
}
