//! create: a new object.

use decapod_api::kinds::strategy;
use decapod_api::{Object, Status, Value};
use decapod_client::Options;
use decapod_store::{CommitError, Expect, Write};

use super::draft::Validation;
use super::special::Reservation;
use super::{Body, Context, RETRIES_MAX, Registry, Target, commit_failed, meta};
use crate::admission::{Attributes, Operation, Rounds, webhook};

/// How many random names are tried before a create gives up (upstream's `maxNameGenerationCreateAttempts`).
const NAMES_MAX: usize = 8;

impl Registry {
    /// Makes the object in `body`.
    pub(super) async fn create(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        body: Body,
    ) -> Result<Object, Status> {
        let validation = Validation::parse(&options.field_validation)?;
        let mut draft = self.decode(context, target, &body, validation)?;
        let named = draft.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        if !target.name.is_empty() && !named.is_empty() && target.name != named {
            let why = format!(
                "the name of the object ({named}) does not match the name on the URL ({})",
                target.name
            );
            return Err(Status::bad_request(why));
        }
        if draft.str_at(&["metadata", "resourceVersion"]).is_some_and(|rv| !rv.is_empty()) {
            return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
        }
        if draft.str_at(&["metadata", "uid"]).is_some_and(|uid| !uid.is_empty())
            && !target.resource.group.is_empty()
        {
            draft.remove_at(&["metadata", "uid"]);
        }
        meta::settle_namespace(&mut draft, target)?;
        // Before admission: what plugins fill in belongs to no manager.
        self.track_fields(context, target, options, None, &mut draft);
        self.create_draft(context, target, options, draft).await
    }

    /// Makes an object of a decoded draft, whose namespace and managers are settled.
    pub(crate) async fn create_draft(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        draft: Value,
    ) -> Result<Object, Status> {
        let generated = draft.str_at(&["metadata", "name"]).unwrap_or_default().is_empty();
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.create_once(context, target, options, draft.clone()).await {
                Err(status) if generated && status.is_already_exists() && attempt < NAMES_MAX => {}
                result => return result,
            }
        }
    }

    async fn create_once(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        draft: Value,
    ) -> Result<Object, Status> {
        let resource = &target.resource;
        let name = draft.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        let mut attributes = Attributes {
            operation: Operation::Create,
            resource,
            version: target.version(),
            subresource: "",
            namespace: &target.namespace,
            name: &name,
            object: draft,
            old: None,
            user: &context.user,
            dry_run: options.dry_run,
            kind: target.kind(),
            options: &|| super::options::write("CreateOptions", options),
            warnings: &context.warnings,
            rounds: Rounds::default(),
        };
        self.admission.mutate(&mut attributes, self).await?;
        let (draft, reservation) =
            self.settle_new(context, target, std::mem::take(&mut attributes.object))?;
        let name = draft.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        attributes.object = draft;
        attributes.name = &name;
        attributes.kind = target.working_kind();
        self.admission.validate(&attributes, self).await?;

        let place = Target { name: name.clone(), ..target.clone() };
        let encoded = self.stored(target, &attributes.object).await?;
        if options.dry_run {
            self.charge(&attributes)?;
            if self.store.get(&place.key()).is_some() {
                return Err(Status::already_exists(&resource.group_resource(), &name));
            }
            return self.in_version(&place, Object::new(encoded.bytes, 0)).await;
        }
        let write = Write::Put { key: place.key().into(), value: encoded, expect: Expect::Absent };
        match self.commit_created(&place, write, &attributes).await {
            Ok(object) => {
                reservation.keep();
                self.in_version(&place, object).await
            }
            Err(status) => Err(status),
        }
    }

    /// What is made of `draft`, in the version in which it is worked on, once the registry and the kind have had their say.
    fn settle_new(
        &self,
        context: &Context,
        target: &Target,
        mut draft: Value,
    ) -> Result<(Value, Reservation<'_>), Status> {
        let resource = &target.resource;
        reset_status(&mut draft, target);
        meta::begin(&mut draft, resource, &self.env);
        self.to_working(target, &mut draft)?;
        resource.strategy.prepare(&mut draft, None, strategy::Verb::Create);
        self.stamp(context, resource, &mut draft, None, strategy::Verb::Create)?;
        let named = draft.str_at(&["metadata", "name"]).unwrap_or_default();
        let early = resource.strategy.validate_early(&draft, None);
        if !early.is_empty() {
            return Err(Status::invalid(&resource.group, &resource.kind, named, early));
        }
        let reservation = self.special.reserve(self, resource, &mut draft, None)?;

        let name = draft.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        let mut causes = meta::validate(&draft, resource);
        causes.extend(target.validate(&draft, None, strategy::Verb::Create));
        causes.extend(webhook::faults(resource, &draft));
        if !causes.is_empty() {
            return Err(Status::invalid(&resource.group, &resource.kind, &name, causes));
        }
        resource.strategy.warn(&draft).into_iter().for_each(|warning| context.warn(warning));
        Ok((draft, reservation))
    }

    /// Commits a new object, with what it takes of quotas.
    async fn commit_created(
        &self,
        place: &Target,
        write: Write,
        attributes: &Attributes<'_>,
    ) -> Result<Object, Status> {
        let _turn = self.turn(&place.namespace).await;
        for _ in 0..RETRIES_MAX {
            let charges = self.charge(attributes)?;
            match self.commit_charged(place, write.clone(), charges).await {
                Ok(object) => return Ok(object),
                Err(CommitError::Conflict { key, .. }) if *key == *place.key() => {
                    return Err(Status::already_exists(&place.resource.group_resource(), &place.name));
                }
                // A quota has changed.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(commit_failed(error, place)),
            }
        }
        Err(Status::modified(&place.resource.group_resource(), &place.name))
    }
}

/// A new object has no status yet, where status is a subresource of its own, but for kinds that bring it.
fn reset_status(draft: &mut Value, target: &Target) {
    if target.resets_status() && !target.resource.strategy.keeps_status_on_create() {
        draft.remove_at(&["status"]);
    }
}
