//! What a conversion webhook is sent, and what its answer is held against
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/conversion, webhook_converter.go).

use bytes::Bytes;
use decapod_api::codec::{self, FieldValidation};
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Cause, Value, patch};

use crate::http::respond::typed;
use crate::registry::draft::schema_of;
use crate::registry::meta;

const GROUP: &str = "apiextensions.k8s.io";
/// The fields of metadata that a conversion may change.
const FREE: [&str; 2] = ["labels", "annotations"];

/// What is wrong with a converted object.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It is of another kind or version than was asked for.
    Type(String),
    /// It is another object.
    Object(String),
    /// Its metadata are none.
    Metadata(String),
}

/// An object as a webhook is sent it: JSON of `kind`, without a revision, of which conversion knows nothing.
pub(super) fn sent(draft: &Value, kind: &GroupVersionKind) -> Result<Bytes, String> {
    let mut draft = draft.clone();
    draft.remove_at(&["metadata", "resourceVersion"]);
    let schema = schema_of(kind).map_err(|status| status.message)?;
    Ok(typed(kind, &codec::json::to_bytes(&draft, schema)))
}

/// The review of `version` that asks for `objects` in the version `desired`, a group and its version.
pub(super) fn request(version: &str, uid: &str, desired: &str, objects: &[Bytes]) -> Bytes {
    let head = format!(
        r#"{{"kind":"ConversionReview","apiVersion":"{GROUP}/{version}","request":{{"uid":"{uid}","desiredAPIVersion":"{desired}","objects":["#
    );
    let mut out = head.into_bytes();
    for (at, object) in objects.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(object);
    }
    out.extend_from_slice(b"]}}");
    out.into()
}

/// The objects in the answer to the question `uid`, if it is one and says that all went well.
pub(super) fn answer(version: &str, uid: &str, body: &[u8]) -> Result<Vec<Value>, String> {
    let decoded = codec::json::decode_any(body, FieldValidation::Ignore);
    let mut review =
        decoded.map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?.draft;
    let text = |path: &[&str]| review.str_at(path).unwrap_or_default();
    // Upstream never held v1beta1 to these.
    let strict = version == "v1";
    let (version, kind) = (text(&["apiVersion"]), text(&["kind"]));
    if strict && (version, kind) != (EXPECTED, "ConversionReview") {
        let version = with_group(version);
        return Err(format!(
            "expected webhook response of {EXPECTED}, Kind=ConversionReview, got {version}, Kind={kind}"
        ));
    }
    if review.get("response").is_none_or(|response| response.as_map().is_none()) {
        return Err("no response provided".to_owned());
    }
    let answered = text(&["response", "uid"]);
    if strict && answered != uid {
        return Err(format!("expected response.uid={uid:?}, got {answered:?}"));
    }
    let result = (text(&["response", "result", "status"]), text(&["response", "result", "message"]));
    match result {
        ("Success", _) => {}
        (status, "") => return Err(format!("response.result.status was '{status}', not 'Success'")),
        (_, why) => return Err(why.to_owned()),
    }
    Ok(match review.remove_at(&["response", "convertedObjects"]) {
        Some(Value::List(objects)) => objects,
        _ => vec![],
    })
}

const EXPECTED: &str = "apiextensions.k8s.io/v1";

/// Go shows a version of no group with a slash in front.
fn with_group(api_version: &str) -> String {
    if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") }
}

/// What `original` has become: `converted`, if it is of the kind `wanted` and the same object, with the metadata of the
/// original but for labels and annotations.
pub(super) fn settled(
    original: &Value,
    mut converted: Value,
    wanted: &GroupVersionKind,
) -> Result<Value, Fault> {
    let text = |value: &Value, path: &[&str]| value.str_at(path).unwrap_or_default().to_owned();
    let (version, kind) = (text(&converted, &["apiVersion"]), text(&converted, &["kind"]));
    let differs = |what: &str, expected: &str, got: &str| {
        Err(Fault::Type(format!("invalid {what} (expected {expected}, received {got})")))
    };
    if version != wanted.api_version() {
        return differs("groupVersion", &wanted.api_version(), &version);
    }
    if kind != wanted.kind {
        return differs("kind", &wanted.kind, &kind);
    }
    for (field, called) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (before, after) = (text(original, &["metadata", field]), text(&converted, &["metadata", field]));
        if before != after {
            return Err(Fault::Object(format!("must have the same {called}: {before} != {after}")));
        }
    }
    let metadata = restored(original, &converted).map_err(Fault::Metadata)?;
    let map = converted.ensure_map();
    map.remove("apiVersion");
    map.remove("kind");
    converted.set_at(&["metadata"], metadata);
    Ok(converted)
}

/// The metadata of `original` with the labels and annotations of `converted`.
fn restored(original: &Value, converted: &Value) -> Result<Value, String> {
    let given = converted.get("metadata").ok_or("missing metadata in converted object")?;
    if given.as_map().is_none() {
        return Err(format!("invalid metadata of type {} in converted object", patch::go_type(given)));
    }
    let mut metadata = original.get("metadata").cloned().unwrap_or_else(Value::map);
    for field in FREE {
        let before = metadata.remove_at(&[field]).unwrap_or_else(Value::map);
        let Some(after) = given.get(field).filter(|after| !after.is_null()) else { continue };
        let Some(map) = after.as_map() else {
            let kind = patch::go_type(after);
            return Err(format!("invalid metadata.{field} of type {kind} in converted object"));
        };
        if let Some((key, value)) = map.iter().find(|(_, value)| value.as_str().is_none()) {
            let kind = patch::go_type(value);
            return Err(format!(
                "metadata.{field}[{key}] must be a string, but is {kind} in converted object"
            ));
        }
        if before != *after {
            check(field, after)?;
        }
        if !map.is_empty() {
            metadata.set_at(&[field], after.clone());
        }
    }
    Ok(metadata)
}

fn check(field: &str, value: &Value) -> Result<(), String> {
    let causes = match field {
        "labels" => meta::labels(Some(value), "metadata.labels"),
        _ => meta::annotations(Some(value)),
    };
    // Upstream says it without the last letter here.
    let path = |cause: &Cause| cause.field.replace("metadata.annotations", "metadata.annotation");
    let shown = |cause: &Cause| format!("{}: {}", path(cause), cause.message);
    match causes.as_slice() {
        [] => Ok(()),
        [one] => Err(shown(one)),
        several => Err(format!("[{}]", several.iter().map(shown).collect::<Vec<_>>().join(", "))),
    }
}

// === impl Fault ===

impl Fault {
    /// Of the only object that was asked about.
    pub(super) fn of_one(self) -> String {
        match self {
            Fault::Type(why) => format!("invalid object at index 0: {why}"),
            Fault::Object(why) => format!("invalid object: {why}"),
            Fault::Metadata(why) => format!("invalid metadata: {why}"),
        }
    }

    /// Of the object of this index.
    pub(super) fn of_many(self, at: usize) -> String {
        match self {
            Fault::Type(why) | Fault::Object(why) => {
                format!("invalid converted object at index {at}: {why}")
            }
            Fault::Metadata(why) => format!("invalid metadata in object at index {at}: {why}"),
        }
    }
}
