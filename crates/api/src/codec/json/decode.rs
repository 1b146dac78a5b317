//! JSON to draft, in one pass along the schema.

use std::borrow::Cow;

use super::reader::Reader;
use crate::codec::{DecodeError, Decoded, FieldValidation, MAX_DEPTH, TypeMeta, base64, finish, time};
use crate::quantity::Quantity;
use crate::schema::{SchemaOr, Shape, Type, TypeId, TypeRef};
use crate::value::{Map, Str, Value};

/// Upstream stops collecting there.
const MAX_REPORTED: usize = 100;

type Read<T> = Result<T, DecodeError>;

/// Decodes an object of a known type.
pub fn decode(body: &[u8], ty: TypeRef, validation: FieldValidation) -> Read<Decoded> {
    let text = text_of(body);
    let mut decoder = Decoder::new(&text, Some(ty), validation);
    let draft = match decoder.reader.peek()? {
        b'{' => decoder.fields(ty.ty, &Path::Root)?,
        found => {
            let value = describe(found);
            let place = "value".to_owned();
            return Err(DecodeError::Type { value, place, want: ty.ty.name.to_string() });
        }
    };
    decoder.reader.end()?;
    finish(draft, decoder.reported, validation)
}

/// Decodes any JSON, without a schema; duplicate fields are reported.
pub fn decode_any(body: &[u8], validation: FieldValidation) -> Read<Decoded> {
    let text = text_of(body);
    let mut decoder = Decoder::new(&text, None, validation);
    let draft = decoder.any(&Path::Root)?;
    decoder.reader.end()?;
    finish(draft, decoder.reported, validation)
}

/// Reads the kind that a body says it is, and nothing else.
pub fn type_meta(body: &[u8]) -> Read<TypeMeta> {
    let text = text_of(body);
    let mut decoder = Decoder::new(&text, None, FieldValidation::Ignore);
    let mut meta = TypeMeta::default();
    let refuse = |error: DecodeError| {
        DecodeError::Syntax(format!("couldn't get version/kind; json parse error: {error}"))
    };
    if decoder.reader.peek().map_err(refuse)? != b'{' {
        let value = describe(text.trim_start().as_bytes()[0]);
        let want = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
        let place = "value".to_owned();
        return Err(refuse(DecodeError::Type { value, place, want: want.to_owned() }));
    }
    decoder.reader.open();
    let mut first = true;
    while let Some(key) = decoder.reader.key(first).map_err(refuse)? {
        first = false;
        let field = match &*key {
            "apiVersion" => &mut meta.api_version,
            "kind" => &mut meta.kind,
            _ => {
                decoder.skip().map_err(refuse)?;
                continue;
            }
        };
        match decoder.value(&Shape::String, &Path::Root.key(&key)).map_err(refuse)? {
            Value::String(text) => *field = text.into_string(),
            _ => field.clear(),
        }
    }
    decoder.reader.end().map_err(refuse)?;
    Ok(meta)
}

/// Invalid UTF-8 is replaced, as in Go.
fn text_of(body: &[u8]) -> Cow<'_, str> {
    // The strict check is much the faster one.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// The map of entries in any order, and the keys that came twice.
fn sorted(mut entries: Vec<(Str, Value)>) -> (Map, Vec<Str>) {
    if !entries.is_sorted_by(|a, b| a.0 < b.0) {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Map::from_entries(entries)
}

struct Decoder<'a> {
    reader: Reader<'a>,
    root: Option<TypeRef<'a>>,
    /// The struct whose field is being read, for messages.
    owner: &'a str,
    reporting: bool,
    reported: Vec<String>,
    depth: usize,
}

/// Where the decoder is, from the inside out.
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

// === impl Path ===

impl<'p> Path<'p> {
    fn key(&'p self, key: &'p str) -> Path<'p> {
        Path::Key(self, key)
    }

    /// As strict decoding names it: `spec.containers[0].name`.
    fn full(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Key(Path::Root, key) => (*key).to_owned(),
            Path::Key(parent, key) => format!("{}.{key}", parent.full()),
            Path::Index(parent, index) => format!("{}[{index}]", parent.full()),
        }
    }

    /// As Go's type errors name it: `spec.containers.name`.
    fn names(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Key(Path::Root, key) => (*key).to_owned(),
            Path::Key(parent, key) => format!("{}.{key}", parent.names()),
            Path::Index(parent, _) => parent.names(),
        }
    }
}

