//! Types as OpenAPI schemas, from the facts of [`Schema`], with descriptions from [`Prose`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_api::meta::{GroupVersion, GroupVersionKind};
use decapod_api::schema::{Field, ListType, META_V1, Schema, SchemaOr, Shape, TypeId};
use serde_json::{Map, Value as Json, json};

use super::custom::{self, Common};
use super::prose::Prose;

/// The version of OpenAPI that a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Version 2, which has no alternatives; upstream leaves out defaults.
    V2,
    /// Version 3.
    V3,
}

/// The schemas that a document refers to, and all that they refer to.
pub struct Schemas {
    dialect: Dialect,
    /// The group version that a document is about; all, if there is none.
    home: Option<GroupVersion>,
    prose: Prose,
    found: BTreeMap<String, Json>,
    pending: Vec<TypeId>,
    /// The rows of custom resources that the document is about.
    customs: Vec<Arc<Resource>>,
}

/// The kinds of meta/v1 that belong to every group version.
const EVERYWHERE: [&str; 2] = ["DeleteOptions", "WatchEvent"];

// === impl Schemas ===

impl Schemas {
    /// None yet.
    pub fn new(dialect: Dialect, home: Option<GroupVersion>, rows: &[Arc<Resource>]) -> Schemas {
        let customs = rows.iter().filter(|row| row.custom.is_some()).cloned().collect();
        Schemas {
            dialect,
            home,
            prose: Prose::unpack(),
            found: BTreeMap::new(),
            pending: Vec::new(),
            customs,
        }
    }

