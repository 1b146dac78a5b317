//! patch: a change to an object, in any of four forms.

use decapod_api::codec::{self, DecodeError, FieldValidation};
use decapod_api::status::Cause;
use decapod_api::{Object, Status, Value, managed, patch};
use decapod_client::{Options, PatchType};

use super::draft::{Validation, check_type, schema_of};
use super::update::{Edit, Preconditions};
use super::{Body, Context, Registry, Target};

impl Registry {
    /// Changes the object by the patch in `body`.
    pub(super) async fn patch(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        form: PatchType,
        body: Body,
    ) -> Result<Object, Status> {
        if form == PatchType::Apply {
            return self.apply(context, target, options, &body).await;
        }
        if form == PatchType::Strategic && target.custom().is_some() {
            return Err(Status::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        let validation = Validation::parse(&options.field_validation)?;
        let patch: Value = serde_json::from_slice(&body.bytes)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        let schema = schema_of(target.kind())?;
        let expect = Preconditions::default();
        self.change(context, target, options, &expect, |current| {
            let mut new = current.clone();
            match form {
                PatchType::Json => {
                    // Its paths lead through what JSON shows, empty structs included.
                    new = managed::shown(current, schema);
                    patch::json::apply(&mut new, &patch)?;
                }
                PatchType::Merge => patch::merge::apply(&mut new, &patch)?,
                PatchType::Strategic => patch::strategic::apply(&mut new, &patch, schema)?,
                PatchType::Apply => unreachable!("handled above"),
            }
            let seen = || match form {
                PatchType::Strategic => patch::go_value(&patch),
                _ => serde_json::to_string(&new).unwrap_or_default(),
            };
            let mut new =
                checked(context, target, &new, validation).map_err(|misfit| misfit.status(form, seen()))?;
            pinned(target, current, &new)?;
            self.default(target, &mut new);
            Ok(Edit::Update(new))
        })
        .await
    }
}

/// Why what a patch makes is not of its kind.
enum Misfit {
    /// It says that it is of another kind.
    Kind(Status),
    /// A value is of the wrong type.
    Type(DecodeError),
    /// It has fields that there are not, and the client wants to know.
    Strict(Status),
}

// === impl Misfit ===

impl Misfit {
    /// Unprocessable rather than malformed (k8s.io/apiserver/pkg/endpoints/handlers/patch.go). `shown` is the patch, or
    /// what it made.
    fn status(self, form: PatchType, shown: String) -> Status {
        let why = match self {
            Misfit::Kind(status) => return Status { code: 422, reason: "Invalid".into(), ..status },
            Misfit::Strict(status) => status.message,
            Misfit::Type(error) if form == PatchType::Strategic => converter_text(&error),
            Misfit::Type(error) => error.to_string(),
        };
        Status::invalid("", "", "", vec![Cause::invalid("patch", &Value::from(shown), &why)])
    }
}

/// A patched tree, held against the schema as if it had come in a body.
fn checked(context: &Context, target: &Target, new: &Value, validation: Validation) -> Result<Value, Misfit> {
    let internal = |error| Misfit::Kind(Status::internal(error));
    let bytes = serde_json::to_vec(new).map_err(internal)?;
    let schema = schema_of(target.kind()).map_err(Misfit::Kind)?;
    let named = codec::json::type_meta(&bytes).map_err(Misfit::Type)?;
    check_type(target.kind(), &named).map_err(Misfit::Kind)?;
    let decoded = codec::json::decode(&bytes, schema, FieldValidation::Warn).map_err(Misfit::Type)?;
    let (mut draft, mut problems) = (decoded.draft, decoded.warnings);
    problems.extend(super::custom::conform(&target.resource, target.kind(), &mut draft));
    validation.settle(context, problems).map_err(Misfit::Strict)?;
    let map = draft.ensure_map();
    map.remove("apiVersion");
    map.remove("kind");
    Ok(draft)
}

/// A wrong type in the words of upstream's converter from trees (k8s.io/apimachinery/pkg/runtime, FromUnstructured).
fn converter_text(error: &DecodeError) -> String {
    let DecodeError::Type { value, want, .. } = error else { return error.to_string() };
    let found = match value.split(' ').next().unwrap_or_default() {
        "object" => "map",
        "array" => "slice",
        "number" if value.contains('.') => "float64",
        "number" => "int64",
        other => other,
    };
    match want.as_str() {
        "string" if found == "int64" => format!("cannot convert {found} to {want}"),
        "string" | "bool" | "int32" | "int64" | "float64" => format!("unrecognized type: {want}"),
        slice if slice.starts_with("[]") => format!("cannot restore slice from {found}"),
        map if map.starts_with("map[") => format!("cannot restore map from {found}"),
        _ => format!("cannot restore struct from: {found}"),
    }
}

/// A patch that writes a resourceVersion pins it.
pub(super) fn pinned(target: &Target, current: &Value, new: &Value) -> Result<(), Status> {
    let revision =
        |value: &Value| value.str_at(&["metadata", "resourceVersion"]).unwrap_or_default().to_owned();
    let (before, after) = (revision(current), revision(new));
    if !after.is_empty() && after != before {
        return Err(Status::modified(&target.resource.group_resource(), &target.name));
    }
    check_name(target, new.str_at(&["metadata", "name"]).unwrap_or_default())
}

/// An object has the name that the path says.
pub(super) fn check_name(target: &Target, name: &str) -> Result<(), Status> {
    let asked = &target.name;
    if name.is_empty() {
        let why = format!(
            "the name of the object ({asked} based on URL) was undeterminable: name must be provided"
        );
        return Err(Status::bad_request(why));
    }
    if name != *asked {
        let why = format!("the name of the object ({name}) does not match the name on the URL ({asked})");
        return Err(Status::bad_request(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_the_wrong_type_is_told_in_the_words_of_upstreams_converter() {
        let pod = decapod_api::schema::Schema::builtin().named("io.k8s.api.core.v1.Pod").expect("Pod");
        let table = [
            (r#"{"spec":{"priority":"two"}}"#, "unrecognized type: int32"),
            (r#"{"spec":{"containers":"x"}}"#, "cannot restore slice from string"),
            (r#"{"spec":{"nodeSelector":[]}}"#, "cannot restore map from slice"),
            (r#"{"spec":7}"#, "cannot restore struct from: int64"),
            (r#"{"spec":{"nodeName":7}}"#, "cannot convert int64 to string"),
        ];
        for (body, wanted) in table {
            let error = codec::json::decode(body.as_bytes(), pod, FieldValidation::Warn).expect_err(body);
            assert_eq!(converter_text(&error), wanted);
        }
    }
}
