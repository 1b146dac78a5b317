//! Which pods and claims to create, mend and delete, and in which order.

use std::collections::BTreeMap;

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{self as core, ObjectReference, PersistentVolumeClaim};
use serde_json::json;

use super::claims::Of;
use super::history::{self, History, name};
use super::identity::{self, POD_INDEX, POD_NAME, ordinal, revision_of};
use super::status;
use crate::objects::owner::Claimant;
use crate::objects::status::same;
use crate::objects::{Meta, Pod, intstr, labels};
use crate::runtime::{Action, Live, Note, Plan, Write};

/// What is known of a StatefulSet.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub set: StatefulSet,
    /// Its pods, and those of its namespace that nobody controls.
    pub pods: Vec<Pod>,
    /// Its pods' claims by name, as far as they are there.
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
    /// Its revisions, and those of its namespace that nobody controls.
    pub revisions: Vec<ControllerRevision>,
    /// What has the name that a new revision would get.
    pub taken: Option<ControllerRevision>,
}

/// One round of work on a set.
struct Round<'a> {
    state: &'a State,
    history: &'a History,
    about: ObjectReference,
    /// Whether one thing is done after the other.
    is_ordered: bool,
    now: Timestamp,
    /// Creations and changes that pods wait for.
    before: Vec<Write>,
    creates: Vec<Write>,
    after: Vec<Action>,
    /// How many pods are deleted for an update.
    updating: i32,
}

/// Whether the round goes on.
#[derive(PartialEq, Eq)]
enum Then {
    Go,
    Stop,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    let set = &state.set;
    let meta = Meta::from(&set.metadata);
    let Some(spec) = &set.spec else { return Plan::nothing() };
    let (pods, history) = match settle(state, &meta, live) {
        Ok(settled) => settled,
        Err(first) => return first,
    };
    let mut round = Round {
        state,
        history: &history,
        about: reference(set),
        is_ordered: spec.pod_management_policy.as_deref() != Some("Parallel"),
        now,
        before: Vec::new(),
        creates: Vec::new(),
        after: Vec::new(),
        updating: 0,
    };
    if !meta.is_deleting() {
        round.work(&pods);
    }
    let mut plan = Plan::nothing();
    let status = status::status(set, &history, &pods, round.updating, now);
    if !same(&set.status, &status) {
        plan.write(Write::update_status(&StatefulSet { status: Some(status), ..set.clone() }));
    }
    plan.actions.extend((!round.before.is_empty()).then_some(Action::Parallel(round.before)));
    plan.actions.extend((!round.creates.is_empty()).then_some(Action::SlowStart(round.creates)));
    plan.actions.extend(round.after);
    plan.actions.extend(history::clean_up(set, &history, &pods).into_iter().map(Action::from));
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or_default();
    for delay in pods.iter().filter_map(|pod| pod.available_in(min_ready_seconds, now)) {
        plan.again_after(delay);
    }
    plan
}

/// Its pods and its history, or what has to be done before they are known.
fn settle(state: &State, meta: &Meta, live: &Live) -> Result<(Vec<Pod>, History), Plan> {
    let selector = state.set.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
    let claimant = Claimant::new::<StatefulSet>(meta);
    // Of revisions none is let go: one that is selected no more may be what pods are of.
    let mine = |revision: &ControllerRevision| {
        let of = Meta::from(&revision.metadata);
        let is_controlled = of.controller().is_some();
        (is_controlled || labels::selects(&selector, &of.labels)).then(|| (of, revision.clone()))
    };
    let revisions: Vec<(Meta, ControllerRevision)> = state.revisions.iter().filter_map(mine).collect();
    let revisions =
        claimant.claim::<ControllerRevision, _>(revisions, |(meta, _)| meta, |_| true, live).settled()?;
    let pods = claimant
        .claim::<core::Pod, Pod>(
            state.pods.clone(),
            |pod| &pod.metadata,
            |pod| {
                labels::selects(&selector, &pod.metadata.labels)
                    && identity::parse(&pod.metadata.name).is_some_and(|(set, _)| set == meta.name)
            },
            live,
        )
        .settled()?;
    let revisions = revisions.into_iter().map(|(_, revision)| revision).collect();
    let history = history::settle(&state.set, revisions, state.taken.as_ref())?;
    Ok((pods, history))
}

// === impl Round ===

