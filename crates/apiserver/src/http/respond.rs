//! Answers: canonical bytes put into the form and encoding that the client asked for.
//!
//! A JSON list is a header and the items' own bytes: nothing is decoded to be served.

use bytes::{BufMut, Bytes, BytesMut};
use decapod_api::codec::protobuf;
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::{Schema, TypeRef};
use decapod_api::{Object, Status, Value, codec};
use decapod_client::List;
use futures::{StreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY, WARNING};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::kept::Kept;
use super::negotiate::{Accepted, Form, media_type};
use super::{Body, Chunks, Response};
use crate::registry::Media;
use crate::table;

/// Answers smaller than this are not worth compressing (upstream's `defaultGzipThresholdBytes`).
const GZIP_BYTES_MIN: usize = 128 * 1024;
/// How much of a list goes into one chunk of the body.
const CHUNK_BYTES: usize = 64 * 1024;
/// What stands in front of an item of a list, at most.
const BEFORE_ITEM_BYTES: usize = 11;

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
    let mut response = match encode(&object, &kind, media, &Kept::default()) {
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
    kept: &Kept,
) -> Result<Response, Status> {
    let body = match &accepted.form {
        Form::Object => encode(object, kind, accepted.media, kept)?,
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
            encode(&partial(object), &kind, accepted.media, kept)?
        }
    };
    Ok(compressed(code, body, accepted))
}

/// A list, in the form and encoding asked for.
pub fn list(
    list: List,
    kind: &GroupVersionKind,
    list_kind: &str,
    accepted: &Accepted,
    table: &table::Request,
    kept: &Kept,
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
            encoded_list(list, &kind, "PartialObjectMetadataList", accepted, kept)
        }
        Form::Object if table.custom.is_some() && accepted.media != Media::Protobuf => {
            // Items of lists of custom resources carry their kind.
            let parts = Parts { item_head: head_of(kind), ..json_list(list, kind, list_kind) };
            encoded(parts, accepted)
        }
        Form::Object => encoded_list(list, kind, list_kind, accepted, kept),
    }
}

fn encoded_list(
    list: List,
    kind: &GroupVersionKind,
    list_kind: &str,
    accepted: &Accepted,
    kept: &Kept,
) -> Result<Response, Status> {
    let parts = match accepted.media {
        Media::Protobuf => protobuf_list(list, kind, kept)?,
        Media::Json | Media::Yaml => json_list(list, kind, list_kind),
    };
    encoded(parts, accepted)
}

fn encoded(parts: Parts, accepted: &Accepted) -> Result<Response, Status> {
    if accepted.media == Media::Yaml {
        let text: Vec<Bytes> = parts.chunks().collect();
        return Ok(compressed(StatusCode::OK, yaml(&text.concat())?, accepted));
    }
    if accepted.gzip && parts.bytes() >= GZIP_BYTES_MIN {
        return gzipped(StatusCode::OK, parts.chunks(), accepted);
    }
    let mut response = Response::new(streamed(stream::iter(parts.chunks()).boxed()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type(accepted.media)));
    Ok(response)
}

/// A list in an encoding: what stands in front of its items, them, and what stands after them.
struct Parts {
    head: Vec<u8>,
    items: Vec<Bytes>,
    /// What each item begins with in place of its brace; empty if it begins as it is.
    item_head: Vec<u8>,
    /// Writes what stands in front of an item of this index and length, [`BEFORE_ITEM_BYTES`] at most.
    before_item: fn(usize, usize, &mut Vec<u8>),
    end: &'static [u8],
}

fn json_list(list: List, kind: &GroupVersionKind, list_kind: &str) -> Parts {
    let meta = serde_json::to_string(&list_meta(&list)).unwrap_or_default();
    let head = format!(
        "{{\"kind\":\"{list_kind}\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
        kind.api_version()
    );
    let before_item = |index, _, out: &mut Vec<u8>| {
        if index > 0 {
            out.push(b',');
        }
    };
    let items = list.items.iter().map(|item| item.body().clone()).collect();
    Parts { head: head.into_bytes(), items, item_head: vec![], before_item, end: b"]}\n" }
}

