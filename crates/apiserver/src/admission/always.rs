//! AlwaysAdmit and AlwaysDeny: to try things out (k8s.io/kubernetes/plugin/pkg/admission/admit and deny).

use decapod_api::Status;

use super::{Attributes, Plugin};
use crate::registry::Lookup;

/// Says yes to everything that the others do not refuse.
pub struct AlwaysAdmit;

/// Says no to everything.
pub struct AlwaysDeny;

const WHY: &str = "admission control is denying all modifications";

impl Plugin for AlwaysAdmit {
    fn name(&self) -> &'static str {
        "AlwaysAdmit"
    }

    fn handles(&self, _: &Attributes) -> bool {
        false
    }
}

impl Plugin for AlwaysDeny {
    fn name(&self) -> &'static str {
        "AlwaysDeny"
    }

    fn handles(&self, _: &Attributes) -> bool {
        true
    }

    fn mutate(&self, attributes: &mut Attributes, _: &dyn Lookup) -> Result<(), Status> {
        Err(attributes.forbid(WHY))
    }

    fn validate(&self, attributes: &Attributes, _: &dyn Lookup) -> Result<(), Status> {
        Err(attributes.forbid(WHY))
    }
}
