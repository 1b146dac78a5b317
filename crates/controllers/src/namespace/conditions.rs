//! What a namespace's status says of its end (k8s.io/kubernetes/pkg/controller/namespace/deletion).

use std::collections::BTreeMap;

use decapod_api::Object;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NamespaceCondition, NamespaceStatus};

use crate::objects::meta::meta_of;
use crate::objects::time;
use crate::resources::ApiResource;

/// What is left of one resource.
#[derive(Debug)]
pub(super) struct Remaining<'a> {
    pub resource: &'a ApiResource,
    pub items: &'a [Object],
}

/// All conditions, with the reason and message of each when nothing is amiss.
const CONDITIONS: [(&str, &str, &str); 5] = [
    (DISCOVERY, "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (CONTENT, "ContentRemoved", "All content successfully removed"),
    (FINALIZERS, "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];
const DISCOVERY: &str = "NamespaceDeletionDiscoveryFailure";
const CONTENT: &str = "NamespaceContentRemaining";
const FINALIZERS: &str = "NamespaceFinalizersRemaining";

/// `status` with the conditions that `remaining` and groups that nobody can see into call for.
pub(super) fn update(
    mut status: NamespaceStatus,
    remaining: &[Remaining],
    undiscovered: &[String],
    now: Timestamp,
) -> NamespaceStatus {
    let conditions = status.conditions.get_or_insert_default();
    for (kind, reason, message) in CONDITIONS {
        let amiss = match kind {
            DISCOVERY => discovery(undiscovered).map(|message| ("DiscoveryFailed", message)),
            CONTENT => content(remaining).map(|message| ("SomeResourcesRemain", message)),
            FINALIZERS => finalizers(remaining).map(|message| ("SomeFinalizersRemain", message)),
            _ => None,
        };
        let (value, reason, message) = match amiss {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", reason, message.to_owned()),
        };
        let at = conditions.iter().position(|condition| condition.type_ == kind);
        let since = at.map(|at| &conditions[at]).filter(|old| old.status == value);
        let new = NamespaceCondition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: since
                .and_then(|old| old.last_transition_time.clone())
                .or_else(|| Some(time::seconds(now))),
        };
        match at {
            Some(at) => conditions[at] = new,
            None => conditions.push(new),
        }
    }
    status
}

fn discovery(undiscovered: &[String]) -> Option<String> {
    let one = |version: &String| format!("{version}: stale GroupVersion discovery: {version}");
    let all: Vec<String> = undiscovered.iter().map(one).collect();
    (!all.is_empty()).then(|| {
        let (count, all) = (all.len(), all.join(", "));
        format!(
            "Discovery failed for some groups, {count} failing: unable to retrieve the complete list of server APIs: {all}"
        )
    })
}

fn content(remaining: &[Remaining]) -> Option<String> {
    let mut counts: Vec<String> = remaining
        .iter()
        .map(|one| {
            let resource = &one.resource.resource;
            format!("{}.{} has {} resource instances", resource.resource, resource.group, one.items.len())
        })
        .collect();
    counts.sort();
    (!counts.is_empty()).then(|| format!("Some resources are remaining: {}", counts.join(", ")))
}

fn finalizers(remaining: &[Remaining]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for finalizer in remaining.iter().flat_map(|one| one.items).flat_map(|item| meta_of(item).finalizers) {
        *counts.entry(finalizer).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    (!counts.is_empty())
        .then(|| format!("Some content in the namespace has finalizers remaining: {}", counts.join(", ")))
}
