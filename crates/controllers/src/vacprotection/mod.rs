//! Keeps VolumeAttributesClasses as long as volumes or claims name them
//! (k8s.io/kubernetes/pkg/controller/volume/vacprotection).

use decapod_api::Object;
use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use crate::Wiring;
use crate::objects::protection;
use crate::runtime::{Live, Plan, Reconcile};

const FINALIZER: &str = "kubernetes.io/vac-protection";

/// Where volumes and claims say which class they are of, or have been asked to be of.
const NAMED: [&[&str]; 3] = [
    &["spec", "volumeAttributesClassName"],
    &["status", "currentVolumeAttributesClassName"],
    &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
];

struct Controller {
    classes: Informer<VolumeAttributesClass>,
    volumes: Informer<PersistentVolume>,
    claims: Informer<PersistentVolumeClaim>,
}

/// A class, and whether it is to go but somebody names it.
#[derive(Clone, Debug)]
pub struct State {
    class: VolumeAttributesClass,
    is_used: bool,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (classes, volumes, claims) =
        (informers.of::<VolumeAttributesClass>(), informers.of(), informers.of());
    let (of_classes, of_volumes, of_claims) =
        (classes.untyped().clone(), volumes.untyped().clone(), claims.untyped().clone());
    wiring
        .controller(Controller { classes, volumes, claims })
        .watch(&of_classes, |change| {
            let class = change.new.as_ref().filter(|class| protection::concerns(class, FINALIZER));
            class.map(|_| change.key.clone()).into_iter().collect()
        })
        .watch(&of_volumes, no_longer_named)
        .watch(&of_claims, no_longer_named)
        .workers(1)
        .start();
}

/// The classes that a volume or claim names.
fn named(object: &Object) -> impl Iterator<Item = String> {
    let names = NAMED.iter().filter_map(|path| object.text(path)).filter(|name| !name.is_empty());
    names.map(|name| name.into_owned()).collect::<Vec<_>>().into_iter()
}

fn no_longer_named(change: &Change) -> Vec<ObjectKey> {
    let now: Vec<String> = change.new.iter().flat_map(named).collect();
    let before = change.old.iter().flat_map(named).filter(|name| !now.contains(name));
    before.map(|name| ObjectKey::new("", name)).collect()
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "volumeattributesclass-protection-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let class = self.classes.get("", &key.name)?;
        let names = |object: &Object| named(object).any(|name| name == key.name.as_str());
        let is_used = protection::is_to_go(&class.metadata, FINALIZER)
            && (self.volumes.objects().iter().any(names) || self.claims.objects().iter().any(names));
        Some(State { class, is_used })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        protection::protect(&state.class, FINALIZER, state.is_used)
    }
}

#[cfg(test)]
mod tests {
    use decapod_client::Kind;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::cluster::Cluster;

    #[tokio::test(start_paused = true)]
    async fn classes_stay_while_they_are_named() {
        let cluster = Cluster::new();
        let (classes, claims) = (VolumeAttributesClass::resource(), PersistentVolumeClaim::resource());
        let class = |name: &str| json!({"metadata": {"name": name}, "driverName": "x"});
        for name in ["free", "asked", "had"] {
            cluster.server.put(&classes, class(name));
        }
        let claim = |name: &str, change: Value| {
            let mut claim = json!({"metadata": {"name": name, "namespace": "a"}, "spec": {}});
            crate::testing::merge(&mut claim, &change);
            claim
        };
        cluster.server.put(&claims, claim("asks", json!({"spec": {"volumeAttributesClassName": "asked"}})));
        let status = json!({"status": {"currentVolumeAttributesClassName": "had"}});
        cluster.server.put(&claims, claim("has", status));
        cluster.start(start);
        cluster.settle().await;
        let finalizers = &cluster.get::<VolumeAttributesClass>("", "free")["metadata"]["finalizers"];
        assert_eq!(finalizers, &json!([FINALIZER]));
        for name in ["free", "asked", "had"] {
            let deleted = json!({"metadata": {"deletionTimestamp": cluster.env.now().to_string()}});
            cluster.server.change(&classes, "", name, deleted);
        }
        cluster.settle().await;
        assert_eq!(cluster.names::<VolumeAttributesClass>(), "asked had");
        cluster.server.remove(&claims, "a", "asks");
        cluster.server.change(
            &claims,
            "a",
            "has",
            json!({"status": {"currentVolumeAttributesClassName": null}}),
        );
        cluster.settle().await;
        assert_eq!(cluster.names::<VolumeAttributesClass>(), "");
        cluster.env.shutdown().await;
    }
}
