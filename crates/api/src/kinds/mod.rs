//! The kinds: one row of data each, and a strategy file where a kind has behaviour of its own.
//!
//! **Architecture Invariant:** routes, discovery, OpenAPI, RBAC attributes, tables and the CLI derive from these rows.
//! A CustomResourceDefinition becomes the same [`Resource`] at run time and takes the same path.

pub mod resource;
pub mod strategies;
pub mod strategy;

use std::sync::{Arc, LazyLock};

use crate::meta::{GroupVersionKind, Text};
pub use resource::{Resource, Storage, Subresource, Version};
pub use strategy::{Strategy, Verb, Warning, Writer};

/// The rows of the built-in kinds, in discovery's order.
const ROWS: &str = include_str!("resources.txt");

/// The built-in kinds, read from their rows once.
pub static BUILT_IN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    ROWS.lines().filter(|line| !line.starts_with('#')).map(|line| Arc::new(parse(line))).collect()
});

/// The kinds whose strategies upstream set `metadata.generation`.
const GENERATION: [&str; 26] = [
    "Pod",
    "ReplicationController",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Ingress",
    "IngressClass",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
    "FlowSchema",
    "PodTemplate",
    "PriorityLevelConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "ResourceSlice",
    "MutatingWebhookConfiguration",
    "PriorityClass",
    "EndpointSlice",
    "DeviceClass",
];

/// The built-in resource `plural` of `group`.
pub fn built_in(group: &str, plural: &str) -> Option<&'static Arc<Resource>> {
    BUILT_IN.iter().find(|resource| resource.group == group && resource.plural == plural)
}

const ALL_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// One row. The table is part of the program and tested whole, so a broken row is a broken build.
fn parse(line: &'static str) -> Resource {
    let columns: Vec<&'static str> = line.split('|').collect();
    let &[group, versions, plural, kind, scope, short, categories, storage, verbs, fields, subresources] =
        columns.as_slice()
    else {
        panic!("a row of resources.txt has eleven columns: {line}");
    };
    let group = if group == "core" { "" } else { group };
    let subresources: Vec<Subresource> = if subresources == "-" {
        vec![]
    } else {
        subresources.split(' ').map(|s| parse_subresource(s, kind)).collect()
    };
    let selectable: Vec<Text> = texts(fields);
    let version = |name: &'static str| Version {
        name: name.into(),
        kind: GroupVersionKind::new(group, name, kind),
        subresources: subresources
            .iter()
            .cloned()
            .map(|mut sub| {
                if sub.kind.version.is_empty() {
                    sub.kind = GroupVersionKind::new(group, name, kind);
                }
                sub
            })
            .collect(),
        selectable: selectable.clone(),
        custom: None,
    };
    Resource {
        group: group.into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        kind: kind.into(),
        short_names: texts(short),
        categories: texts(categories),
        namespaced: scope == "ns",
        storage: match storage {
            "-" => Storage::Virtual,
            shared if shared.starts_with('=') => {
                let prefix = format!("/registry/{}/", &shared[1..]);
                Storage::SharedWith(prefix.into(), GroupVersionKind::new("", "v1", kind))
            }
            own => Storage::Own(format!("/registry/{own}/").into()),
        },
        verbs: if verbs == "*" { ALL_VERBS.map(Text::from).to_vec() } else { texts(verbs) },
        generation: GENERATION.contains(&kind),
        versions: versions.split(',').map(version).collect(),
        strategy: strategies::of(group, kind),
        custom: None,
    }
}

fn parse_subresource(text: &'static str, parent: &'static str) -> Subresource {
    let (name, verbs) = text.split_once(':').expect("a subresource has verbs");
    let (name, kind) = match name.split_once('=') {
        None => (name, GroupVersionKind::new("", "", parent)),
        Some((name, kind)) => {
            let (api_version, kind) = kind.rsplit_once('/').expect("a payload has a version and a kind");
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            (name, GroupVersionKind::new(group, version, kind))
        }
    };
    Subresource { name: name.into(), kind, verbs: texts(verbs) }
}

fn texts(column: &'static str) -> Vec<Text> {
    if column == "-" { vec![] } else { column.split(',').map(Text::from).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_well_formed() {
        assert!(BUILT_IN.len() >= 66);
        let pods = built_in("", "pods").expect("pods");
        assert_eq!(pods.prefix(), Some("/registry/pods/"));
        assert_eq!(pods.key("default", "web"), "/registry/pods/default/web");
        let binding = pods.versions[0].subresource("binding").expect("binding");
        assert_eq!(binding.kind, GroupVersionKind::new("", "v1", "Binding"));
        let scale =
            built_in("apps", "deployments").and_then(|d| d.versions[0].subresource("scale")).expect("scale");
        assert_eq!(scale.kind.api_version(), "autoscaling/v1");
    }
}
