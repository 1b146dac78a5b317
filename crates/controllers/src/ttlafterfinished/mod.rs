//! Deletes Jobs some time after they have ended, where that is asked for
//! (k8s.io/kubernetes/pkg/controller/ttlafterfinished).

mod reconcile;
#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

struct Controller {
    jobs: Informer<Job>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let jobs = wiring.informers.of::<Job>();
    wiring
        .controller(Controller { jobs: jobs.clone() })
        .watch(jobs.untyped(), |change| {
            let job = change.new.as_ref();
            let asks = job.is_some_and(|job| job.raw(&["spec", "ttlSecondsAfterFinished"]).is_some());
            asks.then(|| change.key.clone()).into_iter().collect()
        })
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = Job;

    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<Job> {
        self.jobs.get(&key.namespace, &key.name)
    }

    fn reconcile(&self, _: &ObjectKey, job: &Job, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(job, live, now)
    }
}
