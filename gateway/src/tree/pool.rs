//! Who pays for what. An instance draws on what its parent may use: on the
//! allowance of the nearest ancestor that has one; without one, on what its
//! client may use and on the node's capacity. An allowance was drawn as a
//! whole when it was given, so what is drawn from it is drawn nowhere else.

use std::fmt;

use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{Limits, Owner};

use super::{Refused, Tree};

/// Something to draw from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The node's capacity.
    Node,
    /// What one client may use.
    Client(String),
    /// The allowance of an instance.
    Instance(InstanceId),
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("the node"),
            Self::Client(name) => write!(f, "the client {name}"),
            Self::Instance(id) => write!(f, "the descendants of instance {id}"),
        }
    }
}

impl Tree {
    /// The pools that an owner's children draw on, each of them all.
    fn pools(&self, owner: &Owner) -> Vec<Pool> {
        let mut owner = owner;
        loop {
            match owner {
                Owner::Operator => return vec![Pool::Node],
                Owner::Client(name) => return vec![Pool::Client(name.clone()), Pool::Node],
                Owner::Instance(id) => match self.entries.get(id) {
                    Some(entry) if entry.allowance.is_some() => return vec![Pool::Instance(*id)],
                    Some(entry) => owner = &entry.owner,
                    // Owners outlive what they own; see the invariants.
                    None => return vec![Pool::Node],
                },
            }
        }
    }

    /// What a pool has, and what of it is drawn.
    fn pool(&self, pool: &Pool) -> (Limits, Limits) {
        match pool {
            Pool::Node => (self.bounds.capacity, self.drawn),
            Pool::Client(name) => {
                let drawn = self.clients.get(name).copied().unwrap_or_default();
                (self.bounds.client, drawn)
            }
            Pool::Instance(id) => self.entries.get(id).map_or_else(Default::default, |entry| {
                (entry.allowance.unwrap_or_default(), entry.drawn)
            }),
        }
    }

    /// What an owner's children could still use.
    #[must_use]
    pub fn free(&self, owner: &Owner) -> Limits {
        let whole = Limits {
            memory: u64::MAX,
            cpu_milli: u32::MAX,
            disk: u64::MAX,
        };
        self.pools(owner).iter().fold(whole, |least, pool| {
            let (all, drawn) = self.pool(pool);
            let free = minus(all, drawn);
            Limits {
                memory: least.memory.min(free.memory),
                cpu_milli: least.cpu_milli.min(free.cpu_milli),
                disk: least.disk.min(free.disk),
            }
        })
    }

    /// What is drawn of the node's capacity.
    #[must_use]
    pub const fn drawn(&self) -> Limits {
        self.drawn
    }

    /// Draws for a child, which had drawn `before` and is to have `after`.
    pub(super) fn draw(
        &mut self,
        owner: &Owner,
        before: Limits,
        after: Limits,
    ) -> Result<(), Refused> {
        let pools = self.pools(owner);
        let mut drawn = Vec::with_capacity(pools.len());
        for pool in &pools {
            let (all, now) = self.pool(pool);
            let others = minus(now, before);
            fits(pool, minus(all, others), before, after)?;
            drawn.push(plus(others, after));
        }
        for (pool, drawn) in pools.iter().zip(drawn) {
            self.set_drawn(pool, drawn);
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, owner: &Owner, cost: Limits) {
        for pool in self.pools(owner) {
            let (_, now) = self.pool(&pool);
            self.set_drawn(&pool, minus(now, cost));
        }
    }

    fn set_drawn(&mut self, pool: &Pool, drawn: Limits) {
        match pool {
            Pool::Node => self.drawn = drawn,
            Pool::Client(name) if drawn == Limits::default() => {
                self.clients.remove(name);
            }
            Pool::Client(name) => {
                self.clients.insert(name.clone(), drawn);
            }
            Pool::Instance(id) => {
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.drawn = drawn;
                }
            }
        }
    }
}

/// Whether `after` is to be had where `free` is, counting `before`. To get less
/// than before always is.
fn fits(pool: &Pool, free: Limits, before: Limits, after: Limits) -> Result<(), Refused> {
    let amounts = [
        ("memory, bytes", before.memory, after.memory, free.memory),
        (
            "CPU, thousandths",
            before.cpu_milli.into(),
            after.cpu_milli.into(),
            free.cpu_milli.into(),
        ),
        ("disk, bytes", before.disk, after.disk, free.disk),
    ];
    for (what, before, asked, free) in amounts {
        if asked > before && asked > free {
            let whose = pool.clone();
            return Err(Refused::Resources {
                what,
                asked,
                free,
                whose,
            });
        }
    }
    Ok(())
}

fn minus(a: Limits, b: Limits) -> Limits {
    Limits {
        memory: a.memory.saturating_sub(b.memory),
        cpu_milli: a.cpu_milli.saturating_sub(b.cpu_milli),
        disk: a.disk.saturating_sub(b.disk),
    }
}

fn plus(a: Limits, b: Limits) -> Limits {
    Limits {
        memory: a.memory.saturating_add(b.memory),
        cpu_milli: a.cpu_milli.saturating_add(b.cpu_milli),
        disk: a.disk.saturating_add(b.disk),
    }
}
