//! IPAddress: an address that is taken.

use crate::Cause;
use crate::kinds::strategies::rules::{Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// IPAddress: an address that is taken.
pub struct IpAddress;

impl Strategy for IpAddress {
    /// Its name is the address, as it is written canonically.
    fn check_name(&self, name: &str) -> Vec<String> {
        match name.parse::<std::net::IpAddr>() {
            Ok(address) if address.to_string() == name => vec![],
            Ok(address) => vec![format!("must be a canonical format IP address, e.g. {address}")],
            Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (address, mut out) = (Place::root(new), Vec::new());
        let spec = address.field("spec");
        let parent = spec.field("parentRef");
        if !parent.is_set() {
            out.push(parent.required(""));
            return out;
        }
        parent.field("group").check_if_set(names::subdomain, &mut out);
        for field in ["resource", "name"] {
            parent.field(field).need_checked(names::path_segment, &mut out);
        }
        parent.field("namespace").check_if_set(names::path_segment, &mut out);
        if old.is_some() {
            parent.immutable(before(old, &["spec", "parentRef"]), &mut out);
        }
        out
    }
}
