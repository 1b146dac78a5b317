//! That a schema is structural: every field has a type, and what is said of values is said beside, not instead
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema, validation.go and complete.go).

use crate::kinds::strategies::rules::{Causes, Place};
use crate::value;

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// The faults of the schema of a version, sorted.
pub fn check(schema: &Place, out: &mut Causes) {
    let mut own = Causes::new();
    invariants(schema, Level::Root, &mut own);
    junctors(schema, |nested| complete(nested, Some(schema), &schema.path(), &mut own));
    own.sort_by(|a, b| (&a.field, &a.message).cmp(&(&b.field, &b.message)));
    out.extend(own);
}

/// Visits what stands below `allOf`, `anyOf`, `oneOf` and `not`.
fn junctors(schema: &Place, mut visit: impl FnMut(&Place)) {
    for junctor in JUNCTORS {
        schema.field(junctor).items().for_each(|of| visit(&of));
    }
    let not = schema.field("not");
    if not.is_set() {
        visit(&not);
    }
}

fn invariants(schema: &Place, level: Level, out: &mut Causes) {
    let (kind, items, additional) =
        (schema.field("type"), schema.field("items"), schema.field("additionalProperties"));
    if kind.text() == "array" && !items.is_set() {
        out.push(items.required("must be specified"));
    }
    if items.value.as_map().is_some() {
        invariants(&items, Level::Item, out);
    }
    for (_, of) in schema.field("properties").entries() {
        invariants(&of, Level::Field, out);
    }
    if additional.is_set() && level == Level::Root {
        out.push(additional.forbidden("must not be used at the root"));
    }
    if additional.value.as_map().is_some() {
        invariants(&additional, Level::Field, out);
    }
    let is = |field: &str| schema.field(field).is_true();
    for other in [PRESERVES, EMBEDDED] {
        if is(INT_OR_STRING) && is(other) {
            out.push(schema.field(other).invalid("must be false if x-kubernetes-int-or-string is true"));
        }
    }
    // The types of an integer or text may be written out.
    let either = value!([{"type": "integer"}, {"type": "string"}]);
    let skips_any = *schema.field("anyOf").value == either;
    let first = schema.field("allOf").list().first().and_then(|first| first.get("anyOf"));
    let skips_first = first == Some(&either);
    values(schema, skips_any, skips_first, out);
    own_type(schema, level, out);
    metadata(schema, level, out);
}

fn own_type(schema: &Place, level: Level, out: &mut Causes) {
    let kind = schema.field("type");
    let is = |field: &str| schema.field(field).is_true();
    if is(EMBEDDED) && kind.text() != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        out.push(if kind.text().is_empty() { kind.required(why) } else { kind.invalid(why) });
    } else if kind.text().is_empty() && !is(INT_OR_STRING) && !is(PRESERVES) {
        out.push(kind.required(match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        }));
    }
    if is(EMBEDDED) && schema.field("additionalProperties").is_set() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        out.push(schema.field("additionalProperties").forbidden(why));
    }
    if level == Level::Root && !kind.text().is_empty() && kind.text() != "object" {
        out.push(kind.invalid("must be object at the root"));
    }
    if is(EMBEDDED) && !is(PRESERVES) && schema.field("properties").is_empty() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        out.push(schema.field("properties").required(why));
    }
}

fn metadata(schema: &Place, level: Level, out: &mut Causes) {
    let checked = level == Level::Root || schema.field(EMBEDDED).is_true();
    let properties = schema.field("properties");
    for name in ["kind", "apiVersion"] {
        let property = properties.key(name);
        let kind = property.field("type");
        if checked && property.is_set() && kind.text() != "string" {
            out.push(kind.invalid_as(kind.text(), "must be string"));
        }
    }
    let metadata = properties.key("metadata");
    if !metadata.is_set() {
        return;
    }
    let kind = metadata.field("type");
    if checked && kind.text() != "object" {
        out.push(kind.invalid_as(kind.text(), "must be object"));
    }
    let names = metadata.field("properties");
    let others = names.entries().any(|(name, _)| !matches!(name, "name" | "generateName"));
    let more = metadata.value.as_map().into_iter().flat_map(|map| map.iter());
    let more = more.filter(|(_, value)| !value.is_empty()).any(|(field, _)| {
        // What is for people changes nothing.
        !matches!(field.as_str(), "type" | "properties" | "default")
    });
    if level == Level::Root && (others || more) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        out.push(metadata.forbidden(why));
    }
}

