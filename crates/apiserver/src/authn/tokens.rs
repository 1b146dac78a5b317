//! Service-account tokens: JSON Web Tokens signed with ES256, bound to objects and short-lived
//! (k8s.io/kubernetes/pkg/serviceaccount).

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use decapod_api::Status;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value as Json, json};

use super::bootstrap;
use crate::identity::User;
use crate::registry::Lookup;

/// Signs and checks tokens.
pub struct Tokens {
    key: EcdsaKeyPair,
    key_id: String,
    issuer: String,
    audiences: Vec<String>,
    /// Tokens whose signature has been checked, by their text: signatures cost the most.
    checked: Mutex<HashMap<String, Claim>>,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The service account's namespace, name and UID.
    pub namespace: String,
    /// Its name.
    pub account: String,
    /// Its UID.
    pub account_uid: String,
    /// For whom the token is.
    pub audiences: Vec<String>,
    /// The object that it ends with.
    pub binding: Option<Binding>,
    /// When it was issued, in seconds of Unix time.
    pub issued_at: i64,
    /// When it ends.
    pub expires_at: i64,
    /// Its own ID.
    pub id: String,
}

/// The object that a token ends with.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// `Pod`, `Secret` or `Node`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The name and UID of the pod's node.
    pub node: Option<(String, String)>,
}

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is none of ours, or has been changed.
    #[error("invalid bearer token")]
    Invalid,
    /// Its time is over, or has not come.
    #[error("service account token has expired")]
    Expired,
    /// It is for somebody else.
    #[error("token audiences {0:?} is invalid for the target audiences {1:?}")]
    Audience(Vec<String>, Vec<String>),
    /// Its account, or what it is bound to, is gone.
    #[error("service account token has been invalidated")]
    Invalidated,
}

/// How many checked tokens are remembered.
const CHECKED_MAX: usize = 4096;
/// How far clocks may differ.
const LEEWAY_SECONDS: i64 = 60;
/// Longer texts are no tokens.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

// === impl Tokens ===

