//! A structural schema as types, by which managed fields are reckoned.

use super::schema::{Additional, Kind, Structural};
use crate::meta::Text;
use crate::schema::{Field, META_V1, Omit, Schema, Shape, Type, TypeId};
use crate::value::Str;

/// The types of a kind of custom resource, and the one of its objects.
pub fn of(schema: &Structural) -> (Schema, TypeId) {
    let mut types = Schema::default();
    let builtin = Schema::builtin();
    let metadata = builtin.id_of(&format!("{META_V1}.ObjectMeta"));
    let metadata = metadata.map(|id| Shape::Struct(types.adopt(builtin, id)));
    let mut root = struct_of(&mut types, schema, true, false);
    root.push(Field::new("kind", Shape::String));
    root.push(Field::new("apiVersion", Shape::String));
    if let Some(metadata) = metadata {
        let mut field = Field::new("metadata", metadata);
        field.omit = Omit::Never;
        root.push(field);
    }
    let root = types.add(root);
    (types, root)
}

/// `open` is whether it is below a schema that preserves unknown fields: apply then knows none anywhere below
/// (k8s.io/kube-openapi/pkg/schemaconv).
fn struct_of(types: &mut Schema, schema: &Structural, is_object: bool, open: bool) -> Type {
    let open = open || schema.preserves_unknown;
    let mut ty = Type::new("", "");
    ty.atomic = schema.atomic_map;
    ty.open = open || schema.embedded;
    for (name, of) in &schema.properties {
        let is_meta = matches!(name.as_str(), "kind" | "apiVersion" | "metadata");
        if !(is_object && is_meta) {
            let field = field_of(types, name, of, open);
            ty.push(field);
        }
    }
    ty
}

fn field_of(types: &mut Schema, name: &Str, schema: &Structural, open: bool) -> Field {
    let shape = shape_of(types, schema, open);
    let mut field = Field::new("", shape);
    (field.name, field.omit, field.pointer) = (name.clone(), Omit::Absent, true);
    field.atomic = schema.atomic_map;
    field.list_type = schema.list_type;
    let format = schema.limits.as_ref().and_then(|limits| limits.format.as_ref());
    field.format = format.filter(|(_, name)| *name != "byte").map(|(_, name)| name.to_string().into());
    field.set_list_keys(schema.list_keys.join(","));
    field.default =
        schema.default.as_ref().and_then(|value| serde_json::to_string(value).ok()).map(Text::from);
    field
}

fn shape_of(types: &mut Schema, schema: &Structural, open: bool) -> Shape {
    let open = open || schema.preserves_unknown;
    if schema.int_or_string {
        return Shape::IntOrString;
    }
    match (schema.kind, &schema.additional, schema.items.as_deref()) {
        (Some(Kind::Boolean), ..) => Shape::Bool,
        (Some(Kind::Integer), ..) => Shape::Int64,
        (Some(Kind::Number), ..) => Shape::Float,
        (Some(Kind::String), ..) => Shape::String,
        (Some(Kind::Array), _, Some(of)) => Shape::List(Box::new(shape_of(types, of, open))),
        (Some(Kind::Array), _, None) => Shape::List(Box::new(Shape::Any)),
        (Some(Kind::Object), Some(Additional::Of(of)), _) if schema.properties.is_empty() => {
            Shape::Map(Box::new(shape_of(types, of, open)))
        }
        (Some(Kind::Object), Some(Additional::Any(_)), _) if schema.properties.is_empty() => {
            Shape::Map(Box::new(Shape::Any))
        }
        (Some(Kind::Object), ..) => {
            let ty = struct_of(types, schema, schema.embedded, open);
            Shape::Struct(types.add(ty))
        }
        (None, ..) => Shape::Any,
    }
}
