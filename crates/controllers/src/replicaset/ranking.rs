//! Which pods go first when there are too many (k8s.io/kubernetes/pkg/controller, ActivePodsWithRanks).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::objects::Pod;

/// The annotation by which users say which pods are dear.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Sorts `pods`, those that go first to the front. `related` are all pods of the same purpose: of two pods, that
/// goes first whose node has more of them.
pub(super) fn rank(pods: &mut [Pod], related: &[Pod], now: Timestamp) {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|pod| pod.is_active()) {
        *on_node.entry(&pod.spec.node_name).or_default() += 1;
    }
    let crowd = |pod: &Pod| on_node.get(pod.spec.node_name.as_str()).copied().unwrap_or_default();
    pods.sort_by(|a, b| {
        before_crowd(a, b).then_with(|| crowd(b).cmp(&crowd(a))).then_with(|| compare(a, b, now))
    });
}

/// What counts before how crowded the nodes are.
fn before_crowd(a: &Pod, b: &Pod) -> Ordering {
    let bound = |pod: &Pod| !pod.spec.node_name.is_empty();
    bound(a)
        .cmp(&bound(b))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| a.is_ready().cmp(&b.is_ready()))
        .then_with(|| a.annotated(DELETION_COST).cmp(&b.annotated(DELETION_COST)))
}

/// What counts after it.
fn compare(a: &Pod, b: &Pod, now: Timestamp) -> Ordering {
    let ready = match (a.ready_since(), b.ready_since()) {
        (Some(a_since), Some(b_since)) if a_since != b_since => {
            return age(a_since, now)
                .cmp(&age(b_since, now))
                .then_with(|| a.metadata.uid.cmp(&b.metadata.uid));
        }
        (a_since, b_since) => a_since.is_some().cmp(&b_since.is_some()),
    };
    ready.then_with(|| b.restarts().cmp(&a.restarts())).then_with(|| {
        let (a_since, b_since) = (a.metadata.created(), b.metadata.created());
        if a_since == b_since {
            return Ordering::Equal;
        }
        age(a_since, now).cmp(&age(b_since, now)).then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
    })
}

fn phase(pod: &Pod) -> u8 {
    match pod.status.phase.as_str() {
        "Pending" => 0,
        "Unknown" => 1,
        "Running" => 2,
        _ => 0,
    }
}

/// The age on a logarithmic scale, so that ages of the same order are a matter of chance (KEP-2185).
fn age(since: Timestamp, now: Timestamp) -> i64 {
    let nanoseconds = now.as_nanosecond() - since.as_nanosecond();
    if nanoseconds <= 0 { -1 } else { i64::from(nanoseconds.ilog2()) }
}
