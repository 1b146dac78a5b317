//! Where a decoder is, as its messages name it.

use crate::schema::{MemberOf, Schema, Type};

/// A place in a text, from the inside out.
pub(super) enum Path<'p> {
    /// The whole.
    Root,
    /// A field that the schema does not name.
    Key(&'p Path<'p>, &'p str),
    /// A field of a struct, by its index.
    Field(&'p Path<'p>, &'p Type, usize),
    /// A key of a map.
    Entry(&'p Path<'p>, &'p str),
    /// An item of a list.
    Index(&'p Path<'p>, usize),
}

// === impl Path ===

impl<'p> Path<'p> {
    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        Path::Key(self, key)
    }

    /// As strict decoding names it: `spec.containers[0].name`.
    pub(super) fn full(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Key(parent, key) | Path::Entry(parent, key) => parent.full_dot() + key,
            Path::Field(parent, ty, at) => parent.full_dot() + &ty.fields[*at].name,
            Path::Index(parent, index) => format!("{}[{index}]", parent.full()),
        }
    }

    fn full_dot(&self) -> String {
        match self {
            Path::Root => String::new(),
            _ => self.full() + ".",
        }
    }

    /// As Go's type errors name it: `spec.containers.name`, embedded structs included.
    pub(super) fn names(&self, schema: Option<&Schema>) -> String {
        match self {
            Path::Root => String::new(),
            Path::Key(parent, key) => parent.names_dot(schema) + key,
            Path::Field(parent, ty, at) => {
                let mut names = parent.names_dot(schema);
                embedded(ty, *at, schema, &mut names);
                names + &ty.fields[*at].name
            }
            Path::Index(parent, _) | Path::Entry(parent, _) => parent.names(schema),
        }
    }

    fn names_dot(&self, schema: Option<&Schema>) -> String {
        match self {
            Path::Root => String::new(),
            _ => self.names(schema) + ".",
        }
    }
}

/// Writes the names of the structs that the field comes from by embedding.
fn embedded(ty: &Type, at: usize, schema: Option<&Schema>, names: &mut String) {
    let field = &ty.fields[at];
    // The type meta has no number in protobuf, so the schema does not know it for an embedded struct.
    if field.number == 0 && matches!(field.name.as_str(), "kind" | "apiVersion") {
        names.push_str("TypeMeta.");
    }
    for member in &ty.members {
        let (MemberOf::Inline { ty: id, offset }, Some(schema)) = (member.of, schema) else { continue };
        let inner = schema.resolve(id).ty;
        let offset = usize::from(offset);
        if (offset..offset + inner.fields.len()).contains(&at) {
            names.push_str(&inner.name);
            names.push('.');
            embedded(inner, at - offset, Some(schema), names);
        }
    }
}
