//! Empties namespaces that are going away, and then lets them go (k8s.io/kubernetes/pkg/controller/namespace).
//!
//! It watches namespaces; and pods, which go first and take their time. What else is in a namespace is read from the
//! server each time, resource by resource, as discovery names them.

mod conditions;
mod reconcile;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};

use crate::Wiring;
use crate::resources::{ApiResource, Resources};
use crate::runtime::{Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    namespaces: Informer<Namespace>,
    resources: Resources,
}

/// Starts the controller, which empties namespaces of `resources`.
pub fn start(wiring: &Wiring, resources: Resources) {
    let (namespaces, pods) = (wiring.informers.of::<Namespace>(), wiring.informers.of::<Pod>());
    let waiting = namespaces.clone();
    wiring
        .controller(Controller { namespaces: namespaces.clone(), resources })
        .watch(namespaces.untyped(), |change| {
            let deleting = change.new.as_ref().is_some_and(is_deleting);
            deleting.then(|| change.key.clone()).into_iter().collect()
        })
        .watch(pods.untyped(), move |change| {
            let namespace = waiting.object("", &change.key.namespace).filter(|_| change.new.is_none());
            let deleting = namespace.as_ref().is_some_and(is_deleting);
            deleting.then(|| ObjectKey::new("", change.key.namespace.as_str())).into_iter().collect()
        })
        .workers(10)
        .start();
}

fn is_deleting(object: &decapod_api::Object) -> bool {
    object.raw(&["metadata", "deletionTimestamp"]).is_some()
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let namespace = self.namespaces.get("", &key.name)?;
        namespace.metadata.deletion_timestamp.as_ref()?;
        let all: Arc<Vec<ApiResource>> = Arc::clone(&self.resources.borrow());
        let resources =
            all.iter().filter(|one| one.is_namespaced && one.has_verb("delete")).cloned().collect();
        let undiscovered = all.iter().filter_map(ApiResource::undiscovered).collect();
        Some(State { namespace, resources, undiscovered })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
