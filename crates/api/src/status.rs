//! The one error of the API: `Status`, with upstream's codes, reasons and wording
//! (k8s.io/apimachinery/pkg/api/errors).

use serde::{Deserialize, Serialize};

use crate::meta::GroupResource;

/// Why a request was refused, as clients see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Where a list may go on, for those that expired.
    pub metadata: ListMeta,
    /// `Success` or `Failure`.
    pub status: String,
    /// What a person reads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What a program reads, such as `NotFound`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status code; 0 where upstream leaves it out, which is a success.
    #[serde(skip_serializing_if = "is_unset")]
    pub code: u16,
}

/// The list metadata of a [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListMeta {
    /// A token for the rest of the list, at whatever revision is current.
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
}

/// What a [`Status`] is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The group of its resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its resource (mostly) or kind (for `Invalid`), as upstream fills it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry per field at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// One field at fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// Such as `FieldValueRequired`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its path, such as `spec.containers[0].name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

fn is_unset(code: &u16) -> bool {
    *code == 0
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

// === impl Status ===

impl Status {
    fn failure(code: u16, reason: &str, message: impl Into<String>) -> Status {
        Status {
            metadata: ListMeta::default(),
            status: "Failure".into(),
            message: message.into(),
            reason: reason.into(),
            details: None,
            code,
        }
    }

    fn about(mut self, resource: &GroupResource, name: &str) -> Status {
        let details = self.details.get_or_insert_default();
        details.group = resource.group.to_string();
        details.kind = resource.resource.to_string();
        details.name = name.to_owned();
        self
    }

    /// The success that a delete answers with.
    pub fn deleted(resource: &GroupResource, name: &str, uid: &str) -> Status {
        let mut status = Status { status: "Success".into(), ..Status::default() }.about(resource, name);
        status.details.get_or_insert_default().uid = uid.to_owned();
        status
    }

    /// 404: there is no such object.
    pub fn not_found(resource: &GroupResource, name: &str) -> Status {
        Status::failure(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// 404: there is no such path.
    pub fn no_such_path() -> Status {
        let mut status = Status::failure(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Details::default());
        status
    }

    /// 409: create of an object that is there.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Status {
        Status::failure(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
            .about(resource, name)
    }

    /// 409: the object is not as the request expects it.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Status {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Status::failure(409, "Conflict", message).about(resource, name)
    }

    /// 409 in upstream's usual words: the object has changed since it was read.
    pub fn modified(resource: &GroupResource, name: &str) -> Status {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(resource, name, why)
    }

    /// 422: fields at fault. `kind` is of the object, as upstream fills it.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Status {
        let errors: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let errors = match errors.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut status =
            Status::failure(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {errors}"));
        status.details = Some(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        });
        status
    }

    /// 403: not allowed.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Status {
        let what = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => "forbidden".to_owned(),
            (false, true) => format!("{resource} is forbidden"),
            (false, false) => format!("{resource} \"{name}\" is forbidden"),
        };
        Status::failure(403, "Forbidden", format!("{what}: {why}")).about(resource, name)
    }

    /// 401: who is it?
    pub fn unauthorized() -> Status {
        Status::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 400: the request makes no sense.
    pub fn bad_request(why: impl Into<String>) -> Status {
        Status::failure(400, "BadRequest", why)
    }

    /// 405: this resource has no such verb.
    pub fn method_not_allowed(resource: &GroupResource, verb: &str) -> Status {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        Status::failure(405, "MethodNotAllowed", message).about(resource, "")
    }

    /// 422: options of a request at fault, such as `ListOptions`.
    pub fn invalid_options(kind: &str, causes: Vec<Cause>) -> Status {
        Status::invalid("meta.k8s.io", kind, "", causes)
    }

    /// 405: nothing has this method at this path.
    pub fn no_such_method() -> Status {
        let message = "the server does not allow this method on the requested resource";
        let details = Some(Details::default());
        Status { details, ..Status::failure(405, "MethodNotAllowed", message) }
    }

    /// 406: no encoding that the client accepts.
    pub fn not_acceptable(accepted: &str) -> Status {
        let message = format!("only the following media types are accepted: {accepted}");
        Status::failure(406, "NotAcceptable", message)
    }

    /// 413: the body is larger than the limit.
    pub fn too_large(limit_bytes: usize) -> Status {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Status::failure(413, "RequestEntityTooLarge", message)
    }

    /// 415: no decoder for what the client sent.
    pub fn unsupported_media_type(accepted: &str) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Status::failure(415, "UnsupportedMediaType", message)
    }

    /// 410: the revision asked for is gone; list again.
    pub fn expired(why: impl Into<String>) -> Status {
        Status::failure(410, "Expired", why)
    }

    /// 429: try again later.
    pub fn too_many_requests(why: impl Into<String>, retry_after_seconds: u32) -> Status {
        let mut status = Status::failure(429, "TooManyRequests", why);
        status.details = Some(Details { retry_after_seconds, ..Details::default() });
        status
    }

    /// 504: the revision asked for has not been reached.
    pub fn too_large_resource_version(asked: u64, current: u64) -> Status {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut status = Status::failure(504, "Timeout", message);
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        };
        status.details = Some(Details { retry_after_seconds: 1, causes: vec![cause], ..Details::default() });
        status
    }

    /// 504: it took too long.
    pub fn timeout(why: impl Into<String>) -> Status {
        Status::failure(504, "Timeout", why)
    }

    /// 503: not now.
    pub fn unavailable(why: impl Into<String>) -> Status {
        Status::failure(503, "ServiceUnavailable", why)
    }

    /// 500: our fault.
    pub fn internal(why: impl std::fmt::Display) -> Status {
        let mut status = Status::failure(500, "InternalError", format!("Internal error occurred: {why}"));
        let cause = Cause { message: why.to_string(), ..Cause::default() };
        status.details = Some(Details { causes: vec![cause], ..Details::default() });
        status
    }

    /// 415: no form that patches have.
    pub fn unsupported_patch() -> Status {
        let details = Some(Details::default());
        Status { details, ..Status::failure(415, "UnsupportedMediaType", "415: Unsupported Media Type") }
    }

    /// 500: an error that upstream gives no reason.
    pub fn unknown(why: impl Into<String>) -> Status {
        Status::failure(500, "", why)
    }

    /// 409: others own what an apply would change.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Status {
        let mut status = Status::failure(409, "Conflict", message);
        status.details = Some(Details { causes, ..Details::default() });
        status
    }

    /// Whether `reason` is this one.
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// Whether this is 404 NotFound.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Whether this is 409 Conflict.
    pub fn is_conflict(&self) -> bool {
        self.is("Conflict")
    }

    /// Whether this is 409 AlreadyExists.
    pub fn is_already_exists(&self) -> bool {
        self.is("AlreadyExists")
    }

    /// Whether a list or watch has to begin anew (410).
    pub fn is_expired(&self) -> bool {
        self.code == 410
    }
}

