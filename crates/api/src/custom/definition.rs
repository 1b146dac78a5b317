//! From a CustomResourceDefinition to the row of a resource.

use std::sync::Arc;

use super::schema::SchemaError;
use super::{Column, Custom, CustomResource, ScalePaths, Structural, by_priority, types};
use crate::kinds::{Resource, Storage, Subresource, Version};
use crate::meta::{GroupVersionKind, Text};
use crate::value::Value;

/// What a row of a custom resource knows of its definition.
pub struct Definition {
    /// The version that is stored, be it served or not.
    pub stored: Arc<Custom>,
    /// The kind of lists.
    pub list_kind: Text,
    /// Whether the definition is going: nothing new is made.
    pub terminating: bool,
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
    let customs: Vec<(Arc<Custom>, &Value)> = spec
        .list_at(&["versions"])
        .iter()
        .map(|version| Ok((Arc::new(custom(version)?), version)))
        .collect::<Result<_, SchemaError>>()?;
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
            list_kind: name("listKind"),
            terminating: is_terminating(definition),
        })),
        group,
        plural,
        kind,
    })
}

fn is_terminating(definition: &Value) -> bool {
    let conditions = definition.list_at(&["status", "conditions"]).iter();
    let is = |condition: &&Value| condition.str_at(&["type"]) == Some("Terminating");
    conditions.filter(is).any(|condition| condition.str_at(&["status"]) == Some("True"))
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

fn custom(version: &Value) -> Result<Custom, SchemaError> {
    let written = version.at(&["schema", "openAPIV3Schema"]).cloned().unwrap_or_default();
    let schema = Structural::parse(&written)?;
    let (types, root) = types::of(&schema);
    let text = |path: &[&str]| version.str_at(path).unwrap_or_default().to_owned();
    let columns = version.list_at(&["additionalPrinterColumns"]);
    let is_deprecated = version.get("deprecated") == Some(&Value::Bool(true));
    Ok(Custom {
        id: Custom::next_id(),
        name: text(&["name"]),
        columns: columns.iter().map(column).collect(),
        scale: version.at(&["subresources", "scale"]).map(scale_paths),
        has_status: version.at(&["subresources", "status"]).is_some(),
        deprecation: is_deprecated.then(|| text(&["deprecationWarning"])),
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
        assert_eq!(row.versions[0].subresource("scale").map(|sub| sub.kind.api_version()), Some("autoscaling/v1".into()));
        assert_eq!(row.versions[0].selectable, ["spec.color"]);
        assert_eq!((row.short_names.len(), &*row.singular), (1, "crontab"));
    }
}
