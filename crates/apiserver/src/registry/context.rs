//! What a request brings besides its target.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::fields::Conversions;
use crate::identity::User;

/// Who asks, and what they will be told beside the answer.
pub struct Context {
    /// Who asks.
    pub user: User,
    /// The client program, from its `User-Agent`; names the field manager of clients that give none.
    pub user_agent: String,
    /// What they will be told.
    pub warnings: Warnings,
    /// What a webhook has converted so that managed fields can be compared.
    pub(super) conversions: Conversions,
    created: AtomicBool,
}

/// Warnings for a client, told beside whatever the answer is.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

/// The encoding of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
    /// Protobuf in upstream's envelope.
    Protobuf,
}

/// A body as it came.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Its bytes.
    pub bytes: Bytes,
    /// Their encoding.
    pub media: Media,
}

// === impl Warnings ===

impl Warnings {
    /// Adds one.
    pub fn add(&self, warning: impl Into<String>) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(warning.into());
    }

    /// Takes those so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

// === impl Context ===

impl Context {
    /// A request of `user`.
    pub fn new(user: User, user_agent: impl Into<String>) -> Context {
        Context {
            user,
            user_agent: user_agent.into(),
            warnings: Warnings::default(),
            conversions: Conversions::default(),
            created: AtomicBool::default(),
        }
    }

    /// Adds a warning for the client.
    pub fn warn(&self, warning: impl Into<String>) {
        self.warnings.add(warning);
    }

    /// Takes the warnings so far.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// Notes that the request made a new object, though its verb is another than create.
    pub(super) fn note_created(&self) {
        self.created.store(true, Ordering::Relaxed);
    }

    /// Whether it did.
    pub fn has_created(&self) -> bool {
        self.created.load(Ordering::Relaxed)
    }

    /// The field manager of a write: what the client says, else its program
    /// (upstream's `managerOrUserAgent` of k8s.io/apiserver/pkg/endpoints/handlers).
    pub fn field_manager<'a>(&'a self, asked: &'a str) -> &'a str {
        let program = || self.user_agent.split('/').next().unwrap_or_default();
        let manager = if asked.is_empty() { program() } else { asked };
        if manager.is_empty() { "unknown" } else { manager }
    }
}
