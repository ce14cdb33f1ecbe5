//! NET: which members of which networks an instance may reach. Pure functions
//! of what the operator allows, what services declare, and who runs.
//!
//! A member may be reached by an instance if its descriptor matches
//!
//! - a network that the operator allows, and
//! - a network that the instance declares and was granted, and
//! - one of each ancestor of it, likewise.
//!
//! The member's descriptor itself must match all of these: descriptors match
//! by a common tag, which is not transitive, so a chain of pairwise matches
//! could lead out of what an ancestor declares.
//!
//! An instance is a member of a network that it declares, if it was granted
//! by the same rule. Its slots for it are those that speak what the network
//! speaks.

mod view;

use std::net::SocketAddr;

use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::network::{Descriptor, NetworkPolicy};
use unicell_gateway_api::service::Slot;
use unicell_gateway_api::services::NetworkNeed;

pub(crate) use view::View;

/// Whether two descriptors mean the same, as [`unicell_service`] says it.
#[must_use]
pub fn matches(a: &Descriptor, b: &Descriptor) -> bool {
    unicell_service::spec::matches((&a.tags, &a.formal), (&b.tags, &b.formal))
}

/// The name of a network, for events and tables: its first tag.
#[must_use]
pub fn name(network: &Descriptor) -> &str {
    network
        .tags
        .first()
        .map_or("(without a name)", String::as_str)
}

/// What an instance declares, and how that was narrowed.
#[derive(Clone, Debug, Default)]
pub struct Party {
    /// Which instance.
    pub id: Option<InstanceId>,
    /// The networks that its service declares.
    pub needs: Vec<NetworkNeed>,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Tags of those networks that it was to get at its start; all, if nothing
    /// was said.
    pub chosen: Option<Vec<String>>,
    /// What was withdrawn from it since.
    pub withdrawn: Vec<Descriptor>,
}

impl Party {
    /// Whether a network that it declares is left to it.
    fn holds(&self, need: &NetworkNeed) -> Result<(), Lacking> {
        let chosen =
            |chosen: &Vec<String>| need.network.tags.iter().any(|tag| chosen.contains(tag));
        if !self.chosen.as_ref().is_none_or(chosen) {
            return Err(Lacking::NotChosen);
        }
        if self
            .withdrawn
            .iter()
            .any(|gone| matches(gone, &need.network))
        {
            return Err(Lacking::Withdrawn);
        }
        Ok(())
    }

    /// Whether something with this descriptor is within what it declares and
    /// what is left to it.
    fn allows(&self, network: &Descriptor) -> Result<(), Lacking> {
        let mut lacking = Err(Lacking::Undeclared);
        for need in self
            .needs
            .iter()
            .filter(|need| matches(&need.network, network))
        {
            lacking = self.holds(need);
            if lacking.is_ok() {
                break;
            }
        }
        lacking
    }
}

/// What is lacking for one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacking {
    Undeclared,
    NotChosen,
    Withdrawn,
}

/// Why a network is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The operator allows no such network.
    #[error("the operator of this node allows no such network")]
    Policy,
    /// The service does not declare it.
    #[error("the service does not declare it")]
    Undeclared,
    /// It was not among those given at the start.
    #[error("it was not granted when the instance was started")]
    NotChosen,
    /// It was withdrawn.
    #[error("it was withdrawn")]
    Withdrawn,
    /// An ancestor does not have it.
    #[error("instance {0}, an ancestor, does not have it")]
    Ancestor(InstanceId),
}

/// Who a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// An instance on this node.
    Instance(InstanceId),
    /// An endpoint outside, that the operator named.
    Endpoint(SocketAddr, Transport),
}

/// A member, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// Who.
    pub member: Member,
    /// Its slots in the network.
    pub slots: Vec<Slot>,
}

