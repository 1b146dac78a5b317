//! The seam between the client and whoever answers.

use decapod_api::Status;
use futures::future::BoxFuture;

use crate::request::{Reply, Request};

/// Carries requests to an API server: in this process, or over TLS.
///
/// Whoever holds a transport acts as the identity that it was made for, and is authorized as that identity either way.
pub trait Transport: Send + Sync {
    /// Sends `request` and waits for the answer. A watch answers as soon as it has begun.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>>;
}
