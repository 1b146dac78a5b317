//! PodSecurity: pods meet the standard that their namespace's labels name
//! (k8s.io/kubernetes/plugin/pkg/admission/security/podsecurity and k8s.io/pod-security-admission).
//!
//! Pods that do not are refused; of workloads that would make such pods their makers are warned.

mod checks;
mod configuration;
mod namespace;
mod policy;
#[cfg(test)]
mod tests;

use decapod_api::{Object, Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;
pub use checks::{Pod, Violation, violations};
pub use configuration::{Configuration, File};
pub use policy::{Level, Policy, Standard, Version};

/// The plugin.
#[derive(Default)]
pub struct PodSecurity {
    configuration: Configuration,
}

/// Resources with a pod in them, and where it is.
const WORKLOADS: [(&str, &str, &[&str]); 9] = [
    ("", "pods", &[]),
    ("", "replicationcontrollers", &["spec", "template"]),
    ("", "podtemplates", &["template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
];

/// Parts of pods by which nothing of their spec changes. What is not known is looked at.
const OTHER_PARTS: [&str; 8] =
    ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

// === impl PodSecurity ===

impl PodSecurity {
    /// The plugin with settings of its own.
    pub fn new(configuration: Configuration) -> PodSecurity {
        PodSecurity { configuration }
    }

    /// A pod, or what pods are made of, at `path` of the object.
    fn workload(&self, attributes: &Attributes, lookup: &dyn Lookup, path: &[&str]) -> Result<(), Status> {
        let exempt = &self.configuration;
        if exempt.namespaces.contains(attributes.namespace) || exempt.users.contains(&attributes.user.name) {
            return Ok(());
        }
        let is_pod = path.is_empty();
        let namespace = lookup.object("", "namespaces", "", attributes.namespace);
        let Some(namespace) = namespace else {
            let why = format!("failed to lookup namespace {:?}", attributes.namespace);
            return if is_pod { Err(Status::internal(why)) } else { Ok(()) };
        };
        let (policy, _) = self.policy(&namespace);
        if policy.is_privileged() {
            return Ok(());
        }
        let Some(template) = attributes.object.at(path) else { return Ok(()) };
        if is_pod && attributes.old.is_some_and(|old| !is_significant(template, old)) {
            return Ok(());
        }
        let spec = template.get("spec").unwrap_or(&Value::Null);
        let class = spec.str_at(&["runtimeClassName"]).unwrap_or_default();
        if exempt.runtime_classes.contains(class) {
            return Ok(());
        }
        let pod = Pod { metadata: template.get("metadata").unwrap_or(&Value::Null), spec };
        let broken = if is_pod { violations(policy.enforce, &pod) } else { Vec::new() };
        if !broken.is_empty() {
            let why = format!("violates PodSecurity \"{}\": {}", policy.enforce, checks::detailed(&broken));
            return Err(attributes.forbid(&why));
        }
        let broken = violations(policy.warn, &pod);
        if !broken.is_empty() {
            let why = format!("would violate PodSecurity \"{}\": {}", policy.warn, checks::detailed(&broken));
            attributes.warnings.add(why);
        }
        Ok(())
    }

    fn policy(&self, namespace: &Object) -> (Policy, Vec<decapod_api::Cause>) {
        Policy::of(|key| namespace.label(key), &self.configuration.defaults)
    }
}

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let part = attributes.subresource;
        let written = matches!(attributes.operation, Operation::Create | Operation::Update);
        let concerned = match attributes.is("", "pods") {
            true => !OTHER_PARTS.contains(&part),
            false => part.is_empty() && (attributes.is("", "namespaces") || path(attributes).is_some()),
        };
        written && concerned
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        match path(attributes) {
            Some(path) => self.workload(attributes, lookup, path),
            None => self.namespace(attributes, lookup),
        }
    }
}

/// Where in the object there is a pod.
fn path(attributes: &Attributes) -> Option<&'static [&'static str]> {
    let found = WORKLOADS.iter().find(|(group, plural, _)| attributes.is(group, plural));
    found.map(|(_, _, path)| *path)
}

/// Whether an update changes what the rules look at: of what can change in a pod, containers and their images.
fn is_significant(new: &Value, old: &Value) -> bool {
    let image = |container: &'_ Value| container.str_at(&["image"]).unwrap_or_default().to_owned();
    for list in ["containers", "initContainers"] {
        let (new, old) = (new.list_at(&["spec", list]), old.list_at(&["spec", list]));
        if new.len() != old.len() || new.iter().zip(old).any(|(new, old)| image(new) != image(old)) {
            return true;
        }
    }
    let old = old.list_at(&["spec", "ephemeralContainers"]);
    new.list_at(&["spec", "ephemeralContainers"]).iter().any(|container| {
        let named = |other: &&Value| other.str_at(&["name"]) == container.str_at(&["name"]);
        old.iter().find(named).is_none_or(|old| image(old) != image(container))
    })
}
