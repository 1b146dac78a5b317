//! Version 2: one hierarchy with all controllers.

use std::io;
use std::path::{Path, PathBuf};

use super::{
    Cgroups, Limits, Usage, Version, directory, is_gone, read_key, read_number, remove_tree, subdirectories,
};

/// The controllers that groups of pods use, where the kernel has them.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];

/// Version 2's hierarchy.
pub struct V2 {
    root: PathBuf,
}

// === impl V2 ===

impl V2 {
    /// The hierarchy mounted at `root`.
    pub fn new(root: &Path) -> V2 {
        V2 { root: root.to_path_buf() }
    }

    /// Lets the groups below `group` use the controllers that `group` has.
    fn delegate(&self, group: &Path) -> io::Result<()> {
        let there = std::fs::read_to_string(group.join("cgroup.controllers"))?;
        let on = std::fs::read_to_string(group.join("cgroup.subtree_control"))?;
        for controller in CONTROLLERS {
            let has = |list: &str| list.split_whitespace().any(|name| name == controller);
            if has(&there) && !has(&on) {
                std::fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"))?;
            }
        }
        Ok(())
    }
}

/// Version 1's shares in version 2's scale of weights, so that 1024 becomes 100 and the ends meet
/// (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value).
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

fn max_or(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

impl Cgroups for V2 {
    fn version(&self) -> Version {
        Version::V2
    }

    fn ensure(&self, path: &str, limits: &Limits) -> io::Result<()> {
        let mut group = self.root.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            self.delegate(&group)?;
            group.push(part);
            match std::fs::create_dir(&group) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => result?,
            }
        }
        let write = |file: &str, value: String| match std::fs::write(group.join(file), value) {
            // The controller is not there.
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        };
        if let Some(shares) = limits.cpu_shares {
            write("cpu.weight", weight(shares).to_string())?;
        }
        if let Some(quota) = limits.cpu_quota_us {
            write("cpu.max", format!("{} {}", max_or(quota), limits.cpu_period_us.unwrap_or(100_000)))?;
        }
        if let Some(memory) = limits.memory_bytes {
            write("memory.max", max_or(memory))?;
        }
        if let Some(pids) = limits.pids {
            write("pids.max", max_or(pids))?;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let group = directory(&self.root, path);
        match std::fs::write(group.join("cgroup.kill"), "1") {
            Err(error) if is_gone(&error) => return remove_tree(&group),
            result => result?,
        }
        remove_tree(&group)
    }

    fn children(&self, path: &str) -> io::Result<Vec<String>> {
        subdirectories(&directory(&self.root, path))
    }

    fn usage(&self, path: &str) -> io::Result<Usage> {
        let group = directory(&self.root, path);
        let memory_bytes = read_number(&group.join("memory.current"))?;
        let inactive = read_key(&group.join("memory.stat"), "inactive_file")?;
        Ok(Usage {
            cpu_ns: read_key(&group.join("cpu.stat"), "usage_usec")? * 1000,
            memory_bytes,
            working_set_bytes: memory_bytes.saturating_sub(inactive),
            pids: read_number(&group.join("pids.current"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, expected) in [(0, 1), (2, 1), (102, 17), (1024, 100), (262_144, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares} shares");
        }
    }
}