impl Tokens {
    /// Signs with the ES256 key in `pkcs8`, as `issuer`, for `audiences` where a request names none.
    pub fn new(pkcs8: &[u8], issuer: &str, audiences: Vec<String>) -> Result<Tokens, Status> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
            .map_err(|error| Status::internal(format!("the key of service-account tokens: {error}")))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        let key_id = BASE64.encode(digest.as_ref());
        Ok(Tokens { key, key_id, issuer: issuer.to_owned(), audiences, checked: Mutex::default() })
    }

    /// For whom tokens are that name nobody.
    pub fn default_audiences(&self) -> Vec<String> {
        self.audiences.clone()
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public key, as a JSON Web Key Set.
    pub fn key_set(&self) -> Json {
        // An uncompressed point: 0x04, then the two coordinates.
        let point = &self.key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(32);
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        }]})
    }

    /// A token that says `claim`.
    pub fn issue(&self, claim: &Claim) -> Result<String, Status> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let message = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claim.to_json(&self.issuer).to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), message.as_bytes())
            .map_err(|_| Status::internal("signing a service-account token"))?;
        Ok(format!("{message}.{}", BASE64.encode(signature.as_ref())))
    }

    /// The user of `token`, be it a service account's or a bootstrap token, and those of `audiences` (ours, if empty)
    /// that it is for.
    pub fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        lookup: &dyn Lookup,
        now: Timestamp,
    ) -> Result<(User, Vec<String>), Error> {
        if bootstrap::parse(token).is_some() {
            // They are for the API server and for nobody else.
            let user = bootstrap::user(token, lookup, now).ok_or(Error::Invalid)?;
            return Ok((user, self.audiences.clone()));
        }
        let claim = self.check(token)?;
        let now = now.as_second();
        if now > claim.expires_at + LEEWAY_SECONDS || now < claim.issued_at - LEEWAY_SECONDS {
            return Err(Error::Expired);
        }
        let wanted = if audiences.is_empty() { &self.audiences } else { audiences };
        let shared: Vec<String> =
            wanted.iter().filter(|audience| claim.audiences.contains(audience)).cloned().collect();
        if shared.is_empty() {
            return Err(Error::Audience(claim.audiences, wanted.to_vec()));
        }
        claim.check_objects(lookup)?;
        Ok((claim.user(), shared))
    }

    /// What `token` says, once its signature is known to be good.
    fn check(&self, token: &str) -> Result<Claim, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Invalid);
        }
        if let Some(claim) = self.checked().get(token) {
            return Ok(claim.clone());
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Error::Invalid)?;
        let (header, claims) = message.split_once('.').ok_or(Error::Invalid)?;
        let decode = |part: &str| -> Option<Json> { serde_json::from_slice(&BASE64.decode(part).ok()?).ok() };
        let header = decode(header).ok_or(Error::Invalid)?;
        if header["alg"] != "ES256" || header["kid"] != self.key_id.as_str() {
            return Err(Error::Invalid);
        }
        let signature = BASE64.decode(signature).map_err(|_| Error::Invalid)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(message.as_bytes(), &signature)
            .map_err(|_| Error::Invalid)?;
        let claims = decode(claims).ok_or(Error::Invalid)?;
        if claims["iss"] != self.issuer.as_str() {
            return Err(Error::Invalid);
        }
        let claim = Claim::from_json(&claims).ok_or(Error::Invalid)?;
        let mut checked = self.checked();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(token.to_owned(), claim.clone());
        Ok(claim)
    }

    fn checked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Claim>> {
        self.checked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

// === impl Claim ===

impl Claim {
    fn to_json(&self, issuer: &str) -> Json {
        let mut kubernetes = json!({
            "namespace": self.namespace,
            "serviceaccount": {"name": self.account, "uid": self.account_uid},
        });
        if let Some(binding) = &self.binding {
            kubernetes[binding.kind.to_lowercase()] = json!({"name": binding.name, "uid": binding.uid});
            if let Some((name, uid)) = &binding.node {
                kubernetes["node"] = json!({"name": name, "uid": uid});
            }
        }
        json!({
            "aud": self.audiences, "exp": self.expires_at, "iat": self.issued_at, "iss": issuer, "jti": self.id,
            "kubernetes.io": kubernetes, "nbf": self.issued_at,
            "sub": format!("system:serviceaccount:{}:{}", self.namespace, self.account),
        })
    }

    fn from_json(claims: &Json) -> Option<Claim> {
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let kubernetes = &claims["kubernetes.io"];
        let named = |field: &str| Some((text(&kubernetes[field]["name"])?, text(&kubernetes[field]["uid"])?));
        let node = named("node");
        let binding = if let Some((name, uid)) = named("pod") {
            Some(Binding { kind: "Pod".into(), name, uid, node })
        } else if let Some((name, uid)) = named("secret") {
            Some(Binding { kind: "Secret".into(), name, uid, node: None })
        } else {
            node.map(|(name, uid)| Binding { kind: "Node".into(), name, uid, node: None })
        };
        Some(Claim {
            namespace: text(&kubernetes["namespace"])?,
            account: text(&kubernetes["serviceaccount"]["name"])?,
            account_uid: text(&kubernetes["serviceaccount"]["uid"])?,
            audiences: claims["aud"].as_array()?.iter().filter_map(text).collect(),
            binding,
            issued_at: claims["iat"].as_i64()?,
            expires_at: claims["exp"].as_i64()?,
            id: text(&claims["jti"]).unwrap_or_default(),
        })
    }

    /// Whether the account and the bound object are still those the token was issued for.
    fn check_objects(&self, lookup: &dyn Lookup) -> Result<(), Error> {
        let is_there = |plural: &str, namespace: &str, name: &str, uid: &str| {
            lookup.object("", plural, namespace, name).is_some_and(|object| object.uid() == uid)
        };
        let account = is_there("serviceaccounts", &self.namespace, &self.account, &self.account_uid);
        let bound = self.binding.as_ref().is_none_or(|binding| match binding.kind.as_str() {
            "Pod" => is_there("pods", &self.namespace, &binding.name, &binding.uid),
            "Secret" => is_there("secrets", &self.namespace, &binding.name, &binding.uid),
            _ => is_there("nodes", "", &binding.name, &binding.uid),
        });
        if account && bound { Ok(()) } else { Err(Error::Invalidated) }
    }

    fn user(&self) -> User {
        let mut user = User::service_account(&self.namespace, &self.account);
        user.uid.clone_from(&self.account_uid);
        let mut extra = BTreeMap::new();
        let mut add = |key: &str, value: &str| {
            if !value.is_empty() {
                extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
            }
        };
        if !self.id.is_empty() {
            add("credential-id", &format!("JTI={}", self.id));
        }
        if let Some(binding) = self.binding.as_ref().filter(|binding| binding.kind == "Pod") {
            add("pod-name", &binding.name);
            add("pod-uid", &binding.uid);
            if let Some((name, uid)) = &binding.node {
                add("node-name", name);
                add("node-uid", uid);
            }
        }
        user.extra = extra;
        user
    }
}
