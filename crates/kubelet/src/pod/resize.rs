//! Resizing containers while they run (KEP-1287; pkg/kubelet/kuberuntime computePodResizeAction, pkg/kubelet/allocation).

use k8s_openapi::api::core::v1::{Container as Spec, ResourceRequirements};

use super::observed::Container;
use super::resources::{PERIOD_US, limits, requests, shares};
use super::{NodePod, Slot};
use crate::cri::types::LinuxContainerResources;
use crate::quantity::{bytes, milli, millis, value};

/// Below these the kernel has no finer steps, so what it says is not what was asked for.
const MILLIS_MIN_OF_SHARES: i64 = 2;
const MILLIS_MIN_OF_QUOTA: i64 = 10;

/// In what a running container differs from what its pod was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Its weight or its quota.
    pub cpu: bool,
    /// Its limit of memory.
    pub memory: bool,
}

/// Why a pod keeps the resources that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// `Infeasible`: never on this node; `Deferred`: not now.
    pub reason: &'static str,
    /// The whole story.
    pub message: String,
}

/// In what `running` differs from the container at `slot`; nothing where the runtime does not tell.
pub fn difference(pod: &NodePod, slot: Slot, running: &Container) -> Difference {
    let Some(actual) = &running.resources else { return Difference::default() };
    let wanted = super::container::resources(pod, slot, 0);
    let limit = |amount: i64| (amount > 0).then_some(amount);
    Difference {
        cpu: wanted.cpu_shares != actual.cpu_shares.max(shares(0))
            || limit(wanted.cpu_quota) != limit(actual.cpu_quota),
        memory: limit(wanted.memory_limit_in_bytes) != limit(actual.memory_limit_in_bytes),
    }
}

/// What the runtime is told: negative where a limit is taken away.
pub fn update(pod: &NodePod, slot: Slot) -> LinuxContainerResources {
    let mut wanted = super::container::resources(pod, slot, 0);
    for limit in
        [&mut wanted.cpu_quota, &mut wanted.memory_limit_in_bytes, &mut wanted.memory_swap_limit_in_bytes]
    {
        if *limit == 0 {
            *limit = -1;
        }
    }
    wanted
}

/// What a running container really has, as its status says it: what it was granted, except where the kernel says otherwise.
pub fn actual(spec: &Spec, running: &Container) -> Option<ResourceRequirements> {
    let mut granted = spec.resources.clone().unwrap_or_default();
    let Some(actual) = &running.resources else { return Some(granted) };
    if let Some(limits) = granted.limits.as_mut() {
        if let Some(cpu) = limits.get_mut("cpu").filter(|_| actual.cpu_quota > 0) {
            let period = if actual.cpu_period > 0 { actual.cpu_period } else { PERIOD_US };
            let real = actual.cpu_quota * 1000 / period;
            if real != milli(cpu) && real.max(milli(cpu)) > MILLIS_MIN_OF_QUOTA {
                *cpu = millis(real);
            }
        }
        if let Some(memory) = limits.get_mut("memory").filter(|_| actual.memory_limit_in_bytes > 0)
            && value(memory) != actual.memory_limit_in_bytes
        {
            *memory = bytes(actual.memory_limit_in_bytes);
        }
    }
    if let Some(cpu) = granted.requests.as_mut().and_then(|requests| requests.get_mut("cpu")) {
        let real = (actual.cpu_shares * 1000 + 1023) / 1024;
        let same = shares(milli(cpu)) == actual.cpu_shares;
        if !same && real.max(milli(cpu)) > MILLIS_MIN_OF_SHARES {
            *cpu = millis(real);
        }
    }
    Some(granted)
}

/// Whether two pods' containers ask for and may use the same.
pub fn is_same(one: &NodePod, other: &NodePod) -> bool {
    let of_pod = |pod: &NodePod| pod.spec().resources.clone();
    one.init().len() == other.init().len()
        && one.regular().len() == other.regular().len()
        && of_pod(one) == of_pod(other)
        && one
            .containers()
            .zip(other.containers())
            .all(|((_, one), (_, other))| requests(one) == requests(other) && limits(one) == limits(other))
}

