//! Guests of tests: what a virtual machine would ask its node, a test asks.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};
use unicell_gateway_api::Problem;
use unicell_gateway_api::configuration::Configuration;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{Determinism, Jail, Limits, Outcome, Transport, Usage};
use unicell_gateway_api::run::{
    Carried, Errno, Event, Evidence, Gone, Instance, Kept, Launch, RunError, Runner, Running,
    StreamId, Traces,
};

use super::send;

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

    fn kept(&self) -> Kept {
        Kept {
            bytes: 7,
            bound: 8,
            dropped: 9,
        }
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

    /// The guest has refused streams by itself.
    pub async fn refuses(&self, to: &str, times: u32) {
        let refused = Event::Refused {
            transport: Transport::Tcp,
            to: to.parse().unwrap(),
            times,
        };
        self.0.events.send(refused).await.unwrap();
    }

    /// The guest is done with a stream.
    pub async fn close(&self, stream: StreamId, broken: Option<Errno>) {
        self.0
            .events
            .send(Event::Closed {
                stream,
                broken,
                carried: Carried::default(),
            })
            .await
            .unwrap();
    }

    /// The guest is done with a stream, of which its process says this.
    pub async fn claim(&self, stream: StreamId, sent: u64, received: u64) {
        let closed = Event::Closed {
            stream,
            broken: None,
            carried: Carried { sent, received },
        };
        self.0.events.send(closed).await.unwrap();
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
