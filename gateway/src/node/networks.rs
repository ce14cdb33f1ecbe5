//! NET: the verb `network`, and what the operator changes.

use std::net::SocketAddr;

use unicell_gateway_api::address::Address;
use unicell_gateway_api::event::What;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{SlotAddress, State as Life};
use unicell_gateway_api::network::{Descriptor, Member, Network, NetworkPolicy, NetworkState};
use unicell_gateway_api::token::Verb;
use unicell_gateway_api::{Code, Problem};

use super::authority::About;
use super::{Caller, Gateway, Result, State, internal};
use crate::names;
use crate::net::{self, Reachable};
use crate::streams::Via;
use crate::token::MAX_NETWORK_LEN;

/// Most policies, and most members outside of one network.
const MAX_POLICIES: usize = 256;
const MAX_ENDPOINTS: usize = 256;

impl Gateway {
    /// What became of the networks that an instance declares.
    pub(super) fn network_states(&self, state: &State, id: InstanceId) -> Vec<NetworkState> {
        let Some(party) = state.parties.get(&id) else {
            return Vec::new();
        };
        if party.needs.is_empty() {
            return Vec::new();
        }
        let lineage = state.lineage(id);
        let others = state.running_lineages();
        let states = party.needs.iter().map(|need| {
            let network = &need.network;
            let refused = net::granted(network, &lineage, &state.policies).err();
            let members = net::members(network, &lineage, &state.policies, &others);
            NetworkState {
                network: network.clone(),
                granted: refused.is_none(),
                reason: refused.map(|refusal| refusal.to_string()),
                members: members.len(),
            }
        });
        states.collect()
    }

    /// The verb `network`: the members of a network that the caller may reach.
    ///
    /// # Errors
    ///
    /// The caller may not ask. That there is no member, or that the network is
    /// not granted, is an answer.
    pub fn network(&self, caller: &Caller, name: &str) -> Result<Network> {
        if name.is_empty() || name.len() > MAX_NETWORK_LEN {
            let detail = format!("the name of a network has 1 to {MAX_NETWORK_LEN} bytes");
            return Err(Problem::new(Code::BadRequest, detail));
        }
        caller.permit_network(name)?;
        let mut state = self.0.state.lock();
        Ok(match caller.instance() {
            Some(id) => state.network_of(id, name),
            None => state.network_outside(caller, name),
        })
    }

