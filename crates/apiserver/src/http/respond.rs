//! Answers: canonical bytes put into the form and encoding that the client asked for.
//!
//! A JSON list is a header and the items' own bytes: nothing is decoded to be served.

use bytes::{BufMut, Bytes, BytesMut};
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::{Schema, TypeRef};
use decapod_api::{Object, Status, Value, codec};
use decapod_client::List;
use futures::{StreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY, WARNING};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::negotiate::{Accepted, Form, media_type};
use super::{Body, Chunks, Response};
use crate::registry::Media;
use crate::table;

/// Answers smaller than this are not worth compressing (upstream's `defaultGzipThresholdBytes`).
const GZIP_BYTES_MIN: usize = 128 * 1024;
/// How much of a list goes into one chunk of the body.
const CHUNK_BYTES: usize = 64 * 1024;

/// A body of these bytes.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes in chunks.
pub fn streamed(chunks: Chunks) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))))
}

/// An answer of these bytes.
pub fn bytes(code: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(whole(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// JSON, as discovery and reviews answer.
pub fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => bytes(StatusCode::OK, "application/json", text),
        Err(error) => status(&Status::internal(error), Media::Json),
    }
}

/// A status, in an encoding that the client reads.
pub fn status(status: &Status, media: Media) -> Response {
    let code = match status.code {
        0 => StatusCode::OK,
        code => StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let body = serde_json::to_vec(status).unwrap_or_default();
    let object = Object::new(body.into(), 0);
    let kind = GroupVersionKind::new("", "v1", "Status");
    let mut response = match encode(&object, &kind, media) {
        Ok(body) => bytes(code, media_type(media), body),
        Err(_) => bytes(code, "application/json", typed(&kind, object.body())),
    };
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(retry));
    }
    if code == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// One object, in the form and encoding asked for.
pub fn object(
    code: StatusCode,
    object: &Object,
    kind: &GroupVersionKind,
    accepted: &Accepted,
    table: &table::Request,
) -> Result<Response, Status> {
    let body = match &accepted.form {
        Form::Object => encode(object, kind, accepted.media)?,
        Form::Table(version) => {
            let rows = table::render(
                kind,
                std::slice::from_ref(object),
                table,
                &table::Meta::of_object(object),
                version,
            );
            reencode(rows, accepted.media)?
        }
        Form::PartialObject(version) => {
            let kind = GroupVersionKind::new("meta.k8s.io", version.clone(), "PartialObjectMetadata");
            encode(&partial(object), &kind, accepted.media)?
        }
    };
    Ok(compressed(code, body, accepted))
}

/// A list, in the form and encoding asked for.
pub fn list(
    list: List,
    kind: &GroupVersionKind,
    accepted: &Accepted,
    table: &table::Request,
) -> Result<Response, Status> {
    match &accepted.form {
        Form::Table(version) => {
            let rows = table::render(kind, &list.items, table, &table::Meta::of_list(&list), version);
            Ok(compressed(StatusCode::OK, reencode(rows, accepted.media)?, accepted))
        }
        Form::PartialObject(version) => {
            let kind = GroupVersionKind::new("meta.k8s.io", version.clone(), "PartialObjectMetadata");
            // Items of this untyped list carry their kind.
            let items = list
                .items
                .iter()
                .map(|item| Object::new(typed(&kind, partial(item).body()), item.revision()));
            let list = List { items: items.collect(), ..list };
            encoded_list(list, &kind, accepted)
        }
        Form::Object => encoded_list(list, kind, accepted),
    }
}

fn encoded_list(list: List, kind: &GroupVersionKind, accepted: &Accepted) -> Result<Response, Status> {
    match accepted.media {
        Media::Json => {
            let total: usize = list.items.iter().map(|item| item.body().len() + 1).sum();
            let parts = json_list(&list, kind);
            if accepted.gzip && total >= GZIP_BYTES_MIN {
                let body: BytesMut = parts.into_iter().fold(BytesMut::new(), |mut body, part| {
                    body.put(part);
                    body
                });
                return Ok(compressed(StatusCode::OK, body.freeze(), accepted));
            }
            let mut response = Response::new(streamed(stream::iter(parts).boxed()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(response)
        }
        Media::Protobuf => Ok(compressed(StatusCode::OK, protobuf_list(&list, kind)?.into(), accepted)),
        Media::Yaml => {
            let text: Vec<u8> = json_list(&list, kind).concat();
            Ok(compressed(StatusCode::OK, yaml(&text)?, accepted))
        }
    }
}

/// A JSON list as chunks: the header, runs of items, the end.
fn json_list(list: &List, kind: &GroupVersionKind) -> Vec<Bytes> {
    let meta = serde_json::to_string(&list_meta(list)).unwrap_or_default();
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
        kind.kind,
        kind.api_version()
    );
    let mut parts = Vec::new();
    let mut chunk = BytesMut::from(head.as_bytes());
    for (i, item) in list.items.iter().enumerate() {
        if i > 0 {
            chunk.put_u8(b',');
        }
        if chunk.len() + item.body().len() > CHUNK_BYTES {
            parts.push(chunk.split().freeze());
        }
        chunk.put_slice(item.body());
    }
    chunk.put_slice(b"]}\n");
    parts.push(chunk.freeze());
    parts
}

/// A protobuf list in its envelope.
fn protobuf_list(list: &List, kind: &GroupVersionKind) -> Result<Vec<u8>, Status> {
    let item = type_of(kind)?;
    let list_kind = GroupVersionKind { kind: format!("{}List", kind.kind).into(), ..kind.clone() };
    let items = list.items.iter().map(|object| codec::protobuf::item(object.body(), item));
    let items: Vec<Vec<u8>> = items.collect::<Result<_, _>>().map_err(Status::internal)?;
    let message =
        codec::protobuf::list(&list_meta(list), type_of(&list_kind)?, items.iter().map(Vec::as_slice));
    Ok(codec::protobuf::envelope(&kind.api_version(), &list_kind.kind, &message))
}

/// An object as protobuf in its envelope.
pub fn protobuf(body: &[u8], kind: &GroupVersionKind) -> Result<Vec<u8>, Status> {
    let message = codec::protobuf::item(body, type_of(kind)?).map_err(Status::internal)?;
    Ok(codec::protobuf::envelope(&kind.api_version(), &kind.kind, &message))
}

/// The type of a kind.
fn type_of(kind: &GroupVersionKind) -> Result<TypeRef<'static>, Status> {
    Schema::builtin().type_of(kind).ok_or_else(|| Status::not_acceptable("application/json"))
}

/// The metadata of a list.
fn list_meta(list: &List) -> Value {
    let mut meta = Value::map();
    meta.set_at(&["resourceVersion"], list.revision.to_string());
    if !list.continue_token.is_empty() {
        meta.set_at(&["continue"], list.continue_token.as_str());
    }
    if let Some(remaining) = list.remaining {
        meta.set_at(&["remainingItemCount"], i64::try_from(remaining).unwrap_or(i64::MAX));
    }
    meta
}

/// An object in an encoding, with its type.
pub fn encode(object: &Object, kind: &GroupVersionKind, media: Media) -> Result<Bytes, Status> {
    match media {
        Media::Json => {
            let mut body = BytesMut::from(typed(kind, object.body()).as_ref());
            body.put_u8(b'\n');
            Ok(body.freeze())
        }
        Media::Yaml => yaml(&typed(kind, object.body())),
        Media::Protobuf => protobuf(object.body(), kind).map(Bytes::from),
    }
}

fn yaml(json: &[u8]) -> Result<Bytes, Status> {
    codec::yaml::from_json(json).map(Bytes::from).map_err(Status::internal)
}

/// Canonical bytes with kind and apiVersion put in front.
pub fn typed(kind: &GroupVersionKind, body: &[u8]) -> Bytes {
    let head = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\"", kind.kind, kind.api_version());
    let mut out = BytesMut::with_capacity(head.len() + body.len() + 1);
    out.put_slice(head.as_bytes());
    let rest = body.get(1..).unwrap_or(b"}");
    if rest != b"}" {
        out.put_u8(b',');
    }
    out.put_slice(rest);
    out.freeze()
}

/// The metadata of an object alone.
pub fn partial(object: &Object) -> Object {
    let meta = object.raw(&["metadata"]).unwrap_or(b"{}");
    Object::new([b"{\"metadata\":", meta, b"}"].concat().into(), object.revision())
}

fn reencode(json: Vec<u8>, media: Media) -> Result<Bytes, Status> {
    match media {
        Media::Yaml => yaml(&json),
        _ => Ok(json.into()),
    }
}

fn compressed(code: StatusCode, body: Bytes, accepted: &Accepted) -> Response {
    if !accepted.gzip || body.len() < GZIP_BYTES_MIN {
        return bytes(code, media_type(accepted.media), body);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let done = std::io::Write::write_all(&mut encoder, &body).and_then(|()| encoder.finish());
    let Ok(small) = done else { return bytes(code, media_type(accepted.media), body) };
    let mut response = bytes(code, media_type(accepted.media), small);
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Adds what the client should know (RFC 7234 warnings, KEP-1693).
pub fn warn(response: &mut Response, warnings: Vec<String>) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
