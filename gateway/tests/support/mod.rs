//! A node whose guests are scripted: what a virtual machine would ask its
//! node, a test asks. Everything else is real: sockets, descriptors, the
//! record on disk, the API.

#![allow(dead_code, unreachable_pub, reason = "each test target uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};
use unicell_gateway::http::{self, Door};
use unicell_gateway::record::Record;
use unicell_gateway::{Caller, Config, Gateway};
use unicell_gateway_api::configuration::Configuration;
use unicell_gateway_api::id::{InstanceId, ServiceId};
use unicell_gateway_api::instance::{
    Determinism, Jail, Limits, Outcome, Start, Started, State, Transport, Usage,
};
use unicell_gateway_api::network::Descriptor;
use unicell_gateway_api::run::{
    Errno, Event, Evidence, Gone, Instance, Launch, Program, RunError, Runner, Running, StreamId,
    Traces,
};
use unicell_gateway_api::service::{Collected, Dependency, Imported, Service, Slot};
use unicell_gateway_api::services::{BoxImage, ConfigFormat, NetworkNeed, Plan, Services};
use unicell_gateway_api::{Code, Problem};

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

/// A service of a test.
pub fn service(number: u8, slots: &[u16], networks: &[&str]) -> Plan {
    let limits = Limits {
        memory: 1 << 20,
        cpu_milli: 100,
        disk: 1 << 20,
    };
    Plan {
        id: ServiceId::new([number; 32]),
        program: Program {
            entry: "/bin/program".to_owned(),
            args: vec!["argument".to_owned()],
            env: vec!["PATH=/bin".to_owned()],
            workdir: "/".to_owned(),
        },
        image: BoxImage {
            file: Arc::new(tempfile::tempfile().unwrap()),
            offset: 0,
            len: 0,
        },
        at_init: limits,
        at_most: Limits {
            memory: 64 << 20,
            cpu_milli: 2000,
            disk: 64 << 20,
        },
        config_path: "/__config__".to_owned(),
        config_format: ConfigFormat::Json,
        variables: vec!["COLOR".to_owned()],
        slots: slots
            .iter()
            .map(|port| Slot {
                port: *port,
                transport: Transport::Tcp,
                protocols: Vec::new(),
            })
            .collect(),
        networks: networks
            .iter()
            .map(|name| NetworkNeed {
                network: network(name),
                protocols: Vec::new(),
            })
            .collect(),
        dependencies: Vec::new(),
        expected_gateway: Vec::new(),
        architecture: "x86-64-v2".to_owned(),
    }
}

pub fn network(name: &str) -> Descriptor {
    Descriptor {
        tags: vec![name.to_owned()],
        ..Descriptor::default()
    }
}

/// Services in memory. What is imported is a service by its length.
#[derive(Default)]
pub struct Store(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plans: BTreeMap<ServiceId, Plan>,
    tags: BTreeMap<String, ServiceId>,
}

impl Store {
    pub fn add(&self, tag: &str, plan: Plan) -> ServiceId {
        let id = plan.id;
        let mut kept = self.0.lock();
        kept.tags.insert(tag.to_owned(), id);
        kept.plans.insert(id, plan);
        id
    }

    /// A service with dependencies, that were added before.
    pub fn add_with(&self, tag: &str, mut plan: Plan, dependencies: &[&str]) -> ServiceId {
        for alias in dependencies {
            plan.dependencies.push(Dependency {
                alias: (*alias).to_owned(),
                service: self.resolve(alias).unwrap(),
            });
        }
        self.add(tag, plan)
    }
}

fn unknown(what: impl std::fmt::Debug) -> Problem {
    Problem::new(Code::NotFound, format!("there is no service {what:?}"))
}

impl Services for Store {
    fn resolve(&self, reference: &str) -> Result<ServiceId, Problem> {
        let kept = self.0.lock();
        let id = reference
            .parse()
            .ok()
            .or_else(|| kept.tags.get(reference).copied());
        id.filter(|id| kept.plans.contains_key(id))
            .ok_or_else(|| unknown(reference))
    }

