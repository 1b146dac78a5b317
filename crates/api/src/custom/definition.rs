//! From a CustomResourceDefinition to the row of a resource.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::schema::SchemaError;
use super::{Column, Custom, CustomResource, ScalePaths, Structural, by_priority, types};
use crate::kinds::strategies::apiextensions::is_true;
use crate::kinds::{Resource, Storage, Subresource, Version};
use crate::meta::{GroupVersionKind, Text};
use crate::value::Value;

/// What a row of a custom resource knows of its definition.
pub struct Definition {
    /// The version that is stored, be it served or not.
    pub stored: Arc<Custom>,
    /// All versions, also those that are not served.
    pub versions: Vec<Arc<Custom>>,
    /// The version of stored objects that do not say theirs: the one that was stored first of those that may be left.
    pub unsaid: String,
    /// The webhook that turns objects from one version into another, a `WebhookConversion`; without one, versions differ
    /// in their names alone.
    pub webhook: Option<Value>,
    /// The kind of lists.
    pub list_kind: Text,
    /// Whether the definition is going: nothing new is made. It may begin to while the row is served.
    pub terminating: AtomicBool,
}

const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// The row of an established definition, in its stored form, as it is served.
pub fn resource(definition: &Value) -> Result<Resource, SchemaError> {
    let spec = definition.get("spec").unwrap_or(&Value::Null);
    // What has been accepted is served, whatever is asked for meanwhile.
    let names = definition.at(&["status", "acceptedNames"]).unwrap_or(&Value::Null);
    let text = |path: &[&str]| -> Text { spec.str_at(path).unwrap_or_default().to_owned().into() };
    let name = |field: &str| -> Text { names.str_at(&[field]).unwrap_or_default().to_owned().into() };
    let list = |field: &str| -> Vec<Text> {
        names.list_at(&[field]).iter().filter_map(Value::as_str).map(|text| text.to_owned().into()).collect()
    };
    let (group, kind) = (text(&["group"]), name("kind"));
    let plural = text(&["names", "plural"]);
    let versions = spec.list_at(&["versions"]);
    let make = |version| {
        let deprecation = deprecation(version, versions, &group, &kind);
        Ok((Arc::new(Custom { deprecation, ..custom(version)? }), version))
    };
    let customs: Vec<(Arc<Custom>, &Value)> =
        versions.iter().map(make).collect::<Result<_, SchemaError>>()?;
    let is = |version: &Value, field: &str| version.get(field) == Some(&Value::Bool(true));
    let stored = customs.iter().find(|(_, version)| is(version, "storage")).or(customs.first());
    let stored = match stored {
        Some((custom, _)) => custom.clone(),
        None => Arc::new(custom(&Value::map())?),
    };
    let mut served: Vec<Version> = customs
        .iter()
        .filter(|(_, version)| is(version, "served"))
        .map(|(custom, written)| version(custom, written, &group, &kind))
        .collect();
    served.sort_by(|a, b| by_priority(&a.name, &b.name));
    let unsaid = first_stored(definition).unwrap_or(&stored.name).to_owned();
    let converts = spec.str_at(&["conversion", "strategy"]) == Some("Webhook");
    let stored_kind = GroupVersionKind::new(group.clone(), stored.name.clone(), kind.clone());
    Ok(Resource {
        storage: Storage::SharedWith(format!("/registry/{group}/{plural}/").into(), stored_kind),
        singular: name("singular"),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: spec.str_at(&["scope"]) != Some("Cluster"),
        verbs: VERBS.map(Text::from).to_vec(),
        generation: true,
        versions: served,
        strategy: Arc::new(CustomResource),
        custom: Some(Arc::new(Definition {
            stored,
            versions: customs.iter().map(|(custom, _)| custom.clone()).collect(),
            unsaid,
            webhook: spec.at(&["conversion", "webhook"]).filter(|_| converts).cloned(),
            list_kind: name("listKind"),
            terminating: AtomicBool::new(is_true(definition, "Terminating")),
        })),
        group,
        plural,
        kind,
    })
}

/// The first version that objects may be stored in.
pub fn first_stored(definition: &Value) -> Option<&str> {
    definition.list_at(&["status", "storedVersions"]).first()?.as_str()
}

/// The row of a definition with all its versions, also those that are not served.
pub fn whole(definition: &Value) -> Result<Resource, SchemaError> {
    let mut all = definition.clone();
    let versions = all.entry_at(&["spec", "versions"]).ensure_list();
    versions.iter_mut().for_each(|version| version.set_at(&["served"], true));
    resource(&all)
}

// === impl Definition ===

impl Definition {
    /// The version of this name.
    pub fn version(&self, name: &str) -> Option<&Arc<Custom>> {
        self.versions.iter().find(|custom| custom.name == name)
    }
}