    /// Where the schemas are in the document.
    fn prefix(&self) -> &'static str {
        match self.dialect {
            Dialect::V2 => "#/definitions/",
            Dialect::V3 => "#/components/schemas/",
        }
    }

    /// A reference to the schema of a kind; any object, if the kind has none.
    pub fn of_kind(&mut self, kind: &GroupVersionKind) -> Json {
        let schema = Schema::builtin();
        match schema.kind(&kind.group, &kind.version, &kind.kind) {
            Some(kind) => self.reference(kind.ty),
            None => self.of_custom(kind).unwrap_or_else(|| json!({"type": "object"})),
        }
    }

    /// A reference to the schema of a custom kind, or of lists of one.
    fn of_custom(&mut self, kind: &GroupVersionKind) -> Option<Json> {
        let is_list = |row: &Resource| kind.kind == format!("{}List", row.kind);
        let is = |row: &&Arc<Resource>| row.group == kind.group && (row.kind == kind.kind || is_list(row));
        let row = self.customs.iter().find(is)?.clone();
        let version = row.version(&kind.version)?;
        let shown = match row.kind == kind.kind {
            true => kind.clone(),
            false => GroupVersionKind { kind: row.list_kind(), ..kind.clone() },
        };
        let name = custom::name(&shown);
        let reference = json!({"$ref": format!("{}{name}", self.prefix())});
        if self.found.contains_key(&name) {
            return Some(reference);
        }
        self.found.insert(name.clone(), Json::Null);
        let common = self.common();
        let schema = match row.kind == kind.kind {
            true => custom::object(kind, &version.custom.as_ref()?.written, self.dialect, &common),
            false => {
                let item = self.of_custom(&version.kind)?;
                custom::list(&version.kind, &row.list_kind(), &row.plural, item, &common)
            }
        };
        self.found.insert(name, schema);
        Some(reference)
    }

    /// What every object has.
    fn common(&mut self) -> Common {
        let described = |schemas: &mut Schemas, name: &str, text: &str| {
            let mut reference = schemas.of_meta(name);
            // Version 3 knows nothing beside a reference.
            if schemas.dialect == Dialect::V3 {
                reference = json!({"allOf": [reference]});
            }
            reference["description"] = text.into();
            reference
        };
        let text = |schemas: &Schemas, field: &str| {
            let mut property = json!({"type": "string"});
            if let Some(text) = schemas.prose.of_field("io.k8s.api.core.v1.Pod", field) {
                property["description"] = text.into();
            }
            property
        };
        Common {
            metadata: described(self, "ObjectMeta", "Standard object's metadata."),
            list_metadata: described(self, "ListMeta", "Standard list metadata."),
            api_version: text(self, "apiVersion"),
            kind: text(self, "kind"),
        }
    }

    /// A reference to a type of meta/v1.
    pub fn of_meta(&mut self, name: &str) -> Json {
        match Schema::builtin().id_of(&format!("{META_V1}.{name}")) {
            Some(id) => self.reference(id),
            None => self.special(&format!("{META_V1}.{name}"), json!({"type": "object"})),
        }
    }

    /// A reference to the schema of `/version` (k8s.io/apimachinery/pkg/version).
    pub fn version(&mut self) -> Json {
        const REQUIRED: [&str; 9] = [
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ];
        const OPTIONAL: [&str; 4] =
            ["emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"];
        let mut required = json!({"type": "string"});
        if self.dialect == Dialect::V3 {
            required["default"] = "".into();
        }
        let optional = OPTIONAL.map(|name| (name.to_owned(), json!({"type": "string"})));
        let properties: Map<String, Json> =
            REQUIRED.map(|name| (name.to_owned(), required.clone())).into_iter().chain(optional).collect();
        let schema = json!({"type": "object", "required": REQUIRED, "properties": properties});
        self.special("io.k8s.apimachinery.pkg.version.Info", schema)
    }

    /// A reference to a type.
    fn reference(&mut self, id: TypeId) -> Json {
        let name = Schema::builtin().resolve(id).ty.full_name();
        let reference = json!({"$ref": format!("{}{name}", self.prefix())});
        if let Entry::Vacant(place) = self.found.entry(name) {
            place.insert(Json::Null);
            self.pending.push(id);
        }
        reference
    }

    /// A reference to a schema that is no struct of ours.
    fn special(&mut self, name: &str, mut schema: Json) -> Json {
        if let Some(text) = self.prose.of_type(name) {
            schema["description"] = text.into();
        }
        self.found.insert(name.to_owned(), schema);
        json!({"$ref": format!("{}{name}", self.prefix())})
    }

    /// All schemas by their names.
    pub fn finish(mut self) -> Json {
        while let Some(id) = self.pending.pop() {
            let schema = self.object(id);
            self.found.insert(Schema::builtin().resolve(id).ty.full_name(), schema);
        }
        Json::Object(self.found.into_iter().collect())
    }

    fn object(&mut self, id: TypeId) -> Json {
        let ty = Schema::builtin().resolve(id).ty;
        let name = ty.full_name();
        let mut schema = json!({"type": "object"});
        if let Some(text) = self.prose.of_type(&name) {
            schema["description"] = text.into();
        }
        let properties: Map<String, Json> =
            ty.fields.iter().map(|field| (field.name.to_string(), self.property(&name, field))).collect();
        if !properties.is_empty() {
            schema["properties"] = properties.into();
        }
        let required: Vec<&str> =
            ty.fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if ty.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        if !ty.unions.is_empty() {
            schema["x-kubernetes-unions"] = serde_json::from_str(&ty.unions).unwrap_or_default();
        }
        let kinds = self.kinds(id);
        if !kinds.is_empty() {
            schema["x-kubernetes-group-version-kind"] = kinds.into();
        }
        schema
    }

    /// The kinds that a type is.
    fn kinds(&self, id: TypeId) -> Vec<Json> {
        let all = Schema::builtin().kinds();
        let json = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
        let mut kinds = Vec::new();
        for kind in all.iter().filter(|kind| kind.ty == id) {
            let name = kind.gvk.kind.as_ref();
            if kind.gvk.group != "meta.k8s.io" {
                kinds.push(json(&kind.gvk.group, &kind.gvk.version, name));
                continue;
            }
            // What all groups share counts as the core group's.
            kinds.push(json("", &kind.gvk.version, name));
            if EVERYWHERE.contains(&name) {
                let mut others: Vec<(&str, &str)> = match &self.home {
                    Some(home) => vec![(&home.group, &home.version)],
                    None => all
                        .iter()
                        .filter(|kind| kind.served)
                        .map(|kind| (&*kind.gvk.group, &*kind.gvk.version))
                        .collect(),
                };
                others.dedup();
                others.retain(|(group, _)| !group.is_empty());
                kinds.extend(others.into_iter().map(|(group, version)| json(group, version, name)));
            }
        }
        kinds
    }

    fn property(&mut self, owner: &str, field: &Field) -> Json {
        let mut property = self.shape(&field.shape, field.items_zero_default);
        let values: Vec<Json> = field.enum_values().map(|value| Json::String(value.into_owned())).collect();
        let description = self.description(owner, field, &values);
        // Version 3 knows nothing beside a reference.
        // What upstream says of a watch event's object is in no source that a build has at hand.
        let undescribed = description.is_none() && !owner.ends_with(".WatchEvent");
        let alone = undescribed && !field.zero_default && field.default.is_none();
        if self.dialect == Dialect::V3 && property.get("$ref").is_some() && !alone {
            property = json!({"allOf": [property]});
        }
        if let Some(text) = description {
            property["description"] = text.into();
        }
        if let Some(format) = &field.format {
            property["format"] = format.as_ref().into();
        }
        if !values.is_empty() {
            match (&field.shape, property.get("items").is_some()) {
                (Shape::Map(_), _) => property["additionalProperties"]["enum"] = values.into(),
                (_, true) => property["items"]["enum"] = values.into(),
                (_, false) => property["enum"] = values.into(),
            }
        }
        if self.dialect == Dialect::V3 {
            match &field.default {
                Some(text) => property["default"] = serde_json::from_str(text).unwrap_or_default(),
                None if field.zero_default => property["default"] = zero(&field.shape),
                None => {}
            }
        }
        extend(&mut property, field);
        property
    }

    /// The description of a field, with the values it may have. Upstream's says of each what it means, which no source
    /// that a build has at hand does.
    fn description(&self, owner: &str, field: &Field, values: &[Json]) -> Option<String> {
        let own = self.prose.of_field(owner, &field.name)?;
        if values.is_empty() || field.shape != Shape::String {
            return Some(own.to_owned());
        }
        let lines: String = values.iter().map(|value| format!("\n - `{value}`")).collect();
        Some(format!("{own}\n\nPossible enum values:{lines}"))
    }

    fn shape(&mut self, shape: &Shape, items_zero: bool) -> Json {
        const APIMACHINERY: &str = "io.k8s.apimachinery.pkg";
        const APIEXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
        let v3 = self.dialect == Dialect::V3;
        let time = || json!({"type": "string", "format": "date-time"});
        match shape {
            Shape::Bool => json!({"type": "boolean"}),
            Shape::Int32 => json!({"type": "integer", "format": "int32"}),
            Shape::Int64 => json!({"type": "integer", "format": "int64"}),
            Shape::Float => json!({"type": "number", "format": "double"}),
            Shape::String => json!({"type": "string"}),
            Shape::Bytes => json!({"type": "string", "format": "byte"}),
            Shape::Time => self.special(&format!("{META_V1}.Time"), time()),
            Shape::MicroTime => self.special(&format!("{META_V1}.MicroTime"), time()),
            Shape::FieldsV1 => self.special(&format!("{META_V1}.FieldsV1"), json!({"type": "object"})),
            Shape::Raw => {
                self.special(&format!("{APIMACHINERY}.runtime.RawExtension"), json!({"type": "object"}))
            }
            Shape::Quantity => {
                let schema = if v3 {
                    json!({"oneOf": [{"type": "string"}, {"type": "number"}]})
                } else {
                    json!({"type": "string"})
                };
                self.special(&format!("{APIMACHINERY}.api.resource.Quantity"), schema)
            }
            Shape::IntOrString => {
                let mut schema = if v3 {
                    json!({"oneOf": [{"type": "integer"}, {"type": "string"}]})
                } else {
                    json!({"type": "string"})
                };
                schema["format"] = "int-or-string".into();
                self.special(&format!("{APIMACHINERY}.util.intstr.IntOrString"), schema)
            }
            Shape::Json => self.special(&format!("{APIEXTENSIONS}.JSON"), json!({})),
            Shape::Any => json!({"type": "object"}),
            Shape::Struct(id) => self.reference(*id),
            Shape::SchemaOr(or, _) => {
                let name = match or {
                    SchemaOr::Bool => "JSONSchemaPropsOrBool",
                    SchemaOr::Array => "JSONSchemaPropsOrArray",
                    SchemaOr::Strings => "JSONSchemaPropsOrStringArray",
                };
                self.special(&format!("{APIEXTENSIONS}.{name}"), json!({}))
            }
            Shape::List(of) => json!({"type": "array", "items": self.item(of, items_zero)}),
            // These lists are types of their own, whose items are texts.
            Shape::Wrapped(of) => json!({"type": "array", "items": self.item(of, true)}),
            Shape::Map(of) => json!({"type": "object", "additionalProperties": self.item(of, items_zero)}),
        }
    }

    /// What a list or map holds; the default of lists within lists is that of the innermost items.
    fn item(&mut self, shape: &Shape, zero_default: bool) -> Json {
        let mut item = self.shape(shape, zero_default);
        let nested = matches!(shape, Shape::List(_) | Shape::Wrapped(_) | Shape::Map(_));
        if self.dialect == Dialect::V3 && zero_default && !nested {
            if item.get("$ref").is_some() {
                item = json!({"allOf": [item]});
            }
            item["default"] = zero(shape);
        }
        item
    }
}

/// The extensions that patches and apply go by.
fn extend(property: &mut Json, field: &Field) {
    if let Some(list_type) = field.list_type {
        property["x-kubernetes-list-type"] = match list_type {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        }
        .into();
    }
    let keys: Vec<&str> = field.list_keys().collect();
    if !keys.is_empty() {
        property["x-kubernetes-list-map-keys"] = keys.into();
    }
    if field.atomic || field.granular {
        property["x-kubernetes-map-type"] = if field.atomic { "atomic" } else { "granular" }.into();
    }
    if let Some(patch) = &field.patch {
        if !patch.strategy.is_empty() {
            property["x-kubernetes-patch-strategy"] = patch.strategy.as_ref().into();
        }
        if !patch.key.is_empty() {
            property["x-kubernetes-patch-merge-key"] = patch.key.as_ref().into();
        }
    }
}

/// The zero value of a shape.
fn zero(shape: &Shape) -> Json {
    match shape {
        Shape::Bool => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Float => 0.into(),
        Shape::String | Shape::Bytes => "".into(),
        _ => json!({}),
    }
}
