//! DeviceClass: kinds of devices.

use super::devices;
use crate::Cause;
use crate::kinds::strategies::core::resource_names;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// DeviceClass: kinds of devices.
pub struct DeviceClass;

impl Strategy for DeviceClass {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (class, mut out) = (Place::root(new), Vec::new());
        let spec = class.field("spec");
        devices::selectors(&spec.field("selectors"), &mut out);
        spec.field("config").items().for_each(|configuration| devices::opaque(&configuration, &mut out));
        let name = spec.field("extendedResourceName");
        if name.is_set() && !resource_names::is_extended(name.text()) {
            out.push(name.invalid("must be a valid extended resource name"));
        }
        out
    }
}
