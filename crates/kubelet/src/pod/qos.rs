//! Quality of service: how sure a pod can be of what it uses (pkg/apis/core/v1/helper/qos, pkg/kubelet/qos).

use super::resources::{Amounts, limits, requests};
use super::{NodePod, Slot};

/// How sure a pod can be of what it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It uses what it asks for, all limited.
    Guaranteed,
    /// It asks for something.
    Burstable,
    /// It asks for nothing.
    BestEffort,
}

/// From this priority on a pod keeps the node going.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;
/// The adjusted OOM scores of the two ends.
const GUARANTEED_SCORE: i64 = -997;
const BEST_EFFORT_SCORE: i64 = 1000;

// === impl Class ===

impl Class {
    /// The class of `pod`.
    pub fn of(pod: &NodePod) -> Class {
        let spec = pod.spec();
        let whole = spec.resources.as_ref().map(|resources| k8s_openapi::api::core::v1::Container {
            resources: Some(resources.clone()),
            ..Default::default()
        });
        let all: Vec<(Amounts, Amounts)> = match &whole {
            Some(whole) => vec![(requests(whole), limits(whole))],
            None => pod.init().iter().chain(pod.regular()).map(|c| (requests(c), limits(c))).collect(),
        };
        let counts =
            |amounts: &Amounts| ["cpu", "memory"].map(|name| amounts.get(name).copied().unwrap_or(0));
        if all.iter().all(|(asked, allowed)| counts(asked) == [0, 0] && counts(allowed) == [0, 0]) {
            return Class::BestEffort;
        }
        let sure = |(asked, allowed): &(Amounts, Amounts)| {
            counts(allowed).iter().all(|limit| *limit > 0) && counts(asked) == counts(allowed)
        };
        if all.iter().all(sure) { Class::Guaranteed } else { Class::Burstable }
    }

    /// As the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Guaranteed => "Guaranteed",
            Class::Burstable => "Burstable",
            Class::BestEffort => "BestEffort",
        }
    }

    /// The control group of all pods of the class, below `root`.
    pub fn cgroup(self, root: &str) -> String {
        let root = root.trim_end_matches('/');
        match self {
            Class::Guaranteed => root.to_owned(),
            Class::Burstable => format!("{root}/burstable"),
            Class::BestEffort => format!("{root}/besteffort"),
        }
    }
}

/// The control group of a pod, below the group `root` of all pods.
pub fn pod_cgroup(pod: &NodePod, root: &str) -> String {
    format!("{}/pod{}", Class::of(pod).cgroup(root), pod.uid())
}

/// How readily the kernel kills the container when memory runs out: -997 for guaranteed and critical pods, 1000 for
/// those that ask for nothing, between for the others, the less the more they ask for.
pub fn oom_score_adj(pod: &NodePod, slot: Slot, memory_capacity_bytes: i64) -> i64 {
    if pod.spec().priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL) {
        return GUARANTEED_SCORE;
    }
    match Class::of(pod) {
        Class::Guaranteed => GUARANTEED_SCORE,
        Class::BestEffort => BEST_EFFORT_SCORE,
        Class::Burstable => {
            let score = |slot| {
                let asked = requests(pod.container(slot)).get("memory").copied().unwrap_or(0);
                BEST_EFFORT_SCORE - 1000 * asked / memory_capacity_bytes.max(1)
            };
            let own = score(slot);
            // A sidecar is not to die before what it serves.
            let sidecar = super::is_sidecar(slot, pod.container(slot));
            let served =
                (0..pod.regular().len()).map(|index| score(Slot::Regular(index))).min().filter(|_| sidecar);
            served
                .map_or(own, |served| own.min(served))
                .clamp(BEST_EFFORT_SCORE + GUARANTEED_SCORE, BEST_EFFORT_SCORE - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    #[test]
    fn classes_and_scores() {
        let gib = 1i64 << 30;
        for (resources, class, score) in [
            (json!({}), Class::BestEffort, 1000),
            (json!({ "requests": { "memory": "256Mi" } }), Class::Burstable, 750),
            (json!({ "limits": { "cpu": "1" } }), Class::Burstable, 999),
            (json!({ "limits": { "cpu": "1", "memory": "1Gi" } }), Class::Guaranteed, -997),
            (
                json!({ "requests": { "cpu": "1", "memory": "1Gi" }, "limits": { "cpu": "2", "memory": "1Gi" } }),
                Class::Burstable,
                3,
            ),
        ] {
            let pod = pod(json!({ "containers": [{ "name": "a", "resources": resources }] }));
            assert_eq!(
                (Class::of(&pod), oom_score_adj(&pod, Slot::Regular(0), gib)),
                (class, score),
                "{resources}"
            );
        }
    }
}
