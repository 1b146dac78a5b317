//! What a Job does next.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1 as core;
use serde_json::json;

use super::sync::Sync;
use super::{FINALIZER, conditions};
use crate::objects::owner::Claimant;
use crate::objects::{Meta, Pod, labels};
use crate::runtime::{Live, Plan, Write};

/// What is known.
#[derive(Clone, Debug)]
pub enum State {
    /// Of a Job.
    Job {
        /// Itself.
        job: Box<Job>,
        /// Its pods, and those of its namespace that nobody controls.
        pods: Vec<Pod>,
    },
    /// Of a pod whose Job is gone.
    Orphan(Box<Pod>),
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    match state {
        State::Orphan(pod) => {
            let mut plan = Plan::nothing();
            plan.write(release(pod));
            plan
        }
        State::Job { job, pods } => sync(job, pods, live, now),
    }
}

/// Takes the finalizer off `pod`.
pub(super) fn release(pod: &Pod) -> Write {
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
    Write::patch::<core::Pod>(&pod.metadata.namespace, &pod.metadata.name, "", &patch)
        .tolerating(&["NotFound"])
}

fn sync(job: &Job, pods: &[Pod], live: &Live, now: Timestamp) -> Plan {
    let meta = Meta::from(&job.metadata);
    let (Some(spec), status) = (&job.spec, job.status.clone().unwrap_or_default()) else {
        return Plan::nothing();
    };
    let is_others = spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller");
    if is_others || conditions::is_finished(&status) {
        return Plan::nothing();
    }
    let Some(selector) = &spec.selector else { return Plan::nothing() };
    let claimed = Claimant::new::<Job>(&meta).tracking(FINALIZER).claim::<core::Pod, _>(
        pods.to_vec(),
        |pod| &pod.metadata,
        |pod| labels::selects(selector, &pod.metadata.labels),
        live,
    );
    match claimed.settled() {
        Ok(pods) => Sync::new(job, meta, pods, now).run(),
        Err(first) => first,
    }
}
