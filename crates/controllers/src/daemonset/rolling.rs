//! The rolling update: old pods go, or new ones come beside them, within the bounds that are set
//! (k8s.io/kubernetes/pkg/controller/daemon/update.go).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::RollingUpdateDaemonSet;

use super::history;
use super::reconcile::{Changes, View, min_ready_seconds, share};
use crate::objects::Pod;

fn strategy(view: &View) -> RollingUpdateDaemonSet {
    let strategy = view.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default()
}

/// How many nodes of `desired` may have an old and a new pod at once.
pub(super) fn surge(view: &View, desired: usize) -> usize {
    share(strategy(view).max_surge.as_ref(), desired)
}

/// The one old and the one new pod of a node; `None` if there are more.
fn pair<'a>(view: &View, pods: &[&'a Pod]) -> Option<(Option<&'a Pod>, Option<&'a Pod>)> {
    let (new, old): (Vec<&Pod>, Vec<&Pod>) =
        pods.iter().copied().partition(|pod| history::is_updated(view.set, pod, &view.hash));
    (new.len() <= 1 && old.len() <= 1).then(|| (old.first().copied(), new.first().copied()))
}

/// The next step.
pub(super) fn roll(view: &View) -> Changes {
    let mut by_node: BTreeMap<&String, Vec<&Pod>> = BTreeMap::new();
    let mut desired = 0;
    for (node, _) in view.nodes.iter().filter(|(_, fit)| fit.should_run) {
        desired += 1;
        by_node.entry(&node.metadata.name).or_default();
    }
    for (node, pods) in &view.pods {
        by_node.entry(node).or_default().extend(pods.iter().filter(|pod| !pod.metadata.is_deleting()));
    }
    let surge = surge(view, desired);
    if surge > 0 {
        return surge_in(view, &by_node, desired, surge);
    }
    let unavailable = match share(strategy(view).max_unavailable.as_ref(), desired) {
        0 if desired > 0 => 1,
        count => count,
    };
    replace(view, &by_node, unavailable)
}

/// Old pods go first, those that are not available at once, the others as far as `max_unavailable` allows.
fn replace(view: &View, by_node: &BTreeMap<&String, Vec<&Pod>>, max_unavailable: usize) -> Changes {
    let is_available = |pod: &Pod| pod.is_available(min_ready_seconds(view.set), view.now);
    let (mut unavailable, mut broken, mut candidates) = (0, Vec::new(), Vec::new());
    for pods in by_node.values() {
        match pair(view, pods) {
            Some((Some(old), None)) if !is_available(old) => {
                broken.push(old.clone());
                unavailable += 1;
            }
            Some((Some(old), None)) => candidates.push(old.clone()),
            Some((None, Some(new))) => unavailable += usize::from(!is_available(new)),
            // None, one of each, or more: a pod is on its way out or in.
            _ => unavailable += 1,
        }
    }
    candidates.truncate(max_unavailable.saturating_sub(unavailable));
    broken.extend(candidates);
    Changes { delete: broken, ..Changes::default() }
}

/// New pods come first, on as many nodes as `max_surge` allows; an old one goes when its successor is available.
fn surge_in(
    view: &View,
    by_node: &BTreeMap<&String, Vec<&Pod>>,
    desired: usize,
    max_surge: usize,
) -> Changes {
    let is_available = |pod: &Pod| pod.is_available(min_ready_seconds(view.set), view.now);
    let belongs =
        |name: &str| view.nodes.iter().any(|(node, fit)| node.metadata.name == name && fit.should_run);
    let (mut surging, mut available) = (0, 0);
    let (mut changes, mut candidates, mut misplaced) = (Changes::default(), Vec::new(), Vec::new());
    for (node, pods) in by_node {
        let Some((old, new)) = pair(view, pods) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(is_available));
        match (old, new) {
            (None, _) => {}
            (Some(old), None) if belongs(node) => {
                if is_available(old) {
                    candidates.push((*node).clone())
                } else {
                    changes.create.push((*node).clone())
                }
            }
            (Some(old), None) if is_available(old) => misplaced.push(old.clone()),
            (Some(old), None) => changes.delete.push(old.clone()),
            (Some(old), Some(new)) if is_available(new) => changes.delete.push(old.clone()),
            (Some(_), Some(_)) => surging += 1,
        }
    }
    misplaced.truncate(available.saturating_sub(desired));
    changes.delete.extend(misplaced);
    candidates.truncate(max_surge.saturating_sub(surging));
    changes.create.extend(candidates);
    changes
}
