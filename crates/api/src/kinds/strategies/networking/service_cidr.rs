//! ServiceCIDR: where the addresses of services come from.

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::restore_metadata;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ServiceCIDR: where the addresses of services come from.
pub struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (service, mut out) = (Place::root(new), Vec::new());
        let spec = service.field("spec");
        let cidrs = spec.field("cidrs");
        if let Some(old) = old {
            if verb == Verb::Update {
                cidrs.immutable(old.at(&["spec", "cidrs"]), &mut out);
            }
            return out;
        }
        if cidrs.list().is_empty() {
            out.push(cidrs.required("at least one CIDR required"));
        }
        cidrs.items().for_each(|cidr| cidr.check(checks::cidr, &mut out));
        let is_v6: Vec<bool> = cidrs.items().map(|cidr| cidr.text().contains(':')).collect();
        if is_v6.len() > 2 {
            out.push(cidrs.invalid("may only hold up to 2 values"));
        } else if matches!(is_v6.as_slice(), [a, b] if a == b) {
            out.push(cidrs.invalid(
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ));
        }
        out
    }
}