impl Round<'_> {
    fn set(&self) -> &StatefulSet {
        &self.state.set
    }

    /// Replicas from the first to the last, then surplus pods from the last to the first, then the update.
    fn work(&mut self, pods: &[Pod]) {
        let (start, count) = identity::range(self.set());
        let by_ordinal: BTreeMap<i64, &Pod> = pods.iter().map(|pod| (ordinal(pod), pod)).collect();
        let replicas: Vec<(i64, Option<&Pod>)> =
            (start..start + count).map(|at| (at, by_ordinal.get(&at).copied())).collect();
        let in_range = |at: &i64| (start..start + count).contains(at);
        let surplus: Vec<&Pod> = by_ordinal
            .iter()
            .rev()
            .filter(|(at, _)| **at >= 0 && !in_range(at))
            .map(|(_, pod)| *pod)
            .collect();
        for (at, pod) in &replicas {
            if self.replica(*at, *pod) == Then::Stop && self.is_ordered {
                return;
            }
        }
        for pod in &surplus {
            self.mend_claims(&pod.metadata, ordinal(pod));
        }
        let all_there = replicas.iter().all(|(_, pod)| pod.is_some_and(|pod| !self.is_unavailable(pod)));
        let first_unavailable =
            if all_there { surplus.iter().rev().find(|pod| self.is_unavailable(pod)).copied() } else { None };
        for pod in &surplus {
            if self.condemned(pod, first_unavailable) == Then::Stop && self.is_ordered {
                return;
            }
        }
        let strategy = self.set().spec.as_ref().and_then(|spec| spec.update_strategy.clone());
        if strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete") {
            self.update(&replicas);
        }
    }

    fn min_ready_seconds(&self) -> i32 {
        self.set().spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default()
    }

    fn is_unavailable(&self, pod: &Pod) -> bool {
        pod.metadata.is_deleting() || !pod.is_available(self.min_ready_seconds(), self.now)
    }

    /// One replica: it is made, made again when it has ended, waited for, and kept in shape.
    fn replica(&mut self, at: i64, pod: Option<&Pod>) -> Then {
        let Some(pod) = pod else { return self.create(at) };
        if pod.is_terminal() {
            // Its successor comes when it is gone.
            if !pod.metadata.is_deleting() {
                self.delete(pod);
            }
            return Then::Stop;
        }
        if pod.status.phase == "Pending" {
            self.create_claims(at, &pod.metadata.name);
            self.mend_claims(&pod.metadata, at);
        }
        let is_up = pod.status.phase == "Running" && !self.is_unavailable(pod);
        if self.is_ordered && !is_up {
            return Then::Stop;
        }
        self.mend(at, pod);
        Then::Go
    }

    fn create(&mut self, at: i64) -> Then {
        let pod = identity::new_pod(self.set(), self.history, at);
        let meta = Meta::from(&pod.metadata);
        let of = Of::new(self.set(), &meta, at);
        let claims = self.claims(at);
        if claims.iter().filter_map(|(_, there)| *there).any(|claim| of.is_stale(claim)) {
            return Then::Stop;
        }
        let is_going = |claim: &&PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_some();
        if let Some(claim) = claims.iter().filter_map(|(_, there)| *there).find(is_going) {
            let claim = claim.metadata.name.as_deref().unwrap_or_default();
            let error = format!("pvc {claim} is being deleted");
            let (set, name) = (self.set().metadata.name.as_deref().unwrap_or_default(), &meta.name);
            let message = format!("Create Pod {name} in StatefulSet {set} failed error: {error}");
            self.after.push(Action::Event(Note::warning(self.about.clone(), "FailedCreate", message)));
            return Then::Stop;
        }
        self.create_claims(at, &meta.name);
        let create = self.saying(Write::create(&pod), "Create", &meta.name);
        self.creates.push(create);
        self.mend_claims(&meta, at);
        Then::Stop
    }

    /// The claims that an ordinal should have, and those that it has.
    fn claims(&self, at: i64) -> Vec<(PersistentVolumeClaim, Option<&PersistentVolumeClaim>)> {
        let claims = identity::claims(&self.state.set, at).into_iter();
        claims
            .map(|claim| {
                let there = self.state.claims.get(claim.metadata.name.as_deref().unwrap_or_default());
                (claim, there)
            })
            .collect()
    }

    fn create_claims(&mut self, at: i64, pod: &str) {
        let set = self.set().metadata.name.as_deref().unwrap_or_default();
        let missing = self.claims(at).into_iter().filter(|(_, there)| there.is_none());
        let writes = missing.map(|(claim, _)| {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let of = format!("Create Claim {name} Pod {pod} in StatefulSet {set}");
            Write::create(&claim)
                .saying(Note::normal(self.about.clone(), "SuccessfulCreate", format!("{of} success")))
                .or_saying(Note::warning(
                    self.about.clone(),
                    "FailedCreate",
                    format!("Create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {{error}}"),
                ))
                .tolerating(&["AlreadyExists"])
        });
        let writes: Vec<Write> = writes.collect();
        self.before.extend(writes);
    }

    /// Gives claims the owners that they should have; whether there was one to mend.
    fn mend_claims(&mut self, pod: &Meta, at: i64) -> bool {
        let of = Of::new(self.set(), pod, at);
        let there: Vec<PersistentVolumeClaim> =
            self.claims(at).into_iter().filter_map(|(_, there)| there.cloned()).collect();
        let mut is_mending = false;
        for claim in there {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            if of.has_stranger(&claim) {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim"
                );
                self.after.push(Action::Event(Note::warning(
                    self.about.clone(),
                    "ConflictingController",
                    message,
                )));
            }
            if let Some(mended) = of.mended(&claim) {
                is_mending = true;
                self.after.push(Action::from(Write::update(&mended)));
            }
        }
        is_mending
    }

    /// Gives the pod the labels and claims that it should have.
    fn mend(&mut self, at: i64, pod: &Pod) {
        let name = &pod.metadata.name;
        let has_identity = pod.metadata.labels.get(POD_NAME) == Some(name);
        let has_storage = identity::storage_matches(self.set(), pod);
        let of = Of::new(self.set(), &pod.metadata, at);
        let has_owners =
            self.claims(at).iter().filter_map(|(_, there)| *there).all(|claim| of.mended(claim).is_none());
        if has_identity && has_storage && has_owners {
            return;
        }
        if !has_storage {
            self.create_claims(at, name);
        }
        self.mend_claims(&pod.metadata, at);
        let mut patch = json!({"metadata": {"uid": pod.metadata.uid,
            "labels": {POD_NAME: name, POD_INDEX: at.to_string()}}});
        if !has_storage {
            patch["spec"]["volumes"] = json!(identity::volumes(self.set(), at));
        }
        let patch = Write::patch::<core::Pod>(&pod.metadata.namespace, name, "", &patch);
        let patch = self.saying(patch, "Update", name);
        self.after.push(Action::from(patch));
    }

    /// A pod beyond the number that is asked for.
    fn condemned(&mut self, pod: &Pod, first_unavailable: Option<&Pod>) -> Then {
        if pod.metadata.is_deleting() {
            return if self.is_ordered { Then::Stop } else { Then::Go };
        }
        let is_first = first_unavailable.is_some_and(|first| first.metadata.name == pod.metadata.name);
        let is_up = pod.status.phase == "Running" && !self.is_unavailable(pod);
        if self.is_ordered && !is_up && !is_first {
            return Then::Stop;
        }
        self.delete(pod);
        Then::Stop
    }

    /// Deletes pods of other revisions, the last first, as far as the strategy allows.
    fn update(&mut self, replicas: &[(i64, Option<&Pod>)]) {
        let rolling =
            self.set().spec.as_ref().and_then(|spec| spec.update_strategy.as_ref()?.rolling_update.clone());
        let rolling = rolling.unwrap_or_default();
        let partition = usize::try_from(rolling.partition.unwrap_or_default()).unwrap_or_default();
        let update = name(&self.history.update).to_owned();
        let unavailable = |round: &Self, pod: &Option<&Pod>| pod.is_none_or(|pod| round.is_unavailable(pod));
        let is_old = |pod: &Pod| revision_of(pod) != update && !pod.metadata.is_deleting();
        let targets = replicas.iter().skip(partition).rev();
        let Some(max) = &rolling.max_unavailable else {
            for (_, pod) in targets {
                if let Some(old) = pod.filter(|pod| is_old(pod)) {
                    return self.replace(old);
                }
                if unavailable(self, pod) {
                    return;
                }
            }
            return;
        };
        let max = intstr::scaled(Some(max), replicas.len() as i32, false).max(1) as usize;
        let missing = replicas.iter().filter(|(_, pod)| unavailable(self, pod)).count();
        let old = targets.filter_map(|(_, pod)| pod.filter(|pod| is_old(pod)));
        for pod in old.take(max.saturating_sub(missing)) {
            self.replace(pod);
        }
    }

    /// Deletes a pod so that one of the new revision takes its place.
    fn replace(&mut self, pod: &Pod) {
        self.updating += i32::from(revision_of(pod) == name(&self.history.current));
        self.delete(pod);
    }

    fn delete(&mut self, pod: &Pod) {
        let meta = &pod.metadata;
        let delete = Write::delete::<core::Pod>(&meta.namespace, &meta.name, &meta.uid)
            .tolerating(&["NotFound", "Conflict"]);
        let delete = self.saying(delete, "Delete", &meta.name);
        self.after.push(Action::from(delete));
    }

    /// `write`, with word of how it goes: `verb` is `Create`, `Update` or `Delete`.
    fn saying(&self, write: Write, verb: &'static str, pod: &str) -> Write {
        let (done, failed) = match verb {
            "Create" => ("SuccessfulCreate", "FailedCreate"),
            "Update" => ("SuccessfulUpdate", "FailedUpdate"),
            _ => ("SuccessfulDelete", "FailedDelete"),
        };
        let of = format!(
            "{verb} Pod {pod} in StatefulSet {}",
            self.set().metadata.name.as_deref().unwrap_or_default()
        );
        write
            .saying(Note::normal(self.about.clone(), done, format!("{of} successful")))
            .or_saying(Note::warning(self.about.clone(), failed, format!("{of} failed error: {{error}}")))
    }
}