    /// The networks that an instance declares, as those see it who may.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub fn networks_of(&self, caller: &Caller, id: InstanceId) -> Result<Vec<NetworkState>> {
        let state = self.0.state.lock();
        state.target(caller, Verb::Network, id, About::default())?;
        Ok(self.network_states(&state, id))
    }

    /// All that the operator allows.
    ///
    /// # Errors
    ///
    /// The caller is not the operator.
    pub fn policies(&self, caller: &Caller) -> Result<Vec<NetworkPolicy>> {
        caller.permit_operator(Verb::Network)?;
        Ok(self.0.state.lock().policies.clone())
    }

    /// Allows a network, or changes what is allowed; its first tag is its name.
    /// It is kept for the next life of the node. Streams to what is not allowed
    /// any more break.
    ///
    /// # Errors
    ///
    /// The caller may not, or the policy is out of bounds.
    pub async fn allow(&self, caller: &Caller, policy: NetworkPolicy) -> Result<()> {
        caller.permit_operator(Verb::Grant)?;
        let bad = |detail: String| Err(Problem::new(Code::BadRequest, detail));
        let Some(name) = policy.network.tags.first().cloned() else {
            return bad("network.tags: a network needs a name".to_owned());
        };
        if name.is_empty()
            || policy
                .network
                .tags
                .iter()
                .any(|tag| tag.len() > MAX_NETWORK_LEN)
        {
            return bad(format!(
                "network.tags: a tag has 1 to {MAX_NETWORK_LEN} bytes"
            ));
        }
        if policy.endpoints.len() > MAX_ENDPOINTS {
            return bad(format!("endpoints: more than {MAX_ENDPOINTS}"));
        }
        let written = self
            .change(|state| {
                state
                    .policies
                    .retain(|other| net::name(&other.network) != name);
                if state.policies.len() >= MAX_POLICIES {
                    let detail =
                        format!("there are {MAX_POLICIES} networks, as many as there may be");
                    return Err(Problem::new(Code::LimitReached, detail));
                }
                state.policies.push(policy.clone());
                Ok(self.0.record.network(name.clone(), Some(policy)))
            })
            .await?;
        written.await.map_err(internal)
    }

    /// Allows a network no more. Streams to its members break.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such network.
    pub async fn disallow(&self, caller: &Caller, name: &str) -> Result<()> {
        caller.permit_operator(Verb::Grant)?;
        let written = self
            .change(|state| {
                let before = state.policies.len();
                state
                    .policies
                    .retain(|policy| net::name(&policy.network) != name);
                if state.policies.len() == before {
                    let detail = format!("there is no network {name:?}");
                    return Err(Problem::new(Code::NotFound, detail));
                }
                Ok(self.0.record.network(name.to_owned(), None))
            })
            .await?;
        written.await.map_err(internal)
    }

    /// Withdraws a network from a running instance, hence from its descendants,
    /// or grants it again. Its open streams break.
    ///
    /// # Errors
    ///
    /// The caller may not, or the instance does not declare the network.
    pub async fn grant(
        &self,
        caller: &Caller,
        id: InstanceId,
        name: &str,
        granted: bool,
    ) -> Result<()> {
        caller.permit_operator(Verb::Grant)?;
        self.change(|state| {
            let unknown = || Problem::new(Code::NotFound, format!("there is no instance {id}"));
            state
                .tree
                .get(id)
                .filter(|entry| entry.state != Life::Ended)
                .ok_or_else(unknown)?;
            let party = state.parties.get_mut(&id).ok_or_else(unknown)?;
            let named = |network: &Descriptor| network.tags.iter().any(|tag| tag == name);
            let needs = party.needs.iter().map(|need| &need.network);
            let networks: Vec<_> = needs.filter(|network| named(network)).cloned().collect();
            if networks.is_empty() {
                let detail = format!("instance {id} declares no network {name:?}");
                return Err(Problem::new(Code::NotFound, detail));
            }
            party.withdrawn.retain(|gone| !networks.contains(gone));
            if !granted {
                party.withdrawn.extend(networks);
            }
            Ok(())
        })
        .await
    }

    /// Changes what is allowed; tells those whom it concerns; breaks what is
    /// not allowed any more.
    async fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let (changed, broken, told) = {
            let mut state = self.0.state.lock();
            let before = self.all_states(&state);
            let changed = change(&mut state)?;
            let after = self.all_states(&state);
            let still = |ends: &crate::streams::Ends| ends.via != Via::Network || state.still(ends);
            // For each whose networks changed: which streams break.
            let mut told = Vec::new();
            for (id, now) in after {
                let was = before
                    .iter()
                    .find(|(other, _)| *other == id)
                    .map(|(_, was)| was);
                told.extend(changes(id, was.map_or(&[], Vec::as_slice), &now));
            }
            let broken = self.0.streams.break_where(|ends| !still(ends));
            (changed, broken, told)
        };
        for (id, name, granted) in told {
            let live = self.0.state.lock().live.get(&id).cloned();
            let ends = broken.ends.iter();
            let streams = ends.filter(|(other, _)| *other == id).count();
            let what = if granted {
                What::Granted { network: name }
            } else {
                What::Withdrawn {
                    network: name,
                    streams,
                }
            };
            if let Some(live) = live {
                self.tell(&live, what);
            }
        }
        let gateway = self.clone();
        self.finish(async move {
            gateway.break_off(broken).await;
            Ok(())
        })
        .await?;
        Ok(changed)
    }

    fn all_states(&self, state: &State) -> Vec<(InstanceId, Vec<NetworkState>)> {
        let declaring = state
            .parties
            .iter()
            .filter(|(_, party)| !party.needs.is_empty());
        declaring
            .map(|(id, _)| (*id, self.network_states(state, *id)))
            .collect()
    }
}

/// The networks of an instance of which the grant changed, by name.
fn changes(
    id: InstanceId,
    was: &[NetworkState],
    now: &[NetworkState],
) -> Vec<(InstanceId, String, bool)> {
    let pairs = was.iter().zip(now);
    pairs
        .filter(|(was, now)| was.granted != now.granted)
        .map(|(_, now)| (id, net::name(&now.network).to_owned(), now.granted))
        .collect()
}

