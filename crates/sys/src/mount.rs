//! Mounts and filesystems, as pods need them: tmpfs, bind mounts, propagation, usage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::mount::{FsOpenFlags, MountFlags, MountPropagationFlags, UnmountFlags};

/// What the kubelet asks of the mount table.
pub trait Mounts: Send + Sync {
    /// Mounts a tmpfs of at most `size_bytes` (half the memory when `None`) on `target`.
    fn tmpfs(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()>;
    /// Shows `source` at `target` too, with what is mounted below it.
    fn bind(&self, source: &Path, target: &Path) -> io::Result<()>;
    /// Makes mounts at and below `target` appear in all its peers, both ways.
    fn share(&self, target: &Path) -> io::Result<()>;
    /// Takes away what is mounted on `target`; fine if nothing is.
    fn unmount(&self, target: &Path) -> io::Result<()>;
    /// Everything that is mounted, in the order of mounting.
    fn list(&self) -> io::Result<Vec<Mount>>;
    /// How full the filesystem of `path` is.
    fn usage(&self, path: &Path) -> io::Result<Usage>;
}

/// One line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub target: PathBuf,
    /// Such as `tmpfs`.
    pub filesystem: String,
    /// The device, or what stands for it.
    pub source: String,
    /// Options of the filesystem, such as `rw,cpu`.
    pub options: String,
    /// Whether mounts below it reach its peers.
    pub shared: bool,
}

/// How full a filesystem is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its size.
    pub capacity_bytes: u64,
    /// What an ordinary user may still write.
    pub available_bytes: u64,
    /// How many files it can hold.
    pub inodes: u64,
    /// How many more files it can hold.
    pub inodes_free: u64,
}

/// The machine's own mount table.
pub struct KernelMounts;

/// Remembers what it was asked and mounts nothing: for tests.
#[derive(Default)]
pub struct RecordingMounts {
    calls: Mutex<Vec<String>>,
    mounted: Mutex<Vec<Mount>>,
}

// === impl KernelMounts ===

impl Mounts for KernelMounts {
    fn tmpfs(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()> {
        let options = size_bytes.map(|size| format!("size={size}")).unwrap_or_default();
        let data = std::ffi::CString::new(options)?;
        rustix::mount::mount("tmpfs", target, "tmpfs", MountFlags::empty(), data.as_c_str())?;
        Ok(())
    }

    fn bind(&self, source: &Path, target: &Path) -> io::Result<()> {
        Ok(rustix::mount::mount_bind_recursive(source, target)?)
    }

    fn share(&self, target: &Path) -> io::Result<()> {
        Ok(rustix::mount::mount_change(target, MountPropagationFlags::SHARED | MountPropagationFlags::REC)?)
    }

    fn unmount(&self, target: &Path) -> io::Result<()> {
        match rustix::mount::unmount(target, UnmountFlags::empty()) {
            // Not mounted, or not there.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<Mount>> {
        Ok(parse_mountinfo(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn usage(&self, path: &Path) -> io::Result<Usage> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Usage {
            capacity_bytes: stat.f_blocks * stat.f_frsize,
            available_bytes: stat.f_bavail * stat.f_frsize,
            inodes: stat.f_files,
            inodes_free: stat.f_favail,
        })
    }
}

/// The lines of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
pub fn parse_mountinfo(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let target = unescape(left.nth(4)?);
    let shared = left.skip(1).any(|tag| tag.starts_with("shared:"));
    let mut right = right.split(' ');
    Some(Mount {
        target: PathBuf::from(target),
        filesystem: right.next()?.to_owned(),
        source: unescape(right.next()?),
        options: right.next().unwrap_or_default().to_owned(),
        shared,
    })
}

/// Undoes the octal escapes of white space and backslashes.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        match rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

// === impl RecordingMounts ===

impl RecordingMounts {
    /// What was asked so far, one line each.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, call: String) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    fn add(&self, target: &Path, filesystem: &str, source: String) {
        let mount = Mount {
            target: target.into(),
            filesystem: filesystem.into(),
            source,
            options: String::new(),
            shared: false,
        };
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner).push(mount);
    }
}

impl Mounts for RecordingMounts {
    fn tmpfs(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()> {
        self.record(format!("tmpfs {} {size_bytes:?}", target.display()));
        self.add(target, "tmpfs", "tmpfs".to_owned());
        Ok(())
    }

    fn bind(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.record(format!("bind {} {}", source.display(), target.display()));
        self.add(target, "none", source.display().to_string());
        Ok(())
    }

    fn share(&self, target: &Path) -> io::Result<()> {
        self.record(format!("share {}", target.display()));
        Ok(())
    }

    fn unmount(&self, target: &Path) -> io::Result<()> {
        self.record(format!("unmount {}", target.display()));
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner).retain(|mount| mount.target != target);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<Mount>> {
        Ok(self.mounted.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn usage(&self, _path: &Path) -> io::Result<Usage> {
        Ok(Usage { capacity_bytes: 1 << 30, available_bytes: 1 << 29, inodes: 1 << 20, inodes_free: 1 << 19 })
    }
}

/// Whether the kernel knows a filesystem, such as `overlay`; it is loaded if it is a module. Kernels before 5.2 do not say.
pub fn is_known(filesystem: &str) -> io::Result<bool> {
    match rustix::mount::fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NODEV) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_read() {
        let text = "36 35 98:0 /a /mnt/with\\040space rw,noatime shared:7 - ext3 /dev/root rw,errors=continue\n\
                    37 35 0:5 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let mounts = parse_mountinfo(text);
        assert_eq!(mounts[0].target, Path::new("/mnt/with space"));
        assert!(mounts[0].shared && !mounts[1].shared);
        assert_eq!((mounts[1].filesystem.as_str(), mounts[1].options.as_str()), ("cgroup", "rw,cpu"));
    }
}
