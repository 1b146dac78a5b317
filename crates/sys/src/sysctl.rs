//! The kernel's settings under `/proc/sys`, as a seam. Names are paths there, such as `net/ipv4/ip_forward`: a
//! link's name may hold dots.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The kernel's settings. Those under `net` are of the calling thread's network namespace.
pub trait Sysctls: Send + Sync {
    /// The value of `name`, without the newline.
    fn read(&self, name: &str) -> io::Result<String>;
    /// Sets `name`.
    fn write(&self, name: &str, value: &str) -> io::Result<()>;
    /// The names within the directory `name`; empty when there is none.
    fn list(&self, name: &str) -> Vec<String>;
}

/// The machine's.
pub struct SystemSysctls;

/// Settings in memory, for tests.
#[derive(Default)]
pub struct FakeSysctls(Mutex<BTreeMap<String, String>>);

// === impl SystemSysctls ===

impl Sysctls for SystemSysctls {
    fn read(&self, name: &str) -> io::Result<String> {
        Ok(std::fs::read_to_string(Path::new("/proc/sys").join(name))?.trim_end().to_owned())
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        std::fs::write(Path::new("/proc/sys").join(name), value)
    }

    fn list(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(Path::new("/proc/sys").join(name)).into_iter().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

// === impl FakeSysctls ===

impl FakeSysctls {
    /// Settings that begin with `values`.
    pub fn new(values: &[(&str, &str)]) -> FakeSysctls {
        FakeSysctls(Mutex::new(values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()))
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sysctls for FakeSysctls {
    fn read(&self, name: &str) -> io::Result<String> {
        self.all().remove(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *values.get_mut(name).ok_or(io::ErrorKind::NotFound)? = value.to_owned();
        Ok(())
    }

    fn list(&self, name: &str) -> Vec<String> {
        let prefix = format!("{name}/");
        let mut names: Vec<String> = self
            .all()
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix)?.split('/').next().map(str::to_owned))
            .collect();
        names.dedup();
        names
    }
}
