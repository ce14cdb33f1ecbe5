//! What a process may do beyond other processes: nothing.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::plan::{Obstacle, failed};

/// Gives up all capabilities, and every way to get any.
pub(super) fn drop_all() -> Result<(), Obstacle> {
    set_no_new_privs(true).map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    clear_ambient_capability_set().map_err(failed("prctl(PR_CAP_AMBIENT_CLEAR_ALL)"))?;
    let now = capabilities(None).map_err(failed("capget"))?;
    if now.effective.contains(CapabilitySet::SETPCAP) {
        empty_bounding_set().map_err(failed("prctl(PR_CAPBSET_DROP)"))?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(failed("capset"))?;
    // No other process of this user traces it, looks into its memory or takes its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("prctl(PR_SET_DUMPABLE)"))
}

/// Without the capability for it, the set cannot be emptied, and need not be: nothing can be gained
/// by executing a file.
fn empty_bounding_set() -> Result<(), Errno> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Beyond the last that the host knows.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