    fn plan(&self, id: ServiceId) -> Result<Plan, Problem> {
        self.0
            .lock()
            .plans
            .get(&id)
            .cloned()
            .ok_or_else(|| unknown(id))
    }

    fn list(&self) -> Result<Vec<Service>, Problem> {
        let ids: Vec<_> = self.0.lock().plans.keys().copied().collect();
        ids.into_iter().map(|id| self.service(id)).collect()
    }

    fn service(&self, id: ServiceId) -> Result<Service, Problem> {
        let plan = self.plan(id)?;
        let tags = self.tags()?;
        Ok(Service {
            id,
            tags: tags
                .into_iter()
                .filter(|(_, other)| *other == id)
                .map(|(tag, _)| tag)
                .collect(),
            prose: String::new(),
            size: 0,
            architecture: plan.architecture,
            slots: plan.slots,
            networks: plan.networks.into_iter().map(|need| need.network).collect(),
            dependencies: plan.dependencies,
            running: 0,
        })
    }

    fn import(
        &self,
        bytes: &mut dyn Read,
        expected: Option<ServiceId>,
    ) -> Result<Imported, Problem> {
        let mut all = Vec::new();
        let read = bytes.read_to_end(&mut all);
        read.map_err(|error| Problem::new(Code::BadService, error))?;
        let plan = service(all.len() as u8, &[80], &[]);
        if expected.is_some_and(|expected| expected != plan.id) {
            return Err(Problem::new(Code::BadService, "it hashes to another id"));
        }
        let id = plan.id;
        let known = self.0.lock().plans.insert(id, plan).is_some();
        Ok(Imported { id, known })
    }

    fn export(&self, id: ServiceId, encoding: &str, to: &mut dyn Write) -> Result<(), Problem> {
        self.plan(id)?;
        if encoding != "proto3" {
            return Err(Problem::new(Code::Unsupported, "only proto3"));
        }
        let broken = |error| Problem::new(Code::Internal, error);
        (0..200)
            .try_for_each(|_| to.write_all(&[7; 1000]))
            .map_err(broken)
    }

    fn tag(&self, id: ServiceId, tag: &str) -> Result<(), Problem> {
        self.0.lock().tags.insert(tag.to_owned(), id);
        Ok(())
    }

    fn untag(&self, tag: &str) -> Result<(), Problem> {
        self.0
            .lock()
            .tags
            .remove(tag)
            .map(|_| ())
            .ok_or_else(|| unknown(tag))
    }

    fn remove(&self, id: ServiceId) -> Result<(), Problem> {
        let mut kept = self.0.lock();
        kept.tags.retain(|_, other| *other != id);
        kept.plans
            .remove(&id)
            .map(|_| ())
            .ok_or_else(|| unknown(id))
    }

    fn collect(&self, keep: &[ServiceId]) -> Result<Collected, Problem> {
        let mut kept = self.0.lock();
        let tagged: Vec<_> = kept.tags.values().copied().collect();
        let before = kept.plans.len();
        kept.plans
            .retain(|id, _| keep.contains(id) || tagged.contains(id));
        Ok(Collected {
            services: (before - kept.plans.len()) as u64,
            ..Collected::default()
        })
    }

    fn tags(&self) -> Result<BTreeMap<String, ServiceId>, Problem> {
        Ok(self.0.lock().tags.clone())
    }
}

/// Where the guests are.
#[derive(Default)]
pub struct Host {
    guests: Mutex<BTreeMap<InstanceId, Guest>>,
    /// If set, programs do not start by themselves.
    pub held: watch::Sender<bool>,
    /// If set, the next start fails so.
    pub refuses: Mutex<Option<String>>,
    /// If set, processes do not take what they are told.
    pub slow: watch::Sender<bool>,
    /// Guests that were told to stop, in order.
    pub stopped: Arc<Mutex<Vec<InstanceId>>>,
}

impl Host {
    pub fn guest(&self, id: InstanceId) -> Guest {
        self.guests
            .lock()
            .get(&id)
            .cloned()
            .expect("the guest was started")
    }

    /// Forgets guests that are no more, with all they held.
    pub fn forget(&self) {
        self.guests.lock().clear();
    }

