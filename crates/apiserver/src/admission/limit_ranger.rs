//! LimitRanger: a namespace's limit ranges give containers their defaults and bounds
//! (k8s.io/kubernetes/plugin/pkg/admission/limitranger).

use std::cmp::Ordering;

use decapod_api::quantity::Quantity;
use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct LimitRanger;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// What is measured against one item of a limit range: a container, the pod or a claim.
struct Measured<'a> {
    kind: &'static str,
    requests: &'a Value,
    limits: &'a Value,
}

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let pods = attributes.operation == Operation::Create && attributes.is("", "pods");
        let claims = matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "persistentvolumeclaims");
        attributes.subresource.is_empty() && (pods || claims)
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        if !attributes.is("", "pods") {
            return Ok(());
        }
        let mut set: Vec<String> = Vec::new();
        for range in lookup.drafts("", "limitranges", attributes.namespace) {
            for item in range
                .list_at(&["spec", "limits"])
                .iter()
                .filter(|item| item.str_at(&["type"]) == Some("Container"))
            {
                for field in ["containers", "initContainers"] {
                    let Some(containers) =
                        attributes.object.at_mut(&["spec", field]).and_then(Value::as_list_mut)
                    else {
                        continue;
                    };
                    containers.iter_mut().for_each(|container| set.extend(fill(container, item, field)));
                }
            }
        }
        if !set.is_empty() {
            let text = format!("LimitRanger plugin set: {}", set.join("; "));
            attributes.object.set_at(&["metadata", "annotations", ANNOTATION], text);
        }
        Ok(())
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let null = Value::Null;
        let mut problems = Vec::new();
        for range in lookup.drafts("", "limitranges", attributes.namespace) {
            for item in range.list_at(&["spec", "limits"]) {
                match (item.str_at(&["type"]).unwrap_or_default(), attributes.is("", "pods")) {
                    ("Container", true) => {
                        for field in ["containers", "initContainers"] {
                            for container in attributes.object.list_at(&["spec", field]) {
                                problems.extend(Measured::of(container, "Container", &null).check(item));
                            }
                        }
                    }
                    ("Pod", true) => {
                        let (requests, limits) =
                            (sum(&attributes.object, "requests"), sum(&attributes.object, "limits"));
                        problems.extend(
                            Measured { kind: "Pod", requests: &requests, limits: &limits }.check(item),
                        );
                    }
                    ("PersistentVolumeClaim", false) => {
                        let requests =
                            attributes.object.at(&["spec", "resources", "requests"]).unwrap_or(&null);
                        problems.extend(
                            Measured { kind: "PersistentVolumeClaim", requests, limits: &null }.check(item),
                        );
                    }
                    _ => {}
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(attributes.forbid(&one_or_many(&problems))) }
    }
}

/// Upstream's aggregate of errors.
fn one_or_many(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Gives a container the defaults that it lacks; what was set, as the annotation says it.
fn fill(container: &mut Value, item: &Value, field: &str) -> Vec<String> {
    let name = container.str_at(&["name"]).unwrap_or_default().to_owned();
    let what = if field == "initContainers" { "init container" } else { "container" };
    let mut said = Vec::new();
    for (kind, word, defaults) in [("requests", "request", "defaultRequest"), ("limits", "limit", "default")]
    {
        let mut names = Vec::new();
        for (resource, quantity) in
            item.get(defaults).and_then(Value::as_map).iter().flat_map(|map| map.iter())
        {
            let path = ["resources", kind, resource.as_str()];
            // A request that is absent follows its limit, which the kind's defaulting has put there already.
            if container.at(&path).is_none() {
                container.set_at(&path, quantity.clone());
                names.push(resource.to_string());
            }
        }
        if !names.is_empty() {
            said.push(format!("{} {word} for {what} {name}", names.join(", ")));
        }
    }
    said
}

/// The sum over a pod's containers, or the largest init container where that is more.
fn sum(pod: &Value, kind: &str) -> Value {
    let mut total = Value::map();
    let mut add = |container: &Value, add: bool| {
        for (resource, text) in
            container.at(&["resources", kind]).and_then(Value::as_map).iter().flat_map(|map| map.iter())
        {
            let (Some(quantity), before) = (parse(text), total.get(resource).and_then(parse)) else {
                continue;
            };
            let sum = match before {
                None => quantity,
                Some(before) if add => before.plus(quantity),
                Some(before) if before.as_f64() < quantity.as_f64() => quantity,
                Some(before) => before,
            };
            total.set_at(&[resource], sum.to_string());
        }
    };
    pod.list_at(&["spec", "containers"]).iter().for_each(|container| add(container, true));
    pod.list_at(&["spec", "initContainers"]).iter().for_each(|container| {
        add(container, container.str_at(&["restartPolicy"]) == Some("Always"));
    });
    total
}

fn parse(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?).ok()
}

