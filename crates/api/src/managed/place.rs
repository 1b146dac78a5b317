//! What apply may find at a place of an object, as the schema says (k8s.io/kube-openapi/pkg/schemaconv makes the same of
//! upstream's OpenAPI).

use crate::schema::{Field, ListType, Schema, Shape, TypeRef};
use crate::value::Value;

/// A place in the schema.
#[derive(Clone, Copy)]
pub(super) enum Place<'s> {
    /// A struct.
    Struct(TypeRef<'s>),
    /// The value of a field.
    Field(&'s Schema, &'s Field),
    /// An item of a list or a value of a map.
    Inner(&'s Schema, &'s Shape),
    /// Anything, owned as a whole.
    Untyped,
    /// Anything; maps are owned key by key.
    Deduced,
    /// The schema has nothing here.
    Nowhere,
}

/// What a place may hold; at most one of each.
#[derive(Clone, Copy, Default)]
pub(super) struct Atom<'s> {
    pub scalar: Option<Scalar>,
    pub list: Option<ListAtom<'s>>,
    pub map: Option<MapAtom<'s>>,
}

/// A kind of scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    String,
    Boolean,
    Untyped,
}

/// A list.
#[derive(Clone, Copy)]
pub(super) struct ListAtom<'s> {
    pub item: Place<'s>,
    pub relation: Relation<'s>,
}

/// What the items of a list are to each other.
#[derive(Clone, Copy)]
pub(super) enum Relation<'s> {
    /// The list is owned as a whole.
    Atomic,
    /// Items are unique scalars.
    Set,
    /// Items are identified by the keys of this field.
    Keyed(&'s Field),
}

/// A map or struct.
#[derive(Clone, Copy)]
pub(super) struct MapAtom<'s> {
    /// The fields that have names.
    ty: Option<TypeRef<'s>>,
    /// What else may be there.
    other: Place<'s>,
    /// Whether it is owned as a whole.
    pub atomic: bool,
}

// === impl Place ===

impl<'s> Place<'s> {
    /// What may be here.
    pub(super) fn atom(&self) -> Atom<'s> {
        match *self {
            Place::Struct(ty) => Atom::of_struct(ty, ty.ty.atomic),
            Place::Field(schema, field) => Atom::of_field(schema, field),
            Place::Inner(schema, shape) => Atom::of(schema, shape, None),
            Place::Untyped => Atom::anything(Place::Untyped, true),
            Place::Deduced => Atom::anything(Place::Deduced, false),
            Place::Nowhere => Atom::default(),
        }
    }
}

// === impl Atom ===

