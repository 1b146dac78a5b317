//! Which pods to create and delete, and what the status says.

use std::collections::BTreeMap;
use std::time::Duration;

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1 as core;

use super::history::{self, History};
use super::placement::{self, Fit};
use super::rolling;
use crate::objects::owner::Claimant;
use crate::objects::{Meta, Node, Pod, intstr, labels, owner, status, template};
use crate::runtime::{Action, Live, Note, Plan, Write};

/// How many pods are created or deleted in one go.
const BURST: usize = 250;

/// What is known of a DaemonSet.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub set: DaemonSet,
    /// Its pods, and those of its namespace that nobody controls.
    pub pods: Vec<Pod>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Its revisions, and those of its namespace that nobody controls.
    pub revisions: Vec<ControllerRevision>,
    /// What has the name that a new revision would get.
    pub taken: Option<ControllerRevision>,
    /// For how much longer pods that failed, by UID, are to be left; the others may go.
    pub waits: BTreeMap<String, Duration>,
}

/// A DaemonSet with its pods sorted out.
pub(super) struct View<'a> {
    pub set: &'a DaemonSet,
    pub hash: String,
    /// All nodes, and whether its pods belong there.
    pub nodes: Vec<(&'a Node, Fit)>,
    /// Its pods by the node that they are on or meant for; the oldest first, bound ones before others.
    pub pods: BTreeMap<String, Vec<Pod>>,
    pub now: Timestamp,
}

/// Pods to create, by node, and pods to delete.
#[derive(Default)]
pub(super) struct Changes {
    pub create: Vec<String>,
    pub delete: Vec<Pod>,
    pub notes: Vec<Note>,
    pub again_after: Option<Duration>,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    let set = &state.set;
    let meta = Meta::from(&set.metadata);
    let Some(spec) = &set.spec else { return Plan::nothing() };
    if labels::is_empty(&spec.selector) {
        let message = "This daemon set is selecting all pods. A non-empty selector is required.";
        return Plan::of(vec![Action::Event(Note::warning(reference(set), "SelectingAll", message))]);
    }
    if meta.is_deleting() {
        return Plan::nothing();
    }
    let (pods, history) = match settle(state, &meta, live) {
        Ok(settled) => settled,
        Err(first) => return first,
    };
    let nodes = state.nodes.iter().map(|node| (node, placement::fit(set, node))).collect();
    let view = View { set, hash: history.hash.clone(), nodes, pods: by_node(&pods), now };
    let mut changes = manage(&view, &state.waits);
    // A rollout waits until every node has what it should have.
    let is_rolling =
        spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    if changes.create.is_empty() && changes.delete.is_empty() && is_rolling {
        let rolled = rolling::roll(&view);
        (changes.create, changes.delete) = (rolled.create, rolled.delete);
    }
    let mut plan = Plan { again_after: changes.again_after, ..Plan::nothing() };
    let status = status(&view);
    if !status::same(&set.status, &status) {
        plan.write(Write::update_status(&DaemonSet { status: Some(status), ..set.clone() }));
    }
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or_default();
    for delay in pods.iter().filter_map(|pod| pod.available_in(min_ready_seconds, now)) {
        plan.again_after(delay);
    }
    carry_out(&view, &meta, changes, &mut plan);
    plan.actions.extend(history::clean_up(set, &history, &pods).into_iter().map(Action::from));
    plan
}

/// Its pods and its history, or what has to be done before they are known.
fn settle(state: &State, meta: &Meta, live: &Live) -> Result<(Vec<Pod>, History), Plan> {
    let selector = state.set.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
    let claimant = Claimant::new::<DaemonSet>(meta);
    let revisions =
        state.revisions.iter().map(|revision| (Meta::from(&revision.metadata), revision.clone())).collect();
    let revisions = claimant
        .claim::<ControllerRevision, (Meta, ControllerRevision)>(
            revisions,
            |(meta, _)| meta,
            |(meta, _)| labels::selects(&selector, &meta.labels),
            live,
        )
        .settled()?;
    let revisions = revisions.into_iter().map(|(_, revision)| revision).collect();
    let pods = claimant
        .claim::<core::Pod, Pod>(
            state.pods.clone(),
            |pod| &pod.metadata,
            |pod| labels::selects(&selector, &pod.metadata.labels),
            live,
        )
        .settled()?;
    let history = history::settle(&state.set, revisions, state.taken.as_ref())?;
    Ok((pods, history))
}

fn by_node(pods: &[Pod]) -> BTreeMap<String, Vec<Pod>> {
    let mut by_node: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = placement::target(pod) {
            by_node.entry(node).or_default().push(pod.clone());
        }
    }
    for pods in by_node.values_mut() {
        let order =
            |pod: &Pod| (pod.spec.node_name.is_empty(), pod.metadata.created(), pod.metadata.name.clone());
        pods.sort_by_key(order);
    }
    by_node
}

