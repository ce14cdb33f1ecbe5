//! Instances as micro-VMs: `unicell_gateway_api::run` over `unicell_vmm::link`.
//!
//! The process of an instance is hostile here, whatever it says. It gets a bounded time for
//! everything, and is killed when that is over or when it says what makes no sense.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use unicell_gateway_api::event::Amount;
use unicell_gateway_api::instance::{self as api, Determinism, Outcome, Transport};
use unicell_gateway_api::run::{
    Carried, Errno, Event, Evidence, Gone, Instance, Kept, Launch, RunError, Runner, Running,
    StreamId, Traces,
};
use unicell_vmm::jail::{Process, Report, Waiting};
use unicell_vmm::link::{self, Command, LinkError, Message, NodeEnd};
use unicell_vmm::reproducible::Level;

use super::evidence::{Account, Archive};
use super::launch::{bounds, limits, start_frame};
use super::metering;
use super::nursery::{self, Bed, Nursery, Ward};
use crate::instance::end_of;
use crate::reproduce::processor;

/// Events that wait for the gateway; when they are so many, the instance waits.
const EVENTS: usize = 64;
/// How long a process may take to do what it is told, or to read what it is sent.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a process that starts gives way to others.
const STARTING: Duration = Duration::from_millis(100);

/// Starts micro-VMs, each in a process of its own.
pub(super) struct Vmm {
    pub(super) nursery: Arc<Nursery>,
    pub(super) archive: Archive,
}

#[async_trait]
impl Runner for Vmm {
    async fn start(&self, launch: Launch) -> Result<Running, RunError> {
        let bounds = bounds(launch.limits);
        let (service, room) = (launch.service, launch.limits.disk);
        let (level, cpu) = (launch.determinism, launch.cpu);
        let mut start = start_frame(launch)?;
        let account = match level {
            Determinism::D0 => {
                processor(Level::D0, cpu).map_err(RunError::Refused)?;
                None
            }
            level => {
                let opened = self.archive.open((level, cpu), service, room, &mut start);
                Some(opened.await?)
            }
        };
        let Ward { waiting, bed } = self.nursery.take().await?;
        let Waiting {
            node,
            process,
            report,
        } = waiting;
        let process = Arc::new(process);
        let sent = bed.bound(&bounds).and_then(|()| {
            let sent = node.start(&start);
            sent.map_err(io::Error::other)
        });
        // What only the instance should hold is given up.
        drop(start);
        let ready = sent.and_then(|()| readiness(&node));
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                process.kill();
                nursery::gone(process, Some(bed)).await;
                return Err(error.into());
            }
        };
        let traces = Traces {
            pid: Some(process.pid()),
            pid_start: start_time(process.pid()),
            cgroups: bed.cgroups(),
            ..Traces::default()
        };
        let vm = Arc::new(Vm {
            ready,
            node,
            process,
            bed: Mutex::new(Some(bed)),
            account: account.clone(),
            gone: CancellationToken::new(),
            questions: Mutex::default(),
            brought: Mutex::default(),
        });
        let (sender, events) = mpsc::channel(EVENTS);
        tokio::spawn(attend(vm.clone(), sender));
        Ok(Running {
            instance: vm,
            events,
            traces,
            jail: jail(&report),
            evidence: account.map(|account| account as Arc<dyn Evidence>),
        })
    }

    fn kept(&self) -> Kept {
        self.archive.kept()
    }
}

fn jail(report: &Report) -> api::Jail {
    let lacking = report.lacks.iter();
    api::Jail {
        holds: report.holds.iter().map(ToString::to_string).collect(),
        lacks: lacking
            .map(|(layer, why)| (layer.to_string(), why.clone()))
            .collect(),
    }
}

