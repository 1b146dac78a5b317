//! Sees to it that the images of containers are there (pkg/kubelet/images, pkg/credentialprovider).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use decapod_client::{EventType, Recorder};
use decapod_sys::Env;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use serde::Deserialize;

use crate::cri::Cri;
use crate::cri::types::{AuthConfig, Image, ImageSpec, PodSandboxConfig};
use crate::pod::backoff::Backoffs;
use crate::pod::plan::Failure;

/// When what failed otherwise is tried again.
const RETRY_SECONDS: i64 = 10;
/// How long the first word about a failed pull stands before it becomes one about waiting.
const FAILURE_SHOWN_SECONDS: i64 = 2;

/// Whose image, and who hears of it.
pub struct Wish<'a> {
    /// The image as the pod names it.
    pub image: &'a str,
    /// `Always`, `IfNotPresent` or `Never`; by the tag when `None`.
    pub policy: Option<&'a str>,
    /// The pod's UID.
    pub uid: &'a str,
    /// What events are about.
    pub reference: &'a ObjectReference,
    /// Where credentials are.
    pub secrets: &'a [Secret],
    /// The sandbox that it is for.
    pub sandbox: &'a PodSandboxConfig,
}

/// Pulls images.
pub struct Puller {
    env: Env,
    cri: Cri,
    recorder: Recorder,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    backoffs: Backoffs,
    /// When each pull failed last, and what was said.
    failed: BTreeMap<String, (Timestamp, String)>,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct DockerAuth {
    username: String,
    password: String,
    auth: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
}

// === impl Puller ===

impl Puller {
    /// A puller of the images of this node.
    pub fn new(env: &Env, cri: &Cri, recorder: &Recorder) -> Puller {
        Puller { env: env.clone(), cri: cri.clone(), recorder: recorder.clone(), state: Mutex::default() }
    }

    /// The image, pulled if need be.
    pub async fn ensure(&self, wish: &Wish<'_>) -> Result<Image, Failure> {
        let now = self.env.now();
        let later = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        let fail = |reason: &str, message: String, retry_at| Failure {
            reason: reason.to_owned(),
            message,
            retry_at,
        };
        let Some(image) = with_tag(wish.image) else {
            let what = format!("couldn't parse image name {:?}: invalid reference format", wish.image);
            let message = format!("Failed to apply default image tag {:?}: {what}", wish.image);
            self.warn(wish, "InspectFailed", &message);
            return Err(fail("InvalidImageName", message, later(RETRY_SECONDS)));
        };
        let spec = ImageSpec { image: image.clone(), ..ImageSpec::default() };
        let by_tag = if image.ends_with(":latest") { "Always" } else { "IfNotPresent" };
        let policy = wish.policy.filter(|policy| !policy.is_empty()).unwrap_or(by_tag);
        if policy != "Always" {
            match self.cri.image_status(spec.clone()).await {
                Ok(Some(found)) => {
                    let message = format!(
                        "Container image {:?} already present on machine and can be accessed by the pod",
                        wish.image
                    );
                    self.recorder.event(wish.reference, EventType::Normal, "Pulled", message);
                    return Ok(found);
                }
                Ok(None) if policy == "Never" => {
                    let message =
                        format!("Container image {:?} is not present with pull policy of Never", wish.image);
                    self.warn(wish, "ErrImageNeverPull", &message);
                    return Err(fail("ErrImageNeverPull", message, later(RETRY_SECONDS)));
                }
                Ok(None) => {}
                Err(error) => {
                    let message = format!("Failed to inspect image {image:?}: {error}");
                    self.warn(wish, "InspectFailed", &message);
                    return Err(fail("ImageInspectError", message, later(RETRY_SECONDS)));
                }
            }
        }
        self.pull(wish, spec).await
    }

    async fn pull(&self, wish: &Wish<'_>, spec: ImageSpec) -> Result<Image, Failure> {
        let (image, now) = (spec.image.clone(), self.env.now());
        let key = format!("{}_{image}", wish.uid);
        let held = {
            let state = self.lock();
            let failed = state.failed.get(&key).cloned();
            failed.and_then(|(at, said)| state.backoffs.until(&key, at, now).map(|until| (until, said)))
        };
        if let Some((until, said)) = held {
            let message = format!("Back-off pulling image {image:?}");
            self.recorder.event(wish.reference, EventType::Normal, "BackOff", message.clone());
            return Err(Failure {
                reason: "ImagePullBackOff".into(),
                message: format!("{message}: {said}"),
                retry_at: until,
            });
        }
        self.recorder.event(wish.reference, EventType::Normal, "Pulling", format!("Pulling image {image:?}"));
        let began = tokio::time::Instant::now();
        match self.pull_with_credentials(wish, &spec).await {
            Ok(found) => {
                let took = show(began.elapsed());
                let message = format!(
                    "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                    found.size
                );
                self.recorder.event(wish.reference, EventType::Normal, "Pulled", message);
                self.lock().failed.remove(&key);
                Ok(found)
            }
            Err(message) => {
                self.warn(wish, "Failed", &format!("Failed to pull image {image:?}: {message}"));
                let now = self.env.now();
                let mut state = self.lock();
                let since = state.failed.get(&key).map_or(now, |(at, _)| *at);
                state.backoffs.next(&key, since, now);
                state.failed.insert(key, (now, format!("ErrImagePull: {message}")));
                let retry_at = now + jiff::SignedDuration::from_secs(FAILURE_SHOWN_SECONDS);
                Err(Failure { reason: "ErrImagePull".into(), message, retry_at })
            }
        }
    }

