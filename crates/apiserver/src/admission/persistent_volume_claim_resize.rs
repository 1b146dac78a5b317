//! PersistentVolumeClaimResize: a claim grows when it is bound and its class allows it
//! (k8s.io/kubernetes/plugin/pkg/admission/storage/persistentvolume/resize).

use decapod_api::quantity::Quantity;
use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct PersistentVolumeClaimResize;

impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let updates = attributes.operation == Operation::Update && attributes.subresource.is_empty();
        updates && attributes.is("", "persistentvolumeclaims")
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let Some(old) = attributes.old else { return Ok(()) };
        if size(&attributes.object) <= size(old) {
            return Ok(());
        }
        if old.str_at(&["status", "phase"]) != Some("Bound") {
            return Err(attributes.forbid("Only bound persistent volume claims can be expanded"));
        }
        let class = class(&attributes.object).filter(|new| class(old) == Some(*new));
        let class = class.and_then(|name| lookup.draft("storage.k8s.io", "storageclasses", "", name));
        let allows = |class: Value| class.at(&["allowVolumeExpansion"]).and_then(Value::as_bool);
        if class.and_then(allows) != Some(true) {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
            return Err(attributes.forbid(why));
        }
        Ok(())
    }
}

/// The bytes that a claim asks for.
fn size(claim: &Value) -> i64 {
    let asked = claim.str_at(&["spec", "resources", "requests", "storage"]);
    asked.and_then(|text| Quantity::parse(text).ok()).map_or(0, |quantity| quantity.value())
}

/// The class that a claim names.
fn class(claim: &Value) -> Option<&str> {
    let annotated = claim.str_at(&["metadata", "annotations", "volume.beta.kubernetes.io/storage-class"]);
    annotated.or_else(|| claim.str_at(&["spec", "storageClassName"])).filter(|name| !name.is_empty())
}