/// The link again, only to wait for it: nothing is read or written through this.
fn readiness(node: &NodeEnd) -> std::io::Result<UnixDatagram> {
    let socket = std::os::unix::net::UnixDatagram::from(node.as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

/// When a process was started: field 22 of its `stat`.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold anything, but the last parenthesis ends it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// One instance.
struct Vm {
    node: NodeEnd,
    ready: UnixDatagram,
    process: Arc<Process>,
    /// None when the process is gone.
    bed: Mutex<Option<Bed>>,
    /// What its run can be proven by, if it can be repeated.
    account: Option<Arc<Account>>,
    /// Cancelled when there is no process any more.
    gone: CancellationToken,
    /// Who waits for the usage: the next answer is for all of them.
    questions: Mutex<Vec<oneshot::Sender<link::Usage>>>,
    /// Streams that were brought to the guest, and who waits for its answer.
    brought: Mutex<BTreeMap<u32, oneshot::Sender<Result<(), Errno>>>>,
}

impl Vm {
    async fn send(&self, command: &Command<'_>) -> Result<(), Gone> {
        let send = || match self.node.send(command) {
            Err(LinkError::Full) => Err(ErrorKind::WouldBlock.into()),
            result => Ok(result),
        };
        let sent = self.ready.async_io(Interest::WRITABLE, send);
        match timeout(PATIENCE, sent).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(_) => Err(Gone),
            Err(_) => {
                warn!(
                    pid = self.process.pid(),
                    "an instance's process does not read: killed"
                );
                self.process.kill();
                Err(Gone)
            }
        }
    }

    async fn receive(&self) -> Result<Message, LinkError> {
        let receive = || match self.node.try_receive() {
            Ok(None) => Err(ErrorKind::WouldBlock.into()),
            Ok(Some(message)) => Ok(Ok(message)),
            Err(error) => Ok(Err(error)),
        };
        let received = self.ready.async_io(Interest::READABLE, receive).await;
        received.unwrap_or(Err(LinkError::Closed))
    }

    /// What is not true of what the process says that it has used. `streamed` is what it has said of
    /// streams that are over.
    fn lie(&self, claimed: &link::Usage, streamed: u64) -> Option<Event> {
        let bytes = claimed.sent.saturating_add(claimed.received);
        if bytes < streamed {
            return Some(Event::Misreported {
                amount: Amount::StreamBytes,
                claimed: bytes,
                measured: streamed,
            });
        }
        let cpu = claimed.cpu_ns.saturating_add(claimed.io_ns);
        let measured = self.process.cpu_ns()?;
        if !metering::agrees(cpu, measured, metering::CPU_SLACK_NS) {
            return Some(Event::Misreported {
                amount: Amount::CpuNs,
                claimed: cpu,
                measured,
            });
        }
        let (claimed, measured) = (claimed.memory, self.process.own_memory()?);
        let lie = Event::Misreported {
            amount: Amount::Memory,
            claimed,
            measured,
        };
        (!metering::agrees(claimed, measured, metering::MEMORY_SLACK)).then_some(lie)
    }

    /// Lets others go before the instance, or not any more.
    fn give_way(&self, gives_way: bool) {
        if let Some(bed) = &*self.bed.lock() {
            bed.give_way(gives_way);
        }
    }

    /// Waits until the process has closed its end, which it does when it ends; kills it when that
    /// takes too long.
    async fn hung_up(&self) {
        let closed = async { while self.receive().await.is_ok() {} };
        if timeout(PATIENCE, closed).await.is_err() {
            let pid = self.process.pid();
            warn!(pid, "an instance's process hangs: killed");
        }
        // What ends by itself is not disturbed, and what only pretends to, ends.
        self.process.kill();
    }

    /// Tells whoever brought a stream what became of it. Whether anybody waited.
    fn brought(&self, stream: u32, answer: Result<(), Errno>) -> bool {
        match self.brought.lock().remove(&stream) {
            // Whoever waited may have given up meanwhile.
            Some(waiting) => waiting.send(answer).is_ok(),
            None => false,
        }
    }
}

/// A stream that was brought to the guest and that nobody waits for any more, once dropped.
struct Brought<'a> {
    vm: &'a Vm,
    stream: u32,
}

impl Drop for Brought<'_> {
    fn drop(&mut self) {
        self.vm.brought.lock().remove(&self.stream);
        let reset = Command::Reset {
            stream: self.stream,
        };
        // Without waiting: a process that does not read its link has no use for the stream.
        let _ = self.vm.node.send(&reset);
    }
}