fn version(custom: &Arc<Custom>, written: &Value, group: &Text, kind: &Text) -> Version {
    let own = GroupVersionKind::new(group.clone(), custom.name.clone(), kind.clone());
    let verbs = || ["get", "patch", "update"].map(Text::from).to_vec();
    let mut subresources = Vec::new();
    if custom.has_status {
        subresources.push(Subresource { name: "status".into(), kind: own.clone(), verbs: verbs() });
    }
    if custom.scale.is_some() {
        let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
        subresources.push(Subresource { name: "scale".into(), kind: scale, verbs: verbs() });
    }
    let selectable = written.list_at(&["selectableFields"]).iter();
    let selectable = selectable.filter_map(|field| field.str_at(&["jsonPath"]));
    Version {
        name: custom.name.clone().into(),
        kind: own,
        subresources,
        selectable: selectable.map(|path| path.trim_start_matches('.').to_owned().into()).collect(),
        custom: Some(custom.clone()),
    }
}

/// What those who use a version are told, if it is deprecated: its own text, or which newer version there is.
fn deprecation(version: &Value, all: &[Value], group: &str, kind: &str) -> Option<String> {
    let is = |version: &Value, field: &str| version.get(field) == Some(&Value::Bool(true));
    let name = |version: &Value| version.str_at(&["name"]).unwrap_or_default().to_owned();
    if !is(version, "deprecated") {
        return None;
    }
    if let Some(text) = version.str_at(&["deprecationWarning"]) {
        return Some(text.to_owned());
    }
    let own = name(version);
    let newer = all.iter().filter(|other| is(other, "served") && !is(other, "deprecated")).map(name);
    let newest = newer.filter(|other| by_priority(other, &own).is_lt()).min_by(|a, b| by_priority(a, b));
    let instead = newest.map(|newest| format!("; use {group}/{newest} {kind}")).unwrap_or_default();
    Some(format!("{group}/{own} {kind} is deprecated{instead}"))
}

fn custom(version: &Value) -> Result<Custom, SchemaError> {
    let written = version.at(&["schema", "openAPIV3Schema"]).cloned().unwrap_or_default();
    let schema = Structural::parse(&written)?;
    let (types, root) = types::of(&schema);
    let text = |path: &[&str]| version.str_at(path).unwrap_or_default().to_owned();
    let columns = version.list_at(&["additionalPrinterColumns"]);
    Ok(Custom {
        id: Custom::next_id(),
        name: text(&["name"]),
        columns: match columns {
            [] => vec![age()],
            columns => columns.iter().map(column).collect(),
        },
        scale: version.at(&["subresources", "scale"]).map(scale_paths),
        has_status: version.at(&["subresources", "status"]).is_some(),
        deprecation: None,
        schema,
        written,
        types,
        root,
    })
}

fn column(column: &Value) -> Column {
    let text = |field: &str| column.str_at(&[field]).unwrap_or_default().to_owned();
    let path = text("jsonPath");
    let description = match text("description") {
        none if none.is_empty() => format!("Custom resource definition column (in JSONPath format): {path}"),
        description => description,
    };
    Column {
        name: text("name"),
        kind: text("type"),
        format: text("format"),
        description,
        priority: column.int_at(&["priority"]).unwrap_or(0),
        path,
    }
}

/// What tables show when a definition does not say.
fn age() -> Column {
    Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: "Time since the object was made.".to_owned(),
        priority: 0,
        path: ".metadata.creationTimestamp".to_owned(),
    }
}

fn scale_paths(scale: &Value) -> ScalePaths {
    let path = |field: &str| -> Option<Vec<String>> {
        let text = scale.str_at(&[field])?.strip_prefix('.')?;
        Some(text.split('.').map(str::to_owned).collect())
    };
    ScalePaths {
        spec: path("specReplicasPath").unwrap_or_default(),
        status: path("statusReplicasPath").unwrap_or_default(),
        selector: path("labelSelectorPath"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn a_definition_becomes_a_row() {
        let definition = value!({
            "spec": {"group": "stable.example.com", "scope": "Namespaced", "names": {"plural": "crontabs"},
                "versions": [
                    {"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
                    {"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}},
                        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                        "selectableFields": [{"jsonPath": ".spec.color"}]},
                    {"name": "v0", "served": false, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
                ]},
            "status": {"acceptedNames": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab",
                "listKind": "CronTabList", "shortNames": ["ct"], "categories": ["all"]}},
        });
        let row = resource(&definition).expect("row");
        let names: Vec<&str> = row.versions.iter().map(|version| &*version.name).collect();
        assert_eq!(names, ["v1", "v1beta1"]);
        assert_eq!(row.stored_kind().version, "v1beta1");
        assert_eq!(row.key("default", "a"), "/registry/stable.example.com/crontabs/default/a");
        assert_eq!(
            row.versions[0].subresource("scale").map(|sub| sub.kind.api_version()),
            Some("autoscaling/v1".into())
        );
        assert_eq!(row.versions[0].selectable, ["spec.color"]);
        assert_eq!((row.short_names.len(), &*row.singular), (1, "crontab"));
    }
}
