//! Faults of environment variables and where they come from.

use super::{Context, containers};
use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;
use crate::value::Value;

/// What a variable may say of its pod.
const OF_ENV: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// What a file may say of its pod.
const OF_VOLUME: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// What can be said of a pod at all.
const KNOWN: [&str; 5] =
    ["metadata.labels", "metadata.annotations", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
/// What can be said of a container's resources.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const BYTE_DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const SOURCES: [&str; 5] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// The variables of a container.
pub(super) fn check(container: &Place, out: &mut Causes) {
    for variable in container.field("env").items() {
        variable.field("name").need_checked(checks::env_name, out);
        value_from(&variable, out);
    }
    let from = container.field("envFrom");
    for source in from.items() {
        source.field("prefix").check_if_set(checks::env_name, out);
        let references = ["configMapRef", "secretRef"];
        let count = references.iter().filter(|name| source.field(name).is_set()).count();
        for reference in references.iter().filter(|name| source.field(name).is_set()) {
            source.field(reference).field("name").need_checked(names::subdomain, out);
        }
        match count {
            0 => out.push(from.invalid_as("", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => out.push(from.invalid_as("", "may not have more than one field specified at a time")),
        }
    }
}

fn value_from(variable: &Place, out: &mut Causes) {
    let from = variable.field("valueFrom");
    if !from.is_set() {
        return;
    }
    if from.field("fieldRef").is_set() {
        field_ref(&from.field("fieldRef"), &OF_ENV, out);
    }
    if from.field("resourceFieldRef").is_set() {
        resource_ref(&from.field("resourceFieldRef"), false, out);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        let reference = from.field(name);
        if reference.is_set() {
            reference.field("name").check(names::subdomain, out);
            reference.field("key").need_checked(checks::config_key, out);
        }
    }
    let file = from.field("fileKeyRef");
    if file.is_set() {
        file.field("key").need_checked(checks::env_name, out);
        file.field("volumeName").need_checked(names::label, out);
        file.field("path").need_checked(checks::no_backsteps, out);
    }
    match SOURCES.iter().filter(|source| from.field(source).is_set()).count() {
        0 => {
            let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            out.push(from.invalid_as("", detail));
        }
        _ if !variable.field("value").text().is_empty() => {
            out.push(from.invalid_as("", "may not be specified when `value` is not empty"));
        }
        1 => {}
        _ => out.push(from.invalid_as("", "may not have more than one field specified at a time")),
    }
}

/// A file that says something of its pod.
pub(super) fn volume_file(file: &Place, out: &mut Causes) {
    file.field("path").need(out);
    file.field("path").check(checks::unreserved_path, out);
    let (field, resource) = (file.field("fieldRef"), file.field("resourceFieldRef"));
    if field.is_set() {
        field_ref(&field, &OF_VOLUME, out);
        if resource.is_set() {
            out.push(
                file.invalid_as(
                    "resource",
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                ),
            );
        }
    } else if resource.is_set() {
        resource_ref(&resource, true, out);
    } else {
        out.push(file.required("one of fieldRef and resourceFieldRef is required"));
    }
    if file.field("mode").is_set() {
        file.field("mode").file_mode(out);
    }
}

fn field_ref(reference: &Place, allowed: &[&str], out: &mut Causes) {
    let path = reference.field("fieldPath");
    if !reference.field("apiVersion").need(out) || !path.need(out) {
        return;
    }
    let refuse = |why: String| path.invalid(&format!("error converting fieldPath: {why}"));
    if reference.field("apiVersion").text() != "v1" {
        return out
            .push(refuse(format!("unsupported pod version: {}", reference.field("apiVersion").text())));
    }
    let text = path.text();
    match text.strip_suffix("']").and_then(|text| text.split_once("['")) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            out.extend(names::qualified_name(&key).iter().map(|why| reference.invalid_as(key.as_str(), why)));
        }
        Some(("metadata.labels", key)) => {
            out.extend(names::qualified_name(key).iter().map(|why| reference.invalid_as(key, why)));
        }
        Some(_) => out.push(refuse(format!("field label does not support subscript: {text}"))),
        None if allowed.contains(&text) || text == "spec.host" && allowed.contains(&"spec.nodeName") => {}
        None if OF_ENV.contains(&text) || KNOWN.contains(&text) => out.push(path.not_supported(allowed)),
        None => out.push(refuse(format!("field label not supported: {text}"))),
    }
}

fn resource_ref(reference: &Place, in_volume: bool, out: &mut Causes) {
    let (container, resource) = (reference.field("containerName"), reference.field("resource"));
    let is_huge =
        ["requests.hugepages-", "limits.hugepages-"].iter().any(|prefix| resource.text().starts_with(prefix));
    if in_volume && container.text().is_empty() {
        out.push(container.required(""));
    } else if resource.need(out) && !is_huge {
        resource.one_of(&RESOURCES, out);
    }
    divisor(reference, is_huge, out);
}

fn divisor(reference: &Place, is_huge: bool, out: &mut Causes) {
    let divisor = reference.field("divisor");
    if divisor.quantity().is_zero() {
        return;
    }
    let resource = reference.field("resource").text();
    let bytes =
        "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with";
    let (allowed, detail): (&[&str], String) = match resource.split_once('.').map(|(_, name)| name) {
        Some("cpu") => {
            (&["1m", "1"], "only divisor's values 1m and 1 are supported with the cpu resource".into())
        }
        Some("memory") => (&BYTE_DIVISORS, format!("{bytes} the memory resource")),
        Some("ephemeral-storage") => {
            (&BYTE_DIVISORS, format!("{bytes} the local ephemeral storage resource"))
        }
        _ if is_huge => (&BYTE_DIVISORS, format!("{bytes} the hugepages resource")),
        _ => return,
    };
    if !allowed.contains(&divisor.text()) {
        out.push(divisor.invalid_as(resource, &detail));
    }
}

/// Variables of a file: the file is in a volume of its own kind.
pub(super) fn file_volumes(context: &Context, out: &mut Causes) {
    containers::all(context.spec, |container| {
        for variable in container.field("env").items() {
            let from = variable.field("valueFrom");
            let file = from.field("fileKeyRef");
            if !file.is_set() {
                continue;
            }
            let name = file.field("volumeName");
            let volumes = context.spec.value.list_at(&["volumes"]);
            match volumes.iter().find(|volume| volume.str_at(&["name"]) == Some(name.text())) {
                None => out.push(name.not_found()),
                Some(volume) if volume.get("emptyDir").is_none_or(Value::is_null) => {
                    out.push(name.invalid("referenced volume must be of type emptyDir"));
                }
                Some(_) => {}
            }
        }
    });
}
