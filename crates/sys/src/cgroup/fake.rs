//! Control groups that are only remembered: for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Cgroups, Limits, Usage, Version};

/// Remembers the groups and their limits.
#[derive(Default)]
pub struct RecordingCgroups {
    groups: Mutex<BTreeMap<String, Limits>>,
}

// === impl RecordingCgroups ===

impl RecordingCgroups {
    /// The groups that are there, with their limits.
    pub fn groups(&self) -> BTreeMap<String, Limits> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Limits>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cgroups for RecordingCgroups {
    fn version(&self) -> Version {
        Version::V2
    }

    fn ensure(&self, path: &str, limits: &Limits) -> io::Result<()> {
        self.lock().insert(path.to_owned(), *limits);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let below = format!("{path}/");
        self.lock().retain(|group, _| group != path && !group.starts_with(&below));
        Ok(())
    }

    fn children(&self, path: &str) -> io::Result<Vec<String>> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let names = self
            .lock()
            .keys()
            .filter_map(|group| Some(group.strip_prefix(&below)?.split('/').next()?.to_owned()))
            .collect::<std::collections::BTreeSet<_>>();
        Ok(names.into_iter().collect())
    }

    fn usage(&self, path: &str) -> io::Result<Usage> {
        self.lock().get(path).map(|_| Usage::default()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
