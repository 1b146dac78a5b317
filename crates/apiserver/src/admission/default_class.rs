//! DefaultStorageClass and DefaultIngressClass: who names no class gets the newest of the default ones
//! (k8s.io/kubernetes/plugin/pkg/admission/storage/storageclass/setdefault, network/defaultingressclass).

use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin, for objects of one resource.
pub struct DefaultClass {
    name: &'static str,
    of: (&'static str, &'static str),
    field: [&'static str; 2],
    /// The annotation that named the class before there was a field.
    annotation: &'static str,
    classes: (&'static str, &'static str),
    /// Those of a class, either of which makes it the default.
    marks: &'static [&'static str],
}

/// For claims of volumes.
pub const STORAGE: DefaultClass = DefaultClass {
    name: "DefaultStorageClass",
    of: ("", "persistentvolumeclaims"),
    field: ["spec", "storageClassName"],
    annotation: "volume.beta.kubernetes.io/storage-class",
    classes: ("storage.k8s.io", "storageclasses"),
    marks: &[
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ],
};

/// For ingresses.
pub const INGRESS: DefaultClass = DefaultClass {
    name: "DefaultIngressClass",
    of: ("networking.k8s.io", "ingresses"),
    field: ["spec", "ingressClassName"],
    annotation: "kubernetes.io/ingress.class",
    classes: ("networking.k8s.io", "ingressclasses"),
    marks: &["ingressclass.kubernetes.io/is-default-class"],
};

// === impl DefaultClass ===

impl DefaultClass {
    /// The newest default class; of several as new, the first by name.
    fn newest(&self, lookup: &dyn Lookup) -> Option<Value> {
        let marked = |class: &Value| {
            let is = |mark: &&str| class.str_at(&["metadata", "annotations", mark]) == Some("true");
            self.marks.iter().any(is)
        };
        let made = |class: &Value| class.str_at(&["metadata", "creationTimestamp"]).map(str::to_owned);
        // They come in order of their names, and the last of equals is the maximum.
        lookup.drafts(self.classes.0, self.classes.1, "").into_iter().rev().filter(marked).max_by_key(made)
    }
}

impl Plugin for DefaultClass {
    fn name(&self) -> &'static str {
        self.name
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let creates = attributes.operation == Operation::Create && attributes.subresource.is_empty();
        creates && attributes.is(self.of.0, self.of.1)
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let named = attributes.object.at(&self.field).is_some_and(|class| !class.is_null())
            || attributes.object.at(&["metadata", "annotations", self.annotation]).is_some();
        if named {
            return Ok(());
        }
        if let Some(class) = self.newest(lookup) {
            let name = class.str_at(&["metadata", "name"]).unwrap_or_default();
            attributes.object.set_at(&self.field, name);
        }
        Ok(())
    }
}
