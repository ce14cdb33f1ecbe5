//! What the caveats of a token permit.

use unicell_gateway_api::id::{Incarnation, InstanceId};
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::token::{Caveat, Verb};

/// What someone asks to do, as caveats see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What.
    pub verb: Verb,
    /// With which instance, if with one.
    pub target: Option<(InstanceId, Incarnation)>,
    /// With which slot of it, if with one.
    pub slot: Option<(u16, Transport)>,
    /// For which network, if for one.
    pub network: Option<&'a str>,
    /// From inside which guest, if from one.
    pub holder: Option<(InstanceId, Incarnation)>,
    /// When, milliseconds since 1970.
    pub now_ms: u64,
}

/// Which caveat does not permit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is for another instance, or this is about none.
    #[error("the token is for one other instance")]
    Instance,
    /// The verb is not among the permitted ones.
    #[error("the token does not permit this verb")]
    Verb,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is for another holder.
    #[error("the token is for another holder")]
    Holder,
    /// It is for another slot, or this is about none.
    #[error("the token is for one other slot")]
    Slot,
    /// It is for another network, or this is about none.
    #[error("the token is for one other network")]
    Network,
}

impl Asked<'_> {
    /// Whether all caveats permit it. A caveat about something that the
    /// question does not have refuses: a token for one slot sees no logs.
    ///
    /// # Errors
    ///
    /// The first caveat that does not.
    pub fn permitted_by(&self, caveats: &[Caveat]) -> Result<(), Denied> {
        caveats.iter().try_for_each(|caveat| self.permitted(caveat))
    }

    fn permitted(&self, caveat: &Caveat) -> Result<(), Denied> {
        let (permitted, denied) = match caveat {
            Caveat::Instance { id, incarnation } => {
                (self.target == Some((*id, *incarnation)), Denied::Instance)
            }
            Caveat::Verbs(verbs) => (verbs.contains(&self.verb), Denied::Verb),
            Caveat::Expires(at) => (self.now_ms < *at, Denied::Expired),
            Caveat::Holder { id, incarnation } => {
                (self.holder == Some((*id, *incarnation)), Denied::Holder)
            }
            Caveat::Slot { port, transport } => {
                (self.slot == Some((*port, *transport)), Denied::Slot)
            }
            Caveat::Network(name) => (self.network == Some(name.as_str()), Denied::Network),
        };
        if permitted { Ok(()) } else { Err(denied) }
    }
}
