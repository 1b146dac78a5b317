//! What was changed about the machine, and from what, so that `uninstall` can put it back.

use decapod_sys::sysctl::Sysctls;
use serde::{Deserialize, Serialize};

/// Changes to the machine's settings, in the order in which they are made. The caller keeps it on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Kernel settings.
    pub sysctls: Vec<SysctlChange>,
    /// The kernel modules that were loaded already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<ModulesBefore>,
}

/// The kernel modules that were loaded before ours were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulesBefore {
    /// The machine's boot: the next one begins without modules (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// Their names.
    pub names: Vec<String>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlChange {
    /// Its path under `/proc/sys`.
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it becomes; the same as before when it is only put back, because another change moves it.
    pub after: String,
}

// === impl Ledger ===

impl Ledger {
    /// Adds what a later plan changes. What a setting was stays what it was at first.
    pub fn merge(&mut self, later: Ledger) {
        for change in later.sysctls {
            match self.sysctls.iter_mut().find(|known| known.name == change.name) {
                Some(known) => known.after = change.after,
                None => self.sysctls.push(change),
            }
        }
        match (&mut self.modules, later.modules) {
            (Some(before), Some(later)) if before.boot == later.boot => {
                before.names.retain(|name| later.names.contains(name));
            }
            (before, Some(later)) => *before = Some(later),
            (_, None) => {}
        }
    }

    /// Puts everything back as it was, unless somebody else has changed it since. Goes on past what fails; returns
    /// that.
    pub fn restore(&self, sysctls: &dyn Sysctls) -> Vec<(String, std::io::Error)> {
        let ours: Vec<bool> = self
            .sysctls
            .iter()
            .map(|change| {
                change.after == change.before
                    || sysctls.read(&change.name).is_ok_and(|now| now == change.after)
            })
            .collect();
        let mut failed = Vec::new();
        for (change, _) in self.sysctls.iter().zip(ours).filter(|(_, ours)| *ours) {
            match sysctls.write(&change.name, &change.before) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    failed.push((change.name.clone(), error));
                }
                _ => {}
            }
        }
        failed
    }
}
