//! delete and deletecollection: the one state machine by which objects end
//! (k8s.io/apiserver/pkg/registry/rest/delete.go and generic/registry/store.go).
//!
//! An object goes at once when it has no grace period and no finalizers. Else it is marked with a deletionTimestamp
//! and goes when its node has confirmed (a delete with grace 0) and its last finalizer is removed.

use decapod_api::kinds::Resource;
use decapod_api::{Status, Value};
use decapod_client::{List, Options, Reply};
use jiff::SignedDuration;

use super::delete_options::{DeleteOptions, Propagation};
use super::update::{Changed, Current, Outcome, Preconditions};
use super::{Body, Context, Registry, Target, meta};
use crate::admission::{Attributes, Operation, Rounds};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Whether an object that is ending has nothing left to wait for.
pub(super) fn is_finished(draft: &Value, resource: &Resource) -> bool {
    meta::is_terminating(draft)
        && draft.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
        && draft.list_at(&["metadata", "finalizers"]).is_empty()
        && !resource.strategy.is_held(draft)
}

impl Registry {
    /// Ends the object of `target`.
    pub(super) async fn delete(
        &self,
        context: &Context,
        target: &Target,
        body: Body,
        query: &Options,
    ) -> Result<Reply, Status> {
        let mut options = DeleteOptions::parse(&body)?;
        if query.dry_run {
            options.dry_run = vec!["All".into()];
        }
        let changed = self.end(context, target, &options).await?;
        let returns_object = target.resource.strategy.returns_deleted();
        Ok(match changed {
            Changed::Removed(object) if !returns_object => {
                Reply::Status(Status::deleted(&target.resource.group_resource(), &target.name, &object.uid()))
            }
            Changed::Removed(object) | Changed::Kept(object) => {
                Reply::Object(self.in_version(target, object).await?)
            }
        })
    }

    /// Ends every object that a list would show; those that are gone meanwhile are no error.
    pub(super) async fn delete_collection(
        &self,
        context: &Context,
        target: &Target,
        body: Body,
        query: &Options,
    ) -> Result<List, Status> {
        let mut options = DeleteOptions::parse(&body)?;
        if query.dry_run {
            options.dry_run = vec!["All".into()];
        }
        let mut list = self.list(target, query).await?;
        for item in &mut list.items {
            match self.end(context, &target.at(item), &options).await {
                Ok(Changed::Kept(object) | Changed::Removed(object)) => {
                    *item = self.in_version(target, object).await?
                }
                Err(status) if status.is_not_found() => {}
                Err(status) => return Err(status),
            }
        }
        Ok(list)
    }

