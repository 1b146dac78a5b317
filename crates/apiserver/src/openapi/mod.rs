//! OpenAPI documents, made from the schema and the registry's rows.

use decapod_api::Status;
use http::request::Parts;

use crate::http::Response;
use crate::http::negotiate::Accepted;
use crate::server::Server;

/// Answers `/openapi/v2` and `/openapi/v3`.
pub fn answer(_server: &Server, _rest: &[&str], _parts: &Parts, _accepted: Result<Accepted, Status>) -> Result<Response, Status> {
    Err(Status::no_such_path())
}
