//! Node: a machine (k8s.io/kubernetes/pkg/registry/core/node).

use super::{pod_spec::validate::scheduling, resource_names};
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::{fill, has, round, with};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// Node: a machine.
pub struct Node;

impl Strategy for Node {
    fn default(&self, draft: &mut Value) {
        with(draft, "spec", mirror_cidr);
        with(draft, "status", |status| {
            if let Some(capacity) = status.get("capacity").filter(|capacity| !capacity.is_null()).cloned() {
                fill(status, "allocatable", capacity);
            }
            round(status, "capacity");
            round(status, "allocatable");
        });
    }

    /// The feature behind `configSource` is gone; only objects that have it keep it.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        for (part, field) in [("spec", "configSource"), ("status", "config")] {
            let kept = old.and_then(|old| old.get(part)).is_some_and(|old| has(old, field));
            if !kept {
                new.remove_at(&[part, field]);
            }
        }
    }

    fn keeps_status_on_create(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (node, mut out) = (Place::root(new), Vec::new());
        let (metadata, spec, status) = (node.field("metadata"), node.field("spec"), node.field("status"));
        taints(&spec, &metadata, &mut out);
        for list in ["capacity", "allocatable"] {
            for (name, amount) in status.field(list).entries() {
                let (mut found, path) = (Vec::new(), format!("status.{list}.{name}"));
                resource_names::amount(name, &amount, &mut found);
                out.extend(found.into_iter().map(|cause| Cause { field: path.clone(), ..cause }));
            }
        }
        let cidrs = spec.field("podCIDRs");
        cidrs.items().for_each(|cidr| cidr.check(checks::cidr, &mut out));
        let wrong = cidrs.items().enumerate().find(|(_, cidr)| !checks::cidr(cidr.text()).is_empty());
        if let Some((i, cidr)) = wrong.filter(|_| cidrs.list().len() > 1) {
            let why = "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR";
            let why = format!("{why}[{i}]: <nil> (invalid CIDR address: {})", cidr.text());
            out.push(Cause::internal(cidrs.path(), &why));
        }
        let is_v6: Vec<bool> = cidrs.items().map(|cidr| cidr.text().contains(':')).collect();
        if is_v6.len() > 2 || matches!(is_v6.as_slice(), [a, b] if a == b) {
            out.push(cidrs.invalid("may specify no more than one CIDR for each IP family"));
        }
        if let Some(old) = old {
            changed(&spec, &status, old, &mut out);
        }
        out
    }
}

/// Keeps `podCIDR` and the first of `podCIDRs` the same; the former wins.
fn mirror_cidr(spec: &mut Value) {
    let first = spec.list_at(&["podCIDRs"]).first().and_then(Value::as_str).map(str::to_owned);
    match (spec.str_at(&["podCIDR"]).filter(|cidr| !cidr.is_empty()).map(str::to_owned), first) {
        (Some(cidr), first) if first.as_ref() != Some(&cidr) => {
            spec.set_at(&["podCIDRs"], vec![Value::from(cidr)])
        }
        (None, Some(first)) => spec.set_at(&["podCIDR"], first),
        _ => {}
    }
}

/// Upstream names the taints of the spec as if they were of the metadata.
fn taints(spec: &Place, metadata: &Place, out: &mut Causes) {
    let mut taints = metadata.field("taints");
    taints.value = spec.field("taints").value;
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in taints.items() {
        let (key, effect) = (taint.field("key"), taint.field("effect"));
        key.check(names::qualified_name, out);
        let reasons = names::label_value(taint.field("value").text());
        if !reasons.is_empty() {
            out.push(taint.field("value").invalid(&reasons.join(";")));
        }
        if effect.need(out) {
            scheduling::taint_effect(&effect, out);
        }
        if seen.contains(&(key.text(), effect.text())) {
            let shown = serde_json::to_string(taint.value).unwrap_or_default();
            let mut cause = Cause::duplicate(taint.path(), "");
            cause.message = format!("Duplicate value: {shown}: taints must be unique by key and effect pair");
            out.push(cause);
        }
        seen.push((key.text(), effect.text()));
    }
}

fn changed(spec: &Place, status: &Place, old: &Value, out: &mut Causes) {
    let addresses = status.field("addresses");
    for (i, address) in addresses.items().enumerate() {
        if addresses.list()[..i].contains(address.value) {
            let mut cause = Cause::duplicate(address.path(), "");
            cause.message =
                format!("Duplicate value: {}", serde_json::to_string(address.value).unwrap_or_default());
            out.push(cause);
        }
    }
    let cidrs = spec.field("podCIDRs");
    let before = old.list_at(&["spec", "podCIDRs"]);
    if !before.is_empty() && before != cidrs.list() {
        out.push(cidrs.forbidden("node updates may not change podCIDR except from \"\" to valid"));
    }
    let provider = spec.field("providerID");
    if old
        .str_at(&["spec", "providerID"])
        .is_some_and(|before| !before.is_empty() && before != provider.text())
    {
        out.push(provider.forbidden("node updates may not change providerID except from \"\" to valid"));
    }
}
