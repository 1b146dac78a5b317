//! ImagePolicyWebhook: somebody else says which images may run (k8s.io/kubernetes/plugin/pkg/admission/imagepolicy).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use decapod_api::{Status, Value};
use decapod_client::kubeconfig;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::lru::Lru;
use super::webhook::{Caller, Peer, unexpected};
use super::{Attributes, Operation, Plugin, Waiting};
use crate::registry::Lookup;

/// The plugin.
pub struct ImagePolicyWebhook {
    caller: Arc<Caller>,
    peer: Peer,
    allow_last: Duration,
    deny_last: Duration,
    backoff: Duration,
    fails_open: bool,
    /// Answers, until they are too old.
    answers: Mutex<Lru<Option<(ReviewStatus, Instant)>>>,
}

/// Its file.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct File {
    image_policy: ImagePolicy,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ImagePolicy {
    kube_config_file: PathBuf,
    /// Seconds; 0 for the default, -1 for not at all.
    #[serde(rename = "allowTTL")]
    allow_ttl: i64,
    /// Seconds, likewise.
    #[serde(rename = "denyTTL")]
    deny_ttl: i64,
    /// Milliseconds, likewise.
    retry_backoff: i64,
    default_allow: bool,
}

#[derive(Serialize)]
struct ReviewSpec<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    containers: Vec<Image<'a>>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    annotations: serde_json::Map<String, serde_json::Value>,
    namespace: &'a str,
}

#[derive(Serialize)]
struct Image<'a> {
    image: &'a str,
}

#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: ReviewStatus,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ReviewStatus {
    allowed: bool,
    reason: String,
}

const VERSION: &str = "imagepolicy.k8s.io/v1alpha1";
const ANSWERS_MAX: usize = 1024;
/// How long a call may take: half of what a request may.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked, when what went wrong may go away.
const TRIES: u32 = 5;
const FACTOR: f64 = 1.5;
/// Annotations that it is shown.
const SHOWN: &str = ".image-policy.k8s.io/";

// === impl ImagePolicyWebhook ===

impl ImagePolicyWebhook {
    /// The plugin that asks whom `file` says.
    pub fn new(file: File, caller: Arc<Caller>) -> Result<ImagePolicyWebhook, String> {
        let file = file.image_policy;
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let backoff =
            lasting(file.retry_backoff, Duration::from_millis(1), Duration::from_nanos(1), 5 * minute);
        let ttl = |seconds| lasting(seconds, second, second, 30 * minute);
        let config = kubeconfig::load(&file.kube_config_file, None).map_err(|error| error.to_string())?;
        Ok(ImagePolicyWebhook {
            caller,
            backoff: backoff?.unwrap_or(Duration::from_millis(500)),
            allow_last: ttl(file.allow_ttl)?.unwrap_or(5 * minute),
            deny_last: ttl(file.deny_ttl)?.unwrap_or(30 * second),
            peer: Peer::of_config(&config)?,
            fails_open: file.default_allow,
            answers: Mutex::new(Lru::new(ANSWERS_MAX)),
        })
    }

    async fn check(&self, attributes: &Attributes<'_>, lookup: &dyn Lookup) -> Result<(), Status> {
        let spec = serde_json::to_string(&spec(attributes)).map_err(Status::internal)?;
        let status = match self.remembered(&spec) {
            Some(status) => status,
            None => match self.ask(lookup, &spec).await {
                Ok(status) => self.remember(&spec, status),
                Err(why) if self.fails_open => {
                    tracing::warn!(why, "images could not be judged, and may run");
                    return Ok(());
                }
                Err(why) => return Err(attributes.forbid(&why)),
            },
        };
        match (status.allowed, status.reason.as_str()) {
            (true, _) => Ok(()),
            (false, "") => Err(attributes.forbid("one or more images rejected by webhook backend")),
            (false, why) => {
                Err(attributes
                    .forbid(&format!("image policy webhook backend denied one or more images: {why}")))
            }
        }
    }

