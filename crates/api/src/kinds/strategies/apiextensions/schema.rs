//! Faults of the schemas of CustomResourceDefinitions: that they are structural and that all they say can be held
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema, `ValidateStructural`;
//! pkg/apis/apiextensions/validation, `ValidateCustomResourceDefinitionOpenAPISchema`).

use super::structural;
use crate::custom::{Pattern, Structural, default_faults};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::value::Value;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const META: [&str; 3] = ["metadata", "kind", "apiVersion"];
/// What may stand at the root of a schema whose status is a part of its own.
const ALLOWED_AT_ROOT: [&str; 22] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];
/// The same as upstream's message names them.
const ALLOWED_SHOWN: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]";
/// Where CEL rules stand, which are not evaluated yet.
const RULES: &str = "x-kubernetes-validations";

/// The schema of a version.
pub fn check(schema: &Place, has_status: bool, out: &mut Causes) {
    let fields = schema.value.as_map().into_iter().flat_map(|map| map.iter());
    if has_status
        && fields
            .filter(|(_, value)| !value.is_null())
            .any(|(name, _)| !ALLOWED_AT_ROOT.contains(&name.as_str()))
    {
        out.push(schema.invalid(&format!(
            "only {ALLOWED_SHOWN} fields are allowed at the root of the schema if the status subresource is enabled"
        )));
    }
    if schema.field("nullable").is_true() {
        out.push(schema.field("nullable").forbidden("nullable cannot be true at the root"));
    }
    let before = out.len();
    structural::check(schema, out);
    if out.len() == before {
        // What is not structural has no defaults that could be held against it.
        defaults(schema, out);
    }
    walk(schema, Inside { root: true, ..Inside::default() }, out);
}

/// Where in the schema a place is.
#[derive(Clone, Copy, Default)]
struct Inside {
    root: bool,
    meta: bool,
    /// Why no default may be set.
    no_defaults: Option<&'static str>,
}

fn walk(schema: &Place, inside: Inside, out: &mut Causes) {
    unsupported(schema, inside, out);
    let properties = schema.field("properties");
    let additional = schema.field("additionalProperties");
    if additional.is_set() && !properties.is_empty() && *additional.value != Value::Bool(true) {
        out.push(additional.forbidden("additionalProperties and properties are mutual exclusive"));
    }
    let below = Inside { root: false, ..inside };
    if additional.value.as_map().is_some() {
        let why = "inside additionalProperties applying to object metadata";
        let no_defaults = if inside.meta { Some(why) } else { inside.no_defaults };
        walk(&additional, Inside { no_defaults, ..below }, out);
    }
    let is_object = inside.root || schema.field("x-kubernetes-embedded-resource").is_true();
    for (name, of) in properties.entries() {
        let mut below = below;
        if is_object && META.contains(&name) {
            below.meta = true;
            if inside.root {
                below.no_defaults = Some(match name {
                    "metadata" => "in top-level metadata",
                    "kind" => "in top-level kind",
                    _ => "in top-level apiVersion",
                });
            }
        }
        walk(&of, below, out);
    }
    let not = schema.field("not");
    if not.is_set() {
        walk(&not, below, out);
    }
    for junctor in ["allOf", "oneOf", "anyOf"] {
        schema.field(junctor).items().for_each(|of| walk(&of, below, out));
    }
    let items = schema.field("items");
    if items.value.as_map().is_some() {
        walk(&items, below, out);
    }
    extensions(schema, out);
    lists(schema, out);
    let rules = schema.field(RULES);
    if !rules.is_empty() {
        out.push(rules.forbidden("CEL validation rules are not supported yet"));
    }
}

