//! ResourceSlice: some of the devices of a node or pool.

use super::devices;
use crate::Cause;
use crate::kinds::strategies::core::pod_spec::validate::{driver_name, scheduling};
use crate::kinds::strategies::fill::{each, fill, part, with};
use crate::kinds::strategies::rules::{Causes, Place, before};
use crate::kinds::strategy::{Strategy, Verb, Writer};
use crate::names;
use crate::value::Value;

/// ResourceSlice: some of the devices of a node or pool.
pub struct ResourceSlice;

impl Strategy for ResourceSlice {
    fn default(&self, draft: &mut Value) {
        each(part(draft, "spec"), "devices", |device| {
            if let Some(Value::Map(mappings)) = device.at_mut(&["nodeAllocatableResourceMappings"]) {
                mappings.iter_mut().for_each(|(_, mapping)| fill(mapping, "allocationMultiplier", "1"));
            }
        });
    }

    /// Taints say when they were added.
    fn stamp(&self, new: &mut Value, _old: Option<&Value>, _verb: Verb, by: Writer) {
        with(new, "spec", |spec| {
            each(spec, "devices", |device| each(device, "taints", |taint| fill(taint, "timeAdded", by.now)));
        });
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (slice, mut out) = (Place::root(new), Vec::new());
        let spec = slice.field("spec");
        validate_spec(&spec, &mut out);
        if old.is_some() {
            let pool = spec.field("pool");
            pool.field("name").immutable(before(old, &["spec", "pool", "name"]), &mut out);
            for field in ["driver", "nodeName"] {
                spec.field(field).immutable(before(old, &["spec", field]), &mut out);
            }
        }
        out
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// Where the devices of a slice are; a slice says one of them.
const PLACES: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
const ONE_PLACE: &str =
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
const POOL_NAME_BYTES_MAX: usize = 253;
const DEVICES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 64;
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

fn validate_spec(spec: &Place, out: &mut Causes) {
    driver_name(&spec.field("driver"), out);
    let pool = spec.field("pool");
    let name = pool.field("name");
    if name.need(out) {
        if name.text().len() > POOL_NAME_BYTES_MAX {
            out.push(Cause::too_long(name.path(), POOL_NAME_BYTES_MAX));
        }
        for part in name.text().split('/') {
            out.extend(names::subdomain(part).iter().map(|why| name.invalid_as(part, why)));
        }
    }
    pool.field("resourceSliceCount").positive(out);
    if pool.field("generation").int() < 0 {
        out.push(pool.field("generation").invalid("must be greater than or equal to zero"));
    }
    let set: Vec<&str> = PLACES.iter().copied().filter(|place| !spec.field(place).is_empty()).collect();
    match set.as_slice() {
        [] => out.push(spec.required(ONE_PLACE)),
        [_] => {}
        _ => {
            let shown = format!("{{`{}`}}", set.join("`, `"));
            out.push(spec.invalid_as(shown, &format!("{ONE_PLACE}, but multiple fields are set")));
        }
    }
    spec.field("nodeName").check_if_set(names::subdomain, out);
    if spec.field("nodeSelector").is_set() {
        scheduling::node_selector(&spec.field("nodeSelector"), false, out);
    }
    let list = spec.field("devices");
    devices::unique(&list, DEVICES_MAX, out);
    list.items().for_each(|device| check_device(&device, out));
}

fn check_device(device: &Place, out: &mut Causes) {
    device.field("name").check(names::label, out);
    let (attributes, capacity) = (device.field("attributes"), device.field("capacity"));
    for (name, attribute) in attributes.entries() {
        qualified(&attributes, name, out);
        let values = attribute.value.as_map().into_iter().flat_map(|map| map.iter());
        if values.filter(|(_, value)| !value.is_null()).count() != 1 {
            out.push(attribute.invalid("exactly one value must be specified"));
        }
        for text in ["string", "version"].map(|field| attribute.field(field)) {
            if text.text().len() > VALUE_BYTES_MAX {
                out.push(Cause::too_long(text.path(), VALUE_BYTES_MAX));
            }
        }
        let version = attribute.field("version");
        if version.is_set() && !is_version(version.text()) {
            out.push(version.invalid("must be a string compatible with semver.org spec 2.0.0"));
        }
    }
    capacity.entries().for_each(|(name, _)| qualified(&capacity, name, out));
    for taint in device.field("taints").items() {
        taint.field("key").check(names::qualified_name, out);
        taint.field("value").check(names::label_value, out);
        taint.field("effect").need_one_of(&EFFECTS, out);
    }
}

/// The name of an attribute or a capacity, which may have a domain.
fn qualified(map: &Place, name: &str, out: &mut Causes) {
    let (domain, id) = name.split_once('/').map_or((None, name), |(domain, id)| (Some(domain), id));
    if let Some(domain) = domain {
        out.extend(names::subdomain(domain).iter().map(|why| map.invalid_as(domain, why)));
    }
    out.extend(devices::identifier(id).iter().map(|why| map.invalid_as(id, why)));
}

/// `1.2.3`, `1.2.3-rc.1+build`.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let rest = &text[core.len()..];
    let number = |part: &str| {
        part.parse::<u64>().is_ok()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let parts: Vec<&str> = core.split('.').collect();
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
    parts.len() == 3
        && parts.iter().all(|part| number(part))
        && rest.len() != 1
        && rest.bytes().all(is_letter)
}
