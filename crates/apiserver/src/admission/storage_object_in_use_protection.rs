//! StorageObjectInUseProtection: volumes and claims begin with a finalizer, which their controllers take away when nobody
//! uses them (k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection).

use decapod_api::Status;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct StorageObjectInUseProtection;

/// Group, resource and the finalizer of each.
const PROTECTED: [(&str, &str, &str); 3] = [
    ("", "persistentvolumes", "kubernetes.io/pv-protection"),
    ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
    ("storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"),
];

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let creates = attributes.operation == Operation::Create && attributes.subresource.is_empty();
        creates && PROTECTED.iter().any(|(group, plural, _)| attributes.is(group, plural))
    }

    fn mutate(&self, attributes: &mut Attributes, _lookup: &dyn Lookup) -> Result<(), Status> {
        for (group, plural, finalizer) in PROTECTED {
            if attributes.is(group, plural) {
                let finalizers = attributes.object.entry_at(&["metadata", "finalizers"]).ensure_list();
                if !finalizers.iter().any(|held| held.as_str() == Some(finalizer)) {
                    finalizers.push(finalizer.into());
                }
            }
        }
        Ok(())
    }
}