/// What JSON schemas have and these do not.
fn unsupported(schema: &Place, inside: Inside, out: &mut Causes) {
    let kind = schema.field("type");
    if !kind.text().is_empty() && !TYPES.contains(&kind.text()) {
        out.push(kind.not_supported(&TYPES));
    }
    if let (Some(why), true) = (inside.no_defaults, schema.field("default").is_set()) {
        out.push(schema.field("default").forbidden(&format!("must not be set {why}")));
    }
    for field in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if !schema.field(field).is_empty() {
            out.push(schema.field(field).forbidden(&format!("{field} is not supported")));
        }
    }
    if kind.text() == "null" {
        out.push(kind.forbidden("type cannot be set to null, use nullable as an alternative"));
    }
    if !schema.field("items").list().is_empty() {
        out.push(schema.field("items").forbidden("items must be a schema object and not an array"));
    }
    let embedded = schema.field("x-kubernetes-embedded-resource");
    if inside.meta && embedded.is_true() {
        out.push(embedded.forbidden("must not be used inside of resource meta"));
    }
    if schema.field("uniqueItems").is_true() {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        out.push(schema.field("uniqueItems").forbidden(why));
    }
    let pattern = schema.field("pattern");
    if let (false, Err(error)) = (pattern.text().is_empty(), Pattern::new(pattern.text())) {
        out.push(pattern.invalid(&format!("must be a valid regular expression, but isn't: {error}")));
    }
}

fn extensions(schema: &Place, out: &mut Causes) {
    let preserves = schema.field("x-kubernetes-preserve-unknown-fields");
    if preserves.is_set() && !preserves.is_true() {
        out.push(preserves.invalid("must be true or undefined"));
    }
    let kind = schema.field("type");
    for (name, wanted, values) in [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"][..]),
    ] {
        let extension = schema.field(name);
        if !extension.is_set() {
            continue;
        }
        if kind.text() != wanted {
            let why = format!("must be {wanted} if {name} is specified");
            out.push(if kind.text().is_empty() { kind.required(&why) } else { kind.invalid(&why) });
        }
        extension.one_of(values, out);
    }
}

/// Lists that are sets or maps.
fn lists(schema: &Place, out: &mut Causes) {
    let (list_type, keys, items) = (
        schema.field("x-kubernetes-list-type"),
        schema.field("x-kubernetes-list-map-keys"),
        schema.field("items"),
    );
    let item_type = items.field("type");
    if list_type.text() == "set" && schema.field("type").text() == "array" {
        const WHY: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let (inner, map) = (items.field("x-kubernetes-list-type"), items.field("x-kubernetes-map-type"));
        match item_type.text() {
            "array" if inner.is_set() && inner.text() != "atomic" => out.push(inner.invalid(WHY)),
            "object" if map.text() != "atomic" => out.push(map.invalid_as(inner.value.clone(), WHY)),
            _ => {}
        }
    }
    if !keys.is_empty() && list_type.text() != "map" {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        out.push(if list_type.is_set() { list_type.invalid(why) } else { list_type.required(why) });
    }
    if matches!(list_type.text(), "set" | "map") && items.field("nullable").is_true() {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {}", list_type.text());
        out.push(items.field("nullable").forbidden(&why));
    }
    if list_type.text() != "map" {
        return;
    }
    if keys.is_empty() {
        out.push(keys.required("must not be empty if x-kubernetes-list-type is map"));
    }
    if !items.is_set() {
        return out.push(items.required("must have a schema if x-kubernetes-list-type is map"));
    }
    if item_type.text() != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        return out.push(item_type.invalid_as(item_type.text(), why));
    }
    list_keys(&keys, &items, out);
}

fn list_keys(keys: &Place, items: &Place, out: &mut Causes) {
    let properties = items.field("properties");
    let required = items.field("required");
    for (at, key) in keys.list().iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        if keys.list()[..at].contains(key) {
            out.push(keys.invalid("must not contain duplicate entries"));
        }
        let property = properties.key(name);
        if !property.is_set() {
            out.push(keys.invalid("entries must all be names of item properties"));
            continue;
        }
        if matches!(property.field("type").text(), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            out.push(property.field("type").invalid_as("object", why));
        }
        if !required.list().contains(key) && !property.field("default").is_set() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            out.push(property.field("default").required(why));
        }
        if property.field("nullable").is_true() {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            out.push(property.field("nullable").forbidden(why));
        }
    }
}

/// Defaults have to be what their schema allows.
fn defaults(schema: &Place, out: &mut Causes) {
    let default = schema.field("default");
    if default.is_set()
        && let Ok(of) = Structural::parse(schema.value)
    {
        out.extend(default_faults(&of, default.value, &default.path()));
    }
    for (_, of) in schema.field("properties").entries() {
        defaults(&of, out);
    }
    let items = schema.field("items");
    if items.value.as_map().is_some() {
        defaults(&items, out);
    }
}
