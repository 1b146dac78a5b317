//! Claims, volumes and storage classes, as far as they decide where pods can go.
//!
//! What has been decided here but is not yet seen in the objects is a promise: a volume to a claim, a claim's volume to a
//! node. A promise holds until the object says so itself, or until it is taken back.

mod find;
mod progress;

use std::collections::BTreeMap;

use decapod_api::Str;
use decapod_api::quantity::Quantity;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::labels::{Labels, NodeSelector, Selector};

pub use find::{PodClaims, Refused};
pub use progress::Progress;

/// Namespace and name of a claim.
pub type ClaimKey = (Str, Str);

/// Says that the binding of a claim is complete.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Says for which node a volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Where classes stood before there was a field.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// The class of those whose volumes nobody makes.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    claims: BTreeMap<ClaimKey, Claim>,
    volumes: BTreeMap<Str, Volume>,
    classes: BTreeMap<Str, Class>,
}

/// What claims and volumes have in common, and have to agree on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Terms {
    class: Str,
    /// Both always say; what does not is less than anything.
    storage: Option<Quantity>,
    modes: Vec<String>,
    is_block: bool,
    attributes_class: Str,
}

/// A claim, read once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    key: ClaimKey,
    uid: Str,
    revision: Str,
    /// The UID of the pod that it was made for.
    owner: Str,
    terms: Terms,
    selector: Option<Selector>,
    /// The volume that it names.
    volume: Str,
    is_complete: bool,
    is_lost: bool,
    is_terminating: bool,
    /// The node for which its volume is to be made.
    selected_node: Str,
    /// The same, decided but not seen.
    promised_node: Str,
}

/// A volume, read once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    name: Str,
    revision: Str,
    labels: Labels,
    terms: Terms,
    /// From which nodes it can be reached; from all, if it does not say.
    nodes: Option<NodeSelector>,
    is_available: bool,
    is_terminating: bool,
    /// Whose it is.
    holder: Option<Holder>,
    /// The same, decided but not seen.
    promised: Option<Holder>,
}

/// The claim that a volume is kept for; without UID it is any of that name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Holder {
    key: ClaimKey,
    uid: Str,
}

/// A storage class, read once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// Whether claims wait until a pod that uses them has a node.
    waits: bool,
    provisioner: Str,
    /// On which nodes volumes can be made: those that fit one of these; on all, if there is none.
    topologies: Vec<Vec<(Str, Vec<String>)>>,
}

/// What has to be written before a pod can be bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumePlan {
    /// Volumes that are to be given to claims.
    pub bindings: Vec<Binding>,
    /// Claims for which volumes are to be made.
    pub provisions: Vec<Provision>,
}

/// A volume that is to be given to a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The volume.
    pub volume: Str,
    /// Its `resourceVersion` when that was decided.
    pub revision: Str,
    /// Whether somebody else has chosen the claim for it.
    pub is_kept: bool,
    /// Whose it will be.
    pub claim: ClaimKey,
    /// The claim's UID.
    pub uid: Str,
}

/// A claim for which a volume is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Provision {
    /// The claim.
    pub claim: ClaimKey,
    /// Its `resourceVersion` when that was decided.
    pub revision: Str,
}

// === impl Storage ===

impl Storage {
    /// Sets or (`None`) forgets a claim.
    pub fn set_claim(&mut self, key: &ClaimKey, claim: Option<Claim>) {
        let old = self.claims.remove(key);
        let Some(mut claim) = claim else { return };
        if claim.selected_node.is_empty()
            && let Some(old) = old.filter(|old| old.uid == claim.uid)
        {
            claim.promised_node = old.promised_node;
        }
        self.claims.insert(key.clone(), claim);
    }

    /// Sets or (`None`) forgets a volume.
    pub fn set_volume(&mut self, name: &str, volume: Option<Volume>) {
        let old = self.volumes.remove(name);
        let Some(mut volume) = volume else { return };
        let is_known = volume.holder.as_ref().is_some_and(|holder| !holder.uid.is_empty());
        if !is_known {
            volume.promised = old.and_then(|old| old.promised);
        }
        self.volumes.insert(name.into(), volume);
    }

    /// Sets or (`None`) forgets a storage class.
    pub fn set_class(&mut self, name: &str, class: Option<Class>) {
        match class {
            Some(class) => self.classes.insert(name.into(), class),
            None => self.classes.remove(name),
        };
    }

    /// Counts on what `plan` says for `node` from now on.
    pub fn promise(&mut self, plan: &VolumePlan, node: &Str) {
        for binding in &plan.bindings {
            if let Some(volume) = self.volumes.get_mut(&binding.volume) {
                volume.promised = Some(Holder { key: binding.claim.clone(), uid: binding.uid.clone() });
            }
        }
        for provision in &plan.provisions {
            if let Some(claim) = self.claims.get_mut(&provision.claim) {
                claim.promised_node = node.clone();
            }
        }
    }

    /// Takes [`Storage::promise`] back, as far as it has not come true.
    pub fn revoke(&mut self, plan: &VolumePlan) {
        for binding in &plan.bindings {
            let volume = self.volumes.get_mut(&binding.volume);
            if let Some(volume) = volume.filter(|volume| volume.is_for(&binding.claim, &binding.uid)) {
                volume.promised = None;
            }
        }
        for provision in &plan.provisions {
            if let Some(claim) = self.claims.get_mut(&provision.claim) {
                claim.promised_node = Str::default();
            }
        }
    }
}

