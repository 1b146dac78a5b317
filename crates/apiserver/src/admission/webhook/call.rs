//! One call of a webhook, and what its answer means (upstream's `callAttrMutatingHook` and `callHook`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use decapod_api::codec::{self, FieldValidation};
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Status, Value, patch};
use decapod_sys::Env;
use http::StatusCode;

use super::configuration::Hook;
use super::matching::Invocation;
use super::peer::Peer;
use super::review::{self, Answer, Objects};
use crate::admission::Attributes;
use crate::connect::Dialer;
use crate::http::respond::typed;
use crate::registry::custom::conform;
use crate::registry::draft::{decode_as, fill_in, schema_of};
use crate::registry::{Body, Lookup};

/// Calls webhooks.
pub struct Caller {
    /// The surroundings.
    pub(super) env: Env,
    /// Opens connections.
    pub(super) dialer: Arc<Dialer>,
}

/// What a mutating webhook said.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object is right as it is.
    Same,
    /// It has changed.
    Changed,
}

/// Why a webhook did not say yes.
#[derive(Debug)]
pub enum Failure {
    /// It could not be asked, or its answer is none: its failure policy says what follows.
    Calling(String),
    /// It said no, or cannot be asked such a thing.
    Refused(Box<Status>),
}

// === impl Caller ===

impl Caller {
    /// Calls over connections of `dialer`.
    pub fn new(env: Env, dialer: Arc<Dialer>) -> Arc<Caller> {
        Arc::new(Caller { env, dialer })
    }

    /// Posts `body` to whoever is no webhook of a configuration, and returns what comes back.
    pub async fn send(
        &self,
        peer: &Peer,
        lookup: &dyn Lookup,
        timeout: Duration,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        peer.send(&self.env, &self.dialer, lookup, timeout, body).await
    }

    /// Lets a webhook refuse.
    pub(super) async fn validate(
        &self,
        invocation: &Invocation,
        attributes: &Attributes<'_>,
        lookup: &dyn Lookup,
    ) -> Result<(), Failure> {
        check_dry_run(&invocation.hook, attributes)?;
        let objects = Objects {
            new: shown(attributes, lookup, &attributes.object, &invocation.kind).await?,
            old: old(attributes, lookup, &invocation.kind).await?,
        };
        let answer = self.ask(invocation, attributes, lookup, objects).await?;
        if answer.patch.is_some() {
            return Err(invalid("validating webhook may not return response.patch"));
        }
        if answer.patch_type.is_some() {
            return Err(invalid("validating webhook may not return response.patchType"));
        }
        answer.verdict(&invocation.hook.name)
    }

    /// Lets a webhook refuse or change the object.
    pub(super) async fn mutate(
        &self,
        invocation: &Invocation,
        attributes: &mut Attributes<'_>,
        lookup: &dyn Lookup,
    ) -> Result<Verdict, Failure> {
        let (hook, kind) = (&invocation.hook, &invocation.kind);
        check_dry_run(hook, attributes)?;
        let new = shown(attributes, lookup, &attributes.object, kind).await?;
        let objects = Objects { new: new.clone(), old: old(attributes, lookup, kind).await? };
        let mut answer = self.ask(invocation, attributes, lookup, objects).await?;
        let patch = answer.take_patch()?;
        answer.verdict(&hook.name)?;
        let Some(patch) = patch else { return Ok(Verdict::Same) };
        let patch: Value = serde_json::from_slice(&patch).map_err(|error| {
            Failure::Calling(format!("received undecodable patch in webhook response: {error}"))
        })?;
        if patch.as_list().is_some_and(<[Value]>::is_empty) {
            return Ok(Verdict::Same);
        }
        let Some(new) = new else {
            let why = format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                hook.name
            );
            return Err(Failure::refused(Status::internal(why)));
        };
        patched(attributes, lookup, kind, &new, &patch).await.map_err(|status| {
            Failure::refused(match status.code {
                500 => status,
                _ => Status::internal(status.message),
            })
        })
    }

    async fn ask(
        &self,
        invocation: &Invocation,
        attributes: &Attributes<'_>,
        lookup: &dyn Lookup,
        objects: Objects,
    ) -> Result<Answer, Failure> {
        let hook = &invocation.hook;
        let Some(version) = hook.review else {
            let why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
            return Err(Failure::Calling(why.to_owned()));
        };
        let uid = self.env.uuid();
        let review = review::request(version, &uid, invocation, attributes, &objects);
        let body = hook.peer.post(&self.env, &self.dialer, lookup, hook.timeout, review).await;
        let body = body.map_err(|why| Failure::Calling(format!("failed to call webhook: {why}")))?;
        let answer = review::answer(version, &uid, &body)?;
        for warning in answer.warnings.iter().flatten() {
            attributes.warnings.add(warning.as_str());
        }
        Ok(answer)
    }
}

