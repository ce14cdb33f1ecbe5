//! Where the streams of guests may lead. Everything else is refused.

use std::net::SocketAddr;

use unicell_gateway_api::address::{Address, DNS_PORT, HTTP_PORT};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::run::Errno;

use super::{Live, State};
use crate::net::{Member, Reachable, all_members};
use crate::streams::{Ends, Via};

/// Where a stream may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The API.
    Http,
    /// Names.
    Names,
    /// Another instance, that sees it come from this address.
    Local {
        to: InstanceId,
        seen_as: Address,
        via: Via,
    },
    /// A member outside.
    Outside(SocketAddr),
}

/// Why a stream may not be: what the program is told, and what the event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct No(pub(super) Errno, pub(super) String);

impl No {
    pub(super) fn unreachable(reason: impl Into<String>) -> Self {
        Self(Errno::NETUNREACH, reason.into())
    }

    /// To an address that is none of a virtual network.
    pub(super) fn nowhere() -> Self {
        Self::unreachable("the address is in no network that it was granted")
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self(Errno::CONNREFUSED, reason.into())
    }

    pub(super) fn withdrawn() -> Self {
        Self::unreachable("what permitted it was withdrawn meanwhile")
    }
}

impl State {
    /// Where a stream of an instance may lead. Everything else is refused.
    pub(super) fn route(
        &mut self,
        from: InstanceId,
        transport: Transport,
        to: SocketAddr,
    ) -> Result<Route, No> {
        let address = Address::of(to.ip()).ok_or_else(No::nowhere)?;
        let port = to.port();
        match address {
            Address::Gateway => match (transport, port) {
                (Transport::Tcp, HTTP_PORT) => Ok(Route::Http),
                (_, DNS_PORT) => Ok(Route::Names),
                _ => Err(No::refused("the gateway has nothing on this port")),
            },
            Address::Own => Err(No::unreachable(
                "its own address does not lead out of the guest",
            )),
            Address::Parent => {
                let parent = self.tree.get(from).and_then(crate::tree::Entry::parent);
                let to = parent.ok_or_else(|| No::unreachable("its parent is no instance"))?;
                let number = self.tree.get(from).map_or(0, |entry| entry.number);
                self.slot(to, transport, port)?;
                let seen_as = Address::Child(number);
                Ok(Route::Local {
                    to,
                    seen_as,
                    via: Via::Family,
                })
            }
            Address::Child(number) => {
                let entry = self.tree.get(from);
                let to = entry.and_then(|entry| entry.children.get(&number)).copied();
                let to = to.ok_or_else(|| No::unreachable("it has no such child"))?;
                self.slot(to, transport, port)?;
                let seen_as = Address::Parent;
                Ok(Route::Local {
                    to,
                    seen_as,
                    via: Via::Family,
                })
            }
            Address::Member(number) => self.route_to_member(from, transport, number, port),
        }
    }

    fn route_to_member(
        &mut self,
        from: InstanceId,
        transport: Transport,
        number: u16,
        port: u16,
    ) -> Result<Route, No> {
        let member = self.views.get(&from).and_then(|view| view.member(number));
        let member = member.ok_or_else(|| No::unreachable("no member has this address"))?;
        let found = self
            .reachable(from)
            .into_iter()
            .find(|found| found.member == member);
        let found =
            found.ok_or_else(|| No::unreachable("the member is in no network that it has"))?;
        let is_it = |slot: &unicell_gateway_api::service::Slot| {
            slot.port == port && slot.transport == transport
        };
        if !found.slots.iter().any(is_it) {
            return Err(No::refused("the member has no such slot in the network"));
        }
        match member {
            Member::Endpoint(address, _) => Ok(Route::Outside(address)),
            Member::Instance(to) => {
                self.slot(to, transport, port)?;
                let view = self.views.get_mut(&to);
                let number = view.and_then(|view| view.number(Member::Instance(from)));
                let seen_as = Address::Member(number.unwrap_or(u16::MAX));
                Ok(Route::Local {
                    to,
                    seen_as,
                    via: Via::Network,
                })
            }
        }
    }

    /// Whether an instance runs and has a slot.
    pub(super) fn slot(&self, id: InstanceId, transport: Transport, port: u16) -> Result<(), No> {
        if !self.runs(id) {
            return Err(No::refused(format!("instance {id} does not run")));
        }
        let live = self.live.get(&id);
        if live.is_some_and(|live| live.has_slot(port, transport)) {
            Ok(())
        } else {
            Err(No::refused(format!("instance {id} has no such slot")))
        }
    }

    /// All members that an instance may reach now.
    pub(super) fn reachable(&self, id: InstanceId) -> Vec<Reachable> {
        if self
            .parties
            .get(&id)
            .is_none_or(|party| party.needs.is_empty())
        {
            return Vec::new();
        }
        let others = self.running_lineages();
        all_members(&self.lineage(id), &self.policies, &others)
    }

    /// The lineages of all instances that run.
    pub(super) fn running_lineages(&self) -> Vec<Vec<&crate::net::Party>> {
        let running = self.parties.keys().filter(|id| self.runs(**id));
        running.map(|id| self.lineage(*id)).collect()
    }

    /// Whether a stream may still be.
    pub(super) fn still(&self, ends: &Ends) -> bool {
        let runs = |id: InstanceId| self.runs(id);
        let to_runs = match ends.to {
            Member::Instance(id) => runs(id),
            Member::Endpoint(..) => true,
        };
        to_runs
            && ends.from.is_none_or(|(id, _)| runs(id))
            && match (ends.via, ends.from) {
                (Via::Network, Some((from, _))) => self.reachable(from).iter().any(|found| {
                    let has = |slot: &unicell_gateway_api::service::Slot| {
                        slot.port == ends.port && slot.transport == ends.transport
                    };
                    found.member == ends.to && found.slots.iter().any(has)
                }),
                _ => true,
            }
    }
}

impl Live {
    pub(super) fn has_slot(&self, port: u16, transport: Transport) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.port == port && slot.transport == transport)
    }
}