    pub fn guests(&self) -> Vec<Guest> {
        self.guests.lock().values().cloned().collect()
    }
}

#[async_trait]
impl Runner for Host {
    async fn start(&self, launch: Launch) -> Result<Running, RunError> {
        if let Some(reason) = self.refuses.lock().take() {
            return Err(RunError::Refused(reason));
        }
        let (events, receiver) = mpsc::channel(16);
        let id = launch.id;
        let limits = launch.limits;
        let evidence = (!launch.determinism.is_none()).then(|| Arc::new(Vouched) as Arc<_>);
        let guest = Guest(Arc::new(Inside {
            launch: Mutex::new(Some(launch)),
            id,
            events,
            next: AtomicU32::new(1),
            asks: Mutex::default(),
            listening: Mutex::default(),
            reset: Mutex::default(),
            limits: Mutex::new(limits),
            usage: Mutex::default(),
        }));
        self.guests.lock().insert(id, guest.clone());
        if !*self.held.borrow() {
            guest.run().await;
        }
        Ok(Running {
            instance: Arc::new(Told(
                guest,
                Arc::clone(&self.stopped),
                self.slow.subscribe(),
            )),
            events: receiver,
            traces: Traces {
                pid: Some(std::process::id()),
                ..Traces::default()
            },
            jail: Jail::default(),
            evidence,
        })
    }
}

/// Evidence that says back what was asked.
struct Vouched;

impl Evidence for Vouched {
    fn receipt(&self, nonce: Option<String>) -> Result<String, Problem> {
        Ok(serde_json::json!({"nonce": nonce}).to_string())
    }

    fn transcript(&self) -> Result<std::fs::File, Problem> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"what came").unwrap();
        file.rewind().unwrap();
        Ok(file)
    }
}

/// What a test does in place of a program.
#[derive(Clone)]
pub struct Guest(Arc<Inside>);

struct Inside {
    launch: Mutex<Option<Launch>>,
    id: InstanceId,
    events: mpsc::Sender<Event>,
    next: AtomicU32,
    asks: Mutex<BTreeMap<StreamId, oneshot::Sender<Result<OwnedFd, Errno>>>>,
    listening: Mutex<BTreeMap<u16, mpsc::UnboundedSender<Incoming>>>,
    reset: Mutex<Vec<StreamId>>,
    limits: Mutex<Limits>,
    usage: Mutex<Usage>,
}

/// A stream that came in.
pub struct Incoming {
    pub stream: StreamId,
    pub from: SocketAddr,
    pub socket: OwnedFd,
}

impl Guest {
    pub fn id(&self) -> InstanceId {
        self.0.id
    }

    /// The program runs.
    pub async fn run(&self) {
        let determinism = Determinism::D0;
        self.0
            .events
            .send(Event::Started { determinism })
            .await
            .unwrap();
    }

    /// The program ends, and all of the guest with it.
    pub async fn exit(&self, outcome: Outcome) {
        drop(self.0.launch.lock().take());
        let usage = *self.0.usage.lock();
        // It may have been stopped before.
        let _ = self.0.events.send(Event::Ended { outcome, usage }).await;
    }

    pub fn launch<T>(&self, look: impl FnOnce(&Launch) -> T) -> T {
        look(self.0.launch.lock().as_ref().expect("the guest is there"))
    }

    pub fn file(&self, path: &str) -> Vec<u8> {
        self.launch(|launch| {
            let file = launch.files.iter().find(|file| file.path == path);
            file.expect("the file is there").bytes.clone()
        })
    }

    pub fn configuration(&self) -> Configuration {
        serde_json::from_slice(&self.file("/__config__")).unwrap()
    }

    /// `connect(2)`.
    pub async fn connect(&self, transport: Transport, to: &str) -> Result<OwnedFd, Errno> {
        self.open(transport, to).await.map(|(_, socket)| socket)
    }

    pub async fn open(&self, transport: Transport, to: &str) -> Result<(StreamId, OwnedFd), Errno> {
        let stream = StreamId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.0.asks.lock().insert(stream, answer);
        let to = to.parse().unwrap();
        let open = Event::Open {
            stream,
            transport,
            to,
        };
        self.0.events.send(open).await.unwrap();
        Ok((stream, answered.await.expect("every ask is answered")?))
    }

