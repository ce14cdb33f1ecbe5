//! The tree of instances: who belongs to whom, what each may use, and who is
//! to be stopped next. A state machine without I/O: it is told what happened
//! and says what is to be done.
//!
//! Invariants, held by a property test:
//!
//! - An instance that has not ended has a parent that has not ended.
//! - No process is told to stop while a descendant of it has one.
//! - What a pool has given out is the sum of what was drawn from it, and never
//!   more than it has.
//! - Children of one parent have different names and different numbers.

mod entry;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use unicell_gateway_api::id::{Incarnation, InstanceId, ServiceId};
use unicell_gateway_api::instance::{Limits, Outcome, Owner, State};

pub use entry::{Entry, Process};
pub use pool::Pool;

/// Bounds of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What all instances together may use.
    pub capacity: Limits,
    /// What the instances of one client and their descendants may use.
    pub client: Limits,
    /// Instances on the node that have not ended.
    pub instances: usize,
    /// Children of one instance, or of one client, that have not ended.
    pub children: usize,
    /// How deep children of children go.
    pub depth: usize,
    /// Ended instances that are remembered.
    pub remembered: usize,
}

/// An instance that is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its id, not in use.
    pub id: InstanceId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Who starts it.
    pub owner: Owner,
    /// Of which service.
    pub service: ServiceId,
    /// Its name for its parent; with `exact` no other is taken.
    pub name: String,
    /// Whether the name was asked for.
    pub exact: bool,
    /// Its own bounds.
    pub limits: Limits,
    /// What its descendants may use, if that is set apart.
    pub allowance: Option<Limits>,
}

/// Why an instance cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The id is in use. Another is to be drawn.
    #[error("the id {0} is in use")]
    Id(InstanceId),
    /// There is no such parent, or it does not run.
    #[error("the parent does not run")]
    Parent,
    /// The name is in use.
    #[error("another child has the name {0:?}")]
    Name(String),
    /// A bound of the node.
    #[error("there are {0} instances on this node, as many as there may be")]
    Instances(usize),
    /// A bound of the parent.
    #[error("the parent has {0} children, as many as it may have")]
    Children(usize),
    /// Too deep.
    #[error("it would be {0} levels deep, more than there may be")]
    Depth(usize),
    /// A pool has not enough.
    #[error("{what}: {asked} asked, {free} free of what {whose} may use")]
    Resources {
        /// Of what.
        what: &'static str,
        /// How much was asked for.
        asked: u64,
        /// How much there is.
        free: u64,
        /// Whose pool it is.
        whose: Pool,
    },
}

/// What an end leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Processes to be stopped now: nothing below them is left.
    pub stop: Vec<InstanceId>,
    /// Instances that are being stopped since this, children first.
    pub stopping: Vec<InstanceId>,
    /// Instances of which nothing is left since this, children first.
    pub ended: Vec<InstanceId>,
    /// Ended instances that are remembered no more.
    pub forgotten: Vec<InstanceId>,
}

/// The tree.
#[derive(Debug)]
pub struct Tree {
    bounds: Bounds,
    entries: BTreeMap<InstanceId, Entry>,
    /// Drawn from the node's capacity.
    drawn: Limits,
    /// Drawn by each client that has instances.
    clients: BTreeMap<String, Limits>,
    ended: VecDeque<InstanceId>,
    live: usize,
}

