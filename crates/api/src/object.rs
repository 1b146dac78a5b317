//! The immutable form of an object: its canonical encoding, shared by the store, lists, watches and informers.
//!
//! The canonical encoding is our own JSON in the schema's field order, without `apiVersion` and `kind` (items of
//! typed lists omit them; whoever serves a single object puts them in front), with `metadata` first and the
//! `resourceVersion` written at commit.

use std::borrow::Cow;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::encodings::Slot;
use crate::raw;

/// One commit of the store, and one `resourceVersion`.
pub type Revision = u64;

/// An encoded object that has no revision yet: what a commit is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Canonical JSON without `metadata.resourceVersion`.
    pub bytes: Bytes,
    /// Where in `bytes` the resourceVersion field goes: right before another field of `metadata`.
    pub revision_at: usize,
}

/// One immutable revision of an object. Cloning shares it.
#[derive(Clone)]
pub struct Object(Arc<Inner>);

pub(crate) struct Inner {
    body: Bytes,
    revision: Revision,
    encodings: Slot,
}

// === impl Encoded ===

impl Encoded {
    /// The bytes with `revision` written at its place.
    pub fn at(&self, revision: Revision) -> Bytes {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(revision);
        let (head, tail) = self.bytes.split_at(self.revision_at);
        let field = [b"\"resourceVersion\":\"", digits.as_bytes(), b"\","].concat();
        Bytes::from([head, &field, tail].concat())
    }
}

// === impl Object ===

impl Object {
    /// An object whose canonical `body` already carries `revision`.
    pub fn new(body: Bytes, revision: Revision) -> Object {
        Object(Arc::new(Inner { body, revision, encodings: Slot::default() }))
    }

    /// The same object with another revision written in it: a deleted object carries the revision of its end.
    pub fn at_revision(&self, revision: Revision) -> Object {
        let body = self.0.body.as_ref();
        let Some(old) = raw::find(body, &["metadata", "resourceVersion"]) else {
            return Object::new(self.0.body.clone(), revision);
        };
        let start = old.as_ptr() as usize - body.as_ptr() as usize;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(revision).as_bytes();
        let (head, tail) = (&body[..start], &body[start + old.len()..]);
        Object::new(Bytes::from([head, b"\"", digits, b"\"", tail].concat()), revision)
    }

    /// The canonical JSON, without type meta.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The revision at which it was written.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// The text at `path`, unescaped; `None` if it is absent or no text.
    pub fn text(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        raw::text(raw::find(&self.0.body, path)?)
    }

    /// `metadata.name`.
    pub fn name(&self) -> Cow<'_, str> {
        self.text(&["metadata", "name"]).unwrap_or_default()
    }

    /// `metadata.namespace`, empty for cluster-scoped objects.
    pub fn namespace(&self) -> Cow<'_, str> {
        self.text(&["metadata", "namespace"]).unwrap_or_default()
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Cow<'_, str> {
        self.text(&["metadata", "uid"]).unwrap_or_default()
    }

    /// The label `key`.
    pub fn label(&self, key: &str) -> Option<Cow<'_, str>> {
        self.text(&["metadata", "labels", key])
    }

    pub(crate) fn slot(&self) -> &Slot {
        self.0.slot()
    }

    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    /// Whether [`mark`](Object::mark) noted this last.
    pub fn is_marked(&self, mark: usize) -> bool {
        self.0.slot().is_marked(mark)
    }

    /// Notes that the object has been found to be of a form, which the caller numbers; shared with its clones.
    pub fn mark(&self, mark: usize) {
        self.0.slot().mark(mark);
    }

    /// The raw JSON of the field at `path`.
    pub fn raw(&self, path: &[&str]) -> Option<&[u8]> {
        raw::find(&self.0.body, path)
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) fn slot(&self) -> &Slot {
        &self.encodings
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Object({}/{} at {})", self.namespace(), self.name(), self.0.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_written_at_its_place() {
        let bytes = Bytes::from_static(br#"{"metadata":{"name":"a","uid":"u","creationTimestamp":null}}"#);
        let revision_at = bytes.windows(4).position(|w| w == b"\"cre").expect("field");
        let body = Encoded { bytes, revision_at }.at(42);
        let object = Object::new(body, 42);
        assert_eq!(object.text(&["metadata", "resourceVersion"]).as_deref(), Some("42"));
        assert_eq!(object.name(), "a");
        let ended = object.at_revision(1234);
        assert_eq!(ended.text(&["metadata", "resourceVersion"]).as_deref(), Some("1234"));
        assert_eq!((ended.revision(), ended.uid().as_ref()), (1234, "u"));
    }
}
