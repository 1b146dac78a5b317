//! Types, fields and shapes.

use crate::codec::time;
use crate::meta::Text;
use crate::value::{Str, Value};

/// A type within its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(super) u32);

/// A struct.
#[derive(Clone, Debug, Default)]
pub struct Type {
    /// The front of its OpenAPI name, such as `io.k8s.api.core.v1`.
    pub package: Text,
    /// The end of its OpenAPI name, such as `PodSpec`.
    pub name: Text,
    /// Whether apply owns it as a whole (map type `atomic`).
    pub atomic: bool,
    /// Which of its fields exclude each other, as OpenAPI's `x-kubernetes-unions` says it; empty if none do.
    pub unions: Text,
    /// Whether fields that it does not name are kept as they come.
    pub open: bool,
    /// Its fields in the order in which they are written as JSON, those of embedded structs in their place.
    pub fields: Vec<Field>,
    /// What a protobuf message of it holds, by number.
    pub members: Vec<Member>,
    /// Indices of `fields`, sorted by name.
    pub(super) by_name: Vec<u16>,
    /// Of the names of `fields`: a short table that is quicker to search than the names.
    pub(super) fingerprints: Vec<u32>,
}

/// One numbered part of a protobuf message.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its protobuf number.
    pub number: u32,
    /// What it is.
    pub of: MemberOf,
}

/// What a [`Member`] is.
#[derive(Clone, Copy, Debug)]
pub enum MemberOf {
    /// The field with this index.
    Field(u16),
    /// An embedded struct, whose fields begin at `offset` in the fields of its owner.
    Inline {
        /// The embedded struct.
        ty: TypeId,
        /// Where its fields begin.
        offset: u16,
    },
}

/// A field of a [`Type`].
#[derive(Clone, Debug)]
pub struct Field {
    /// Its JSON name.
    pub name: Str,
    /// Its protobuf number within the struct that declares it; 0 if it has none.
    pub number: u32,
    /// What it holds.
    pub shape: Shape,
    /// Whether it is optional in Go's sense: its zero value differs from its absence.
    pub pointer: bool,
    /// When JSON leaves it out.
    pub omit: Omit,
    /// Whether OpenAPI lists it as required.
    pub required: bool,
    /// Whether OpenAPI gives the zero value of its shape as its default.
    pub zero_default: bool,
    /// The same of its items or values.
    pub items_zero_default: bool,
    /// Its default as JSON, if it has another one.
    pub default: Option<Text>,
    /// How a strategic merge patch treats it.
    pub patch: Option<Patch>,
    /// How apply treats a list.
    pub list_type: Option<ListType>,
    /// Whether apply owns this map or struct as a whole.
    pub atomic: bool,
    /// Whether it is said that apply owns each part of it, as it would anyway.
    pub granular: bool,
    /// The OpenAPI format, where it is not the one of the shape.
    pub format: Option<Text>,
    pub(super) list_keys: Text,
    pub(super) enum_values: Text,
}

/// When JSON leaves a field out, as Go's `omitempty` and `omitzero` have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// It is always written: absence as the zero value, or null.
    Never,
    /// When it is absent.
    Absent,
    /// When it is absent, false, zero or empty.
    Empty,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// `merge`, `replace`, `retainKeys`, or several joined by commas.
    pub strategy: Text,
    /// The field that identifies items; empty for scalars.
    pub key: Text,
}

/// How apply treats a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Owned as a whole.
    Atomic,
    /// Items are unique scalars.
    Set,
    /// Items are identified by [`Field::list_keys`].
    Map,
}

/// What a field holds, and how a draft carries it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `Value::Bool`.
    Bool,
    /// `Value::Int` within 32 bits.
    Int32,
    /// `Value::Int`.
    Int64,
    /// `Value::Float`.
    Float,
    /// `Value::String`.
    String,
    /// `Value::String` in padded base64.
    Bytes,
    /// `Value::String`: RFC 3339 in UTC, whole seconds.
    Time,
    /// `Value::String`: RFC 3339 in UTC, microseconds.
    MicroTime,
    /// `Value::String` in canonical form, see [`crate::quantity`].
    Quantity,
    /// `Value::Int` within 32 bits, or `Value::String`.
    IntOrString,
    /// Any JSON object: upstream's `RawExtension`.
    Raw,
    /// The JSON of a managed field set.
    FieldsV1,
    /// Any JSON: apiextensions' `JSON`.
    Json,
    /// Any JSON, never in protobuf: Go's `interface{}`.
    Any,
    /// `Value::Map`.
    Struct(TypeId),
    /// `Value::List`.
    List(Box<Shape>),
    /// A list that protobuf wraps in a message of its own.
    Wrapped(Box<Shape>),
    /// `Value::Map`.
    Map(Box<Shape>),
    /// The JSON schema type, or something else.
    SchemaOr(SchemaOr, TypeId),
}

/// What may stand in place of a JSON schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOr {
    /// A boolean.
    Bool,
    /// A list of schemas.
    Array,
    /// A list of texts.
    Strings,
}

// === impl Type ===

impl Type {
    /// A type without fields.
    pub fn new(package: impl Into<Text>, name: impl Into<Text>) -> Type {
        Type { package: package.into(), name: name.into(), ..Type::default() }
    }

    /// Adds a field after the others, and its protobuf member if it has a number.
    pub fn push(&mut self, field: Field) {
        let at = self.fields.len() as u16;
        if field.number != 0 {
            self.push_member(Member { number: field.number, of: MemberOf::Field(at) });
        }
        self.push_flat(field);
    }

