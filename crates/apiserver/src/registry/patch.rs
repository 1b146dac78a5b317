//! patch: a change to an object, in any of four forms.

use decapod_api::codec::{self, FieldValidation};
use decapod_api::schema::TypeRef;
use decapod_api::{Object, Status, Value, patch};
use decapod_client::{Options, PatchType};

use super::draft::{Validation, decode_as, schema_of};
use super::update::Preconditions;
use super::{Body, Context, Media, Registry, Target};

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
            return Err(Status::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json",
            ));
        }
        if options.force {
            return Err(Status::bad_request("force is only allowed for apply patches"));
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
                    new = shown(current, schema)?;
                    patch::json::apply(&mut new, &patch)?;
                }
                PatchType::Merge => patch::merge::apply(&mut new, &patch)?,
                PatchType::Strategic => patch::strategic::apply(&mut new, &patch, schema)?,
                PatchType::Apply => unreachable!("handled above"),
            }
            let mut new = self.checked(context, target, &new, validation)?;
            pinned(target, current, &new)?;
            self.default(target, &mut new);
            Ok(new)
        })
        .await
    }

    /// A patched tree, held against the schema as if it had come in a body.
    fn checked(
        &self,
        context: &Context,
        target: &Target,
        new: &Value,
        validation: Validation,
    ) -> Result<Value, Status> {
        let bytes = serde_json::to_vec(new).map_err(Status::internal)?;
        let body = Body { bytes: bytes.into(), media: Media::Json };
        decode_as(target.kind(), &body, |problems| validation.settle(context, problems)).map_err(
            |mut status| {
                // A patch that does not fit is unprocessable rather than malformed.
                if status.code == 400 && !status.message.starts_with("strict decoding") {
                    status.code = 422;
                    status.reason = "Invalid".into();
                }
                status
            },
        )
    }
}

/// The object as a client reads it.
fn shown(draft: &Value, schema: TypeRef) -> Result<Value, Status> {
    let bytes = codec::json::to_bytes(draft, schema);
    codec::json::decode_any(&bytes, FieldValidation::Ignore)
        .map(|decoded| decoded.draft)
        .map_err(Status::internal)
}

/// A patch that writes a resourceVersion pins it.
fn pinned(target: &Target, current: &Value, new: &Value) -> Result<(), Status> {
    let revision =
        |value: &Value| value.str_at(&["metadata", "resourceVersion"]).unwrap_or_default().to_owned();
    let (before, after) = (revision(current), revision(new));
    if !after.is_empty() && after != before {
        return Err(Status::modified(&target.resource.group_resource(), &target.name));
    }
    let name = new.str_at(&["metadata", "name"]).unwrap_or_default();
    if name != target.name {
        let why =
            format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
        return Err(Status::bad_request(why));
    }
    Ok(())
}
