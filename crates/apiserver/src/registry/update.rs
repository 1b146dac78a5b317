//! update: a whole object, or a part of it, in place of another; and the loop that all changes go through.

use std::sync::Arc;

use decapod_api::kinds::{Subresource, strategy};
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Encoded, Object, Revision, Status, Value, managed};
use decapod_client::Options;
use decapod_store::{CommitError, Expect, Write};

use super::draft::Validation;
use super::special::scale::{Paths, REPLICAS, scale_from};
use super::{Body, Context, RETRIES_MAX, Registry, Target, commit_failed, meta};
use crate::admission::{Attributes, Charge, Operation, Rounds, webhook};

/// What a change wants of the object it finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preconditions {
    pub uid: Option<String>,
    pub revision: Option<Revision>,
    /// Whether it is a delete that asks, which upstream refuses in other words.
    pub ends: bool,
}

/// What a change makes of the object it finds.
pub(crate) enum Outcome {
    /// This, in the version in which it is worked on.
    Put(Value),
    /// This, and what it takes of quotas.
    Charged(Value, Vec<Charge>),
    /// Nothing: the object ends, and this is its last body.
    Remove(Value),
    /// The same.
    Keep,
}

/// What an edit made of an object, in the client's version.
pub(crate) enum Edit {
    /// This, and who set what in it has still to be recorded.
    Update(Value),
    /// This, with its managed fields.
    Settled(Value),
}

/// An object as a change finds it.
pub(crate) struct Current {
    pub object: Object,
    /// Decoded, in the version in which it is worked on.
    pub draft: Value,
}

/// What a change came to.
pub(crate) enum Changed {
    /// The object is there as this.
    Kept(Object),
    /// The object is gone; this was its last body.
    Removed(Object),
}

impl Registry {
    /// Replaces the object, or one part of it.
    pub(super) async fn update(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        body: Body,
    ) -> Result<Object, Status> {
        let validation = Validation::parse(&options.field_validation)?;
        let mut draft = self.decode(context, target, &body, validation)?;
        meta::settle_namespace(&mut draft, target)?;
        let named = draft.str_at(&["metadata", "name"]).unwrap_or_default();
        if named != target.name {
            let why = format!(
                "the name of the object ({named}) does not match the name on the URL ({})",
                target.name
            );
            return Err(Status::bad_request(why));
        }
        let revision = match draft.str_at(&["metadata", "resourceVersion"]).filter(|rv| !rv.is_empty()) {
            Some(rv) => Some(super::list::parse_revision(rv)?).filter(|rv| *rv != 0),
            None => None,
        };
        if revision.is_none() && !target.resource.strategy.allow_unconditional_update() {
            let cause = decapod_api::Cause::invalid(
                "metadata.resourceVersion",
                &0.into(),
                "must be specified for an update",
            );
            return Err(Status::invalid(
                &target.resource.group,
                &target.resource.kind,
                &target.name,
                vec![cause],
            ));
        }
        if target.resource.strategy.allow_create_on_update()
            && target.subresource.is_empty()
            && self.store.get(&target.key()).is_none()
        {
            draft.remove_at(&["metadata", "resourceVersion"]);
            self.may_create(context, target)?;
            self.track_fields(context, target, options, None, &mut draft);
            let object = self.create_draft(context, target, options, draft).await?;
            context.note_created();
            return Ok(object);
        }
        let uid = draft.str_at(&["metadata", "uid"]).filter(|uid| !uid.is_empty()).map(str::to_owned);
        let expect = Preconditions { uid, revision, ends: false };
        self.change(context, target, options, &expect, |_| Ok(Edit::Update(draft.clone()))).await
    }

    /// Changes the object by `edit`, which is given the current object in the client's version and returns what it is
    /// to be; metadata, status, admission, validation and deletion by the last finalizer follow.
    pub(crate) async fn change(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        expect: &Preconditions,
        edit: impl Fn(&Value) -> Result<Edit, Status>,
    ) -> Result<Object, Status> {
        let edit = &edit;
        let changed = self
            .guaranteed_update_waiting(target, expect, options.dry_run, |current| async move {
                let mut seen = current.draft.clone();
                self.to_client(target, &mut seen)?;
                let reckon = || match edit(&seen)? {
                    Edit::Settled(new) => Ok(new),
                    Edit::Update(mut new) => {
                        self.track_fields(context, target, options, Some(&seen), &mut new);
                        Ok(new)
                    }
                };
                let mut new = self.with_conversions(context, target, reckon).await?;
                self.mutate(context, target, options, &seen, &mut new).await?;
                self.to_working(target, &mut new)?;
                self.settle(context, target, options, &current.draft, new).await
            })
            .await?;
        match changed {
            Changed::Kept(object) | Changed::Removed(object) => self.in_version(target, object).await,
        }
    }

