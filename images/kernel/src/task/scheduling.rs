//! What a program says of a thread's claim to the processor. It is kept, inherited and told;
//! threads take turns whatever it says.

use linux_raw_sys::general as linux;

/// Policy, priority and niceness of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// SCHED_OTHER and the others.
    pub policy: u32,
    /// Of SCHED_FIFO and SCHED_RR, 1 to 99; 0 for the others.
    pub priority: u32,
    /// -20 to 19.
    pub nice: i32,
    /// Children begin as ordinary ones.
    pub reset_on_fork: bool,
}

/// Whether the policy is one of real time.
#[must_use]
pub fn is_real_time(policy: u32) -> bool {
    matches!(policy, linux::SCHED_FIFO | linux::SCHED_RR)
}

impl Scheduling {
    /// What a thread made by one with this begins with.
    #[must_use]
    pub fn inherited(self) -> Self {
        match self {
            Self {
                reset_on_fork: false,
                ..
            } => self,
            Self { policy, nice, .. } if is_real_time(policy) || nice < 0 => Self::default(),
            Self { policy, nice, .. } => Self {
                policy,
                nice,
                ..Self::default()
            },
        }
    }

    /// The priority that `/proc/PID/stat` shows.
    #[must_use]
    pub fn shown_priority(self) -> i32 {
        match self.priority {
            0 => 20 + self.nice,
            priority => -1 - priority.cast_signed(),
        }
    }
}
