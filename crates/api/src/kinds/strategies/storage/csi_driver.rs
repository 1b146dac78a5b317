//! CSIDriver: what a storage driver can do.

use crate::Cause;
use crate::kinds::strategies::fill::{count_change, fill, fill_zero, part, same};
use crate::kinds::strategies::rules::{Place, Seen, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

const MODES: [&str; 2] = ["Persistent", "Ephemeral"];

/// CSIDriver: what a storage driver can do.
pub struct CsiDriver;

impl Strategy for CsiDriver {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "attachRequired", true);
        for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            fill(spec, field, false);
        }
        fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        fill_zero(spec, "volumeLifecycleModes", vec![Value::from("Persistent")]);
    }

    /// Unlike elsewhere, the generation is counted although new objects begin without one.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        if let Some(old) = old.filter(|old| !same(new, old, &["spec"])) {
            count_change(new, old);
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (driver, mut out) = (Place::root(new), Vec::new());
        let spec = driver.field("spec");
        let metadata = driver.field("metadata");
        if metadata.field("name").text().len() > 63 {
            out.push(Cause::too_long("metadata.name", 63));
        }
        spec.field("fsGroupPolicy").one_of_if_set(&["File", "None", "ReadWriteOnceWithFSType"], &mut out);
        let modes = spec.field("volumeLifecycleModes");
        for mode in modes.items().filter(|mode| !MODES.contains(&mode.text())) {
            out.push(Cause::not_supported(modes.path(), mode.text(), &MODES));
        }
        let period = spec.field("nodeAllocatableUpdatePeriodSeconds");
        if period.is_set() && period.int() < 10 {
            out.push(period.invalid("must be greater than or equal to 10 seconds"));
        }
        let mut seen = Seen::default();
        for request in spec.field("tokenRequests").items() {
            let audience = request.field("audience");
            if seen.again(request.value.str_at(&["audience"]).unwrap_or_default()) {
                out.push(audience.duplicate());
                continue;
            }
            let seconds = request.field("expirationSeconds");
            if seconds.is_set() && seconds.int() < 600 {
                out.push(seconds.invalid("may not specify a duration less than 10 minutes"));
            }
            if seconds.int() > 1 << 32 {
                out.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
            }
        }
        if old.is_some() {
            // Upstream's name of the field.
            let mut attaches = spec.field("attachedRequired");
            attaches.value = spec.field("attachRequired").value;
            attaches.immutable(before(old, &["spec", "attachRequired"]), &mut out);
            modes.immutable(before(old, &["spec", "volumeLifecycleModes"]), &mut out);
        }
        out
    }
}
