//! Who a process says it is. Cosmetic towards the outside: the instance is the only principal.

use alloc::sync::Arc;

/// User and group numbers.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of credentials(7)")]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub groups: Arc<[u32]>,
}

impl Credentials {
    /// Whether permission checks are passed over.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.euid == 0
    }

    /// Whether a group is the effective or a supplementary one.
    #[must_use]
    pub fn in_group(&self, group: u32) -> bool {
        self.egid == group || self.groups.contains(&group)
    }
}
