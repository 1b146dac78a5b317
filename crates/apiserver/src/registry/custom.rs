//! Custom resources between bytes and drafts: their form is that of the schema of their version, which may have changed
//! since they were written (k8s.io/apiextensions-apiserver/pkg/apiserver, `unstructuredSchemaCoercer`).
//!
//! A stored object that is of another version than [`Definition::unsaid`] says so in front of its metadata. All that is
//! made of an object for a request is made in the version of that request, as upstream does.

use std::sync::Arc;

use bytes::Bytes;
use decapod_api::codec;
use decapod_api::custom::{Custom, Definition};
use decapod_api::encodings::Form;
use decapod_api::kinds::Resource;
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::Schema;
use decapod_api::{Encoded, Object, Status, Value};

use super::conversion::{self, Item};
use super::draft::canonical;
use super::{Registry, Target};

/// What the bodies begin with that say their version; no other body does, for metadata come first.
const SAID: &[u8] = b"{\"apiVersion\":\"";
/// Among the encodings of an object: its body in another version.
const BODY: u32 = u32::MAX - 1;

/// What objects of `kind` look like, which is `resource`'s in some version, if they are custom.
pub(super) fn form<'r>(resource: &'r Resource, kind: &GroupVersionKind) -> Option<&'r Arc<Custom>> {
    let definition = resource.custom.as_ref()?;
    Some(definition.version(&kind.version).unwrap_or(&definition.stored))
}

/// Takes the fields out of a custom draft that its version does not know; what strict decoding says of them.
pub(crate) fn conform(resource: &Resource, kind: &GroupVersionKind, draft: &mut Value) -> Vec<String> {
    let unknown = form(resource, kind).map(|form| form.conform(draft)).unwrap_or_default();
    unknown.into_iter().map(|path| format!("unknown field \"{path}\"")).collect()
}

/// Whether selectors have to wait until objects are in the version of a request.
pub(super) fn selects_late(resource: &Resource) -> bool {
    resource.custom.as_ref().is_some_and(|definition| definition.webhook.is_some())
}

fn unstructured() -> GroupVersionKind {
    GroupVersionKind::new("", "", "Unstructured")
}

fn encoded(draft: &Value) -> Result<Encoded, Status> {
    let ty = Schema::builtin().unstructured().ok_or_else(|| Status::internal("no schema of any kind"))?;
    Ok(codec::json::encode(draft, ty))
}

/// The version that a stored body says it is of.
fn said(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(SAID)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// A body that says its version, which is a DNS label.
fn saying(encoded: Encoded, version: &str) -> Encoded {
    let head = [SAID, version.as_bytes(), b"\","].concat();
    let revision_at = encoded.revision_at + head.len() - 1;
    Encoded { bytes: Bytes::from([&head, &encoded.bytes[1..]].concat()), revision_at }
}

/// Objects on their way to a version.
struct Reading<'a> {
    resource: &'a Resource,
    definition: &'a Definition,
    custom: &'a Arc<Custom>,
}

impl Registry {
    /// The objects in the version of `target`, and none decoded that has its form already.
    pub(super) async fn custom_in_version(
        &self,
        target: &Target,
        mut objects: Vec<Object>,
    ) -> Result<Vec<Object>, Status> {
        let Some(reading) = Reading::of(target) else { return Ok(objects) };
        let form = reading.form();
        let mut rest = Vec::new();
        for (at, object) in objects.iter_mut().enumerate() {
            if object.is_marked(reading.custom.id) {
                continue;
            }
            match self.versions.get(object, form) {
                Some(body) => *object = Object::new(body, object.revision()),
                None => rest.push(at),
            }
        }
        let drafts = self.read(&reading, rest.iter().map(|at| &objects[*at])).await?;
        for (at, draft) in rest.into_iter().zip(drafts) {
            let (object, encoded) = (&objects[at], encoded(&draft)?);
            let body = match object.revision() {
                // What a dry run would write has none.
                0 => encoded.bytes,
                revision => encoded.at(revision),
            };
            if body == *object.body() {
                object.mark(reading.custom.id);
                continue;
            }
            let body = self.versions.of(object, form, || body);
            objects[at] = Object::new(body, object.revision());
        }
        Ok(objects)
    }

    /// A stored object as a draft in the version of `target`.
    pub(super) async fn custom_draft(&self, target: &Target, object: &Object) -> Result<Value, Status> {
        if let Some(reading) = Reading::of(target)
            && let Some(body) = self.versions.get(object, reading.form())
        {
            return canonical(&Object::new(body, object.revision()), &unstructured());
        }
        let Some(reading) = Reading::of(target) else { return canonical(object, &unstructured()) };
        let drafts = self.read(&reading, std::iter::once(object)).await?;
        drafts.into_iter().next().ok_or_else(|| Status::internal("nothing was read"))
    }

