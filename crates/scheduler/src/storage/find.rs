//! Whether a node has, or can get, the volumes of a pod (pkg/scheduler/framework/plugins/volumebinding, `PreFilter` and
//! `FindPodVolumes`; k8s.io/component-helpers/storage/volume, `FindMatchingVolume`).

use std::borrow::Cow;

use decapod_api::Str;

use super::{Binding, Claim, Provision, Storage, Volume, VolumePlan};
use crate::node::NodeInfo;
use crate::pod::PodInfo;

const NODE_CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT: &str = "node(s) didn't find available persistent volumes to bind";
const NO_VOLUME: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// The claims of one pod.
#[derive(Clone, Debug)]
pub struct PodClaims<'a> {
    storage: &'a Storage,
    bound: Vec<&'a Claim>,
    /// Those that wait for the pod's node, smallest first.
    waiting: Vec<&'a Claim>,
}

/// Why the volumes of a pod keep it from a node.
pub type Refused = Vec<Cow<'static, str>>;

// === impl Storage ===

impl Storage {
    /// The claims of `pod`, or why it can go nowhere as they are.
    pub fn claims_of(&self, pod: &PodInfo) -> Result<PodClaims<'_>, String> {
        let mut claims = Vec::new();
        for wanted in &pod.claims {
            let name = &wanted.name;
            let Some(claim) = self.claims.get(&(pod.namespace.clone(), name.clone())) else {
                return Err(if wanted.is_ephemeral {
                    format!(
                        "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
                    )
                } else {
                    format!("persistentvolumeclaim {name:?} not found")
                });
            };
            if claim.is_lost {
                let volume = &claim.volume;
                return Err(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
                ));
            }
            if claim.is_terminating {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if wanted.is_ephemeral && claim.owner != pod.uid {
                let claim = format!("{}/{name}", pod.namespace);
                return Err(format!("PVC {claim} was not created for pod {} (pod is not owner)", pod.key()));
            }
            claims.push(claim);
        }
        let (bound, mut waiting): (Vec<&Claim>, Vec<&Claim>) =
            claims.into_iter().partition(|claim| claim.is_bound());
        let waits = |claim: &&Claim| {
            claim.volume.is_empty() && self.classes.get(&claim.terms.class).is_some_and(|class| class.waits)
        };
        if !waiting.iter().all(waits) {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        waiting.sort_by_key(|claim| claim.terms.storage);
        Ok(PodClaims { storage: self, bound, waiting })
    }
}

// === impl PodClaims ===

impl PodClaims<'_> {
    /// What has to be written if the pod goes to `node`, or why it cannot.
    pub fn plan(&self, node: &NodeInfo) -> Result<VolumePlan, Refused> {
        let mut refused = Refused::new();
        for claim in &self.bound {
            match self.storage.volumes.get(&claim.volume) {
                Some(volume) if volume.is_near(&node.name, &node.labels) => continue,
                Some(_) => refused.push(NODE_CONFLICT.into()),
                None => refused.push(NO_VOLUME.into()),
            }
            break;
        }
        let plan = self.for_waiting(node);
        if plan.is_none() {
            refused.push(BIND_CONFLICT.into());
        }
        plan.filter(|_| refused.is_empty()).ok_or(refused)
    }

    fn for_waiting(&self, node: &NodeInfo) -> Option<VolumePlan> {
        let mut plan = VolumePlan::default();
        let mut chosen: Vec<&Str> = Vec::new();
        for claim in &self.waiting {
            let selected = claim.node();
            if !selected.is_empty() && *selected != node.name {
                return None;
            }
            let found = if selected.is_empty() { self.matching(claim, node, &chosen) } else { None };
            if let Some(volume) = found {
                chosen.push(&volume.name);
                plan.bindings.push(Binding {
                    volume: volume.name.clone(),
                    revision: volume.revision.clone(),
                    is_kept: volume.holder().is_some(),
                    claim: claim.key.clone(),
                    uid: claim.uid.clone(),
                });
                continue;
            }
            let class = self.storage.classes.get(&claim.terms.class)?;
            if !class.is_provisioned() || !class.reaches(&node.labels) {
                return None;
            }
            plan.provisions.push(Provision { claim: claim.key.clone(), revision: claim.revision.clone() });
        }
        Some(plan)
    }

    /// The volume that is kept for `claim`, else the smallest that fits, but none of those `chosen` already.
    fn matching(&self, claim: &Claim, node: &NodeInfo, chosen: &[&Str]) -> Option<&Volume> {
        let mut smallest: Option<&Volume> = None;
        let volumes = self.storage.volumes.values();
        for volume in volumes.filter(|volume| could_hold(volume, claim) && !chosen.contains(&&volume.name)) {
            let is_near = volume.is_near(&node.name, &node.labels);
            if volume.is_for(&claim.key, &claim.uid) {
                return is_near.then_some(volume);
            }
            let is_smaller = smallest.is_none_or(|other| volume.terms.storage < other.terms.storage);
            if is_near && is_smaller && fits(volume, claim) {
                smallest = Some(volume);
            }
        }
        smallest
    }
}

/// Whether `volume` is free or kept for `claim`, and is of its kind.
fn could_hold(volume: &Volume, claim: &Claim) -> bool {
    let (offered, asked) = (&volume.terms, &claim.terms);
    (volume.holder().is_none() || volume.is_for(&claim.key, &claim.uid))
        && offered.storage >= asked.storage
        && offered.is_block == asked.is_block
        && offered.attributes_class == asked.attributes_class
        && !volume.is_terminating
}

/// Whether a volume that is kept for nobody is one that `claim` asks for.
fn fits(volume: &Volume, claim: &Claim) -> bool {
    volume.is_available
        && volume.terms.class == claim.terms.class
        && claim.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels))
        && claim.terms.modes.iter().all(|mode| volume.terms.modes.contains(mode))
}
