//! Makes the claims of pods' ephemeral volumes (k8s.io/kubernetes/pkg/controller/volume/ephemeral).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod as CorePod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::Wiring;
use crate::objects::meta::{meta_of, view, views};
use crate::objects::{Meta, Pod, owner};
use crate::runtime::{Live, Note, Plan, Reconcile, Write};

#[derive(Clone)]
struct Controller {
    pods: Informer<CorePod>,
    claims: Informer<PersistentVolumeClaim>,
}

/// A pod, and those of its claims that are there.
#[derive(Clone, Debug)]
pub struct State {
    pod: Pod,
    claims: BTreeMap<String, Meta>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let controller = Controller { pods: wiring.informers.of(), claims: wiring.informers.of() };
    let by_claim = controller.clone();
    wiring
        .controller(controller.clone())
        .watch(controller.pods.untyped(), |change| {
            let pod = change.new.as_ref().filter(|_| change.old.is_none()).and_then(view::<Pod>);
            pod.filter(has_ephemeral).map(|_| change.key.clone()).into_iter().collect()
        })
        .watch(controller.claims.untyped(), move |change| by_claim.of_claim(change))
        .start();
}

fn has_ephemeral(pod: &Pod) -> bool {
    pod.spec.volumes.iter().any(|volume| volume.ephemeral.is_some())
}

impl Controller {
    /// The pods whose claim is gone.
    fn of_claim(&self, change: &Change) -> Vec<ObjectKey> {
        if change.new.is_some() {
            return Vec::new();
        }
        let pods: Vec<Pod> = views(&self.pods.untyped().namespaced(&change.key.namespace));
        let uses =
            |pod: &&Pod| pod.claims().any(|(name, is_ephemeral)| is_ephemeral && name == change.key.name);
        pods.iter().filter(uses).map(|pod| pod.metadata.key()).collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "ephemeral-volume-controller"
    }

    fn component(&self) -> &'static str {
        "ephemeral_volume"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let pod: Pod = view(&self.pods.object(&key.namespace, &key.name)?)?;
        let claims = pod.claims().filter_map(|(name, _)| {
            let claim = self.claims.object(&key.namespace, &name)?;
            Some((name, meta_of(&claim)))
        });
        let claims = claims.collect();
        Some(State { pod, claims })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile(state)
    }
}

fn reconcile(state: &State) -> Plan {
    let (pod, meta) = (&state.pod, &state.pod.metadata);
    let mut plan = Plan::nothing();
    if meta.is_deleting() {
        return plan;
    }
    for volume in &pod.spec.volumes {
        let Some(ephemeral) = &volume.ephemeral else { continue };
        let name = format!("{}-{}", meta.name, volume.name);
        let warning = |why: &str| {
            let message = format!("ephemeral volume {}: {why}", volume.name);
            Note::warning(pod.reference(), "FailedBinding", message)
        };
        if let Some(claim) = state.claims.get(&name) {
            if claim.controller().is_none_or(|owner| owner.uid != meta.uid) {
                let (claim, pod) = (claim.key(), meta.key());
                let why = format!("PVC {claim} was not created for pod {pod} (pod is not owner)");
                plan.note(warning(&why));
                break;
            }
            continue;
        }
        let template = ephemeral.volume_claim_template.clone().unwrap_or_default();
        let described = template.metadata.unwrap_or_default();
        let claim = PersistentVolumeClaim {
            metadata: ObjectMeta {
                namespace: Some(meta.namespace.clone()),
                owner_references: Some(vec![owner::reference::<CorePod>(meta)]),
                annotations: described.annotations,
                labels: described.labels,
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(template.spec),
            status: None,
        };
        plan.write(Write::create(&claim).or_saying(warning(&format!("create PVC {name}: {{error}}"))));
    }
    plan
}
