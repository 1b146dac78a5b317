//! JSON to draft, in one pass along the schema.

use std::borrow::Cow;

use super::path::Path;
use super::reader::Reader;
use crate::codec::{DecodeError, Decoded, FieldValidation, MAX_DEPTH, TypeMeta, base64, finish, text, time};
use crate::quantity::Quantity;
use crate::schema::{SchemaOr, Shape, Type, TypeId, TypeRef};
use crate::value::{Map, Str, Value};

/// Upstream stops collecting there.
const MAX_REPORTED: usize = 100;

/// What Go calls the struct that it reads the kind of a body into.
const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

type Read<T> = Result<T, DecodeError>;

/// Decodes an object of a known type.
pub fn decode(body: &[u8], ty: TypeRef, validation: FieldValidation) -> Read<Decoded> {
    let text = text::of_bytes(body);
    let mut decoder = Decoder::new(&text, Some(ty), validation);
    let draft = decoder.object(ty.ty).map_err(|error| syntax_first(error, body))?;
    finish(draft, decoder.reported, validation)
}

/// Decodes any JSON, without a schema; duplicate fields are reported.
pub fn decode_any(body: &[u8], validation: FieldValidation) -> Read<Decoded> {
    let text = text::of_bytes(body);
    let mut decoder = Decoder::new(&text, None, validation);
    let draft =
        decoder.whole(|decoder| decoder.any(&Path::Root)).map_err(|error| syntax_first(error, body))?;
    finish(draft, decoder.reported, validation)
}

/// Reads the kind that a body says it is, and nothing else.
pub fn type_meta(body: &[u8]) -> Read<TypeMeta> {
    let text = text::of_bytes(body);
    let meta = read_type_meta(&text).map_err(|error| syntax_first(error, body));
    meta.map_err(|error| DecodeError::Syntax(format!("couldn't get version/kind; json parse error: {error}")))
}

fn read_type_meta(text: &str) -> Read<TypeMeta> {
    let mut decoder = Decoder::new(text, None, FieldValidation::Ignore);
    let mut meta = TypeMeta::default();
    decoder.whole(|decoder| decoder.type_meta(&mut meta))?;
    Ok(meta)
}

/// Upstream looks for errors of syntax in the whole text before it looks at any type, and does so byte by byte: its
/// messages show a byte past ASCII as if it were a character.
fn syntax_first(error: DecodeError, body: &[u8]) -> DecodeError {
    let latin: String = body.iter().map(|byte| char::from(*byte)).collect();
    let mut decoder = Decoder::new(&latin, None, FieldValidation::Ignore);
    match decoder.skip().and_then(|()| decoder.reader.end()) {
        Err(syntax) => syntax,
        Ok(()) => error,
    }
}

/// That a text is JSON.
pub fn check(text: &str) -> Read<()> {
    let mut decoder = Decoder::new(text, None, FieldValidation::Ignore);
    decoder.skip()?;
    decoder.reader.end()
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
    /// The first value of a wrong type: upstream goes on, for an error of a type's own decoder comes first.
    mismatched: Option<DecodeError>,
    depth: usize,
}

// === impl Decoder ===

