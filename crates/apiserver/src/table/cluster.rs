//! Cells of events, quotas, roles, admission and what else administers a cluster.

use std::borrow::Cow;

use super::cell::{Cell, Function, Row};
use super::duration;
use super::json::Json;
use super::path::Path;

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let function: Function = match name {
        "event_last_seen" => event_last_seen,
        "event_first_seen" => event_first_seen,
        "event_object" => event_object,
        "event_subobject" => event_subobject,
        "event_source" => event_source,
        "event_message" => event_message,
        "event_count" => event_count,
        "quota_requests" => quota_requests,
        "quota_limits" => quota_limits,
        "subjects_users" => users,
        "subjects_groups" => groups,
        "subjects_accounts" => accounts,
        "signing_request_status" => signing_request_status,
        "component_status" => component_status,
        "api_service_available" => api_service_available,
        "param_ref" => param_ref,
        "claim_state" => claim_state,
        _ => return None,
    };
    Some(function)
}

// === Events, in the core group and in their own, where some fields are called otherwise ===

fn either<'a>(row: &Row<'a>, core: &str, own: &str) -> Json<'a> {
    match row.at(core) {
        found if found.exists() => found,
        _ => row.at(own),
    }
}

fn first_seen(row: &Row) -> String {
    let first = either(row, "firstTimestamp", "deprecatedFirstTimestamp").text();
    let first = first.or_else(|| row.key("eventTime").text());
    duration::since(&first.unwrap_or_default(), row.now)
}

fn event_first_seen<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    Some(Cell::text(first_seen(row)))
}

fn event_last_seen<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let last = either(row, "lastTimestamp", "deprecatedLastTimestamp").text();
    Some(Cell::text(match (row.key("series"), last) {
        (series, _) if series.exists() => duration::since(&series.key("lastObservedTime").str(), row.now),
        (_, Some(last)) => duration::since(&last, row.now),
        (_, None) => first_seen(row),
    }))
}

fn event_count<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let series = row.key("series");
    Some(Cell::Int(match either(row, "count", "deprecatedCount").count() {
        _ if series.exists() => series.key("count").count(),
        // An event of the new API that happened once does not count.
        0 => 1,
        count => count,
    }))
}

fn event_object<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let object = either(row, "involvedObject", "regarding");
    let kind = object.key("kind").str().to_lowercase();
    Some(Cell::text(match object.key("name").str() {
        name if name.is_empty() => kind,
        name => format!("{kind}/{name}"),
    }))
}

fn event_subobject<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    either(row, "involvedObject.fieldPath", "regarding.fieldPath").text().map(Cell::Text)
}

fn event_source<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let source = either(row, "source", "deprecatedSource");
    let not_empty = |json: Json<'a>| json.text().filter(|text| !text.is_empty());
    let reporter = || not_empty(either(row, "reportingComponent", "reportingController"));
    let component = not_empty(source.key("component")).or_else(reporter).unwrap_or_default();
    let instance = not_empty(source.key("host")).or_else(|| not_empty(row.key("reportingInstance")));
    Some(match instance {
        Some(instance) => Cell::text(format!("{component}, {instance}")),
        None => Cell::Text(component),
    })
}

fn event_message<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    either(row, "message", "note").text().map(|message| Cell::text(message.trim().to_owned()))
}

// === Quotas ===

/// What is used of what the quota grants, limits or others, sorted by name.
fn quota<'a>(row: &Row<'a>, limits: bool) -> Option<Cell<'a>> {
    let status = row.key("status");
    let hard = status.key("hard").fields().filter(|(name, _)| name.starts_with("limits.") == limits);
    let mut parts: Vec<(Cow<str>, String)> = hard
        .map(|(name, hard)| {
            let used = status.key("used").key(&name).or("0");
            let text = format!("{name}: {used}/{}", hard.str());
            (name, text)
        })
        .collect();
    parts.sort();
    let parts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    Some(Cell::text(parts.join(", ")))
}

fn quota_requests<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    quota(row, false)
}

fn quota_limits<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    quota(row, true)
}

// === Roles ===

fn subjects<'a>(row: &Row<'a>, kind: &str) -> Option<Cell<'a>> {
    let name = |subject: Json| match subject.key("namespace").str() {
        namespace if kind == "ServiceAccount" => format!("{namespace}/{}", subject.key("name").str()),
        _ => subject.key("name").str().into_owned(),
    };
    let subjects = row.key("subjects").items().filter(|subject| subject.key("kind").is(kind));
    Some(Cell::text(subjects.map(name).collect::<Vec<_>>().join(", ")))
}

fn users<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    subjects(row, "User")
}

fn groups<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    subjects(row, "Group")
}

fn accounts<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    subjects(row, "ServiceAccount")
}

// === What is asked for and what has become of it ===

fn signing_request_status<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let status = row.key("status");
    let has = |kind| status.key("conditions").of_type(kind).exists();
    let mut text = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        text.push_str(",Failed");
    }
    if !status.key("certificate").str().is_empty() {
        text.push_str(",Issued");
    }
    Some(Cell::text(text))
}

fn component_status<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let healthy = row.key("conditions").of_type("Healthy");
    Some(Cell::text(match healthy.exists() {
        true if healthy.key("status").is("True") => "Healthy",
        true => "Unhealthy",
        false => "Unknown",
    }))
}

fn api_service_available<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let available = row.at("status.conditions").of_type("Available");
    let (status, reason) = (available.key("status").or("Unknown"), available.key("reason").str());
    Some(match status.as_ref() {
        "True" => Cell::Text(status),
        _ if reason.is_empty() => Cell::Text(status),
        _ => Cell::text(format!("{status} ({reason})")),
    })
}

fn claim_state<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let deleted = row.at("metadata.deletionTimestamp").exists();
    let allocated = row.at("status.allocation").exists();
    let reserved = row.at("status.reservedFor").items().next().is_some();
    let states = [
        (deleted, "deleted"),
        (!allocated && !deleted, "pending"),
        (allocated, "allocated"),
        (allocated && reserved, "reserved"),
    ];
    let states: Vec<&str> = states.into_iter().filter(|(is, _)| *is).map(|(_, state)| state).collect();
    Some(Cell::text(states.join(",")))
}

/// The parameters of a policy's binding. Upstream shows a selector as Go prints the struct.
fn param_ref<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let reference = row.at("spec.paramRef");
    let (name, selector) = (reference.key("name").str(), reference.key("selector"));
    if !name.is_empty() {
        return Some(Cell::text(format!("{}/{name}", reference.key("namespace").or("*"))));
    }
    if !selector.exists() {
        return None;
    }
    let mut labels: Vec<String> =
        selector.key("matchLabels").fields().map(|(key, value)| format!("{key}: {},", value.str())).collect();
    labels.sort();
    let expression = |expression: Json| {
        let values: Vec<_> = expression.key("values").items().map(Json::str).collect();
        let (key, operator) = (expression.key("key").str(), expression.key("operator").str());
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    };
    let expressions: String = selector.key("matchExpressions").items().map(expression).collect();
    Some(Cell::text(format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}",
        labels.concat()
    )))
}
