//! Nothing is made of a kind whose definition ends (k8s.io/apiextensions-apiserver/pkg/apiserver,
//! `forbidCreateAdmission`).

use std::sync::atomic::Ordering;

use decapod_api::Status;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// Refuses creations of custom resources whose definition ends.
pub struct CustomResourceTerminating;

impl Plugin for CustomResourceTerminating {
    fn name(&self) -> &'static str {
        "CustomResourceTerminating"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let definition = attributes.resource.custom.as_ref();
        definition.is_some_and(|definition| definition.terminating.load(Ordering::Relaxed))
            && attributes.operation == Operation::Create
    }

    fn mutate(&self, attributes: &mut Attributes, _lookup: &dyn Lookup) -> Result<(), Status> {
        Err(attributes.forbid("create not allowed while custom resource definition is terminating"))
    }
}
