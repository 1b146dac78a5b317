//! Requests for aggregated servers, handed on in the name of whoever asks
//! (k8s.io/kube-aggregator/pkg/apiserver, `proxyHandler`).

use std::time::Duration;

use decapod_api::Status;
use decapod_streams::onward;
use decapod_streams::upgrade::is_upgrade;
use http::header::{HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::headers;
use super::registered::Registered;
use super::remote::Remote;
use crate::connect;
use crate::connect::links::{self, Site};
use crate::http::{Body, Response, respond};
use crate::identity::User;
use crate::server::Server;

/// How long discovery may take, so that clients which ask everybody do not wait for one.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Hands a request on that has been authorized. `timeout` is for the headers of the answer.
pub async fn serve(
    server: &Server,
    registered: &Registered,
    remote: &Remote,
    user: &User,
    mut request: Request<Incoming>,
    timeout: Option<Duration>,
) -> Result<Response, Status> {
    if !registered.service.is_available() {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable"));
    }
    if let Some(why) = remote.backend.broken() {
        return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, why));
    }
    let addresses = match remote.backend.addresses(server).await {
        Ok(addresses) => addresses,
        Err(why) => {
            tracing::warn!(service = registered.service.name, why, "resolving an API server's service");
            return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable"));
        }
    };
    let Some(&address) = addresses.first() else {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable"));
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    headers::stamp(request.headers_mut(), user);
    connect::proxy::forwarded_for(&mut request);
    if is_upgrade(request.headers()) {
        let answered = async {
            let onward = remote.backend.onward(server, address, &path).await?;
            let answer = onward.forward(server.env(), request).await;
            answer.map(connect::forward::handed_on).map_err(|error| error.to_string())
        };
        return Ok(answered.await.unwrap_or_else(|why| plain(StatusCode::SERVICE_UNAVAILABLE, &why)));
    }
    let asked = connect::proxy::asked(&request);
    let site = Site { asked, backend: vec![address.to_string()], ..Site::default() };
    let method = request.method().clone();
    let own = request.uri().path().to_owned();
    links::announce(&site, &own, request.headers_mut());
    let segments = request.uri().path().trim_matches('/').split('/').count();
    let is_discovery = segments == 3;
    let timeout = if is_discovery { Some(DISCOVERY_TIMEOUT) } else { timeout };
    let sent = remote.backend.send(server, address, carried(request, &path)?);
    let answered = match timeout {
        None => sent.await,
        Some(timeout) => match tokio::time::timeout(timeout, sent).await {
            Ok(answered) => answered,
            Err(_) if is_discovery => Err("context deadline exceeded".to_owned()),
            Err(_) => return Err(Status::timeout("request did not complete within the allotted timeout")),
        },
    };
    match answered {
        Ok(answer) => links::rewrite(site, &method, answer),
        Err(why) => {
            let why = format!("error trying to reach service: {why}");
            Ok(plain(StatusCode::SERVICE_UNAVAILABLE, &why))
        }
    }
}

/// The request as the other server gets it.
fn carried(request: Request<Incoming>, path: &str) -> Result<Request<Body>, Status> {
    let (parts, body) = request.into_parts();
    let body: Body = body.map_err(std::io::Error::other).boxed_unsync();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = path.parse().map_err(Status::internal)?;
    *onward.headers_mut() = onward::carried(&parts.headers);
    Ok(onward)
}

/// An error as Go's `http.Error` writes it.
fn plain(code: StatusCode, text: &str) -> Response {
    let mut response = respond::bytes(code, "text/plain; charset=utf-8", format!("{text}\n"));
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}
