//! Cells, and how they are computed from an object.

use std::borrow::Cow;
use std::cell::OnceCell;

use decapod_api::raw;
use jiff::Timestamp;

use super::functions;
use super::json::Json;
use super::path::Path;
use super::pods::Summary;

/// What is in one column of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// An integer.
    Int(i64),
    /// A number or flag, as its JSON.
    Raw(&'a [u8]),
}

/// An object, and when it is looked at. What several of its cells need is found once.
pub struct Row<'a> {
    /// The wall clock's time.
    pub now: Timestamp,
    /// The fields of the object, as raw names and values.
    fields: Vec<(&'a [u8], &'a [u8])>,
    /// Of pods: what their containers are at.
    pub pod: OnceCell<Summary<'a>>,
}

/// Computes a cell; `None` is for what is absent.
pub type Function = for<'a> fn(&Row<'a>, &[Path]) -> Option<Cell<'a>>;

/// How a cell comes about: see `columns.txt`.
#[derive(Clone, Debug)]
pub struct Rule {
    how: How,
    /// What the cell is when all that it is made of is absent.
    absent: Cell<'static>,
    /// Whether an empty text is the same as an absent one.
    empty_is_absent: bool,
}

#[derive(Clone, Debug)]
enum How {
    Path(Path),
    Template(Vec<Piece>),
    Function(Function, Vec<Path>),
}

#[derive(Clone, Debug)]
enum Piece {
    Text(&'static str),
    /// A value, and what is shown in its place when it is absent.
    Value(Path, &'static str),
}

// === impl Cell ===

impl<'a> Cell<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Cell<'a> {
        Cell::Text(text.into())
    }

    /// Writes it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            // A text always has a JSON form.
            Cell::Text(text) => serde_json::to_writer(out, text).unwrap_or_default(),
            Cell::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Raw(raw) => out.extend_from_slice(raw),
        }
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    /// A row of the object with this canonical JSON.
    pub fn new(object: &'a [u8], now: Timestamp) -> Row<'a> {
        Row { now, fields: raw::fields(object).into_iter().flatten().collect(), pod: OnceCell::new() }
    }

    /// The value of one field of the object.
    pub fn key(&self, name: &str) -> Json<'a> {
        let is = |key: &[u8]| {
            key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")) == Some(name.as_bytes())
        };
        Json::new(self.fields.iter().find(|(key, _)| is(key)).map(|(_, value)| *value))
    }

    /// The value at a path of field names joined by dots.
    pub fn at(&self, path: &str) -> Json<'a> {
        match path.split_once('.') {
            Some((first, rest)) => self.key(first).at(rest),
            None => self.key(path),
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Reads what `columns.txt` says of a column of this type.
    pub fn parse(text: &'static str, kind: &str) -> Result<Rule, String> {
        let (how, absent, empty_is_absent) = match (text.split_once(" ?? "), text.split_once(" ?: ")) {
            (Some((how, absent)), _) => (how, literal(absent), false),
            (None, Some((how, absent))) => (how, literal(absent), true),
            (None, None) if text.starts_with("age(") => (text, Cell::text("<unknown>"), false),
            (None, None) => (text, zero(kind), false),
        };
        let path = |text: &str| Path::parse(text).map_err(|error| format!("{text}: {error}"));
        let how = match how.split_once('(') {
            _ if how.starts_with('.') => How::Path(path(how)?),
            _ if how.contains('{') => How::Template(pieces(how)?),
            function => {
                let (name, arguments) = function.unwrap_or((how, ")"));
                let arguments =
                    arguments.strip_suffix(')').ok_or_else(|| format!("{how}: no closing bracket"))?;
                let arguments = arguments.split(", ").filter(|argument| !argument.is_empty()).map(path);
                let function = functions::named(name).ok_or_else(|| format!("no function {name}"))?;
                How::Function(function, arguments.collect::<Result<_, _>>()?)
            }
        };
        Ok(Rule { how, absent, empty_is_absent })
    }

    /// The cell of an object.
    pub fn cell<'a>(&self, row: &Row<'a>) -> Cell<'a> {
        let found = match &self.how {
            How::Path(path) => value(path.first(row)),
            How::Function(function, paths) => function(row, paths),
            How::Template(pieces) => filled(pieces, row),
        };
        let counts = |cell: &Cell| !self.empty_is_absent || *cell != Cell::text("");
        found.filter(counts).unwrap_or_else(|| self.absent.clone())
    }
}

/// A value as it is: texts as texts, numbers and flags as their JSON.
fn value(json: Json<'_>) -> Option<Cell<'_>> {
    let raw = json.raw()?;
    Some(match json.text() {
        Some(text) => Cell::Text(text),
        None => Cell::Raw(raw),
    })
}

fn filled<'a>(pieces: &[Piece], row: &Row<'a>) -> Option<Cell<'a>> {
    let (mut text, mut found, mut without) = (String::new(), false, true);
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Value(path, absent) => {
                let shown = path.first(row).shown();
                found |= shown.is_some();
                without &= absent.is_empty();
                text.push_str(&shown.unwrap_or(Cow::Borrowed(absent)));
            }
        }
    }
    (found || !without).then(|| Cell::text(text))
}

/// The pieces of a text such as `{.a:0}/{.b:0}`.
fn pieces(text: &'static str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or_else(|| format!("{text}: no closing brace"))?;
        let (path, absent) = inside.split_once(':').unwrap_or((inside, ""));
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Value(Path::parse(path).map_err(|error| format!("{path}: {error}"))?, absent));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// What follows `??`: a number, a flag, a quoted text, or a text.
fn literal(text: &'static str) -> Cell<'static> {
    match text {
        "true" | "false" => Cell::Raw(text.as_bytes()),
        _ if text.parse::<i64>().is_ok() => Cell::Raw(text.as_bytes()),
        _ => Cell::text(text.trim_matches('"')),
    }
}

/// What an absent value of a column's type is.
fn zero(kind: &str) -> Cell<'static> {
    match kind {
        "integer" | "number" => Cell::Raw(b"0"),
        "boolean" => Cell::Raw(b"false"),
        _ => Cell::text(""),
    }
}
