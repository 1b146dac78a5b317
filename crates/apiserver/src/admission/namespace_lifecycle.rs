//! NamespaceLifecycle: nothing is made in a namespace that is not there or that ends, and those the system needs stay
//! (k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle).

use decapod_api::{Cause, Status};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct NamespaceLifecycle;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        match attributes.operation {
            Operation::Delete => attributes.is("", "namespaces"),
            // Reviews are not kept, and are asked about namespaces that are not there.
            Operation::Create => {
                let ephemeral = attributes.resource.group == "authorization.k8s.io";
                !attributes.namespace.is_empty() && !attributes.is("", "namespaces") && !ephemeral
            }
            _ => false,
        }
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        if attributes.operation == Operation::Delete {
            return match IMMORTAL.contains(&attributes.name) {
                true => Err(attributes.forbid("this namespace may not be deleted")),
                false => Ok(()),
            };
        }
        let namespace = lookup.object("", "namespaces", "", attributes.namespace);
        let Some(namespace) = namespace else {
            let resource =
                decapod_api::meta::GroupResource { group: "".into(), resource: "namespaces".into() };
            return Err(Status::not_found(&resource, attributes.namespace));
        };
        if namespace.text(&["status", "phase"]).as_deref() != Some("Terminating") {
            return Ok(());
        }
        let why = "unable to create new content in namespace ";
        let why = format!("{why}{} because it is being terminated", attributes.namespace);
        let mut status = attributes.forbid(&why);
        let cause = Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {} is being terminated", attributes.namespace),
            field: "metadata.namespace".into(),
        };
        status.details.get_or_insert_default().causes.push(cause);
        Err(status)
    }
}
