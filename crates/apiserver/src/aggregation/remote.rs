//! An API server behind a service, and what it has said of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value as Json;

use super::api_service::Reference;
use crate::connect::backend::Backend;
use crate::pki::Identity;

/// An API server behind a service, as one APIService names it.
pub struct Remote {
    /// Where it is.
    pub reference: Reference,
    /// Connections to it.
    pub backend: Backend,
    documents: RwLock<Arc<Documents>>,
}

/// What it has said.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// Its resources of the group and version, as aggregated discovery has them, and the tag of the whole; nothing, if
    /// it could not be asked.
    pub discovery: Option<Tagged>,
    /// Its documents of OpenAPI 3, by name, with what the index says of each.
    pub openapi_v3: BTreeMap<String, Json>,
    /// What its document of OpenAPI 2 says of the group and version.
    pub openapi_v2: Option<Tagged>,
    /// The same as a document of version 3, for servers that have none.
    pub converted: Option<Tagged>,
}

/// A document and what tells it from its other revisions.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The document.
    pub json: Arc<Json>,
    /// Its tag.
    pub etag: String,
}

// === impl Remote ===

impl Remote {
    /// The one at `reference`, which is shown `identity`.
    pub fn new(reference: Reference, identity: &Identity) -> Remote {
        let Reference { namespace, name, port, ca_bundle, is_insecure } = &reference;
        let backend = Backend::new((namespace, name, *port), ca_bundle, *is_insecure, identity);
        Remote { backend, reference, documents: RwLock::default() }
    }

    /// What it has said last.
    pub fn documents(&self) -> Arc<Documents> {
        self.documents.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It has said something else.
    pub fn put(&self, documents: Documents) {
        *self.documents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(documents);
    }
}
