//! Faults of jobs' specs, in jobs and in the templates of CronJobs (upstream's `validateJobSpec`).

use super::indexes;
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::pod_spec::validate;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

const PARALLELISM_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
/// From here on an indexed job has to bound what it keeps track of.
const COMPLETIONS_SOFT: i64 = 100_000;
const PARALLELISM_OF_MANY_MAX: i64 = 10_000;
const FAILED_OF_MANY_MAX: i64 = 10_000;
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const NUMBERS: [&str; 7] = [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
];

/// The spec, but for its selector.
pub fn check(spec: &Place, out: &mut Causes) {
    NUMBERS.iter().for_each(|field| spec.field(field).non_negative(out));
    let per_index = spec.field("backoffLimitPerIndex");
    if spec.field("maxFailedIndexes").is_set() && !per_index.is_set() {
        out.push(per_index.required("when maxFailedIndexes is specified"));
    }
    let manager = spec.field("managedBy");
    if manager.is_set() {
        manager.need_checked(checks::domain_path, out);
        if manager.text().len() > 63 {
            out.push(Cause::too_long(manager.path(), 63));
        }
    }
    completion_mode(spec, out);
    if spec.field("podFailurePolicy").is_set() {
        failure_policy(spec, out);
    }
    if spec.field("successPolicy").is_set() {
        success_policy(spec, out);
    }
    let replacement = spec.field("podReplacementPolicy");
    if replacement.is_set() && spec.field("podFailurePolicy").is_set() {
        replacement.one_of(&["Failed"], out);
    } else if replacement.is_set() {
        replacement.one_of(&["Failed", "TerminatingOrFailed"], out);
    }
    let template = spec.field("template");
    validate::template(&template, out);
    restart_policy(spec, &template, out);
}

fn restart_policy(spec: &Place, template: &Place, out: &mut Causes) {
    let pod = template.field("spec");
    let policy = pod.field("restartPolicy");
    match policy.text() {
        "" | "Always" => out.push(policy.required("valid values: \"OnFailure\", \"Never\"")),
        "Never" => {}
        "OnFailure" if spec.field("podFailurePolicy").is_set() => {
            out.push(policy.invalid("only \"Never\" is supported when podFailurePolicy is specified"));
        }
        "OnFailure" => {}
        _ => out.push(policy.not_supported(&["OnFailure", "Never"])),
    }
}

fn completion_mode(spec: &Place, out: &mut Causes) {
    let mode = spec.field("completionMode");
    mode.one_of_if_set(&["NonIndexed", "Indexed"], out);
    let (completions, parallelism, failed) =
        (spec.field("completions"), spec.field("parallelism"), spec.field("maxFailedIndexes"));
    let per_index = spec.field("backoffLimitPerIndex");
    if mode.text() != "Indexed" {
        if matches!(mode.text(), "" | "NonIndexed") {
            for field in [per_index, failed].iter().filter(|field| field.is_set()) {
                out.push(field.invalid("requires indexed completion mode"));
            }
        }
        return;
    }
    if !completions.is_set() {
        out.push(completions.required("when completion mode is Indexed"));
    }
    if parallelism.int() > PARALLELISM_MAX {
        let detail =
            format!("must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed");
        out.push(parallelism.invalid(&detail));
    }
    if completions.is_set() && failed.int() > completions.int() {
        out.push(failed.invalid("must be less than or equal to completions"));
    }
    if failed.int() > FAILED_INDEXES_MAX {
        out.push(failed.invalid(&format!("must be less than or equal to {FAILED_INDEXES_MAX}")));
    }
    if completions.int() > COMPLETIONS_SOFT && per_index.is_set() {
        let many =
            format!("when completions are above {COMPLETIONS_SOFT} and used with backoff limit per index");
        if !failed.is_set() {
            out.push(
                failed.required(&format!("must be specified when completions is above {COMPLETIONS_SOFT}")),
            );
        }
        for (field, max) in [(parallelism, PARALLELISM_OF_MANY_MAX), (failed, FAILED_OF_MANY_MAX)] {
            if field.int() > max {
                out.push(field.invalid(&format!("must be less than or equal to {max} {many}")));
            }
        }
    }
}