// === impl Cause: the errors of k8s.io/apimachinery/pkg/util/validation/field ===

impl Cause {
    fn new(reason: &str, field: impl Into<String>, message: String) -> Cause {
        Cause { reason: reason.into(), message, field: field.into() }
    }

    /// The field has to be there.
    pub fn required(field: impl Into<String>, detail: &str) -> Cause {
        let message =
            if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Cause::new("FieldValueRequired", field, message)
    }

    /// The value is not of the right form. `value` is as JSON shows it: texts in quotes.
    pub fn invalid(field: impl Into<String>, value: &crate::value::Value, detail: &str) -> Cause {
        let shown = match value {
            crate::value::Value::Null => "null".to_owned(),
            other => serde_json::to_string(other).unwrap_or_default(),
        };
        Cause::new("FieldValueInvalid", field, format!("Invalid value: {shown}: {detail}"))
    }

    /// The value is of another type.
    pub fn type_invalid(field: impl Into<String>, value: &crate::value::Value, detail: &str) -> Cause {
        Cause { reason: "FieldValueTypeInvalid".into(), ..Cause::invalid(field, value, detail) }
    }

    /// The value is none of those allowed.
    pub fn not_supported(field: impl Into<String>, value: &str, allowed: &[&str]) -> Cause {
        let allowed: Vec<String> = allowed.iter().map(|text| format!("\"{text}\"")).collect();
        let message = format!("Unsupported value: \"{value}\": supported values: {}", allowed.join(", "));
        Cause::new("FieldValueNotSupported", field, message)
    }

    /// The same of a value that is no text.
    pub fn not_supported_value(
        field: impl Into<String>,
        value: &crate::value::Value,
        allowed: &[&str],
    ) -> Cause {
        let mut cause = Cause::not_supported(field, "", allowed);
        let shown = serde_json::to_string(value).unwrap_or_default();
        cause.message = cause.message.replacen("\"\"", &shown, 1);
        cause
    }

    /// The value may not be set, or not changed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Cause {
        Cause::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    /// The value is in the list twice.
    pub fn duplicate(field: impl Into<String>, value: &str) -> Cause {
        Cause::new("FieldValueDuplicate", field, format!("Duplicate value: \"{value}\""))
    }

    /// The same of a value that is no text.
    pub fn duplicate_value(field: impl Into<String>, value: &crate::value::Value) -> Cause {
        let shown = serde_json::to_string(value).unwrap_or_default();
        Cause::new("FieldValueDuplicate", field, format!("Duplicate value: {shown}"))
    }

    /// What the value refers to is not there.
    pub fn not_found(field: impl Into<String>, value: &str) -> Cause {
        Cause::new("FieldValueNotFound", field, format!("Not found: \"{value}\""))
    }

    /// Checking the value failed.
    pub fn internal(field: impl Into<String>, why: &str) -> Cause {
        Cause::new("InternalError", field, format!("Internal error: {why}"))
    }

    /// The value is longer than it may be.
    pub fn too_long(field: impl Into<String>, max_bytes: usize) -> Cause {
        Cause::new("FieldValueTooLong", field, format!("Too long: may not be more than {max_bytes} bytes"))
    }

    /// The list has more items than it may have.
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Cause {
        Cause::new("FieldValueTooMany", field, format!("Too many: {actual}: must have at most {max} items"))
    }
}
