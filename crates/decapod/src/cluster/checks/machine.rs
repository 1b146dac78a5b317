//! What is beside the kernel: rights, programs, ports, disk and clock.

use std::path::{Path, PathBuf};

use decapod_kubelet::containerd::{ContainerdError, find};
use jiff::Timestamp;

use super::Finding;
use crate::cluster::{Paths, ports, teardown};

/// Capabilities that a node uses, by their bits (linux/capability.h).
const CAPABILITIES: [(&str, u32); 4] =
    [("CAP_NET_ADMIN", 12), ("CAP_SYS_CHROOT", 18), ("CAP_SYS_PTRACE", 19), ("CAP_SYS_ADMIN", 21)];
/// Less than this is of no use, and less than that will not be enough for long: images take it.
const DISK_MIN_BYTES: u64 = 1 << 30;
const DISK_WANTED_BYTES: u64 = 5 << 30;
/// No clock that is right says less (2025-01-01).
const EARLIEST_SECOND: i64 = 1_735_689_600;

/// Whether the process may do what a node does.
pub fn rights() -> Finding {
    const SUBJECT: &str = "rights";
    if !rustix::process::geteuid().is_root() {
        return Finding::fail(SUBJECT, "a node needs root, for mounts, links and rules: run it with sudo");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match lacking(&status).as_slice() {
        [] => Finding::ok(SUBJECT, "root, with the capabilities that a node needs"),
        lacking => Finding::fail(
            SUBJECT,
            format!(
                "root without {}: run it outside a container, or in a privileged one",
                lacking.join(", ")
            ),
        ),
    }
}

/// The capabilities that `/proc/self/status` lacks.
fn lacking(status: &str) -> Vec<&'static str> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(u64::MAX);
    CAPABILITIES.iter().filter(|(_, bit)| mask & (1 << bit) == 0).map(|(name, _)| *name).collect()
}

/// runc and containerd, and where they are.
pub fn runtime(dirs: &[PathBuf]) -> Vec<Finding> {
    match find(dirs) {
        Ok(found) => {
            let (major, minor) = found.version;
            let text = format!("{major}.{minor} at {}", found.containerd.display());
            let containerd = match found.lacks().is_empty() {
                true => Finding::ok("containerd", text),
                false => Finding::warn(
                    "containerd",
                    format!(
                        "{text} has no {}: put a 2.2 or newer in PATH or --runtime-dir",
                        found.lacks().join(", no ")
                    ),
                ),
            };
            vec![Finding::ok("runtime", found.runtime.display().to_string()), containerd]
        }
        Err(error @ ContainerdError::NoRuntime) => vec![Finding::fail("runtime", error.to_string())],
        Err(error) => vec![Finding::fail("containerd", error.to_string())],
    }
}

/// Whether a port is free, or has been taken by the cluster itself.
pub fn port(paths: &Paths, port: u16, flag: &'static str) -> Finding {
    const SUBJECT: &str = "port";
    match (ports::check(port, flag), teardown::running(&paths.pid())) {
        (Ok(()), _) => Finding::ok(SUBJECT, format!("{port} is free ({flag})")),
        (Err(_), Some(_)) => {
            Finding::ok(SUBJECT, format!("{port} is in use while the cluster runs ({flag})"))
        }
        (Err(busy), None) => Finding::fail(SUBJECT, busy.to_string()),
    }
}

/// The room for a cluster's data and images.
pub fn disk(data: &Path) -> Finding {
    const SUBJECT: &str = "disk";
    let there = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(found) => room(&there.display().to_string(), found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => Finding::warn(SUBJECT, format!("{}: {error}", there.display())),
    }
}

fn room(place: &str, bytes: u64) -> Finding {
    const SUBJECT: &str = "disk";
    let text = format!("{:.1} GiB free at {place}", bytes as f64 / f64::from(1 << 30));
    match bytes {
        ..DISK_MIN_BYTES => Finding::fail(
            SUBJECT,
            format!("{text}: make room for 1 GiB at least, or choose another --data-dir"),
        ),
        DISK_MIN_BYTES..DISK_WANTED_BYTES => {
            Finding::warn(SUBJECT, format!("{text}: a few images fill that"))
        }
        _ => Finding::ok(SUBJECT, text),
    }
}

/// Whether certificates can be good now: a clock that is far behind makes all of them not good yet.
pub fn clock(paths: &Paths, now: Timestamp) -> Finding {
    const SUBJECT: &str = "clock";
    let made = std::fs::metadata(paths.data.join("pki/ca.crt")).and_then(|file| file.modified()).ok();
    let made = made.and_then(|at| Timestamp::try_from(at).ok());
    match () {
        () if now.as_second() < EARLIEST_SECOND => {
            Finding::fail(SUBJECT, format!("it says {now:.0}, which is long ago: set it"))
        }
        () if made.is_some_and(|made| now < made) => Finding::fail(
            SUBJECT,
            format!("it says {now:.0}, before the cluster's certificates were made: set it"),
        ),
        () => Finding::ok(SUBJECT, format!("{now:.0}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::checks::Level;

    #[test]
    fn what_a_machine_lacks_is_said_with_what_to_do() {
        assert!(lacking("CapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(
            lacking("CapEff:\t00000000a80425fb\n"),
            ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]
        );
        assert_eq!(room("/", 20 << 30).level, Level::Ok);
        assert_eq!(room("/", 2 << 30).level, Level::Warn);
        assert_eq!(
            room("/", 1 << 20).to_string(),
            "fail  disk        0.0 GiB free at /: make room for 1 GiB at least, or choose another --data-dir"
        );
        let paths = Paths { data: "/nowhere".into() };
        assert_eq!(clock(&paths, Timestamp::UNIX_EPOCH).level, Level::Fail);
        assert_eq!(clock(&paths, Timestamp::from_second(1_800_000_000).unwrap()).level, Level::Ok);
        let holder = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let busy = port(&paths, holder.local_addr().unwrap().port(), "--port");
        assert!(busy.level == Level::Fail && busy.text.contains("choose another with --port"), "{busy}");
    }
}
