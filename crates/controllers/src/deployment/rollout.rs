//! A rollout under way: the ReplicaSets as they are and as they are to be, and the two strategies.

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use super::reconcile::State;
use super::scale::{desired, max_surge, max_unavailable};
use super::status::{self, is_complete};
use super::{revision, scale};
use crate::objects::Meta;
use crate::runtime::{Action, Live, Note, Plan, Write};

/// A rollout under way.
pub(super) struct Rollout {
    /// The Deployment, changed as it is to be.
    pub deployment: Deployment,
    /// Its ReplicaSets, from the oldest to the newest.
    pub sets: Vec<Set>,
    /// Where the ReplicaSet of the present template stands.
    pub new_at: Option<usize>,
    /// Now.
    pub now: Timestamp,
    /// What is to be done beside the changes of ReplicaSets: creations, deletions.
    pub plan: Plan,
    /// The status as it is; `None` once nothing more is to be written.
    written: Option<DeploymentStatus>,
}

/// A ReplicaSet as it is, and as it is to be.
pub(super) struct Set {
    pub original: ReplicaSet,
    pub current: ReplicaSet,
}

/// How many replicas `set` is asked for.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// How many replicas of `set` are available. Its status may not have followed a smaller size yet: what is about to go
/// counts no more, or as many again would be taken elsewhere (upstream counts them: pkg/controller/deployment rolling.go).
fn available(set: &ReplicaSet) -> i32 {
    let told = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default();
    told.min(replicas(set))
}

/// Whether all old pods have to be gone before new ones come.
pub(super) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("Recreate"))
}

// === impl Set ===

impl Set {
    /// Whether it has to be written.
    pub(super) fn is_changed(&self) -> bool {
        self.original != self.current
    }
}

// === impl Rollout ===

impl Rollout {
    pub(super) fn new(deployment: Deployment, mut sets: Vec<ReplicaSet>, now: Timestamp) -> Rollout {
        let age = |set: &ReplicaSet| {
            let meta = Meta::from(&set.metadata);
            (meta.created(), meta.name)
        };
        sets.sort_by_key(age);
        let new_at = sets.iter().position(|set| revision::is_of_template(&deployment, set));
        let sets = sets.into_iter().map(|set| Set { original: set.clone(), current: set }).collect();
        let written = Some(deployment.status.clone().unwrap_or_default());
        Rollout { deployment, sets, new_at, now, plan: Plan::nothing(), written }
    }

    /// The ReplicaSet of the present template.
    pub(super) fn new_set(&self) -> Option<&ReplicaSet> {
        self.new_at.map(|at| &self.sets[at].current)
    }

    /// The ReplicaSets of other templates, from the oldest to the newest.
    pub(super) fn old(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old_at().into_iter().map(|at| &self.sets[at].current)
    }

    /// Where they stand.
    pub(super) fn old_at(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|at| Some(*at) != self.new_at).collect()
    }

    /// Whether the rollout is to stand still.
    pub(super) fn is_paused(&self) -> bool {
        self.deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true))
    }

    /// Makes the ReplicaSet at `at` of size `size`; whether that is a change.
    pub(super) fn resize(&mut self, at: usize, size: i32) -> bool {
        if replicas(&self.sets[at].current) == size {
            return false;
        }
        self.resize_noting(at, size);
        true
    }

    /// The same, but what is noted of the Deployment's size is brought up to date in any case.
    pub(super) fn resize_noting(&mut self, at: usize, size: i32) {
        let set = &mut self.sets[at].current;
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(size);
        }
        revision::annotate_size(&self.deployment, set);
    }

    /// Deletes old ReplicaSets beyond the history that is to be kept.
    pub(super) fn clean_up(&mut self) {
        let limit = self.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut old: Vec<&ReplicaSet> =
            self.old().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        old.sort_by_key(|set| revision::of(set));
        let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
        let deletes: Vec<Write> = old[..surplus]
            .iter()
            .filter(|set| is_spent(set))
            .map(|set| {
                let meta = Meta::from(&set.metadata);
                Write::delete::<ReplicaSet>(&meta.namespace, &meta.name, &meta.uid)
            })
            .collect();
        if !deletes.is_empty() {
            self.plan.actions.push(Action::Parallel(deletes));
        }
    }

    /// The changes so far, and a status that tells of the rollout's progress.
    pub(super) fn finish(mut self) -> Plan {
        let (status, again_after) = status::of_rollout(&self);
        self.write_sets();
        if let Some(delay) = again_after {
            self.plan.again_after(delay);
        }
        self.write_status(status);
        self.plan
    }

    /// The changes so far, and a status that says nothing about progress.
    pub(super) fn finish_plainly(mut self) -> Plan {
        let status = status::plain(&self);
        self.write_sets();
        self.write_status(status);
        self.plan
    }

    fn write_sets(&mut self) {
        let about = reference(&self.deployment);
        let mut writes = Vec::new();
        for set in self.sets.iter().filter(|set| set.is_changed()) {
            let (from, to) = (replicas(&set.original), replicas(&set.current));
            let write = Write::update(&set.current);
            if from == to {
                writes.push(write);
                continue;
            }
            let direction = if from < to { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {{name}} from {from} to {to}");
            writes.push(write.saying(Note::normal(about.clone(), "ScalingReplicaSet", message)));
        }
        self.plan.actions.extend(writes.into_iter().map(Action::from));
    }

    /// Writes `status`, if it says anything new.
    pub(super) fn write_status(&mut self, status: DeploymentStatus) {
        if self.written.as_ref().is_some_and(|written| !crate::objects::status::same(written, &status)) {
            self.written = Some(status.clone());
            self.plan
                .write(Write::update_status(&Deployment { status: Some(status), ..self.deployment.clone() }));
        }
    }

    /// Writes no status any more.
    pub(super) fn seal_status(&mut self) {
        self.written = None;
    }
}

