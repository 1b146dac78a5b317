//! StatefulSet: pods with names and storage of their own.

use crate::Cause;
use crate::kinds::strategies::apps::workload;
use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::core::{claim_spec, pod_spec::validate};
use crate::kinds::strategies::fill::{each, fill, has, part, with};
use crate::kinds::strategies::rules::{Causes, Place, equal, int_or_percentage};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value;
use crate::value::Value;
use crate::{names, selector::LabelSelector};

/// StatefulSet: pods with names and storage of their own.
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "podManagementPolicy", "OrderedReady");
        let strategy = part(spec, "updateStrategy");
        if !has(strategy, "type") {
            strategy.set_at(&["type"], "RollingUpdate");
            part(strategy, "rollingUpdate");
        }
        if strategy.str_at(&["type"]) == Some("RollingUpdate") {
            with(strategy, "rollingUpdate", |rolling| fill(rolling, "partition", 0));
        }
        let retention = part(spec, "persistentVolumeClaimRetentionPolicy");
        fill(retention, "whenDeleted", "Retain");
        fill(retention, "whenScaled", "Retain");
        fill(spec, "replicas", 1);
        fill(spec, "revisionHistoryLimit", 10);
        pod_defaults::template(spec);
        each(spec, "volumeClaimTemplates", |template| {
            fill(template, "apiVersion", "v1");
            fill(template, "kind", "PersistentVolumeClaim");
            pod_defaults::claim(part(template, "spec"));
            fill(part(template, "status"), "phase", "Pending");
        });
    }

    /// `maxUnavailable` is behind a feature that is off; only objects that have it keep it.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        workload::drop_gated(new, old);
        const FIELD: [&str; 4] = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
        if old.and_then(|old| old.at(&FIELD)).is_none_or(Value::is_null) {
            new.remove_at(&FIELD);
        }
    }

    /// Its pods are called after it, so it has to be a label.
    fn check_name(&self, name: &str) -> Vec<String> {
        names::label(name)
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (set, mut out) = (Place::root(new), Vec::new());
        if let (Verb::UpdateSubresource(_), Some(old)) = (verb, old) {
            let status = set.field("status");
            workload::counts(&status, &COUNTS, &COUNTS[1..5], "status.readyReplicas", &mut out);
            workload::collisions(&status, old, &mut out);
            return out;
        }
        validate_spec(&set.field("spec"), old.is_none(), &mut out);
        if let Some(old) = old {
            only_some_change(&set.field("spec"), old.get("spec").unwrap_or(&Value::Null), &mut out);
        }
        out
    }
}

/// What a status counts: all, and four that are some of them, first.
const COUNTS: [&str; 7] = [
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "observedGeneration",
    "collisionCount",
];
/// What of a spec may change.
const CHANGEABLE: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];
const FIXED: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

fn validate_spec(spec: &Place, is_new: bool, out: &mut Causes) {
    let management = spec.field("podManagementPolicy");
    if !matches!(management.text(), "OrderedReady" | "Parallel") {
        out.push(management.invalid("must be 'OrderedReady' or 'Parallel'"));
    }
    strategy(&spec.field("updateStrategy"), out);
    for field in ["whenDeleted", "whenScaled"] {
        let retention = spec.field("persistentVolumeClaimRetentionPolicy");
        retention.field(field).one_of(&["Retain", "Delete"], out);
    }
    let claims = spec.field("volumeClaimTemplates");
    if is_new {
        claims.items().for_each(|claim| claim_spec::check(&claim.field("spec"), out));
    }
    spec.field("replicas").non_negative(out);
    spec.field("minReadySeconds").non_negative(out);
    let ordinals = spec.field("ordinals");
    if ordinals.field("start").int() < 0 {
        out.push(
            spec.field("ordinals.start")
                .invalid_as(ordinals.field("start").int(), crate::kinds::strategies::rules::NEGATIVE),
        );
    }
    if is_new {
        spec.field("serviceName").check_if_set(names::label, out);
    }
    let selector = spec.field("selector");
    if !selector.is_set() {
        out.push(selector.required(""));
        workload::blame_labels(&spec.field("template"), out);
    } else {
        selector.label_selector(out);
        if selector.is_empty_selector() {
            out.push(selector.invalid("empty selector is invalid for statefulset"));
        }
    }
    match LabelSelector::from_value(selector.value) {
        Err(_) => out.push(selector.invalid("")),
        Ok(parsed) => {
            workload::matches(&spec.field("template"), &parsed, out);
            let template = with_claims(spec);
            let mut place = spec.field("template");
            place.value = &template;
            validate::template(&place, out);
        }
    }
    workload::always_restarts(&spec.field("template"), "StatefulSet", out);
}

/// The template as its pods will have it: with the volumes of its claims, and a name of their own.
fn with_claims(spec: &Place) -> Value {
    let mut template = spec.field("template").value.clone();
    template.remove_at(&["spec", "subdomain"]);
    template.remove_at(&["spec", "hostname"]);
    let claims = spec.value.list_at(&["volumeClaimTemplates"]);
    if claims.is_empty() {
        return template;
    }
    let name_of = |claim: &Value| claim.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
    let mut volumes: Vec<Value> = Vec::new();
    for name in claims.iter().map(name_of) {
        if !volumes.iter().any(|volume| volume.str_at(&["name"]) == Some(&name)) {
            volumes.push(value!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
    let own = template.list_at(&["spec", "volumes"]).to_vec();
    for volume in own {
        if !volumes.iter().any(|claim| claim.get("name") == volume.get("name")) {
            volumes.push(volume);
        }
    }
    template.set_at(&["spec", "volumes"], volumes);
    template
}

fn strategy(strategy: &Place, out: &mut Causes) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "OnDelete" if rolling.is_set() => {
            out.push(rolling.invalid("only allowed for updateStrategy 'RollingUpdate'"));
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            rolling.field("partition").non_negative(out);
            let unavailable = rolling.field("maxUnavailable");
            if unavailable.is_set() {
                unavailable.int_or_percent(out);
                if int_or_percentage(unavailable.value) == 0 {
                    out.push(unavailable.invalid("cannot be 0"));
                }
                unavailable.at_most_all(out);
            }
        }
        _ => out.push(strategy.invalid("must be 'RollingUpdate' or 'OnDelete'")),
    }
}

fn only_some_change(spec: &Place, before: &Value, out: &mut Causes) {
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        CHANGEABLE.iter().for_each(|field| drop(spec.remove_at(&[field])));
        spec
    };
    if !equal(&fixed(spec.value), &fixed(before)) {
        out.push(spec.forbidden(FIXED));
    }
}