/// Passes on what an instance tells, until it has ended and nothing is left of it.
async fn attend(vm: Arc<Vm>, events: mpsc::Sender<Event>) {
    let mut usage = link::Usage::default();
    let mut lied = false;
    let mut ended = None;
    // Bytes through streams that are over, as it has told of each.
    let mut streamed = 0_u64;
    let mut hurry = pin!(tokio::time::sleep(STARTING));
    let mut is_starting = true;
    let end = loop {
        let received = tokio::select! {
            received = vm.receive() => received,
            () = &mut hurry, if is_starting => {
                is_starting = false;
                vm.give_way(false);
                continue;
            }
        };
        let event = match received {
            Ok(Message::Started) => {
                // From now on it says itself when it does not give way any more.
                is_starting = false;
                Event::Started {
                    determinism: vm.account.as_ref().map_or(Determinism::D0, |it| it.level()),
                }
            }
            Ok(Message::Open(open)) => Event::Open {
                stream: StreamId(open.stream),
                transport: transport(open.transport),
                to: open.to,
            },
            Ok(Message::Refused(refused)) => Event::Refused {
                transport: transport(refused.transport),
                to: refused.to,
                times: refused.times.max(1),
            },
            Ok(Message::GivesWay(gives_way)) => {
                vm.give_way(gives_way);
                continue;
            }
            Ok(Message::Accepted { stream }) => {
                vm.brought(stream, Ok(()));
                continue;
            }
            Ok(Message::Closed(closed)) => {
                let broken = errno(closed.errno);
                if vm.brought(closed.stream, Err(broken.unwrap_or(Errno::CONNREFUSED))) {
                    continue;
                }
                streamed = streamed
                    .saturating_add(closed.sent)
                    .saturating_add(closed.received);
                Event::Closed {
                    stream: StreamId(closed.stream),
                    broken,
                    carried: Carried {
                        sent: closed.sent,
                        received: closed.received,
                    },
                }
            }
            Ok(Message::Usage(now)) => {
                usage = now;
                // Once: whoever lies is known for it.
                let lie = (!lied).then(|| vm.lie(&now, streamed)).flatten();
                if let Some(lie) = lie {
                    lied = true;
                    warn!(
                        pid = vm.process.pid(),
                        "an instance's process lies about its usage"
                    );
                    // Nobody listening is found out below.
                    let _ = events.send(lie).await;
                }
                for asked in vm.questions.lock().drain(..) {
                    // Whoever asked may have given up.
                    let _ = asked.send(now);
                }
                continue;
            }
            Ok(Message::Ended(outcome)) => {
                let end = end_of(&outcome);
                ended = Some(outcome);
                break Ok(end);
            }
            Ok(Message::Ready(_) | Message::Unfit(_)) => {
                vm.process.kill();
                break Err("it speaks of its jail after its start".to_owned());
            }
            Err(error) => {
                // What has closed its end is ending by itself: how is asked below.
                if !matches!(error, LinkError::Closed) {
                    vm.process.kill();
                }
                break Err(error.to_string());
            }
        };
        if events.send(event).await.is_err() {
            // Nobody has a use for it.
            vm.process.kill();
        }
    };
    vm.questions.lock().clear();
    vm.brought.lock().clear();
    // Taking a machine apart takes the host longer than making it, and nobody is in a hurry for it.
    vm.give_way(true);
    vm.hung_up().await;
    // Before anybody is told: nothing of it is left on the host then.
    let bed = vm.bed.lock().take();
    let how = nursery::gone(Arc::clone(&vm.process), bed).await;
    if let Some(account) = &vm.account {
        account.close(ended.as_deref()).await;
    }
    vm.gone.cancel();
    let usage = used(usage);
    let outcome = end.unwrap_or_else(|why| lost(how.as_deref().unwrap_or("without a word"), &why));
    // As above.
    let _ = events.send(Event::Ended { outcome, usage }).await;
}

fn lost(how: &str, why: &str) -> Outcome {
    Outcome::Failed {
        code: crate::exit_code::Code::Internal as u16,
        reason: format!("its process ended {how}: {why}"),
    }
}

fn used(usage: link::Usage) -> api::Usage {
    api::Usage {
        cpu_ns: usage.cpu_ns.saturating_add(usage.io_ns),
        memory: usage.memory,
        memory_peak: usage.memory_peak,
        bytes_in: usage.received,
        bytes_out: usage.sent,
        exits: usage.exits,
        ..api::Usage::default()
    }
}

fn transport(transport: link::Transport) -> Transport {
    match transport {
        link::Transport::Tcp => Transport::Tcp,
        link::Transport::Udp => Transport::Udp,
    }
}

/// Zero is none.
fn errno(number: u16) -> Option<Errno> {
    (number != 0).then(|| Errno::from_raw_os_error(number.into()))
}

#[async_trait]
impl Instance for Vm {
    async fn answer(&self, stream: StreamId, answer: Result<OwnedFd, Errno>) -> Result<(), Gone> {
        let StreamId(stream) = stream;
        match &answer {
            Ok(socket) => {
                let socket = socket.as_fd();
                self.send(&Command::Opened { stream, socket }).await
            }
            Err(errno) => {
                let errno = errno.raw_os_error().try_into().map_err(|_| Gone)?;
                self.send(&Command::Refused { stream, errno }).await
            }
        }
    }

