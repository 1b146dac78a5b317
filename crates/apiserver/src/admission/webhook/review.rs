//! `AdmissionReview`: the question, and the answer (k8s.io/apiserver/pkg/admission/plugin/webhook/request).
//!
//! Both versions, `v1` and `v1beta1`, have the same fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decapod_api::Status;
use decapod_api::meta::{GroupVersionKind, GroupVersionResource};
use decapod_api::status::{Details, ListMeta};
use serde::{Deserialize, Serialize};

use super::call::Failure;
use super::matching::{Invocation, namespace, request_kind};
use crate::admission::Attributes;
use crate::identity::User;

/// What the request is about, as the webhook sees it: JSON.
pub struct Objects {
    /// The object as it is to be.
    pub new: Option<Bytes>,
    /// The object as it was.
    pub old: Option<Bytes>,
}

#[derive(Serialize)]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
struct Resource<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
}

/// The fields of the question before the objects, in upstream's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    uid: &'a str,
    kind: Kind<'a>,
    resource: Resource<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    sub_resource: &'a str,
    request_kind: Kind<'a>,
    request_resource: Resource<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_sub_resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    operation: &'static str,
    user_info: &'a User,
}

/// What the webhook said.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Answer {
    uid: String,
    allowed: bool,
    #[serde(rename = "status")]
    result: Option<Outcome>,
    /// In base64.
    pub patch: Option<String>,
    pub patch_type: Option<String>,
    pub warnings: Option<Vec<String>>,
}

/// The part of a `Status` that a webhook may set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Outcome {
    message: Option<String>,
    reason: Option<String>,
    details: Option<Details>,
    code: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    response: Option<Answer>,
}

/// The question, in `version`.
pub fn request(
    version: &str,
    uid: &str,
    invocation: &Invocation,
    attributes: &Attributes,
    objects: &Objects,
) -> Bytes {
    let own = own(attributes);
    let head = head(uid, &own, invocation, attributes);
    let mut out = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/{version}","request":{}"#,
        serde_json::to_string(&head).unwrap_or_default()
    )
    .into_bytes();
    out.pop();
    for (field, object) in [("object", &objects.new), ("oldObject", &objects.old)] {
        out.extend_from_slice(format!(r#","{field}":"#).as_bytes());
        out.extend_from_slice(object.as_deref().unwrap_or(b"null"));
    }
    let options = serde_json::to_string(&(attributes.options)()).unwrap_or_default();
    out.extend_from_slice(format!(r#","dryRun":{},"options":{options}}}}}"#, attributes.dry_run).as_bytes());
    out.into()
}

/// The resource that the request itself is about.
fn own(attributes: &Attributes) -> GroupVersionResource {
    let resource = attributes.resource;
    let version = attributes.version.name.clone();
    GroupVersionResource::new(resource.group.clone(), version, resource.plural.clone())
}

fn head<'a>(
    uid: &'a str,
    own: &'a GroupVersionResource,
    invocation: &'a Invocation,
    attributes: &'a Attributes,
) -> Head<'a> {
    let name = match attributes.name {
        "" => attributes.object.str_at(&["metadata", "name"]).unwrap_or_default(),
        name => name,
    };
    Head {
        uid,
        kind: kind(&invocation.kind),
        resource: resource(&invocation.resource),
        sub_resource: attributes.subresource,
        request_kind: kind(request_kind(attributes)),
        request_resource: resource(own),
        request_sub_resource: attributes.subresource,
        name,
        namespace: namespace(attributes),
        operation: attributes.operation.as_str(),
        user_info: attributes.user,
    }
}

fn kind(kind: &GroupVersionKind) -> Kind<'_> {
    Kind { group: &kind.group, version: &kind.version, kind: &kind.kind }
}

fn resource(resource: &GroupVersionResource) -> Resource<'_> {
    Resource { group: &resource.group, version: &resource.version, resource: &resource.resource }
}

/// The answer to the question `uid`, if it is one (upstream's `VerifyAdmissionResponse`).
pub fn answer(version: &str, uid: &str, body: &[u8]) -> Result<Answer, Failure> {
    let review: Review = serde_json::from_slice(body).map_err(|error| {
        let why = format!("couldn't get version/kind; json parse error: {error}");
        Failure::Calling(format!("failed to call webhook: {why}"))
    })?;
    let invalid = |why: String| Err(Failure::Calling(format!("received invalid webhook response: {why}")));
    let Some(answer) = review.response else { return invalid("webhook response was absent".to_owned()) };
    // Upstream never held v1beta1 to these.
    if version != "v1" {
        return Ok(answer);
    }
    if answer.uid != uid {
        return invalid(format!("expected response.uid={uid:?}, got {:?}", answer.uid));
    }
    if (review.api_version.as_str(), review.kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
        let (group, version) = review.api_version.split_once('/').unwrap_or(("", &review.api_version));
        return invalid(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {group}/{version}, Kind={}",
            review.kind
        ));
    }
    Ok(answer)
}

// === impl Answer ===

impl Answer {
    /// Takes the patch out.
    pub fn take_patch(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let invalid = |why: String| Failure::Calling(format!("received invalid webhook response: {why}"));
        let patch = self.patch.take().filter(|patch| !patch.is_empty());
        match (&patch, self.patch_type.as_deref()) {
            (None, None) => return Ok(None),
            (Some(_), None) => {
                return Err(invalid("webhook returned response.patch but not response.patchType".to_owned()));
            }
            (None, Some(_)) => {
                return Err(invalid("webhook returned response.patchType but not response.patch".to_owned()));
            }
            (Some(_), Some("")) => {
                return Err(invalid("webhook returned invalid response.patchType of \"\"".to_owned()));
            }
            (Some(_), Some("JSONPatch")) => {}
            // What is refused is refused before its patch is looked at.
            (Some(_), Some(_)) if !self.allowed => return Ok(None),
            (Some(_), Some(other)) => {
                return Err(Failure::Calling(format!("unsupported patch type {other:?}")));
            }
        }
        let decoded = patch.map(|patch| STANDARD.decode(patch)).transpose();
        decoded.map_err(|error| Failure::Calling(format!("failed to call webhook: {error}")))
    }

    /// Yes, or the refusal in the words of the webhook `name` (upstream's `ToStatusErr`).
    pub fn verdict(self, name: &str) -> Result<(), Failure> {
        if self.allowed {
            return Ok(());
        }
        let result = self.result.unwrap_or_default();
        let (said, reason) = (result.message.unwrap_or_default(), result.reason.unwrap_or_default());
        let denied = format!("admission webhook {name:?} denied the request");
        let message = match (said.as_str(), reason.as_str()) {
            ("", "") => format!("{denied} without explanation"),
            ("", why) | (why, _) => format!("{denied}: {why}"),
        };
        let code = u16::try_from(result.code.unwrap_or(0)).unwrap_or(0).max(400);
        Err(Failure::refused(Status {
            metadata: ListMeta::default(),
            status: "Failure".to_owned(),
            message,
            reason,
            details: result.details,
            code,
        }))
    }
}
