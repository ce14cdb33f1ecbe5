//! Who calls, and what they may do.

use std::time::Instant;

use unicell_gateway_api::event::What;
use unicell_gateway_api::id::{Incarnation, InstanceId};
use unicell_gateway_api::instance::{Owner, State as Life, Transport};
use unicell_gateway_api::token::{Caveat, Token, Verb};
use unicell_gateway_api::{Code, Problem};

use super::{Gateway, Result, State};
use crate::clock::now_ms;
use crate::http::Door;
use crate::token::{Asked, Chain, Denied, Principal};
use crate::tree::Entry;

/// Most characters of a call that an event tells.
const MAX_CALL: usize = 128;

/// An authenticated caller: for whom it speaks, and how narrowly.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    caveats: Vec<Caveat>,
    holder: Option<(InstanceId, Incarnation)>,
    /// The token that it showed.
    pub(super) chain: Option<Chain>,
}

/// What a call is about, beside an instance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) slot: Option<(u16, Transport)>,
    pub(super) network: Option<&'a str>,
}

impl Caller {
    /// The operator, who is known by the socket that it comes through.
    #[must_use]
    pub const fn operator() -> Self {
        Self {
            principal: Principal::Operator,
            caveats: Vec::new(),
            holder: None,
            chain: None,
        }
    }

    /// For whom it speaks.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn is_operator(&self) -> bool {
        self.principal == Principal::Operator
    }

    /// The instance that it speaks for.
    pub(super) fn instance(&self) -> Option<InstanceId> {
        match self.principal {
            Principal::Instance(id, _) => Some(id),
            Principal::Operator | Principal::Client(_) => None,
        }
    }

    /// To whom belongs what it starts.
    pub(super) fn owner(&self) -> Owner {
        match &self.principal {
            Principal::Operator => Owner::Operator,
            Principal::Client(name) => Owner::Client(name.clone()),
            Principal::Instance(id, _) => Owner::Instance(*id),
        }
    }

    fn caveats_permit(
        &self,
        verb: Verb,
        target: Option<(InstanceId, Incarnation)>,
        about: About<'_>,
    ) -> Result<()> {
        let asked = Asked {
            verb,
            target,
            slot: about.slot,
            network: about.network,
            holder: self.holder,
            now_ms: now_ms(),
        };
        asked.permitted_by(&self.caveats).map_err(|denied| {
            let code = match denied {
                Denied::Expired => Code::TokenInvalid,
                _ => Code::Forbidden,
            };
            Problem::new(code, denied)
        })
    }

    /// Whether it may do something that is about no instance.
    pub(super) fn permit(&self, verb: Verb) -> Result<()> {
        self.caveats_permit(verb, None, About::default())
    }

    /// Whether it may do something with several instances. A token for one
    /// instance is asked about each, so that it sees that one.
    pub(super) fn permit_some(&self, verb: Verb) -> Result<()> {
        if self.about_one_instance() {
            Ok(())
        } else {
            self.permit(verb)
        }
    }

    /// Whether it may ask for a network, for itself.
    pub(super) fn permit_network(&self, name: &str) -> Result<()> {
        let network = Some(name);
        self.caveats_permit(
            Verb::Network,
            None,
            About {
                network,
                slot: None,
            },
        )
    }

    /// Whether it may do something that only the operator may.
    pub(super) fn permit_operator(&self, verb: Verb) -> Result<()> {
        self.permit(verb)?;
        if self.is_operator() {
            Ok(())
        } else {
            Err(Problem::new(
                Code::Forbidden,
                "only the operator may do this",
            ))
        }
    }

    /// Whether an instance is within its reach, by whom it speaks for.
    pub(super) fn reaches(&self, verb: Verb, id: InstanceId, owner: &Owner) -> bool {
        const OWN: [Verb; 7] = [
            Verb::Events,
            Verb::Instance,
            Verb::Logs,
            Verb::Metrics,
            Verb::Network,
            Verb::Resources,
            Verb::Stop,
        ];
        self.is_operator()
            || self.owner() == *owner
            || self.instance() == Some(id) && OWN.contains(&verb)
    }

    /// Whether it may see something of an instance, as a filter.
    pub(super) fn sees(
        &self,
        verb: Verb,
        id: InstanceId,
        incarnation: Option<Incarnation>,
        owner: &Owner,
    ) -> bool {
        // A caveat about one instance is no caveat about others.
        let target = incarnation.map(|incarnation| (id, incarnation));
        self.reaches(verb, id, owner) && self.caveats_permit(verb, target, About::default()).is_ok()
    }
}