    /// Drafts of stored objects.
    async fn read(
        &self,
        reading: &Reading<'_>,
        objects: impl Iterator<Item = &Object>,
    ) -> Result<Vec<Value>, Status> {
        let (mut drafts, mut places, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for object in objects {
            let (from, draft) = reading.as_written(object)?;
            if from.id == reading.custom.id {
                drafts.push(draft);
            } else {
                places.push(drafts.len());
                items.push(Item { from: reading.kind(&from.name), draft });
                drafts.push(Value::Null);
            }
        }
        let converted = self.converted(reading, items).await?;
        for (place, draft) in places.into_iter().zip(converted) {
            drafts[place] = draft;
        }
        Ok(drafts)
    }

    async fn converted(&self, reading: &Reading<'_>, items: Vec<Item>) -> Result<Vec<Value>, Status> {
        let mut drafts = match &reading.definition.webhook {
            Some(webhook) if !items.is_empty() => {
                let name = format!("{}.{}", reading.resource.plural, reading.resource.group);
                self.ask_conversion(&name, webhook, items, &reading.kind(&reading.custom.name)).await?
            }
            _ => items.into_iter().map(|item| item.draft).collect(),
        };
        for draft in &mut drafts {
            reading.custom.conform(draft);
        }
        Ok(drafts)
    }

    /// A draft of `resource` from one version in another.
    pub(super) async fn custom_converted(
        &self,
        resource: &Resource,
        draft: Value,
        from: &GroupVersionKind,
        to: &GroupVersionKind,
    ) -> Result<Value, Status> {
        let found = resource.custom.as_ref().and_then(|definition| Some((definition, form(resource, to)?)));
        let Some((definition, custom)) = found else { return Ok(draft) };
        let reading = Reading { resource, definition, custom };
        let items = vec![Item { from: from.clone(), draft }];
        let drafts = self.converted(&reading, items).await?;
        drafts.into_iter().next().ok_or_else(|| Status::internal("nothing was converted"))
    }

    /// What is stored of a draft in the version of `target`.
    pub(super) async fn custom_stored(
        &self,
        definition: &Definition,
        target: &Target,
        draft: &Value,
    ) -> Result<Encoded, Status> {
        let stored = &definition.stored;
        let encoded = match target.custom() {
            Some(custom) if custom.id != stored.id => {
                let to = target.resource.stored_kind();
                encoded(&self.custom_converted(&target.resource, draft.clone(), target.kind(), to).await?)?
            }
            _ => encoded(draft)?,
        };
        Ok(if stored.name == definition.unsaid { encoded } else { saying(encoded, &stored.name) })
    }
}

// === impl Reading ===

impl Reading<'_> {
    fn of(target: &Target) -> Option<Reading<'_>> {
        let definition = target.resource.custom.as_deref()?;
        Some(Reading { resource: &target.resource, definition, custom: target.custom()? })
    }

    fn form(&self) -> Form {
        Form { number: BODY, ty: self.custom.id }
    }

    fn kind(&self, version: &str) -> GroupVersionKind {
        GroupVersionKind::new(self.resource.group.clone(), version.to_owned(), self.resource.kind.clone())
    }

    /// The object in the version that it was written in, with what that version has by default.
    fn as_written(&self, object: &Object) -> Result<(&Arc<Custom>, Value), Status> {
        let name = said(object.body()).unwrap_or(&self.definition.unsaid);
        let from = self.definition.version(name).ok_or_else(|| {
            let group = &self.resource.group;
            conversion::failed(format!("request to convert CR from an invalid group/version: {group}/{name}"))
        })?;
        let mut draft = canonical(object, &unstructured())?;
        draft.ensure_map().remove("apiVersion");
        from.conform(&mut draft);
        from.fill_defaults(&mut draft);
        Ok((from, draft))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_its_version_in_front() {
        let plain =
            Encoded { bytes: Bytes::from_static(br#"{"metadata":{"uid":"u"},"a":1}"#), revision_at: 13 };
        assert_eq!(said(&plain.at(7)), None);
        let body = saying(plain, "v2").at(7);
        assert_eq!(&body[..], br#"{"apiVersion":"v2","metadata":{"resourceVersion":"7","uid":"u"},"a":1}"#);
        assert_eq!(said(&body), Some("v2"));
    }
}
