//! NamespaceAutoProvision: a namespace is made when something is to be made in it
//! (k8s.io/kubernetes/plugin/pkg/admission/namespace/autoprovision).

use std::sync::Weak;

use decapod_api::Status;
use decapod_client::{Request, Verb};

use super::{Attributes, Operation, Plugin, RegistryOnceThere, Waiting};
use crate::identity::{MASTERS, User};
use crate::registry::{Context, Lookup, Media, Registry};

/// The plugin.
pub struct NamespaceAutoProvision {
    registry: RegistryOnceThere,
}

// === impl NamespaceAutoProvision ===

impl NamespaceAutoProvision {
    /// The plugin that makes namespaces in `registry`.
    pub fn new(registry: RegistryOnceThere) -> NamespaceAutoProvision {
        NamespaceAutoProvision { registry }
    }
}

impl Plugin for NamespaceAutoProvision {
    fn name(&self) -> &'static str {
        "NamespaceAutoProvision"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && !attributes.dry_run
            && !attributes.namespace.is_empty()
            && !attributes.is("", "namespaces")
    }

    fn ask_mutating<'a>(&'a self, attributes: &'a mut Attributes<'_>, lookup: &'a dyn Lookup) -> Waiting<'a> {
        if lookup.object("", "namespaces", "", attributes.namespace).is_some() {
            return None;
        }
        let registry = self.registry.get().and_then(Weak::upgrade)?;
        Some(Box::pin(async move {
            match make(&registry, attributes.namespace).await {
                Err(status) if !status.is_already_exists() => Err(attributes.forbid(&status.message)),
                _ => Ok(()),
            }
        }))
    }
}

async fn make(registry: &Registry, name: &str) -> Result<(), Status> {
    let context = Context::new(User::new("system:apiserver", &[MASTERS]), "kube-apiserver");
    let row = registry.kinds().find("", "namespaces").ok_or_else(Status::no_such_path)?;
    let body = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let request = Request { body: body.to_string().into(), ..Request::new(Verb::Create, row.preferred()) };
    registry.handle(&context, request, Media::Json).await.map(drop)
}
