//! The columns of each kind, read from `columns.txt`.

use std::collections::HashMap;
use std::sync::LazyLock;

use decapod_api::meta::GroupVersionKind;
use serde_json::json;

use super::cell::{Row, Rule};

/// A column.
pub struct Column {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    priority: i32,
    description: &'static str,
    rule: Rule,
}

/// The columns of a kind.
pub struct Columns(Vec<Column>);

const TABLE: &str = include_str!("columns.txt");
const NAME: &str = "Name | string name | 0 | .metadata.name | Name of the object.";
const AGE: &str = "Age | string | 0 | age(.metadata.creationTimestamp) | Time since the object was made.";

/// By kind and group, as `columns.txt` writes them; the empty name is for all others.
static KINDS: LazyLock<HashMap<&'static str, &'static Columns>> = LazyLock::new(|| {
    // The table is part of the program and tested whole, so a broken line is a broken build.
    parse(TABLE).unwrap_or_else(|error| panic!("columns.txt: {error}"))
});

fn parse(table: &'static str) -> Result<HashMap<&'static str, &'static Columns>, String> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut sections: Vec<(&'static str, Vec<Column>)> = Vec::new();
    for line in lines {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(kinds) => sections.push((kinds, Vec::new())),
            None => sections.last_mut().ok_or("a column of no kind")?.1.push(Column::parse(line)?),
        }
    }
    let mut kinds = HashMap::new();
    for (names, columns) in sections {
        // They live as long as the program; leaking them lets them be shared.
        let columns: &'static Columns = Box::leak(Box::new(Columns(columns)));
        kinds.extend(names.split(' ').map(|name| (name, columns)));
    }
    Ok(kinds)
}

// === impl Columns ===

impl Columns {
    /// The columns of a kind; they are the same in all its versions.
    pub fn of(kind: &GroupVersionKind) -> &'static Columns {
        let dot = if kind.group.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}", kind.kind, kind.group);
        KINDS.get(name.as_str()).unwrap_or(&KINDS[""])
    }

    /// Writes their definitions as a JSON list.
    pub fn write(&self, out: &mut Vec<u8>) {
        let definition = |column: &Column| {
            json!({
                "name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        };
        let definitions: Vec<_> = self.0.iter().map(definition).collect();
        out.extend_from_slice(serde_json::Value::from(definitions).to_string().as_bytes());
    }

    /// Writes the cells of an object as a JSON list.
    pub fn write_cells(&self, row: &Row, out: &mut Vec<u8>) {
        for (i, column) in self.0.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            column.rule.cell(row).write(out);
        }
        out.push(b']');
    }
}

// === impl Column ===

impl Column {
    fn parse(line: &'static str) -> Result<Column, String> {
        let line = match line {
            "Name" => NAME,
            "Age" => AGE,
            line => line,
        };
        let parts: Vec<&'static str> = line.split(" | ").collect();
        let &[name, kind, priority, how, description] = parts.as_slice() else {
            return Err(format!("a column has five parts: {line}"));
        };
        let (kind, format) = kind.split_once(' ').unwrap_or((kind, ""));
        let priority = priority.parse().map_err(|_| format!("no priority: {line}"))?;
        Ok(Column { name, kind, format, priority, description, rule: Rule::parse(how, kind)? })
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::kinds::BUILT_IN;

    use super::*;

    #[test]
    fn every_section_is_of_a_kind_that_is_served() {
        let mut names: Vec<String> = vec![String::new(), "Scale.autoscaling".to_owned()];
        names.extend(BUILT_IN.iter().map(|row| match row.group.as_ref() {
            "" => row.kind.to_string(),
            group => format!("{}.{group}", row.kind),
        }));
        for name in parse(TABLE).expect("the table").keys() {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