impl Tree {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: BTreeMap::new(),
            drawn: Limits::default(),
            clients: BTreeMap::new(),
            ended: VecDeque::new(),
            live: 0,
        }
    }

    /// Its bounds.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// An instance, ended ones that are remembered too.
    #[must_use]
    pub fn get(&self, id: InstanceId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// All of them, ended ones that are remembered too.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Instances that have not ended.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.live
    }

    /// An instance and its ancestors, itself first.
    pub fn lineage(&self, id: InstanceId) -> impl Iterator<Item = &Entry> {
        std::iter::successors(self.entries.get(&id), |entry| self.parent(entry))
    }

    /// An owner and all who are above it, itself first.
    pub fn payers<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Owner> {
        std::iter::successors(Some(owner), |owner| match owner {
            Owner::Instance(id) => self.entries.get(id).map(|entry| &entry.owner),
            Owner::Operator | Owner::Client(_) => None,
        })
    }

    /// The operator or the client from whom all above an owner comes.
    #[must_use]
    pub fn tenant<'a>(&'a self, owner: &'a Owner) -> &'a Owner {
        self.payers(owner).last().unwrap_or(owner)
    }

    fn parent(&self, entry: &Entry) -> Option<&Entry> {
        entry.parent().and_then(|id| self.entries.get(&id))
    }

    /// An instance and all below it that has not ended, children first.
    #[must_use]
    pub fn subtree(&self, id: InstanceId) -> Vec<InstanceId> {
        let mut order = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(entry) = self.entries.get(&id) else {
                continue;
            };
            order.push(id);
            open.extend(entry.children.values());
        }
        order.reverse();
        order
    }

    /// The live children of an owner.
    pub fn children<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .values()
            .filter(move |entry| entry.owner == *owner && entry.state != State::Ended)
    }

    /// Takes an instance in: it has a name, a number and resources from now on.
    ///
    /// # Errors
    ///
    /// It cannot be; nothing has changed then.
    pub fn admit(&mut self, wanted: Wanted) -> Result<&Entry, Refused> {
        if self.entries.contains_key(&wanted.id) {
            return Err(Refused::Id(wanted.id));
        }
        if self.live >= self.bounds.instances {
            return Err(Refused::Instances(self.live));
        }
        let number = self.place(&wanted)?;
        let name = self.name(&wanted)?;
        let cost = entry::cost(wanted.limits, wanted.allowance);
        self.draw(&wanted.owner, Limits::default(), cost)?;

        let id = wanted.id;
        if let Some(parent) = wanted.parent().and_then(|id| self.entries.get_mut(&id)) {
            parent.children.insert(number, id);
            parent.last_number = number;
        }
        self.live += 1;
        Ok(self
            .entries
            .entry(id)
            .or_insert(Entry::new(wanted, name, number)))
    }

    /// Where it goes: the number among its siblings.
    fn place(&self, wanted: &Wanted) -> Result<u16, Refused> {
        let Some(id) = wanted.parent() else {
            let siblings = self.children(&wanted.owner).count();
            let bounded = matches!(wanted.owner, Owner::Client(_));
            return if bounded && siblings >= self.bounds.children {
                Err(Refused::Children(siblings))
            } else {
                Ok(0)
            };
        };
        let parent = self.entries.get(&id).ok_or(Refused::Parent)?;
        if parent.state != State::Running {
            return Err(Refused::Parent);
        }
        if parent.children.len() >= self.bounds.children {
            return Err(Refused::Children(parent.children.len()));
        }
        let depth = self.lineage(id).count() + 1;
        if depth > self.bounds.depth {
            return Err(Refused::Depth(depth));
        }
        parent
            .free_number()
            .ok_or(Refused::Children(parent.children.len()))
    }

    /// What it is called: as asked, or with a number that makes it differ.
    fn name(&self, wanted: &Wanted) -> Result<String, Refused> {
        let taken = |name: &str| self.children(&wanted.owner).any(|entry| entry.name == name);
        if !taken(&wanted.name) {
            return Ok(wanted.name.clone());
        }
        if wanted.exact {
            return Err(Refused::Name(wanted.name.clone()));
        }
        // One of these is free: there are fewer siblings than numbers.
        (2..=self.live + 2)
            .map(|number| format!("{}-{number}", wanted.name))
            .find(|name| !taken(name))
            .ok_or_else(|| Refused::Name(wanted.name.clone()))
    }

    /// Its process is there. Says whether it is to be stopped at once, since
    /// that was asked for meanwhile.
    pub fn attached(&mut self, id: InstanceId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return true;
        };
        entry.process = Process::There;
        if entry.state == State::Stopping {
            entry.told_to_stop = true;
        }
        entry.state == State::Stopping
    }

    /// Its program runs: it may have children.
    pub fn running(&mut self, id: InstanceId) -> bool {
        match self.entries.get_mut(&id) {
            Some(entry) if entry.state == State::Starting => {
                entry.state = State::Running;
                true
            }
            _ => false,
        }
    }

    /// It is to be stopped, and all below it before it. From now on nothing is
    /// started below it.
    pub fn stop(&mut self, id: InstanceId) -> Consequences {
        let mut consequences = Consequences::default();
        self.mark_stopping(id, &mut consequences);
        for id in self.subtree(id) {
            self.stop_if_bare(id, &mut consequences);
        }
        consequences
    }

    fn mark_stopping(&mut self, id: InstanceId, consequences: &mut Consequences) {
        for id in self.subtree(id) {
            if let Some(entry) = self.entries.get_mut(&id)
                && entry.state < State::Stopping
            {
                entry.state = State::Stopping;
                consequences.stopping.push(id);
            }
        }
    }

    /// Its process is gone, or never came.
    pub fn gone(&mut self, id: InstanceId, outcome: Outcome) -> Consequences {
        let mut consequences = Consequences::default();
        let Some(entry) = self.entries.get_mut(&id) else {
            return consequences;
        };
        if entry.process == Process::Gone {
            return consequences;
        }
        entry.process = Process::Gone;
        entry.outcome = Some(outcome);
        self.mark_stopping(id, &mut consequences);
        self.settle(id, &mut consequences);
        for id in self.subtree(id) {
            self.stop_if_bare(id, &mut consequences);
        }
        consequences
    }

    /// Ends an instance of which nothing is left, then perhaps its parent; or
    /// lets the parent's process be stopped, if this was the last below it.
    fn settle(&mut self, id: InstanceId, consequences: &mut Consequences) {
        let mut next = Some(id);
        while let Some(id) = next.take() {
            let Some(entry) = self.entries.get_mut(&id) else {
                return;
            };
            if entry.process != Process::Gone || !entry.children.is_empty() {
                self.stop_if_bare(id, consequences);
                return;
            }
            entry.state = State::Ended;
            let (owner, number, cost) = (entry.owner.clone(), entry.number, entry.cost());
            next = entry.parent();
            self.give_back(&owner, cost);
            if let Some(parent) = next.and_then(|parent| self.entries.get_mut(&parent)) {
                parent.children.remove(&number);
            }
            self.live -= 1;
            consequences.ended.push(id);
            self.remember(id, consequences);
        }
    }

    /// Lets a process be stopped that is to be stopped, and has nothing below it.
    fn stop_if_bare(&mut self, id: InstanceId, consequences: &mut Consequences) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.state == State::Stopping
            && entry.process == Process::There
            && entry.children.is_empty()
            && !entry.told_to_stop
        {
            entry.told_to_stop = true;
            consequences.stop.push(id);
        }
    }

    fn remember(&mut self, id: InstanceId, consequences: &mut Consequences) {
        self.ended.push_back(id);
        while self.ended.len() > self.bounds.remembered {
            if let Some(oldest) = self.ended.pop_front() {
                self.entries.remove(&oldest);
                consequences.forgotten.push(oldest);
            }
        }
    }

    /// Changes an instance's own bounds.
    ///
    /// # Errors
    ///
    /// There is not so much to be had, or the instance has ended.
    pub fn resize(&mut self, id: InstanceId, limits: Limits) -> Result<(), Refused> {
        let entry = self.entries.get(&id).ok_or(Refused::Parent)?;
        if entry.state == State::Ended {
            return Err(Refused::Parent);
        }
        let (owner, before) = (entry.owner.clone(), entry.cost());
        let after = entry::cost(limits, entry.allowance);
        self.draw(&owner, before, after)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.limits = limits;
        }
        Ok(())
    }
}
