//! Whether what a process says about its usage can be true. The host's kernel counts too, and a
//! process cannot change what it counts.

/// What a process uses beside its guest, and what it uses between its own look and the host's.
pub(super) const CPU_SLACK_NS: u64 = 250_000_000;
/// What a process keeps beside its guest's RAM, at most: what streams have under way.
pub(super) const MEMORY_SLACK: u64 = 320 << 20;

/// Whether a claim is as good as what was measured: within the slack and an eighth of it.
pub(super) fn agrees(claimed: u64, measured: u64, slack: u64) -> bool {
    claimed.abs_diff(measured) <= slack.saturating_add(measured / 8)
}
