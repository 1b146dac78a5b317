//! What pods and containers ask for and may use, in the kernel's units (pkg/kubelet/cm helpers_linux.go,
//! k8s.io/component-helpers/resource).

use std::collections::BTreeMap;

use decapod_sys::cgroup::Limits;
use k8s_openapi::api::core::v1::{Container, ResourceRequirements};

use super::{NodePod, Slot, is_sidecar};
use crate::quantity::{Resources, milli, value};

/// The scheduler's period.
pub const PERIOD_US: i64 = 100_000;
const QUOTA_MIN_US: i64 = 1000;
const SHARES_MIN: i64 = 2;
const SHARES_MAX: i64 = 262_144;

/// CPU in thousandths, everything else in whole units.
pub type Amounts = BTreeMap<String, i64>;

/// Thousandths of a core as a weight.
pub fn shares(cpu_millis: i64) -> i64 {
    (cpu_millis * 1024 / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

/// Thousandths of a core as running time in each period; 0 for no limit.
pub fn quota_us(cpu_millis: i64) -> i64 {
    if cpu_millis == 0 { 0 } else { (cpu_millis * PERIOD_US / 1000).max(QUOTA_MIN_US) }
}

/// What a container asks for; its limit where it asks for nothing.
pub fn requests(container: &Container) -> Amounts {
    let mut amounts = limits(container);
    amounts
        .extend(amounts_of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref())));
    amounts
}

/// What a container may use.
pub fn limits(container: &Container) -> Amounts {
    amounts_of(container.resources.as_ref().and_then(|resources| resources.limits.as_ref()))
}

/// Quantities as numbers: thousandths of a core, else units.
pub fn amounts_of(resources: Option<&Resources>) -> Amounts {
    let amount = |(name, quantity): (&String, _)| {
        (name.clone(), if name == "cpu" { milli(quantity) } else { value(quantity) })
    };
    resources.into_iter().flatten().map(amount).collect()
}

/// What a pod asks for: all that run together, or the most that an init container asks for beside the sidecars
/// before it.
pub fn pod_requests(pod: &NodePod) -> Amounts {
    aggregate(pod, requests, |resources| resources.requests.as_ref().or(resources.limits.as_ref()))
}

/// What a pod may use, as far as its containers have limits.
pub fn pod_limits(pod: &NodePod) -> Amounts {
    aggregate(pod, limits, |resources| resources.limits.as_ref())
}

fn aggregate(
    pod: &NodePod,
    of: fn(&Container) -> Amounts,
    of_pod: fn(&ResourceRequirements) -> Option<&Resources>,
) -> Amounts {
    let mut total = Amounts::new();
    pod.regular().iter().for_each(|container| add(&mut total, &of(container)));
    let (mut sidecars, mut most) = (Amounts::new(), Amounts::new());
    for (index, container) in pod.init().iter().enumerate() {
        let own = of(container);
        if is_sidecar(Slot::Init(index), container) {
            add(&mut sidecars, &own);
            raise(&mut most, &sidecars);
        } else {
            let mut together = sidecars.clone();
            add(&mut together, &own);
            raise(&mut most, &together);
        }
    }
    add(&mut total, &sidecars);
    raise(&mut total, &most);
    let spec = pod.spec();
    // What is said of the pod as a whole holds before the sum.
    total.extend(amounts_of(spec.resources.as_ref().and_then(of_pod)));
    let overhead = amounts_of(spec.overhead.as_ref());
    add(&mut total, &overhead);
    total
}

fn add(total: &mut Amounts, more: &Amounts) {
    more.iter().for_each(|(name, amount)| *total.entry(name.clone()).or_default() += amount);
}

fn raise(total: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let entry = total.entry(name.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

/// The limits of the pod's own control group (pkg/kubelet/cm ResourceConfigForPod): quota and memory only where every
/// container has a limit.
pub fn pod_cgroup(pod: &NodePod) -> Limits {
    let (asked, allowed) = (pod_requests(pod), pod_limits(pod));
    let of_pod =
        pod.spec().resources.as_ref().and_then(|resources| resources.limits.clone()).unwrap_or_default();
    let everywhere = |name: &str| {
        let limited = |container: &Container| limits(container).get(name).is_some_and(|limit| *limit > 0);
        of_pod.contains_key(name) || (pod.regular().iter().all(limited) && pod.init().iter().all(limited))
    };
    let cpu = everywhere("cpu")
        .then(|| quota_us(allowed.get("cpu").copied().unwrap_or(0)))
        .filter(|quota| *quota > 0);
    let memory = everywhere("memory").then(|| allowed.get("memory").copied()).flatten();
    Limits {
        cpu_shares: Some(shares(asked.get("cpu").copied().unwrap_or(0)).unsigned_abs()),
        cpu_quota_us: cpu,
        cpu_period_us: cpu.map(|_| PERIOD_US.unsigned_abs()),
        memory_bytes: memory,
        pids: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    #[test]
    fn sidecars_count_with_what_runs_beside_them() {
        let cpu = |amount: &str| json!({ "requests": { "cpu": amount } });
        let pod = pod(json!({
            "initContainers": [
                { "name": "i", "resources": cpu("900m") },
                { "name": "s", "restartPolicy": "Always", "resources": cpu("100m") },
                { "name": "j", "resources": cpu("500m") },
            ],
            "containers": [{ "name": "a", "resources": cpu("200m") }, { "name": "b", "resources": cpu("300m") }],
        }));
        assert_eq!(pod_requests(&pod)["cpu"], 900);
        assert_eq!(pod_cgroup(&pod).cpu_shares, Some(921));
        assert_eq!(pod_cgroup(&pod).cpu_quota_us, None);
    }

    #[test]
    fn limits_of_all_limit_the_pod() {
        let limits = json!({ "limits": { "cpu": "500m", "memory": "64Mi" } });
        let pod = pod(
            json!({ "containers": [{ "name": "a", "resources": limits }, { "name": "b", "resources": limits }] }),
        );
        let group = pod_cgroup(&pod);
        assert_eq!(
            (group.cpu_shares, group.cpu_quota_us, group.memory_bytes),
            (Some(1024), Some(100_000), Some(128 << 20))
        );
    }
}
