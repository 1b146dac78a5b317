//! LimitRange: what the containers, pods and claims of a namespace may ask for.

use super::resource_names::{self, is_huge_pages, is_native};
use crate::Cause;
use crate::kinds::strategies::fill::{complete, each, part, round};
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::quantity::{Format, Quantity};
use crate::value::Value;

/// LimitRange: what the containers, pods and claims of a namespace may ask for.
pub struct LimitRange;

impl Strategy for LimitRange {
    fn default(&self, draft: &mut Value) {
        each(part(draft, "spec"), "limits", |item| {
            if item.str_at(&["type"]) == Some("Container") {
                complete(item, "default", "max");
                complete(item, "defaultRequest", "default");
                complete(item, "defaultRequest", "min");
            }
            for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                round(item, list);
            }
        });
    }

    /// A range without a name gets the same random one that its UID is.
    fn prepare(&self, new: &mut Value, _old: Option<&Value>, _verb: Verb) {
        let named = new.str_at(&["metadata", "name"]).is_some_and(|name| !name.is_empty());
        if let (false, Some(uid)) = (named, new.at(&["metadata", "uid"]).cloned()) {
            new.set_at(&["metadata", "name"], uid);
        }
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (range, mut out) = (Place::root(new), Vec::new());
        let (spec, mut seen) = (range.field("spec"), Seen::default());
        for limit in spec.field("limits").items() {
            let kind = limit.field("type");
            kind.check(type_name, &mut out);
            if seen.again(kind.text()) {
                out.push(kind.duplicate());
            }
            check_limit(&limit, &mut out);
        }
        out
    }
}

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn type_name(name: &str) -> Vec<String> {
    let reasons = names::qualified_name(name);
    let is_standard = matches!(name, "Pod" | "Container" | "PersistentVolumeClaim");
    if reasons.is_empty() && !name.contains('/') && !is_standard {
        return vec!["must be a standard limit type or fully qualified".into()];
    }
    reasons
}

fn check_limit(limit: &Place, out: &mut Causes) {
    let kind = limit.field("type").text();
    let reasons: fn(&str) -> Vec<String> =
        if matches!(kind, "Pod" | "Container") { resource_names::of_container } else { resource_names::any };
    let mut keys: Vec<&str> = Vec::new();
    for list in LISTS {
        let place = limit.field(list);
        if kind == "Pod" && list.starts_with("default") {
            if !place.is_empty() {
                out.push(place.forbidden("may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (name, amount) in place.entries() {
            out.extend(reasons(name).iter().map(|why| amount.invalid_as(name, why)));
            if !keys.contains(&name) {
                keys.push(name);
            }
        }
    }
    let has_storage = |list: &str| limit.value.at(&[list, "storage"]).is_some();
    if kind == "PersistentVolumeClaim" && !has_storage("min") && !has_storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        out.push(limit.field("limits").required(detail));
    }
    keys.iter().for_each(|key| check_key(limit, key, out));
}

/// What is said of one resource has to fit together.
fn check_key(limit: &Place, key: &str, out: &mut Causes) {
    let lists = LISTS.map(|list| limit.field(list));
    let [max, min, default, request, ratio] = &lists;
    let [max, min, default, request, ratio] = [max, min, default, request, ratio].map(|list| list.key(key));
    let mut at_most = |a: &Place, b: &Place, blamed: &Place, shown: &Place, a_name: &str, b_name: &str| {
        if a.is_set() && b.is_set() && a.quantity() > b.quantity() {
            let detail = format!("{a_name} value {} is greater than {b_name} value {}", a.text(), b.text());
            out.push(blamed.invalid_as(shown.text(), &detail));
        }
    };
    at_most(&min, &max, &min, &min, "min", "max");
    at_most(&min, &request, &request, &request, "min", "default request");
    at_most(&request, &max, &request, &request, "default request", "max");
    at_most(&request, &default, &request, &request, "default request", "default limit");
    at_most(&min, &default, &default, &min, "min", "default");
    at_most(&default, &max, &default, &max, "default", "max");
    if ratio.is_set() && ratio.quantity() < Quantity::new(1, Format::DecimalSi) {
        out.push(ratio.invalid(&format!("ratio {} is less than 1", ratio.text())));
    }
    if ratio.is_set() && min.is_set() && max.is_set() {
        let most = max.quantity().as_f64() / min.quantity().as_f64();
        if ratio.quantity().as_f64() > most {
            out.push(ratio.invalid(&format!("ratio {} is greater than max/min = {most:.6}", ratio.text())));
        }
    }
    let may_overcommit = is_native(key) && !is_huge_pages(key);
    if !may_overcommit && default.is_set() && request.is_set() && default.quantity() != request.quantity() {
        let (default, asked) = (default.text(), request.text());
        let detail = format!("default value {default} must equal to defaultRequest value {asked} in {key}");
        out.push(request.invalid(&detail));
    }
}
