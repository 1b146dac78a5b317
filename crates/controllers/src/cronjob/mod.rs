//! Makes Jobs by the clock (k8s.io/kubernetes/pkg/controller/cronjob).
//!
//! It watches CronJobs and the Jobs that they control. The name of a Job tells for which time it is, so that none is
//! made twice; it is noted in the CronJob's status when it is seen.

mod reconcile;
mod schedule;
#[cfg(test)]
mod tests;

use decapod_client::{Change, Informer, ObjectKey, decode};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};

use crate::Wiring;
use crate::objects::owner;
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    crons: Informer<CronJob>,
    jobs: Informer<Job>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let (crons, jobs) = (wiring.informers.of::<CronJob>(), wiring.informers.of::<Job>());
    wiring
        .controller(Controller { crons: crons.clone(), jobs: jobs.clone() })
        .watch(crons.untyped(), |change| vec![change.key.clone()])
        .watch(jobs.untyped(), of_job)
        .start();
}

/// The CronJobs whose Job this is or was.
fn of_job(change: &Change) -> Vec<ObjectKey> {
    let owners = [&change.old, &change.new].into_iter().flatten().filter_map(owner::controller_of_object);
    let mut keys: Vec<ObjectKey> = owners
        .filter(|owner| owner.kind == "CronJob")
        .map(|owner| ObjectKey::new(change.key.namespace.as_str(), owner.name))
        .collect();
    keys.dedup();
    keys
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let cron = self.crons.get(&key.namespace, &key.name)?;
        let uid = cron.metadata.uid.clone().unwrap_or_default();
        let jobs = Informers::controlled(self.jobs.untyped(), &uid);
        Some(State { cron, jobs: jobs.iter().filter_map(|job| decode(job).ok()).collect() })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
