//! Whether a webhook is asked about a request, and in which version (upstream's `Webhook.ShouldCallHook`).

use std::sync::Arc;

use decapod_api::meta::{GroupResource, GroupVersionKind, GroupVersionResource};
use decapod_api::selector::LabelSelector;
use decapod_api::{Status, Value};

use super::conditions;
use super::configuration::Hook;
use super::rules::What;
use crate::admission::{Attributes, Operation};
use crate::registry::Lookup;

/// A webhook that is to be asked.
pub struct Invocation {
    /// Which.
    pub hook: Arc<Hook>,
    /// The resource as its rule names it: the request's, or an equivalent one.
    pub resource: GroupVersionResource,
    /// The kind that it sees the object as.
    pub kind: GroupVersionKind,
}

/// The kinds of configurations, which no configuration governs (upstream's
/// `IsExemptAdmissionConfigurationResource`).
const EXEMPT: [&str; 6] = [
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
];

/// Whether no webhook is asked about the request.
pub fn is_exempt(attributes: &Attributes) -> bool {
    attributes.resource.group == "admissionregistration.k8s.io"
        && EXEMPT.contains(&&*attributes.resource.plural)
}

/// How `hook` is to be asked about the request, if it is.
pub fn invocation(
    hook: &Arc<Hook>,
    attributes: &Attributes,
    lookup: &dyn Lookup,
) -> Result<Option<Invocation>, Status> {
    // What cannot be decided matters only if the rules match.
    let in_namespace = in_namespace(hook, attributes, lookup);
    if matches!(in_namespace, Ok(false)) {
        return Ok(None);
    }
    let has_labels = has_labels(hook, attributes);
    if matches!(has_labels, Ok(false)) {
        return Ok(None);
    }
    let Some((resource, kind)) = asked_for(hook, attributes, lookup) else { return Ok(None) };
    in_namespace?;
    has_labels?;
    let invocation = Invocation { hook: hook.clone(), resource, kind };
    Ok(conditions::hold(&invocation, attributes)?.then_some(invocation))
}

/// The kind that the request itself carries.
pub fn request_kind<'a>(attributes: &'a Attributes) -> &'a GroupVersionKind {
    match attributes.version.subresource(attributes.subresource) {
        Some(subresource) => &subresource.kind,
        None => &attributes.version.kind,
    }
}

/// The namespace that the request is about: a namespace's own is itself.
pub fn namespace<'a>(attributes: &'a Attributes) -> &'a str {
    match attributes.namespace {
        "" if attributes.is("", "namespaces") => attributes.name,
        namespace => namespace,
    }
}

/// The first of the request's resource and its equivalents that a rule matches.
fn asked_for(
    hook: &Hook,
    attributes: &Attributes,
    lookup: &dyn Lookup,
) -> Option<(GroupVersionResource, GroupVersionKind)> {
    let of = |resource: &decapod_api::kinds::Resource, version: &decapod_api::kinds::Version| {
        GroupVersionResource::new(resource.group.clone(), version.name.clone(), resource.plural.clone())
    };
    let own = of(attributes.resource, attributes.version);
    let namespaced = !attributes.namespace.is_empty();
    let what = |resource: &'_ GroupVersionResource, rule: &super::rules::Rule| {
        rule.matches(&What {
            operation: attributes.operation,
            group: &resource.group,
            version: &resource.version,
            plural: &resource.resource,
            subresource: attributes.subresource,
            namespaced,
        })
    };
    if hook.rules.iter().any(|rule| what(&own, rule)) {
        return Some((own, request_kind(attributes).clone()));
    }
    let prefix = attributes.resource.prefix().filter(|_| hook.equivalent && !hook.rules.is_empty())?;
    // The same objects, in other versions or by another name.
    let rows = lookup.rows();
    let mut equivalents = Vec::new();
    for row in rows.iter().filter(|row| row.prefix() == Some(prefix)) {
        for version in &row.versions {
            let kind = match (attributes.subresource, version.subresource(attributes.subresource)) {
                ("", _) => &version.kind,
                (_, Some(subresource)) => &subresource.kind,
                (_, None) => continue,
            };
            equivalents.push((of(row, version), kind.clone()));
        }
    }
    equivalents.retain(|(resource, _)| *resource != own);
    hook.rules.iter().find_map(|rule| equivalents.iter().find(|(resource, _)| what(resource, rule))).cloned()
}

/// Whether the namespace is one of those that are selected (upstream's `namespace.Matcher`).
fn in_namespace(hook: &Hook, attributes: &Attributes, lookup: &dyn Lookup) -> Result<bool, Status> {
    let namespaces = attributes.is("", "namespaces");
    let namespace = namespace(attributes);
    if namespace.is_empty() && !namespaces {
        return Ok(true);
    }
    let selector = hook.namespaces.as_ref().map_err(Status::internal)?;
    if selector.is_everything() {
        return Ok(true);
    }
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if namespaces && attributes.subresource.is_empty() && writes {
        return Ok(selects(selector, &attributes.object));
    }
    let resource = || GroupResource { group: "".into(), resource: "namespaces".into() };
    let object = lookup.object("", "namespaces", "", namespace);
    let object = object.ok_or_else(|| Status::not_found(&resource(), namespace))?;
    Ok(selector.matches(|key| object.label(key)))
}

/// Whether the object has, or had, labels that are selected (upstream's `object.Matcher`).
fn has_labels(hook: &Hook, attributes: &Attributes) -> Result<bool, Status> {
    let selector = hook.objects.as_ref().map_err(Status::internal)?;
    let selected = |object: &Value| !object.is_null() && selects(selector, object);
    Ok(selector.is_everything() || selected(&attributes.object) || attributes.old.is_some_and(selected))
}

fn selects(selector: &LabelSelector, object: &Value) -> bool {
    selector.matches_labels(object.at(&["metadata", "labels"]))
}