impl<'a> Decoder<'a> {
    fn new(text: &'a str, root: Option<TypeRef<'a>>, validation: FieldValidation) -> Decoder<'a> {
        let reporting = validation != FieldValidation::Ignore;
        let reader = Reader::new(text);
        Decoder { reader, root, owner: "", reporting, reported: Vec::new(), mismatched: None, depth: 0 }
    }

    fn report(&mut self, what: &str, path: &Path) {
        if self.reporting && self.reported.len() < MAX_REPORTED {
            let line = format!("{what} {}", text::quote(&path.full()));
            if !self.reported.contains(&line) {
                self.reported.push(line);
            }
        }
    }

    /// Notes that the value that was just read is of the wrong type, and leaves it out.
    fn mismatch(&mut self, value: String, shape: &Shape, path: &Path) -> Read<Value> {
        let error = self.wrong(value, shape, path);
        match shape {
            // These decode themselves in Go.
            Shape::Time | Shape::MicroTime | Shape::IntOrString => Err(error),
            _ => {
                self.mismatched.get_or_insert(error);
                Ok(Value::Null)
            }
        }
    }

    fn wrong(&self, value: String, shape: &Shape, path: &Path) -> DecodeError {
        let place = match path {
            Path::Root => "value".to_owned(),
            _ => format!("struct field {}.{}", self.owner, path.names(self.root.map(|root| root.schema))),
        };
        DecodeError::Type { value, place, want: self.go_type(shape) }
    }

    /// The whole text.
    fn whole(&mut self, read: impl FnOnce(&mut Self) -> Read<Value>) -> Read<Value> {
        let draft = read(self)?;
        self.reader.end()?;
        self.mismatched.take().map_or(Ok(draft), Err)
    }

    fn go_type(&self, shape: &Shape) -> String {
        match shape {
            Shape::Bool => "bool".to_owned(),
            Shape::Int32 => "int32".to_owned(),
            Shape::Int64 => "int64".to_owned(),
            Shape::Float => "float64".to_owned(),
            Shape::Bytes => "[]uint8".to_owned(),
            Shape::Any => "interface {}".to_owned(),
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
            (Shape::Time | Shape::MicroTime | Shape::IntOrString, b'"') => self.formatted(shape),
            (Shape::Bytes, b'"') => self.bytes(),
            (Shape::Bytes, b'[') => self.byte_list(path),
            (Shape::IntOrString, _) => self.int_or_string(path),
            (Shape::Quantity, _) => self.quantity(first),
            (Shape::Raw | Shape::FieldsV1 | Shape::Json, _) => self.opaque(path),
            (Shape::Any, _) => self.any(path),
            (Shape::Struct(id), b'{') => self.under(*id, path),
            (Shape::List(of) | Shape::Wrapped(of), b'[') => self.list(of, path),
            (Shape::Map(of), b'{') => self.map(of, path),
            (Shape::SchemaOr(or, id), _) => self.schema_or(*or, *id, first, path),
            _ => {
                self.skip()?;
                self.mismatch(describe(first), shape, path)
            }
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

    /// A number, or whatever else Go then says is none.
    fn int_or_string(&mut self, path: &Path) -> Read<Value> {
        let before = self.mismatched.take();
        let value = self.value(&Shape::Int32, path)?;
        match std::mem::replace(&mut self.mismatched, before) {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }

    /// A string that has to have a form.
    fn formatted(&mut self, shape: &Shape) -> Read<Value> {
        let text = self.reader.string()?;
        let parsed = match shape {
            Shape::Time if time::is_canonical(&text) => Ok(text.into_owned()),
            Shape::Time => time::parse(&text).map(time::seconds_text),
            Shape::MicroTime => time::parse_micros(&text).map(time::micros_text),
            _ => Ok(text.into_owned()),
        };
        parsed.map(Value::from).map_err(DecodeError::Value)
    }

    fn bytes(&mut self) -> Read<Value> {
        match base64::decode(&self.reader.string()?) {
            Ok(bytes) => Ok(base64::encode(&bytes).into()),
            Err(error) => {
                self.mismatched.get_or_insert(DecodeError::Value(error));
                Ok(Value::Null)
            }
        }
    }

    /// Go takes a list of small numbers for bytes, too.
    fn byte_list(&mut self, path: &Path) -> Read<Value> {
        let before = self.mismatched.is_some();
        let list = self.list(&Shape::Int64, path)?;
        let numbers = list.as_list().unwrap_or_default().iter().filter_map(Value::as_int);
        let bytes: Result<Vec<u8>, i64> =
            numbers.map(|number| u8::try_from(number).map_err(|_| number)).collect();
        match (bytes, &mut self.mismatched) {
            (_, Some(DecodeError::Type { want, .. })) if !before => *want = "uint8".to_owned(),
            (Ok(bytes), _) => return Ok(base64::encode(&bytes).into()),
            (Err(number), _) => {
                let value = format!("number {number}");
                let DecodeError::Type { value, place, .. } = self.wrong(value, &Shape::Bytes, path) else {
                    return Ok(Value::Null);
                };
                self.mismatched.get_or_insert(DecodeError::Type { value, place, want: "uint8".to_owned() });
            }
        }
        Ok(Value::Null)
    }

    fn quantity(&mut self, first: u8) -> Read<Value> {
        // Upstream parses the raw text of whatever stands there, escapes and all.
        let text = match first {
            b'"' => match self.reader.string()? {
                Cow::Borrowed(text) => text,
                Cow::Owned(_) => "?",
            },
            b'-' | b'0'..=b'9' => self.reader.number()?,
            _ => "?",
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

    /// Kind and version of an object; null has none.
    fn type_meta(&mut self, meta: &mut TypeMeta) -> Read<Value> {
        match self.reader.peek()? {
            b'{' => self.reader.open(),
            b'n' => return self.skip().map(|()| Value::Null),
            found => {
                let (value, place) = (describe(found), "value".to_owned());
                return Err(DecodeError::Type { value, place, want: TYPE_META.to_owned() });
            }
        }
        let mut first = true;
        while let Some(key) = self.reader.key(std::mem::take(&mut first))? {
            // Upstream minds no case here.
            let (name, field) = match key.to_ascii_lowercase().as_str() {
                "apiversion" => ("apiVersion", &mut meta.api_version),
                "kind" => ("kind", &mut meta.kind),
                _ => {
                    self.skip()?;
                    continue;
                }
            };
            if let Value::String(text) = self.value(&Shape::String, &Path::Root.key(name))? {
                *field = text.into_string();
            }
        }
        Ok(Value::Null)
    }

    /// The whole text as an object of this type; null is an empty one.
    fn object(&mut self, ty: &'a Type) -> Read<Value> {
        self.whole(|decoder| match decoder.reader.peek()? {
            b'{' => decoder.fields(ty, &Path::Root),
            b'n' => decoder.skip().map(|()| Value::map()),
            found => {
                let (value, place) = (describe(found), "value".to_owned());
                Err(DecodeError::Type { value, place, want: ty.name.to_string() })
            }
        })
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
            let Some(at) = ty.index_near(&key, hint) else {
                self.unnamed(ty, &key, &path.key(&key), &mut entries)?;
                continue;
            };
            let path = Path::Field(path, ty, at);
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
            let value = self.value(of, &Path::Entry(path, &key))?;
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
        Shape::Time => time::ZERO_TEXT.into(),
        Shape::MicroTime => time::ZERO_MICROS_TEXT.into(),
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