// === impl Failure ===

impl Failure {
    /// A refusal.
    pub(super) fn refused(status: Status) -> Failure {
        Failure::Refused(Box::new(status))
    }
}

/// Dry runs are only for those that promise to do nothing else then.
fn check_dry_run(hook: &Hook, attributes: &Attributes) -> Result<(), Failure> {
    if !attributes.dry_run {
        return Ok(());
    }
    match hook.side_effects.as_deref() {
        None => Err(Failure::Calling("Webhook SideEffects is nil".to_owned())),
        Some("None" | "NoneOnDryRun") => Ok(()),
        Some(_) => {
            let why = format!("admission webhook {:?} does not support dry run", hook.name);
            Err(Failure::refused(Status::bad_request(why)))
        }
    }
}

fn invalid(why: &str) -> Failure {
    Failure::Calling(format!("received invalid webhook response: {why}"))
}

async fn old(
    attributes: &Attributes<'_>,
    lookup: &dyn Lookup,
    kind: &GroupVersionKind,
) -> Result<Option<Bytes>, Failure> {
    match attributes.old {
        Some(old) => shown(attributes, lookup, old, kind).await,
        None => Ok(None),
    }
}

/// The object as a webhook sees it: JSON of `kind`. `None` if there is none.
async fn shown(
    attributes: &Attributes<'_>,
    lookup: &dyn Lookup,
    object: &Value,
    kind: &GroupVersionKind,
) -> Result<Option<Bytes>, Failure> {
    if object.is_null() {
        return Ok(None);
    }
    let encoded = |object: &Value| {
        let schema = schema_of(kind).map_err(Failure::refused)?;
        Ok(Some(typed(kind, &codec::json::to_bytes(object, schema))))
    };
    if kind == attributes.kind {
        return encoded(object);
    }
    let converted = lookup.converted(attributes.resource, object.clone(), attributes.kind, kind).await;
    encoded(&converted.map_err(Failure::refused)?)
}

/// Changes the object by a JSON patch of `before`, which is how the webhook saw it.
async fn patched(
    attributes: &mut Attributes<'_>,
    lookup: &dyn Lookup,
    kind: &GroupVersionKind,
    before: &[u8],
    patch: &Value,
) -> Result<Verdict, Status> {
    let before = codec::json::decode_any(before, FieldValidation::Ignore).map_err(Status::internal)?.draft;
    let mut after = before.clone();
    patch::json::apply(&mut after, patch)?;
    let changed = after != before;
    let bytes = serde_json::to_vec(&after).map_err(Status::internal)?;
    let mut draft = decode_as(kind, &Body { bytes: bytes.into(), ..Body::default() }, |_| Ok(()))?;
    // Subresources may carry another kind than the resource's, with no defaults of ours.
    let own = attributes.resource.versions.iter().any(|version| version.kind == *kind);
    if own {
        conform(attributes.resource, kind, &mut draft);
        fill_in(attributes.resource, kind, &mut draft);
    }
    if kind != attributes.kind {
        draft = lookup.converted(attributes.resource, draft, kind, attributes.kind).await?;
    }
    attributes.object = draft;
    Ok(if changed { Verdict::Changed } else { Verdict::Same })
}
