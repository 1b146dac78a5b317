//! What a pod may know of itself: its fields and resources, as variables and files (pkg/fieldpath,
//! k8s.io/kubernetes/pkg/api/v1/resource).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};

use crate::pod::NodePod;
use crate::pod::resources::{Amounts, limits, requests};
use crate::quantity::{milli, value};

/// What a pod may know of its node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its addresses, the main one first.
    pub ips: Vec<String>,
    /// What its pods may use; the default of absent limits.
    pub allocatable: Amounts,
}

/// There is no such field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DownwardError {
    /// The pod has no such field.
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    /// The pod has no such container.
    #[error("container {0:?} not found")]
    Container(String),
    /// Containers have no such resource.
    #[error("unsupported container resource : {0}")]
    Resource(String),
}

/// The field at `path`.
pub fn field(pod: &NodePod, path: &str, pod_ips: &[String], node: &Node) -> Result<String, DownwardError> {
    let metadata = &pod.pod.metadata;
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            "metadata.annotations" => &metadata.annotations,
            _ => return Err(DownwardError::Field(path.to_owned())),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let first = |list: &[String]| list.first().cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => pod.name().to_owned(),
        "metadata.namespace" => pod.namespace().to_owned(),
        "metadata.uid" => pod.uid().to_owned(),
        "metadata.labels" => lines(metadata.labels.as_ref()),
        "metadata.annotations" => lines(metadata.annotations.as_ref()),
        "spec.nodeName" => node.name.clone(),
        "spec.serviceAccountName" => pod.spec().service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&node.ips),
        "status.hostIPs" => node.ips.join(","),
        "status.podIP" => first(pod_ips),
        "status.podIPs" => pod_ips.join(","),
        _ => return Err(DownwardError::Field(path.to_owned())),
    })
}

/// `metadata.labels['key']` in its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// `key="value"` lines, sorted, as Go quotes.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={value:?}");
    map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// The resource that `selector` names, in units of its divisor, rounded up.
pub fn resource(
    pod: &NodePod,
    container: &Container,
    selector: &ResourceFieldSelector,
    node: &Node,
) -> Result<String, DownwardError> {
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => pod.find(name).ok_or_else(|| DownwardError::Container(name.to_owned()))?.1,
        None => container,
    };
    let unknown = || DownwardError::Resource(selector.resource.clone());
    let (which, name) = selector.resource.split_once('.').ok_or_else(unknown)?;
    let amount = match which {
        "limits" => limits(container)
            .get(name)
            .copied()
            .filter(|amount| *amount > 0)
            .or_else(|| node.allocatable.get(name).copied()),
        "requests" => requests(container).get(name).copied(),
        _ => return Err(unknown()),
    };
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !known {
        return Err(unknown());
    }
    let divisor = selector
        .divisor
        .as_ref()
        .map_or(0, |divisor| if name == "cpu" { milli(divisor) } else { value(divisor) });
    let divisor = match divisor {
        0 if name == "cpu" => 1000,
        0 => 1,
        divisor => divisor,
    };
    let amount = amount.unwrap_or(0);
    Ok((amount / divisor + i64::from(amount % divisor > 0)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let pod = pod(
            json!({ "containers": [{ "name": "a", "resources": { "limits": { "cpu": "1500m", "memory": "10Mi" } } }] }),
        );
        let allocatable = Amounts::from([("ephemeral-storage".to_owned(), 1000)]);
        let node = Node { allocatable, ..Node::default() };
        for (name, divisor, expected) in [
            ("limits.cpu", "0", "2"),
            ("limits.cpu", "1m", "1500"),
            ("requests.cpu", "0", "2"),
            ("limits.memory", "1Mi", "10"),
            ("limits.memory", "0", "10485760"),
            ("limits.ephemeral-storage", "0", "1000"),
        ] {
            let selector = serde_json::from_value(json!({ "resource": name, "divisor": divisor })).unwrap();
            assert_eq!(
                resource(&pod, &pod.regular()[0], &selector, &node).unwrap(),
                expected,
                "{name} in {divisor}"
            );
        }
    }
}
