//! What is asked live, over sockets: connections and handshakes, etcd, apiservers, Docker, the CRI runtime, names; and what
//! only the host's own kernel can say.
//!
//! [`Plan::of`] decides what to ask, [`take`] asks it. Nothing is changed by any of it: every request is a read. All of it
//! runs at once and ends by one deadline, whether or not the other side, or the resolver, ever answers.

mod apiserver;
mod budget;
mod credentials;
mod cri;
mod discovery;
mod docker;
mod etcd;
mod flannel;
mod follow;
mod http;
pub mod kernel;
mod metrics;
mod names;
mod objects;
mod plan;
mod recorded;
mod served;
mod socket;
mod tcp;
mod tls;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::collect::Files;
use crate::facts::probe::{ApiserverAnswer, ConnectAnswer, EtcdAnswer, FlannelAnswer, Probes, TlsAnswer};
use crate::origin::Unknown;
use budget::{Budget, NOT_ASKED};

pub use plan::{ApiserverQuestion, ClientCertificate, Dial, EtcdQuestion, FlannelQuestion, Plan, SocketQuestion};
pub use recorded::RecordedProbes;

/// How long all probes may take together, unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Questions under way at once; more of them, of a host with very many endpoints, wait for their turn.
const AT_ONCE: usize = 64;

/// Asks what the plan says and returns what was answered before the deadline; a question without an answer is unknown and
/// says how long it waited. Certificates and keys are read through `files`. Returns nothing taken for a source that is
/// not the live host: its addresses may be anybody's here. Not to be called from within an async runtime.
pub fn take(plan: Plan, files: &Files, deadline: Duration) -> Probes {
    if !files.is_live() {
        return Probes::default();
    }
    let budget = Budget::new(deadline);
    let mut probes = on_runtime(ask(plan, files, budget)).unwrap_or_default();
    // What was dialled in vain stays in the kernel's table for a while.
    let table = files.source().read("/proc/net/arp").unwrap_or_default();
    probes.unresolved_neighbours = unresolved(&String::from_utf8_lossy(&table));
    probes
}

/// Entries of /proc/net/arp without ATF_COM (0x2), and with neither ATF_PERM nor ATF_PUBL: asked for, and not answered.
fn unresolved(table: &str) -> Vec<IpAddr> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        let flags = words.nth(1)?;
        (flags == "0x0").then_some(address)
    };
    table.lines().skip(1).filter_map(entry).collect()
}

/// Runs the future on a runtime of its own. What it left behind on threads, such as a resolver that hangs and cannot be
/// cancelled, is not waited for. None when the system gives no threads.
fn on_runtime<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().ok()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Some(output)
}

