//! Structural schemas: what a version of a custom resource looks like, read from `openAPIV3Schema`
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema).

use super::format::Format;
use super::pattern::{Pattern, PatternError};
use crate::schema::ListType;
use crate::value::{Map, Str, Value};

/// A schema. The schemas below `allOf`, `anyOf`, `oneOf` and `not` are of the same form, and only check.
#[derive(Clone, Debug, Default)]
pub struct Structural {
    /// The type in JSON; none for any.
    pub kind: Option<Kind>,
    /// Whether null is a value.
    pub nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserves_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: Option<ListType>,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Box<[Str]>,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic_map: bool,
    /// What an absent value becomes.
    pub default: Option<Box<Value>>,
    /// Sorted by name.
    pub properties: Box<[(Str, Structural)]>,
    /// What fields without a property hold.
    pub additional: Option<Additional>,
    /// What the items of a list are.
    pub items: Option<Box<Structural>>,
    /// What values are held against.
    pub limits: Option<Box<Limits>>,
}

/// A type in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A map.
    Object,
    /// A list.
    Array,
    /// A text.
    String,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
}

/// What fields without a property hold.
#[derive(Clone, Debug)]
pub enum Additional {
    /// Anything, or they are not allowed.
    Any(bool),
    /// This.
    Of(Box<Structural>),
}

/// What values are held against.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The names that have to be there.
    pub required: Vec<Str>,
    /// The values allowed; any, if there is none.
    pub values: Vec<Value>,
    /// What a text has to match.
    pub pattern: Option<Pattern>,
    /// The form of a text, or the width of a number, and how the schema spells it.
    pub format: Option<(Format, Str)>,
    /// A number is at least this.
    pub minimum: Option<Bound>,
    /// A number is at most this.
    pub maximum: Option<Bound>,
    /// A number is a multiple of this.
    pub multiple_of: Option<f64>,
    /// How many characters a text has: at least, at most.
    pub length: (Option<i64>, Option<i64>),
    /// How many items a list has.
    pub items: (Option<i64>, Option<i64>),
    /// How many fields a map has.
    pub properties: (Option<i64>, Option<i64>),
    /// All of them hold.
    pub all_of: Vec<Structural>,
    /// One of them or more hold.
    pub any_of: Vec<Structural>,
    /// Exactly one of them holds.
    pub one_of: Vec<Structural>,
    /// It does not hold.
    pub not: Option<Box<Structural>>,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The last number within it.
    pub at: f64,
    /// Whether the number itself is outside.
    pub exclusive: bool,
}

/// Why a schema cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A type that JSON does not have.
    #[error("unknown type {0:?}")]
    Kind(String),
    /// A pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

// === impl Kind ===

