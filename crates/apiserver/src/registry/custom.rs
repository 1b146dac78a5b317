//! Custom resources between bytes and drafts: their form is that of the schema of their version, which may have changed
//! since they were written (k8s.io/apiextensions-apiserver/pkg/apiserver, `unstructuredSchemaCoercer`).

use std::sync::Arc;

use decapod_api::codec;
use decapod_api::custom::{Custom, Definition};
use decapod_api::kinds::Resource;
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::Schema;
use decapod_api::{Object, Status, Value};

use super::draft::canonical;

/// What objects of `kind` look like, which is `resource`'s in some version, if they are custom.
pub(super) fn form<'r>(resource: &'r Resource, kind: &GroupVersionKind) -> Option<&'r Arc<Custom>> {
    let definition = resource.custom.as_ref()?;
    let served = resource.version(&kind.version).and_then(|version| version.custom.as_ref());
    // What is not served can only be what is stored.
    Some(served.unwrap_or(&definition.stored))
}

/// Takes the fields out of a custom draft that its version does not know; what strict decoding says of them.
pub(crate) fn conform(resource: &Resource, kind: &GroupVersionKind, draft: &mut Value) -> Vec<String> {
    let unknown = form(resource, kind).map(|form| form.conform(draft)).unwrap_or_default();
    unknown.into_iter().map(|path| format!("unknown field \"{path}\"")).collect()
}

/// A stored draft in the form that the stored version has now; of built-in kinds as it is.
pub(super) fn as_stored(resource: &Resource, mut draft: Value) -> Value {
    if let Some(definition) = &resource.custom {
        definition.stored.conform(&mut draft);
        definition.stored.fill_defaults(&mut draft);
    }
    draft
}

/// The object in the form that a version has now. That it is so already is noted with it, for the next who asks.
pub(super) fn in_version(
    definition: &Definition,
    custom: &Arc<Custom>,
    object: Object,
) -> Result<Object, Status> {
    // Without a revision: what a dry run would write, in the form of the stored version.
    if object.revision() == 0 || object.is_marked(custom.id) {
        return Ok(object);
    }
    let any = GroupVersionKind::new("", "", "Unstructured");
    let mut draft = canonical(&object, &any)?;
    definition.stored.conform(&mut draft);
    definition.stored.fill_defaults(&mut draft);
    if custom.id != definition.stored.id {
        custom.conform(&mut draft);
    }
    let ty = Schema::builtin().unstructured().ok_or_else(|| Status::internal("no schema of any kind"))?;
    let body = codec::json::encode(&draft, ty).at(object.revision());
    if body == *object.body() {
        object.mark(custom.id);
        return Ok(object);
    }
    Ok(Object::new(body, object.revision()))
}