    async fn incoming(
        &self,
        port: u16,
        transport: Transport,
        from: std::net::SocketAddr,
        socket: OwnedFd,
    ) -> Result<StreamId, Errno> {
        let transport = match transport {
            Transport::Tcp => link::Transport::Tcp,
            Transport::Udp => link::Transport::Udp,
        };
        let stream = self.node.new_stream();
        let (waiting, answer) = oneshot::channel();
        self.brought.lock().insert(stream, waiting);
        let brought = Brought { vm: self, stream };
        let command = Command::Incoming {
            stream,
            transport,
            from,
            port,
            socket: socket.as_fd(),
        };
        self.send(&command).await.map_err(|Gone| Errno::CONNRESET)?;
        let answer = answer.await.unwrap_or(Err(Errno::CONNRESET));
        std::mem::forget(brought);
        answer.map(|()| StreamId(stream))
    }

    async fn reset(&self, stream: StreamId) {
        let StreamId(stream) = stream;
        let reset = Command::Reset { stream };
        // At once, if that can be. Of what is gone, nothing has to be broken off.
        if matches!(self.node.send(&reset), Err(LinkError::Full)) {
            let _ = self.send(&reset).await;
        }
    }

    async fn limits(&self, to: api::Limits) -> Result<(), Gone> {
        let bounded = self.bed.lock().as_ref().map(|bed| bed.bound(&bounds(to)));
        if let Some(Err(error)) = bounded {
            warn!(%error, "the host does not change an instance's bounds");
        }
        self.send(&Command::Limits(limits(to))).await
    }

    async fn usage(&self) -> Result<api::Usage, Gone> {
        let (asked, answer) = oneshot::channel();
        {
            // A process that never answers is asked again and again.
            let mut questions = self.questions.lock();
            questions.retain(|waiting| !waiting.is_closed());
            questions.push(asked);
        }
        self.send(&Command::Usage).await?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(usage)) => Ok(used(usage)),
            _ => Err(Gone),
        }
    }

    async fn stop(&self) {
        if self.node.stop().is_err() || timeout(PATIENCE, self.gone.cancelled()).await.is_err() {
            self.process.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command as Program;
    use unicell_vmm::End;
    use unicell_vmm::Timeline;
    use unicell_vmm::link::InstanceEnd;

    /// What the node hears of a process that says this about its usage, and that so many bytes went
    /// through a stream, and ends.
    #[expect(clippy::zombie_processes, reason = "the node ends it and waits for it")]
    async fn hears(claimed: link::Usage, streamed: u64) -> Vec<Event> {
        let (node, theirs) = NodeEnd::pair().unwrap();
        let child = Program::new("sleep").arg("1000").spawn().unwrap();
        let vm = Arc::new(Vm {
            ready: readiness(&node).unwrap(),
            node,
            process: Arc::new(Process::of_child(&child).unwrap()),
            bed: Mutex::new(None),
            account: None,
            gone: CancellationToken::new(),
            questions: Mutex::default(),
            brought: Mutex::default(),
        });
        let liar = InstanceEnd::new(theirs);
        liar.send(&Message::Started).unwrap();
        let closed = link::Closed {
            stream: 7,
            errno: 0,
            sent: streamed,
            received: 0,
        };
        liar.send(&Message::Closed(closed)).unwrap();
        liar.send(&Message::Usage(claimed)).unwrap();
        liar.send(&Message::Usage(claimed)).unwrap();
        let outcome = unicell_vmm::Outcome::failed(End::Stopped, String::new(), Timeline::now());
        liar.send(&Message::Ended(Box::new(outcome))).unwrap();
        drop(liar);
        let (sender, mut events) = mpsc::channel(EVENTS);
        attend(vm, sender).await;
        let mut heard = Vec::new();
        while let Some(event) = events.recv().await {
            heard.push(event);
        }
        heard
    }

    fn lies(events: &[Event]) -> Vec<Amount> {
        let lie = |event: &Event| match event {
            Event::Misreported { amount, .. } => Some(*amount),
            _ => None,
        };
        events.iter().filter_map(lie).collect()
    }

    #[test]
    fn a_process_that_lies_about_its_usage_is_noticed_once() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let hears_of = |claimed, streamed| runtime.block_on(hears(claimed, streamed));
        let hears = |claimed| hears_of(claimed, 0);
        let honest = link::Usage::default();
        assert_eq!(lies(&hears(honest)), []);
        let hour = link::Usage {
            cpu_ns: 3_600_000_000_000,
            ..honest
        };
        assert_eq!(lies(&hears(hour)), [Amount::CpuNs]);
        let huge = link::Usage {
            memory: 1 << 40,
            ..honest
        };
        assert_eq!(lies(&hears(huge)), [Amount::Memory]);
        assert_eq!(lies(&hears_of(honest, 5)), [Amount::StreamBytes]);
        let end = hears(hour).pop();
        assert!(matches!(end, Some(Event::Ended { .. })), "{end:?}");
    }
}
