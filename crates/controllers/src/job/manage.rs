//! Which pods to create and delete so that as many run as should.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, PodTemplateSpec};

use super::FINALIZER;
use super::policy::{self, Verdict};
use super::reconcile::release;
use super::sync::{INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, Sync, ended_at, index, is_tracked};
use crate::objects::{Pod, owner, template};
use crate::runtime::{Action, Write};

/// How many pods are created or deleted in one go.
const BURST: usize = 500;
/// The wait after the first failure, doubled with each further one, and the longest.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
const BACKOFF_MAX: Duration = Duration::from_secs(600);
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// Brings the number of active pods to what it should be.
pub(super) fn manage(sync: &mut Sync) {
    if sync.is_suspended() {
        let all = sync.active.clone();
        return remove(sync, all);
    }
    let parallelism = sync.spec.parallelism.unwrap_or(1);
    let active = sync.active.len() as i32;
    let wanted = match sync.spec.completions {
        // Once one has succeeded, no others begin.
        None if sync.succeeded > 0 => active,
        None => parallelism,
        Some(completions) => (completions - sync.succeeded).clamp(0, parallelism),
    };
    let surplus = usize::try_from(active - wanted).unwrap_or_default();
    let leaving = to_remove(sync, surplus);
    if !leaving.is_empty() {
        return remove(sync, leaving);
    }
    let going = if sync.replaces_only_failed() { sync.terminating } else { 0 };
    let missing = usize::try_from(wanted - going - active).unwrap_or_default().min(BURST);
    if missing > 0 {
        add(sync, missing);
    }
}

/// At least `surplus` active pods: of an indexed Job first those that are double or beyond the completions.
fn to_remove(sync: &Sync, surplus: usize) -> Vec<Pod> {
    let mut pods = sync.active.clone();
    pods.sort_by_key(rank);
    if !sync.is_indexed() {
        pods.truncate(surplus);
        return pods;
    }
    let mut seen = BTreeSet::new();
    // From the one most worth keeping on: the first of each index stays.
    pods.reverse();
    let (mut kept, mut leaving): (Vec<Pod>, Vec<Pod>) =
        pods.into_iter().partition(|pod| sync.valid_index(pod).is_some_and(|index| seen.insert(index)));
    while leaving.len() < surplus
        && let Some(pod) = kept.pop()
    {
        leaving.push(pod);
    }
    leaving.truncate(BURST);
    leaving
}

/// What goes first: unbound, not running, not ready, the youngest (k8s.io/kubernetes/pkg/controller, ActivePods).
fn rank(pod: &Pod) -> impl Ord + use<> {
    let phase = match pod.status.phase.as_str() {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    };
    let since = pod.ready_since().unwrap_or(Timestamp::UNIX_EPOCH);
    (
        (!pod.spec.node_name.is_empty(), phase, pod.is_ready()),
        (Reverse(since), Reverse(pod.restarts()), Reverse(pod.metadata.created())),
    )
}

/// Deletes active pods, which then are not to be counted.
fn remove(sync: &mut Sync, pods: Vec<Pod>) {
    if pods.is_empty() {
        return;
    }
    let about = reference(sync.job);
    let leaving: BTreeSet<&String> = pods.iter().map(|pod| &pod.metadata.uid).collect();
    sync.active.retain(|pod| !leaving.contains(&pod.metadata.uid));
    sync.terminating += pods.len() as i32;
    let releases: Vec<Write> = pods.iter().filter(|pod| is_tracked(pod)).map(release).collect();
    let deletes = pods.iter().map(|pod| template::delete(&pod.metadata, &about)).collect();
    sync.after.push(Action::Parallel(releases));
    sync.after.push(Action::Parallel(deletes));
}

/// Creates `missing` pods, unless the last failure was too short a while ago.
fn add(sync: &mut Sync, missing: usize) {
    let per_index = sync.spec.backoff_limit_per_index.is_some();
    let wait = if per_index { Duration::ZERO } else { backoff(sync) };
    if !wait.is_zero() {
        return sync.again_after(wait);
    }
    let delayed = delayed(sync);
    let indexes = if sync.is_indexed() {
        let pending = pending(sync, missing);
        let waits = |index: &i32| delayed.get(index).map_or(Duration::ZERO, |pod| backoff_of(pod, sync.now));
        let (now, later): (Vec<i32>, Vec<i32>) =
            pending.into_iter().partition(|index| waits(index).is_zero());
        if let (true, Some(wait)) = (now.is_empty(), later.iter().map(waits).min()) {
            sync.again_after(wait);
        }
        now.into_iter().map(Some).collect()
    } else {
        vec![None; missing]
    };
    let about = reference(sync.job);
    let creates: Vec<Write> = indexes.iter().map(|index| create(sync, *index, &delayed, &about)).collect();
    // They count as active from now on.
    sync.active.extend(indexes.iter().map(|_| Pod::default()));
    if !creates.is_empty() {
        sync.after.push(Action::SlowStart(creates));
    }
}