fn protobuf_list(list: List, kind: &GroupVersionKind, kept: &Kept) -> Result<Parts, Status> {
    let list_kind = GroupVersionKind { kind: format!("{}List", kind.kind).into(), ..kind.clone() };
    let (item, ty) = (type_of(kind)?, type_of(&list_kind)?);
    let items: Vec<Bytes> = list.items.iter().map(|object| kept.message(object, item)).collect();
    let lengths = items.iter().map(Bytes::len);
    let head = protobuf::list_head(&kind.api_version(), &list_kind.kind, &list_meta(&list), ty, lengths);
    let before_item = |_, length, out: &mut Vec<u8>| protobuf::before_item(length, out);
    Ok(Parts { head, items, item_head: vec![], before_item, end: protobuf::LIST_END })
}

/// An object as protobuf in its envelope.
pub fn enveloped(object: &Object, kind: &GroupVersionKind, kept: &Kept) -> Result<Vec<u8>, Status> {
    let message = kept.message(object, type_of(kind)?);
    Ok(protobuf::envelope(&kind.api_version(), &kind.kind, &message))
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
fn encode(object: &Object, kind: &GroupVersionKind, media: Media, kept: &Kept) -> Result<Bytes, Status> {
    match media {
        Media::Json => {
            let mut body = BytesMut::from(typed(kind, object.body()).as_ref());
            body.put_u8(b'\n');
            Ok(body.freeze())
        }
        Media::Yaml => yaml(&typed(kind, object.body())),
        Media::Protobuf => enveloped(object, kind, kept).map(Bytes::from),
    }
}

fn yaml(json: &[u8]) -> Result<Bytes, Status> {
    codec::yaml::from_json(json).map(Bytes::from).map_err(Status::internal)
}

/// Canonical bytes with kind and apiVersion put in front.
pub fn typed(kind: &GroupVersionKind, body: &[u8]) -> Bytes {
    let mut head = head_of(kind);
    head.pop();
    let mut out = BytesMut::with_capacity(head.len() + body.len() + 1);
    out.put_slice(&head);
    let rest = body.get(1..).unwrap_or(b"}");
    if rest != b"}" {
        out.put_u8(b',');
    }
    out.put_slice(rest);
    out.freeze()
}

/// The kind and apiVersion in front of other fields.
fn head_of(kind: &GroupVersionKind) -> Vec<u8> {
    format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", kind.kind, kind.api_version()).into_bytes()
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
    if accepted.gzip
        && body.len() >= GZIP_BYTES_MIN
        && let Ok(response) = gzipped(code, [body.clone()], accepted)
    {
        return response;
    }
    bytes(code, media_type(accepted.media), body)
}

/// An answer of these chunks, compressed.
fn gzipped(
    code: StatusCode,
    chunks: impl IntoIterator<Item = Bytes>,
    accepted: &Accepted,
) -> Result<Response, Status> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut chunks = chunks.into_iter();
    let written = chunks.try_for_each(|chunk| std::io::Write::write_all(&mut encoder, &chunk));
    let small = written.and_then(|()| encoder.finish()).map_err(Status::internal)?;
    let mut response = bytes(code, media_type(accepted.media), small);
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

// === impl Parts ===

impl Parts {
    /// How long it is, but for what stands between items.
    fn bytes(&self) -> usize {
        self.head.len() + self.items.iter().map(Bytes::len).sum::<usize>()
    }

    /// The list in chunks of about [`CHUNK_BYTES`], each made when it is asked for.
    fn chunks(self) -> impl Iterator<Item = Bytes> + Send {
        let Parts { head, items, item_head, before_item, end } = self;
        let (mut chunk, mut items) = (Some(head), items.into_iter().enumerate().peekable());
        std::iter::from_fn(move || {
            let mut out = chunk.take()?;
            loop {
                let Some((index, item)) = items.peek() else {
                    out.extend_from_slice(end);
                    return Some(out.into());
                };
                let bytes = BEFORE_ITEM_BYTES + item_head.len() + item.len();
                if out.len() + bytes > CHUNK_BYTES && !out.is_empty() {
                    chunk = Some(Vec::with_capacity(CHUNK_BYTES.max(bytes + end.len())));
                    return Some(out.into());
                }
                before_item(*index, item.len(), &mut out);
                out.extend_from_slice(&item_head);
                out.extend_from_slice(&item[usize::from(!item_head.is_empty())..]);
                items.next();
            }
        })
    }
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