/// `pod` with the resources that `granted`, an older form of it, has.
pub fn keeping(pod: &NodePod, granted: &NodePod) -> NodePod {
    let mut kept = pod.clone();
    let Some(spec) = kept.pod.spec.as_mut() else { return kept };
    spec.resources.clone_from(&granted.spec().resources);
    let init = spec.init_containers.iter_mut().flatten().zip(granted.init());
    for (container, before) in init.chain(spec.containers.iter_mut().zip(granted.regular())) {
        container.resources.clone_from(&before.resources);
    }
    kept
}

/// Whether a container's limits of these resources change only by starting it again.
fn wants_restart(spec: &Spec, difference: Difference) -> bool {
    let policies = spec.resize_policy.iter().flatten();
    policies.filter(|policy| policy.restart_policy == "RestartContainer").any(|policy| {
        match policy.resource_name.as_str() {
            "cpu" => difference.cpu,
            "memory" => difference.memory,
            _ => false,
        }
    })
}

// === impl Difference ===

impl Difference {
    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Difference::default()
    }

    /// Whether the container has to be started again to lose it.
    pub fn restarts(self, spec: &Spec) -> bool {
        wants_restart(spec, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::resources::quota_us;
    use crate::pod::tests::pod;
    use serde_json::json;

    fn running(cpu_shares: i64, cpu_quota: i64, memory: i64) -> Container {
        let resources = LinuxContainerResources {
            cpu_shares,
            cpu_quota,
            cpu_period: PERIOD_US,
            memory_limit_in_bytes: memory,
            ..LinuxContainerResources::default()
        };
        Container { resources: Some(resources), ..Container::default() }
    }

    fn sized(resources: serde_json::Value) -> NodePod {
        pod(json!({ "containers": [{ "name": "a", "resources": resources,
            "resizePolicy": [{ "resourceName": "memory", "restartPolicy": "RestartContainer" }] }] }))
    }

    #[test]
    fn differences_are_of_what_the_kernel_holds() {
        let pod =
            sized(json!({ "requests": { "cpu": "100m" }, "limits": { "cpu": "200m", "memory": "64Mi" } }));
        let slot = Slot::Regular(0);
        let same = difference(&pod, slot, &running(102, quota_us(200), 64 << 20));
        assert!(same.is_none());
        let cpu = difference(&pod, slot, &running(102, quota_us(300), 64 << 20));
        assert_eq!(cpu, Difference { cpu: true, memory: false });
        assert!(!cpu.restarts(pod.container(slot)));
        let memory = difference(&pod, slot, &running(102, quota_us(200), 32 << 20));
        assert!(memory.restarts(pod.container(slot)));
    }

    #[test]
    fn limits_may_be_taken_away() {
        let pod = sized(json!({ "requests": { "cpu": "100m" } }));
        let slot = Slot::Regular(0);
        assert!(difference(&pod, slot, &running(102, -1, 0)).is_none());
        assert!(difference(&pod, slot, &running(102, quota_us(100), 0)).cpu);
        assert_eq!(update(&pod, slot).cpu_quota, -1);
    }

    #[test]
    fn a_status_says_what_the_kernel_holds_in_the_words_of_the_grant() {
        let pod =
            sized(json!({ "requests": { "cpu": "100m" }, "limits": { "cpu": "0.2", "memory": "64Mi" } }));
        let spec = pod.container(Slot::Regular(0));
        let words = |list: &Option<crate::quantity::Resources>, name: &str| {
            list.as_ref().map(|list| list[name].0.clone())
        };
        let same = actual(spec, &running(102, quota_us(200), 64 << 20)).expect("resources");
        assert_eq!(words(&same.limits, "cpu").as_deref(), Some("0.2"));
        let behind = actual(spec, &running(51, quota_us(100), 32 << 20)).expect("resources");
        assert_eq!(words(&behind.limits, "cpu").as_deref(), Some("100m"));
        assert_eq!(words(&behind.limits, "memory").as_deref(), Some("32Mi"));
        assert_eq!(words(&behind.requests, "cpu").as_deref(), Some("50m"));
    }
}
