//! The gateway: decides for every instance of a node.
//!
//! State lies under one lock, which is never held across a wait. What happens
//! outside (processes, sockets, disk) happens in tasks that take the lock to
//! say what came of it.

mod authority;
mod configuration;
mod datagrams;
mod draft;
mod estimate;
mod info;
mod life;
mod networks;
mod open;
mod proof;
mod publish;
mod refusals;
mod route;
mod serve;
mod start;
mod store;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use unicell_gateway_api::event::What;
use unicell_gateway_api::id::{Incarnation, InstanceId, ServiceId};
use unicell_gateway_api::instance::{Determinism, Jail, Owner, Usage};
use unicell_gateway_api::network::NetworkPolicy;
use unicell_gateway_api::run::{Evidence, Instance as Handle, Runner};
use unicell_gateway_api::service::{Dependency, Slot};
use unicell_gateway_api::services::Services;
use unicell_gateway_api::{Code, Problem};

pub use authority::Caller;
pub use open::Tunnel;

use crate::config::Config;
use crate::events::Events;
use crate::logs::Log;
use crate::meter::Meter;
use crate::net::{self, Party, View};
use crate::record::{LastLife, Record, Remnant};
use crate::starts::Starts;
use crate::streams::Streams;
use crate::token::{Principal, RevocationName, RootKey};
use crate::tree::Tree;

type Result<T, E = Problem> = std::result::Result<T, E>;

/// The gateway of a node. Clones are the same one.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    config: Config,
    runner: Arc<dyn Runner>,
    services: Arc<dyn Services>,
    record: Record,
    key: RootKey,
    /// The upper half of every incarnation of this life.
    life: u32,
    state: Mutex<State>,
    events: Events,
    streams: Arc<Streams>,
    /// Room for services that are being brought in.
    imports: Semaphore,
    /// Refusals of calls that came from no guest.
    refusals: Mutex<refusals::Refusals>,
    /// Source ports of streams, so that a guest can tell them apart.
    ports: AtomicU64,
}

struct State {
    tree: Tree,
    live: BTreeMap<InstanceId, Arc<Live>>,
    parties: BTreeMap<InstanceId, Party>,
    views: BTreeMap<InstanceId, View>,
    policies: Vec<NetworkPolicy>,
    meter: Meter,
    revoked: BTreeSet<RevocationName>,
    /// Tokens that were revoked in this life, by whom they spoke for (not the operator).
    revocations: BTreeMap<Principal, Vec<RevocationName>>,
    started: u32,
    starts: Starts,
    closing: bool,
}

/// What is known of an instance beside its place in the tree.
struct Live {
    id: InstanceId,
    incarnation: Incarnation,
    service: ServiceId,
    owner: Owner,
    slots: Vec<Slot>,
    dependencies: Vec<Dependency>,
    published: Vec<publish::Published>,
    handle: Mutex<Option<Arc<dyn Handle>>>,
    log: Arc<Log>,
    asked: Instant,
    started_ms: u64,
    relayed: Arc<AtomicU64>,
    gateway_streams: Arc<Semaphore>,
    /// Ends what the node does for the instance.
    cancel: CancellationToken,
    /// What serves its ports of the host until then: an end is told when they are free again.
    ports: TaskTracker,
    phase: watch::Sender<Phase>,
    facts: Mutex<Facts>,
}

/// What changes while an instance lives.
#[derive(Default)]
struct Facts {
    running: Option<Instant>,
    /// The last word, when it has ended.
    usage: Option<Usage>,
    determinism: Determinism,
    evidence: Option<Arc<dyn Evidence>>,
    jail: Jail,
    refusals: refusals::Refusals,
    /// It was told that a stream of it is disputed.
    disputed: bool,
}

/// What others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Starting,
    Running,
    Ended,
}

impl Gateway {
    /// A gateway that runs instances by `runner`, of services of `services`.
    /// Who calls cleans up what the last life left on the host first
    /// ([`LastLife::remnants`]), and hands the list here: what was lost becomes
    /// an event for each.
    pub fn new(
        config: Config,
        runner: Arc<dyn Runner>,
        services: Arc<dyn Services>,
        record: Record,
        last: LastLife,
    ) -> Self {
        let mut policies: Vec<_> = last.networks.into_values().collect();
        for policy in &config.networks {
            let known =
                |other: &NetworkPolicy| net::name(&other.network) == net::name(&policy.network);
            if !policies.iter().any(known) {
                policies.push(policy.clone());
            }
        }
        let state = State {
            tree: Tree::new(config.bounds),
            live: BTreeMap::new(),
            parties: BTreeMap::new(),
            views: BTreeMap::new(),
            policies,
            meter: Meter::default(),
            revoked: last.revoked,
            revocations: BTreeMap::new(),
            started: 0,
            starts: Starts::new(config.starts),
            closing: false,
        };
        let events = Events::new(config.api.events, config.instance.events, config.api.lag);
        let imports = Semaphore::new(config.api.imports);
        let gateway = Self(Arc::new(Shared {
            config,
            imports,
            refusals: Mutex::default(),
            runner,
            services,
            record,
            key: last.key,
            life: last.life,
            state: Mutex::new(state),
            events,
            streams: Arc::new(Streams::default()),
            ports: AtomicU64::new(0),
        }));
        gateway.lost(&last.remnants);
        gateway
    }

    fn lost(&self, remnants: &[Remnant]) {
        for remnant in remnants {
            let service = remnant.service;
            let what = What::Lost { service };
            self.0
                .events
                .instance(remnant.id, remnant.owner.clone(), what);
            // Written before anything that comes later; nothing waits for it.
            drop(self.0.record.forget(remnant.id));
        }
    }

    /// What the operator has set.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// How many streams between instances, and from and to outside, are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.0.streams.len()
    }

    /// How many instances have not ended.
    #[must_use]
    pub fn live_instances(&self) -> usize {
        self.0.state.lock().tree.live()
    }

    /// Starts nothing any more, stops everything, and returns when nothing is left.
    pub async fn shut_down(&self) {
        let roots: Vec<_> = {
            let mut state = self.0.state.lock();
            if !std::mem::replace(&mut state.closing, true) {
                self.0.events.node(What::ShuttingDown);
            }
            let roots = state.tree.iter().filter(|entry| entry.parent().is_none());
            roots.map(|entry| entry.id).collect()
        };
        let ends = roots
            .into_iter()
            .map(|id| self.halt(id, "the node is shutting down"));
        futures_util::future::join_all(ends).await;
    }

    /// Finishes what was begun, whether or not the caller still waits: a client
    /// that goes away in the middle must not leave an instance half stopped.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::spawn(work)
            .await
            .unwrap_or_else(|error| Err(internal(error)))
    }

    /// Calls what may block where that does no harm.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Services) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let services = Arc::clone(&self.0.services);
        tokio::task::spawn_blocking(move || call(&*services))
            .await
            .unwrap_or_else(|error| Err(internal(error)))
    }

    /// A port that streams come from, as guests see it: of the range that Linux
    /// takes them from.
    fn source_port(&self) -> u16 {
        let number = self.0.ports.fetch_add(1, Ordering::Relaxed);
        32768 + (number % 28232) as u16
    }
}

impl State {
    fn lineage(&self, id: InstanceId) -> Vec<&Party> {
        self.tree
            .lineage(id)
            .filter_map(|entry| self.parties.get(&entry.id))
            .collect()
    }
}

/// An error that is nobody's doing but the node's. The log has it; the caller
/// is told no more than that.
fn internal(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "the node failed");
    Problem::new(Code::Internal, "the node failed; its log says more")
}
