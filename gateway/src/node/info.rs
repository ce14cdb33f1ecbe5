//! What callers are told: instances, logs, events, the node.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{self, join_all};
use futures_util::{Stream, StreamExt, stream};
use unicell_gateway_api::Problem;
use unicell_gateway_api::address::Address;
use unicell_gateway_api::event::{Event, What};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{
    Instance, Limits, Resources, SlotAddress, State as Life, Usage,
};
use unicell_gateway_api::log::LogEntry;
use unicell_gateway_api::node::{GATEWAY_PROTOCOL, Node};
use unicell_gateway_api::token::Verb;
use unicell_gateway_api::{Code, Problem as P};

use super::authority::About;
use super::serve::relayed;
use super::start::refusal;
use super::{Caller, Gateway, Live, Phase, Result, State, draft};
use crate::events::Told;

impl Live {
    /// What it has used in all, with what the node itself knows.
    pub(super) fn whole(&self, usage: Usage) -> Usage {
        let running = self.facts.lock().running;
        let wall = running.map_or(0, |since| since.elapsed().as_nanos());
        Usage {
            bytes_relayed: relayed(self),
            wall_ns: wall.try_into().unwrap_or(u64::MAX),
            ..usage
        }
    }

    async fn usage(&self) -> Usage {
        if let Some(usage) = self.facts.lock().usage {
            return usage;
        }
        let usage = match self.handle() {
            // It may end while we ask.
            Some(handle) => handle.usage().await.unwrap_or_default(),
            None => Usage::default(),
        };
        self.whole(usage)
    }

    /// Its slots at some addresses.
    pub(super) fn slots_at(&self, addresses: &[IpAddr]) -> Vec<SlotAddress> {
        let at = |port| {
            addresses
                .iter()
                .map(|ip| SocketAddr::new(*ip, port))
                .collect()
        };
        let slots = self.slots.iter().map(|slot| SlotAddress {
            port: slot.port,
            transport: slot.transport,
            addresses: at(slot.port),
            protocols: slot.protocols.clone(),
        });
        slots.collect()
    }
}

impl State {
    /// An instance's slots, and where a caller reaches them: in its guest, or
    /// on the host.
    pub(super) fn slots_for(&self, caller: &Caller, live: &Live) -> Vec<SlotAddress> {
        let entry = self
            .tree
            .get(live.id)
            .filter(|entry| entry.state != Life::Ended);
        let address = match (caller.instance(), entry) {
            (Some(id), _) if id == live.id => Some(Address::Own),
            (Some(id), Some(entry)) if entry.parent() == Some(id) => {
                Some(Address::Child(entry.number))
            }
            _ => None,
        };
        if let Some(address) = address {
            return live.slots_at(&[address.v4().into(), address.v6().into()]);
        }
        let mut slots = live.slots_at(&[]);
        for published in live.published.iter().filter(|_| entry.is_some()) {
            for slot in &mut slots {
                if slot.port == published.slot && slot.transport == published.transport {
                    slot.addresses.push(published.host);
                }
            }
        }
        slots
    }
}

/// Whether limits can change so while an instance runs that uses so much memory.
fn lowered_to_use(before: Limits, after: Limits, used: u64) -> Result<()> {
    let conflict = |detail| Err(P::new(Code::Conflict, detail));
    if after.memory < before.memory && after.memory < used {
        return conflict(format!(
            "resources.memory: {} is less than the {used} that it uses",
            after.memory
        ));
    }
    if after.disk != before.disk {
        return conflict("resources.disk: it is settled at the start".to_owned());
    }
    Ok(())
}

