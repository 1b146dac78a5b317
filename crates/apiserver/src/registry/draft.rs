//! Between bytes and drafts: decode, default, convert, encode.

use bytes::Bytes;
use decapod_api::codec::{self, FieldValidation, TypeMeta};
use decapod_api::kinds::Resource;
use decapod_api::meta::{GroupVersion, GroupVersionKind};
use decapod_api::schema::{Schema, TypeRef};
use decapod_api::{Encoded, Object, Status, Value, defaults};

use super::{Body, Context, Media, Registry, Target, custom};

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
            other => Err(Status::bad_request(format!("no such fieldValidation: {other}"))),
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
        let mut problems = Vec::new();
        let mut draft = decode_as(kind, body, |found| {
            problems = found;
            Ok(())
        })?;
        if kind == target.kind() {
            problems.extend(custom::conform(&target.resource, kind, &mut draft));
        }
        if validation == Validation::Strict && !problems.is_empty() {
            return Err(codec::DecodeError::Strict(problems).status(&kind.kind, &kind.version));
        }
        validation.settle(context, problems)?;
        if kind == target.kind() {
            self.default(target, &mut draft);
        }
        Ok(draft)
    }

    /// Fills in the defaults of the kind, in the client's version.
    pub(crate) fn default(&self, target: &Target, draft: &mut Value) {
        fill_in(&target.resource, target.kind(), draft);
    }

    /// The stored object as a draft of [`Target::working_kind`].
    pub(crate) async fn draft_of(&self, target: &Target, object: &Object) -> Result<Value, Status> {
        match &target.resource.custom {
            None => canonical(object, target.resource.stored_kind()),
            Some(_) => self.custom_draft(target, object).await,
        }
    }

    /// Turns a draft from the client's version into the one in which it is worked on.
    pub(crate) fn to_working(&self, target: &Target, draft: &mut Value) -> Result<(), Status> {
        convert(&target.resource, draft, target.kind(), target.working_kind())
    }

    /// Turns a draft from the version in which it is worked on into the client's.
    pub(crate) fn to_client(&self, target: &Target, draft: &mut Value) -> Result<(), Status> {
        convert(&target.resource, draft, target.working_kind(), target.kind())
    }

    /// What is stored of a draft of [`Target::working_kind`].
    pub(crate) async fn stored(&self, target: &Target, draft: &Value) -> Result<Encoded, Status> {
        match &target.resource.custom {
            None => self.encode(&target.resource, draft),
            Some(definition) => self.custom_stored(definition, target, draft).await,
        }
    }

    /// The canonical encoding of a draft of a built-in kind in the stored version.
    pub(crate) fn encode(&self, resource: &Resource, draft: &Value) -> Result<Encoded, Status> {
        Ok(codec::json::encode(draft, schema_of(resource.stored_kind())?))
    }

    /// The object in the version that the client speaks.
    pub(crate) async fn in_version(&self, target: &Target, object: Object) -> Result<Object, Status> {
        let objects = self.all_in_version(target, vec![object]).await?;
        objects.into_iter().next().ok_or_else(|| Status::internal("nothing was converted"))
    }

    /// The objects in the version that the client speaks.
    pub(crate) async fn all_in_version(
        &self,
        target: &Target,
        objects: Vec<Object>,
    ) -> Result<Vec<Object>, Status> {
        if target.resource.custom.is_some() {
            return self.custom_in_version(target, objects).await;
        }
        if target.resource.stored_kind() == target.kind() {
            return Ok(objects);
        }
        objects.into_iter().map(|object| in_version(target, object)).collect()
    }
}

/// Fills in the defaults of `kind`, which is `resource`'s in some version.
pub(crate) fn fill_in(resource: &Resource, kind: &GroupVersionKind, draft: &mut Value) {
    if let Ok(schema) = schema_of(kind) {
        defaults::apply(draft, schema);
    }
    match custom::form(resource, kind) {
        Some(form) => form.fill_defaults(draft),
        None => resource.strategy.default(draft),
    }
}

