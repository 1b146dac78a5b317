//! Bringing a draft into the form of its schema: unknown fields go, nulls that mean nothing go, defaults come
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema, packages pruning and defaulting).

use super::schema::{Additional, Structural};
use crate::schema::{Schema, Shape, TypeRef};
use crate::value::{Map, Str, Value};

/// The fields that every object has, whether its schema names them or not.
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Takes out the fields that the schema does not know; their paths, sorted, up to a limit.
pub fn prune(draft: &mut Value, schema: &Structural) -> Vec<String> {
    let mut walk = Walk::default();
    walk.value(draft, Some(schema), true);
    walk.unknown.sort();
    walk.unknown.extend(walk.unknown_meta);
    walk.unknown
}

/// The same of a part of an object.
pub fn prune_part(draft: &mut Value, schema: &Structural) -> Vec<String> {
    let mut walk = Walk::default();
    walk.value(draft, Some(schema), false);
    walk.unknown
}

/// Upstream stops collecting there.
const MAX_REPORTED: usize = 100;

#[derive(Default)]
struct Walk {
    path: String,
    unknown: Vec<String>,
    /// Those in the metadata of embedded objects, which upstream names last.
    unknown_meta: Vec<String>,
}

// === impl Walk ===

impl Walk {
    /// Goes on with `step` at the end of the path.
    fn within(&mut self, step: &str, is_index: bool, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !is_index && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        then(self);
        self.path.truncate(length);
    }

    fn note(&mut self, name: &str) {
        if self.unknown.len() < MAX_REPORTED {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.unknown.push(format!("{}{dot}{name}", self.path));
        }
    }

    fn value(&mut self, value: &mut Value, schema: Option<&Structural>, is_root: bool) {
        let preserves = schema.is_some_and(|schema| schema.preserves_unknown);
        match value {
            Value::Map(map) => self.fields(map, schema, is_root, preserves),
            Value::List(list) => {
                let of = schema.and_then(|schema| schema.items.as_deref());
                // What is preserved is so to its leaves, as far as nothing is said of them.
                if preserves && of.is_none() {
                    return;
                }
                for (at, item) in list.iter_mut().enumerate() {
                    let inner = |walk: &mut Walk| match of {
                        Some(of) if preserves => walk.preserved(item, of),
                        of => walk.value(item, of, false),
                    };
                    self.within(&format!("[{at}]"), true, inner);
                }
            }
            _ => {}
        }
    }

    /// An item of a preserved list: its own schema decides about its fields only.
    fn preserved(&mut self, value: &mut Value, schema: &Structural) {
        match value {
            Value::Map(map) => self.fields(map, Some(schema), false, true),
            Value::List(list) => {
                let Some(of) = schema.items.as_deref() else { return };
                for (at, item) in list.iter_mut().enumerate() {
                    self.within(&format!("[{at}]"), true, |walk| walk.preserved(item, of));
                }
            }
            _ => {}
        }
    }

    /// A value of a type that is known without a schema: the metadata of embedded objects.
    fn typed(&mut self, value: &mut Value, ty: TypeRef) {
        let Value::Map(map) = value else { return };
        let mut gone: Vec<Str> = Vec::new();
        for (key, value) in map.iter_mut() {
            match (ty.field(key), value) {
                (None, _) => gone.push(key.clone()),
                (Some(field), Value::List(list)) => {
                    let Some(of) = ty.under(&field.shape) else { continue };
                    for (at, item) in list.iter_mut().enumerate() {
                        self.within(&format!("{key}[{at}]"), false, |walk| walk.typed(item, of));
                    }
                }
                (Some(field), value) if matches!(field.shape, Shape::Struct(_)) => {
                    let of = ty.under(&field.shape);
                    of.into_iter().for_each(|of| self.within(key, false, |walk| walk.typed(value, of)));
                }
                _ => {}
            }
        }
        for key in gone {
            self.unknown_meta.push(format!("{}.{key}", self.path));
            map.remove(&key);
        }
    }

