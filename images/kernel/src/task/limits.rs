//! Resource limits, as getrlimit(2) has them.

use linux_raw_sys::general as linux;

/// Number of resources.
pub const RESOURCES: usize = 16;
/// No limit.
pub const INFINITY: u64 = u64::MAX;
/// The stack that a program gets, in bytes.
pub const STACK: u64 = 8 << 20;
/// Threads and processes of one instance.
pub const THREADS: u64 = 4096;

/// Soft and hard limit of each resource.
#[derive(Clone, Debug)]
pub struct Limits([(u64, u64); RESOURCES]);

impl Default for Limits {
    fn default() -> Self {
        let mut limits = [(INFINITY, INFINITY); RESOURCES];
        limits[linux::RLIMIT_STACK as usize] = (STACK, INFINITY);
        limits[linux::RLIMIT_CORE as usize] = (0, INFINITY);
        limits[linux::RLIMIT_NOFILE as usize] = (1024, 20_000);
        limits[linux::RLIMIT_NPROC as usize] = (THREADS, THREADS);
        limits[linux::RLIMIT_MEMLOCK as usize] = (8 << 20, 8 << 20);
        limits[linux::RLIMIT_SIGPENDING as usize] = (4096, 4096);
        limits[linux::RLIMIT_MSGQUEUE as usize] = (819_200, 819_200);
        limits[linux::RLIMIT_NICE as usize] = (0, 0);
        limits[linux::RLIMIT_RTPRIO as usize] = (0, 0);
        Self(limits)
    }
}

impl Limits {
    /// Soft and hard limit.
    #[must_use]
    pub fn get(&self, resource: usize) -> Option<(u64, u64)> {
        self.0.get(resource).copied()
    }

    /// Soft and hard limit of a resource (`RLIMIT_`...) that there is.
    #[must_use]
    pub fn of(&self, resource: u32) -> (u64, u64) {
        self.0[resource as usize]
    }

    /// Sets both.
    pub fn set(&mut self, resource: usize, limit: (u64, u64)) {
        if let Some(slot) = self.0.get_mut(resource) {
            *slot = limit;
        }
    }

    /// The soft limit on open descriptors.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        self.0[linux::RLIMIT_NOFILE as usize].0
    }

    /// The soft limit on threads and processes of one user.
    #[must_use]
    pub fn processes(&self) -> u64 {
        self.0[linux::RLIMIT_NPROC as usize].0
    }

    /// The soft limit on the main thread's stack.
    #[must_use]
    pub fn stack(&self) -> u64 {
        self.0[linux::RLIMIT_STACK as usize].0
    }
}
