//! VolumeAttributesClass: what of a volume may be changed.

use super::storage_class::parameters;
use crate::Cause;
use crate::kinds::strategies::core::pod_spec::validate::driver_name;
use crate::kinds::strategies::rules::{Place, equal};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// VolumeAttributesClass: what of a volume may be changed.
pub struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (class, mut out) = (Place::root(new), Vec::new());
        driver_name(&class.field("driverName"), &mut out);
        let values = class.field("parameters");
        parameters(&values, &mut out);
        if values.is_empty() {
            out.push(values.required("must contain at least one key/value pair"));
        }
        if let Some(old) = old {
            for field in ["driverName", "parameters"] {
                if !equal(class.field(field).value, old.get(field).unwrap_or(&Value::Null)) {
                    out.push(class.field(field).forbidden(&format!("updates to {field} are forbidden.")));
                }
            }
        }
        out
    }
}