/// Whether nothing is left of `set`, and that is known.
fn is_spent(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    status.replicas == 0 && replicas(set) == 0 && set.metadata.generation <= status.observed_generation
}

// === strategies ===

/// Brings new pods before old ones go, within the bounds that are set.
pub(super) fn rolling(rollout: &mut Rollout, state: &State, live: &Live) {
    let Some(at) = rollout.new_at else { return status::create(rollout, state, live) };
    if grow_new(rollout, at) || shrink_old(rollout, at) {
        return;
    }
    clean_up_if_complete(rollout);
}

/// Ends all old pods before new ones come.
pub(super) fn recreate(rollout: &mut Rollout, state: &State, live: &Live) {
    let shrunk = rollout.old_at().into_iter().filter(|at| rollout.resize(*at, 0)).count();
    if shrunk > 0 || are_old_running(rollout, state) {
        return;
    }
    let Some(at) = rollout.new_at else { return status::create(rollout, state, live) };
    rollout.resize(at, desired(&rollout.deployment));
    clean_up_if_complete(rollout);
}

fn clean_up_if_complete(rollout: &mut Rollout) {
    let status = rollout.deployment.status.clone().unwrap_or_default();
    if is_complete(&rollout.deployment, &status) {
        rollout.clean_up();
    }
}

fn are_old_running(rollout: &Rollout, state: &State) -> bool {
    let counted = rollout.old().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0));
    let new = rollout.new_set().and_then(|set| set.metadata.uid.as_ref());
    counted || state.running.iter().any(|(uid, running)| Some(uid) != new && *running > 0)
}

/// How many replicas a ReplicaSet of the present template may have that has `size` now.
pub(super) fn size_of_new(rollout: &Rollout, size: i32) -> i32 {
    let desired = desired(&rollout.deployment);
    if is_recreate(&rollout.deployment) {
        return desired;
    }
    let total: i32 = rollout.sets.iter().map(|set| replicas(&set.current)).sum();
    let most = desired + max_surge(&rollout.deployment);
    if total >= most { size } else { size + (most - total).min(desired - size) }
}

fn grow_new(rollout: &mut Rollout, at: usize) -> bool {
    let (size, desired) = (replicas(&rollout.sets[at].current), desired(&rollout.deployment));
    if size >= desired {
        return rollout.resize(at, desired);
    }
    let size = size_of_new(rollout, size);
    rollout.resize(at, size)
}

fn shrink_old(rollout: &mut Rollout, new: usize) -> bool {
    let total: i32 = rollout.sets.iter().map(|set| replicas(&set.current)).sum();
    let least = desired(&rollout.deployment) - max_unavailable(&rollout.deployment);
    let new_unavailable = replicas(&rollout.sets[new].current) - available(&rollout.sets[new].current);
    let may_go = total - least - new_unavailable;
    if may_go <= 0 {
        return false;
    }
    let unhealthy = shrink(rollout, may_go, |set| replicas(set) - available(set));
    let all_available: i32 = rollout.sets.iter().map(|set| available(&set.current)).sum();
    let healthy = shrink(rollout, all_available - least, replicas);
    unhealthy + healthy > 0
}

/// Takes `most` replicas from the old ReplicaSets, from the oldest on, and from each as many as `from` says; how many
/// that were.
fn shrink(rollout: &mut Rollout, most: i32, from: impl Fn(&ReplicaSet) -> i32) -> i32 {
    let mut taken = 0;
    for at in rollout.old_at() {
        let size = replicas(&rollout.sets[at].current);
        let take = from(&rollout.sets[at].current).min(size).min(most - taken);
        if take > 0 && rollout.resize(at, size - take) {
            taken += take;
        }
    }
    taken
}

/// The size of a ReplicaSet that does not exist yet.
pub(super) fn size_of_first(rollout: &Rollout) -> i32 {
    size_of_new(rollout, 0).min(scale::desired(&rollout.deployment))
}