    fn fields(&mut self, map: &mut Map, schema: Option<&Structural>, is_root: bool, preserves: bool) {
        let is_object = is_root || schema.is_some_and(|schema| schema.embedded);
        let mut gone: Vec<Str> = Vec::new();
        for (key, value) in map.iter_mut() {
            if is_object && META.contains(&key.as_str()) {
                let meta = Schema::builtin().meta("ObjectMeta").filter(|_| key == "metadata" && !is_root);
                meta.into_iter().for_each(|ty| self.within(key, false, |walk| walk.typed(value, ty)));
                continue;
            }
            let property = schema.and_then(|schema| schema.property(key));
            let additional = schema.and_then(|schema| schema.additional.as_ref());
            match (property, additional) {
                (Some(of), _) => self.within(key, false, |walk| walk.value(value, Some(of), false)),
                (None, Some(additional)) => {
                    let of = match additional {
                        Additional::Of(of) => Some(&**of),
                        Additional::Any(_) => None,
                    };
                    self.within(key, false, |walk| walk.value(value, of, false));
                }
                (None, None) if preserves => {}
                (None, None) => gone.push(key.clone()),
            }
        }
        for key in gone {
            self.note(&key);
            map.remove(&key);
        }
    }
}

/// Takes out nulls that the schema neither allows nor has a default for.
pub fn drop_nulls(draft: &mut Value, schema: Option<&Structural>) {
    match draft {
        Value::Map(map) => {
            let field = |key: &str| schema.and_then(|schema| schema.field(key));
            map.retain(|key, value| {
                let means_nothing = |of: &Structural| !of.nullable && of.default.is_none();
                !(value.is_null() && field(key).is_some_and(means_nothing))
            });
            map.iter_mut().for_each(|(key, value)| drop_nulls(value, field(key)));
        }
        Value::List(list) => {
            let of = schema.and_then(|schema| schema.items.as_deref());
            list.iter_mut().for_each(|item| drop_nulls(item, of));
        }
        _ => {}
    }
}

/// Fills in defaults, also in what defaults fill in.
pub fn fill_defaults(draft: &mut Value, schema: &Structural) {
    let is_void = |value: &Value, of: &Structural| value.is_null() && !of.nullable;
    match draft {
        Value::Map(map) => {
            for (name, of) in &schema.properties {
                if let (Some(default), true) =
                    (&of.default, map.get(name).is_none_or(|value| is_void(value, of)))
                {
                    map.insert(name.clone(), (**default).clone());
                }
            }
            for (name, value) in map.iter_mut() {
                let Some(of) = schema.field(name) else { continue };
                if let (Some(default), true) = (&of.default, is_void(value, of)) {
                    *value = (**default).clone();
                }
                fill_defaults(value, of);
            }
        }
        Value::List(list) => {
            let Some(of) = schema.items.as_deref() else { return };
            for item in list {
                if let (Some(default), true) = (&of.default, is_void(item, of)) {
                    *item = (**default).clone();
                }
                fill_defaults(item, of);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn schema() -> Structural {
        let schema = value!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "string"}, "n": {"type": "string", "nullable": true},
                "d": {"type": "object", "default": {}, "properties": {"x": {"type": "integer", "default": 3}}},
                "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"k": {"type": "string"}}}},
                "l": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"known": {"type": "object"}}},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            }},
        }});
        Structural::parse(&schema).expect("schema")
    }

    #[test]
    fn unknown_fields_go_and_are_named() {
        let mut draft = value!({"metadata": {"name": "a"}, "other": 1, "spec": {
            "a": "x", "b": 1, "m": {"one": {"k": "1", "j": 2}}, "l": [{"k": "1"}, {"j": 1}],
            "free": {"any": {"thing": [1]}, "known": {"gone": 1}},
            "pod": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "odd": 1}, "spec": {"gone": 1}, "status": {}},
        }});
        let unknown = prune(&mut draft, &schema());
        assert_eq!(
            unknown,
            [
                "other",
                "spec.b",
                "spec.free.known.gone",
                "spec.l[1].j",
                "spec.m.one.j",
                "spec.pod.spec.gone",
                "spec.pod.status",
                "spec.pod.metadata.odd",
            ]
        );
        assert_eq!(
            draft,
            value!({"metadata": {"name": "a"}, "spec": {
                "a": "x", "m": {"one": {"k": "1"}}, "l": [{"k": "1"}, {}],
                "free": {"any": {"thing": [1]}, "known": {}},
                "pod": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {}},
            }})
        );
    }

    #[test]
    fn nulls_go_unless_they_are_values_and_defaults_come() {
        let mut draft = value!({"spec": {"a": null, "n": null, "d": null}});
        drop_nulls(&mut draft, Some(&schema()));
        assert_eq!(draft, value!({"spec": {"n": null, "d": null}}));
        fill_defaults(&mut draft, &schema());
        assert_eq!(draft, value!({"spec": {"n": null, "d": {"x": 3}}}));
        let mut without = value!({});
        fill_defaults(&mut without, &schema());
        assert_eq!(without, value!({}));
    }
}