fn compare(a: Quantity, b: Quantity) -> Ordering {
    a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
}

impl<'a> Measured<'a> {
    fn of(container: &'a Value, kind: &'static str, null: &'a Value) -> Measured<'a> {
        let part = |field: &str| container.at(&["resources", field]).unwrap_or(null);
        Measured { kind, requests: part("requests"), limits: part("limits") }
    }

    /// The bounds of `item` that this does not keep, in upstream's words.
    fn check(&self, item: &Value) -> Vec<String> {
        let kind = self.kind;
        let mut problems = Vec::new();
        for (resource, min) in bounds(item, "min") {
            let (request, limit) = self.get(resource);
            match (request, limit) {
                (None, _) => problems
                    .push(format!("minimum {resource} usage per {kind} is {min}.  No request is specified")),
                (Some(request), _) if compare(request, min) == Ordering::Less => {
                    problems.push(format!(
                        "minimum {resource} usage per {kind} is {min}, but request is {request}"
                    ));
                }
                (_, Some(limit)) if compare(limit, min) == Ordering::Less => {
                    problems
                        .push(format!("minimum {resource} usage per {kind} is {min}, but limit is {limit}"));
                }
                _ => {}
            }
        }
        for (resource, max) in bounds(item, "max") {
            let (request, limit) = self.get(resource);
            match (request, limit) {
                (None, _) if kind == "PersistentVolumeClaim" => {
                    problems.push(format!(
                        "maximum {resource} usage per {kind} is {max}.  No request is specified"
                    ));
                }
                (_, None) if kind != "PersistentVolumeClaim" => {
                    problems.push(format!(
                        "maximum {resource} usage per {kind} is {max}.  No limit is specified"
                    ));
                }
                (_, Some(limit)) if compare(limit, max) == Ordering::Greater => {
                    problems
                        .push(format!("maximum {resource} usage per {kind} is {max}, but limit is {limit}"));
                }
                (Some(request), _) if compare(request, max) == Ordering::Greater => {
                    problems.push(format!(
                        "maximum {resource} usage per {kind} is {max}, but request is {request}"
                    ));
                }
                _ => {}
            }
        }
        problems.extend(self.check_ratios(item));
        problems
    }

    fn check_ratios(&self, item: &Value) -> Vec<String> {
        let kind = self.kind;
        let mut problems = Vec::new();
        for (resource, ratio) in bounds(item, "maxLimitRequestRatio") {
            let (request, limit) = self.get(resource);
            let said = |quantity: Option<Quantity>| quantity.filter(|quantity| quantity.as_f64() != 0.0);
            let missing = |what: &str| {
                format!(
                    "{resource} max limit to request ratio per {kind} is {ratio}, but no {what} is specified or {what} is 0"
                )
            };
            let Some(request) = said(request) else {
                problems.push(missing("request"));
                continue;
            };
            let Some(limit) = said(limit) else {
                problems.push(missing("limit"));
                continue;
            };
            let actual = limit.as_f64() / request.as_f64();
            if actual > ratio.as_f64() {
                problems.push(format!("{resource} max limit to request ratio per {kind} is {ratio}, but provided ratio is {actual:.6}"));
            }
        }
        problems
    }

    fn get(&self, resource: &str) -> (Option<Quantity>, Option<Quantity>) {
        (self.requests.get(resource).and_then(parse), self.limits.get(resource).and_then(parse))
    }
}

/// The bounds of one field, such as `min`, by resource.
fn bounds<'a>(item: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, Quantity)> {
    let map = item.get(field).and_then(Value::as_map);
    map.into_iter()
        .flat_map(|map| map.iter())
        .filter_map(|(resource, value)| Some((resource.as_str(), parse(value)?)))
}