impl<'s> Atom<'s> {
    fn scalar(scalar: Scalar) -> Atom<'s> {
        Atom { scalar: Some(scalar), ..Atom::default() }
    }

    fn anything(other: Place<'s>, atomic: bool) -> Atom<'s> {
        Atom {
            scalar: Some(Scalar::Untyped),
            list: Some(ListAtom { item: Place::Untyped, relation: Relation::Atomic }),
            map: Some(MapAtom { ty: None, other, atomic }),
        }
    }

    fn of_struct(ty: TypeRef<'s>, atomic: bool) -> Atom<'s> {
        // What has no fields may have any.
        let other = if ty.ty.open || ty.ty.fields.is_empty() { Place::Deduced } else { Place::Nowhere };
        Atom { map: Some(MapAtom { ty: Some(ty), other, atomic }), ..Atom::default() }
    }

    fn of_field(schema: &'s Schema, field: &'s Field) -> Atom<'s> {
        match &field.shape {
            Shape::String if field.format.is_some() => Atom::scalar(Scalar::Untyped),
            shape => Atom::of(schema, shape, Some(field)),
        }
    }

    fn of(schema: &'s Schema, shape: &'s Shape, field: Option<&'s Field>) -> Atom<'s> {
        let atomic = field.is_some_and(|field| field.atomic);
        match shape {
            Shape::Bool => Atom::scalar(Scalar::Boolean),
            Shape::Int32 | Shape::Int64 | Shape::Float => Atom::scalar(Scalar::Numeric),
            Shape::String | Shape::Bytes => Atom::scalar(Scalar::String),
            Shape::Time | Shape::MicroTime | Shape::Quantity => Atom::scalar(Scalar::Untyped),
            Shape::IntOrString | Shape::Json | Shape::Any | Shape::SchemaOr(..) => {
                Atom::anything(Place::Deduced, false)
            }
            Shape::Raw => Atom::anything(Place::Untyped, true),
            Shape::FieldsV1 => {
                let map = MapAtom { ty: None, other: Place::Deduced, atomic };
                Atom { map: Some(map), ..Atom::default() }
            }
            Shape::Struct(id) => {
                let ty = schema.resolve(*id);
                // A field may say otherwise than its type.
                let granular = field.is_some_and(|field| field.granular);
                Atom::of_struct(ty, atomic || (ty.ty.atomic && !granular))
            }
            Shape::List(of) | Shape::Wrapped(of) => {
                let relation = field.map_or(Relation::Atomic, relation);
                let list = ListAtom { item: Place::Inner(schema, of), relation };
                Atom { list: Some(list), ..Atom::default() }
            }
            Shape::Map(of) => {
                let map = MapAtom { ty: None, other: Place::Inner(schema, of), atomic };
                Atom { map: Some(map), ..Atom::default() }
            }
        }
    }

    /// What of it a value can be; all of it if it can be nothing, or is not there.
    pub(super) fn deduced(self, value: Option<&Value>) -> Atom<'s> {
        match value {
            Some(Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_))
                if self.scalar.is_some() =>
            {
                Atom { scalar: self.scalar, ..Atom::default() }
            }
            Some(Value::List(_)) if self.list.is_some() => Atom { list: self.list, ..Atom::default() },
            Some(Value::Map(_)) if self.map.is_some() => Atom { map: self.map, ..Atom::default() },
            _ => self,
        }
    }

    /// Whether both are the same part of one atom.
    pub(super) fn is_same_part(&self, other: &Atom) -> bool {
        let parts = |atom: &Atom| (atom.scalar.is_some(), atom.list.is_some(), atom.map.is_some());
        parts(self) == parts(other)
    }
}

/// What the schema says of a list, or else its patch strategy.
fn relation(field: &Field) -> Relation<'_> {
    let strategy = field.patch.as_ref().map_or("", |patch| patch.strategy.as_ref());
    match field.list_type {
        Some(ListType::Atomic) => Relation::Atomic,
        Some(ListType::Set) => Relation::Set,
        Some(ListType::Map) => Relation::Keyed(field),
        None if strategy == "merge" || strategy == "merge,retainKeys" => {
            let keyed = field.patch.as_ref().is_some_and(|patch| !patch.key.is_empty());
            if keyed { Relation::Keyed(field) } else { Relation::Set }
        }
        None => Relation::Atomic,
    }
}

/// The fields that identify the items of a keyed list.
pub(super) fn keys_of(field: &Field) -> Vec<&str> {
    match field.list_type {
        Some(ListType::Map) => field.list_keys().collect(),
        _ => field.patch.iter().map(|patch| patch.key.as_ref()).collect(),
    }
}

// === impl MapAtom ===

impl<'s> MapAtom<'s> {
    /// The place of a field that has a name.
    pub(super) fn field(&self, name: &str) -> Option<Place<'s>> {
        let ty = self.ty?;
        Some(Place::Field(ty.schema, ty.field(name)?))
    }

    /// The place of any key.
    pub(super) fn place(&self, name: &str) -> Place<'s> {
        self.field(name).unwrap_or(self.other)
    }

    /// Whether nothing is known of its keys.
    pub(super) fn is_deduced(&self) -> bool {
        self.ty.is_none() && matches!(self.other, Place::Deduced)
    }

    /// The default of a field, if it has one.
    pub(super) fn default_of(&self, name: &str) -> Option<Value> {
        let field = self.ty?.field(name)?;
        match &field.default {
            Some(text) => serde_json::from_str(text).ok(),
            None if field.zero_default => Some(match field.shape {
                Shape::Bool => Value::Bool(false),
                Shape::String => "".into(),
                Shape::Int32 | Shape::Int64 => Value::Int(0),
                _ => Value::map(),
            }),
            None => None,
        }
    }
}
