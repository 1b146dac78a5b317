//! Watches on the wire: a frame an event.

use std::time::Duration;

use bytes::Bytes;
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Object, Revision, Status, codec};
use decapod_client::{Watch, WatchEvent};
use decapod_sys::Env;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::negotiate::{Accepted, Form};
use super::respond::{self, streamed};
use super::{Chunks, Response};
use crate::registry::Media;
use crate::table;

/// Turns events into the bytes of one watch.
struct Framer {
    env: Env,
    kind: GroupVersionKind,
    accepted: Accepted,
    table: table::Request,
    /// Whether the columns of a table have been sent: the first row brings them.
    headed: bool,
}

/// The answer of a watch: frames until the source, the deadline or the client ends it.
pub fn response(
    env: Env,
    watch: Watch,
    kind: GroupVersionKind,
    accepted: Accepted,
    table: table::Request,
    timeout: Duration,
) -> Response {
    let content_type = match accepted.media {
        Media::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        Media::Yaml => "application/yaml",
        Media::Json => "application/json",
    };
    let mut framer = Framer { env, kind, accepted, table, headed: false };
    // What is ready together is sent together.
    let deadline = Box::pin(tokio::time::sleep(timeout));
    let frames = watch.ready_chunks(64).take_until(deadline).map(move |events| {
        let frames: Vec<Bytes> = events.iter().filter_map(|event| framer.frame(event)).collect();
        Bytes::from(frames.concat())
    });
    let chunks: Chunks = frames.filter(|chunk| std::future::ready(!chunk.is_empty())).boxed();
    let mut response = Response::new(streamed(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An event as protobuf: its length in four bytes, then the message.
fn protobuf_frame(name: &str, object: &Object, kind: &GroupVersionKind) -> Result<Bytes, Status> {
    let message = codec::protobuf::watch_event(name, &respond::protobuf(object.body(), kind)?);
    let length = u32::try_from(message.len()).map_err(Status::internal)?.to_be_bytes();
    Ok(Bytes::from([&length[..], &message].concat()))
}

impl Framer {
    fn frame(&mut self, event: &WatchEvent) -> Option<Bytes> {
        let (name, object) = match event {
            WatchEvent::Added(object) => ("ADDED", self.show(object)),
            WatchEvent::Modified(object) => ("MODIFIED", self.show(object)),
            WatchEvent::Deleted(object) => ("DELETED", self.show(object)),
            WatchEvent::Bookmark { revision, initial_events_end } => {
                ("BOOKMARK", self.bookmark(*revision, *initial_events_end))
            }
            WatchEvent::Error(status) => {
                let body = serde_json::to_vec(status).unwrap_or_default();
                ("ERROR", Some((GroupVersionKind::new("", "v1", "Status"), Object::new(body.into(), 0))))
            }
        };
        let (kind, object) = object?;
        match self.accepted.media {
            Media::Protobuf => protobuf_frame(name, &object, &kind).ok(),
            _ => {
                let body = respond::typed(&kind, object.body());
                let head = [b"{\"type\":\"", name.as_bytes(), b"\",\"object\":"].concat();
                Some(Bytes::from([&head[..], &body, b"}\n"].concat()))
            }
        }
    }

    /// The object in the form asked for.
    fn show(&mut self, object: &Object) -> Option<(GroupVersionKind, Object)> {
        match &self.accepted.form {
            Form::Object => Some((self.kind.clone(), object.clone())),
            Form::PartialObject(version) => {
                let kind = GroupVersionKind::new("meta.k8s.io", version.clone(), "PartialObjectMetadata");
                Some((kind, respond::partial(object)))
            }
            Form::Table(version) => {
                let kind = GroupVersionKind::new("meta.k8s.io", version.clone(), "Table");
                let mut request = table::Request { now: self.env.now(), ..self.table.clone() };
                request.headless |= std::mem::replace(&mut self.headed, true);
                let meta = table::Meta::of_object(object);
                let text =
                    table::render_body(&self.kind, std::slice::from_ref(object), &request, &meta, version);
                Some((kind, Object::new(text.into(), object.revision())))
            }
        }
    }

    fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Option<(GroupVersionKind, Object)> {
        let annotations = match initial_events_end {
            true => ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}",
            false => "",
        };
        let body = match self.kind.kind.as_ref() {
            _ if matches!(self.accepted.form, Form::Table(_)) => {
                format!(
                    "{{\"metadata\":{{\"resourceVersion\":\"{revision}\"}},\"columnDefinitions\":null,\"rows\":null}}"
                )
            }
            _ => format!(
                "{{\"metadata\":{{\"resourceVersion\":\"{revision}\",\"creationTimestamp\":null{annotations}}}}}"
            ),
        };
        let kind = match &self.accepted.form {
            Form::Object => self.kind.clone(),
            Form::PartialObject(version) => {
                GroupVersionKind::new("meta.k8s.io", version.clone(), "PartialObjectMetadata")
            }
            Form::Table(version) => GroupVersionKind::new("meta.k8s.io", version.clone(), "Table"),
        };
        Some((kind, Object::new(body.into(), revision)))
    }
}
