//! PodTolerationRestriction: a namespace's pods tolerate what the namespace says, and nothing that it does not allow
//! (k8s.io/kubernetes/plugin/pkg/admission/podtolerationrestriction and pkg/util/tolerations).

use decapod_api::kinds::strategies;
use decapod_api::{Cause, Status, Value};
use serde::{Deserialize, Serialize};

use super::{Attributes, Operation, Plugin, bare};
use crate::registry::Lookup;

/// The plugin.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PodTolerationRestriction {
    /// What pods of namespaces that say nothing tolerate.
    default: Vec<Toleration>,
    /// What they may tolerate; anything, if it is empty.
    whitelist: Vec<Toleration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct Toleration {
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    operator: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    effect: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    toleration_seconds: Option<i64>,
}

const DEFAULT: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
const FIELD: [&str; 2] = ["spec", "tolerations"];

// === impl PodTolerationRestriction ===

impl PodTolerationRestriction {
    /// What is wrong with the settings.
    pub fn faults(&self) -> Vec<Cause> {
        let checked = |field: &str, tolerations: &[Toleration]| {
            let tolerations = serde_json::to_value(tolerations).unwrap_or_default();
            strategies::tolerations(field, &decapod_api::value::from_json(tolerations))
        };
        let mut causes = checked("default", &self.default);
        causes.extend(checked("whitelist", &self.whitelist));
        causes
    }
}

impl Plugin for PodTolerationRestriction {
    fn name(&self) -> &'static str {
        "PodTolerationRestriction"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "pods")
            && attributes.subresource.is_empty()
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let mut extra = Vec::new();
        if attributes.operation == Operation::Create {
            extra = annotated(attributes, lookup, DEFAULT)?.unwrap_or_else(|| self.default.clone());
        }
        let spec = attributes.object.get("spec");
        if spec.is_some_and(|spec| strategies::qos_class(spec) != "BestEffort") {
            extra.push(Toleration {
                key: "node.kubernetes.io/memory-pressure".into(),
                operator: "Exists".into(),
                effect: "NoSchedule".into(),
                ..Toleration::default()
            });
        }
        if !extra.is_empty() {
            let merged = merged(of_pod(&attributes.object), extra);
            let merged = serde_json::to_value(merged).map_err(Status::internal)?;
            attributes.object.set_at(&FIELD, decapod_api::value::from_json(merged));
        }
        self.validate(attributes, lookup)
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let own = of_pod(&attributes.object);
        if own.is_empty() {
            return Ok(());
        }
        let (allowed, whose) = match annotated(attributes, lookup, ALLOWED)? {
            Some(allowed) => (allowed, "namespace"),
            None => (self.whitelist.clone(), "cluster"),
        };
        let covered = |toleration: &Toleration| allowed.iter().any(|other| other.covers(toleration));
        if allowed.is_empty() || own.iter().all(covered) {
            return Ok(());
        }
        let what = "pod tolerations (possibly merged with namespace default tolerations)";
        Err(bare(format!("{what} conflict with its {whose} whitelist")))
    }
}

/// The tolerations in an annotation of the namespace; `None` without one.
fn annotated(
    attributes: &Attributes,
    lookup: &dyn Lookup,
    key: &str,
) -> Result<Option<Vec<Toleration>>, Status> {
    let Some(namespace) = lookup.object("", "namespaces", "", attributes.namespace) else { return Ok(None) };
    match namespace.text(&["metadata", "annotations", key]) {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(Some(vec![])),
        Some(text) => serde_json::from_str(&text).map(Some).map_err(|error| bare(error.to_string())),
    }
}

fn of_pod(pod: &Value) -> Vec<Toleration> {
    let read = |value: &Value| {
        let text = |field: &str| value.str_at(&[field]).unwrap_or_default().to_owned();
        Toleration {
            key: text("key"),
            operator: text("operator"),
            value: text("value"),
            effect: text("effect"),
            toleration_seconds: value.int_at(&["tolerationSeconds"]),
        }
    };
    pod.list_at(&FIELD).iter().map(read).collect()
}

