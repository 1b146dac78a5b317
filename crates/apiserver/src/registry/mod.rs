//! The one registry: every verb, for every resource.
//!
//! A request is resolved to a [`Target`], a row of data and a place in it; the verb's file does the rest, the same
//! for all kinds. What a kind does of its own is its [`decapod_api::kinds::Strategy`].

mod apply;
mod charges;
mod context;
mod conversion;
mod create;
pub(crate) mod custom;
pub(crate) mod definitions;
mod delete;
mod delete_options;
pub(crate) mod draft;
mod fields;
mod get;
mod kinds;
mod list;
mod lookup;
mod meta;
mod options;
mod patch;
mod special;
mod target;
mod update;
mod watch;

use std::sync::{Arc, Weak};

use decapod_api::{Encodings, Object, Status};
use decapod_client::{Reply, Request, Verb};
use decapod_store::{CommitError, Committed, Store, Txn, Write};
use decapod_sys::Env;

use crate::admission::{Admission, Attributes};
use crate::connect::Dialer;
pub use context::{Body, Context, Media, Warnings};
pub use kinds::{Kinds, Rows};
pub use lookup::Lookup;
pub use special::{Services, Special};
pub use target::Target;
pub(crate) use update::{Edit, Preconditions};

/// Every resource over one store.
pub struct Registry {
    pub(crate) env: Env,
    pub(crate) store: Store,
    pub(crate) kinds: Kinds,
    pub(crate) admission: Admission,
    pub(crate) special: Special,
    /// Opens connections to those who convert.
    dialer: Arc<Dialer>,
    converters: conversion::Converters,
    /// Custom objects in other versions and forms than they are stored in.
    versions: Encodings,
    turns: charges::Turns,
    this: Weak<Registry>,
}

/// How much of custom objects is kept in other versions than they are stored in.
const VERSIONS_BYTES_MAX: usize = 16 << 20;
/// How often an update is tried again when another write came first, where the client does not pin a revision.
const RETRIES_MAX: usize = 32;

// === impl Registry ===

impl Registry {
    /// A registry of the built-in kinds.
    pub fn new(
        env: Env,
        store: Store,
        admission: Admission,
        special: Special,
        dialer: Arc<Dialer>,
    ) -> Arc<Registry> {
        Arc::new_cyclic(|this| Registry {
            env,
            store,
            kinds: Kinds::built_in(),
            admission,
            special,
            dialer,
            converters: Default::default(),
            versions: Encodings::new(VERSIONS_BYTES_MAX),
            turns: Default::default(),
            this: this.clone(),
        })
    }

    /// The resources that are served.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers `request`, which has been authorized.
    pub async fn handle(&self, context: &Context, request: Request, media: Media) -> Result<Reply, Status> {
        let target = self.kinds.resolve(&request)?;
        if let Some(reply) = self.special(context, &target, &request, media).await? {
            return Ok(reply);
        }
        let options = &request.options;
        let body = Body { bytes: request.body.clone(), media };
        match request.verb {
            Verb::Get => self.get(&target, options).await.map(Reply::Object),
            Verb::List => self.list(&target, options).await.map(Reply::List),
            Verb::Watch => self.watch(&target, options).await.map(Reply::Watch),
            Verb::Create => self.create(context, &target, options, body).await.map(Reply::Object),
            Verb::Update => self.update(context, &target, options, body).await.map(Reply::Object),
            Verb::Patch => {
                self.patch(context, &target, options, request.patch_type, body).await.map(Reply::Object)
            }
            Verb::Delete => self.delete(context, &target, body, options).await,
            Verb::DeleteCollection => {
                self.delete_collection(context, &target, body, options).await.map(Reply::List)
            }
        }
    }

    /// Asks admission about a connection.
    pub async fn admit_connection(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        self.admission.mutate(attributes, self).await?;
        self.admission.validate(attributes, self).await
    }

    /// Commits one write of `target`.
    async fn commit(&self, target: &Target, write: Write) -> Result<Object, CommitError> {
        let Committed { mut objects, .. } = self.store.commit(Txn(vec![write])).await?;
        objects.pop().ok_or_else(|| CommitError::Unavailable { reason: format!("no answer for {target}") })
    }
}

/// The status of a commit that failed for another reason than the object's revision.
fn commit_failed(error: CommitError, target: &Target) -> Status {
    match error {
        CommitError::Conflict { .. } => Status::modified(&target.resource.group_resource(), &target.name),
        CommitError::TooLarge { limit_bytes, .. } => Status::too_large(limit_bytes),
        CommitError::Repeated { key } => Status::internal(format!("{key} came twice in one transaction")),
        CommitError::Full => Status::internal("the store's disk is full: delete objects or add space"),
        CommitError::Unavailable { reason } => {
            Status::unavailable(format!("the store is unavailable: {reason}"))
        }
        CommitError::Unknown => Status::timeout("the store did not say whether the write was kept"),
    }
}
