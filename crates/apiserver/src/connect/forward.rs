//! Sends a request on over a fresh connection and copies bytes after an upgrade.

use decapod_api::Status;
use decapod_sys::Env;
use futures::TryStreamExt;
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::Response;

/// Headers that concern one connection only.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers that are for us and nobody behind us.
const OURS: [&str; 2] = ["authorization", "cookie"];

/// Sends `request` to `path` over `stream`; the answer is handed on, or the two connections are joined if it upgrades.
pub async fn forward<S>(
    env: &Env,
    stream: S,
    mut request: http::Request<Incoming>,
    path: &str,
    host: &str,
) -> Result<Response, Status>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| Status::internal(format!("error talking to backend {host}: {error}"));
    let upgrade = request.headers().get(UPGRADE).cloned();
    let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let mut onward = http::Request::builder()
        .method(parts.method)
        .uri(path.parse::<Uri>().map_err(|error| Status::bad_request(error.to_string()))?);
    if let Some(headers) = onward.headers_mut() {
        copy_headers(&parts.headers, headers);
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(HOST, host);
        }
        if let Some(upgrade) = upgrade {
            headers.insert(UPGRADE, upgrade);
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
    }
    let onward = onward.body(body).map_err(|error| Status::bad_request(error.to_string()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    env.spawn("forward", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to backend");
        }
    });
    let mut answer = sender.send_request(onward).await.map_err(failed)?;
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(client)) = (answer.status(), client) {
        let backend = hyper::upgrade::on(&mut answer);
        env.spawn("joined", join(client, backend));
        let (parts, _) = answer.into_parts();
        return Ok(http::Response::from_parts(parts, crate::http::respond::whole("")));
    }
    let (mut parts, body) = answer.into_parts();
    for name in HOP_BY_HOP {
        parts.headers.remove(name);
    }
    let frames = body.into_data_stream().map_ok(http_body::Frame::data).map_err(std::io::Error::other);
    Ok(http::Response::from_parts(parts, BodyExt::boxed_unsync(StreamBody::new(frames))))
}

/// Copies both ways until both sides have ended.
async fn join(client: hyper::upgrade::OnUpgrade, backend: hyper::upgrade::OnUpgrade) {
    let (client, backend) = match futures::future::try_join(client, backend).await {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "upgrade"),
    };
    let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut backend).await {
        tracing::debug!(%error, "joined connections");
    }
}

fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let text = name.as_str();
        let dropped = HOP_BY_HOP.contains(&text)
            || OURS.contains(&text)
            || text == "host"
            || text.starts_with("impersonate-");
        if !dropped {
            to.append(name.clone(), value.clone());
        }
    }
}
