//! A draft as JSON shows it: with the zero values that Go never leaves out. Apply looks at objects in this form.

use crate::codec::{slotted, time};
use crate::schema::{Omit, Schema, SchemaOr, Shape, TypeRef};
use crate::value::{Map, Value};

/// The tree that a client reads of this draft of type `ty`.
pub fn shown(draft: &Value, ty: TypeRef) -> Value {
    fields(draft.as_map(), ty)
}

fn fields(map: Option<&Map>, ty: TypeRef) -> Value {
    slotted(ty.ty, map, |values| {
        let mut entries = Vec::with_capacity(map.map_or(0, Map::len) + 2);
        for at in ty.ty.sorted() {
            let field = &ty.ty.fields[at];
            match values[at] {
                Some(value) if field.omit != Omit::Empty || !value.is_empty() => {
                    entries.push((field.name.clone(), inner(value, &field.shape, ty.schema)));
                }
                None if field.omit == Omit::Never => {
                    let value = if field.pointer { Value::Null } else { zero(&field.shape, ty.schema) };
                    entries.push((field.name.clone(), value));
                }
                _ => {}
            }
        }
        if ty.ty.open {
            let others = map.into_iter().flat_map(Map::iter).filter(|(key, _)| ty.ty.index_of(key).is_none());
            entries.extend(others.map(|(key, value)| (key.clone(), value.clone())));
        }
        Value::Map(Map::from_entries(entries).0)
    })
}

fn inner(value: &Value, shape: &Shape, schema: &Schema) -> Value {
    match (shape, value) {
        (Shape::Struct(id) | Shape::SchemaOr(_, id), Value::Map(map)) => {
            fields(Some(map), schema.resolve(*id))
        }
        (Shape::List(of) | Shape::Wrapped(of), Value::List(list)) => {
            Value::List(list.iter().map(|item| inner(item, of, schema)).collect())
        }
        (Shape::SchemaOr(..), Value::List(list)) if list.is_empty() => Value::Null,
        (Shape::SchemaOr(SchemaOr::Array, id), Value::List(list)) => {
            Value::List(list.iter().map(|item| inner(item, &Shape::Struct(*id), schema)).collect())
        }
        (Shape::Map(of), Value::Map(map)) => {
            Value::Map(map.iter().map(|(key, value)| (key.clone(), inner(value, of, schema))).collect())
        }
        (Shape::Time | Shape::MicroTime, Value::String(text)) if time::is_zero_text(text) => Value::Null,
        (Shape::Raw | Shape::FieldsV1 | Shape::Json | Shape::Any, value) => value.clone(),
        (shape, Value::Null) => zero(shape, schema),
        (_, value) => value.clone(),
    }
}

fn zero(shape: &Shape, schema: &Schema) -> Value {
    match shape {
        Shape::Bool | Shape::SchemaOr(SchemaOr::Bool, _) => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Float | Shape::IntOrString => Value::Int(0),
        Shape::String => "".into(),
        Shape::Quantity => "0".into(),
        Shape::Struct(id) => fields(None, schema.resolve(*id)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{FieldValidation, json};

    #[test]
    fn drafts_are_shown_as_their_json_is_read() {
        let table = [
            (
                "io.k8s.api.core.v1.Pod",
                r#"{"spec":{"containers":[{"name":"c","ports":[{"containerPort":1}]}],"volumes":[]}}"#,
            ),
            ("io.k8s.api.core.v1.Pod", "{}"),
            (
                "io.k8s.api.apps.v1.Deployment",
                r#"{"spec":{"template":{"metadata":{"labels":{"a":"b"}}},"replicas":0}}"#,
            ),
            ("io.k8s.api.core.v1.Service", r#"{"spec":{"ports":[{"port":80}],"selector":{}}}"#),
            ("io.k8s.api.core.v1.ResourceQuota", r#"{"spec":{"hard":{"cpu":1,"x":null}}}"#),
            ("Unstructured", r#"{"kind":"K","spec":{"a":null,"b":[]}}"#),
        ];
        for (name, text) in table {
            let ty = Schema::builtin().named(name).unwrap();
            let draft = json::decode(text.as_bytes(), ty, FieldValidation::Strict).unwrap().draft;
            let read = json::decode_any(&json::to_bytes(&draft, ty), FieldValidation::Strict).unwrap().draft;
            assert_eq!(shown(&draft, ty), read, "{name} {text}");
        }
    }
}
