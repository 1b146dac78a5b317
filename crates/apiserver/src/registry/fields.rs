//! Managed fields in the registry: who sets which field by a write, with the versions that a kind is served in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use decapod_api::kinds::{Resource, Version};
use decapod_api::managed::{self, Fields, Filter, Versions};
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::TypeRef;
use decapod_api::{Status, Value};
use decapod_client::Options;

use super::draft::{convert, schema_of};
use super::{Context, Registry, Target, meta};

/// The versions of a resource. Of a resource of another group that shares its objects upstream's engine knows nothing: who wrote
/// an event as `v1` owns nothing of it after a write as `events.k8s.io/v1`.
struct Served<'a> {
    resource: &'a Resource,
    conversions: &'a Conversions,
}

/// What reckoning with managed fields has wanted to see in another version, which only a webhook can tell.
#[derive(Default)]
pub(crate) struct Conversions(Mutex<Vec<Conversion>>);

struct Conversion {
    object: Value,
    from: GroupVersionKind,
    to: GroupVersionKind,
    /// Nothing, until it has been asked for.
    converted: Option<Value>,
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
        drop(self.with_fields(context, target, |fields| fields.update(old, new, manager)));
    }

    /// Reckons with the managed fields of a write to `target`, in the client's version.
    pub(super) fn with_fields<R>(
        &self,
        context: &Context,
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
            versions: &Served { resource, conversions: &context.conversions },
            now: &meta::timestamp(self.env.now()),
        }))
    }
}

impl Registry {
    /// What `reckon` makes, which is pure, once all that it wants to see in other versions has been converted.
    pub(super) async fn with_conversions<R>(
        &self,
        context: &Context,
        target: &Target,
        reckon: impl Fn() -> Result<R, Status>,
    ) -> Result<R, Status> {
        loop {
            let reckoned = reckon();
            let mut missing = context.conversions.take_missing();
            if missing.is_empty() {
                return reckoned;
            }
            for conversion in &mut missing {
                let Conversion { object, from, to, converted } = conversion;
                *converted = Some(self.custom_converted(&target.resource, object.clone(), from, to).await?);
            }
            context.conversions.lock().append(&mut missing);
        }
    }
}

// === impl Conversions ===

impl Conversions {
    fn lock(&self) -> MutexGuard<'_, Vec<Conversion>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object in the version of `to`; if that is not known, it is wanted from now on.
    fn find(&self, object: Value, from: &GroupVersionKind, to: &GroupVersionKind) -> Option<Value> {
        let mut known = self.lock();
        let found = known.iter().find(|one| one.to == *to && one.from == *from && one.object == object);
        match found {
            Some(one) => one.converted.clone(),
            None => {
                known.push(Conversion { object, from: from.clone(), to: to.clone(), converted: None });
                None
            }
        }
    }

    fn take_missing(&self) -> Vec<Conversion> {
        let mut known = self.lock();
        let (found, missing) =
            std::mem::take(&mut *known).into_iter().partition(|one| one.converted.is_some());
        *known = found;
        missing
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

    fn need_whole(&self) -> bool {
        self.resource.custom.as_ref().is_some_and(|definition| definition.webhook.is_some())
    }

    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<Value> {
        let (from, to) = (&self.version(from)?.kind, &self.version(to)?.kind);
        let mut draft = object.clone();
        match &self.resource.custom {
            None => convert(self.resource, &mut draft, from, to).ok()?,
            Some(definition) if definition.webhook.is_none() || from == to => {
                drop(super::custom::conform(self.resource, to, &mut draft));
            }
            Some(_) => {
                let map = draft.ensure_map();
                map.remove("apiVersion");
                map.remove("kind");
                draft = self.conversions.find(draft, from, to)?;
            }
        }
        draft.set_at(&["apiVersion"], to.api_version());
        Some(managed::shown(&draft, schema_of(to).ok()?))
    }
}
