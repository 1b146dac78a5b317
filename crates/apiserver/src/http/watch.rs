//! Watches on the wire: a frame an event.

use std::time::Duration;

use bytes::Bytes;
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Object, Revision, codec, encodings};
use decapod_client::{Watch, WatchEvent};
use decapod_sys::Env;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::kept::{self, Kept};
use super::negotiate::{Accepted, Form};
use super::respond::{self, streamed};
use super::{Chunks, Response};
use crate::registry::Media;
use crate::server::Server;
use crate::table;

/// Turns events into the bytes of one watch.
struct Framer {
    env: Env,
    kind: GroupVersionKind,
    accepted: Accepted,
    table: table::Request,
    kept: Kept,
    /// What its frames are kept as.
    form: Option<encodings::Form>,
    /// Whether the columns of a table have been sent: the first row brings them.
    headed: bool,
}

/// The answer of a watch: frames until the source, the deadline or the client ends it.
pub fn response(
    server: &Server,
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
    let form = kept::form(&accepted, &kind);
    let (env, kept) = (server.env().clone(), server.kept.clone());
    let mut framer = Framer { env, kind, accepted, table, kept, form, headed: false };
    // What is ready together is sent together.
    let deadline = Box::pin(tokio::time::sleep(timeout));
    let frames = watch.ready_chunks(64).take_until(deadline).map(move |events| {
        let frames: Vec<Bytes> = events.iter().filter_map(|event| framer.frame(event)).collect();
        match <[Bytes; 1]>::try_from(frames) {
            Ok([frame]) => frame,
            Err(frames) => Bytes::from(frames.concat()),
        }
    });
    let chunks: Chunks = frames.filter(|chunk| std::future::ready(!chunk.is_empty())).boxed();
    let mut response = Response::new(streamed(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

// === impl Framer ===

impl Framer {
    fn frame(&mut self, event: &WatchEvent) -> Option<Bytes> {
        match event {
            WatchEvent::Added(object) => self.shown("ADDED", object),
            WatchEvent::Modified(object) => self.shown("MODIFIED", object),
            WatchEvent::Deleted(object) => self.shown("DELETED", object),
            WatchEvent::Bookmark { revision, initial_events_end } => {
                let object = self.bookmark(*revision, *initial_events_end);
                self.framed("BOOKMARK", &self.shown_as(), &object)
            }
            WatchEvent::Error(status) => {
                let body = serde_json::to_vec(status).unwrap_or_default();
                let kind = GroupVersionKind::new("", "v1", "Status");
                self.framed("ERROR", &kind, &Object::new(body.into(), 0))
            }
        }
    }

    /// The frame of an object; all who watch it in one form share it.
    fn shown(&mut self, event: &'static str, object: &Object) -> Option<Bytes> {
        if let Form::Table(version) = self.accepted.form.clone() {
            let row = self.row(object, &version);
            return self.framed(event, &self.shown_as(), &row);
        }
        let make = || match &self.accepted.form {
            Form::PartialObject(_) => self.framed(event, &self.shown_as(), &respond::partial(object)),
            _ => self.framed(event, &self.kind, object),
        };
        match self.form {
            Some(form) => self.kept.frame(object, form, event, make),
            None => make(),
        }
    }

    /// An event on the wire. As protobuf: its length in four bytes, then the message.
    fn framed(&self, name: &str, kind: &GroupVersionKind, object: &Object) -> Option<Bytes> {
        if self.accepted.media == Media::Protobuf {
            let object = respond::enveloped(object, kind, &self.kept).ok()?;
            let message = codec::protobuf::watch_event(name, &object);
            let length = u32::try_from(message.len()).ok()?.to_be_bytes();
            return Some(Bytes::from([&length[..], &message].concat()));
        }
        let head = format!("{{\"type\":\"{name}\",\"object\":");
        let body = respond::typed(kind, object.body());
        Some(Bytes::from([head.as_bytes(), &body, b"}\n"].concat()))
    }

    /// The kind as which objects are shown.
    fn shown_as(&self) -> GroupVersionKind {
        match &self.accepted.form {
            Form::Object => self.kind.clone(),
            Form::PartialObject(version) => {
                GroupVersionKind::new("meta.k8s.io", version.clone(), "PartialObjectMetadata")
            }
            Form::Table(version) => GroupVersionKind::new("meta.k8s.io", version.clone(), "Table"),
        }
    }

    /// A row of a table.
    fn row(&mut self, object: &Object, version: &str) -> Object {
        let mut request = table::Request { now: self.env.now(), ..self.table.clone() };
        request.headless |= std::mem::replace(&mut self.headed, true);
        let meta = table::Meta::of_object(object);
        let text = table::render_body(&self.kind, std::slice::from_ref(object), &request, &meta, version);
        Object::new(text.into(), object.revision())
    }

    fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Object {
        let annotations = match initial_events_end {
            true => ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}",
            false => "",
        };
        let body = match self.accepted.form {
            Form::Table(_) => {
                format!(
                    "{{\"metadata\":{{\"resourceVersion\":\"{revision}\"}},\"columnDefinitions\":null,\"rows\":null}}"
                )
            }
            _ => format!(
                "{{\"metadata\":{{\"resourceVersion\":\"{revision}\",\"creationTimestamp\":null{annotations}}}}}"
            ),
        };
        Object::new(body.into(), revision)
    }
}
