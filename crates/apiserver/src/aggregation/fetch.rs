//! What the server asks aggregated servers for itself: discovery and OpenAPI.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::headers;
use super::remote::Remote;
use crate::http::respond;
use crate::identity::User;
use crate::server::Server;

/// How long an answer may take (upstream's discovery manager and availability controller).
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is asked.
pub struct Question<'a> {
    /// Where.
    pub path: &'a str,
    /// In which form.
    pub accept: &'a str,
    /// What is known already; empty if nothing.
    pub etag: &'a str,
    /// As whom.
    pub user: &'a User,
}

/// What is answered.
pub struct Answer {
    /// The code.
    pub code: StatusCode,
    /// The media type.
    pub content_type: String,
    /// The document's tag, if it has one.
    pub etag: String,
    /// The document.
    pub body: Bytes,
}

/// The path of the discovery document of a group and version.
pub fn discovery_path(group: &str, version: &str) -> String {
    match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    }
}

/// Asks an endpoint.
pub async fn ask(server: &Server, remote: &Remote, question: &Question<'_>) -> Result<Answer, String> {
    let addresses = remote.backend.addresses(server).await?;
    let address = addresses.first().ok_or("no addresses")?;
    ask_at(server, remote, *address, question).await
}

/// Asks the endpoint at this address.
pub async fn ask_at(
    server: &Server,
    remote: &Remote,
    address: SocketAddr,
    question: &Question<'_>,
) -> Result<Answer, String> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
    let request = Request::get(question.path).body(respond::whole(Bytes::new()));
    let mut request = request.map_err(|error| error.to_string())?;
    request.headers_mut().insert(ACCEPT, value(question.accept)?);
    if !question.etag.is_empty() {
        request.headers_mut().insert(IF_NONE_MATCH, value(question.etag)?);
    }
    headers::stamp(request.headers_mut(), question.user);
    let exchange = async {
        let answer = remote.backend.send(server, address, request).await?;
        let (code, headers) = (answer.status(), answer.headers());
        let (content_type, etag) = (text(headers, CONTENT_TYPE), text(headers, ETAG));
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"),
            false => error.to_string(),
        })?;
        Ok(Answer { code, content_type, etag, body: body.to_bytes() })
    };
    let answered = tokio::time::timeout(TIMEOUT, exchange).await;
    answered.unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
}

fn text(headers: &HeaderMap, name: HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