impl State {
    pub(super) fn network_of(&mut self, id: InstanceId, name: &str) -> Network {
        let asked = named(name);
        let lineage = self.lineage(id);
        let needs = self
            .parties
            .get(&id)
            .map(|party| party.needs.clone())
            .unwrap_or_default();
        // What it declares under that name; without any, it is told why not.
        let declared: Vec<_> = needs
            .iter()
            .filter(|need| net::matches(&need.network, &asked))
            .collect();
        let refused = declared
            .iter()
            .map(|need| net::granted(&need.network, &lineage, &self.policies))
            .min_by_key(Result::is_err)
            .unwrap_or(Err(net::Refusal::Undeclared))
            .err();
        let others = self.running_lineages();
        let mut found: Vec<Reachable> = Vec::new();
        for need in declared {
            for member in net::members(&need.network, &lineage, &self.policies, &others) {
                if !found.contains(&member) {
                    found.push(member);
                }
            }
        }
        let host = names::is_label(name).then(|| name.to_owned());
        let members: Vec<_> = found
            .into_iter()
            .filter_map(|member| self.member(id, &member, host.clone()))
            .collect();
        let note = match &refused {
            Some(refusal) => Some(refusal.to_string()),
            None if members.is_empty() => Some("the network has no member now".to_owned()),
            None => None,
        };
        Network {
            name: name.to_owned(),
            granted: refused.is_none(),
            note,
            members,
        }
    }

    /// A member as an instance reaches it.
    fn member(
        &mut self,
        id: InstanceId,
        found: &Reachable,
        host: Option<String>,
    ) -> Option<Member> {
        let number = self.views.get_mut(&id)?.number(found.member)?;
        let address = Address::Member(number);
        let slots = found.slots.iter().map(|slot| SlotAddress {
            port: slot.port,
            transport: slot.transport,
            addresses: vec![
                SocketAddr::new(address.v4().into(), slot.port),
                SocketAddr::new(address.v6().into(), slot.port),
            ],
            protocols: slot.protocols.clone(),
        });
        // Who the other instances are is nothing that a service is told.
        Some(Member {
            host,
            instance: None,
            slots: slots.collect(),
        })
    }

    /// A network as operator and clients see it: instances of their own that
    /// are in it; for the operator all, and the members outside.
    fn network_outside(&self, caller: &Caller, name: &str) -> Network {
        let asked = named(name);
        let mut members = Vec::new();
        let policies: Vec<_> = self
            .policies
            .iter()
            .filter(|policy| net::matches(&policy.network, &asked))
            .collect();
        if caller.is_operator() {
            let endpoints = policies.iter().flat_map(|policy| &policy.endpoints);
            members.extend(endpoints.map(|endpoint| Member {
                host: None,
                instance: None,
                slots: vec![SlotAddress {
                    port: endpoint.address.port(),
                    transport: endpoint.transport,
                    addresses: vec![endpoint.address],
                    protocols: Vec::new(),
                }],
            }));
        }
        for (id, party) in &self.parties {
            let in_it = |need: &&unicell_gateway_api::services::NetworkNeed| {
                net::matches(&need.network, &asked)
                    && net::granted(&need.network, &self.lineage(*id), &self.policies).is_ok()
            };
            let Some(live) = self.live.get(id).filter(|_| self.runs(*id)) else {
                continue;
            };
            if caller.reaches(Verb::Network, *id, &live.owner)
                && party.needs.iter().any(|need| in_it(&need))
            {
                members.push(Member {
                    host: None,
                    instance: Some(*id),
                    slots: self.slots_for(caller, live),
                });
            }
        }
        let granted = !policies.is_empty();
        let note = match (granted, members.is_empty()) {
            (false, _) => Some(net::Refusal::Policy.to_string()),
            (true, true) => Some("the network has no member now".to_owned()),
            (true, false) => None,
        };
        Network {
            name: name.to_owned(),
            granted,
            note,
            members,
        }
    }

    /// The addresses of the members of a network, as an instance knows them.
    pub(super) fn member_addresses(&mut self, id: InstanceId, name: &str) -> Option<Vec<Address>> {
        let asked = named(name);
        let needs = &self.parties.get(&id)?.needs;
        let needs: Vec<_> = needs
            .iter()
            .map(|need| need.network.clone())
            .filter(|network| net::matches(network, &asked))
            .collect();
        if needs.is_empty() {
            return None;
        }
        let others = self.running_lineages();
        let lineage = self.lineage(id);
        let found: Vec<_> = needs
            .iter()
            .flat_map(|network| net::members(network, &lineage, &self.policies, &others))
            .map(|found| found.member)
            .collect();
        let view = self.views.get_mut(&id)?;
        let mut addresses = Vec::new();
        for member in found {
            let address = view.number(member).map(Address::Member);
            addresses.extend(address.filter(|address| !addresses.contains(address)));
        }
        Some(addresses)
    }
}

fn named(name: &str) -> Descriptor {
    Descriptor {
        tags: vec![name.to_owned()],
        ..Descriptor::default()
    }
}
