//! Landlock: a process that denies itself every path, port and signal.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus, Scope,
};

use super::plan::Obstacle;

/// The newest version whose rights are known here; of an older host, those that it has.
const NEWEST: ABI = ABI::V6;

/// Handles every kind of access, and allows none.
pub(super) fn restrict() -> Result<(), Obstacle> {
    match restrict_self() {
        Ok(RulesetStatus::NotEnforced) => {
            Err(Obstacle::Lacking("this host has no Landlock".to_owned()))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Obstacle::Failed("landlock", std::io::Error::other(error))),
    }
}

fn restrict_self() -> Result<RulesetStatus, RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset)
}
