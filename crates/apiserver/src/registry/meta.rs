//! What the registry does to the metadata of every object (k8s.io/apiserver/pkg/registry/rest, create.go, update.go,
//! and k8s.io/apimachinery/pkg/api/validation/objectmeta.go).

use decapod_api::kinds::Resource;
use decapod_api::{Cause, Status, Value, names};
use decapod_sys::Env;

use super::Target;

/// Longest name that a generated one is cut to, before its five random letters.
const GENERATED_BASE_BYTES_MAX: usize = 58;
/// All annotations of an object together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Whether the object has been asked to end.
pub fn is_terminating(object: &Value) -> bool {
    object.at(&["metadata", "deletionTimestamp"]).is_some_and(|value| !value.is_null())
}

/// The time as metadata writes it: whole seconds, UTC.
pub fn timestamp(now: jiff::Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Checks that body and path agree on the namespace, and fills it in.
pub fn settle_namespace(draft: &mut Value, target: &Target) -> Result<(), Status> {
    let of_body = draft.str_at(&["metadata", "namespace"]).unwrap_or_default();
    if !of_body.is_empty() && of_body != target.namespace {
        let why = if target.resource.namespaced {
            "the namespace of the provided object does not match the namespace sent on the request"
        } else {
            "namespace should be empty for a cluster scoped object"
        };
        return Err(Status::bad_request(why));
    }
    if target.resource.namespaced {
        if target.namespace.is_empty() {
            return Err(Status::bad_request("an object of this kind needs a namespace"));
        }
        draft.set_at(&["metadata", "namespace"], target.namespace.as_str());
    } else {
        draft.remove_at(&["metadata", "namespace"]);
    }
    Ok(())
}

/// Fills in what only the server says about a new object.
pub fn begin(draft: &mut Value, resource: &Resource, env: &Env) {
    for gone in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        draft.remove_at(&["metadata", gone]);
    }
    generate_name(draft, env);
    draft.set_at(&["metadata", "uid"], env.uuid());
    draft.set_at(&["metadata", "creationTimestamp"], timestamp(env.now()));
    draft.remove_at(&["metadata", "generation"]);
    if resource.has_generation() {
        draft.set_at(&["metadata", "generation"], 1);
    }
}

/// Names an object that has only a `generateName`.
pub fn generate_name(draft: &mut Value, env: &Env) {
    let named = draft.str_at(&["metadata", "name"]).is_some_and(|name| !name.is_empty());
    if let (false, Some(base)) =
        (named, draft.str_at(&["metadata", "generateName"]).filter(|base| !base.is_empty()))
    {
        let mut end = base.len().min(GENERATED_BASE_BYTES_MAX);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let name = format!("{}{}", &base[..end], env.suffix());
        draft.set_at(&["metadata", "name"], name);
    }
}

/// Carries over what a client cannot change, where it left it out; refuses where it changed it.
pub fn carry_over(new: &mut Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let path = ["metadata", field];
        let before = old.at(&path).filter(|value| !value.is_null());
        match new.at(&path).filter(|value| !value.is_empty()) {
            None => match before {
                Some(before) => new.set_at(&path, before.clone()),
                None => drop(new.remove_at(&path)),
            },
            Some(after) if Some(after) != before => {
                causes.push(Cause::invalid(format!("metadata.{field}"), after, "field is immutable"));
            }
            Some(_) => {}
        }
    }
    new.remove_at(&["metadata", "selfLink"]);
    match old.at(&["metadata", "generation"]) {
        Some(generation) => new.set_at(&["metadata", "generation"], generation.clone()),
        None => drop(new.remove_at(&["metadata", "generation"])),
    }
    if is_terminating(old) {
        causes.extend(added_finalizers(new, old));
    }
    causes
}

/// Finalizers may only go while an object ends.
fn added_finalizers(new: &Value, old: &Value) -> Option<Cause> {
    let before = old.list_at(&["metadata", "finalizers"]);
    let added: Vec<String> = new
        .list_at(&["metadata", "finalizers"])
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(|finalizer| format!("\"{}\"", finalizer.as_str().unwrap_or_default()))
        .collect();
    (!added.is_empty()).then(|| {
        let added = format!("[]string{{{}}}", added.join(", "));
        let detail = "no new finalizers can be added if the object is being deleted, found new finalizers";
        Cause::forbidden("metadata.finalizers", &format!("{detail} {added}"))
    })
}