// === impl Decoder ===

impl<'a> Decoder<'a> {
    fn new(text: &'a str, root: Option<TypeRef<'a>>, validation: FieldValidation) -> Decoder<'a> {
        let reporting = validation != FieldValidation::Ignore;
        Decoder { reader: Reader::new(text), root, owner: "", reporting, reported: Vec::new(), depth: 0 }
    }

    fn report(&mut self, what: &str, path: &Path) {
        if self.reporting && self.reported.len() < MAX_REPORTED {
            let line = format!("{what} {:?}", path.full());
            if !self.reported.contains(&line) {
                self.reported.push(line);
            }
        }
    }

    fn mismatch<T>(&self, value: String, shape: &Shape, path: &Path) -> Read<T> {
        let place = match path {
            Path::Root => "value".to_owned(),
            _ => format!("struct field {}.{}", self.owner, path.names()),
        };
        Err(DecodeError::Type { value, place, want: self.go_type(shape) })
    }

    fn go_type(&self, shape: &Shape) -> String {
        match shape {
            Shape::Bool => "bool".to_owned(),
            Shape::Int32 => "int32".to_owned(),
            Shape::Int64 => "int64".to_owned(),
            Shape::Float => "float64".to_owned(),
            Shape::Bytes => "[]uint8".to_owned(),
            Shape::List(of) | Shape::Wrapped(of) => format!("[]{}", self.go_type(of)),
            Shape::Map(of) => format!("map[string]{}", self.go_type(of)),
            Shape::Struct(id) | Shape::SchemaOr(_, id) => match self.root {
                Some(root) => {
                    let ty = root.schema.resolve(*id).ty;
                    let package = ty.package.rsplit('.').next().unwrap_or_default();
                    format!("{package}.{}", ty.name)
                }
                None => "map[string]interface {}".to_owned(),
            },
            _ => "string".to_owned(),
        }
    }

    fn deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(DecodeError::Depth) } else { Ok(()) }
    }

    /// The value of a field or item; null as it is.
    fn value(&mut self, shape: &Shape, path: &Path) -> Read<Value> {
        let first = self.reader.peek()?;
        if first == b'n' {
            self.reader.word("null")?;
            return Ok(Value::Null);
        }
        match (shape, first) {
            (Shape::Bool, b't' | b'f') => self.bool(first),
            (Shape::Int32 | Shape::Int64, b'-' | b'0'..=b'9') => self.int(shape, path),
            (Shape::Float, b'-' | b'0'..=b'9') => {
                let number = self.reader.number()?;
                match number.parse::<f64>() {
                    Ok(float) if float.is_finite() => Ok(Value::Float(float)),
                    _ => self.mismatch(format!("number {number}"), shape, path),
                }
            }
            (Shape::String, b'"') => self.text(),
            (Shape::Bytes | Shape::Time | Shape::MicroTime | Shape::IntOrString, b'"') => {
                self.formatted(shape)
            }
            (Shape::IntOrString, b'-' | b'0'..=b'9') => self.int(&Shape::Int32, path),
            (Shape::Quantity, _) => self.quantity(first),
            (Shape::Raw | Shape::FieldsV1 | Shape::Json, _) => self.opaque(path),
            (Shape::Any, _) => self.any(path),
            (Shape::Struct(id), b'{') => self.under(*id, path),
            (Shape::List(of) | Shape::Wrapped(of), b'[') => self.list(of, path),
            (Shape::Map(of), b'{') => self.map(of, path),
            (Shape::SchemaOr(or, id), _) => self.schema_or(*or, *id, first, path),
            _ => self.mismatch(describe(first), shape, path),
        }
    }

    fn bool(&mut self, first: u8) -> Read<Value> {
        self.reader.word(if first == b't' { "true" } else { "false" })?;
        Ok(Value::Bool(first == b't'))
    }

    fn text(&mut self) -> Read<Value> {
        Ok(Value::String(match self.reader.string()? {
            Cow::Borrowed(text) => Str::new(text),
            Cow::Owned(text) => Str::from(text),
        }))
    }

    fn int(&mut self, shape: &Shape, path: &Path) -> Read<Value> {
        let number = self.reader.number()?;
        let int = match shape {
            Shape::Int32 => number.parse::<i32>().map(i64::from),
            _ => number.parse::<i64>(),
        };
        match int {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => self.mismatch(format!("number {number}"), shape, path),
        }
    }

    /// A string that has to have a form.
    fn formatted(&mut self, shape: &Shape) -> Read<Value> {
        let text = self.reader.string()?;
        let parsed = match shape {
            Shape::Bytes => base64::decode(&text).map(|bytes| base64::encode(&bytes)),
            Shape::Time if time::is_canonical(&text) => Ok(text.into_owned()),
            Shape::Time => time::parse(&text).map(time::seconds_text),
            Shape::MicroTime => time::parse(&text).map(time::micros_text),
            _ => Ok(text.into_owned()),
        };
        parsed.map(Value::from).map_err(DecodeError::Value)
    }

    fn quantity(&mut self, first: u8) -> Read<Value> {
        let text = match first {
            b'"' => self.reader.string()?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(self.reader.number()?),
            // Upstream parses the raw text of whatever stands there.
            _ => Cow::Borrowed("?"),
        };
        match Quantity::canonical(text.trim()) {
            Ok(canonical) => Ok(Value::String(Str::from(canonical))),
            Err(error) => Err(DecodeError::Value(error.to_string())),
        }
    }

    /// JSON that the schema does not look into; nor does strict decoding.
    fn opaque(&mut self, path: &Path) -> Read<Value> {
        let reporting = std::mem::replace(&mut self.reporting, false);
        let value = self.any(path);
        self.reporting = reporting;
        value
    }

    fn schema_or(&mut self, or: SchemaOr, id: TypeId, first: u8, path: &Path) -> Read<Value> {
        // Upstream's own decoders of these types are never strict.
        let reporting = std::mem::replace(&mut self.reporting, false);
        let value = match (or, first) {
            (_, b'{') => self.under(id, path),
            (SchemaOr::Bool, b't' | b'f') => self.bool(first),
            (SchemaOr::Bool, _) => Err(DecodeError::Value("boolean or JSON schema expected".to_owned())),
            (SchemaOr::Array, b'[') => self.list(&Shape::Struct(id), path),
            (SchemaOr::Strings, b'[') => self.list(&Shape::String, path),
            _ => self.skip().map(|()| Value::Null),
        };
        self.reporting = reporting;
        value
    }

    fn under(&mut self, id: TypeId, path: &Path) -> Read<Value> {
        match self.root {
            Some(root) => self.fields(root.schema.resolve(id).ty, path),
            None => self.any(path),
        }
    }

    /// The fields of a struct whose brace `peek` saw.
    fn fields(&mut self, ty: &'a Type, path: &Path) -> Read<Value> {
        self.deeper()?;
        self.reader.open();
        let mut entries: Vec<(Str, Value)> = Vec::new();
        let mut seen = Seen::default();
        let (mut first, mut hint) = (true, 0);
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let path = path.key(&key);
            let Some(at) = ty.index_near(&key, hint) else {
                self.unnamed(ty, &key, &path, &mut entries)?;
                continue;
            };
            hint = at + 1;
            if !seen.insert(at) {
                self.report("duplicate field", &path);
            }
            let field = &ty.fields[at];
            let owner = std::mem::replace(&mut self.owner, &ty.name);
            let value = self.value(&field.shape, &path)?;
            self.owner = owner;
            if field.holds(&value) {
                entries.push((field.name.clone(), value));
            } else if !value.is_null() {
                // Absent, also when it was there before.
                entries.retain(|(name, _)| *name != field.name);
            }
        }
        self.depth -= 1;
        let (map, duplicates) = sorted(entries);
        if ty.open {
            for key in duplicates {
                self.report("duplicate field", &path.key(&key));
            }
        }
        Ok(Value::Map(map))
    }

    /// A field that the schema does not name.
    fn unnamed(&mut self, ty: &Type, key: &str, path: &Path, entries: &mut Vec<(Str, Value)>) -> Read<()> {
        if ty.open {
            let value = self.any(path)?;
            entries.push((Str::new(key), value));
            return Ok(());
        }
        self.report("unknown field", path);
        self.skip()
    }

    fn list(&mut self, of: &Shape, path: &Path) -> Read<Value> {
        self.deeper()?;
        self.reader.open();
        let mut items = Vec::new();
        while self.reader.item(items.is_empty())? {
            let value = self.value(of, &Path::Index(path, items.len()))?;
            items.push(if value.is_null() { zero(of) } else { value });
        }
        self.depth -= 1;
        Ok(Value::List(items))
    }

    fn map(&mut self, of: &Shape, path: &Path) -> Read<Value> {
        self.deeper()?;
        self.reader.open();
        let mut entries: Vec<(Str, Value)> = Vec::new();
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let value = self.value(of, &path.key(&key))?;
            entries.push((Str::new(&key), if value.is_null() { zero(of) } else { value }));
        }
        self.depth -= 1;
        let (map, duplicates) = sorted(entries);
        for key in duplicates {
            self.report("duplicate field", &path.key(&key));
        }
        Ok(Value::Map(map))
    }

    /// Any value, integers kept as such.
    fn any(&mut self, path: &Path) -> Read<Value> {
        match self.reader.peek()? {
            b'n' => self.reader.word("null").map(|()| Value::Null),
            first @ (b't' | b'f') => self.bool(first),
            b'"' => self.text(),
            b'[' => self.list(&Shape::Any, path),
            b'{' => self.map(&Shape::Any, path),
            _ => {
                let number = self.reader.number()?;
                match (number.parse::<i64>(), number.parse::<f64>()) {
                    (Ok(int), _) => Ok(Value::Int(int)),
                    (_, Ok(float)) if float.is_finite() => Ok(Value::Float(float)),
                    _ => self.mismatch(format!("number {number}"), &Shape::Float, path),
                }
            }
        }
    }

    /// Past the next value, whatever it is.
    fn skip(&mut self) -> Read<()> {
        match self.reader.peek()? {
            b'n' => self.reader.word("null"),
            first @ (b't' | b'f') => self.bool(first).map(|_| ()),
            b'"' => self.reader.string().map(|_| ()),
            b'[' => {
                self.deeper()?;
                self.reader.open();
                let mut first = true;
                while self.reader.item(std::mem::take(&mut first))? {
                    self.skip()?;
                }
                self.depth -= 1;
                Ok(())
            }
            b'{' => {
                self.deeper()?;
                self.reader.open();
                let mut first = true;
                while self.reader.key(std::mem::take(&mut first))?.is_some() {
                    self.skip()?;
                }
                self.depth -= 1;
                Ok(())
            }
            _ => self.reader.number().map(|_| ()),
        }
    }
}

/// What Go calls the value that begins with this byte.
fn describe(first: u8) -> String {
    match first {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "bool",
        b'n' => "null",
        _ => "number",
    }
    .to_owned()
}

/// What Go makes of a null among items or values.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::IntOrString => Value::Int(0),
        Shape::Float => Value::Float(0.0),
        Shape::String => Value::String(Str::default()),
        Shape::Quantity => "0".into(),
        Shape::Struct(_) => Value::map(),
        _ => Value::Null,
    }
}

/// Which fields of a struct have been read.
#[derive(Default)]
struct Seen {
    few: u128,
    more: Vec<usize>,
}

// === impl Seen ===

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, at: usize) -> bool {
        if at < 128 {
            let bit = 1 << at;
            let new = self.few & bit == 0;
            self.few |= bit;
            return new;
        }
        let new = !self.more.contains(&at);
        if new {
            self.more.push(at);
        }
        new
    }
}
