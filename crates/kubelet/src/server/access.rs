//! Who calls, and what they may: certificates of the cluster's authority, or tokens and rights that the API server
//! reviews (pkg/kubelet/server/auth.go).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use decapod_client::Client;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long an answer of the API server holds.
const ALLOWED_FOR: Duration = Duration::from_secs(300);
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// How many answers are kept.
const ANSWERS_MAX: usize = 1000;

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The user's name.
    pub name: String,
    /// The user's UID, if it has one.
    pub uid: String,
    /// The user's groups.
    pub groups: Vec<String>,
}

/// What is asked for: a verb on a subresource of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wish {
    /// Such as `get`.
    pub verb: &'static str,
    /// Such as `proxy`.
    pub subresource: &'static str,
}

/// Who may what.
pub trait Authorize: Send + Sync {
    /// Who has the token; `None` if nobody.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<Caller>>;
    /// Whether `caller` may do it.
    fn authorize<'a>(&'a self, caller: &'a Caller, wish: &'a Wish) -> BoxFuture<'a, bool>;
}

/// Asks the API server.
pub struct Reviews {
    client: Client,
    node_name: String,
    answers: Mutex<HashMap<(Caller, Wish), (bool, tokio::time::Instant)>>,
}

/// Who the certificate, which has been verified, is for: common name and organisations.
pub fn caller(certificate: &CertificateDer<'_>) -> Option<Caller> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    Some(Caller { name, uid: String::new(), groups })
}

/// The token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

// === impl Wish ===

impl Wish {
    /// What a request to the path of `parts` asks for.
    pub fn new(method: &Method, parts: &[&str]) -> Wish {
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        let subresource = match parts.first() {
            Some(&"stats") => "stats",
            Some(&"metrics") => "metrics",
            Some(&"logs") => "log",
            Some(&"pods" | &"runningpods") => "pods",
            Some(&"healthz") => "healthz",
            Some(&"configz") => "configz",
            _ => "proxy",
        };
        Wish { verb, subresource }
    }
}

// === impl Reviews ===

impl Reviews {
    /// Asks through `client` about the node `node_name`.
    pub fn new(client: &Client, node_name: &str) -> Reviews {
        Reviews { client: client.clone(), node_name: node_name.to_owned(), answers: Mutex::default() }
    }

    async fn review(&self, caller: &Caller, wish: &Wish, subresource: &str) -> bool {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(caller.name.clone()),
                uid: (!caller.uid.is_empty()).then(|| caller.uid.clone()),
                groups: Some(caller.groups.clone()),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(wish.verb.to_owned()),
                    version: Some("v1".to_owned()),
                    resource: Some("nodes".to_owned()),
                    subresource: Some(subresource.to_owned()),
                    name: Some(self.node_name.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        match self.client.create(&review).await {
            Ok(review) => review.status.is_some_and(|status| status.allowed),
            Err(error) => {
                tracing::warn!(%error, "the API server does not say who may what");
                false
            }
        }
    }
}

impl Authorize for Reviews {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<Caller>> {
        Box::pin(async move {
            let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
            let review = self.client.create(&TokenReview { spec, ..TokenReview::default() }).await.ok()?;
            let status = review.status.filter(|status| status.authenticated == Some(true))?;
            let user = status.user?;
            Some(Caller {
                name: user.username?,
                uid: user.uid.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
            })
        })
    }

    fn authorize<'a>(&'a self, caller: &'a Caller, wish: &'a Wish) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let key = (caller.clone(), wish.clone());
            let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
            if let Some((answer, at)) = known
                && at.elapsed() < if answer { ALLOWED_FOR } else { REFUSED_FOR }
            {
                return answer;
            }
            // The finer rights came later: who has the coarse one needs no other.
            let fine = !matches!(wish.subresource, "proxy" | "stats" | "metrics" | "log");
            let mut allowed = self.review(caller, wish, wish.subresource).await;
            if fine && !allowed {
                allowed = self.review(caller, wish, "proxy").await;
            }
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
            answers.insert(key, (allowed, tokio::time::Instant::now()));
            allowed
        })
    }
}
