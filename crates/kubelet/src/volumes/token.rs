//! Tokens of service accounts for pods: bound to the pod, short-lived, renewed in time (pkg/kubelet/token).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use decapod_api::Status;
use decapod_client::{Client, Reply, decode};
use decapod_sys::Env;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;

use crate::pod::NodePod;

/// How old a token may become, however long it lives.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Which token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    uid: String,
    account: String,
    audience: String,
    seconds: i64,
}

#[derive(Clone)]
struct Token {
    text: String,
    renew_at: Timestamp,
}

/// The tokens of this node's pods.
pub struct Tokens {
    env: Env,
    client: Client,
    tokens: Mutex<BTreeMap<Key, Token>>,
}

// === impl Tokens ===

impl Tokens {
    /// Tokens asked for through `client`.
    pub fn new(env: &Env, client: &Client) -> Tokens {
        Tokens { env: env.clone(), client: client.clone(), tokens: Mutex::default() }
    }

    /// The token of `pod` for `audience`, to live `seconds`, and when to ask for the next one.
    pub async fn get(
        &self,
        pod: &NodePod,
        audience: &str,
        seconds: i64,
    ) -> Result<(String, Timestamp), Status> {
        let spec = pod.spec();
        let account =
            spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
        let key = Key {
            uid: pod.uid().to_owned(),
            account: account.to_owned(),
            audience: audience.to_owned(),
            seconds,
        };
        let cached = self.lock().get(&key).cloned();
        if let Some(token) = cached.as_ref().filter(|token| self.env.now() < token.renew_at) {
            return Ok((token.text.clone(), token.renew_at));
        }
        match self.request(pod, &key).await {
            Ok(token) => {
                self.lock().insert(key, token.clone());
                Ok((token.text, token.renew_at))
            }
            // The one there is still works for a while.
            Err(error) => match cached {
                Some(token) => Ok((token.text, self.env.now() + SignedDuration::from_secs(60))),
                None => Err(error),
            },
        }
    }

    /// Forgets the tokens of the pod `uid`.
    pub fn forget(&self, uid: &str) {
        self.lock().retain(|key, _| key.uid != uid);
    }

    async fn request(&self, pod: &NodePod, key: &Key) -> Result<Token, Status> {
        let audiences = if key.audience.is_empty() { Vec::new() } else { vec![key.audience.clone()] };
        let body = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(audiences),
                expiration_seconds: Some(key.seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(pod.name().to_owned()),
                    uid: Some(pod.uid().to_owned()),
                }),
            }),
            ..TokenRequest::default()
        };
        let reply = self
            .client
            .create_subresource::<ServiceAccount>(pod.namespace(), &key.account, "token", &body)
            .await?;
        let Reply::Object(object) = reply else {
            return Err(Status::internal("the server did not answer with a token"));
        };
        let answer: TokenRequest = decode(&object)?;
        let status = answer.status.unwrap_or_default();
        let (Some(text), Some(expiration)) = (status.token, status.expiration_timestamp) else {
            return Err(Status::internal("the server's answer has no token"));
        };
        let now = self.env.now();
        // At four fifths of its life, and a little earlier for some than for others.
        let life = expiration.0.duration_since(now);
        let jitter = SignedDuration::from_secs(self.env.random_below(10).cast_signed());
        let wait = (life * 4 / 5).min(AGE_MAX) - jitter;
        Ok(Token { text, renew_at: now + wait.max(SignedDuration::from_secs(1)) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