impl Gateway {
    /// The verb `instance`.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub async fn instance(&self, caller: &Caller, id: InstanceId) -> Result<Instance> {
        let live = {
            let state = self.0.state.lock();
            state.target(caller, Verb::Instance, id, About::default())?;
            state.live.get(&id).cloned()
        };
        let unknown = || {
            P::new(
                Code::NotFound,
                format!("there is no instance {id} any more"),
            )
        };
        self.describe(caller, &*live.ok_or_else(unknown)?)
            .await
            .ok_or_else(unknown)
    }

    /// The verb `instances`: those that the caller started; for the operator
    /// all. Those that have ended lately are among them.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub async fn instances(&self, caller: &Caller) -> Result<Vec<Instance>> {
        caller.permit_some(Verb::Instance)?;
        let instances = self.seen(caller, Verb::Instance).await;
        let own = caller.instance();
        Ok(instances
            .into_iter()
            .filter(|instance| own != Some(instance.id))
            .collect())
    }

    /// The verb `metrics`: like [`Gateway::instances`], with the caller itself.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub async fn metered(&self, caller: &Caller) -> Result<Vec<Instance>> {
        caller.permit_some(Verb::Metrics)?;
        Ok(self.seen(caller, Verb::Metrics).await)
    }

    async fn seen(&self, caller: &Caller, verb: Verb) -> Vec<Instance> {
        let seen: Vec<_> = {
            let state = self.0.state.lock();
            let sees =
                |live: &&Arc<Live>| caller.sees(verb, live.id, Some(live.incarnation), &live.owner);
            state.live.values().filter(sees).cloned().collect()
        };
        let mut instances: Vec<_> = join_all(seen.iter().map(|live| self.describe(caller, live)))
            .await
            .into_iter()
            .flatten()
            .collect();
        instances.sort_by_key(|instance| instance.incarnation);
        instances
    }

    async fn describe(&self, caller: &Caller, live: &Live) -> Option<Instance> {
        let usage = live.usage().await;
        let state = self.0.state.lock();
        let entry = state.tree.get(live.id)?;
        let (determinism, jail) = {
            let facts = live.facts.lock();
            (facts.determinism, facts.jail.clone())
        };
        Some(Instance {
            id: entry.id,
            incarnation: entry.incarnation,
            service: entry.service,
            name: entry.name.clone(),
            owner: entry.owner.clone(),
            state: entry.state,
            outcome: entry.outcome.clone(),
            started_ms: live.started_ms,
            slots: state.slots_for(caller, live),
            networks: self.network_states(&state, live.id),
            limits: entry.limits,
            allowance: entry.allowance,
            usage,
            determinism,
            jail,
            children: entry.children.values().copied().collect(),
        })
    }

    /// The verb `resources`: changes an instance's limits while it runs, within
    /// what its service declares and what its parent may use.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is not so much.
    pub async fn resources(
        &self,
        caller: &Caller,
        id: InstanceId,
        asked: Resources,
    ) -> Result<Limits> {
        let live = {
            let state = self.0.state.lock();
            state.target(caller, Verb::Resources, id, About::default())?;
            state.live.get(&id).cloned()
        };
        let live = live.ok_or_else(|| {
            P::new(
                Code::NotFound,
                format!("there is no instance {id} any more"),
            )
        })?;
        let service = live.service;
        let plan = self
            .blocking(move |services| services.plan(service))
            .await?;
        // What it uses it is not made to give back: less than that would end it.
        let used = match asked.memory {
            Some(_) => live.usage().await.memory,
            None => 0,
        };
        let (before, after) = {
            let mut state = self.0.state.lock();
            let entry = state
                .tree
                .get(id)
                .filter(|entry| entry.state == Life::Running);
            let before = entry
                .ok_or_else(|| P::new(Code::Conflict, format!("instance {id} does not run")))?
                .limits;
            // What is not said stays as it is.
            let asked = Resources {
                memory: asked.memory.or(Some(before.memory)),
                cpu_milli: asked.cpu_milli.or(Some(before.cpu_milli)),
                disk: asked.disk.or(Some(before.disk)),
            };
            let after = draft::limits(&plan, &asked)?;
            lowered_to_use(before, after, used)?;
            state
                .tree
                .resize(id, after)
                .map_err(|refused| refusal(&refused))?;
            (before, after)
        };
        let gateway = self.clone();
        self.finish(async move { gateway.resized(&live, before, after).await })
            .await
    }

    /// Tells an instance's process of its new limits.
    async fn resized(&self, live: &Live, before: Limits, after: Limits) -> Result<Limits> {
        let told = match live.handle() {
            Some(handle) => handle.limits(after).await,
            None => Err(unicell_gateway_api::run::Gone),
        };
        if let Err(gone) = told {
            // What it had before is still there for it.
            let _ = self.0.state.lock().tree.resize(live.id, before);
            return Err(P::new(Code::Conflict, gone));
        }
        self.tell(live, What::Limits { limits: after });
        Ok(after)
    }

    /// The verb `logs`: what an instance printed, and if `follow` what it
    /// prints until its end.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub fn logs(
        &self,
        caller: &Caller,
        id: InstanceId,
        follow: bool,
    ) -> Result<impl Stream<Item = LogEntry> + Send + use<>, Problem> {
        let state = self.0.state.lock();
        state.target(caller, Verb::Logs, id, About::default())?;
        let live = state.live.get(&id);
        let live = live.ok_or_else(|| {
            P::new(
                Code::NotFound,
                format!("there is no instance {id} any more"),
            )
        })?;
        let log = Arc::clone(&live.log).read(follow);
        let mut phase = live.phase.subscribe();
        // The output can end long before the instance does. One that is forgotten has ended.
        let end = async move {
            if follow {
                let _ = phase.wait_for(|phase| *phase == Phase::Ended).await;
            }
            None
        };
        Ok(log.chain(stream::once(end).filter_map(future::ready)))
    }

    /// The verb `events`: what happened lately to the instances of the caller,
    /// and if `follow` what happens from now on. The operator sees all.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub fn events(
        &self,
        caller: &Caller,
        follow: bool,
    ) -> Result<impl Stream<Item = Event> + Send + use<>, Problem> {
        caller.permit_some(Verb::Events)?;
        let about_one = caller.about_one_instance();
        let (gateway, caller) = (self.clone(), caller.clone());
        Ok(self.0.events.listen(follow, move |told: &Told| {
            match (&told.event.instance, &told.owner) {
                (Some(id), Some(owner)) => {
                    let incarnation = about_one
                        .then(|| {
                            gateway
                                .0
                                .state
                                .lock()
                                .live
                                .get(id)
                                .map(|live| live.incarnation)
                        })
                        .flatten();
                    caller.sees(Verb::Events, *id, incarnation, owner)
                }
                _ => caller.is_operator() && !about_one,
            }
        }))
    }

    /// What the node says of itself.
    #[must_use]
    pub fn node(&self) -> Node {
        let state = self.0.state.lock();
        Node {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocols: vec![GATEWAY_PROTOCOL.to_owned()],
            architecture: self.config().architecture.clone(),
            capacity: self.config().bounds.capacity,
            free: state
                .tree
                .free(&unicell_gateway_api::instance::Owner::Operator),
            instances: state.tree.live(),
        }
    }
}
