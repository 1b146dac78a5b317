//! Where a patch is in the schema, and what the schema says of patching there.

use crate::patch::Refused;
use crate::schema::{Field, Shape, TypeRef};

/// A place in the schema.
#[derive(Clone, Copy)]
pub(super) struct Place<'s> {
    root: TypeRef<'s>,
    /// What is there; the root's own struct if nothing else.
    shape: Option<&'s Shape>,
}

/// How a field is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Nothing is said.
    None,
    Merge,
    Replace,
}

// === impl Place ===

impl<'s> Place<'s> {
    pub(super) fn root(root: TypeRef<'s>) -> Place<'s> {
        Place { root, shape: None }
    }

    fn lookup(&self, name: &str) -> Result<&'s Field, Refused> {
        let ty = match self.shape {
            None => self.root,
            Some(Shape::Struct(id)) => self.root.schema.resolve(*id),
            Some(other) => {
                let found = go_kind(other);
                let why =
                    format!("merging an object in json but data type is not struct, instead is: {found}");
                return Err(Refused::Unfit(why));
            }
        };
        ty.field(name).ok_or_else(|| {
            let why =
                format!("unable to find api field in struct {} for the json field \"{name}\"", ty.ty.name);
            Refused::Unfit(why)
        })
    }

    /// The place of a field, and how it is patched.
    pub(super) fn field(&self, name: &str) -> Result<(Place<'s>, Strategy), Refused> {
        let field = self.lookup(name)?;
        Ok((Place { root: self.root, shape: Some(&field.shape) }, strategy(field)))
    }

    /// The place of the items of a list, how it is patched, and the key of its items; empty if there is none.
    pub(super) fn list(&self, name: &str) -> Result<(Place<'s>, Strategy, &'s str), Refused> {
        let field = self.lookup(name)?;
        let items = match &field.shape {
            Shape::List(of) | Shape::Wrapped(of) if matches!(**of, Shape::List(_) | Shape::Bytes) => {
                return Err(Refused::Unfit("unexpected slice of slice".to_owned()));
            }
            Shape::List(of) | Shape::Wrapped(of) => of,
            shape @ Shape::Bytes => shape,
            shape if field.pointer => shape,
            other => {
                let found = go_kind(other);
                return Err(Refused::Unfit(format!("expected slice or array type, but got: {found}")));
            }
        };
        let key = field.patch.as_ref().map_or("", |patch| patch.key.as_ref());
        Ok((Place { root: self.root, shape: Some(items) }, strategy(field), key))
    }
}

fn strategy(field: &Field) -> Strategy {
    let strategies = field.patch.as_ref().map_or("", |patch| patch.strategy.as_ref());
    match strategies.split(',').find(|strategy| *strategy != "retainKeys") {
        Some("merge") => Strategy::Merge,
        Some("replace") => Strategy::Replace,
        _ => Strategy::None,
    }
}

/// What Go calls the kind of a type.
fn go_kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::Map(_) => "map",
        Shape::List(_) | Shape::Wrapped(_) | Shape::Bytes => "slice",
        Shape::Bool => "bool",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        Shape::Float => "float64",
        Shape::String => "string",
        Shape::Any => "interface",
        _ => "struct",
    }
}