/// Whether an instance has a network that it declares. The lineage is the
/// instance and its ancestors, itself first.
///
/// # Errors
///
/// Why it has not.
pub fn granted(
    network: &Descriptor,
    lineage: &[&Party],
    policies: &[NetworkPolicy],
) -> Result<(), Refusal> {
    lineage_allows(network, lineage)?;
    if policies
        .iter()
        .any(|policy| matches(&policy.network, network))
    {
        Ok(())
    } else {
        Err(Refusal::Policy)
    }
}

fn lineage_allows(network: &Descriptor, lineage: &[&Party]) -> Result<(), Refusal> {
    for (generation, party) in lineage.iter().enumerate() {
        party
            .allows(network)
            .map_err(|lacking| match (generation, party.id, lacking) {
                (1.., Some(id), _) => Refusal::Ancestor(id),
                (_, _, Lacking::Undeclared) => Refusal::Undeclared,
                (_, _, Lacking::NotChosen) => Refusal::NotChosen,
                (_, _, Lacking::Withdrawn) => Refusal::Withdrawn,
            })?;
    }
    Ok(())
}

/// The members of networks that match `network` which an instance may reach.
/// `others` are the lineages of all running instances.
pub fn members(
    network: &Descriptor,
    lineage: &[&Party],
    policies: &[NetworkPolicy],
    others: &[Vec<&Party>],
) -> Vec<Reachable> {
    let own = lineage.first().and_then(|party| party.id);
    let policies: Vec<_> = policies
        .iter()
        .filter(|policy| matches(&policy.network, network))
        .collect();
    let mut members = Vec::new();
    for policy in &policies {
        if lineage_allows(&policy.network, lineage).is_ok() {
            members.extend(policy.endpoints.iter().map(|endpoint| Reachable {
                member: Member::Endpoint(endpoint.address, endpoint.transport),
                slots: vec![Slot {
                    port: endpoint.address.port(),
                    transport: endpoint.transport,
                    protocols: Vec::new(),
                }],
            }));
        }
    }
    for other in others {
        let Some(party) = other.first().filter(|party| party.id != own) else {
            continue;
        };
        let mut slots: Vec<Slot> = Vec::new();
        for need in party
            .needs
            .iter()
            .filter(|need| matches(&need.network, network))
        {
            let policy = policies
                .iter()
                .any(|policy| policy.instances && matches(&policy.network, &need.network));
            if policy
                && lineage_allows(&need.network, lineage).is_ok()
                && party.holds(need).is_ok()
                && lineage_allows(&need.network, other).is_ok()
            {
                for slot in party.slots.iter().filter(|slot| speaks(slot, need)) {
                    if !slots.contains(slot) {
                        slots.push(slot.clone());
                    }
                }
            }
        }
        if let (Some(id), false) = (party.id, slots.is_empty()) {
            let member = Member::Instance(id);
            members.push(Reachable { member, slots });
        }
    }
    members.sort_by_key(|reachable| reachable.member);
    members.dedup_by_key(|reachable| reachable.member);
    members
}

/// All members that an instance may reach, of all its networks.
pub fn all_members(
    lineage: &[&Party],
    policies: &[NetworkPolicy],
    others: &[Vec<&Party>],
) -> Vec<Reachable> {
    let mut all: Vec<Reachable> = Vec::new();
    let needs = lineage.first().map_or(&[][..], |party| &party.needs);
    for need in needs {
        for found in members(&need.network, lineage, policies, others) {
            match all.iter_mut().find(|known| known.member == found.member) {
                Some(known) => {
                    let new = found
                        .slots
                        .into_iter()
                        .filter(|slot| !known.slots.contains(slot));
                    let new: Vec<_> = new.collect();
                    known.slots.extend(new);
                }
                None => all.push(found),
            }
        }
    }
    all
}

/// Whether a slot is for the members of a network.
fn speaks(slot: &Slot, need: &NetworkNeed) -> bool {
    need.protocols.is_empty()
        || slot.protocols.iter().any(|protocol| {
            need.protocols
                .iter()
                .any(|spoken| matches(spoken, protocol))
        })
}

#[cfg(test)]
mod tests;
