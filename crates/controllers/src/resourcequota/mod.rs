//! Says what is used of each ResourceQuota (k8s.io/kubernetes/pkg/controller/resourcequota).
//!
//! What is taken, the API server notes in the same write that takes it. This controller counts anew what is there when a
//! quota is made or changed, and when something has gone or become less. What it counts is at least as new as the
//! quota: where an informer may be behind it, the server is asked.

mod reconcile;
#[cfg(test)]
mod tests;

use decapod_api::meta::GroupVersionResource;
use decapod_api::quota::Evaluator;
use decapod_api::{Object, Value};
use decapod_client::{Change, Informer, ObjectKey};
use decapod_sys::Env;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;

use crate::Wiring;
use crate::resources::{ApiResource, Resources};
use crate::runtime::{Informers, Live, Monitors, Plan, Reconcile};

pub use reconcile::{Counted, State};

#[derive(Clone)]
struct Controller {
    env: Env,
    informers: Informers,
    quotas: Informer<ResourceQuota>,
    resources: Resources,
}

/// Starts the controller, which counts what there is of `resources`.
pub fn start(wiring: &Wiring, resources: Resources) {
    let informers = wiring.informers.clone();
    let quotas = informers.of::<ResourceQuota>();
    let controller = Controller { env: wiring.env.clone(), informers, quotas: quotas.clone(), resources };
    let builder = wiring.controller(controller.clone()).watch(quotas.untyped(), of_quota);
    let resources = controller.resources.clone();
    let keys = move |resource: &GroupVersionResource, change: &Change| controller.of_object(resource, change);
    let monitors = Monitors::new(wiring.env, &wiring.informers, resources, is_counted, keys);
    wiring.env.spawn("resource-quota", monitors.run(builder));
}

fn is_counted(resource: &ApiResource) -> bool {
    resource.is_namespaced
        && resource.resource.resource != "events"
        && ["list", "watch", "delete"].iter().all(|verb| resource.has_verb(verb))
}

/// A quota that is new or says something else; what is used of it is not news.
fn of_quota(change: &Change) -> Vec<ObjectKey> {
    let part = |object: &Option<Object>, path: &[&str]| {
        object.as_ref().and_then(|object| object.raw(path)).map(<[u8]>::to_vec)
    };
    let same = |path: &[&str]| part(&change.old, path) == part(&change.new, path);
    let is_news = change.old.is_none() || !same(&["spec"]) || !same(&["status", "hard"]);
    (change.new.is_some() && is_news).then(|| change.key.clone()).into_iter().collect()
}

fn value(object: &Object) -> Option<Value> {
    serde_json::from_slice(object.body()).ok()
}

impl Controller {
    /// The quotas of a namespace in which something has gone, or counts for something else.
    fn of_object(&self, resource: &GroupVersionResource, change: &Change) -> Vec<ObjectKey> {
        let quotas = self.quotas.untyped().namespaced(&change.key.namespace);
        let gives_back = || match (&change.old, &change.new) {
            (Some(_), None) => true,
            (Some(old), Some(new)) => match Evaluator::of(&resource.group, &resource.resource) {
                // An object of these always counts for the same.
                Evaluator::Count(..) => false,
                evaluator => {
                    let now = self.env.now();
                    let usage = |object: &Object| value(object).map(|value| evaluator.usage(&value, now));
                    usage(old) != usage(new)
                }
            },
            (None, _) => false,
        };
        if quotas.is_empty() || !gives_back() {
            return Vec::new();
        }
        quotas.iter().map(ObjectKey::of).collect()
    }

    /// The objects of the evaluator's resource in a namespace, if it is served.
    fn counted(&self, evaluator: Evaluator, namespace: &str, revision: u64) -> Option<Counted> {
        let resource = {
            let (group, plural) = evaluator.resource();
            let all = self.resources.borrow();
            let of = |one: &&ApiResource| {
                *one.resource.group == *group && *one.resource.resource == *plural && one.is_namespaced
            };
            all.iter().find(of)?.resource.clone()
        };
        let informer = self.informers.started(&resource)?;
        let is_behind = informer.revision() < revision;
        let objects = if is_behind { Vec::new() } else { informer.namespaced(namespace) };
        Some(Counted { evaluator, resource, objects, is_behind })
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let object = self.quotas.object(&key.namespace, &key.name)?;
        let (quota, draft) = (self.quotas.get(&key.namespace, &key.name)?, value(&object)?);
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
        let mut evaluators: Vec<Evaluator> =
            hard.keys().filter_map(|name| Evaluator::of_name(name)).collect();
        evaluators.sort_unstable();
        evaluators.dedup();
        let counted = evaluators
            .into_iter()
            .filter_map(|evaluator| self.counted(evaluator, &key.namespace, object.revision()));
        Some(State { quota, draft, counted: counted.collect() })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
