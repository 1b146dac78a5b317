//! A container's log: plain, or over a WebSocket (pkg/registry/core/pod/rest LogREST, apiserver's LocationStreamer).

use decapod_api::status::{Cause, Details};
use decapod_api::{Status, Value};
use decapod_streams::messages::{self, Encoding, Messages};
use decapod_streams::upgrade::{is_web_socket, upgraded};
use decapod_streams::{Limits, onward};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::forward::{failed, handed_on};
use super::kubelet::Kubelet;
use super::streams::{refused, text};
use crate::http::Response;
use crate::http::query::Query;
use crate::server::Server;

/// Sends the log, as it comes from the kubelet.
pub async fn serve(
    server: &Server,
    kubelet: Kubelet,
    pod: &str,
    mut request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let web_socket = match is_web_socket(request.headers()) {
        false => None,
        true => match messages::negotiate_bytes(request.method(), request.headers()) {
            Ok(negotiated) => Some(negotiated),
            Err(refusal) => return Ok(refused(refusal)),
        },
    };
    let headers = onward::passed_on(request.headers());
    let host = kubelet.host();
    let onward = kubelet.dial(server).await.map_err(unreachable)?;
    let answer = onward.ask(server.env(), Method::GET, headers, Empty::<bytes::Bytes>::new()).await;
    let answer = answer.map_err(|error| failed(&host, &error))?;
    if !answer.status().is_success() {
        return Err(refusal(answer, pod).await);
    }
    let Some(negotiated) = web_socket else { return Ok(handed_on(answer)) };
    let client = hyper::upgrade::on(&mut request);
    server.env().spawn("log", send(client, negotiated.protocol, answer.into_body()));
    Ok(negotiated.response())
}

/// Sends a log as messages until its end, or until the client is gone.
async fn send(client: OnUpgrade, encoding: Encoding, mut log: Incoming) {
    let mut messages = match upgraded(client).await {
        Ok(io) => Messages::new(io, &Limits::default()),
        Err(error) => return tracing::debug!(%error, "upgrade"),
    };
    loop {
        let frame = tokio::select! {
            biased;
            () = messages.gone() => return,
            frame = log.frame() => frame,
        };
        let sent = match frame {
            None => break,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => messages.bytes(encoding, &bytes).await,
                Err(_) => Ok(()),
            },
            Some(Err(error)) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = sent {
            return tracing::debug!(%error, "log over WebSocket");
        }
    }
    if let Err(error) = messages.close().await {
        tracing::debug!(%error, "log over WebSocket");
    }
}

/// Upstream names no reason when a log's kubelet cannot be reached.
fn unreachable(status: Status) -> Status {
    Status { reason: String::new(), details: None, ..status }
}

/// What a kubelet says instead of a log, as a status (upstream's GenericHttpResponseChecker).
async fn refusal(answer: http::Response<Incoming>, pod: &str) -> Status {
    let code = answer.status();
    let why = text(answer).await.unwrap_or_default();
    match code {
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(why),
        StatusCode::BAD_REQUEST => Status::bad_request(why),
        _ => {
            let (reason, message) = match code {
                StatusCode::NOT_FOUND => ("NotFound", "the server could not find the requested resource"),
                StatusCode::FORBIDDEN => ("Forbidden", why.as_str()),
                StatusCode::UNPROCESSABLE_ENTITY => {
                    ("Invalid", "the server rejected our request due to an error in our request")
                }
                _ => ("", "the server did not return more information"),
            };
            Status {
                status: "Failure".into(),
                message: format!("{message} ( pods/log {pod})"),
                reason: reason.into(),
                details: Some(Details { name: pod.into(), kind: "pods/log".into(), ..Details::default() }),
                code: code.as_u16(),
                ..Status::default()
            }
        }
    }
}

/// Checks the options (upstream's ValidatePodLogOptions).
pub fn validate(query: &Query, pod: &str) -> Result<(), Status> {
    let mut causes = Vec::new();
    let mut number = |key: &str, least: i64, why: &str| {
        let Some(text) = query.get(key).filter(|text| !text.is_empty()) else { return Ok(false) };
        match text.parse::<i64>() {
            Ok(number) if number < least => causes.push(Cause::invalid(key, &Value::from(number), why)),
            Ok(_) => {}
            Err(_) => return Err(Status::bad_request(format!("{key}: {text:?} is not a number"))),
        }
        Ok(true)
    };
    let tail = number("tailLines", 0, "must be greater than or equal to 0")?;
    number("limitBytes", 1, "must be greater than 0")?;
    let seconds = number("sinceSeconds", 1, "must be greater than 0")?;
    if seconds && query.get("sinceTime").is_some_and(|time| !time.is_empty()) {
        causes.push(Cause::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    let stream = query.get("stream").filter(|stream| !stream.is_empty()).unwrap_or("All");
    if !["All", "Stdout", "Stderr"].contains(&stream) {
        causes.push(Cause::not_supported("stream", stream, &["All", "Stderr", "Stdout"]));
    }
    if stream != "All" && tail {
        let why = "`tailLines` and specific `stream` are mutually exclusive for now";
        causes.push(Cause::forbidden("", why));
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", pod, causes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_as_upstream_does() {
        let table = [
            ("tailLines=0&limitBytes=1&sinceSeconds=1&follow=true&stream=All", ""),
            ("stream=Stderr", ""),
            ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", "at most one of `sinceTime`"),
            ("stream=Both", "stream: Unsupported value: \"Both\""),
            ("stream=Stdout&tailLines=1", "mutually exclusive"),
            ("tailLines=x", "tailLines: \"x\" is not a number"),
        ];
        for (query, wanted) in table {
            match validate(&Query::parse(query), "p") {
                Ok(()) => assert_eq!(wanted, "", "{query}"),
                Err(status) => assert!(
                    !wanted.is_empty() && status.message.contains(wanted),
                    "{query}: {}",
                    status.message
                ),
            }
        }
    }
}