/// The first `count` indexes that neither have succeeded, nor failed for good, nor are being worked on.
fn pending(sync: &Sync, count: usize) -> Vec<i32> {
    let going = sync.pods.iter().filter(|pod| sync.replaces_only_failed() && pod.is_terminating());
    let busy: BTreeSet<i32> = sync.active.iter().chain(going).filter_map(index).collect();
    let is_open = |index: &i32| {
        !sync.succeeded_indexes.has(*index)
            && !busy.contains(index)
            && !sync.failed_indexes.as_ref().is_some_and(|failed| failed.has(*index))
    };
    (0..sync.spec.completions.unwrap_or_default()).filter(is_open).take(count).collect()
}

/// Of indexes that are retried each for itself: the last failed pod, which stays until it has a successor.
pub(super) fn delayed(sync: &Sync) -> BTreeMap<i32, Pod> {
    let mut delayed: BTreeMap<i32, Pod> = BTreeMap::new();
    let Some(failed) = &sync.failed_indexes else { return delayed };
    let active: BTreeSet<i32> = sync.active.iter().filter_map(index).collect();
    for pod in sync.pods.iter().filter(|pod| is_tracked(pod) && sync.has_failed(pod)) {
        let Some(index) = sync.valid_index(pod) else { continue };
        if sync.succeeded_indexes.has(index) || failed.has(index) || active.contains(&index) {
            continue;
        }
        if delayed.get(&index).is_none_or(|other| failures(other) < failures(pod)) {
            delayed.insert(index, pod.clone());
        }
    }
    delayed
}

/// How often the index of `pod` had failed before.
fn failures(pod: &Pod) -> i32 {
    pod.annotated(INDEX_FAILURES) + pod.annotated(INDEX_IGNORED_FAILURES)
}

/// How long to wait after the failures since the last success.
fn backoff(sync: &Sync) -> Duration {
    let succeeded = sync.pods.iter().filter(|pod| pod.status.phase == "Succeeded");
    let last_success = succeeded.map(ended_at).max();
    let failed = sync.pods.iter().filter(|pod| sync.has_failed(pod)).map(ended_at);
    let failed: Vec<Timestamp> =
        failed.filter(|at| last_success.is_none_or(|success| *at > success)).collect();
    match failed.iter().max() {
        Some(last) => left(failed.len(), *last, sync.now),
        None => Duration::ZERO,
    }
}

fn backoff_of(pod: &Pod, now: Timestamp) -> Duration {
    let before = usize::try_from(failures(pod)).unwrap_or_default();
    left(before + 1, ended_at(pod), now)
}

fn left(failures: usize, last: Timestamp, now: Timestamp) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    let wait = (BACKOFF_MIN * 2u32.pow(doublings)).min(BACKOFF_MAX);
    let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    wait.saturating_sub(passed)
}

fn create(
    sync: &Sync,
    index: Option<i32>,
    delayed: &BTreeMap<i32, Pod>,
    about: &k8s_openapi::api::core::v1::ObjectReference,
) -> Write {
    let mut template = sync.spec.template.clone();
    let finalizers = template.metadata.get_or_insert_default().finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    if let Some(index) = index {
        mark(sync, &mut template, index, delayed.get(&index));
    }
    let mut pod = template::pod(&template, &sync.meta.namespace, owner::reference::<Job>(&sync.meta));
    if let Some(index) = index {
        let mut name = sync.meta.name.clone();
        let suffix = format!("-{index}-");
        name.truncate(58usize.saturating_sub(suffix.len()));
        pod.metadata.generate_name = Some(name + &suffix);
    }
    template::create(&pod, about)
}

/// Tells the pod its index, in every way that a container may ask for it.
fn mark(sync: &Sync, template: &mut PodTemplateSpec, index: i32, replaced: Option<&Pod>) {
    let meta = template.metadata.get_or_insert_default();
    meta.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if sync.spec.backoff_limit_per_index.is_some() {
        let ignored = replaced.is_some_and(|pod| policy::verdict(&sync.spec, pod) == Verdict::Ignore);
        let was = |key: &str| replaced.map_or(0, |pod| pod.annotated(key));
        let counted = was(INDEX_FAILURES) + i32::from(replaced.is_some() && !ignored);
        annotations.insert(INDEX_FAILURES.to_owned(), counted.to_string());
        let ignored = was(INDEX_IGNORED_FAILURES) + i32::from(ignored);
        if ignored > 0 {
            annotations.insert(INDEX_IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    let spec = template.spec.get_or_insert_default();
    spec.hostname = Some(format!("{}-{index}", sync.meta.name));
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(add_variable);
}

fn add_variable(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field = ObjectFieldSelector { field_path: format!("metadata.labels['{INDEX}']"), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    variables.push(EnvVar { name: INDEX_VARIABLE.to_owned(), value_from: Some(source), value: None });
}
