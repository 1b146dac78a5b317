//! Requests and their answers as HTTP, whoever carries them.

use bytes::{Bytes, BytesMut};
use decapod_api::Status;
use futures::stream::{self, StreamExt};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http_body_util::BodyExt;
use hyper::body::Body;

use super::{json, path};
use crate::request::{Reply, Request, Verb, Watch, WatchEvent};

/// The longest line of a watch: objects are at most 1.5 MB in etcd, and their JSON not much longer than that.
const FRAME_MAX_BYTES: usize = 64 << 20;

/// An HTTP/2 or HTTP/1.1 answer's body as a watch.
struct Frames<B> {
    body: B,
    buffer: BytesMut,
    /// How much of `buffer` is known to have no end of line.
    searched: usize,
    ended: bool,
}

/// A request but for its body, to the server at `base`, such as `https://127.0.0.1:6443`.
pub fn builder(request: &Request, base: &str) -> http::request::Builder {
    let http = http::Request::builder()
        .method(path::method(request.verb))
        .uri(format!("{base}{}", path::path_and_query(request)))
        .header(ACCEPT, "application/json");
    match request.body.is_empty() {
        true => http,
        false => http.header(CONTENT_TYPE, path::content_type(request)),
    }
}

/// What an answer to `verb` says; `broken` explains one that does not come to its end.
pub async fn reply<B>(
    verb: Verb,
    response: http::Response<B>,
    broken: impl FnOnce(&B::Error) -> Status,
) -> Result<Reply, Status>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    let (head, body) = response.into_parts();
    if verb == Verb::Watch && head.status.is_success() {
        return Ok(Reply::Watch(frames(body)));
    }
    let body = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
    match head.status.is_success() {
        true => json::reply(verb, &body),
        false => Err(failure(&head, &body)),
    }
}

/// What a refusal says; a server or proxy that does not say it in a `Status` is quoted.
pub(super) fn failure(head: &http::response::Parts, body: &[u8]) -> Status {
    let mut status = json::status(body).unwrap_or_else(|| Status {
        status: "Failure".into(),
        message: String::from_utf8_lossy(body).trim().to_owned(),
        reason: head.status.canonical_reason().unwrap_or_default().replace(' ', ""),
        code: head.status.as_u16(),
        ..Status::default()
    });
    if status.code == 0 {
        status.code = head.status.as_u16();
    }
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(seconds) = retry_after {
        status.details.get_or_insert_default().retry_after_seconds = seconds;
    }
    status
}

// === impl Frames ===

fn frames<B>(body: B) -> Watch
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    let frames = Frames { body, buffer: BytesMut::new(), searched: 0, ended: false };
    stream::unfold(frames, |mut frames| async move { frames.next().await.map(|event| (event, frames)) })
        .boxed()
}

impl<B> Frames<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    /// The next event; `None` when the server has ended the watch.
    async fn next(&mut self) -> Option<WatchEvent> {
        while !self.ended {
            if let Some(line) = self.line() {
                if line.is_empty() {
                    continue;
                }
                let event = json::frame(&line).unwrap_or_else(WatchEvent::Error);
                self.ended = matches!(event, WatchEvent::Error(_));
                return Some(event);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Some(self.fail(format!("the watch broke off: {error}"))),
                None => self.ended = true,
            }
            if self.buffer.len() > FRAME_MAX_BYTES {
                return Some(self.fail("the server sent a watch event that is too long".to_owned()));
            }
        }
        None
    }

    fn fail(&mut self, why: String) -> WatchEvent {
        self.ended = true;
        WatchEvent::Error(Status::unavailable(why))
    }

    fn line(&mut self) -> Option<Bytes> {
        let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + at + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        Some(line.freeze())
    }
}