// === impl Terms ===

impl Terms {
    fn new(class: Option<&str>, storage: Option<&Amount>, modes: Option<&Vec<String>>) -> Terms {
        let storage = storage.and_then(|amount| Quantity::parse(&amount.0).ok());
        Terms {
            class: class.unwrap_or_default().into(),
            storage,
            modes: modes.cloned().unwrap_or_default(),
            ..Terms::default()
        }
    }
}

// === impl Claim ===

impl Claim {
    /// Reads `claim`.
    pub fn new(claim: &core::PersistentVolumeClaim) -> Claim {
        let (meta, empty) = (&claim.metadata, core::PersistentVolumeClaimSpec::default());
        let spec = claim.spec.as_ref().unwrap_or(&empty);
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let class = annotation(meta, CLASS).or(spec.storage_class_name.as_deref());
        let storage = requests.and_then(|requests| requests.get("storage"));
        let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        Claim {
            key: (text(meta.namespace.as_deref()), text(meta.name.as_deref())),
            uid: text(meta.uid.as_deref()),
            revision: text(meta.resource_version.as_deref()),
            owner: text(owner.map(|owner| owner.uid.as_str())),
            terms: Terms {
                is_block: spec.volume_mode.as_deref() == Some("Block"),
                attributes_class: text(spec.volume_attributes_class_name.as_deref()),
                ..Terms::new(class, storage, spec.access_modes.as_ref())
            },
            selector: spec.selector.as_ref().map(|selector| Selector::new(Some(selector))),
            volume: text(spec.volume_name.as_deref()),
            is_complete: annotation(meta, BIND_COMPLETED).is_some(),
            is_lost: claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"),
            is_terminating: meta.deletion_timestamp.is_some(),
            selected_node: text(annotation(meta, SELECTED_NODE)),
            promised_node: Str::default(),
        }
    }

    fn is_bound(&self) -> bool {
        self.is_complete && !self.volume.is_empty()
    }

    /// The node for which its volume is to be made; empty while there is none.
    fn node(&self) -> &Str {
        if self.selected_node.is_empty() { &self.promised_node } else { &self.selected_node }
    }
}

// === impl Volume ===

impl Volume {
    /// Reads `volume`.
    pub fn new(volume: &core::PersistentVolume) -> Volume {
        let (meta, empty) = (&volume.metadata, core::PersistentVolumeSpec::default());
        let spec = volume.spec.as_ref().unwrap_or(&empty);
        let class = annotation(meta, CLASS).or(spec.storage_class_name.as_deref());
        let storage = spec.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
        let nodes = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        Volume {
            name: text(meta.name.as_deref()),
            revision: text(meta.resource_version.as_deref()),
            labels: Labels::new(meta.labels.as_ref()),
            terms: Terms {
                is_block: spec.volume_mode.as_deref() == Some("Block"),
                attributes_class: text(spec.volume_attributes_class_name.as_deref()),
                ..Terms::new(class, storage, spec.access_modes.as_ref())
            },
            nodes: nodes.map(NodeSelector::new),
            is_available: volume.status.as_ref().and_then(|status| status.phase.as_deref())
                == Some("Available"),
            is_terminating: meta.deletion_timestamp.is_some(),
            holder: spec.claim_ref.as_ref().map(|of| Holder {
                key: (text(of.namespace.as_deref()), text(of.name.as_deref())),
                uid: text(of.uid.as_deref()),
            }),
            promised: None,
        }
    }

    fn holder(&self) -> Option<&Holder> {
        self.promised.as_ref().or(self.holder.as_ref())
    }

    /// Whether it is kept for this claim.
    fn is_for(&self, key: &ClaimKey, uid: &str) -> bool {
        self.holder().is_some_and(|holder| holder.key == *key && (holder.uid.is_empty() || holder.uid == uid))
    }

    /// Whether it can be reached from the node of this name with these labels.
    fn is_near(&self, name: &str, labels: &Labels) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.matches(name, labels))
    }
}

// === impl Class ===

impl Class {
    /// Reads `class`.
    pub fn new(class: &StorageClass) -> Class {
        let term = |term: &TopologySelectorTerm| {
            let labels = term.match_label_expressions.iter().flatten();
            labels.map(|label| (label.key.as_str().into(), label.values.clone())).collect()
        };
        Class {
            waits: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            provisioner: class.provisioner.as_str().into(),
            topologies: class.allowed_topologies.iter().flatten().map(term).collect(),
        }
    }

    /// Whether somebody makes volumes of it.
    fn is_provisioned(&self) -> bool {
        !self.provisioner.is_empty() && self.provisioner != NO_PROVISIONER
    }

    /// Whether volumes of it can be made on a node with these labels.
    fn reaches(&self, labels: &Labels) -> bool {
        let has = |(key, values): &(Str, Vec<String>)| {
            labels.get(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        self.topologies.is_empty()
            || self.topologies.iter().any(|term| !term.is_empty() && term.iter().all(has))
    }
}

// === impl VolumePlan ===

impl VolumePlan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.provisions.is_empty()
    }
}

fn text(text: Option<&str>) -> Str {
    text.unwrap_or_default().into()
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}
