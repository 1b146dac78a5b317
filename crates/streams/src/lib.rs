//! SPDY/3.1, WebSocket and their tunnel, for exec, attach and port-forward.
//!
//! Layers, lower ones first; each only knows those before it:
//!
//! | module | what it is |
//! |---|---|
//! | `spdy`, `websocket`, `channels` | the wires: pure state machines from bytes to events and back |
//! | `mux` | many streams over one wire: a pure core, and a thin task that moves its bytes |
//! | [`tunnel`] | bytes within WebSocket messages, as one duplex connection |
//! | [`upgrade`] | what an HTTP/1.1 request offers and what its answer takes up |
//! | [`remote_command`], [`port_forward`] | what Kubernetes says over the streams, both sides |
//! | [`messages`] | WebSockets on which only the server speaks: logs, watches |
//! | [`proxy`], [`translate`] | one connection passed on to another, as bytes or stream by stream |
//! | [`onward`] | a request sent on to another server, with its upgrade |
//!
//! **Architecture Invariant:** whatever a peer sends, memory stays within [`Limits`]; a peer that sends more than we
//! read is not read, as TCP does it.

#![forbid(unsafe_code)]

mod channels;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod limits;
pub mod messages;
mod mux;
pub mod onward;
pub mod port_forward;
pub mod proxy;
pub mod remote_command;
mod spdy;
pub mod translate;
pub mod tunnel;
pub mod upgrade;
mod websocket;

pub use limits::Limits;
pub use mux::stream::{Reader, Stream, Writer};
