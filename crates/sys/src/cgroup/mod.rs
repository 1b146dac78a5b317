//! Control groups of both versions, as pods need them: a tree of groups with CPU, memory and process limits.
//!
//! Paths are absolute within the hierarchy, such as `/kubepods/burstable/pod1`; version 1 keeps one such tree for
//! each controller.

mod fake;
mod v1;
mod v2;

use std::io;
use std::path::Path;

pub use fake::RecordingCgroups;
pub use v1::V1;
pub use v2::V2;

/// Which interface the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy.
    V2,
}

/// What a group may use; `None` leaves a limit as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Its weight against its siblings, in version 1's scale: 1024 for one core.
    pub cpu_shares: Option<u64>,
    /// How long it may run in each period; negative for no limit.
    pub cpu_quota_us: Option<i64>,
    /// The period of the quota.
    pub cpu_period_us: Option<u64>,
    /// Negative for no limit.
    pub memory_bytes: Option<i64>,
    /// How many processes it may have; negative for no limit.
    pub pids: Option<i64>,
}

/// What a group uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since it was made.
    pub cpu_ns: u64,
    /// All memory charged to it.
    pub memory_bytes: u64,
    /// The same without inactive file pages: what eviction looks at.
    pub working_set_bytes: u64,
    /// How many processes it has.
    pub pids: u64,
}

/// What the kubelet asks of control groups.
pub trait Cgroups: Send + Sync {
    /// Which interface this is.
    fn version(&self) -> Version;
    /// Makes the group, and those above it, if they are not there, and sets `limits`.
    fn ensure(&self, path: &str, limits: &Limits) -> io::Result<()>;
    /// Kills what still runs in the group and below it, and removes them. Fine if it is not there.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The names of the groups right below `path`.
    fn children(&self, path: &str) -> io::Result<Vec<String>>;
    /// What the group uses.
    fn usage(&self, path: &str) -> io::Result<Usage>;
}

/// The machine's control groups, of the version that is mounted below `/sys/fs/cgroup`.
pub fn detect() -> io::Result<Box<dyn Cgroups>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mounts = crate::mount::parse_mountinfo(&mounts);
    let root = Path::new("/sys/fs/cgroup");
    if mounts.iter().any(|mount| mount.target == root && mount.filesystem == "cgroup2") {
        return Ok(Box::new(V2::new(root)));
    }
    Ok(Box::new(V1::from_mounts(&mounts)))
}

/// Whether the file system error says that something is not there.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

/// The directory of `path` below `root`.
fn directory(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The names of the directories in `directory`; none if it is not there.
fn subdirectories(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Removes the groups at and below `directory`, deepest first, killing what is in them.
fn remove_tree(directory: &Path) -> io::Result<()> {
    for name in subdirectories(directory)? {
        remove_tree(&directory.join(name))?;
    }
    for _ in 0..REMOVE_TRIES {
        match std::fs::remove_dir(directory) {
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                kill_all(directory)?
            }
            result => return result,
        }
    }
    std::fs::remove_dir(directory)
}

/// A killed process takes a moment to leave its group; each try waits for the processes that it killed.
const REMOVE_TRIES: u32 = 5;

fn kill_all(directory: &Path) -> io::Result<()> {
    let text = std::fs::read_to_string(directory.join("cgroup.procs"))?;
    for pid in text.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
        crate::process::kill_and_wait(pid);
    }
    Ok(())
}

/// The number in a control file.
fn read_number(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{}: no number", file.display())))
}

/// The number after `key` in a control file of keys and values.
fn read_key(file: &Path, key: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
}
