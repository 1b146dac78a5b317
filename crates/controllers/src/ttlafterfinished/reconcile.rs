//! Whether a Job's time is up.

use std::time::Duration;

use decapod_client::{Kind, decode};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};

use crate::job::finished_at;
use crate::objects::{Meta, time};
use crate::runtime::{Live, LiveRead, Plan, Write};

pub(super) fn reconcile(job: &Job, live: &Live, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    let Some(left) = left(job, now) else { return plan };
    if !left.is_zero() {
        plan.again_after(left);
        return plan;
    }
    let meta = Meta::from(&job.metadata);
    // The time may have been changed since.
    let read = LiveRead::of::<Job>(&meta.namespace, &meta.name);
    let Some(fresh) = live.object(&read) else { return Plan::ask(vec![read]) };
    let fresh = fresh.and_then(|fresh| decode::<Job>(fresh).ok());
    if fresh.is_some_and(|fresh| {
        fresh.metadata.uid == job.metadata.uid && self::left(&fresh, now) == Some(Duration::ZERO)
    }) {
        let options = DeleteOptions {
            propagation_policy: Some("Foreground".to_owned()),
            preconditions: Some(Preconditions { uid: Some(meta.uid), resource_version: None }),
            ..DeleteOptions::default()
        };
        plan.write(Write::delete_resource(Job::resource(), &meta.namespace, &meta.name, &options));
    }
    plan
}

/// How long `job` may still stay; `None` if it may for ever, or for now.
fn left(job: &Job, now: Timestamp) -> Option<Duration> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let finished = finished_at(job.status.as_ref()?)?;
    job.metadata.deletion_timestamp.is_none().then(|| time::until(finished, seconds.into(), now))
}