async fn ask(plan: Plan, files: &Files, budget: Budget) -> Probes {
    let turns = Arc::new(Semaphore::new(AT_ONCE));

    let mut targets: BTreeMap<(String, u16), Vec<Dial>> = BTreeMap::new();
    for dial in plan.dials {
        targets.entry((dial.host.clone(), dial.port)).or_default().push(dial);
    }
    let mut dials = Asked::new(&turns, budget);
    for dials_of_target in targets.into_values() {
        dials.ask(tcp::unasked(&dials_of_target), tcp::ask(dials_of_target, budget));
    }

    let mut repeated = Asked::new(&turns, budget);
    for endpoint in plan.repeated {
        repeated.ask(None, follow::repeat(endpoint, budget));
    }
    let kernel = tokio::spawn(kernel::ask(plan.kernel, kernel::tools(files), budget));

    let mut names = Asked::new(&turns, budget);
    for name in plan.names {
        names.ask((name.clone(), Err(not_asked(&name))), names::ask(name, budget));
    }

    let mut docker = Asked::new(&turns, budget);
    if let Some(question) = plan.docker {
        docker.ask(Some(Err(not_asked("docker"))), docker::ask(question, budget));
    }
    let mut cri = Asked::new(&turns, budget);
    if let Some(question) = plan.cri {
        cri.ask(Some(Err(not_asked("container runtime"))), cri::ask(question, budget));
    }

    let mut etcd = Asked::new(&turns, budget);
    for question in plan.etcd {
        let identity = credentials::first(&question.certificates, files);
        etcd.ask(etcd_unasked(&question.endpoint), etcd::ask(question.endpoint, identity, budget));
    }
    let mut flannel = Asked::new(&turns, budget);
    for question in plan.flannel {
        let identity = credentials::first(&question.certificates, files);
        flannel.ask(flannel_unasked(&question), flannel::ask(question, identity, budget));
    }
    let mut apiservers = Asked::new(&turns, budget);
    for question in plan.apiservers {
        let identity = credentials::first(&question.certificates, files);
        let unasked = apiserver_unasked(&question.endpoint);
        apiservers.ask(unasked, apiserver::ask(question.endpoint, identity, plan.node.clone(), budget));
    }
    let mut cluster_info = Asked::new(&turns, budget);
    if let Some(endpoint) = plan.cluster_info {
        cluster_info.ask(Some(Err(not_asked(&endpoint))), async move { Some(discovery::ask(endpoint, budget).await) });
    }
    // What was told is dialled while the rest still answers.
    let apiservers = apiservers.answers().await;
    let etcd = etcd.answers().await;
    let mut followed = Asked::new(&turns, budget);
    for dial in follow::dials(&apiservers, &etcd, plan.dials_kubelets) {
        let dials = vec![dial];
        followed.ask(tcp::unasked(&dials), tcp::ask(dials, budget));
    }

    let (connects, handshakes): (Vec<ConnectAnswer>, Vec<Vec<TlsAnswer>>) = dials.answers().await.into_iter().unzip();
    Probes {
        taken: true,
        patience_ms: budget.patience().as_millis() as u64,
        connects,
        handshakes: handshakes.into_iter().flatten().collect(),
        etcd,
        apiservers,
        cluster_info: cluster_info.answers().await.into_iter().next().flatten(),
        flannel: flannel.answers().await,
        docker: docker.answers().await.into_iter().next().flatten(),
        cri: cri.answers().await.into_iter().next().flatten(),
        unresolved_neighbours: Vec::new(),
        names: names.answers().await.into_iter().collect(),
        followed: followed.answers().await.into_iter().map(|(connect, _)| connect).collect(),
        repeated: repeated.answers().await.into_iter().flatten().collect(),
        kernel: tokio::time::timeout_at(budget.ends(), kernel).await.ok().and_then(Result::ok),
    }
}

fn not_asked(what: &str) -> Unknown {
    Unknown::new(what, NOT_ASKED).with_remedy("allow more time for probes")
}

fn etcd_unasked(endpoint: &str) -> EtcdAnswer {
    EtcdAnswer {
        endpoint: endpoint.to_owned(),
        healthy: Err(not_asked(endpoint)),
        members: Err(not_asked(endpoint)),
        status: Err(not_asked(endpoint)),
        metrics: None,
        clock_offset_ms: None,
    }
}

fn flannel_unasked(question: &FlannelQuestion) -> FlannelAnswer {
    FlannelAnswer {
        endpoint: question.endpoint.clone(),
        key: question.key.clone(),
        in_v2: Err(not_asked(&question.endpoint)),
        in_v3: Err(not_asked(&question.endpoint)),
    }
}

fn apiserver_unasked(endpoint: &str) -> ApiserverAnswer {
    ApiserverAnswer {
        endpoint: endpoint.to_owned(),
        live: Err(not_asked(endpoint)),
        version: Err(not_asked(endpoint)),
        cluster: None,
        clock_offset_ms: None,
    }
}

/// Questions of one kind that run side by side, and what stands for those that bring no answer.
struct Asked<T> {
    turns: Arc<Semaphore>,
    budget: Budget,
    running: JoinSet<(usize, T)>,
    answers: Vec<T>,
}

impl<T: Send + 'static> Asked<T> {
    fn new(turns: &Arc<Semaphore>, budget: Budget) -> Asked<T> {
        Asked { turns: turns.clone(), budget, running: JoinSet::new(), answers: Vec::new() }
    }

    fn ask(&mut self, unasked: T, question: impl Future<Output = T> + Send + 'static) {
        let index = self.answers.len();
        self.answers.push(unasked);
        let turns = self.turns.clone();
        self.running.spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire_owned().await;
            (index, question.await)
        });
    }

    /// In the order of asking.
    async fn answers(mut self) -> Vec<T> {
        while let Ok(Some(finished)) = tokio::time::timeout_at(self.budget.ends(), self.running.join_next()).await {
            if let Ok((index, answer)) = finished
                && let Some(slot) = self.answers.get_mut(index)
            {
                *slot = answer;
            }
        }
        // The questions' own limits end a little before the deadline does; what finished meanwhile still counts.
        while let Some(finished) = self.running.try_join_next() {
            if let Ok((index, answer)) = finished
                && let Some(slot) = self.answers.get_mut(index)
            {
                *slot = answer;
            }
        }
        self.answers
    }
}

#[cfg(test)]
mod tests;
