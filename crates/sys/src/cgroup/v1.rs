//! Version 1: one hierarchy for each controller.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{
    Cgroups, Limits, Usage, Version, directory, is_gone, read_key, read_number, remove_tree, subdirectories,
};
use crate::mount::Mount;

/// The controllers whose groups the kubelet makes; the container runtime makes what else it needs.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb"];

/// Version 1's hierarchies, by controller.
pub struct V1 {
    roots: BTreeMap<String, PathBuf>,
}

// === impl V1 ===

impl V1 {
    /// Those that the mount table shows.
    pub fn from_mounts(mounts: &[Mount]) -> V1 {
        let mut roots = BTreeMap::new();
        // Runtimes put processes into a version 2 hierarchy beside the others as well.
        let unified = mounts.iter().find(|mount| mount.filesystem == "cgroup2");
        roots.extend(unified.map(|mount| ("unified".to_owned(), mount.target.clone())));
        for mount in mounts.iter().filter(|mount| mount.filesystem == "cgroup") {
            for option in mount.options.split(',') {
                // `name=` hierarchies, such as systemd's, have no limits, but runtimes make groups in them as well.
                if option != "rw" && option != "ro" {
                    roots.entry(option.to_owned()).or_insert_with(|| mount.target.clone());
                }
            }
        }
        V1 { roots }
    }

    fn write(&self, controller: &str, path: &str, file: &str, value: &str) -> io::Result<()> {
        let Some(root) = self.roots.get(controller) else { return Ok(()) };
        std::fs::write(directory(root, path).join(file), value)
    }

    fn file(&self, controller: &str, path: &str, file: &str) -> io::Result<PathBuf> {
        let root = self.roots.get(controller).ok_or(io::ErrorKind::NotFound)?;
        Ok(directory(root, path).join(file))
    }
}

/// A new cpuset has no CPUs and no memory nodes until it is given its parent's.
fn inherit_cpuset(root: &Path, group: &Path) -> io::Result<()> {
    let below = group.strip_prefix(root).unwrap_or(Path::new(""));
    let mut parent = root.to_path_buf();
    for part in below.components() {
        let child = parent.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if std::fs::read_to_string(child.join(file))?.trim().is_empty() {
                std::fs::write(child.join(file), std::fs::read_to_string(parent.join(file))?.trim())?;
            }
        }
        parent = child;
    }
    Ok(())
}

impl Cgroups for V1 {
    fn version(&self) -> Version {
        Version::V1
    }

    fn ensure(&self, path: &str, limits: &Limits) -> io::Result<()> {
        for controller in CONTROLLERS {
            let Some(root) = self.roots.get(controller) else { continue };
            let group = directory(root, path);
            std::fs::create_dir_all(&group)?;
            if controller == "cpuset" {
                inherit_cpuset(root, &group)?;
            }
        }
        if let Some(shares) = limits.cpu_shares {
            self.write("cpu", path, "cpu.shares", &shares.to_string())?;
        }
        if let Some(period) = limits.cpu_period_us {
            self.write("cpu", path, "cpu.cfs_period_us", &period.to_string())?;
        }
        if let Some(quota) = limits.cpu_quota_us {
            self.write("cpu", path, "cpu.cfs_quota_us", &quota.max(-1).to_string())?;
        }
        if let Some(memory) = limits.memory_bytes {
            self.write("memory", path, "memory.limit_in_bytes", &memory.max(-1).to_string())?;
        }
        if let Some(pids) = limits.pids {
            let text = if pids < 0 { "max".to_owned() } else { pids.to_string() };
            self.write("pids", path, "pids.max", &text)?;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.roots.values().try_for_each(|root| remove_tree(&directory(root, path)))
    }

    fn children(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = std::collections::BTreeSet::new();
        for root in self.roots.values() {
            names.extend(subdirectories(&directory(root, path))?);
        }
        Ok(names.into_iter().collect())
    }

    fn usage(&self, path: &str) -> io::Result<Usage> {
        let memory_bytes = read_number(&self.file("memory", path, "memory.usage_in_bytes")?)?;
        let inactive = read_key(&self.file("memory", path, "memory.stat")?, "total_inactive_file")?;
        let pids = match self.file("pids", path, "pids.current").and_then(|file| read_number(&file)) {
            Err(error) if is_gone(&error) => 0,
            pids => pids?,
        };
        Ok(Usage {
            cpu_ns: read_number(&self.file("cpuacct", path, "cpuacct.usage")?)?,
            memory_bytes,
            working_set_bytes: memory_bytes.saturating_sub(inactive),
            pids,
        })
    }
}
