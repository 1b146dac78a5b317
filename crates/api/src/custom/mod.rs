//! Custom resources: kinds that a CustomResourceDefinition makes at run time (k8s.io/apiextensions-apiserver).
//!
//! A definition becomes the same row as built-in kinds have ([`resource`]). Its objects are decoded as of an open type, and
//! then brought into the form of their version's schema ([`Custom::conform`]); the rest is the way of every object.

mod check;
mod definition;
mod embedded;
mod fault;
mod format;
mod lists;
mod pattern;
mod priority;
mod prune;
mod schema;
mod strategy;
mod types;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use definition::{Definition, first_stored, resource, whole};
pub use pattern::Pattern;
pub use priority::by_priority;
pub use schema::{Additional, Kind, Structural};
pub use strategy::{CustomResource, default_faults};

use crate::schema::{Schema, TypeId, TypeRef};
use crate::value::Value;

/// A version of a custom resource.
pub struct Custom {
    /// Unlike that of any other: objects that are known to have this form are marked with it.
    pub id: usize,
    /// The name, such as `v1`.
    pub name: String,
    /// What its objects look like.
    pub schema: Structural,
    /// The schema as it was written, for OpenAPI.
    pub written: Value,
    /// What tables show beside the name.
    pub columns: Vec<Column>,
    /// Where the replicas are, if it has `scale`.
    pub scale: Option<ScalePaths>,
    /// Whether `status` is a subresource.
    pub has_status: bool,
    /// What those who use this version are told.
    pub deprecation: Option<String>,
    types: Schema,
    root: TypeId,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// The OpenAPI format.
    pub format: String,
    /// What the column says; for a person.
    pub description: String,
    /// Above 0: only in wide tables.
    pub priority: i64,
    /// Where the value is.
    pub path: String,
}

/// Where `scale` finds what it shows; paths of fields.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalePaths {
    /// The replicas wanted.
    pub spec: Vec<String>,
    /// The replicas there are.
    pub status: Vec<String>,
    /// The selector as a text; not every kind has one.
    pub selector: Option<Vec<String>>,
}

static LAST_ID: AtomicUsize = AtomicUsize::new(0);

// === impl Custom ===

impl Custom {
    fn next_id() -> usize {
        LAST_ID.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Brings a decoded draft into the form of the schema, without defaults; the fields that it does not know.
    pub fn conform(&self, draft: &mut Value) -> Vec<String> {
        let unknown = prune::prune(draft, &self.schema);
        prune::drop_nulls(draft, Some(&self.schema));
        unknown
    }

    /// Fills in defaults.
    pub fn fill_defaults(&self, draft: &mut Value) {
        prune::fill_defaults(draft, &self.schema);
    }

    /// The types by which managed fields are reckoned.
    pub fn ty(&self) -> TypeRef<'_> {
        self.types.resolve(self.root)
    }
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Custom({})", self.name)
    }
}