/// The fields of metadata at fault.
pub fn validate(draft: &Value, resource: &Resource) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |field: &str| draft.str_at(&["metadata", field]).unwrap_or_default();
    let (name, generate_name) = (text("name"), text("generateName"));
    let check = |field: &str, name: &str, whole: bool| {
        let probe =
            if whole { name.to_owned() } else { format!("{}a", name.strip_suffix('-').unwrap_or(name)) };
        let reasons = resource.check_name(&probe);
        reasons
            .into_iter()
            .map(|why| Cause::invalid(format!("metadata.{field}"), &name.into(), &why))
            .collect::<Vec<_>>()
    };
    if !generate_name.is_empty() {
        causes.extend(check("generateName", generate_name, false));
    }
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        causes.extend(check("name", name, true));
    }
    causes.extend(labels(draft.at(&["metadata", "labels"]), "metadata.labels"));
    causes.extend(annotations(draft.at(&["metadata", "annotations"])));
    causes.extend(owners(draft));
    causes.extend(finalizers(draft, resource.custom.is_none()));
    causes
}

/// Finalizers have qualified names; those without a domain are the few that Kubernetes itself knows
/// (`validateKubeFinalizerName`); custom resources may have others.
fn finalizers(draft: &Value, only_known: bool) -> Vec<Cause> {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let all = draft.list_at(&["metadata", "finalizers"]);
    let all: Vec<&str> = all.iter().map(|finalizer| finalizer.as_str().unwrap_or_default()).collect();
    let mut causes = Vec::new();
    for finalizer in &all {
        let reasons = names::qualified_name(finalizer);
        causes.extend(
            reasons.iter().map(|why| Cause::invalid("metadata.finalizers", &(*finalizer).into(), why)),
        );
    }
    for (i, finalizer) in all.iter().enumerate() {
        if only_known && !finalizer.contains('/') && !STANDARD.contains(finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(format!("metadata.finalizers[{i}]"), &(*finalizer).into(), why));
        }
    }
    causes
}

pub(super) fn labels(labels: Option<&Value>, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in labels.and_then(Value::as_map).iter().flat_map(|map| map.iter()) {
        let invalid = |subject: &str, why: &String| Cause::invalid(path, &subject.into(), why);
        causes.extend(names::qualified_name(key).iter().map(|why| invalid(key, why)));
        let value = value.as_str().unwrap_or_default();
        causes.extend(names::label_value(value).iter().map(|why| invalid(value, why)));
    }
    causes
}

pub(super) fn annotations(annotations: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut bytes = 0;
    for (key, value) in annotations.and_then(Value::as_map).iter().flat_map(|map| map.iter()) {
        bytes += key.len() + value.as_str().map_or(0, str::len);
        let reasons = names::qualified_name(&key.to_lowercase());
        causes.extend(
            reasons.iter().map(|why| Cause::invalid("metadata.annotations", &key.as_str().into(), why)),
        );
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_BYTES_MAX));
    }
    causes
}

fn owners(draft: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in draft.list_at(&["metadata", "ownerReferences"]) {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.str_at(&[field]).unwrap_or_default().is_empty() {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                causes.push(Cause::invalid(format!("{path}.{field}"), &"".into(), detail));
            }
        }
        if owner.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        let text = |field: &str| owner.str_at(&[field]).unwrap_or_default();
        let name = format!("{}/{}", text("kind"), text("name"));
        match &controller {
            None => controller = Some(name),
            Some(first) => {
                let value = draft.at(&["metadata", "ownerReferences"]).cloned().unwrap_or_default();
                let why =
                    "Only one reference can have Controller set to true. Found \"true\" in references for";
                causes.push(Cause::invalid(path, &value, &format!("{why} {first} and {name}")));
            }
        }
    }
    causes
}

/// Sets the condition of this type. When it began to say so stays what it was while its status stays.
pub fn set_condition(draft: &mut Value, mut condition: Value, now: &str) {
    let conditions = draft.entry_at(&["status", "conditions"]).ensure_list();
    let kind = condition.str_at(&["type"]).map(str::to_owned);
    let old = conditions.iter_mut().find(|old| old.str_at(&["type"]).map(str::to_owned) == kind);
    let since = old.as_ref().filter(|old| old.get("status") == condition.get("status"));
    let since = since.and_then(|old| old.get("lastTransitionTime").cloned()).unwrap_or_else(|| now.into());
    condition.set_at(&["lastTransitionTime"], since);
    match old {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}
