//! The life of an instance after its start: what it tells, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;
use unicell_gateway_api::event::What;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{Determinism, Outcome, Stopped, Usage};
use unicell_gateway_api::run::Event;
use unicell_gateway_api::token::Verb;
use unicell_gateway_api::{Code, Problem};

use super::authority::About;
use super::publish;
use super::route::No;
use super::{Caller, Gateway, Handle, Live, Phase, Result};
use crate::net::Member;
use crate::token::Principal;
use crate::tree::Consequences;

/// How long output is waited for after the process is gone. Its ends of the
/// pipes are closed then, so that this is never reached, unless something else
/// holds them.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Gateway {
    /// The verb `stop`: stops an instance, its descendants first.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub async fn stop(&self, caller: &Caller, id: InstanceId) -> Result<Stopped> {
        let live = {
            let state = self.0.state.lock();
            state.target(caller, Verb::Stop, id, About::default())?;
            state.live.get(&id).cloned()
        };
        let gone = || {
            Problem::new(
                Code::NotFound,
                format!("there is no instance {id} any more"),
            )
        };
        let live = live.ok_or_else(gone)?;
        let gateway = self.clone();
        self.finish(async move {
            gateway.halt(id, "it was asked for").await;
            Ok(())
        })
        .await?;
        let state = self.0.state.lock();
        let entry = state.tree.get(id).ok_or_else(gone)?;
        Ok(Stopped {
            outcome: entry.outcome.clone().unwrap_or(Outcome::Stopped),
            usage: live.facts.lock().usage.unwrap_or_default(),
            returned: entry.cost(),
        })
    }

    /// Stops an instance, its descendants first, and returns when nothing of
    /// them is left.
    pub(super) async fn halt(&self, id: InstanceId, reason: &str) {
        let (live, consequences) = {
            let mut state = self.0.state.lock();
            let live = state.live.get(&id).cloned();
            (live, state.tree.stop(id))
        };
        self.follow(consequences, reason).await;
        if let Some(live) = live {
            // The sender is in `live`.
            let _ = live
                .phase
                .subscribe()
                .wait_for(|phase| *phase == Phase::Ended)
                .await;
        }
    }

    /// Listens to an instance until its end.
    pub(super) async fn live(self, live: Arc<Live>, mut events: mpsc::Receiver<Event>) {
        let end = loop {
            match events.recv().await {
                Some(Event::Started { determinism }) => self.runs(&live, determinism),
                Some(Event::Open {
                    stream,
                    transport,
                    to,
                }) => self.open(&live, stream, transport, to).await,
                Some(Event::Refused {
                    transport,
                    to,
                    times,
                }) => {
                    // Nobody waits for an answer.
                    let _ = self.tell_refusal(&live, transport, to, &No::nowhere(), times);
                }
                Some(Event::Closed {
                    stream,
                    broken,
                    carried,
                }) => {
                    self.closed(&live, stream, broken.is_some(), carried).await;
                }
                Some(Event::Misreported {
                    amount,
                    claimed,
                    measured,
                }) => {
                    let what = What::Misreported {
                        amount,
                        claimed,
                        measured,
                    };
                    self.tell(&live, what);
                }
                Some(Event::Ended { outcome, usage }) => break Some((outcome, usage)),
                None => break None,
            }
        };
        let (outcome, usage) = end.unwrap_or_else(|| {
            let outcome = Outcome::Failed {
                code: 200,
                reason: "its process was lost".to_owned(),
            };
            (outcome, Usage::default())
        });
        self.gone(live.id, outcome, usage).await;
    }

    fn runs(&self, live: &Live, determinism: Determinism) {
        let after = live.asked.elapsed();
        let after_ns = after.as_nanos().try_into().unwrap_or(u64::MAX);
        {
            let mut facts = live.facts.lock();
            if facts.running.is_some() {
                return;
            }
            facts.running = Some(Instant::now());
            facts.determinism = determinism;
        }
        let mut state = self.0.state.lock();
        if !state.tree.running(live.id) {
            return;
        }
        state.meter.started(live.service, after_ns);
        self.tell(live, What::Running { after_ns });
        for network in self.network_states(&state, live.id) {
            let name = crate::net::name(&network.network).to_owned();
            match network.reason {
                Some(reason) => self.tell(
                    live,
                    What::NetworkRefused {
                        network: name,
                        reason,
                    },
                ),
                None if network.members == 0 => {
                    self.tell(live, What::NetworkEmpty { network: name });
                }
                None => {}
            }
        }
        live.advance(Phase::Running);
    }

    /// Its process is gone, or never came.
    pub(super) async fn gone(&self, id: InstanceId, outcome: Outcome, usage: Usage) {
        let Some(live) = self.0.state.lock().live.get(&id).cloned() else {
            return;
        };
        live.cancel.cancel();
        // What is remembered of it holds nothing of the host.
        drop(live.handle.lock().take());
        live.published.iter().for_each(publish::Published::release);
        live.ports.close();
        live.ports.wait().await;
        self.0.streams.end_all(id);
        if tokio::time::timeout(LAST_WORDS, live.log.ended())
            .await
            .is_err()
        {
            tracing::warn!(%id, "something still holds the pipes of an instance that has ended");
            live.log.close();
        }
        let usage = live.whole(usage);
        live.facts.lock().usage = Some(usage);
        let mut consequences = {
            let mut state = self.0.state.lock();
            if live.facts.lock().running.is_some() {
                state.meter.ended(live.service, &usage);
            }
            state.tree.gone(id, outcome)
        };
        // Its descendants are stopped; it has ended by itself.
        consequences.stopping.retain(|other| *other != id);
        self.follow(consequences, "its parent has ended").await;
    }

    /// Does what the tree says is to be done.
    async fn follow(&self, consequences: Consequences, reason: &str) {
        let Consequences {
            stop,
            stopping,
            ended,
            forgotten,
        } = consequences;
        let handles: Vec<_> = {
            let mut state = self.0.state.lock();
            for id in stopping {
                if let Some(live) = state.live.get(&id) {
                    let reason = reason.to_owned();
                    self.tell(live, What::Stopping { reason });
                }
            }
            for id in ended {
                self.buried(&mut state, id);
            }
            for id in forgotten {
                state.live.remove(&id);
                self.0.events.forget(id);
            }
            let handle = |id| state.live.get(id).and_then(|live| live.handle());
            stop.iter().filter_map(handle).collect()
        };
        join_all(handles.iter().map(|handle| handle.stop())).await;
    }

    /// Nothing of an instance is left.
    fn buried(&self, state: &mut super::State, id: InstanceId) {
        if let Some(live) = state.live.get(&id) {
            let principal = Principal::Instance(id, live.incarnation);
            for name in state.revocations.remove(&principal).unwrap_or_default() {
                state.revoked.remove(&name);
            }
        }
        state.parties.remove(&id);
        state.views.remove(&id);
        for view in state.views.values_mut() {
            view.forget(Member::Instance(id));
        }
        // Nobody waits: the next life would find nothing of it on the host.
        drop(self.0.record.forget(id));
        let outcome = state.tree.get(id).and_then(|entry| entry.outcome.clone());
        if let Some(live) = state.live.get(&id) {
            let outcome = outcome.unwrap_or(Outcome::Stopped);
            self.tell(live, What::Ended { outcome });
            live.advance(Phase::Ended);
        }
    }

    /// Something happened to an instance.
    pub(super) fn tell(&self, live: &Live, what: What) {
        self.0.events.instance(live.id, live.owner.clone(), what);
    }
}

impl Live {
    /// Its process, from when it is there until it is gone.
    pub(super) fn handle(&self) -> Option<Arc<dyn Handle>> {
        self.handle.lock().clone()
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            if forward {
                *phase = to;
            }
            forward
        });
    }
}
