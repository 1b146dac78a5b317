//! `/metrics`, in Prometheus' text format, under upstream's names where dashboards read them.

use crate::http::{Response, respond};
use crate::server::Server;

/// All metrics.
pub fn answer(server: &Server) -> Response {
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, help: &str, value: u64| {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    };
    let metrics = &server.metrics;
    put("apiserver_request_total", "counter", "Requests over HTTP.", metrics.requests.get());
    put("apiserver_request_panics_total", "counter", "Requests that panicked.", metrics.panics.get());
    put(
        "decapod_component_restarts_total",
        "counter",
        "Components that failed and were started again.",
        server.env().panics(),
    );
    put(
        "decapod_store_revision",
        "gauge",
        "The store's latest durable revision.",
        server.registry.store().revision(),
    );
    respond::bytes(http::StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
