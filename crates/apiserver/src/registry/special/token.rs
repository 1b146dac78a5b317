//! TokenRequest: a bound, short-lived token of a service account (upstream's `TokenREST`).

use decapod_api::{Cause, Status, Value};
use decapod_client::{Options, Reply};

use super::answer;
use crate::authn::tokens::{Binding, Claim};
use crate::registry::{Body, Context, Lookup, Registry, Target, meta};

/// Shortest and longest life of a token.
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;
const SECONDS_DEFAULT: i64 = 3600;

impl Registry {
    /// Issues a token.
    pub(super) async fn issue_token(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        body: Body,
    ) -> Result<Reply, Status> {
        let request = self.payload(context, target, &body)?;
        let mut request = self.admit(context, target, options, request).await?;
        let (namespace, name) = (target.namespace.as_str(), target.name.as_str());
        let account = self.draft("", "serviceaccounts", namespace, name).ok_or_else(|| target.not_found())?;
        let seconds = request.int_at(&["spec", "expirationSeconds"]).unwrap_or(SECONDS_DEFAULT);
        let invalid = |detail: &str| {
            let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), detail);
            Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", vec![cause]))
        };
        if seconds < SECONDS_MIN {
            return invalid("may not specify a duration less than 10 minutes");
        }
        if seconds > SECONDS_MAX {
            return invalid("may not specify a duration larger than 2^32 seconds");
        }
        let binding = self.bound_object(context, target, &request)?;
        let audiences: Vec<String> = request
            .list_at(&["spec", "audiences"])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let tokens = &self.special.tokens;
        let audiences = if audiences.is_empty() { tokens.default_audiences() } else { audiences };
        let now = self.env.now();
        let claim = Claim {
            namespace: namespace.to_owned(),
            account: name.to_owned(),
            account_uid: account.str_at(&["metadata", "uid"]).unwrap_or_default().to_owned(),
            audiences: audiences.clone(),
            binding,
            issued_at: now.as_second(),
            expires_at: now.as_second() + seconds,
            id: self.env.uuid(),
        };
        let expires = now + jiff::SignedDuration::from_secs(seconds);
        request.set_at(&["spec", "expirationSeconds"], seconds);
        request.set_at(&["spec", "audiences"], audiences.into_iter().map(Value::from).collect::<Vec<_>>());
        request.set_at(&["metadata", "name"], name);
        request.set_at(&["metadata", "uid"], claim.account_uid.as_str());
        request.set_at(&["metadata", "namespace"], namespace);
        request.set_at(&["metadata", "creationTimestamp"], meta::timestamp(now));
        request.set_at(&["status", "token"], tokens.issue(&claim)?);
        request.set_at(&["status", "expirationTimestamp"], meta::timestamp(expires));
        let kind = &target.version().subresource("token").ok_or_else(Status::no_such_path)?.kind;
        answer(kind, &request, 0)
    }

    /// The object that the token ends with, which has to be there and be the one meant.
    fn bound_object(
        &self,
        _context: &Context,
        target: &Target,
        request: &Value,
    ) -> Result<Option<Binding>, Status> {
        let Some(reference) = request.at(&["spec", "boundObjectRef"]).filter(|r| !r.is_empty()) else {
            return Ok(None);
        };
        let text = |field: &str| reference.str_at(&[field]).unwrap_or_default();
        let (kind, name, uid) = (text("kind"), text("name"), text("uid"));
        let (plural, namespace) = match kind {
            "Pod" => ("pods", target.namespace.as_str()),
            "Secret" => ("secrets", target.namespace.as_str()),
            "Node" => ("nodes", ""),
            other => return Err(Status::bad_request(format!("cannot bind token to object of type {other}"))),
        };
        let resource = self.kinds.find("", plural).ok_or_else(Status::no_such_path)?.group_resource();
        let object =
            self.draft("", plural, namespace, name).ok_or_else(|| Status::not_found(&resource, name))?;
        let actual = object.str_at(&["metadata", "uid"]).unwrap_or_default();
        if !uid.is_empty() && uid != actual {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(&resource, name, &why));
        }
        let node = match kind {
            "Pod" => object.str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty()),
            _ => None,
        };
        if kind == "Pod" && object.str_at(&["spec", "serviceAccountName"]) != Some(target.name.as_str()) {
            let why = format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                target.name
            );
            return Err(Status::bad_request(why));
        }
        let node = node.map(|node| {
            let uid =
                self.object("", "nodes", "", node).map(|node| node.uid().into_owned()).unwrap_or_default();
            (node.to_owned(), uid)
        });
        Ok(Some(Binding { kind: kind.to_owned(), name: name.to_owned(), uid: actual.to_owned(), node }))
    }
}
