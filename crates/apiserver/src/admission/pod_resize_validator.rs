//! PodResizeValidator: no pod on a node becomes larger than its node
//! (k8s.io/kubernetes/plugin/pkg/admission/podresize).

use decapod_api::quantity::Quantity;
use decapod_api::{Cause, Status, quota};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct PodResizeValidator;

impl Plugin for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Update
            && attributes.is("", "pods")
            && attributes.subresource == "resize"
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let pod = &attributes.object;
        let name = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
        if name.is_empty() || attributes.old.is_some_and(|old| old.get("spec") == pod.get("spec")) {
            return Ok(());
        }
        let node = lookup.draft("", "nodes", "", name);
        let node = node.ok_or_else(|| attributes.forbid(&format!("node {name:?} not found")))?;
        let refuse = |why: String, reason: &str| {
            let mut status = attributes.forbid(&why);
            let cause = Cause { reason: reason.into(), message: String::new(), field: String::new() };
            status.details.get_or_insert_default().causes.push(cause);
            Err(status)
        };
        let os = node.str_at(&["metadata", "labels", "kubernetes.io/os"]).unwrap_or("linux");
        if os != "linux" {
            let why = format!("pod resize is only supported on linux nodes, node {name:?} is {os:?}");
            return refuse(why, "UnsupportedPlatform");
        }
        let (wanted, there) = (quota::requests(pod), quota::read(node.at(&["status", "allocatable"])));
        let mut missing = Vec::new();
        for (name, show) in
            [("cpu", Quantity::milli_value as fn(&Quantity) -> i64), ("memory", Quantity::value)]
        {
            let zero = Quantity::ZERO;
            let (wanted, there) = (wanted.get(name).unwrap_or(&zero), there.get(name).unwrap_or(&zero));
            if wanted > there {
                missing.push(format!("{name}, requested: {}, allocatable: {}", show(wanted), show(there)));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let why = format!("node didn't have enough allocatable resources: {}", missing.join("; "));
        refuse(why, "NodeCapacity")
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::value;

    use super::*;
    use crate::admission::testing::{Request, World};

    #[test]
    fn pods_fit_their_nodes() {
        let node =
            value!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}});
        let world = World(vec![("nodes", node)]);
        let pod = |node: &str, cpu: &str, memory: &str| {
            value!({"metadata": {"name": "x"}, "spec": {"nodeName": node,
                "containers": [{"name": "a", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}})
        };
        let resize = |node: &str, cpu: &str, memory: &str| {
            let request = Request::create("", "pods", pod(node, cpu, memory))
                .part("resize")
                .over(pod(node, "1", "1Mi"));
            request.validate(&PodResizeValidator, &world)
        };
        assert_eq!(resize("n", "2", "1Gi"), Ok(vec![]));
        assert_eq!(resize("", "20", "1Gi"), Ok(vec![]));
        assert_eq!(resize("m", "2", "1Gi"), Err("pods \"x\" is forbidden: node \"m\" not found".to_owned()));
        let why = "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824";
        assert_eq!(resize("n", "2500m", "2Gi"), Err(format!("pods \"x\" is forbidden: {why}")));
    }
}