impl Kind {
    /// From its name.
    pub fn parse(name: &str) -> Option<Kind> {
        Some(match name {
            "object" => Kind::Object,
            "array" => Kind::Array,
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
        }
    }
}

// === impl Structural ===

impl Structural {
    /// Reads a `JSONSchemaProps`.
    pub fn parse(schema: &Value) -> Result<Structural, SchemaError> {
        let text = |field: &str| schema.str_at(&[field]).unwrap_or_default();
        let is = |field: &str| schema.get(field) == Some(&Value::Bool(true));
        let kind = match text("type") {
            "" => None,
            name => Some(Kind::parse(name).ok_or_else(|| SchemaError::Kind(name.to_owned()))?),
        };
        let list_type = match text("x-kubernetes-list-type") {
            "set" => Some(ListType::Set),
            "map" => Some(ListType::Map),
            "atomic" => Some(ListType::Atomic),
            _ => None,
        };
        Ok(Structural {
            kind,
            nullable: is("nullable"),
            preserves_unknown: is("x-kubernetes-preserve-unknown-fields"),
            embedded: is("x-kubernetes-embedded-resource"),
            int_or_string: is("x-kubernetes-int-or-string"),
            list_type,
            list_keys: texts(schema, "x-kubernetes-list-map-keys").into(),
            atomic_map: text("x-kubernetes-map-type") == "atomic",
            default: schema.get("default").filter(|value| !value.is_null()).cloned().map(Box::new),
            properties: properties(schema)?,
            additional: match schema.get("additionalProperties") {
                Some(Value::Bool(allowed)) => Some(Additional::Any(*allowed)),
                Some(of @ Value::Map(_)) => Some(Additional::Of(Box::new(Structural::parse(of)?))),
                _ => None,
            },
            items: match schema.get("items") {
                Some(of @ Value::Map(_)) => Some(Box::new(Structural::parse(of)?)),
                _ => None,
            },
            limits: Limits::parse(schema, kind, is("x-kubernetes-int-or-string"))?.map(Box::new),
        })
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&Structural> {
        let found = self.properties.binary_search_by(|(key, _)| key.as_str().cmp(name));
        found.ok().map(|at| &self.properties[at].1)
    }

    /// The schema of a field: its property's, or that of all others.
    pub fn field(&self, name: &str) -> Option<&Structural> {
        self.property(name).or(match &self.additional {
            Some(Additional::Of(of)) => Some(of),
            _ => None,
        })
    }

    /// The schema at the end of `path`, through properties only.
    pub fn at(&self, path: &[&str]) -> Option<&Structural> {
        path.iter().try_fold(self, |schema, name| schema.property(name))
    }
}

fn properties(schema: &Value) -> Result<Box<[(Str, Structural)]>, SchemaError> {
    let entries = schema.get("properties").and_then(Value::as_map).into_iter().flat_map(Map::iter);
    entries.map(|(name, of)| Ok((name.clone(), Structural::parse(of)?))).collect()
}

fn texts(schema: &Value, field: &str) -> Vec<Str> {
    schema.list_at(&[field]).iter().filter_map(Value::as_str).map(Str::new).collect()
}

fn number(schema: &Value, field: &str) -> Option<f64> {
    match schema.get(field)? {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

// === impl Limits ===

impl Limits {
    /// None, if the schema has no limits.
    fn parse(schema: &Value, kind: Option<Kind>, int_or_string: bool) -> Result<Option<Limits>, SchemaError> {
        const FIELDS: [&str; 20] = [
            "required",
            "enum",
            "pattern",
            "format",
            "minimum",
            "maximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "uniqueItems",
        ];
        if !FIELDS.iter().any(|field| schema.get(field).is_some()) {
            return Ok(None);
        }
        let is = |field: &str| schema.get(field) == Some(&Value::Bool(true));
        let bound = |field: &str, exclusive: &str| {
            number(schema, field).map(|at| Bound { at, exclusive: is(exclusive) })
        };
        let range = |least: &str, most: &str| (schema.int_at(&[least]), schema.int_at(&[most]));
        let schemas = |field: &str| -> Result<Vec<Structural>, SchemaError> {
            schema.list_at(&[field]).iter().map(Structural::parse).collect()
        };
        let pattern = schema.str_at(&["pattern"]).filter(|text| !text.is_empty());
        let format = schema.str_at(&["format"]).unwrap_or_default();
        Ok(Some(Limits {
            required: texts(schema, "required"),
            values: schema.list_at(&["enum"]).to_vec(),
            pattern: pattern.map(Pattern::new).transpose()?,
            format: Format::of(kind, format)
                .filter(|_| !int_or_string)
                .map(|known| (known, Str::new(format))),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: number(schema, "multipleOf"),
            length: range("minLength", "maxLength"),
            items: range("minItems", "maxItems"),
            properties: range("minProperties", "maxProperties"),
            all_of: schemas("allOf")?,
            any_of: schemas("anyOf")?,
            one_of: schemas("oneOf")?,
            not: schema.get("not").map(Structural::parse).transpose()?.map(Box::new),
        }))
    }
}
