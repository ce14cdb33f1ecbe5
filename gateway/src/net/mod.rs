//! NET: which members of which networks an instance may reach. Pure functions
//! of what the operator allows, what services declare, and who runs.
//!
//! A member may be reached by an instance if its descriptor matches a network
//! that the operator allows, and one that the instance declares and was
//! granted; and if the instance's parent may reach it, by the same rule. It is
//! said of members, not of descriptors: descriptors match by a common tag,
//! which is not transitive, so a chain of matches could lead out of what an
//! ancestor reaches.
//!
//! An instance is a member of a network that it declares, if it was granted
//! by the same rule. Its slots for it are those that speak what the network
//! speaks.

mod view;

use std::collections::BTreeMap;
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

/// The members that an instance may reach in those of its networks that match
/// `network`. `others` are the lineages of all running instances.
pub fn members(
    network: &Descriptor,
    lineage: &[&Party],
    policies: &[NetworkPolicy],
    others: &[Vec<&Party>],
) -> Vec<Reachable> {
    without_itself(lineage, reach(Some(network), lineage, policies, others))
}

/// All members that an instance may reach, of all its networks.
pub fn all_members(
    lineage: &[&Party],
    policies: &[NetworkPolicy],
    others: &[Vec<&Party>],
) -> Vec<Reachable> {
    without_itself(lineage, reach(None, lineage, policies, others))
}

fn without_itself(lineage: &[&Party], mut members: Vec<Reachable>) -> Vec<Reachable> {
    let own = lineage
        .first()
        .and_then(|party| party.id)
        .map(Member::Instance);
    members.retain(|found| Some(found.member) != own);
    members
}

/// What an instance's own declarations lead to, as far as its parent reaches it.
fn reach(
    network: Option<&Descriptor>,
    lineage: &[&Party],
    policies: &[NetworkPolicy],
    others: &[Vec<&Party>],
) -> Vec<Reachable> {
    let mut found = declared(network, lineage, policies, others);
    let above = lineage.get(1..).unwrap_or_default();
    if found.is_empty() || above.is_empty() {
        return found;
    }
    let above = reach(None, above, policies, others);
    for reachable in &mut found {
        let known = above.iter().find(|known| known.member == reachable.member);
        let known = known.map(|known| &known.slots[..]).unwrap_or_default();
        reachable.slots.retain(|slot| known.contains(slot));
    }
    found.retain(|reachable| !reachable.slots.is_empty());
    found
}

/// What an instance's own declarations lead to, itself too.
fn declared(
    network: Option<&Descriptor>,
    lineage: &[&Party],
    policies: &[NetworkPolicy],
    others: &[Vec<&Party>],
) -> Vec<Reachable> {
    let Some(party) = lineage.first() else {
        return Vec::new();
    };
    let mut found: BTreeMap<Member, Vec<Slot>> = BTreeMap::new();
    let asked = |need: &&NetworkNeed| network.is_none_or(|network| matches(&need.network, network));
    for need in party.needs.iter().filter(asked) {
        if party.holds(need).is_err() || granted(&need.network, lineage, policies).is_err() {
            continue;
        }
        let matching = |policy: &&NetworkPolicy| matches(&policy.network, &need.network);
        let policies: Vec<_> = policies.iter().filter(matching).collect();
        for endpoint in policies.iter().flat_map(|policy| &policy.endpoints) {
            let member = Member::Endpoint(endpoint.address, endpoint.transport);
            let slot = Slot {
                port: endpoint.address.port(),
                transport: endpoint.transport,
                protocols: Vec::new(),
            };
            found.insert(member, vec![slot]);
        }
        for other in others {
            let slots = slots_in(&need.network, other, &policies);
            if let Some(id) = other.first().and_then(|party| party.id)
                && !slots.is_empty()
            {
                let known = found.entry(Member::Instance(id)).or_default();
                let new = slots.into_iter().filter(|slot| !known.contains(slot));
                let new: Vec<_> = new.cloned().collect();
                known.extend(new);
            }
        }
    }
    let reachable = |(member, slots)| Reachable { member, slots };
    found.into_iter().map(reachable).collect()
}

/// The slots that an instance has for the members of a network.
fn slots_in<'a>(
    network: &Descriptor,
    lineage: &[&'a Party],
    policies: &[&NetworkPolicy],
) -> Vec<&'a Slot> {
    let Some(party) = lineage.first() else {
        return Vec::new();
    };
    let is_member = |need: &&NetworkNeed| {
        let allowed =
            |policy: &&NetworkPolicy| policy.instances && matches(&policy.network, &need.network);
        matches(&need.network, network)
            && party.holds(need).is_ok()
            && policies.iter().any(allowed)
            && lineage_allows(&need.network, lineage).is_ok()
    };
    let needs: Vec<_> = party.needs.iter().filter(is_member).collect();
    let spoken = |slot: &&Slot| needs.iter().any(|need| speaks(slot, need));
    party.slots.iter().filter(spoken).collect()
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
