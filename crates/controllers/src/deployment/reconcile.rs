//! What a Deployment does next.

use std::collections::BTreeMap;

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::rollout::Rollout;
use super::status::{PROGRESSING, condition, has_deadline, set_condition};
use super::{revision, rollout, scale};
use crate::objects::owner::Claimant;
use crate::objects::{Meta, labels};
use crate::runtime::{Live, Note, Plan, Write};

/// What is known of a Deployment.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub deployment: Deployment,
    /// Its ReplicaSets, and those of its namespace that nobody controls.
    pub sets: Vec<ReplicaSet>,
    /// How many pods each ReplicaSet, by UID, has that have not ended; only needed for type Recreate.
    pub running: BTreeMap<String, usize>,
    /// What has the name that a new ReplicaSet would get.
    pub taken: Option<ReplicaSet>,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    let deployment = &state.deployment;
    let meta = Meta::from(&deployment.metadata);
    let Some(spec) = &deployment.spec else { return Plan::nothing() };
    if labels::is_empty(&spec.selector) {
        return selects_all(deployment);
    }
    let sets: Vec<(Meta, ReplicaSet)> =
        state.sets.iter().map(|set| (Meta::from(&set.metadata), set.clone())).collect();
    let claimed = Claimant::new::<Deployment>(&meta).claim::<ReplicaSet, _>(
        sets,
        |(meta, _)| meta,
        |(meta, _)| labels::selects(&spec.selector, &meta.labels),
        live,
    );
    let sets = match claimed.settled() {
        Ok(sets) => sets.into_iter().map(|(_, set)| set).collect(),
        Err(first) => return first,
    };
    let mut rollout = Rollout::new(deployment.clone(), sets, now);
    if meta.is_deleting() {
        return rollout.finish_plainly();
    }
    if let Some(plan) = mark_pause(&rollout) {
        return plan;
    }
    if !rollout.adopt_revision() {
        // Written first, so that what follows has the annotations of the present.
        return rollout.finish_annotations();
    }
    if spec.paused == Some(true) || scale::is_scaling(&rollout) {
        scale::scale(&mut rollout);
        if spec.paused == Some(true) {
            rollout.clean_up();
        }
        return rollout.finish_plainly();
    }
    if rollout::is_recreate(deployment) {
        rollout::recreate(&mut rollout, state, live);
    } else {
        rollout::rolling(&mut rollout, state, live);
    }
    rollout.finish()
}

fn selects_all(deployment: &Deployment) -> Plan {
    let mut plan = Plan::nothing();
    let message = "This deployment is selecting all pods. A non-empty selector is required.";
    plan.note(Note::warning(reference(deployment), "SelectingAll", message));
    let mut status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        status.observed_generation = deployment.metadata.generation;
        plan.write(Write::update_status(&Deployment { status: Some(status), ..deployment.clone() }));
    }
    plan
}

/// Says of the rollout that it is paused or goes on, if that is news.
fn mark_pause(rollout: &Rollout) -> Option<Plan> {
    let deployment = &rollout.deployment;
    let mut status = deployment.status.clone().unwrap_or_default();
    let current = condition(&status, PROGRESSING).and_then(|condition| condition.reason.clone());
    if !has_deadline(deployment) || current.as_deref() == Some("ProgressDeadlineExceeded") {
        return None;
    }
    let is_marked = current.as_deref() == Some("DeploymentPaused");
    let (reason, message) = match (rollout.is_paused(), is_marked) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return None,
    };
    set_condition(&mut status, PROGRESSING, "Unknown", reason, message.to_owned(), rollout.now);
    let mut plan = Plan::nothing();
    plan.write(Write::update_status(&Deployment { status: Some(status), ..deployment.clone() }));
    Some(plan)
}

impl Rollout {
    /// Brings the new ReplicaSet's annotations and the Deployment's revision up to date; false if that has to be
    /// written before anything else.
    fn adopt_revision(&mut self) -> bool {
        let revision = (revision::newest(self.old()) + 1).to_string();
        let Some(at) = self.new_at else { return true };
        revision::annotate_existing(&self.deployment, &mut self.sets[at].current, &revision);
        if self.sets[at].is_changed() {
            return false;
        }
        let annotations = self.sets[at].current.metadata.annotations.as_ref();
        let revision = annotations.and_then(|annotations| annotations.get(revision::REVISION)).cloned();
        let ours = self.deployment.metadata.annotations.get_or_insert_default();
        match revision {
            Some(revision) if ours.get(revision::REVISION) != Some(&revision) => {
                ours.insert(revision::REVISION.to_owned(), revision);
                false
            }
            _ => true,
        }
    }

    /// Writes what `adopt_revision` has changed.
    fn finish_annotations(self) -> Plan {
        let mut plan = Plan::nothing();
        match self.sets.iter().find(|set| set.is_changed()) {
            Some(set) => plan.write(Write::update(&set.current)),
            None => plan.write(Write::update(&self.deployment)),
        }
        plan
    }
}
