//! Who a process says it is, and what that lets it do. Cosmetic towards the outside: the instance
//! is the only principal.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;

/// A set of capabilities; bit n is capability n of capabilities(7).
pub type Capabilities = u64;

/// All that there are.
pub const ALL: Capabilities = (1 << (linux::CAP_LAST_CAP + 1)) - 1;

/// Those that count for files, which follow the file user.
const OF_FILES: Capabilities = 1 << linux::CAP_CHOWN
    | 1 << linux::CAP_DAC_OVERRIDE
    | 1 << linux::CAP_DAC_READ_SEARCH
    | 1 << linux::CAP_FOWNER
    | 1 << linux::CAP_FSETID
    | 1 << linux::CAP_LINUX_IMMUTABLE
    | 1 << linux::CAP_MKNOD
    | 1 << linux::CAP_MAC_OVERRIDE;

/// Users, groups and capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are those of credentials(7) and capabilities(7)"
)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Arc<[u32]>,
    pub permitted: Capabilities,
    pub effective: Capabilities,
    pub inheritable: Capabilities,
    pub bounding: Capabilities,
    pub ambient: Capabilities,
    /// What is permitted stays so when the last user number that is root's goes (PR_SET_KEEPCAPS).
    pub keep: bool,
}

/// Root.
impl Default for Credentials {
    fn default() -> Self {
        Self {
            uid: 0,
            euid: 0,
            suid: 0,
            fsuid: 0,
            gid: 0,
            egid: 0,
            sgid: 0,
            fsgid: 0,
            groups: Arc::default(),
            permitted: ALL,
            effective: ALL,
            inheritable: 0,
            bounding: ALL,
            ambient: 0,
            keep: false,
        }
    }
}

impl Credentials {
    /// Whether a capability (`CAP_`...) is in effect.
    #[must_use]
    pub fn can(&self, capability: u32) -> bool {
        self.effective & 1 << capability != 0
    }

    /// Whether a group is the one for files or a supplementary one.
    #[must_use]
    pub fn in_group(&self, group: u32) -> bool {
        self.fsgid == group || self.groups.contains(&group)
    }

    /// Takes these real, effective and saved users; files are used as the effective one.
    pub fn set_users(&mut self, [real, effective, saved]: [u32; 3]) {
        let had_root = [self.uid, self.euid, self.suid].contains(&0);
        let has_root = [real, effective, saved].contains(&0);
        if had_root && !has_root {
            if !self.keep {
                (self.permitted, self.effective) = (0, 0);
            }
            self.ambient = 0;
        }
        match (self.euid, effective) {
            (0, 1..) => self.effective = 0,
            (1.., 0) => self.effective = self.permitted,
            _ => {}
        }
        (self.uid, self.euid, self.suid, self.fsuid) = (real, effective, saved, effective);
    }

    /// Takes these real, effective and saved groups; files are used as the effective one.
    pub fn set_groups(&mut self, [real, effective, saved]: [u32; 3]) {
        (self.gid, self.egid, self.sgid, self.fsgid) = (real, effective, saved, effective);
    }

    /// Uses files as this user.
    pub fn set_file_user(&mut self, user: u32) {
        match (self.fsuid, user) {
            (0, 1..) => self.effective &= !OF_FILES,
            (1.., 0) => self.effective |= self.permitted & OF_FILES,
            _ => {}
        }
        self.fsuid = user;
    }

    /// As access(2) asks: with the real user and group.
    pub fn use_real(&mut self) {
        (self.fsuid, self.fsgid) = (self.uid, self.gid);
        self.effective = if self.uid == 0 { self.permitted } else { 0 };
    }

    /// What execve(2) makes of them, for a program that lends its owner's user or group.
    pub fn over_exec(&mut self, user: Option<u32>, group: Option<u32>) {
        self.euid = user.unwrap_or(self.euid);
        self.egid = group.unwrap_or(self.egid);
        (self.suid, self.fsuid) = (self.euid, self.euid);
        (self.sgid, self.fsgid) = (self.egid, self.egid);
        self.keep = false;
        if self.lends(user, group) {
            self.ambient = 0;
        }
        self.permitted = self.ambient;
        if self.uid == 0 || self.euid == 0 {
            self.permitted = self.bounding | self.inheritable;
        }
        self.effective = if self.euid == 0 {
            self.permitted
        } else {
            self.ambient
        };
    }

    /// Whether a program that lends these makes its user another than who started it (AT_SECURE).
    #[must_use]
    pub fn lends(&self, user: Option<u32>, group: Option<u32>) -> bool {
        user.is_some_and(|user| user != self.uid) || group.is_some_and(|group| group != self.gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_of_root_takes_the_capabilities_along() {
        let mut who = Credentials::default();
        who.set_users([1, 2, 0]);
        assert_eq!((who.permitted, who.effective), (ALL, 0));
        who.set_users([1, 0, 0]);
        assert_eq!(who.effective, ALL);
        who.set_users([1, 1, 1]);
        assert_eq!((who.permitted, who.effective), (0, 0));
    }

    #[test]
    fn the_file_user_decides_about_files_only() {
        let mut who = Credentials::default();
        who.set_file_user(1);
        assert!(!who.can(linux::CAP_DAC_OVERRIDE) && who.can(linux::CAP_KILL));
        who.set_file_user(0);
        assert_eq!(who.effective, ALL);
    }

    #[test]
    fn a_program_that_lends_its_user_starts_as_that_user() {
        let mut who = Credentials::default();
        who.set_users([5, 5, 5]);
        who.over_exec(Some(0), None);
        assert_eq!((who.uid, who.euid, who.suid, who.effective), (5, 0, 0, ALL));
        who.over_exec(None, None);
        assert_eq!((who.euid, who.effective), (0, ALL));
    }
}
