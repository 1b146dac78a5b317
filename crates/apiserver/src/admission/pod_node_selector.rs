//! PodNodeSelector: a namespace's pods run on the nodes that the namespace names
//! (k8s.io/kubernetes/plugin/pkg/admission/podnodeselector).

use std::collections::BTreeMap;

use decapod_api::{Cause, Status, Value, names};
use serde::Deserialize;

use super::{Attributes, Operation, Plugin, bare};
use crate::registry::Lookup;

/// The plugin.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PodNodeSelector {
    /// By namespace, which labels its pods may select; under [`DEFAULT`] what is selected for namespaces that say nothing.
    #[serde(rename = "podNodeSelectorPluginConfig")]
    selectors: BTreeMap<String, Option<String>>,
}

type Labels = BTreeMap<String, String>;

const DEFAULT: &str = "clusterDefaultNodeSelector";
const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";
const FIELD: [&str; 2] = ["spec", "nodeSelector"];

// === impl PodNodeSelector ===

impl PodNodeSelector {
    fn configured(&self, name: &str) -> Result<Labels, Status> {
        parse(self.selectors.get(name).and_then(Option::as_deref).unwrap_or_default())
    }

    /// What the namespace selects, once it is known not to conflict with what the pod does.
    fn of_namespace(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<Labels, Status> {
        let namespace = lookup.object("", "namespaces", "", attributes.namespace);
        let namespace = namespace
            .ok_or_else(|| Status::internal(format!("namespace {} does not exist", attributes.namespace)))?;
        let wanted = match namespace.text(&["metadata", "annotations", ANNOTATION]) {
            Some(selector) => parse(&selector)?,
            None => self.configured(DEFAULT)?,
        };
        let own = of_pod(&attributes.object);
        if own.iter().any(|(key, value)| wanted.get(key).is_some_and(|other| other != value)) {
            let why = "pod node label selector conflicts with its namespace node label selector";
            return Err(refuse(attributes, why));
        }
        Ok(wanted)
    }
}

impl Plugin for PodNodeSelector {
    fn name(&self) -> &'static str {
        "PodNodeSelector"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.is("", "pods")
            && attributes.subresource.is_empty()
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        for (key, value) in self.of_namespace(attributes, lookup)? {
            attributes.object.set_at(&[FIELD[0], FIELD[1], &key], value.as_str());
        }
        self.validate(attributes, lookup)
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        self.of_namespace(attributes, lookup)?;
        let allowed = self.configured(attributes.namespace)?;
        let own = of_pod(&attributes.object);
        if !allowed.is_empty() && own.iter().any(|(key, value)| allowed.get(key) != Some(value)) {
            let why = "pod node label selector labels conflict with its namespace whitelist";
            return Err(refuse(attributes, why));
        }
        Ok(())
    }
}

fn of_pod(pod: &Value) -> Labels {
    let selector = pod.at(&FIELD).and_then(Value::as_map).into_iter().flat_map(|map| map.iter());
    selector.map(|(key, value)| (key.to_string(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Upstream names the pod by what it is called so far, which may be nothing.
fn refuse(attributes: &Attributes, why: &str) -> Status {
    let name = attributes.object.str_at(&["metadata", "name"]).unwrap_or_default();
    Status::forbidden(&attributes.resource.group_resource(), name, why)
}

/// `a=b,c=d` (k8s.io/apimachinery/pkg/labels, `ConvertSelectorToLabelsMap`).
fn parse(selector: &str) -> Result<Labels, Status> {
    let mut labels = Labels::new();
    if selector.is_empty() {
        return Ok(labels);
    }
    for label in selector.split(',') {
        let parts: Vec<&str> = label.split('=').collect();
        let [key, value] = parts.as_slice() else {
            return Err(bare(format!("invalid selector: [{}]", parts.join(" "))));
        };
        let (key, value) = (key.trim(), value.trim());
        let invalid = |text: &str, faults: Vec<String>| {
            let cause = Cause::invalid("<nil>", &text.into(), &faults.join("; "));
            (!faults.is_empty()).then(|| bare(format!("{}: {}", cause.field, cause.message)))
        };
        if let Some(status) =
            invalid(key, names::qualified_name(key)).or_else(|| invalid(value, names::label_value(value)))
        {
            return Err(status);
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use decapod_api::value;

    use super::*;
    use crate::admission::testing::{Request, World};

    #[test]
    fn selectors_are_merged_or_refused() {
        let file = r#"{"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "env=dev", "ns": "env=dev,disk=ssd"}}"#;
        let plugin: PodNodeSelector = serde_json::from_str(file).unwrap();
        let made = |annotation: Option<&str>, own: Value| {
            let mut namespace = value!({"metadata": {"name": "ns"}});
            if let Some(text) = annotation {
                namespace.set_at(&["metadata", "annotations", ANNOTATION], text);
            }
            let pod = value!({"metadata": {"name": "x"}, "spec": {"nodeSelector": own}});
            let made =
                Request::create("", "pods", pod).mutate(&plugin, &World(vec![("namespaces", namespace)]));
            made.map(|pod| format!("{:?}", of_pod(&pod)))
        };
        let forbidden = |why: &str| Err(format!("pods \"x\" is forbidden: pod node label selector {why}"));
        let is = |text: &str| Ok(text.to_owned());
        assert_eq!(made(None, value!({"disk": "ssd"})), is(r#"{"disk": "ssd", "env": "dev"}"#));
        assert_eq!(
            made(None, value!({"env": "prod"})),
            forbidden("conflicts with its namespace node label selector")
        );
        assert_eq!(
            made(None, value!({"gpu": "yes"})),
            forbidden("labels conflict with its namespace whitelist")
        );
        assert_eq!(made(Some(""), value!({})), is("{}"));
        assert_eq!(made(Some("env=dev, disk = ssd"), value!({})), is(r#"{"disk": "ssd", "env": "dev"}"#));
        assert_eq!(made(Some("env"), value!({})), Err("invalid selector: [env]".to_owned()));
        assert!(made(Some("e v=x"), value!({})).unwrap_err().starts_with("<nil>: Invalid value: \"e v\": "));
    }
}
