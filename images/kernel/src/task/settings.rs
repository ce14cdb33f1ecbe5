//! What a process says of itself by prctl(2) and personality(2).

/// Settings of one process.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// PR_SET_DUMPABLE.
    pub dumpable: bool,
    /// Orphans among its descendants become its children (PR_SET_CHILD_SUBREAPER).
    pub subreaper: bool,
    /// It gains nothing by execve (PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// Sent to it when its parent ends (PR_SET_PDEATHSIG); 0 for nothing.
    pub death_signal: u32,
    /// It may ask for barriers of its own (membarrier(2)).
    pub expedited_barriers: bool,
    /// As personality(2) has it.
    pub persona: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dumpable: true,
            subreaper: false,
            no_new_privileges: false,
            death_signal: 0,
            expedited_barriers: false,
            persona: 0,
        }
    }
}

impl Settings {
    /// Those of a child.
    #[must_use]
    pub fn inherited(self) -> Self {
        Self {
            subreaper: false,
            death_signal: 0,
            ..self
        }
    }
}
