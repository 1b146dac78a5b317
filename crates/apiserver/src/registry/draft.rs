//! Between bytes and drafts: decode, default, convert, encode.

use bytes::Bytes;
use decapod_api::codec::{self, FieldValidation, TypeMeta};
use decapod_api::kinds::Resource;
use decapod_api::meta::{GroupVersion, GroupVersionKind};
use decapod_api::schema::{Schema, TypeRef};
use decapod_api::{Encoded, Object, Status, Value, defaults, managed};
use decapod_client::Options;

use super::{Body, Context, Media, Registry, Target};

/// What is done about unknown and duplicate fields (KEP-2885).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Validation {
    /// Nothing.
    Ignore,
    /// The client is warned.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

// === impl Validation ===

impl Validation {
    /// From the query parameter `fieldValidation`.
    pub(crate) fn parse(text: &str) -> Result<Validation, Status> {
        match text {
            "" | "Warn" => Ok(Validation::Warn),
            "Ignore" => Ok(Validation::Ignore),
            "Strict" => Ok(Validation::Strict),
            other => Err(Status::bad_request(format!(
                "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }

    /// Settles the problems that decoding found.
    pub(crate) fn settle(self, context: &Context, problems: Vec<String>) -> Result<(), Status> {
        match self {
            Validation::Strict if !problems.is_empty() => {
                Err(Status::bad_request(format!("strict decoding error: {}", problems.join(", "))))
            }
            Validation::Warn => {
                problems.into_iter().for_each(|problem| context.warn(problem));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Registry {
    /// The draft in `body`: of the kind that `target` or its subresource carries, with defaults.
    pub(crate) fn decode(
        &self,
        context: &Context,
        target: &Target,
        body: &Body,
        validation: Validation,
    ) -> Result<Value, Status> {
        let kind = match target.version().subresource(&target.subresource) {
            Some(subresource) => &subresource.kind,
            None => target.kind(),
        };
        let mut draft = decode_as(kind, body, |problems| validation.settle(context, problems))?;
        if kind == target.kind() {
            self.default(target, &mut draft);
        }
        Ok(draft)
    }

    /// Fills in the defaults of the kind, in the client's version.
    pub(crate) fn default(&self, target: &Target, draft: &mut Value) {
        if let Ok(schema) = schema_of(target.kind()) {
            defaults::apply(draft, schema);
        }
        target.resource.strategy.default(draft);
    }

    /// The stored object as a draft, in the stored version.
    pub(crate) fn draft_of(&self, target: &Target, object: &Object) -> Result<Value, Status> {
        canonical(object, target.resource.stored_kind())
    }

    /// Turns a draft from the client's version into the stored one.
    pub(crate) fn to_stored(&self, target: &Target, draft: &mut Value) -> Result<(), Status> {
        convert(target, draft, target.kind(), target.resource.stored_kind())
    }

    /// Turns a draft from the stored version into the client's.
    pub(crate) fn to_client(&self, target: &Target, draft: &mut Value) -> Result<(), Status> {
        convert(target, draft, target.resource.stored_kind(), target.kind())
    }

    /// The canonical encoding of a draft in the stored version.
    pub(crate) fn encode(&self, resource: &Resource, draft: &Value) -> Result<Encoded, Status> {
        Ok(codec::json::encode(draft, schema_of(resource.stored_kind())?))
    }

    /// The object in the version that the client speaks.
    pub(crate) fn in_version(&self, target: &Target, object: Object) -> Result<Object, Status> {
        in_version(target, object)
    }

    /// Records which fields `context`'s manager sets.
    pub(crate) fn track_fields(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        old: Option<&Value>,
        new: &mut Value,
    ) {
        let Ok(schema) = schema_of(target.kind()) else { return };
        let change = managed::Change {
            manager: context.field_manager(&options.field_manager),
            api_version: &target.kind().api_version(),
            subresource: &target.subresource,
            now: &super::meta::timestamp(self.env.now()),
        };
        managed::track(old, new, schema, &change);
    }
}

/// The object in the version that the client of `target` speaks.
pub(super) fn in_version(target: &Target, object: Object) -> Result<Object, Status> {
    let stored = target.resource.stored_kind();
    if stored == target.kind() {
        return Ok(object);
    }
    let mut draft = canonical(&object, stored)?;
    convert(target, &mut draft, stored, target.kind())?;
    let encoded = codec::json::encode(&draft, schema_of(target.kind())?);
    Ok(Object::new(encoded.at(object.revision()), object.revision()))
}

fn convert(
    target: &Target,
    draft: &mut Value,
    from: &GroupVersionKind,
    to: &GroupVersionKind,
) -> Result<(), Status> {
    if from == to {
        return Ok(());
    }
    let (from, to) = (from.api_version(), to.api_version());
    if target.resource.strategy.convert(draft, &from, &to) {
        return Ok(());
    }
    Err(Status::internal(format!("no conversion of {} from {from} to {to}", target.resource.kind)))
}

/// The draft of canonical bytes.
fn canonical(object: &Object, kind: &GroupVersionKind) -> Result<Value, Status> {
    let decoded = codec::json::decode(object.body(), schema_of(kind)?, FieldValidation::Ignore);
    decoded.map(|decoded| decoded.draft).map_err(Status::internal)
}

/// The schema of a built-in kind.
pub(crate) fn schema_of(kind: &GroupVersionKind) -> Result<TypeRef<'static>, Status> {
    Schema::builtin().type_of(kind).ok_or_else(|| Status::internal(format!("no schema of {kind:?}")))
}

/// The draft in `body`, which has to be of `kind`. Problems that strict decoding minds go to `settle`.
pub(crate) fn decode_as(
    kind: &GroupVersionKind,
    body: &Body,
    settle: impl FnOnce(Vec<String>) -> Result<(), Status>,
) -> Result<Value, Status> {
    let schema = schema_of(kind)?;
    let refused = |error: codec::DecodeError| error.status(&kind.kind, &kind.version);
    let named = match body.media {
        Media::Json => codec::json::type_meta(&body.bytes),
        Media::Yaml => codec::yaml::type_meta(&body.bytes),
        Media::Protobuf => codec::protobuf::type_meta(&body.bytes),
    };
    check_type(kind, &named.map_err(refused)?)?;
    let decoded = match body.media {
        Media::Json => codec::json::decode(&body.bytes, schema, FieldValidation::Warn),
        Media::Yaml => codec::yaml::decode(&body.bytes, schema, FieldValidation::Warn),
        Media::Protobuf => codec::protobuf::decode(&body.bytes, schema),
    };
    let mut decoded = decoded.map_err(refused)?;
    settle(decoded.warnings)?;
    let map = decoded.draft.ensure_map();
    map.remove("apiVersion");
    map.remove("kind");
    Ok(decoded.draft)
}

/// Refuses bodies of another kind or version. Both may be left out.
fn check_type(kind: &GroupVersionKind, named: &TypeMeta) -> Result<(), Status> {
    let (api_version, named) = (named.api_version.as_str(), named.kind.as_str());
    if !api_version.is_empty() && api_version != kind.api_version() {
        let group = GroupVersion::parse(api_version);
        let why = format!(
            "the API version in the data ({group}) does not match the expected API version ({})",
            kind.api_version()
        );
        return Err(Status::bad_request(why));
    }
    if !named.is_empty() && named != kind.kind {
        let why = format!("the kind in the data ({named}) does not match the expected kind ({})", kind.kind);
        return Err(Status::bad_request(why));
    }
    Ok(())
}

/// `body` as JSON, when it may be in any encoding.
pub(super) fn to_json(
    body: &Body,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
) -> Result<Bytes, Status> {
    if body.media == Media::Json {
        return Ok(body.bytes.clone());
    }
    // Options are of `v1` or of the group they are sent to; the fields are the same.
    let kind = GroupVersionKind::new(group, version, kind);
    let schema = schema_of(&kind)?;
    let decoded = match body.media {
        Media::Yaml => codec::yaml::decode(&body.bytes, schema, FieldValidation::Ignore),
        _ => codec::protobuf::decode(&body.bytes, schema),
    };
    let draft = decoded.map_err(|error| error.status(&kind.kind, &kind.version))?.draft;
    serde_json::to_vec(&draft).map(Bytes::from).map_err(Status::internal)
}
