//! IngressClass: which controller serves an Ingress.

use crate::kinds::strategies::fill::{fill, with};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// IngressClass: which controller serves an Ingress.
pub struct IngressClass;

impl Strategy for IngressClass {
    fn default(&self, draft: &mut Value) {
        with(draft, "spec", |spec| {
            with(spec, "parameters", |parameters| fill(parameters, "scope", "Cluster"))
        });
    }
}
