//! Reads the table of facts. Its form is described in `xtask/schema-go/facts.go`.

use super::{Field, Kind, ListType, META_V1, Omit, Patch, Schema, SchemaOr, Shape, Type, TypeId};
use crate::meta::{GroupVersionKind, Text};

/// A line of the table that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("schema facts, line {line}: {why}")]
pub struct FactsError {
    line: usize,
    why: &'static str,
}

/// A struct as the table has it, before embedded structs are put in place.
struct Raw {
    package: &'static str,
    name: &'static str,
    atomic: bool,
    unions: &'static str,
    fields: Vec<RawField>,
    /// Its line numbers, without the first.
    lines: std::ops::Range<usize>,
}

enum RawField {
    Plain(Field),
    Embedded(TypeId, u32),
}

/// The schema that `table` describes.
pub(super) fn parse(table: &'static str) -> Result<Schema, FactsError> {
    let lines: Vec<&'static str> = table.lines().collect();
    let mut raws = outline(&lines)?;
    let mut schema = Schema::default();
    // Names first, for the fields refer to types that come later; the table is sorted.
    for raw in &raws {
        schema.add(raw.to_type());
    }
    for raw in &mut raws {
        for at in raw.lines.clone() {
            let line = Line { schema: &schema, package: raw.package, words: lines[at] };
            raw.fields.push(line.field().map_err(|why| FactsError { line: at + 1, why })?);
        }
    }
    for at in 0..raws.len() {
        fill(&mut schema, &mut raws, TypeId(at as u32));
    }
    kinds(&mut schema, &lines)?;
    Ok(schema)
}

fn outline(lines: &[&'static str]) -> Result<Vec<Raw>, FactsError> {
    let mut raws: Vec<Raw> = Vec::with_capacity(1000);
    let mut package = "";
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with(' ') {
            let Some(raw) = raws.last_mut() else {
                return Err(FactsError { line: at + 1, why: "a field of no type" });
            };
            raw.lines.end = at + 1;
        } else if let Some(name) = line.strip_prefix("package ") {
            package = name;
        } else if let Some(rest) = line.strip_prefix("type ") {
            let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
            let atomic = words.split(' ').any(|word| word == "atomic");
            let unions = words.split(' ').find_map(|word| word.strip_prefix("union=")).unwrap_or_default();
            raws.push(Raw { package, name, atomic, unions, fields: Vec::new(), lines: at + 1..at + 1 });
        }
    }
    Ok(raws)
}

/// Gives a type its fields; the types that it embeds get theirs first.
fn fill(schema: &mut Schema, raws: &mut [Raw], id: TypeId) {
    let raw = &mut raws[id.0 as usize];
    if raw.fields.is_empty() {
        return;
    }
    let fields = std::mem::take(&mut raw.fields);
    let mut ty = raw.to_type();
    ty.fields.reserve(fields.len());
    for field in fields {
        match field {
            RawField::Plain(field) => ty.push(field),
            RawField::Embedded(embedded, number) => {
                fill(schema, raws, embedded);
                ty.push_inline(embedded, number, &schema.types[embedded.0 as usize]);
            }
        }
    }
    schema.types[id.0 as usize] = ty;
}

fn kinds(schema: &mut Schema, lines: &[&'static str]) -> Result<(), FactsError> {
    let (mut group, mut version, mut served) = ("", "", false);
    let mut kinds = Vec::with_capacity(256);
    for (at, line) in lines.iter().enumerate() {
        let mut words = line.split(' ');
        match words.next() {
            Some("gv") => {
                let name = words.next().unwrap_or_default();
                (group, version) = name.split_once('/').unwrap_or(("", name));
                served = words.next() == Some("served");
            }
            Some("kind") => {
                let wrong = |why| FactsError { line: at + 1, why };
                let kind = words.next().ok_or_else(|| wrong("a kind without a name"))?;
                let ty =
                    words.next().and_then(|name| schema.id_of(name)).ok_or_else(|| wrong("no such type"))?;
                let gvk = GroupVersionKind::new(group, version, kind);
                kinds.push(Kind { gvk, ty, list: words.next() == Some("list"), served });
            }
            Some("#") => {}
            _ => break,
        }
    }
    kinds.sort_by(|a, b| super::names(&a.gvk).cmp(&super::names(&b.gvk)));
    schema.kinds = kinds;
    Ok(())
}

/// A field's line, and where its names are looked up.
struct Line<'a> {
    schema: &'a Schema,
    package: &'static str,
    words: &'static str,
}

// === impl Raw ===

impl Raw {
    /// The type, still without fields.
    fn to_type(&self) -> Type {
        Type { atomic: self.atomic, unions: self.unions.into(), ..Type::new(self.package, self.name) }
    }
}

