//! Links of what stands behind the proxies: a page that links to `/x` means its own server's, not ours, so its links are
//! led through the proxy (k8s.io/apimachinery/pkg/util/proxy, `Transport` and `corsRemovingTransport`).
//!
//! Pages stream through: nothing is kept but one value of an attribute.

mod body;
mod html;
mod site;
#[cfg(test)]
mod tests;

use decapod_api::Status;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    LOCATION,
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, StreamBody};

use crate::http::Response;
use body::{Coding, Rewritten};
pub use site::Site;

const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
/// What a backend allows other sites is not for it to say: the site is ours.
const CORS: [HeaderName; 4] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
];

/// Tells the backend what the client asked for: `path` is the backend's.
pub fn announce(site: &Site, path: &str, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(&site.of_path(path)) {
        headers.insert(X_FORWARDED_URI, value);
    }
}

/// The backend's answer to `method`, with links that lead through the proxy. Fails with 500 if it redirects to what is no
/// link.
pub fn rewrite(site: Site, method: &Method, mut answer: Response) -> Result<Response, Status> {
    let headers = answer.headers_mut();
    for name in CORS {
        headers.remove(name);
    }
    if let Some(location) = headers.get(LOCATION).filter(|location| !location.is_empty()) {
        let failed = |why: &dyn std::fmt::Display| {
            Status::internal(format!("error trying to parse Location header: {why}"))
        };
        let location = std::str::from_utf8(location.as_bytes()).map_err(|error| failed(&error))?;
        let location = site.location(location).map_err(|error| failed(&error))?;
        headers.insert(LOCATION, HeaderValue::from_str(&location).map_err(|error| failed(&error))?);
        return Ok(answer);
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/html") {
        return Ok(answer);
    }
    let Some(coding) = Coding::named(text(CONTENT_ENCODING)) else {
        tracing::debug!("a page comes in an encoding that is not known: its links stay");
        return Ok(answer);
    };
    headers.remove(CONTENT_LENGTH);
    let status = answer.status();
    let is_empty = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_empty {
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let frames = Rewritten::new(body, coding, site).into_stream();
    Ok(http::Response::from_parts(parts, StreamBody::new(frames).boxed_unsync()))
}
