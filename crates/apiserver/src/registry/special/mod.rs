//! What is no plain reading and writing of objects: subresources that carry another kind, resources that are kept
//! nowhere, and what a write takes from a shared stock. One file each.

mod binding;
mod eviction;
mod reviews;
pub(super) mod scale;
mod services;
mod token;

use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Object, Revision, Status, Value, codec};
use decapod_client::{Options, Reply, Request};

use super::draft::{Validation, decode_as, schema_of};
use super::{Body, Context, Media, Registry, Target};
use crate::admission::{Attributes, Operation, Rounds};
use crate::authn::Tokens;
use crate::authz::Authorizer;
pub use services::{Reservation, Services};

/// What the special handlers work with.
pub struct Special {
    /// Who may do what, for the reviews.
    pub authorizer: Arc<dyn Authorizer>,
    /// Issues and reads service-account tokens.
    pub tokens: Arc<Tokens>,
    /// The stock of cluster addresses and node ports.
    pub services: Services,
}

// === impl Special ===

impl Special {
    /// Takes from the shared stock what a new or changed object needs.
    pub(super) fn reserve(
        &self,
        registry: &Registry,
        resource: &Resource,
        draft: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation<'_>, Status> {
        match (&*resource.group, &*resource.plural) {
            ("", "services") => self.services.reserve(registry, draft, old),
            _ => Ok(Reservation::none()),
        }
    }

    /// Gives back what an object that is gone had.
    pub(super) fn release(&self, resource: &Resource, object: &Object) {
        if (&*resource.group, &*resource.plural) == ("", "services") {
            self.services.release(object);
        }
    }
}

impl Registry {
    /// The answer, if `request` is one of the special ones.
    pub(super) async fn special(
        &self,
        context: &Context,
        target: &Target,
        request: &Request,
        media: Media,
    ) -> Result<Option<Reply>, Status> {
        let body = Body { bytes: request.body.clone(), media };
        let resource = (&*target.resource.group, &*target.resource.plural, target.subresource.as_str());
        let reply = match resource {
            ("", "pods", "binding") | ("", "bindings", "") => {
                self.bind(context, target, &request.options, body).await?
            }
            ("", "pods", "eviction") => self.evict(context, target, &request.options, body).await?,
            ("", "serviceaccounts", "token") => {
                self.issue_token(context, target, &request.options, body).await?
            }
            (_, _, "scale") => self.scale(context, target, request, body).await?,
            ("authentication.k8s.io" | "authorization.k8s.io", _, "") => {
                self.review(context, target, &request.options, body).await?
            }
            ("", "componentstatuses", "") => self.component_statuses(target, request)?,
            _ => return Ok(None),
        };
        Ok(Some(reply))
    }

    /// Lets admission see what is created at `target` and kept nowhere as such: a review, or the payload of a
    /// subresource. Returns what admission makes of it.
    async fn admit(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        payload: Value,
    ) -> Result<Value, Status> {
        let named = payload.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        let mut attributes = Attributes {
            operation: Operation::Create,
            resource: &target.resource,
            version: target.version(),
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: if target.name.is_empty() { &named } else { &target.name },
            object: payload,
            old: None,
            kind: match target.version().subresource(&target.subresource) {
                Some(subresource) => &subresource.kind,
                None => target.kind(),
            },
            options: &|| super::options::write("CreateOptions", options),
            user: &context.user,
            dry_run: options.dry_run,
            warnings: &context.warnings,
            rounds: Rounds::default(),
        };
        self.admission.mutate(&mut attributes, self).await?;
        self.admission.validate(&attributes, self).await?;
        Ok(attributes.object)
    }

    /// The body as a draft of the kind that `target` or its subresource carries.
    fn payload(&self, context: &Context, target: &Target, body: &Body) -> Result<Value, Status> {
        let kind = match target.version().subresource(&target.subresource) {
            Some(subresource) => &subresource.kind,
            None => target.kind(),
        };
        decode_as(kind, body, |problems| Validation::Warn.settle(context, problems))
    }
}

/// An object that is answered and not kept; of this revision, if not 0.
fn answer(kind: &GroupVersionKind, draft: &Value, revision: Revision) -> Result<Reply, Status> {
    let encoded = codec::json::encode(draft, schema_of(kind)?);
    if revision != 0 {
        return Ok(Reply::Object(Object::new(encoded.at(revision), revision)));
    }
    // Nothing will be written into the metadata, so nothing has to stand there for it.
    const NOTHING: &[u8] = br#""creationTimestamp":null"#;
    let mut bytes = encoded.bytes.to_vec();
    if let Some(at) = bytes.windows(NOTHING.len()).position(|found| found == NOTHING) {
        bytes.drain(at..at + NOTHING.len());
    }
    Ok(Reply::Object(Object::new(bytes.into(), 0)))
}

/// What creating a subresource without a result answers with.
fn created() -> Reply {
    Reply::Status(Status { status: "Success".into(), code: 201, ..Status::default() })
}