    /// Admission's mutations, in the client's version.
    async fn mutate(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        old: &Value,
        new: &mut Value,
    ) -> Result<(), Status> {
        let make = || super::options::write("UpdateOptions", options);
        if let Some(kind) = scale_kind(target) {
            let paths = Paths::of(target);
            let old = scale_from(old, &paths);
            let mut attributes = attributes(context, target, &make, &old, kind, scale_from(new, &paths));
            attributes.dry_run = options.dry_run;
            self.admission.mutate(&mut attributes, self).await?;
            new.set_at(&paths.spec, attributes.object.int_at(&REPLICAS).unwrap_or(0));
            return Ok(());
        }
        let mut attributes = attributes(context, target, &make, old, target.kind(), std::mem::take(new));
        attributes.dry_run = options.dry_run;
        self.admission.mutate(&mut attributes, self).await?;
        *new = std::mem::take(&mut attributes.object);
        Ok(())
    }

    /// What becomes of `new`, in the version in which it is worked on, once the registry, the kind and admission have had their say.
    async fn settle(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        old: &Value,
        mut new: Value,
    ) -> Result<Outcome, Status> {
        let resource = &target.resource;
        let verb = match target.version().subresource(&target.subresource) {
            None => strategy::Verb::Update,
            // The replicas that a scale sets are part of the spec.
            Some(Subresource { name, .. }) if name == "scale" => strategy::Verb::Update,
            Some(Subresource { name, .. }) => strategy::Verb::UpdateSubresource(intern(name)),
        };
        let mut causes = meta::carry_over(&mut new, old);
        split(&mut new, old, target);
        resource.strategy.prepare(&mut new, Some(old), verb);
        self.stamp(context, resource, &mut new, Some(old), verb)?;
        let counts_status = resource.custom.is_some() && !target.resets_status();
        let differs = resource.has_generation() && verb == strategy::Verb::Update;
        if differs && spec_differs(&new, old, counts_status) {
            let generation = old.int_at(&["metadata", "generation"]).unwrap_or(0);
            new.set_at(&["metadata", "generation"], generation + 1);
        }
        let early = match verb {
            strategy::Verb::Update => resource.strategy.validate_early(&new, Some(old)),
            _ => vec![],
        };
        if !early.is_empty() {
            return Err(Status::invalid(&resource.group, &resource.kind, &target.name, early));
        }
        let reservation = match target.subresource.as_str() {
            "" => Some(self.special.reserve(self, resource, &mut new, Some(old))?),
            _ => None,
        };
        causes.extend(meta::validate(&new, resource));
        causes.extend(target.validate(&new, Some(old), verb));
        causes.extend(webhook::faults(resource, &new));
        if !causes.is_empty() {
            return Err(Status::invalid(&resource.group, &resource.kind, &target.name, causes));
        }
        let make = || super::options::write("UpdateOptions", options);
        let mut attributes = attributes(context, target, &make, old, target.working_kind(), new);
        attributes.dry_run = options.dry_run;
        match scale_kind(target) {
            None => self.admission.validate(&attributes, self).await?,
            Some(kind) => {
                let paths = Paths::of(target);
                let (old, new) = (scale_from(old, &paths), scale_from(&attributes.object, &paths));
                let mut attributes = self::attributes(context, target, &make, &old, kind, new);
                attributes.dry_run = options.dry_run;
                self.admission.validate(&attributes, self).await?;
            }
        }
        let charges = self.charge(&attributes)?;
        if let Some(reservation) = reservation {
            reservation.keep();
        }
        let new = attributes.object;
        match super::delete::is_finished(&new, resource) {
            true => Ok(Outcome::Remove(new)),
            false => Ok(Outcome::Charged(new, charges)),
        }
    }

