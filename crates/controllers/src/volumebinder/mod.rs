//! Brings claims and volumes together, and sees to volumes whose claims are gone
//! (k8s.io/kubernetes/pkg/controller/volume/persistentvolume).
//!
//! A binding stands in both objects: the volume names the claim first, then the claim the volume. Each look takes it one
//! step further, from wherever it has been left; there is one worker, so that no volume is given twice. Volumes are made
//! by provisioners outside, for which claims are marked.

mod claim;
mod matching;
mod provisioning;
mod reclaim;
#[cfg(test)]
mod tests;
mod volume;

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod as CorePod};
use k8s_openapi::api::storage::v1::StorageClass;

use crate::Wiring;
use crate::objects::Pod;
use crate::objects::meta::views;
use crate::runtime::{Live, Plan, Reconcile};

/// Says that the binding is complete, so that its loss is one.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Says that nobody but this controller chose the other side.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Says who made the volume.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The node that the scheduler has chosen for the first pod.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// What of a volume decides for whom it is.
const FITTING: [&[&str]; 4] =
    [&["status", "phase"], &["spec"], &["metadata", "labels"], &["metadata", "annotations"]];

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A claim.
    Claim(ObjectKey),
    /// A volume.
    Volume(String),
}

/// What is known.
#[derive(Clone, Debug)]
pub enum State {
    /// Of a claim.
    Claim(Box<claim::State>),
    /// Of a volume.
    Volume(Box<volume::State>),
}

#[derive(Clone)]
struct Controller {
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
    pods: Informer<CorePod>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let controller = Controller {
        claims: informers.of(),
        volumes: informers.of(),
        classes: informers.of(),
        pods: informers.of(),
    };
    let (by_claim, by_volume, by_class) = (controller.clone(), controller.clone(), controller.clone());
    wiring
        .controller(controller.clone())
        .watch(controller.claims.untyped(), move |change| by_claim.of_claim(change))
        .watch(controller.volumes.untyped(), move |change| by_volume.of_volume(change))
        .watch(controller.classes.untyped(), move |_| by_class.waiting())
        .reads(controller.pods.untyped())
        .workers(1)
        .start();
}

fn text(object: &Option<decapod_api::Object>, path: &[&str]) -> Option<String> {
    object.as_ref()?.text(path).filter(|text| !text.is_empty()).map(|text| text.into_owned())
}

impl Controller {
    /// The claim, and the volume that it names or that names it.
    fn of_claim(&self, change: &Change) -> Vec<Key> {
        let mut keys = vec![Key::Claim(change.key.clone())];
        let named =
            [&change.old, &change.new].into_iter().filter_map(|claim| text(claim, &["spec", "volumeName"]));
        let naming = self.volumes.objects().into_iter().filter(|volume| {
            let part =
                |field: &str| volume.text(&["spec", "claimRef", field]).unwrap_or_default().into_owned();
            part("name") == change.key.name && part("namespace") == change.key.namespace
        });
        for name in named.chain(naming.map(|volume| volume.name().into_owned())) {
            let key = Key::Volume(name);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// The volume, its claim, and if it is free and there is something new to it all claims that wait for one.
    fn of_volume(&self, change: &Change) -> Vec<Key> {
        let mut keys = vec![Key::Volume(change.key.name.clone())];
        for volume in [&change.old, &change.new] {
            let part = |field: &str| text(volume, &["spec", "claimRef", field]);
            if let Some((namespace, name)) = part("namespace").zip(part("name")) {
                keys.push(Key::Claim(ObjectKey::new(namespace, name)));
            }
        }
        let is_free = change.new.is_some() && text(&change.new, &["spec", "claimRef", "uid"]).is_none();
        let part = |volume: &Option<decapod_api::Object>, path| {
            volume.as_ref().and_then(|volume| volume.raw(path)).map(<[u8]>::to_vec)
        };
        let is_news = FITTING.iter().any(|path| part(&change.old, path) != part(&change.new, path));
        if is_free && is_news || change.new.is_none() {
            let is_named = |claim: &decapod_api::Object| {
                claim.text(&["spec", "volumeName"]).is_some_and(|name| name == change.key.name.as_str())
            };
            let claims = self.claims.objects().into_iter();
            let claims = claims.filter(|claim| is_named(claim) || is_waiting(claim) && is_free);
            keys.extend(claims.map(|claim| Key::Claim(ObjectKey::of(&claim))));
        }
        keys
    }

    /// All claims that wait for a volume.
    fn waiting(&self) -> Vec<Key> {
        let claims = self.claims.objects().into_iter().filter(is_waiting);
        claims.map(|claim| Key::Claim(ObjectKey::of(&claim))).collect()
    }

    /// The pods that use a claim, are not bound and have not ended.
    fn unscheduled(&self, key: &ObjectKey) -> Vec<String> {
        let pods: Vec<Pod> = views(&self.pods.untyped().namespaced(&key.namespace));
        let waits = |pod: &&Pod| {
            pod.spec.node_name.is_empty()
                && !pod.is_terminal()
                && pod.claims().any(|(name, _)| name == key.name)
        };
        pods.iter().filter(waits).map(|pod| pod.metadata.name.clone()).collect()
    }
}

fn is_waiting(claim: &decapod_api::Object) -> bool {
    claim.raw(&["metadata", "annotations", BIND_COMPLETED]).is_none()
}

impl Reconcile for Controller {
    type Key = Key;
    type State = State;

    fn name(&self) -> &'static str {
        "persistent-volume-binder"
    }

    fn component(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn gather(&self, key: &Key) -> Option<State> {
        match key {
            Key::Claim(key) => {
                let claim = self.claims.get(&key.namespace, &key.name)?;
                let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
                let volumes = match named.as_str() {
                    "" => self.volumes.list(),
                    name => self.volumes.get("", name).into_iter().collect(),
                };
                let (classes, unscheduled) = (self.classes.list(), self.unscheduled(key));
                Some(State::Claim(Box::new(claim::State { claim, volumes, classes, unscheduled })))
            }
            Key::Volume(name) => {
                let volume = self.volumes.get("", name)?;
                let of = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()).unwrap_or_default();
                let (namespace, name) = (of.namespace.unwrap_or_default(), of.name.unwrap_or_default());
                let claim = self.claims.get(&namespace, &name);
                Some(State::Volume(Box::new(volume::State { volume, claim })))
            }
        }
    }

    fn reconcile(&self, _: &Key, state: &State, live: &Live, _: Timestamp) -> Plan {
        match state {
            State::Claim(state) => claim::reconcile(state),
            State::Volume(state) => volume::reconcile(state, live),
        }
    }
}
