//! What is asked live, over sockets: connections and handshakes, etcd, apiservers, Docker, the CRI runtime, names.
//!
//! [`Plan::of`] decides what to ask, [`take`] asks it. Nothing is changed by any of it: every request is a read. All of it
//! runs at once and ends by one deadline, whether or not the other side, or the resolver, ever answers.

mod apiserver;
mod budget;
mod credentials;
mod cri;
mod docker;
mod etcd;
mod http;
mod names;
mod plan;
mod recorded;
mod served;
mod socket;
mod tcp;
mod tls;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::collect::Files;
use crate::facts::probe::{ApiserverAnswer, ConnectAnswer, EtcdAnswer, Probes, TlsAnswer};
use crate::origin::Unknown;
use budget::{Budget, NOT_ASKED};

pub use plan::{ApiserverQuestion, ClientCertificate, Dial, EtcdQuestion, Plan, SocketQuestion};
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
    on_runtime(ask(plan, files, budget)).unwrap_or_default()
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
    let mut apiservers = Asked::new(&turns, budget);
    for question in plan.apiservers {
        let identity = credentials::first(&question.certificates, files);
        apiservers.ask(apiserver_unasked(&question.endpoint), apiserver::ask(question.endpoint, identity, budget));
    }

    let (connects, handshakes): (Vec<ConnectAnswer>, Vec<Vec<TlsAnswer>>) = dials.answers().await.into_iter().unzip();
    Probes {
        taken: true,
        patience_ms: budget.patience().as_millis() as u64,
        connects,
        handshakes: handshakes.into_iter().flatten().collect(),
        etcd: etcd.answers().await,
        apiservers: apiservers.answers().await,
        docker: docker.answers().await.into_iter().next().flatten(),
        cri: cri.answers().await.into_iter().next().flatten(),
        names: names.answers().await.into_iter().collect(),
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
    }
}

fn apiserver_unasked(endpoint: &str) -> ApiserverAnswer {
    ApiserverAnswer { endpoint: endpoint.to_owned(), live: Err(not_asked(endpoint)), version: Err(not_asked(endpoint)) }
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