    /// Lets the kind write down who writes, and when.
    pub(super) fn stamp(
        &self,
        context: &Context,
        resource: &decapod_api::kinds::Resource,
        draft: &mut Value,
        old: Option<&Value>,
        verb: strategy::Verb,
    ) -> Result<(), Status> {
        let user = serde_json::to_value(&context.user).map_err(Status::internal)?;
        let (user, now) = (decapod_api::value::from_json(user), meta::timestamp(self.env.now()));
        resource.strategy.stamp(draft, old, verb, strategy::Writer { user: &user, now: &now });
        Ok(())
    }

    /// The one loop of every change: reads the object, asks `change` what becomes of it, commits that against the
    /// revision it read, and begins again when another write came first. A change that changes nothing writes nothing.
    pub(crate) async fn guaranteed_update(
        &self,
        target: &Target,
        expect: &Preconditions,
        dry_run: bool,
        change: impl Fn(&Current) -> Result<Outcome, Status>,
    ) -> Result<Changed, Status> {
        let change = |current: Arc<Current>| std::future::ready(change(&current));
        self.guaranteed_update_waiting(target, expect, dry_run, change).await
    }

    /// The same for changes that have to wait for somebody's answer.
    pub(crate) async fn guaranteed_update_waiting<F>(
        &self,
        target: &Target,
        expect: &Preconditions,
        dry_run: bool,
        change: impl Fn(Arc<Current>) -> F,
    ) -> Result<Changed, Status>
    where
        F: Future<Output = Result<Outcome, Status>>,
    {
        let key = target.key();
        let mut found = self.store.get(&key);
        for _ in 0..RETRIES_MAX {
            let object = found.ok_or_else(|| target.not_found())?;
            expect.check(target, &object)?;
            let current = Arc::new(Current { draft: self.draft_of(target, &object).await?, object });
            let mut charges = Vec::new();
            let outcome = match change(current.clone()).await? {
                Outcome::Charged(draft, taken) => {
                    charges = taken;
                    Outcome::Put(draft)
                }
                outcome => outcome,
            };
            let write = match outcome {
                Outcome::Keep => return Ok(Changed::Kept(current.object.clone())),
                Outcome::Put(mut draft) | Outcome::Charged(mut draft, _) => {
                    managed::keep_times(&current.draft, &mut draft);
                    let value = self.stored(target, &draft).await?;
                    if same(&value, &current.object) {
                        return Ok(Changed::Kept(current.object.clone()));
                    }
                    if dry_run {
                        return Ok(Changed::Kept(Object::new(
                            value.at(current.object.revision()),
                            current.object.revision(),
                        )));
                    }
                    Write::Put {
                        key: key.as_str().into(),
                        value,
                        expect: Expect::Revision(current.object.revision()),
                    }
                }
                Outcome::Remove(draft) => {
                    let last = self.stored(target, &draft).await?;
                    if dry_run {
                        return Ok(Changed::Removed(Object::new(
                            last.at(current.object.revision()),
                            current.object.revision(),
                        )));
                    }
                    let expect = Expect::Revision(current.object.revision());
                    Write::Delete { key: key.as_str().into(), expect, last: Some(last) }
                }
            };
            let removes = matches!(write, Write::Delete { .. });
            match self.commit_charged(target, write, charges).await {
                Ok(object) if removes => return Ok(Changed::Removed(object)),
                Ok(object) => return Ok(Changed::Kept(object)),
                Err(CommitError::Conflict { key: at, current }) if *at == *key => found = current,
                // A quota has changed; the object may have, too.
                Err(CommitError::Conflict { .. }) => found = self.store.get(&key),
                Err(error) => return Err(commit_failed(error, target)),
            }
        }
        Err(Status::modified(&target.resource.group_resource(), &target.name))
    }
}

/// The kind of a scale, if that is what `target` is: then admission sees it in place of the object.
fn scale_kind(target: &Target) -> Option<&GroupVersionKind> {
    let subresource = target.version().subresource(&target.subresource)?;
    (subresource.name == "scale").then_some(&subresource.kind)
}

