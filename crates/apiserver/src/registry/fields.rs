//! Managed fields in the registry: who sets which field by a write, with the versions that a kind is served in.

use decapod_api::kinds::{Resource, Version};
use decapod_api::managed::{self, Fields, Filter, Versions};
use decapod_api::schema::TypeRef;
use decapod_api::{Status, Value};
use decapod_client::Options;

use super::draft::{convert, schema_of};
use super::{Context, Registry, Target, meta};

/// The versions of a resource. Of a resource of another group that shares its objects upstream's engine knows nothing: who wrote
/// an event as `v1` owns nothing of it after a write as `events.k8s.io/v1`.
struct Served<'a> {
    resource: &'a Resource,
}

impl Registry {
    /// Records which fields `context`'s manager sets.
    pub(super) fn track_fields(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        old: Option<&Value>,
        new: &mut Value,
    ) {
        let manager = context.field_manager(&options.field_manager);
        // Without a type nothing is recorded.
        drop(self.with_fields(target, |fields| fields.update(old, new, manager)));
    }

    /// Reckons with the managed fields of a write to `target`, in the client's version.
    pub(super) fn with_fields<R>(
        &self,
        target: &Target,
        reckon: impl FnOnce(&Fields) -> R,
    ) -> Result<R, Status> {
        let resource = &*target.resource;
        let (subresource, has_status) = (&target.subresource, target.resets_status());
        let filter = match target.custom() {
            Some(_) => Filter::of_custom_write(subresource, has_status),
            None => Filter::of_write(&resource.group, &resource.plural, subresource, has_status),
        };
        Ok(reckon(&Fields {
            kind: target.kind(),
            ty: target.fields_type()?,
            form: schema_of(target.kind())?,
            subresource,
            filter: &filter,
            versions: &Served { resource },
            now: &meta::timestamp(self.env.now()),
        }))
    }
}

// === impl Served ===

impl Served<'_> {
    fn version(&self, api_version: &str) -> Option<&Version> {
        self.resource.versions.iter().find(|version| version.kind.api_version() == api_version)
    }
}

impl Versions for Served<'_> {
    fn ty(&self, api_version: &str) -> Option<TypeRef<'_>> {
        let version = self.version(api_version)?;
        match &version.custom {
            Some(custom) => Some(custom.ty()),
            None => schema_of(&version.kind).ok(),
        }
    }

    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<Value> {
        let (from, to) = (&self.version(from)?.kind, &self.version(to)?.kind);
        let mut draft = object.clone();
        convert(self.resource, &mut draft, from, to).ok()?;
        draft.set_at(&["apiVersion"], to.api_version());
        Some(managed::shown(&draft, schema_of(to).ok()?))
    }
}