    /// Adds the fields of an embedded struct; `number` is 0 if protobuf leaves it out.
    pub(super) fn push_inline(&mut self, id: TypeId, number: u32, embedded: &Type) {
        let offset = self.fields.len() as u16;
        if number != 0 {
            self.push_member(Member { number, of: MemberOf::Inline { ty: id, offset } });
        }
        for field in &embedded.fields {
            self.push_flat(field.clone());
        }
    }

    fn push_flat(&mut self, field: Field) {
        let at = self.fields.len() as u16;
        let place = self.by_name.partition_point(|i| self.fields[*i as usize].name < field.name);
        self.by_name.insert(place, at);
        self.fingerprints.push(fingerprint(&field.name));
        self.fields.push(field);
    }

    fn push_member(&mut self, member: Member) {
        let place = self.members.partition_point(|other| other.number < member.number);
        self.members.insert(place, member);
    }

    /// The OpenAPI name.
    pub fn full_name(&self) -> String {
        if self.package.is_empty() {
            self.name.to_string()
        } else {
            format!("{}.{}", self.package, self.name)
        }
    }

    /// The index of the field with this JSON name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let wanted = fingerprint(name);
        let alike = self.fingerprints.iter().enumerate().filter(|(_, print)| **print == wanted);
        alike.map(|(at, _)| at).find(|at| self.fields[*at].name == name)
    }

    /// The same, first looking at index `hint`: fields mostly come in order.
    pub fn index_near(&self, name: &str, hint: usize) -> Option<usize> {
        match self.fields.get(hint) {
            Some(field) if field.name == name => Some(hint),
            _ => self.index_of(name),
        }
    }

    /// Indices of the fields, sorted by name.
    pub fn sorted(&self) -> impl Iterator<Item = usize> + '_ {
        self.by_name.iter().map(|i| *i as usize)
    }

    /// The member with this protobuf number.
    pub fn member(&self, number: u32) -> Option<MemberOf> {
        let found = self.members.binary_search_by_key(&number, |member| member.number);
        found.ok().map(|at| self.members[at].of)
    }
}

/// A number that differs between nearly all names of a struct.
fn fingerprint(name: &str) -> u32 {
    match name.as_bytes() {
        [] => 0,
        bytes @ [first, .., last] => {
            u32::from_be_bytes([bytes.len() as u8, *first, bytes[bytes.len() / 2], *last])
        }
        [only] => u32::from(*only),
    }
}

// === impl Field ===

impl Field {
    /// An optional field without further facts.
    pub fn new(name: &'static str, shape: Shape) -> Field {
        Field {
            name: Str::const_new(name),
            number: 0,
            omit: if shape.omits_empty() { Omit::Empty } else { Omit::Absent },
            shape,
            pointer: false,
            required: false,
            zero_default: false,
            items_zero_default: false,
            default: None,
            patch: None,
            list_type: None,
            atomic: false,
            granular: false,
            format: None,
            list_keys: Text::Borrowed(""),
            enum_values: Text::Borrowed(""),
        }
    }

    /// Names the fields that identify the items of a list map, joined by commas.
    pub(crate) fn set_list_keys(&mut self, keys: String) {
        self.list_keys = keys.into();
    }

    /// The fields that identify the items of a list map.
    pub fn list_keys(&self) -> impl Iterator<Item = &str> {
        self.list_keys.split(',').filter(|key| !key.is_empty())
    }

    /// The values that it (or its items) may have; none if there is no such limit.
    pub fn enum_values(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        let listed =
            (!self.enum_values.is_empty()).then(|| self.enum_values.split('|')).into_iter().flatten();
        listed.map(|text| if text.contains('_') { text.replace('_', " ").into() } else { text.into() })
    }

    /// Whether a draft holds this value of the field: neither null nor what is the same as absence.
    pub fn holds(&self, value: &Value) -> bool {
        let absent = match self.omit {
            // An empty list of managed fields says more than none: it starts the record anew.
            Omit::Empty => value.is_empty() && (value.is_null() || self.name != "managedFields"),
            _ => value.is_null(),
        };
        let zero = match (&self.shape, value) {
            (Shape::Struct(_), value) => value.is_empty(),
            (Shape::Time | Shape::MicroTime, Value::String(text)) => time::is_zero_text(text),
            _ => false,
        };
        !absent && (self.pointer || !zero)
    }
}

// === impl Shape ===

impl Shape {
    /// The same with the types it refers to changed by `map`.
    pub(super) fn map_types(&self, map: &mut impl FnMut(TypeId) -> TypeId) -> Shape {
        match self {
            Shape::Struct(id) => Shape::Struct(map(*id)),
            Shape::SchemaOr(or, id) => Shape::SchemaOr(*or, map(*id)),
            Shape::List(of) => Shape::List(Box::new(of.map_types(map))),
            Shape::Wrapped(of) => Shape::Wrapped(Box::new(of.map_types(map))),
            Shape::Map(of) => Shape::Map(Box::new(of.map_types(map))),
            other => other.clone(),
        }
    }

    /// Whether Go's `omitempty` leaves out empty values of it.
    pub fn omits_empty(&self) -> bool {
        matches!(
            self,
            Shape::Bool
                | Shape::Int32
                | Shape::Int64
                | Shape::Float
                | Shape::String
                | Shape::Bytes
                | Shape::Any
                | Shape::List(_)
                | Shape::Wrapped(_)
                | Shape::Map(_)
        )
    }
}
