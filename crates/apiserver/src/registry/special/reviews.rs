//! The reviews: who is this, and may they. They are answered and not kept.

use decapod_api::{Status, Value};
use decapod_client::{Reply, Request, Verb};

use super::answer;
use crate::authz::{Decision, Question, What};
use crate::identity::User;
use crate::registry::{Body, Context, Registry, Target};

impl Registry {
    /// Answers a review.
    pub(super) fn review(&self, context: &Context, target: &Target, body: Body) -> Result<Reply, Status> {
        let mut review = self.payload(context, target, &body)?;
        match &*target.resource.kind {
            "TokenReview" => self.review_token(&mut review),
            "SelfSubjectReview" => {
                let user = serde_json::to_value(&context.user).map_err(Status::internal)?;
                review.set_at(&["status", "userInfo"], decapod_api::value::from_json(user));
            }
            "SelfSubjectRulesReview" => self.review_rules(&context.user, &mut review),
            kind => {
                let user = match kind {
                    "SelfSubjectAccessReview" => context.user.clone(),
                    _ => user_of(&review)?,
                };
                if kind == "LocalSubjectAccessReview" {
                    let namespace =
                        review.str_at(&["spec", "resourceAttributes", "namespace"]).unwrap_or_default();
                    if namespace != target.namespace {
                        return Err(Status::bad_request(format!(
                            "spec.resourceAttributes.namespace must match namespace: {}",
                            target.namespace
                        )));
                    }
                }
                self.review_access(&user, &mut review)?;
            }
        }
        answer(target.kind(), &review)
    }

    fn review_token(&self, review: &mut Value) {
        let token = review.str_at(&["spec", "token"]).unwrap_or_default().to_owned();
        let audiences: Vec<String> = review
            .list_at(&["spec", "audiences"])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        match self.special.tokens.authenticate(&token, &audiences, self, self.env.now()) {
            Ok((user, audiences)) => {
                review.set_at(&["status", "authenticated"], true);
                let user = serde_json::to_value(&user).unwrap_or_default();
                review.set_at(&["status", "user"], decapod_api::value::from_json(user));
                review.set_at(
                    &["status", "audiences"],
                    audiences.into_iter().map(Value::from).collect::<Vec<_>>(),
                );
            }
            Err(error) => {
                review.set_at(&["status", "authenticated"], false);
                review.set_at(&["status", "error"], error.to_string());
            }
        }
    }

    fn review_access(&self, user: &User, review: &mut Value) -> Result<(), Status> {
        let text = |path: &[&str]| review.str_at(path).unwrap_or_default();
        let resource = |field: &str| text(&["spec", "resourceAttributes", field]);
        let has = |field: &str| review.at(&["spec", field]).is_some_and(|value| !value.is_null());
        let what = match (has("resourceAttributes"), has("nonResourceAttributes")) {
            (true, false) => What::Resource {
                verb: resource("verb"),
                group: resource("group"),
                resource: resource("resource"),
                subresource: resource("subresource"),
                namespace: resource("namespace"),
                name: resource("name"),
            },
            (false, true) => What::Path {
                verb: text(&["spec", "nonResourceAttributes", "verb"]),
                path: text(&["spec", "nonResourceAttributes", "path"]),
            },
            _ => {
                return Err(Status::bad_request(
                    "spec.resourceAttributes: exactly one of nonResourceAttributes or resourceAttributes must be specified",
                ));
            }
        };
        let decision = self.special.authorizer.authorize(&Question { user, what }, self);
        let (allowed, reason) = match decision {
            Decision::Allow(reason) => (true, reason),
            Decision::Deny(reason) => (false, reason),
        };
        review.set_at(&["status", "allowed"], allowed);
        if !reason.is_empty() {
            review.set_at(&["status", "reason"], reason);
        }
        Ok(())
    }

    fn review_rules(&self, user: &User, review: &mut Value) {
        let namespace = review.str_at(&["spec", "namespace"]).unwrap_or_default().to_owned();
        let rules = self.special.authorizer.rules(user, &namespace, self);
        review.set_at(&["status", "resourceRules"], rules.resource);
        review.set_at(&["status", "nonResourceRules"], rules.non_resource);
        review.set_at(&["status", "incomplete"], rules.incomplete);
    }

    /// The old health listing of components: always those of this process, and healthy, or nobody would be asked.
    pub(super) fn component_statuses(&self, target: &Target, request: &Request) -> Result<Reply, Status> {
        match request.verb {
            Verb::List => Ok(Reply::List(decapod_client::List {
                revision: self.store.revision(),
                ..Default::default()
            })),
            _ => Err(target.not_found()),
        }
    }
}

/// The user that a SubjectAccessReview names.
fn user_of(review: &Value) -> Result<User, Status> {
    let texts = |value: &Value| {
        value.as_list().unwrap_or(&[]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let user = User {
        name: review.str_at(&["spec", "user"]).unwrap_or_default().to_owned(),
        uid: review.str_at(&["spec", "uid"]).unwrap_or_default().to_owned(),
        groups: review.at(&["spec", "groups"]).map(texts).unwrap_or_default(),
        extra: Default::default(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        return Err(Status::bad_request("spec.user: at least one of user or group must be specified"));
    }
    Ok(user)
}