/// A change of the whole object or of a part of it, as admission sees it; both objects are of `kind`.
fn attributes<'a>(
    context: &'a Context,
    target: &'a Target,
    options: &'a (dyn Fn() -> Value + Send + Sync),
    old: &'a Value,
    kind: &'a GroupVersionKind,
    new: Value,
) -> Attributes<'a> {
    Attributes {
        operation: Operation::Update,
        resource: &target.resource,
        version: target.version(),
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
        object: new,
        old: Some(old),
        kind,
        options,
        user: &context.user,
        dry_run: false,
        warnings: &context.warnings,
        rounds: Rounds::default(),
    }
}

// === impl Preconditions ===

impl Preconditions {
    fn check(&self, target: &Target, object: &Object) -> Result<(), Status> {
        let resource = target.resource.group_resource();
        let differs = |what: &str, asked: &str, actual: &str, hint: &str| {
            let why = format!(
                "the {what} in the precondition ({asked}) does not match the {what} in record ({actual}). The object might have been {hint}"
            );
            Err(Status::conflict(&resource, &target.name, &why))
        };
        if let (true, Some(uid)) = (self.ends, self.uid.as_deref().filter(|uid| *uid != object.uid())) {
            return differs("UID", uid, &object.uid(), "deleted and then recreated");
        }
        if let (true, Some(revision)) = (self.ends, self.revision.filter(|asked| *asked != object.revision()))
        {
            let (asked, actual) = (revision.to_string(), object.revision().to_string());
            return differs("ResourceVersion", &asked, &actual, "modified");
        }
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != object.uid()) {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                target.key(),
                object.uid()
            );
            return Err(Status::conflict(&resource, &target.name, &why));
        }
        if self.revision.is_some_and(|revision| revision != object.revision()) {
            return Err(Status::modified(&resource, &target.name));
        }
        Ok(())
    }
}

/// Keeps the part that this update does not reach: status on the whole object, all but status on `status`.
fn split(new: &mut Value, old: &Value, target: &Target) {
    let restore = |new: &mut Value, field: &str| match old.get(field) {
        Some(before) => new.set_at(&[field], before.clone()),
        None => drop(new.remove_at(&[field])),
    };
    match target.subresource.as_str() {
        // Of custom resources, nothing but the status is set.
        "status" if target.custom().is_some() => {
            let fields = new.at(&["metadata", "managedFields"]).cloned();
            let status = new.get("status").cloned();
            *new = old.clone();
            new.remove_at(&["metadata", "managedFields"]);
            fields.into_iter().for_each(|fields| new.set_at(&["metadata", "managedFields"], fields));
            match status {
                Some(status) => new.set_at(&["status"], status),
                None => drop(new.remove_at(&["status"])),
            }
        }
        "" | "finalize" | "ephemeralcontainers" | "resize" if target.resets_status() => {
            restore(new, "status")
        }
        "status" | "approval" => {
            let fields: Vec<_> = [new, old]
                .iter()
                .flat_map(|v| v.as_map())
                .flat_map(|map| map.iter())
                .map(|(key, _)| key.clone())
                .collect();
            for field in fields.iter().filter(|field| *field != "metadata" && *field != "status") {
                restore(new, field);
            }
            for field in ["deletionTimestamp", "finalizers", "ownerReferences"] {
                match old.at(&["metadata", field]) {
                    Some(before) => new.set_at(&["metadata", field], before.clone()),
                    None => drop(new.remove_at(&["metadata", field])),
                }
            }
        }
        _ => {}
    }
}

/// Whether anything but metadata differs, and status where it is set like all else.
fn spec_differs(new: &Value, old: &Value, counts_status: bool) -> bool {
    let relevant = |value: &Value| -> Vec<(decapod_api::Str, Value)> {
        let fields =
            value.as_map().into_iter().flat_map(|map| map.iter()).filter(|(_, value)| !value.is_empty());
        fields
            .filter(|(key, _)| *key != "metadata" && (counts_status || *key != "status"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    relevant(new) != relevant(old)
}

/// Whether committing `value` would change nothing but the revision.
fn same(value: &Encoded, object: &Object) -> bool {
    value.at(object.revision()) == *object.body()
}

/// The subresources that strategies know by name.
fn intern(name: &str) -> &'static str {
    const KNOWN: [&str; 6] = ["status", "approval", "finalize", "ephemeralcontainers", "resize", "scale"];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("")
}
