//! Counting pods that have ended, each exactly once.

use std::collections::BTreeSet;

use super::conditions::SUCCESS_CRITERIA;
use super::manage::delayed;
use super::policy::{self, Verdict};
use super::reconcile::release;
use super::sync::{Sync, is_tracked};
use crate::objects::Pod;
use crate::runtime::Action;

/// How many pods may be waiting to be counted at once.
const UNCOUNTED_MAX: usize = 500;

/// Counts pods whose finalizer is gone, notes those that have ended, and lets those go that are noted.
pub(super) fn track(sync: &mut Sync) {
    drop_counted(sync);
    let delayed: BTreeSet<String> = delayed(sync).into_values().map(|pod| pod.metadata.uid.clone()).collect();
    let mut uncounted = sync.status.uncounted_terminated_pods.clone().unwrap_or_default();
    let (succeeded, failed) =
        (uncounted.succeeded.get_or_insert_default(), uncounted.failed.get_or_insert_default());
    let (mut releases, mut new_indexes) = (Vec::new(), BTreeSet::new());
    for pod in sync.pods.iter().filter(|pod| is_tracked(pod)) {
        if succeeded.len() + failed.len() + new_indexes.len() >= UNCOUNTED_MAX {
            break;
        }
        if !may_release(sync, pod, &delayed) {
            continue;
        }
        releases.push(release(pod));
        let (uid, index) = (&pod.metadata.uid, sync.valid_index(pod));
        if pod.status.phase == "Succeeded" && !failed.contains(uid) {
            // The index itself says that it has been counted.
            match index {
                Some(index) if sync.is_indexed() => drop(new_indexes.insert(index)),
                _ if sync.is_indexed() || succeeded.contains(uid) => {}
                _ => succeeded.push(uid.clone()),
            }
        } else if counts_as_failed(sync, pod)
            && !failed.contains(uid)
            && (!sync.is_indexed() || index.is_some())
        {
            failed.push(uid.clone());
        }
    }
    let some = |uids: &Vec<String>| (!uids.is_empty()).then(|| uids.clone());
    (uncounted.succeeded, uncounted.failed) = (some(succeeded), some(failed));
    sync.status.uncounted_terminated_pods = Some(uncounted);
    if sync.is_indexed() {
        let mut completed = sync.counted_indexes.clone();
        completed.0.extend(new_indexes);
        sync.status.succeeded = (completed.total() != 0).then(|| completed.total());
        sync.status.completed_indexes = (completed.total() != 0).then(|| completed.to_string());
        sync.status.failed_indexes = sync.failed_indexes.as_ref().map(ToString::to_string);
    }
    if !releases.is_empty() {
        // After the status, which the plan writes first.
        sync.after.insert(0, Action::Parallel(releases));
    }
}

/// Moves what was noted, and whose finalizer is gone, to the counts.
fn drop_counted(sync: &mut Sync) {
    let tracked: BTreeSet<&String> =
        sync.pods.iter().filter(|pod| is_tracked(pod)).map(|pod| &pod.metadata.uid).collect();
    let mut uncounted = sync.status.uncounted_terminated_pods.clone().unwrap_or_default();
    let counted = |uids: &mut Option<Vec<String>>| {
        let uids = uids.get_or_insert_default();
        let before = uids.len();
        uids.retain(|uid| tracked.contains(uid));
        (before - uids.len()) as i32
    };
    let (succeeded, failed) = (counted(&mut uncounted.succeeded), counted(&mut uncounted.failed));
    let add = |count: &mut Option<i32>, more: i32| {
        if more > 0 {
            *count = Some(count.unwrap_or_default() + more);
        }
    };
    add(&mut sync.status.succeeded, succeeded);
    add(&mut sync.status.failed, failed);
    sync.status.uncounted_terminated_pods = Some(uncounted);
}

/// Whether the finalizer of `pod` may go: it has ended, or the Job has.
fn may_release(sync: &Sync, pod: &Pod, delayed: &BTreeSet<String>) -> bool {
    if sync.meta.is_deleting() || sync.finished.is_some() || pod.status.phase == "Succeeded" {
        return true;
    }
    // A failed pod that has no successor yet tells it how often its index has failed.
    sync.has_failed(pod) && !delayed.contains(&pod.metadata.uid)
}

fn counts_as_failed(sync: &Sync, pod: &Pod) -> bool {
    let is_cut_short = sync.finished.as_ref().is_some_and(|finished| finished.type_ != SUCCESS_CRITERIA);
    (sync.has_failed(pod) || is_cut_short) && policy::verdict(&sync.spec, pod) != Verdict::Ignore
}
