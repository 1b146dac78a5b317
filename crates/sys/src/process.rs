//! Processes that outlive us: started in a session of their own, found again by number, waited for by descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::unix::AsyncFd;

/// How long a killed process may take to end.
const KILL_WAIT: Duration = Duration::from_secs(5);

#[allow(unsafe_code, reason = "the child has to leave our session before it runs its program")]
/// Starts `command` in a session of its own, so that no signal meant for us reaches it and it lives on after us.
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    // SAFETY: setsid is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
    command.spawn()
}

/// A descriptor that becomes readable when the process ends.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}

/// Asks the process to end, or with `force` makes it.
pub fn signal(pidfd: &OwnedFd, force: bool) -> io::Result<()> {
    let signal = if force { Signal::KILL } else { Signal::TERM };
    Ok(rustix::process::pidfd_send_signal(pidfd, signal)?)
}

/// Blocks until the process ends or `timeout` has passed; whether it has ended.
pub fn wait(pidfd: &OwnedFd, timeout: Duration) -> bool {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Returns when the process has ended. Call it within a tokio runtime.
#[allow(unsafe_code, reason = "only the caller can promise that the descriptor stays open")]
pub async fn ended(pidfd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned, so it stays open and the same until the registration is dropped with it.
    let registered = unsafe { AsyncFd::register(pidfd) }?;
    registered.readable().await.map(drop)
}

/// Kills a process and waits until it has ended; fine if it is not there.
pub fn kill_and_wait(pid: Pid) {
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) else { return };
    if signal(&pidfd, true).is_ok() {
        wait(&pidfd, KILL_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_process_is_found_and_ended() {
        let mut command = Command::new("sleep");
        command.arg("100");
        let mut child = spawn_detached(command).unwrap();
        let pidfd = open(child.id()).unwrap();
        assert!(!wait(&pidfd, Duration::ZERO));
        signal(&pidfd, false).unwrap();
        assert!(wait(&pidfd, Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
