//! What selects: labels, nodes, taints (k8s.io/apimachinery/pkg/labels, k8s.io/component-helpers/scheduling/corev1).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// Whether `selector` selects `labels`; an empty one selects everything.
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|one| holds(&one.operator, labels.get(&one.key), one.values.as_deref().unwrap_or_default()))
}

/// Whether `selector` requires nothing.
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Whether all of `wanted` is in `labels`.
pub fn contains(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn holds(operator: &str, value: Option<&String>, values: &[String]) -> bool {
    match operator {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => value.is_none_or(|value| !values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" | "Lt" => {
            let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
            let Some((left, right)) = number(value).zip(number(values.first())) else { return false };
            if operator == "Gt" { left > right } else { left < right }
        }
        _ => false,
    }
}

/// Whether one of the terms of `selector` selects the node; a selector without terms selects none.
pub fn selects_node(selector: &NodeSelector, name: &str, labels: &Labels) -> bool {
    selector.node_selector_terms.iter().any(|term| term_selects_node(term, name, labels))
}

fn term_selects_node(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let name = name.to_owned();
    let of = |one: &NodeSelectorRequirement, value: Option<&String>| {
        holds(&one.operator, value, one.values.as_deref().unwrap_or_default())
    };
    expressions.iter().all(|one| of(one, labels.get(&one.key)))
        && fields.iter().all(|one| of(one, (one.key == "metadata.name").then_some(&name)))
}

/// Whether `toleration` tolerates `taint`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().to_owned();
    let (effect, key, operator) =
        (text(&toleration.effect), text(&toleration.key), text(&toleration.operator));
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    let (ours, theirs) = (text(&toleration.value), text(&taint.value));
    match operator.as_str() {
        "Exists" => true,
        "" | "Equal" => ours == theirs,
        "Gt" | "Lt" => match (ours.parse::<i64>(), theirs.parse::<i64>()) {
            (Ok(ours), Ok(theirs)) => {
                if operator == "Gt" {
                    theirs > ours
                } else {
                    theirs < ours
                }
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors() {
        let labels: Labels = [("app".into(), "web".into()), ("n".into(), "3".into())].into();
        let table = [
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "web"]}]}), true),
            (json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "x", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}), true),
        ];
        for (selector, expected) in table {
            let selector: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(selects(&selector, &labels), expected, "{selector:?}");
        }
    }

    #[test]
    fn node_selectors_and_tolerations() {
        let labels: Labels = [("disk".into(), "ssd".into()), ("cores".into(), "8".into())].into();
        let selector = |term: serde_json::Value| -> NodeSelector {
            serde_json::from_value(json!({"nodeSelectorTerms": [term]})).unwrap()
        };
        let by_name = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]});
        assert!(selects_node(&selector(by_name.clone()), "a", &labels));
        assert!(!selects_node(&selector(by_name), "b", &labels));
        let cores = json!({"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]});
        assert!(selects_node(&selector(cores), "b", &labels));
        assert!(!selects_node(&selector(json!({})), "b", &labels));

        let taint =
            Taint { key: "k".into(), value: Some("v".into()), effect: "NoSchedule".into(), time_added: None };
        let tolerates = |toleration| tolerates(&serde_json::from_value(toleration).unwrap(), &taint);
        assert!(tolerates(json!({"operator": "Exists"})));
        assert!(tolerates(json!({"key": "k", "value": "v", "effect": "NoSchedule"})));
        assert!(!tolerates(json!({"key": "k", "value": "w"})));
        assert!(!tolerates(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})));
    }
}
