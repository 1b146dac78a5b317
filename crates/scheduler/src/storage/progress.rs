//! How far the volumes of a pod are that were asked for (pkg/scheduler/framework/plugins/volumebinding,
//! `checkBindings`).

use super::{Claim, ClaimKey, Storage, VolumePlan};
use crate::node::NodeInfo;

/// How far they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// All claims are bound.
    Bound,
    /// Somebody else still has to do something.
    Waiting,
    /// They will never be there: the pod needs another decision.
    Failed(String),
}

// === impl Storage ===

impl Storage {
    /// How far what `plan` asked for on `node` is.
    pub fn progress(&self, plan: &VolumePlan, node: &NodeInfo) -> Progress {
        self.check(plan, node).unwrap_or_else(Progress::Failed)
    }

    fn check(&self, plan: &VolumePlan, node: &NodeInfo) -> Result<Progress, String> {
        let mut is_bound = true;
        for binding in &plan.bindings {
            let name = &binding.volume;
            let volume = self.volumes.get(name).ok_or_else(|| {
                format!("failed to check binding: could not find v1.PersistentVolume {name:?}")
            })?;
            let claim = self.claim(&binding.claim, "failed to check binding")?;
            self.check_near(name, node)?;
            if volume.holder().is_none_or(|holder| holder.uid.is_empty()) {
                return Err(format!("ClaimRef got reset for pv {name:?}"));
            }
            is_bound &= claim.is_bound();
        }
        for provision in &plan.provisions {
            let claim = self.claim(&provision.claim, "failed to check provisioning pvc")?;
            if *claim.node() != node.name {
                return Err(format!("provisioning failed for PVC {:?}", claim.key.1));
            }
            if self.volumes.contains_key(&claim.volume) {
                self.check_near(&claim.volume, node)?;
            }
            is_bound &= claim.is_bound();
        }
        Ok(if is_bound { Progress::Bound } else { Progress::Waiting })
    }

    fn claim(&self, key: &ClaimKey, what: &str) -> Result<&Claim, String> {
        let lost = || format!("{what}: could not find v1.PersistentVolumeClaim \"{}/{}\"", key.0, key.1);
        self.claims.get(key).ok_or_else(lost)
    }

    fn check_near(&self, volume: &str, node: &NodeInfo) -> Result<(), String> {
        match self.volumes.get(volume) {
            Some(found) if !found.is_near(&node.name, &node.labels) => {
                Err(format!("pv {volume:?} node affinity doesn't match node {:?}", node.name))
            }
            _ => Ok(()),
        }
    }
}