// === impl Line ===

impl Line<'_> {
    fn field(&self) -> Result<RawField, &'static str> {
        let mut words = self.words.trim_start().split(' ');
        let mut word = || words.next().ok_or("a word is missing");
        let (name, number, flags, shape) = (word()?, word()?, word()?, word()?);
        let number = if number == "-" { 0 } else { number.parse().map_err(|_| "the number is none")? };
        let shape = self.shape(shape)?;
        if flags.contains('i') {
            return match shape {
                Shape::Struct(id) => Ok(RawField::Embedded(id, number)),
                _ => Err("only structs are embedded"),
            };
        }
        let mut field = Field { number, omit: Omit::Never, ..Field::new(name, shape) };
        for flag in flags.chars() {
            match flag {
                'p' => field.pointer = true,
                'e' => field.omit = Omit::Empty,
                'o' => field.omit = Omit::Absent,
                'r' => field.required = true,
                'z' => field.zero_default = true,
                'y' => field.items_zero_default = true,
                '-' => {}
                _ => return Err("no such flag"),
            }
        }
        if field.omit == Omit::Empty {
            field.omit = match (field.pointer, field.shape.omits_empty()) {
                (true, _) => Omit::Absent,
                (false, true) => Omit::Empty,
                (false, false) => Omit::Never,
            };
        }
        for word in words {
            let (key, value) = word.split_once('=').ok_or("no value")?;
            set(&mut field, key, value)?;
        }
        Ok(RawField::Plain(field))
    }

    fn shape(&self, text: &'static str) -> Result<Shape, &'static str> {
        if let Some(of) = text.strip_prefix("[]!") {
            return Ok(Shape::Wrapped(Box::new(self.shape(of)?)));
        }
        if let Some(of) = text.strip_prefix("[]") {
            return Ok(Shape::List(Box::new(self.shape(of)?)));
        }
        if let Some(of) = text.strip_prefix("{}") {
            return Ok(Shape::Map(Box::new(self.shape(of)?)));
        }
        if let Some(name) = text.strip_prefix('&') {
            return self.id(name).map(Shape::Struct);
        }
        Ok(match text {
            "bool" => Shape::Bool,
            "int32" => Shape::Int32,
            "int64" => Shape::Int64,
            "float64" => Shape::Float,
            "string" => Shape::String,
            "bytes" => Shape::Bytes,
            "time" => Shape::Time,
            "microtime" => Shape::MicroTime,
            "quantity" => Shape::Quantity,
            "intorstring" => Shape::IntOrString,
            "raw" => Shape::Raw,
            "fieldsv1" => Shape::FieldsV1,
            "json" => Shape::Json,
            "any" => Shape::Any,
            "schemaorbool" => Shape::SchemaOr(SchemaOr::Bool, self.id("JSONSchemaProps")?),
            "schemaorarray" => Shape::SchemaOr(SchemaOr::Array, self.id("JSONSchemaProps")?),
            "schemaorstrings" => Shape::SchemaOr(SchemaOr::Strings, self.id("JSONSchemaProps")?),
            _ => return Err("no such shape"),
        })
    }

    fn id(&self, name: &str) -> Result<TypeId, &'static str> {
        let found = match name.strip_prefix('~') {
            Some(name) => self.schema.find(META_V1, name),
            None => match name.rsplit_once('.') {
                Some((package, name)) => self.schema.find(package, name),
                None => self.schema.find(self.package, name),
            },
        };
        found.map(|at| self.schema.by_name[at]).map_err(|_| "no such type")
    }
}

fn set(field: &mut Field, key: &str, value: &'static str) -> Result<(), &'static str> {
    let patch = |field: &mut Field| {
        field.patch.take().unwrap_or(Patch { strategy: Text::Borrowed(""), key: Text::Borrowed("") })
    };
    match key {
        "ps" => field.patch = Some(Patch { strategy: value.into(), ..patch(field) }),
        "pk" => field.patch = Some(Patch { key: value.into(), ..patch(field) }),
        "lt" => {
            field.list_type = Some(match value {
                "atomic" => ListType::Atomic,
                "set" => ListType::Set,
                "map" => ListType::Map,
                _ => return Err("no such list type"),
            });
        }
        "lk" => field.list_keys = value.into(),
        "mt" => (field.atomic, field.granular) = (value == "atomic", value == "granular"),
        "d" => field.default = Some(value.into()),
        "e" => field.enum_values = value.into(),
        "f" => field.format = Some(value.into()),
        _ => return Err("no such key"),
    }
    Ok(())
}
