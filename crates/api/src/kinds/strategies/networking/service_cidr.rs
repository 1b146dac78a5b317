//! ServiceCIDR: where the addresses of services come from.

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::restore_metadata;
use crate::kinds::strategies::rules::{Causes, IMMUTABLE, Place};
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
        if matches!(verb, Verb::UpdateSubresource(_)) {
            return out;
        }
        let was = old.map(|old| old.list_at(&["spec", "cidrs"]));
        match (was, cidrs.list()) {
            (None, _) => ranges(&cidrs, &mut out),
            (Some(was), now) if was.len() == now.len() => fixed(&cidrs, was, &mut out),
            // A second family may come later.
            (Some(was @ [_]), [_, _]) => {
                fixed(&cidrs, was, &mut out);
                ranges(&cidrs, &mut out);
            }
            _ => out.push(cidrs.invalid(IMMUTABLE)),
        }
        out
    }
}

fn fixed(cidrs: &Place, was: &[Value], out: &mut Causes) {
    for (cidr, was) in cidrs.items().zip(was) {
        cidr.immutable(Some(was), out);
    }
}

/// One range of each family.
fn ranges(cidrs: &Place, out: &mut Causes) {
    let families: Vec<Option<bool>> =
        cidrs.items().map(|cidr| checks::split_cidr(cidr.text()).map(|(ip, _)| ip.is_ipv4())).collect();
    if families.is_empty() {
        return out.push(cidrs.required("at least one CIDR required"));
    }
    if families.len() > 2 {
        return out.push(cidrs.invalid("may only hold up to 2 values"));
    }
    cidrs.items().for_each(|cidr| cidr.check(checks::cidr, out));
    if let [Some(a), Some(b)] = families.as_slice()
        && a == b
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        out.push(cidrs.invalid(detail));
    }
}
