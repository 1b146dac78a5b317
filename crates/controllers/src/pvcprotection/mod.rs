//! Keeps claims as long as pods use them (k8s.io/kubernetes/pkg/controller/volume/pvcprotection).
//!
//! A pod uses a claim from when it is bound to a node until it is gone. Before a claim is let go, the server is asked
//! for pods that informers have not heard of.

#[cfg(test)]
mod tests;

use decapod_client::{Change, Informer, Kind, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod as CorePod};

use crate::Wiring;
use crate::objects::meta::{view, views};
use crate::objects::{Meta, Pod, protection};
use crate::runtime::{Live, LiveRead, Plan, Reconcile};

const FINALIZER: &str = "kubernetes.io/pvc-protection";

struct Controller {
    claims: Informer<PersistentVolumeClaim>,
    pods: Informer<CorePod>,
}

/// A claim, and pods of its namespace.
#[derive(Clone, Debug)]
pub struct State {
    claim: PersistentVolumeClaim,
    pods: Vec<Pod>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (claims, pods) = (informers.of::<PersistentVolumeClaim>(), informers.of::<CorePod>());
    wiring
        .controller(Controller { claims: claims.clone(), pods: pods.clone() })
        .watch(claims.untyped(), |change| {
            let claim = change.new.as_ref().filter(|claim| protection::concerns(claim, FINALIZER));
            claim.map(|_| change.key.clone()).into_iter().collect()
        })
        .watch(pods.untyped(), of_pod)
        .workers(1)
        .start();
}

/// The claims of a pod that is gone, has ended, or is not the one that it was.
fn of_pod(change: &Change) -> Vec<ObjectKey> {
    let parse = |object: &Option<decapod_api::Object>| object.as_ref().and_then(view::<Pod>);
    let (old, new) = (parse(&change.old), parse(&change.new));
    let is_over = |pod: &Pod| pod.is_terminal() || pod.spec.node_name.is_empty();
    let gone = old.filter(|old| new.as_ref().is_none_or(|new| new.metadata.uid != old.metadata.uid));
    let over = new.filter(is_over);
    let claims = [gone, over].into_iter().flatten().flat_map(|pod| pod.claims().collect::<Vec<_>>());
    claims.map(|(name, _)| ObjectKey::new(change.key.namespace.as_str(), name)).collect()
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let claim = self.claims.get(&key.namespace, &key.name)?;
        let is_to_go = protection::is_to_go(&claim.metadata, FINALIZER);
        let pods = if is_to_go { self.pods.untyped().namespaced(&key.namespace) } else { Vec::new() };
        Some(State { claim, pods: views(&pods) })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, _: Timestamp) -> Plan {
        reconcile(state, live)
    }
}

fn reconcile(state: &State, live: &Live) -> Plan {
    let claim = Meta::from(&state.claim.metadata);
    if protection::is_to_go(&state.claim.metadata, FINALIZER) {
        if state.pods.iter().any(|pod| uses(pod, &claim)) {
            return Plan::nothing();
        }
        let read = LiveRead::list(CorePod::resource(), &claim.namespace);
        let Some(pods) = live.list(&read) else { return Plan::ask(vec![read]) };
        if views::<Pod>(pods).iter().any(|pod| uses(pod, &claim)) {
            return Plan::nothing();
        }
    }
    protection::protect(&state.claim, FINALIZER, false)
}

fn uses(pod: &Pod, claim: &Meta) -> bool {
    let is_shut_down = pod.metadata.is_deleting() && pod.metadata.deletion_grace_period_seconds == Some(0);
    let is_for_pod = claim.controller().is_some_and(|owner| owner.uid == pod.metadata.uid);
    !pod.spec.node_name.is_empty()
        && pod
            .claims()
            .any(|(name, is_ephemeral)| name == claim.name && (!is_ephemeral || is_for_pod && !is_shut_down))
}