    async fn pull_with_credentials(&self, wish: &Wish<'_>, spec: &ImageSpec) -> Result<Image, String> {
        let mut credentials: Vec<Option<AuthConfig>> =
            find_credentials(&spec.image, wish.secrets).into_iter().map(Some).collect();
        if credentials.is_empty() {
            credentials.push(None);
        }
        let mut said = String::new();
        for auth in credentials {
            match self.cri.pull_image(spec.clone(), auth, Some(wish.sandbox.clone())).await {
                Ok(reference) => {
                    let pulled = ImageSpec { image: reference.clone(), ..spec.clone() };
                    let found = self.cri.image_status(pulled).await.map_err(|error| error.to_string())?;
                    return found
                        .ok_or_else(|| format!("image {reference:?} is gone right after it was pulled"));
                }
                Err(error) => said = error.to_string(),
            }
        }
        Err(said)
    }

    fn warn(&self, wish: &Wish, reason: &str, message: &str) {
        self.recorder.event(wish.reference, EventType::Warning, reason, message);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duration as Go shows one, to the millisecond.
fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 1000 {
        format!("{ms}ms")
    } else {
        format!("{}s", format!("{:.3}", ms as f64 / 1000.0).trim_end_matches('0').trim_end_matches('.'))
    }
}

/// `image` with a tag or digest; `None` if it is no image's name (distribution/reference).
fn with_tag(image: &str) -> Option<String> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    let in_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let in_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    let parts: Vec<&str> = repository.split('/').collect();
    let (host, path) =
        if parts.len() > 1 && is_host(parts[0]) { (Some(parts[0]), &parts[1..]) } else { (None, &parts[..]) };
    let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    let fine = host.is_none_or(|host| host.chars().all(in_host))
        && path.iter().all(|part| {
            !part.is_empty()
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(in_path)
        })
        && tag.is_none_or(|tag| !tag.is_empty() && tag.len() <= 128 && tag.chars().all(in_tag))
        && digest.is_none_or(|digest| digest.split_once(':').is_some_and(|(_, hex)| hex.len() >= 32));
    fine.then(|| if tag.is_none() && digest.is_none() { format!("{image}:latest") } else { image.to_owned() })
}

fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

/// The credentials for `image`, the most specific first.
fn find_credentials(image: &str, secrets: &[Secret]) -> Vec<AuthConfig> {
    let first = image.split('/').next().unwrap_or_default();
    let full = if image.contains('/') && is_host(first) {
        image.to_owned()
    } else {
        format!("index.docker.io/{image}")
    };
    let full = full.replacen("docker.io/", "index.docker.io/", usize::from(full.starts_with("docker.io/")));
    let mut found: Vec<(usize, AuthConfig)> = Vec::new();
    for (server, auth) in secrets.iter().flat_map(read_secret) {
        let key = server.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
        let key = if key == "docker.io" { "index.docker.io" } else { key };
        if full.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@'])) {
            found.push((key.len(), auth));
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, auth)| auth).collect()
}

fn read_secret(secret: &Secret) -> Vec<(String, AuthConfig)> {
    let data =
        |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let auths = match (data(".dockerconfigjson"), data(".dockercfg")) {
        (Some(json), _) => serde_json::from_slice::<DockerConfig>(json).map(|config| config.auths),
        (None, Some(json)) => serde_json::from_slice(json),
        (None, None) => return Vec::new(),
    };
    let convert = |auth: DockerAuth| {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(&auth.auth)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let both = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .map(|(user, password)| (user.to_owned(), password.to_owned()));
        let (username, password) = both.unwrap_or((auth.username, auth.password));
        AuthConfig { username, password, identity_token: auth.identity_token, ..AuthConfig::default() }
    };
    auths.unwrap_or_default().into_iter().map(|(server, auth)| (server, convert(auth))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_get_a_tag() {
        for (image, expected) in [
            ("busybox", Some("busybox:latest")),
            ("a/b:1", Some("a/b:1")),
            ("localhost:5000/a", Some("localhost:5000/a:latest")),
            ("A/b", None),
            ("", None),
            ("a//b", None),
            ("x:é", None),
            (
                "reg.io/a@sha256:0123456789012345678901234567890123456789",
                Some("reg.io/a@sha256:0123456789012345678901234567890123456789"),
            ),
        ] {
            assert_eq!(with_tag(image).as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn credentials_are_matched_by_host_and_path() {
        let config = json!({ "auths": {
            "https://index.docker.io/v1/": { "auth": "dTpw" },
            "reg.io/team": { "username": "t", "password": "x" },
            "reg.io": { "username": "r", "password": "y" },
        } })
        .to_string();
        let encoded = base64::engine::general_purpose::STANDARD.encode(config);
        let secret: Secret =
            serde_json::from_value(json!({ "metadata": {}, "data": { ".dockerconfigjson": encoded } }))
                .unwrap();
        let users = |image: &str| {
            find_credentials(image, std::slice::from_ref(&secret))
                .into_iter()
                .map(|auth| auth.username)
                .collect::<Vec<_>>()
        };
        assert_eq!(users("busybox"), ["u"]);
        assert_eq!(users("reg.io/team/app:1"), ["t", "r"]);
        assert_eq!(users("reg.io/other"), ["r"]);
        assert!(users("other.io/x").is_empty());
    }
}