    fn remembered(&self, spec: &str) -> Option<ReviewStatus> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, until) = answers.entry(spec, || None).clone()?;
        (Instant::now() < until).then_some(status)
    }

    fn remember(&self, spec: &str, status: ReviewStatus) -> ReviewStatus {
        let lasts = if status.allowed { self.allow_last } else { self.deny_last };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(spec, || None) = Some((status.clone(), Instant::now() + lasts));
        status
    }

    /// Asks, again if what went wrong may go away.
    async fn ask(&self, lookup: &dyn Lookup, spec: &str) -> Result<ReviewStatus, String> {
        let body = format!(
            r#"{{"kind":"ImageReview","apiVersion":"{VERSION}","metadata":{{}},"spec":{spec},"status":{{"allowed":false}}}}"#
        );
        let body = Bytes::from(body);
        let mut pause = self.backoff;
        for _ in 1..TRIES {
            let answer = self.caller.send(&self.peer, lookup, TIMEOUT, body.clone()).await;
            if !may_pass(&answer) {
                return read(answer);
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(FACTOR);
        }
        read(self.caller.send(&self.peer, lookup, TIMEOUT, body).await)
    }
}

impl Plugin for ImagePolicyWebhook {
    fn name(&self) -> &'static str {
        "ImagePolicyWebhook"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "pods")
            && matches!(attributes.subresource, "" | "ephemeralcontainers")
    }

    fn ask_validating<'a>(&'a self, attributes: &'a Attributes<'_>, lookup: &'a dyn Lookup) -> Waiting<'a> {
        Some(Box::pin(self.check(attributes, lookup)))
    }
}

/// What is asked about.
fn spec<'a>(attributes: &'a Attributes) -> ReviewSpec<'a> {
    let lists: &[&str] = match attributes.subresource {
        "" => &["containers", "initContainers"],
        _ => &["ephemeralContainers"],
    };
    let containers = lists.iter().flat_map(|list| attributes.object.list_at(&["spec", list]));
    let image = |container: &'a Value| Image { image: container.str_at(&["image"]).unwrap_or_default() };
    let annotations = attributes.object.at(&["metadata", "annotations"]).and_then(Value::as_map);
    let annotations = annotations.into_iter().flat_map(|map| map.iter());
    let shown = annotations.filter(|(key, _)| key.contains(SHOWN));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ReviewSpec {
        containers: containers.map(image).collect(),
        annotations: shown.map(|(key, value)| (key.to_string(), text(value).into())).collect(),
        namespace: attributes.namespace,
    }
}

type Answer = Result<(StatusCode, Bytes), String>;

/// Whether what went wrong may go away by itself (k8s.io/apiserver/pkg/util/webhook, `DefaultShouldRetry`).
fn may_pass(answer: &Answer) -> bool {
    match answer {
        Ok((status, _)) => matches!(status.as_u16(), 429 | 500 | 504),
        Err(why) => why.contains("connection reset"),
    }
}

fn read(answer: Answer) -> Result<ReviewStatus, String> {
    let (status, body) = answer?;
    if !status.is_success() {
        return Err(unexpected(status));
    }
    let review: Review = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(review.status)
}

/// How long something lasts: `None` for the default, nothing at all for -1 (upstream's `normalizeConfigDuration`).
fn lasting(value: i64, unit: Duration, min: Duration, max: Duration) -> Result<Option<Duration>, String> {
    match value {
        -1 => return Ok(Some(Duration::ZERO)),
        0 => return Ok(None),
        _ => {}
    }
    let wanted = u32::try_from(value).ok().and_then(|count| unit.checked_mul(count));
    let wanted = wanted.filter(|wanted| (min..=max).contains(wanted));
    wanted
        .map(Some)
        .ok_or_else(|| format!("valid value is between {min:?} and {max:?}, got {value} times {unit:?}"))
}
