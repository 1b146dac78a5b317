//! ReplicaSet: so many pods of one template.

use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{fill, part};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// ReplicaSet: so many pods of one template.
pub struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "replicas", 1);
        pod_defaults::template(spec);
    }
}
