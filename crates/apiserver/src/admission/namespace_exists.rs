//! NamespaceExists: nothing is done in a namespace that is not there
//! (k8s.io/kubernetes/plugin/pkg/admission/namespace/exists).

use decapod_api::Status;
use decapod_api::meta::GroupResource;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct NamespaceExists;

impl Plugin for NamespaceExists {
    fn name(&self) -> &'static str {
        "NamespaceExists"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation != Operation::Connect
            && !attributes.namespace.is_empty()
            && !attributes.is("", "namespaces")
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        if lookup.object("", "namespaces", "", attributes.namespace).is_some() {
            return Ok(());
        }
        let namespaces = GroupResource { group: "".into(), resource: "namespaces".into() };
        Err(Status::not_found(&namespaces, attributes.namespace))
    }
}