/// An object of a built-in kind in the version that the client of `target` speaks.
fn in_version(target: &Target, object: Object) -> Result<Object, Status> {
    let stored = target.resource.stored_kind();
    let mut draft = canonical(&object, stored)?;
    convert(&target.resource, &mut draft, stored, target.kind())?;
    let encoded = codec::json::encode(&draft, schema_of(target.kind())?);
    Ok(Object::new(encoded.at(object.revision()), object.revision()))
}

/// Turns a draft of a built-in resource from one version into another.
pub(super) fn convert(
    resource: &Resource,
    draft: &mut Value,
    from: &GroupVersionKind,
    to: &GroupVersionKind,
) -> Result<(), Status> {
    if from == to {
        return Ok(());
    }
    let (from, to) = (from.api_version(), to.api_version());
    if resource.strategy.convert(draft, &from, &to) {
        return Ok(());
    }
    Err(Status::internal(format!("no conversion of {} from {from} to {to}", resource.kind)))
}

/// The draft of canonical bytes.
pub(super) fn canonical(object: &Object, kind: &GroupVersionKind) -> Result<Value, Status> {
    let decoded = codec::json::decode(object.body(), schema_of(kind)?, FieldValidation::Ignore);
    decoded.map(|decoded| decoded.draft).map_err(Status::internal)
}

/// The schema by which objects of this kind are read and written: its own, or that of objects of any kind.
pub(crate) fn schema_of(kind: &GroupVersionKind) -> Result<TypeRef<'static>, Status> {
    let schema = Schema::builtin();
    let is_custom = !schema.kinds().iter().any(|known| known.gvk.group == kind.group);
    let found = if is_custom { schema.unstructured() } else { schema.type_of(kind) };
    found.or_else(|| schema.unstructured()).ok_or_else(|| Status::internal(format!("no schema of {kind:?}")))
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
    check_type(kind, &named.map_err(|error| unrecognized(kind, &error, &body.bytes))?)?;
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
pub(super) fn check_type(kind: &GroupVersionKind, named: &TypeMeta) -> Result<(), Status> {
    let version = match named.api_version.as_str() {
        "" => GroupVersion { group: kind.group.clone(), version: kind.version.clone() },
        text => GroupVersion::parse(text),
    };
    let name = if named.kind.is_empty() { kind.kind.as_ref() } else { named.kind.as_str() };
    if version.group == kind.group && version.version == kind.version && name == kind.kind {
        return Ok(());
    }
    let found =
        GroupVersionKind { group: version.group, version: version.version, kind: name.to_owned().into() };
    let (group, known) = (&found.group, Schema::builtin().type_of(&found).is_some());
    let why = match known {
        false => {
            format!(
                "no kind {name:?} is registered for version {:?} in scheme {SCHEME:?}",
                found.api_version()
            )
        }
        // Another version of the same kind could be converted, but is not what this path takes.
        true if *group == kind.group && name == kind.kind => {
            let (found, expected) = (found.api_version(), kind.api_version());
            return Err(Status::bad_request(format!(
                "the API version in the data ({found}) does not match the expected API version ({expected})"
            )));
        }
        true => {
            // Upstream's internal types are in packages named after the first part of the group.
            let package = match kind.group.split('.').next() {
                None | Some("") => "core",
                Some(package) => package,
            };
            format!("converting ({}.{name}) to ({package}.{}): unknown conversion", found.version, kind.kind)
        }
    };
    let (version, kind) = (&found.version, &kind.kind);
    Err(Status::bad_request(format!("{name} in version \"{version}\" cannot be handled as a {kind}: {why}")))
}

/// Where upstream's message says that kinds are registered.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// The 400 for a body whose kind cannot be read (k8s.io/apiserver/pkg/endpoints/handlers, transformDecodeError).
fn unrecognized(kind: &GroupVersionKind, error: &codec::DecodeError, body: &[u8]) -> Status {
    const SHOWN_BYTES_MAX: usize = 30;
    let (shown, more) = match body.get(..SHOWN_BYTES_MAX) {
        Some(shown) if body.len() > SHOWN_BYTES_MAX => (shown, " ..."),
        _ => (body, ""),
    };
    let summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).chain([more.to_owned()]).collect(),
    };
    let kind = &kind.kind;
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {error} ({summary})"
    ))
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
