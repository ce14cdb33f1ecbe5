//! What a node that was killed has left on the host, and its removal.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tracing::{info, warn};
use unicell_gateway_api::run::Traces;
use unicell_vmm::jail::cgroup;

use super::runner::start_time;

/// How long a process that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes what was made for an instance, as far as it is still there.
pub(super) fn remove(traces: &Traces) {
    if let Some((pid, start)) = traces.pid.zip(traces.pid_start) {
        kill(pid, start);
    }
    for cgroup in &traces.cgroups {
        if let Err(error) = cgroup::remove(cgroup)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(path = %cgroup.display(), %error, "a control group stays");
        }
    }
    for file in &traces.files {
        if let Err(error) = std::fs::remove_file(file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(path = %file.display(), %error, "a file stays");
        }
    }
}

/// Kills a process, if it is the one that was started then, and waits until it is gone.
fn kill(pid: u32, start: u64) {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    // The descriptor first: then the process that is looked at is the one that is killed.
    let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else {
        return;
    };
    if start_time(pid) != Some(start) {
        return;
    }
    info!(pid, "a process of the last life runs on: killed");
    if pidfd_send_signal(&pidfd, Signal::KILL).is_err() {
        return;
    }
    let patience = Timespec::try_from(PATIENCE).ok();
    if !matches!(
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], patience.as_ref()),
        Ok(1)
    ) {
        warn!(pid, "a process of the last life does not end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn only_the_process_that_was_meant_is_killed() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        let start = start_time(pid).unwrap();
        let traces = |start| Traces {
            pid: Some(pid),
            pid_start: Some(start),
            ..Traces::default()
        };
        remove(&traces(start + 1));
        assert!(
            matches!(child.try_wait(), Ok(None)),
            "another process was killed"
        );
        let meant = traces(start);
        remove(&meant);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        // What is gone is gone.
        remove(&meant);
    }
}
