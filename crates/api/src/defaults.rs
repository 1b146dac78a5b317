//! The schema's own defaults (`default` of OpenAPI): filled in wherever the struct that has the field is there.
//! Defaults that depend on other fields are the strategies' business.

use crate::schema::{Shape, TypeRef};
use crate::value::{Value, from_json};

/// Fills in what is absent and has a default that is not the zero value.
pub fn apply(draft: &mut Value, ty: TypeRef) {
    let Value::Map(map) = draft else { return };
    for field in &ty.ty.fields {
        if let (Some(default), false) = (&field.default, map.contains(&field.name))
            && let Ok(json) = serde_json::from_str(default)
        {
            map.insert(field.name.clone(), from_json(json));
        }
        if let Some(value) = map.get_mut(&field.name) {
            descend(value, &field.shape, ty);
        }
    }
}

fn descend(value: &mut Value, shape: &Shape, ty: TypeRef) {
    match (value, shape) {
        (value, Shape::Struct(id)) => apply(value, ty.schema.resolve(*id)),
        (Value::List(list), Shape::List(of)) => list.iter_mut().for_each(|item| descend(item, of, ty)),
        (Value::Map(map), Shape::Map(of)) => map.iter_mut().for_each(|(_, value)| descend(value, of, ty)),
        _ => {}
    }
}
