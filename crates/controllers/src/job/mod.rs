//! Runs pods to completion (k8s.io/kubernetes/pkg/controller/job).
//!
//! A pod that has ended is counted exactly once: it keeps a finalizer until its UID stands in the Job's status as not
//! counted yet; only then is the finalizer taken off, and only when that is seen is the pod counted and its UID
//! dropped. So nothing is lost or counted twice, wherever it is interrupted.

mod conditions;
mod indexes;
mod manage;
mod policy;
mod reconcile;
mod sync;
#[cfg(test)]
mod tests;
mod tracking;

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::{meta_of, view, views};
use crate::objects::{Pod, labels, owner};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub(crate) use conditions::{ended_as, finished_at};
pub use reconcile::State;

/// What keeps a pod until it is counted.
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A Job.
    Job(ObjectKey),
    /// A pod whose Job is gone, and which nobody counts any more.
    Orphan(ObjectKey),
}

#[derive(Clone)]
struct Controller {
    jobs: Informer<Job>,
    pods: Informer<core::Pod>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let (jobs, pods) = (wiring.informers.of::<Job>(), wiring.informers.of::<core::Pod>());
    let controller = Controller { jobs: jobs.clone(), pods: pods.clone() };
    let (by_job, by_pod) = (controller.clone(), controller.clone());
    wiring
        .controller(controller)
        .watch(jobs.untyped(), move |change| by_job.of_job(change))
        .watch(pods.untyped(), move |change| by_pod.of_pod(change))
        .start();
}

impl Controller {
    /// A Job; and when it is gone, its pods.
    fn of_job(&self, change: &Change) -> Vec<Key> {
        let orphans = change
            .old
            .as_ref()
            .filter(|_| change.new.is_none())
            .map(|job| Informers::controlled(self.pods.untyped(), &job.uid()));
        let orphans = orphans.into_iter().flatten().map(|pod| Key::Orphan(ObjectKey::of(&pod)));
        std::iter::once(Key::Job(change.key.clone())).chain(orphans).collect()
    }

    fn of_pod(&self, change: &Change) -> Vec<Key> {
        let namespace = change.key.namespace.as_str();
        let owners = [&change.old, &change.new].into_iter().flatten().filter_map(owner::controller_of_object);
        let mut keys: Vec<Key> = owners
            .filter(|owner| owner.kind == "Job")
            .map(|owner| Key::Job(ObjectKey::new(namespace, owner.name)))
            .collect();
        keys.dedup();
        let Some(meta) = change.new.as_ref().map(meta_of) else { return keys };
        let is_tracked = meta.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        match meta.controller() {
            Some(owner) if is_tracked && !self.is_job(namespace, &owner.name, &owner.uid) => {
                keys.push(Key::Orphan(change.key.clone()));
            }
            Some(_) => {}
            None => {
                let selecting = self.jobs.namespaced(namespace).into_iter().filter_map(|job| {
                    let selector = job.spec?.selector.filter(|selector| !labels::is_empty(selector))?;
                    labels::selects(&selector, &meta.labels).then_some(job.metadata.name?)
                });
                let before = keys.len();
                keys.extend(selecting.map(|name| Key::Job(ObjectKey::new(namespace, name))));
                if is_tracked && keys.len() == before {
                    keys.push(Key::Orphan(change.key.clone()));
                }
            }
        }
        keys
    }

    fn is_job(&self, namespace: &str, name: &str, uid: &str) -> bool {
        self.jobs.object(namespace, name).is_some_and(|job| job.uid() == uid)
    }
}

impl Reconcile for Controller {
    type Key = Key;
    type State = State;

    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn gather(&self, key: &Key) -> Option<State> {
        match key {
            Key::Job(key) => {
                let job = self.jobs.get(&key.namespace, &key.name)?;
                let uid = job.metadata.uid.clone().unwrap_or_default();
                let pods = Informers::claimable(self.pods.untyped(), &uid, &key.namespace);
                Some(State::Job { job: Box::new(job), pods: views(&pods) })
            }
            Key::Orphan(key) => {
                let pod: Pod = view(&self.pods.object(&key.namespace, &key.name)?)?;
                let is_tracked = pod.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
                let owner = pod.metadata.controller();
                let has_job = owner.is_some_and(|owner| self.is_job(&key.namespace, &owner.name, &owner.uid));
                (is_tracked && !has_job).then(|| State::Orphan(Box::new(pod)))
            }
        }
    }

    fn reconcile(&self, _: &Key, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
