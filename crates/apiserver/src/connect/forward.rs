//! Sends a request on over a fresh connection and hands the answer back.

use decapod_api::Status;
use decapod_streams::onward::{Onward, OnwardError};
use decapod_sys::Env;
use futures::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::Response;

/// Sends `request` to `path` over `stream`; the answer is handed on, and the two connections are joined if it upgrades.
pub async fn forward<S>(
    env: &Env,
    stream: S,
    request: http::Request<Incoming>,
    path: &str,
    host: &str,
) -> Result<Response, Status>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let onward = Onward { io: stream, path: path.to_owned(), host: host.to_owned() };
    onward.forward(env, request).await.map(handed_on).map_err(|error| failed(host, &error))
}

/// A backend's answer as ours.
pub fn handed_on(answer: http::Response<Incoming>) -> Response {
    let (parts, body) = answer.into_parts();
    let frames = body.into_data_stream().map_ok(http_body::Frame::data).map_err(std::io::Error::other);
    http::Response::from_parts(parts, BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// The backend did not answer.
pub fn failed(host: &str, error: &OnwardError) -> Status {
    Status::internal(format!("error talking to backend {host}: {error}"))
}
