//! The volumes behind claims (pkg/kubelet/volumemanager/populator, `createVolumeSpec`): which one it is, and whether the
//! pod may have it. Nothing is watched: a claim that is bound stays so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_api::selector::LabelSelector;
use decapod_api::{Status, Value};
use decapod_client::Client;
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, Volume,
};

use crate::pod::NodePod;

/// Keeps a claim while pods use it: with it, one that is being deleted is there until they are gone.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// The volume behind a claim cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Its claim does not lead to it.
    #[error("error processing PVC {claim}: {why}")]
    Claim {
        /// Namespace and name.
        claim: String,
        /// The step that failed.
        why: Broken,
    },
    /// The claim has the name of one that is made for the pod, but is not.
    #[error("PVC {claim} was not created for pod {pod} (pod is not owner)")]
    NotOwner {
        /// Namespace and name of the claim.
        claim: String,
        /// Namespace and name of the pod.
        pod: String,
    },
    /// It cannot be reached from here.
    #[error("MountVolume.NodeAffinity check failed for volume {0:?} : no matching NodeSelectorTerms")]
    Far(String),
    /// The node's labels cannot be read.
    #[error("failed to get the node: {0}")]
    Node(#[source] Box<Status>),
}

/// Where the way from a claim to its volume is broken.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The claim cannot be read.
    #[error("failed to fetch PVC from API server: {0}")]
    NoClaim(#[source] Box<Status>),
    /// The claim is going.
    #[error("PVC is being deleted")]
    Deleted,
    /// The claim has no volume yet.
    #[error("PVC is not bound")]
    NotBound,
    /// The claim says that it has a volume, but not which.
    #[error("PVC has empty pvc.Spec.VolumeName")]
    NoName,
    /// The volume cannot be read.
    #[error("failed to fetch PV {name:?} from API server: {error}")]
    NoVolume {
        /// The volume's name.
        name: String,
        /// Why not.
        error: Box<Status>,
    },
    /// The volume has no claim, or another.
    #[error("PV {name:?} is bound to another claim than {uid:?}")]
    Other {
        /// The volume's name.
        name: String,
        /// The claim's UID.
        uid: String,
    },
}

/// A volume of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backing {
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: PersistentVolumeSpec,
}

/// The volumes behind the claims of this node's pods.
pub struct Claims {
    client: Client,
    node: String,
    /// By the pod's UID and the volume's name in the pod.
    found: Mutex<BTreeMap<(String, String), Arc<Backing>>>,
}

// === impl Claims ===

impl Claims {
    /// Volumes asked for through `client`, for pods on `node`.
    pub fn new(client: &Client, node: &str) -> Claims {
        Claims { client: client.clone(), node: node.to_owned(), found: Mutex::default() }
    }

    /// The volume behind the claim that `volume` of `pod` names, or that is made for it; `None` if it has to do with none.
    pub async fn behind(&self, pod: &NodePod, volume: &Volume) -> Result<Option<Arc<Backing>>, ClaimError> {
        let Some((name, is_ephemeral)) = claim_name(pod, volume) else { return Ok(None) };
        let key = (pod.uid().to_owned(), volume.name.clone());
        if let Some(found) = self.lock().get(&key).cloned() {
            return Ok(Some(found));
        }
        let claim = format!("{}/{name}", pod.namespace());
        let broken = |why| ClaimError::Claim { claim: claim.clone(), why };
        let found: PersistentVolumeClaim = self
            .client
            .get(pod.namespace(), &name)
            .await
            .map_err(|status| broken(Broken::NoClaim(Box::new(status))))?;
        if is_ephemeral && !is_owner(pod, &found) {
            let pod = format!("{}/{}", pod.namespace(), pod.name());
            return Err(ClaimError::NotOwner { claim: claim.clone(), pod });
        }
        let name = bound(&found).map_err(broken)?;
        let volume: PersistentVolume =
            self.client.get("", name).await.map_err(|status| {
                broken(Broken::NoVolume { name: name.to_owned(), error: Box::new(status) })
            })?;
        let spec = backing(volume, &found).map_err(broken)?;
        self.check_near(name, &spec).await?;
        let backing = Arc::new(Backing { name: name.to_owned(), spec });
        self.lock().insert(key, Arc::clone(&backing));
        Ok(Some(backing))
    }

    /// Forgets the volumes of the pod `uid`.
    pub fn forget(&self, uid: &str) {
        self.lock().retain(|(of, _), _| of != uid);
    }

    /// A pod may have been put here past the scheduler.
    async fn check_near(&self, name: &str, spec: &PersistentVolumeSpec) -> Result<(), ClaimError> {
        let affinity = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        let Some(required) = affinity else { return Ok(()) };
        let node: Node = self.client.get("", &self.node).await.map_err(|e| ClaimError::Node(Box::new(e)))?;
        let labels = node.metadata.labels.unwrap_or_default();
        let is_near = required.node_selector_terms.iter().any(|term| selects(term, &labels));
        if is_near { Ok(()) } else { Err(ClaimError::Far(name.to_owned())) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Backing>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The claim's name, and whether it is made for the pod.
fn claim_name(pod: &NodePod, volume: &Volume) -> Option<(String, bool)> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some((source.claim_name.clone(), false)),
        (None, Some(_)) => Some((format!("{}-{}", pod.name(), volume.name), true)),
        (None, None) => None,
    }
}

fn is_owner(pod: &NodePod, claim: &PersistentVolumeClaim) -> bool {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == pod.uid())
}