    /// One object's end, or the beginning of it.
    pub(crate) async fn end(
        &self,
        context: &Context,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Changed, Status> {
        let expect = options.expect()?;
        let dry_run = !options.dry_run.is_empty();
        let changed = self
            .guaranteed_update_waiting(target, &expect, dry_run, |current| async move {
                self.admit_delete(context, target, options, &current).await?;
                self.step(target, options, &current)
            })
            .await?;
        if let (Changed::Removed(object), false) = (&changed, dry_run) {
            self.special.release(&target.resource, object);
        }
        Ok(changed)
    }

    /// The same, which nobody is asked about: for objects that go because their kind does.
    pub(super) async fn end_unasked(&self, target: &Target) -> Result<Changed, Status> {
        let options = DeleteOptions::default();
        let step = |current: &Current| self.step(target, &options, current);
        self.guaranteed_update(target, &Preconditions::default(), false, step).await
    }

    async fn admit_delete(
        &self,
        context: &Context,
        target: &Target,
        options: &DeleteOptions,
        current: &Current,
    ) -> Result<(), Status> {
        let mut attributes = Attributes {
            operation: Operation::Delete,
            resource: &target.resource,
            version: target.version(),
            subresource: "",
            namespace: &target.namespace,
            name: &target.name,
            object: Value::Null,
            old: Some(&current.draft),
            user: &context.user,
            dry_run: !options.dry_run.is_empty(),
            kind: target.working_kind(),
            options: &|| options.to_value(),
            warnings: &context.warnings,
            rounds: Rounds::default(),
        };
        self.admission.mutate(&mut attributes, self).await?;
        self.admission.validate(&attributes, self).await
    }

    /// Where a delete takes the object it finds.
    fn step(&self, target: &Target, options: &DeleteOptions, current: &Current) -> Result<Outcome, Status> {
        let resource = &target.resource;
        let mut draft = current.draft.clone();
        resource
            .strategy
            .check_delete(&draft)
            .map_err(|why| Status::forbidden(&resource.group_resource(), &target.name, &why))?;
        let finalizers_changed =
            set_finalizers(&mut draft, options.propagation(), resource.strategy.default_orphan());
        let grace = grace_seconds(options, resource, &draft);
        let was_terminating = meta::is_terminating(&draft);
        let marked = self.mark(&mut draft, resource, grace);
        if is_finished(&draft, resource) {
            return Ok(Outcome::Remove(draft));
        }
        if was_terminating && !marked && !finalizers_changed {
            return Ok(Outcome::Keep);
        }
        Ok(Outcome::Put(draft))
    }

    /// Writes when the object has to be gone; a grace period only ever gets shorter. Whether anything changed.
    fn mark(&self, draft: &mut Value, resource: &Resource, grace: i64) -> bool {
        let now = self.env.now();
        let old_grace = draft.int_at(&["metadata", "deletionGracePeriodSeconds"]);
        let deadline = if meta::is_terminating(draft) {
            let old_grace = old_grace.unwrap_or(0);
            if grace >= old_grace {
                return false;
            }
            let old: Option<jiff::Timestamp> =
                draft.str_at(&["metadata", "deletionTimestamp"]).and_then(|text| text.parse().ok());
            let asked_at = old.unwrap_or(now) - SignedDuration::from_secs(old_grace);
            asked_at + SignedDuration::from_secs(grace)
        } else {
            now + SignedDuration::from_secs(grace)
        };
        draft.set_at(&["metadata", "deletionTimestamp"], meta::timestamp(deadline));
        draft.set_at(&["metadata", "deletionGracePeriodSeconds"], grace);
        if let (true, Some(generation)) = (old_grace.is_none(), draft.int_at(&["metadata", "generation"]))
            && generation > 0
        {
            draft.set_at(&["metadata", "generation"], generation + 1);
        }
        resource.strategy.begin_delete(draft);
        true
    }
}

/// How long the object may take: what the client says, within what its kind allows.
fn grace_seconds(options: &DeleteOptions, resource: &Resource, draft: &Value) -> i64 {
    match resource.strategy.grace_period_seconds(draft) {
        None => 0,
        Some(default) => match options.grace_period_seconds.unwrap_or(default) {
            // Upstream takes a negative period for one second.
            negative if negative < 0 => 1,
            seconds => seconds,
        },
    }
}

/// Puts in, or takes out, the finalizers by which the garbage collector sees to dependents.
fn set_finalizers(draft: &mut Value, propagation: Option<Propagation>, default_orphan: bool) -> bool {
    let before: Vec<Value> = draft.list_at(&["metadata", "finalizers"]).to_vec();
    let wants = |name: &str| match propagation {
        Some(Propagation::Orphan) => name == ORPHAN,
        Some(Propagation::Foreground) => name == FOREGROUND,
        Some(Propagation::Background) => false,
        // What is there already is the client's earlier word.
        None if before.iter().any(|f| matches!(f.as_str(), Some(ORPHAN | FOREGROUND))) => {
            before.contains(&name.into())
        }
        None => default_orphan && name == ORPHAN,
    };
    let mut after: Vec<Value> =
        before.iter().filter(|f| !matches!(f.as_str(), Some(ORPHAN | FOREGROUND))).cloned().collect();
    after.extend([ORPHAN, FOREGROUND].into_iter().filter(|name| wants(name)).map(Value::from));
    let changed = after.len() != before.len() || before.iter().any(|finalizer| !after.contains(finalizer));
    if changed {
        if after.is_empty() {
            draft.remove_at(&["metadata", "finalizers"]);
        } else {
            draft.set_at(&["metadata", "finalizers"], after);
        }
    }
    changed
}
