//! HTTP: from a connection to the registry and back. The request chain is in [`chain`].

pub mod chain;
pub mod kept;
pub mod negotiate;
mod pretty;
pub mod query;
pub mod respond;
pub mod route;
pub mod serve;
pub mod watch;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures::stream::BoxStream;
use http_body_util::combinators::UnsyncBoxBody;

/// The body of an answer: whole, or a stream for lists and watches.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer.
pub type Response = http::Response<Body>;

/// Chunks of a body.
pub type Chunks = BoxStream<'static, Bytes>;