    /// The guest is done with a stream.
    pub async fn close(&self, stream: StreamId, broken: Option<Errno>) {
        self.0
            .events
            .send(Event::Closed { stream, broken })
            .await
            .unwrap();
    }

    /// `listen(2)`.
    pub fn listen(&self, port: u16) -> mpsc::UnboundedReceiver<Incoming> {
        let (incoming, accept) = mpsc::unbounded_channel();
        self.0.listening.lock().insert(port, incoming);
        accept
    }

    /// Streams that were broken off.
    pub fn reset(&self) -> Vec<StreamId> {
        self.0.reset.lock().clone()
    }

    pub fn limits(&self) -> Limits {
        *self.0.limits.lock()
    }

    pub fn use_up(&self, usage: Usage) {
        *self.0.usage.lock() = usage;
    }

    /// Writes to the program's standard output.
    pub fn print(&self, text: &str) {
        let stdout = self.launch(|launch| launch.output.stdout.try_clone().unwrap());
        std::fs::File::from(stdout)
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// A call of the API, as a program in the guest makes it.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        let socket = self.connect(Transport::Tcp, "10.0.0.1:80").await.unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gateway")
            .header("content-type", "application/json")
            .header("unicell-token", self.configuration().token.reveal())
            .body(Full::new(Bytes::from(serde_json::to_vec(body).unwrap())))
            .unwrap();
        let (status, body) = send(socket, request).await;
        if status.is_success() {
            Ok(serde_json::from_slice(&body).unwrap())
        } else {
            Err(serde_json::from_slice(&body).unwrap())
        }
    }
}

/// Sends one request over a socket, and reads its answer.
pub async fn send(socket: OwnedFd, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
    let response = respond(socket, request).await;
    let status = response.status();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// Sends one request over a socket.
pub async fn respond(
    socket: OwnedFd,
    request: Request<Full<Bytes>>,
) -> Response<hyper::body::Incoming> {
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::UnixStream::from_std(stream).unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.unwrap()
}

struct Told(Guest, Arc<Mutex<Vec<InstanceId>>>, watch::Receiver<bool>);

#[async_trait]
impl Instance for Told {
    async fn answer(&self, stream: StreamId, answer: Result<OwnedFd, Errno>) -> Result<(), Gone> {
        let ask = self
            .0
            .0
            .asks
            .lock()
            .remove(&stream)
            .expect("an ask is answered once");
        // The test may have stopped waiting.
        let _ = ask.send(answer);
        Ok(())
    }

    async fn incoming(
        &self,
        port: u16,
        transport: Transport,
        from: SocketAddr,
        socket: OwnedFd,
    ) -> Result<StreamId, Errno> {
        let _ = transport;
        let listening = self.0.0.listening.lock().get(&port).cloned();
        let listening = listening.ok_or(Errno::CONNREFUSED)?;
        let stream = StreamId(self.0.0.next.fetch_add(1, Ordering::Relaxed) | 1 << 31);
        let incoming = Incoming {
            stream,
            from,
            socket,
        };
        listening.send(incoming).map_err(|_| Errno::CONNREFUSED)?;
        Ok(stream)
    }

    async fn reset(&self, stream: StreamId) {
        self.0.0.reset.lock().push(stream);
    }

    async fn limits(&self, limits: Limits) -> Result<(), Gone> {
        *self.0.0.limits.lock() = limits;
        Ok(())
    }

    async fn usage(&self) -> Result<Usage, Gone> {
        Ok(*self.0.0.usage.lock())
    }

    async fn stop(&self) {
        self.2.clone().wait_for(|slow| !slow).await.unwrap();
        self.1.lock().push(self.0.id());
        self.0.exit(Outcome::Stopped).await;
    }
}

/// A connection to the API, through a door.
pub fn door(gateway: &Gateway, door: Door) -> OwnedFd {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let stream = tokio::net::UnixStream::from_std(theirs).unwrap();
        http::serve(&gateway, stream, door).await;
    });
    ours.into()
}

/// A request.
pub fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}