/// Every node gets the pod that it should have, and keeps none that it should not.
fn manage(view: &View, waits: &BTreeMap<String, Duration>) -> Changes {
    let mut changes = Changes::default();
    for (node, fit) in &view.nodes {
        match (view.pods.get(&node.metadata.name), fit) {
            (None, fit) if fit.should_run => changes.create.push(node.metadata.name.clone()),
            (None, _) => {}
            (Some(pods), fit) if fit.may_stay => {
                tidy(view, &node.metadata.name, pods, *fit, waits, &mut changes)
            }
            (Some(pods), _) => {
                changes.delete.extend(pods.iter().filter(|pod| !pod.metadata.is_deleting()).cloned())
            }
        }
    }
    // Pods meant for a node that is no more, which no scheduler will ever bind.
    let is_known = |name: &String| view.nodes.iter().any(|(node, _)| node.metadata.name == *name);
    let lost = view.pods.iter().filter(|(name, _)| !is_known(name)).flat_map(|(_, pods)| pods);
    changes.delete.extend(lost.filter(|pod| pod.spec.node_name.is_empty()).cloned());
    changes
}

/// What has ended goes, so that another can come; and all but one, or but one old and one new during a surge.
fn tidy(
    view: &View,
    node: &str,
    pods: &[Pod],
    fit: Fit,
    waits: &BTreeMap<String, Duration>,
    changes: &mut Changes,
) {
    let mut running: Vec<&Pod> = Vec::new();
    for pod in pods.iter().filter(|pod| !pod.metadata.is_deleting()) {
        let key = pod.metadata.key();
        match pod.status.phase.as_str() {
            "Failed" => match waits.get(&pod.metadata.uid) {
                Some(wait) => {
                    changes.again_after = Some(changes.again_after.map_or(*wait, |other| other.min(*wait)))
                }
                None => {
                    let message =
                        format!("Found failed daemon pod {key} on node {node}, will try to kill it");
                    changes.notes.push(Note::warning(reference(view.set), "FailedDaemonPod", message));
                    changes.delete.push(pod.clone());
                }
            },
            "Succeeded" => {
                let message =
                    format!("Found succeeded daemon pod {key} on node {node}, will try to delete it");
                changes.notes.push(Note::normal(reference(view.set), "SucceededDaemonPod", message));
                changes.delete.push(pod.clone());
            }
            _ => running.push(pod),
        }
    }
    if rolling::surge(view, 1) == 0 {
        changes.delete.extend(running.into_iter().skip(1).cloned());
        return;
    }
    if running.is_empty() && fit.should_run {
        changes.create.push(node.to_owned());
    }
    let (new, old): (Vec<&Pod>, Vec<&Pod>) =
        running.into_iter().partition(|pod| history::is_updated(view.set, pod, &view.hash));
    changes.delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).map(|pod| (*pod).clone()));
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!old.is_ready() || new.is_available(min_ready_seconds(view.set), view.now))
    {
        changes.delete.push((*old).clone());
    }
}

pub(super) fn min_ready_seconds(set: &DaemonSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default()
}

fn carry_out(view: &View, meta: &Meta, changes: Changes, plan: &mut Plan) {
    let about = reference(view.set);
    changes.notes.into_iter().for_each(|note| plan.note(note));
    let create = |node: &String| {
        let template = placement::template(view.set, node, &view.hash);
        let pod = template::pod(&template, &meta.namespace, owner::reference::<DaemonSet>(meta));
        template::create(&pod, &about)
    };
    let creates: Vec<Write> = changes.create.iter().take(BURST).map(create).collect();
    let deletes: Vec<Write> =
        changes.delete.iter().take(BURST).map(|pod| template::delete(&pod.metadata, &about)).collect();
    if !deletes.is_empty() {
        plan.actions.push(Action::Parallel(deletes));
    }
    if !creates.is_empty() {
        plan.actions.push(Action::SlowStart(creates));
    }
}

fn status(view: &View) -> DaemonSetStatus {
    let old = view.set.status.clone().unwrap_or_default();
    let (mut desired, mut current, mut misscheduled, mut ready, mut updated, mut available) =
        (0, 0, 0, 0, 0, 0);
    for (node, fit) in &view.nodes {
        let pod = view.pods.get(&node.metadata.name).and_then(|pods| pods.first());
        match (fit.should_run, pod) {
            (true, None) => desired += 1,
            (true, Some(pod)) => {
                desired += 1;
                current += 1;
                ready += i32::from(pod.is_ready());
                available += i32::from(pod.is_available(min_ready_seconds(view.set), view.now));
                updated += i32::from(history::is_updated(view.set, pod, &view.hash));
            }
            (false, Some(_)) => misscheduled += 1,
            (false, None) => {}
        }
    }
    let non_zero = |count: i32| (count != 0).then_some(count);
    DaemonSetStatus {
        observed_generation: view.set.metadata.generation,
        desired_number_scheduled: desired,
        current_number_scheduled: current,
        number_misscheduled: misscheduled,
        number_ready: ready,
        updated_number_scheduled: non_zero(updated),
        number_available: non_zero(available),
        number_unavailable: non_zero(desired - available),
        ..old
    }
}

/// How many of `desired` the update strategy's `value` is, rounded up.
pub(super) fn share(
    value: Option<&k8s_openapi::apimachinery::pkg::util::intstr::IntOrString>,
    desired: usize,
) -> usize {
    let desired = i32::try_from(desired).unwrap_or(i32::MAX);
    usize::try_from(intstr::scaled(value, desired, true)).unwrap_or_default()
}
