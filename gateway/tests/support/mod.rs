//! A node whose guests are scripted: what a virtual machine would ask its
//! node, a test asks. Everything else is real: sockets, descriptors, the
//! record on disk, the API.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test target uses a part"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod api;
mod host;
mod store;

use std::sync::Arc;

use unicell_gateway::record::Record;
use unicell_gateway::{Caller, Config, Gateway};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{Limits, Outcome, Start, Started, State};

pub use api::{door, request, respond, send};
pub use host::{Guest, Host, Incoming};
pub use store::{Store, network, service};

/// A node with scripted guests.
pub struct Node {
    pub gateway: Gateway,
    pub host: Arc<Host>,
    pub store: Arc<Store>,
    pub folder: tempfile::TempDir,
}

/// What a test changes of the usual.
pub fn config() -> Config {
    let mut config = Config::new(Limits {
        memory: 1 << 30,
        cpu_milli: 16_000,
        disk: 1 << 30,
    });
    config.architecture = "x86-64-v3".to_owned();
    config
}

impl Node {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (record, last) = Record::open(&folder.path().join("record")).unwrap();
        let host = Arc::new(Host::default());
        let store = Arc::new(Store::default());
        let gateway = Gateway::new(config, host.clone(), store.clone(), record, last);
        Self {
            gateway,
            host,
            store,
            folder,
        }
    }

    /// Starts an instance as the operator.
    pub async fn start(&self, service: &str) -> (Started, Guest) {
        self.start_as(&Caller::operator(), service).await
    }

    pub async fn start_as(&self, caller: &Caller, service: &str) -> (Started, Guest) {
        let request = Start {
            service: service.to_owned(),
            ..Start::default()
        };
        self.start_with(caller, request).await
    }

    pub async fn start_with(&self, caller: &Caller, request: Start) -> (Started, Guest) {
        let started = self.gateway.start(caller, request).await.unwrap();
        let guest = self.host.guest(started.id);
        (started, guest)
    }

    /// The caller that a guest is.
    pub fn caller(&self, guest: &Guest) -> Caller {
        let token = guest.configuration().token;
        self.gateway.authenticate(&token, Some(guest.id())).unwrap()
    }

    /// Waits until an instance has ended.
    pub async fn ended(&self, id: InstanceId) -> Outcome {
        loop {
            let instance = self
                .gateway
                .instance(&Caller::operator(), id)
                .await
                .unwrap();
            if instance.state == State::Ended {
                return instance.outcome.unwrap();
            }
            tokio::task::yield_now().await;
        }
    }
}
