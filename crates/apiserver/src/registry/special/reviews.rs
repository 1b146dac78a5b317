//! The reviews: who is this, and may they. They are answered and not kept.

use decapod_api::{Cause, Status, Value};
use decapod_client::{Options, Reply, Request, Verb};

use super::answer;
use crate::authz::{Decision, Question, What};
use crate::identity::User;
use crate::registry::{Body, Context, Registry, Target, meta};

impl Registry {
    /// Answers a review.
    pub(super) async fn review(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        body: Body,
    ) -> Result<Reply, Status> {
        let review = self.payload(context, target, &body)?;
        let mut review = self.admit(context, target, options, review).await?;
        match &*target.resource.kind {
            "TokenReview" => self.review_token(&mut review),
            "SelfSubjectReview" => {
                let user = serde_json::to_value(&context.user).map_err(Status::internal)?;
                review.set_at(&["status", "userInfo"], decapod_api::value::from_json(user));
                let now = meta::timestamp(self.env.now());
                review.set_at(&["metadata", "creationTimestamp"], now);
            }
            "SelfSubjectRulesReview" => self.review_rules(&context.user, &mut review),
            kind => {
                let causes = faults(kind, &review, &target.namespace);
                if !causes.is_empty() {
                    return Err(Status::invalid(&target.kind().group, "", "", causes));
                }
                let user = match kind {
                    "SelfSubjectAccessReview" => context.user.clone(),
                    _ => user_of(&review),
                };
                self.review_access(&user, &mut review);
            }
        }
        answer(target.kind(), &review, 0)
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
                // Upstream asks several authenticators, and the first of them knows none of our tokens.
                let text = match &error {
                    crate::authn::tokens::Error::Invalid => error.to_string(),
                    other => format!("[invalid bearer token, {other}]"),
                };
                review.set_at(&["status", "error"], text);
            }
        }
    }

    fn review_access(&self, user: &User, review: &mut Value) {
        let text = |path: &[&str]| review.str_at(path).unwrap_or_default();
        let resource = |field: &str| text(&["spec", "resourceAttributes", field]);
        let what = match has(review, "resourceAttributes") {
            true => What::Resource {
                verb: resource("verb"),
                group: resource("group"),
                resource: resource("resource"),
                subresource: resource("subresource"),
                namespace: resource("namespace"),
                name: resource("name"),
            },
            false => What::Path {
                verb: text(&["spec", "nonResourceAttributes", "verb"]),
                path: text(&["spec", "nonResourceAttributes", "path"]),
            },
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
    }

    fn review_rules(&self, user: &User, review: &mut Value) {
        let namespace = review.str_at(&["spec", "namespace"]).unwrap_or_default().to_owned();
        let rules = self.special.authorizer.rules(user, &namespace, self);
        review.set_at(&["status", "resourceRules"], rules.resource);
        review.set_at(&["status", "nonResourceRules"], rules.non_resource);
        review.set_at(&["status", "incomplete"], rules.incomplete);
        // Upstream's answer does not repeat the question.
        review.remove_at(&["spec", "namespace"]);
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

fn has(review: &Value, field: &str) -> bool {
    review.at(&["spec", field]).is_some_and(|value| !value.is_null())
}

/// What is wrong with the question (k8s.io/kubernetes/pkg/apis/authorization/validation).
fn faults(kind: &str, review: &Value, namespace: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |path: &[&str]| review.str_at(path).unwrap_or_default();
    match (has(review, "resourceAttributes"), has(review, "nonResourceAttributes")) {
        (true, true) => {
            let given = decapod_api::value!({
                "Path": (text(&["spec", "nonResourceAttributes", "path"])),
                "Verb": (text(&["spec", "nonResourceAttributes", "verb"])),
            });
            let why = "cannot be specified in combination with resourceAttributes";
            causes.push(Cause::invalid("spec.nonResourceAttributes", &given, why));
        }
        (false, false) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            causes.push(Cause::invalid("spec.resourceAttributes", &Value::Null, why));
        }
        _ => {}
    }
    let nobody = text(&["spec", "user"]).is_empty() && review.list_at(&["spec", "groups"]).is_empty();
    if kind != "SelfSubjectAccessReview" && nobody {
        causes.push(Cause::invalid(
            "spec.user",
            &"".into(),
            "at least one of user or group must be specified",
        ));
    }
    if kind == "LocalSubjectAccessReview" {
        let asked = text(&["spec", "resourceAttributes", "namespace"]);
        if asked != namespace {
            let field = "spec.resourceAttributes.namespace";
            causes.push(Cause::invalid(field, &asked.into(), "must match metadata.namespace"));
        }
        if has(review, "nonResourceAttributes") {
            let given = review.at(&["spec", "nonResourceAttributes"]).cloned().unwrap_or_default();
            let why = "disallowed on this kind of request";
            causes.push(Cause::invalid("spec.nonResourceAttributes", &given, why));
        }
    }
    causes
}

/// The user that a SubjectAccessReview names.
fn user_of(review: &Value) -> User {
    let texts = |value: &Value| {
        value.as_list().unwrap_or(&[]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    User {
        name: review.str_at(&["spec", "user"]).unwrap_or_default().to_owned(),
        uid: review.str_at(&["spec", "uid"]).unwrap_or_default().to_owned(),
        groups: review.at(&["spec", "groups"]).map(texts).unwrap_or_default(),
        extra: Default::default(),
    }
}