/// What stands below junctors only checks values.
fn values(schema: &Place, skips_any: bool, skips_first: bool, out: &mut Causes) {
    let any = schema.field("anyOf");
    if !skips_any {
        any.items().for_each(|of| nested(&of, false, out));
    }
    let all = schema.field("allOf");
    for (at, of) in all.items().enumerate() {
        nested(&of, skips_first && at == 0, out);
    }
    schema.field("oneOf").items().for_each(|of| nested(&of, false, out));
    let not = schema.field("not");
    if not.is_set() {
        nested(&not, false, out);
    }
}

fn nested(schema: &Place, skips_any: bool, out: &mut Causes) {
    values(schema, skips_any, false, out);
    let items = schema.field("items");
    if items.value.as_map().is_some() {
        nested(&items, false, out);
    }
    for (name, of) in schema.field("properties").entries() {
        nested(&of, false, out);
        if name == "metadata" {
            out.push(of.forbidden("must not be specified in a nested context"));
        }
    }
    for (field, how) in [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        (PRESERVES, "false"),
        (EMBEDDED, "false"),
        (INT_OR_STRING, "false"),
        ("x-kubernetes-list-map-keys", "empty"),
        ("x-kubernetes-list-type", "undefined"),
        ("x-kubernetes-map-type", "undefined"),
        ("x-kubernetes-validations", "empty"),
    ] {
        let place = schema.field(field);
        let is_said = if how == "undefined" { place.is_set() } else { !place.is_empty() };
        if is_said {
            out.push(place.forbidden(&format!("must be {how} to be structural")));
        }
    }
}

/// Whatever is checked has to be there in the structure.
fn complete(nested: &Place, structure: Option<&Place>, path: &str, out: &mut Causes) {
    let Some(structure) = structure else {
        return out
            .push(crate::Cause::required(path, &format!("because it is defined in {}", nested.path())));
    };
    junctors(nested, |of| complete(of, Some(structure), path, out));
    let (items, own) = (nested.field("items"), structure.field("items"));
    if items.value.as_map().is_some() {
        let there = own.value.as_map().is_some();
        complete(&items, there.then_some(&own), &own.path(), out);
    }
    let properties = structure.field("properties");
    for (name, of) in nested.field("properties").entries() {
        let own = properties.key(name);
        complete(&of, own.is_set().then_some(&own), &own.path(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn faults(schema: Value) -> Vec<String> {
        let mut out = Causes::new();
        check(&Place::root(&schema), &mut out);
        out.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn what_is_not_structural_is_refused() {
        let table = [
            (value!({}), "type: Required value: must not be empty at the root"),
            (
                value!({"type": "object", "properties": {"a": {}}}),
                "properties[a].type: Required value: must not be empty for specified object fields",
            ),
            (
                value!({"type": "object", "properties": {"a": {"type": "array"}}}),
                "properties[a].items: Required value: must be specified",
            ),
            (
                value!({"type": "object", "anyOf": [{"type": "object"}]}),
                "anyOf[0].type: Forbidden: must be empty to be structural",
            ),
            (
                value!({"type": "object", "anyOf": [{"properties": {"b": {"minLength": 1}}}]}),
                "properties[b]: Required value: because it is defined in anyOf[0].properties[b]",
            ),
            (
                value!({"type": "object", "properties": {"metadata": {"type": "object", "minProperties": 1}}}),
                "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ),
        ];
        for (schema, expected) in table {
            assert_eq!(faults(schema), [expected]);
        }
        assert!(
            faults(value!({"type": "object", "properties": {
                "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}},
                "either": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
            }}))
            .is_empty()
        );
    }
}