/// The name of the volume that `claim` is bound to.
fn bound(claim: &PersistentVolumeClaim) -> Result<&str, Broken> {
    let meta = &claim.metadata;
    let is_protected = meta.finalizers.iter().flatten().any(|finalizer| finalizer == PROTECTION);
    if meta.deletion_timestamp.is_some() && !is_protected {
        return Err(Broken::Deleted);
    }
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound") {
        return Err(Broken::NotBound);
    }
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    name.filter(|name| !name.is_empty()).ok_or(Broken::NoName)
}

/// What `volume` is, if it is bound to this very `claim`.
fn backing(volume: PersistentVolume, claim: &PersistentVolumeClaim) -> Result<PersistentVolumeSpec, Broken> {
    let spec = volume.spec.unwrap_or_default();
    let of = spec.claim_ref.as_ref().and_then(|of| of.uid.as_ref());
    if of.is_none() || of != claim.metadata.uid.as_ref() {
        let (name, uid) = (volume.metadata.name, claim.metadata.uid.clone());
        return Err(Broken::Other { name: name.unwrap_or_default(), uid: uid.unwrap_or_default() });
    }
    Ok(spec)
}

/// Whether a node with these labels is selected. Volumes select by labels alone.
fn selects(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>) -> bool {
    let Some(expressions) = term.match_expressions.as_ref().filter(|all| !all.is_empty()) else {
        return false;
    };
    let requirement = |key: &str, operator: &str, values: Option<&Vec<String>>| {
        let mut requirement = Value::map();
        requirement.set_at(&["key"], key);
        requirement.set_at(&["operator"], operator);
        for value in values.into_iter().flatten() {
            requirement.entry_at(&["values"]).ensure_list().push(value.as_str().into());
        }
        requirement
    };
    let mut selector = Value::map();
    for one in expressions {
        let requirement = requirement(&one.key, &one.operator, one.values.as_ref());
        selector.entry_at(&["matchExpressions"]).ensure_list().push(requirement);
    }
    // What cannot be read selects nothing.
    LabelSelector::from_value(&selector).is_ok_and(|selector| selector.matches(|key| labels.get(key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_lead_to_their_volume_or_say_where_they_break() {
        let bound_claim =
            json!({"metadata": {"uid": "c"}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}});
        let deleted = "2026-01-01T00:00:00Z";
        let table = [
            (json!({}), "v", "c", "a path"),
            (json!({"status": {"phase": "Pending"}}), "v", "c", "PVC is not bound"),
            (json!({"spec": {"volumeName": ""}}), "v", "c", "PVC has empty pvc.Spec.VolumeName"),
            (json!({"metadata": {"deletionTimestamp": deleted}}), "v", "c", "PVC is being deleted"),
            (
                json!({"metadata": {"deletionTimestamp": deleted, "finalizers": [PROTECTION]}}),
                "v",
                "c",
                "a path",
            ),
            (json!({}), "v", "other", "PV \"v\" is bound to another claim than \"c\""),
            (json!({}), "v", "", "PV \"v\" is bound to another claim than \"c\""),
        ];
        for (change, name, of, expected) in table {
            let mut claim = bound_claim.clone();
            for (part, fields) in change.as_object().unwrap() {
                for (field, value) in fields.as_object().unwrap() {
                    claim[part][field] = value.clone();
                }
            }
            let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
            let mut volume = json!({"metadata": {"name": name}, "spec": {"hostPath": {"path": "a path"}}});
            if !of.is_empty() {
                volume["spec"]["claimRef"] = json!({"uid": of});
            }
            let volume = serde_json::from_value(volume).unwrap();
            let got = bound(&claim).and_then(|_| backing(volume, &claim));
            let got = got.map_or_else(|why| why.to_string(), |spec| spec.host_path.unwrap().path);
            assert_eq!(got, expected, "{change}");
        }
    }

    #[test]
    fn volumes_say_which_nodes_they_are_near() {
        let labels = BTreeMap::from([("kubernetes.io/hostname".to_owned(), "a".to_owned())]);
        let table = [
            (json!([{"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}]), true),
            (json!([{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["a"]}]), false),
            (json!([{"key": "disk", "operator": "Exists"}]), false),
            (json!([{"key": "disk", "operator": "Like", "values": ["a"]}]), false),
            (json!([]), false),
        ];
        for (expressions, expected) in table {
            let term = serde_json::from_value(json!({"matchExpressions": expressions})).unwrap();
            assert_eq!(selects(&term, &labels), expected, "{expressions}");
        }
    }
}