impl State {
    /// An instance that a caller may do something with. One out of its reach
    /// does not exist for it.
    pub(super) fn target(
        &self,
        caller: &Caller,
        verb: Verb,
        id: InstanceId,
        about: About<'_>,
    ) -> Result<&Entry> {
        let unknown = || {
            Problem::new(
                Code::NotFound,
                format!("there is no instance {id} of yours"),
            )
        };
        let entry = self.tree.get(id).ok_or_else(unknown)?;
        if !caller.reaches(verb, id, &entry.owner) {
            return Err(unknown());
        }
        caller.caveats_permit(verb, Some((id, entry.incarnation)), about)?;
        Ok(entry)
    }
}

impl Gateway {
    /// A call was refused: an event, if that was for who made it.
    pub(crate) fn refused(
        &self,
        door: Door,
        shown: Option<&Token>,
        call: &str,
        code: Code,
        reason: &str,
    ) {
        let for_the_caller = match code {
            Code::Unauthenticated | Code::TokenInvalid | Code::Forbidden | Code::TooOften => true,
            // What is not the caller's does not exist for it, and the operator has all.
            Code::NotFound => door != Door::Operator,
            _ => false,
        };
        if !for_the_caller {
            return;
        }
        let live = match door {
            Door::Guest(id) => self.0.state.lock().live.get(&id).cloned(),
            Door::Operator | Door::Client => None,
        };
        let now = Instant::now();
        let left_out = match &live {
            Some(live) => live.facts.lock().refusals.tell(now),
            None => self.0.refusals.lock().tell(now),
        };
        let Some(left_out) = left_out else {
            return;
        };
        let door = match door {
            Door::Operator => "operator",
            Door::Client => "client",
            Door::Guest(_) => "guest",
        };
        let what = What::CallRefused {
            door: door.to_owned(),
            token_of: shown.and_then(|token| self.speaks_for(token)),
            call: call.chars().take(MAX_CALL).collect(),
            code,
            reason: reason.to_owned(),
            left_out,
        };
        match live {
            Some(live) => self.tell(&live, what),
            None => self.0.events.node(what),
        }
    }

    /// For whom a token speaks that this node has issued, be it good any more or not.
    fn speaks_for(&self, token: &Token) -> Option<Owner> {
        let chain = Chain::parse(token).ok()?;
        self.0.key.verify(&chain).ok()?;
        Some(match chain.principal() {
            Principal::Operator => Owner::Operator,
            Principal::Client(name) => Owner::Client(name.clone()),
            Principal::Instance(id, _) => Owner::Instance(*id),
        })
    }

    /// Who shows a token; `guest` is the instance whose guest it comes from.
    ///
    /// # Errors
    ///
    /// It is none of this node, was revoked, or speaks for what is gone.
    pub fn authenticate(&self, token: &Token, guest: Option<InstanceId>) -> Result<Caller> {
        let no_token = |reason: &dyn std::fmt::Display| Problem::new(Code::Unauthenticated, reason);
        let chain = Chain::parse(token).map_err(|bad| no_token(&format!("the token: {bad}")))?;
        let names = self
            .0
            .key
            .verify(&chain)
            .map_err(|forged| no_token(&forged))?;
        let state = self.0.state.lock();
        let invalid = |reason: &str| Problem::new(Code::TokenInvalid, reason);
        if names.iter().any(|name| state.revoked.contains(name)) {
            return Err(invalid("the token was revoked"));
        }
        if let Principal::Instance(id, incarnation) = *chain.principal() {
            let lives =
                |entry: &&Entry| entry.incarnation == incarnation && entry.state != Life::Ended;
            state
                .tree
                .get(id)
                .filter(lives)
                .ok_or_else(|| invalid("the instance that the token speaks for has ended"))?;
        }
        let holder = guest.and_then(|id| Some((id, state.tree.get(id)?.incarnation)));
        Ok(Caller {
            principal: chain.principal().clone(),
            caveats: chain.caveats().to_vec(),
            holder,
            chain: Some(chain),
        })
    }
}