fn failure_policy(spec: &Place, out: &mut Causes) {
    let policy = spec.field("podFailurePolicy");
    let rules = policy.field("rules");
    if rules.list().len() > RULES_MAX {
        out.push(rules.too_many(RULES_MAX));
    }
    for rule in rules.items() {
        let action = rule.field("action");
        match action.text() {
            "" => out.push(action.required("valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]")),
            "FailIndex" if !spec.field("backoffLimitPerIndex").is_set() => {
                out.push(action.invalid("requires the backoffLimitPerIndex to be set"));
            }
            _ => action.one_of(&ACTIONS, out),
        }
        let (codes, conditions) = (rule.field("onExitCodes"), rule.field("onPodConditions"));
        if codes.is_set() {
            exit_codes(spec, &codes, out);
        }
        pod_conditions(&conditions, out);
        let omitted = |detail: &str| Cause {
            reason: "FieldValueInvalid".into(),
            message: format!("Invalid value: {detail}"),
            field: rule.path(),
        };
        match (codes.is_set(), conditions.list().is_empty()) {
            (true, false) => {
                out.push(omitted("specifying both OnExitCodes and OnPodConditions is not supported"));
            }
            (false, true) => {
                out.push(omitted("specifying one of OnExitCodes and OnPodConditions is required"));
            }
            _ => {}
        }
    }
}

fn pod_conditions(conditions: &Place, out: &mut Causes) {
    if conditions.list().len() > RULES_MAX {
        out.push(conditions.too_many(RULES_MAX));
    }
    for pattern in conditions.items() {
        pattern.field("type").check(names::qualified_name, out);
        let status = pattern.field("status");
        if status.text().is_empty() {
            out.push(status.required("valid values: [\"False\" \"True\" \"Unknown\"]"));
        } else {
            status.one_of(&STATUSES, out);
        }
    }
}

fn exit_codes(spec: &Place, codes: &Place, out: &mut Causes) {
    let (operator, values) = (codes.field("operator"), codes.field("values"));
    if operator.text().is_empty() {
        out.push(operator.required("valid values: [\"In\" \"NotIn\"]"));
    } else {
        operator.one_of(&["In", "NotIn"], out);
    }
    let name = codes.field("containerName");
    let has = |list: &str| {
        let containers = spec.value.list_at(&["template", "spec", list]);
        containers.iter().any(|container| container.str_at(&["name"]) == Some(name.text()))
    };
    if name.is_set() && !has("containers") && !has("initContainers") {
        out.push(name.invalid("must be one of the container or initContainer names in the pod template"));
    }
    if values.list().is_empty() {
        out.push(values.invalid("at least one value is required"));
    } else if values.list().len() > EXIT_CODES_MAX {
        out.push(values.too_many(EXIT_CODES_MAX));
    }
    let numbers: Vec<i64> = values.list().iter().map(|value| value.as_int().unwrap_or(0)).collect();
    for (i, code) in values.items().enumerate() {
        if operator.text() == "In" && code.int() == 0 {
            out.push(code.invalid_as(0, "must not be 0 for the In operator"));
        }
        if numbers[..i].contains(&code.int()) {
            out.push(code.duplicate());
        }
    }
    if !numbers.is_sorted() {
        out.push(values.invalid("must be ordered"));
    }
}

fn success_policy(spec: &Place, out: &mut Causes) {
    let policy = spec.field("successPolicy");
    if spec.field("completionMode").text() != "Indexed" {
        return out.push(policy.invalid("requires indexed completion mode"));
    }
    let rules = policy.field("rules");
    if rules.list().is_empty() {
        out.push(rules.required("at least one rules must be specified when the successPolicy is specified"));
    }
    if rules.list().len() > RULES_MAX {
        out.push(rules.too_many(RULES_MAX));
    }
    let completions = spec.field("completions").int();
    for rule in rules.items() {
        let (count, named) = (rule.field("succeededCount"), rule.field("succeededIndexes"));
        if !count.is_set() && !named.is_set() {
            out.push(rule.required("at least one of succeededCount or succeededIndexes must be specified"));
        }
        let mut total = None;
        if named.is_set() {
            match indexes::parse(named.text(), completions) {
                Ok(intervals) => total = Some(indexes::count(&intervals)),
                Err(why) => out.push(named.invalid(&format!("error parsing succeededIndexes: {why}"))),
            }
        }
        count.non_negative(out);
        if count.is_set() && count.int() > completions {
            let detail =
                format!("must be less than or equal to {completions} (the number of specified completions)");
            out.push(count.invalid(&detail));
        }
        if let Some(total) = total.filter(|total| count.int() > *total) {
            let detail = format!(
                "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            );
            out.push(count.invalid(&detail));
        }
    }
}
