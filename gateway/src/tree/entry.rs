//! One instance in the tree.

use std::collections::BTreeMap;

use unicell_gateway_api::id::{Incarnation, InstanceId, ServiceId};
use unicell_gateway_api::instance::{Limits, Outcome, Owner, State};

use super::Wanted;

/// What is known of an instance's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It is being made.
    Coming,
    /// It is there.
    There,
    /// It is gone, or never came.
    Gone,
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: InstanceId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Who started it.
    pub owner: Owner,
    /// Of which service it is.
    pub service: ServiceId,
    /// Its name for its parent.
    pub name: String,
    /// Its number among its parent's children, from 1; 0 if its parent is no instance.
    pub number: u16,
    /// Where it is in its life.
    pub state: State,
    /// What is known of its process.
    pub process: Process,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Its own bounds.
    pub limits: Limits,
    /// What its descendants may use, if that was set apart.
    pub allowance: Option<Limits>,
    /// What they have drawn of it.
    pub(super) drawn: Limits,
    /// Its children that have not ended, by number.
    pub children: BTreeMap<u16, InstanceId>,
    pub(super) last_number: u16,
    pub(super) told_to_stop: bool,
}

impl Wanted {
    pub(super) fn parent(&self) -> Option<InstanceId> {
        parent(&self.owner)
    }
}

impl Entry {
    pub(super) fn new(wanted: Wanted, name: String, number: u16) -> Self {
        Self {
            id: wanted.id,
            incarnation: wanted.incarnation,
            owner: wanted.owner,
            service: wanted.service,
            name,
            number,
            state: State::Starting,
            process: Process::Coming,
            outcome: None,
            limits: wanted.limits,
            allowance: wanted.allowance,
            drawn: Limits::default(),
            children: BTreeMap::new(),
            last_number: 0,
            told_to_stop: false,
        }
    }

    /// The instance that started it.
    #[must_use]
    pub fn parent(&self) -> Option<InstanceId> {
        parent(&self.owner)
    }

    /// What it was given in all: its own bounds, and what is set apart for its
    /// descendants.
    #[must_use]
    pub fn cost(&self) -> Limits {
        cost(self.limits, self.allowance)
    }

    /// A number that no child has: the next after the last one, so that an
    /// address does not come to mean another child soon.
    pub(super) fn free_number(&self) -> Option<u16> {
        let after = self.last_number.checked_add(1).unwrap_or(1);
        (after..=u16::MAX)
            .chain(1..after)
            .find(|number| !self.children.contains_key(number))
    }
}

fn parent(owner: &Owner) -> Option<InstanceId> {
    match owner {
        Owner::Instance(id) => Some(*id),
        Owner::Operator | Owner::Client(_) => None,
    }
}

pub(super) fn cost(limits: Limits, allowance: Option<Limits>) -> Limits {
    let more = allowance.unwrap_or_default();
    Limits {
        memory: limits.memory.saturating_add(more.memory),
        cpu_milli: limits.cpu_milli.saturating_add(more.cpu_milli),
        disk: limits.disk.saturating_add(more.disk),
    }
}
