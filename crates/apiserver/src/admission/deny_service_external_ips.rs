//! DenyServiceExternalIPs: nobody draws others' addresses to a service
//! (k8s.io/kubernetes/plugin/pkg/admission/network/denyserviceexternalips).

use decapod_api::Status;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct DenyServiceExternalIps;

const FIELD: [&str; 2] = ["spec", "externalIPs"];

impl Plugin for DenyServiceExternalIps {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "services")
            && attributes.subresource.is_empty()
    }

    fn validate(&self, attributes: &Attributes, _: &dyn Lookup) -> Result<(), Status> {
        let old = attributes.old.map(|old| old.list_at(&FIELD)).unwrap_or_default();
        match attributes.object.list_at(&FIELD).iter().all(|address| old.contains(address)) {
            true => Ok(()),
            false => Err(attributes.forbid("Use of external IPs is denied by admission control")),
        }
    }
}
