//! The columns of custom resources, as their definitions say
//! (k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor).

use std::borrow::Cow;

use decapod_api::custom::{Column, Custom};
use jiff::Timestamp;
use serde_json::json;

use super::cell::{Cell, Row};
use super::duration;
use super::json::Json;
use super::path::Path;

/// The columns of a version, the first of which is the name.
pub struct Columns<'c>(Vec<(&'c Column, Option<Path>)>);

// === impl Columns ===

impl<'c> Columns<'c> {
    /// The columns of a version.
    pub fn of(custom: &'c Custom) -> Columns<'c> {
        Columns(custom.columns.iter().map(|column| (column, Path::parse(&column.path).ok())).collect())
    }

    /// Writes their definitions as a JSON list.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = json!({
            "name": "Name", "type": "string", "format": "name", "description": "Name of the object.", "priority": 0,
        });
        let definition = |(column, _): &(&Column, _)| {
            json!({
                "name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        };
        let all: Vec<_> = std::iter::once(name).chain(self.0.iter().map(definition)).collect();
        out.extend_from_slice(serde_json::Value::from(all).to_string().as_bytes());
    }

    /// Writes the cells of an object as a JSON list.
    pub fn write_cells(&self, row: &Row, out: &mut Vec<u8>) {
        out.push(b'[');
        Cell::Text(row.at("metadata.name").str()).write(out);
        for (column, path) in &self.0 {
            out.push(b',');
            let found = path.as_ref().map_or(Json::new(None), |path| path.first(row));
            match cell(&column.kind, found, row.now) {
                Some(cell) => cell.write(out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b']');
    }
}

fn cell<'a>(kind: &str, value: Json<'a>, now: Timestamp) -> Option<Cell<'a>> {
    let raw = value.raw()?;
    let number = || std::str::from_utf8(raw).ok()?.parse::<f64>().ok();
    match kind {
        "string" => value.shown().map(Cell::Text),
        "integer" => value.int().or_else(|| number().map(|float| float as i64)).map(Cell::Int),
        "number" => number().map(|_| Cell::Raw(raw)),
        "boolean" => matches!(raw, b"true" | b"false").then_some(Cell::Raw(raw)),
        "date" => {
            let text = value.text()?;
            let then = text.parse::<Timestamp>();
            Some(Cell::Text(
                then.map_or(Cow::Borrowed("<invalid>"), |then| duration::between(then, now).into()),
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_of_the_type_of_their_column() {
        let object = br#"{"metadata":{"name":"a"},"s":"x","l":[1,"b"],"i":3,"f":2.5,"b":true,"d":"1970-01-01T00:00:00Z","n":null}"#;
        let now = Timestamp::from_second(90).expect("time");
        let row = Row::new(object, now);
        let table = [
            ("string", ".s", "\"x\""),
            ("string", ".l", "\"[1,\\\"b\\\"]\""),
            ("string", ".i", "\"3\""),
            ("integer", ".i", "3"),
            ("integer", ".f", "2"),
            ("integer", ".s", "null"),
            ("number", ".f", "2.5"),
            ("boolean", ".b", "true"),
            ("date", ".d", "\"90s\""),
            ("date", ".s", "\"<invalid>\""),
            ("string", ".n", "null"),
            ("string", ".none", "null"),
        ];
        for (kind, path, expected) in table {
            let found = Path::parse(path).expect(path).first(&row);
            let mut out = Vec::new();
            match cell(kind, found, now) {
                Some(cell) => cell.write(&mut out),
                None => out.extend_from_slice(b"null"),
            }
            assert_eq!(String::from_utf8_lossy(&out), expected, "{kind} {path}");
        }
    }
}
