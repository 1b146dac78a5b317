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

#[cfg(test)]
mod tests {
    use decapod_api::kinds::BUILT_IN;
    use decapod_api::{Object, Value, value};

    use super::*;
    use crate::admission::Rounds;
    use crate::identity::User;
    use crate::registry::Warnings;

    struct Nothing;

    impl Lookup for Nothing {
        fn object(&self, _: &str, _: &str, _: &str, _: &str) -> Option<Object> {
            None
        }

        fn objects(&self, _: &str, _: &str, _: &str) -> Vec<Object> {
            Vec::new()
        }
    }

    /// The finalizers of what is made with these.
    fn finalizers(plural: &str, held: Value) -> String {
        let resource = BUILT_IN.iter().find(|row| row.plural == plural).unwrap();
        let mut attributes = Attributes {
            operation: Operation::Create,
            resource,
            version: &resource.versions[0],
            subresource: "",
            namespace: "",
            name: "x",
            object: value!({"metadata": {"name": "x", "finalizers": held}}),
            old: None,
            user: &User::default(),
            dry_run: false,
            kind: &resource.versions[0].kind,
            options: &|| Value::Null,
            warnings: &Warnings::default(),
            rounds: Rounds::default(),
        };
        if StorageObjectInUseProtection.handles(&attributes) {
            StorageObjectInUseProtection.mutate(&mut attributes, &Nothing).unwrap();
        }
        let held = attributes.object.at(&["metadata", "finalizers"]).and_then(Value::as_list).unwrap();
        held.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_pods_may_use_is_protected_once() {
        let table = [
            ("persistentvolumes", value!([]), "kubernetes.io/pv-protection"),
            ("persistentvolumeclaims", value!(["a/b"]), "a/b kubernetes.io/pvc-protection"),
            (
                "persistentvolumeclaims",
                value!(["kubernetes.io/pvc-protection"]),
                "kubernetes.io/pvc-protection",
            ),
            ("volumeattributesclasses", value!([]), "kubernetes.io/vac-protection"),
            ("storageclasses", value!(["a/b"]), "a/b"),
        ];
        for (plural, held, expected) in table {
            assert_eq!(finalizers(plural, held), expected, "{plural}");
        }
    }
}