/// All of both that no other of them covers; of equals the first.
fn merged(first: Vec<Toleration>, second: Vec<Toleration>) -> Vec<Toleration> {
    let all = [first, second].concat();
    let mut merged: Vec<Toleration> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let before = merged.iter().any(|other| other.covers(toleration));
        let after = all[at + 1..].iter().any(|other| other != toleration && other.covers(toleration));
        if !before && !after {
            merged.push(toleration.clone());
        }
    }
    merged
}

// === impl Toleration ===

impl Toleration {
    /// Whether it tolerates all that `other` does.
    fn covers(&self, other: &Toleration) -> bool {
        if self == other {
            return true;
        }
        let everything = self.key.is_empty() && self.operator == "Exists";
        if self.key != other.key && !everything {
            return false;
        }
        if self.effect != other.effect && !self.effect.is_empty() {
            return false;
        }
        if self.effect == "NoExecute"
            && let Some(seconds) = self.toleration_seconds
            && other.toleration_seconds.is_none_or(|other| other > seconds)
        {
            return false;
        }
        match self.operator.as_str() {
            "" | "Equal" => other.operator == "Equal" && other.value == self.value,
            operator => operator == "Exists",
        }
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::value;

    use super::*;
    use crate::admission::testing::{Request, World};

    fn toleration(text: &str) -> Toleration {
        let mut parts = text.split(' ').map(|part| part.trim_matches('-').to_owned());
        let mut part = || parts.next().unwrap_or_default();
        let (key, operator, value, effect) = (part(), part(), part(), part());
        Toleration { key, operator, value, effect, toleration_seconds: part().parse().ok() }
    }

    #[test]
    fn some_cover_others() {
        let table = [
            ("a Exists", "a Equal x", true),
            ("a Equal x", "a Exists", false),
            ("- Exists", "a Equal x NoExecute", true),
            ("a Equal x", "a Equal x NoSchedule", true),
            ("a Equal x NoSchedule", "a Equal x", false),
            ("a Exists - NoExecute 10", "a Exists - NoExecute 5", true),
            ("a Exists - NoExecute 10", "a Exists - NoExecute", false),
            ("a - x", "a Equal x", true),
            ("b Exists", "a Exists", false),
        ];
        for (one, other, expected) in table {
            assert_eq!(toleration(one).covers(&toleration(other)), expected, "{one} | {other}");
        }
    }

    #[test]
    fn namespaces_say_what_their_pods_tolerate() {
        let mut namespace = value!({"metadata": {"name": "ns"}});
        namespace.set_at(&["metadata", "annotations", DEFAULT], r#"[{"key": "a", "operator": "Exists"}]"#);
        namespace.set_at(
            &["metadata", "annotations", ALLOWED],
            r#"[{"key": "a"}, {"key": "a", "operator": "Exists"}]"#,
        );
        let world = World(vec![("namespaces", namespace)]);
        let plugin = PodTolerationRestriction::default();
        let made = |tolerations: Value| {
            let pod = value!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a"}], "tolerations": tolerations}});
            Request::create("", "pods", pod)
                .mutate(&plugin, &world)
                .map(|pod| pod.at(&FIELD).cloned().unwrap_or_default())
        };
        let exists = value!([{"key": "a", "operator": "Exists"}]);
        assert_eq!(made(value!([])), Ok(exists.clone()));
        assert_eq!(made(value!([{"key": "a", "operator": "Equal", "value": "x"}])), Ok(exists));
        let refused = "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist";
        assert_eq!(made(value!([{"key": "b", "operator": "Exists"}])), Err(refused.to_owned()));
        let wrong = PodTolerationRestriction {
            default: vec![toleration("a Wrong")],
            ..PodTolerationRestriction::default()
        };
        assert_eq!(wrong.faults()[0].field, "default[0].operator");
    }
}
