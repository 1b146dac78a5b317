//! `/healthz`, `/livez`, `/readyz`, whole or check by check (k8s.io/apiserver/pkg/server/healthz).

use http::StatusCode;
use http::request::Parts;

use crate::http::query::Query;
use crate::http::{Response, respond};
use crate::server::Server;

/// The checks, in the order they are shown.
const CHECKS: [&str; 4] = ["ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles"];

/// Answers for `endpoint`, or one of its checks.
pub fn answer(server: &Server, endpoint: &str, check: &[&str], parts: &Parts) -> Response {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let excluded: Vec<&str> =
        query.pairs().iter().filter(|(key, _)| key == "exclude").map(|(_, value)| value.as_str()).collect();
    let is_good = |name: &str| match name {
        "poststarthook/rbac/bootstrap-roles" => server.metrics.ready.get(),
        "etcd" => server.registry.store().revision() > 0,
        _ => true,
    };
    if !check.is_empty() {
        let name = check.join("/");
        return match CHECKS.contains(&name.as_str()) {
            false => text(StatusCode::NOT_FOUND, "404 page not found\n".into()),
            true if is_good(&name) => text(StatusCode::OK, "ok".into()),
            true => text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {name} failed")),
        };
    }
    let mut lines = String::new();
    let mut good = true;
    for name in CHECKS {
        match (excluded.contains(&name), is_good(name)) {
            (true, _) => lines.push_str(&format!("[+]{name} excluded: ok\n")),
            (false, true) => lines.push_str(&format!("[+]{name} ok\n")),
            (false, false) => {
                good = false;
                lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
            }
        }
    }
    match good {
        true if query.get("verbose").is_none() => text(StatusCode::OK, "ok".into()),
        true => text(StatusCode::OK, format!("{lines}{endpoint} check passed\n")),
        false => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{endpoint} check failed\n")),
    }
}

fn text(code: StatusCode, body: String) -> Response {
    respond::bytes(code, "text/plain; charset=utf-8", body)
}
