//! What is served besides resources: health, version, discovery, OpenAPI, the token issuer and metrics.

mod health;
mod issuer;
mod metrics;

use decapod_api::Status;
use http::request::Parts;

use crate::discovery;
use crate::http::{Response, respond};
use crate::identity::User;
use crate::openapi;
use crate::server::Server;

/// Answers a path that is no resource.
pub fn answer(server: &Server, _user: &User, parts: &Parts, path: &str) -> Result<Response, Status> {
    let trimmed = path.trim_matches('/');
    let segments: Vec<&str> = trimmed.split('/').collect();
    match segments.as_slice() {
        [""] => Ok(respond::json(&discovery::root(server))),
        ["healthz" | "livez" | "readyz", check @ ..] => Ok(health::answer(server, segments[0], check, parts)),
        ["version"] => Ok(respond::json(&version())),
        ["metrics"] => Ok(metrics::answer(server)),
        ["api" | "apis", ..] => discovery::answer(server, &segments, &parts.headers),
        ["openapi", rest @ ..] => openapi::answer(server, rest, parts),
        ["openid", "v1", "jwks"] => Ok(issuer::key_set(server)),
        [".well-known", "openid-configuration"] => Ok(issuer::configuration(server)),
        _ => Err(Status::no_such_path()),
    }
}

/// What `kubectl version` shows. The version is of the API that is served.
fn version() -> serde_json::Value {
    serde_json::json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.3", "gitCommit": "decapod", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, arch()),
    })
}

/// The machine's architecture as Go names it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
