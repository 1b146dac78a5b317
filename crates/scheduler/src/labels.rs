//! Labels and what selects by them, in the form that the core hashes, compares and matches many times a second.

use std::collections::BTreeMap;

use decapod_api::Str;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The labels of one object, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Vec<(Str, Str)>);

/// Requirements that all have to hold; [`Selector::nothing`] never holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    nothing: bool,
    requirements: Vec<Requirement>,
}

/// One requirement on the label `key`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Requirement {
    key: Str,
    operator: Operator,
    values: Vec<Str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// Terms of which one has to hold (k8s.io/component-helpers/scheduling/corev1/nodeaffinity). No term, no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSelector(Vec<NodeTerm>);

/// One term: everything in it has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    labels: Selector,
    /// Names that the node has to have (true) or must not have (false).
    names: Vec<(bool, Str)>,
}

// === impl Labels ===

impl Labels {
    /// From an object's metadata.
    pub fn new(map: Option<&BTreeMap<String, String>>) -> Labels {
        Labels(
            map.into_iter()
                .flatten()
                .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                .collect(),
        )
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let i = self.0.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok()?;
        Some(&self.0[i].1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Str)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

// === impl Selector ===

impl Selector {
    /// Selects nothing, as an absent `LabelSelector` does.
    pub fn nothing() -> Selector {
        Selector { nothing: true, requirements: Vec::new() }
    }

    /// Selects what has all these labels.
    pub fn equal(labels: &BTreeMap<String, String>) -> Selector {
        let requirements = labels.iter().map(|(key, value)| Requirement::equal(key, value)).collect();
        Selector { nothing: false, requirements }
    }

    /// From a `LabelSelector` field: absent selects nothing, empty selects everything.
    pub fn new(selector: Option<&LabelSelector>) -> Selector {
        let Some(selector) = selector else { return Selector::nothing() };
        let labels =
            selector.match_labels.iter().flatten().map(|(key, value)| Requirement::equal(key, value));
        let expressions = selector.match_expressions.iter().flatten();
        let expressions = expressions.map(|e| Requirement::new(&e.key, &e.operator, e.values.as_deref()));
        // An expression that cannot be read makes the whole selector one that never holds.
        let requirements: Option<Vec<Requirement>> = labels.map(Some).chain(expressions).collect();
        requirements.map_or_else(Selector::nothing, |requirements| Selector { nothing: false, requirements })
    }

    fn expressions(expressions: &[core::NodeSelectorRequirement]) -> Selector {
        let read =
            |e: &core::NodeSelectorRequirement| Requirement::new(&e.key, &e.operator, e.values.as_deref());
        let requirements: Option<Vec<Requirement>> = expressions.iter().map(read).collect();
        requirements.map_or_else(Selector::nothing, |requirements| Selector { nothing: false, requirements })
    }

    /// Both have to hold.
    #[must_use]
    pub fn and(mut self, other: &Selector) -> Selector {
        self.nothing |= other.nothing;
        self.requirements.extend(other.requirements.iter().cloned());
        self
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether `labels` are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

// === impl Requirement ===

impl Requirement {
    fn equal(key: &str, value: &str) -> Requirement {
        Requirement { key: key.into(), operator: Operator::In, values: vec![value.into()] }
    }

    fn new(key: &str, operator: &str, values: Option<&[String]>) -> Option<Requirement> {
        let values: Vec<Str> = values.unwrap_or_default().iter().map(|value| value.as_str().into()).collect();
        let bound = || values.len() == 1 && values[0].parse::<i64>().is_ok();
        let operator = match operator {
            "In" if !values.is_empty() => Operator::In,
            "NotIn" if !values.is_empty() => Operator::NotIn,
            "Exists" if values.is_empty() => Operator::Exists,
            "DoesNotExist" if values.is_empty() => Operator::DoesNotExist,
            "Gt" if bound() => Operator::GreaterThan,
            "Lt" if bound() => Operator::LessThan,
            _ => return None,
        };
        Some(Requirement { key: key.into(), operator, values })
    }

    fn matches(&self, labels: &Labels) -> bool {
        let actual = labels.get(&self.key);
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        let compared = |above: bool| {
            let (Some(actual), Some(bound)) = (actual, self.values.first()) else { return false };
            let (Ok(actual), Ok(bound)) = (actual.parse::<i64>(), bound.parse::<i64>()) else { return false };
            if above { actual > bound } else { actual < bound }
        };
        match self.operator {
            Operator::In => actual.is_some_and(listed),
            Operator::NotIn => !actual.is_some_and(listed),
            Operator::Exists => actual.is_some(),
            Operator::DoesNotExist => actual.is_none(),
            Operator::GreaterThan => compared(true),
            Operator::LessThan => compared(false),
        }
    }
}

// === impl NodeSelector ===

impl NodeSelector {
    /// From `requiredDuringSchedulingIgnoredDuringExecution`. Empty terms select nothing and are left out.
    pub fn new(selector: &core::NodeSelector) -> NodeSelector {
        NodeSelector(selector.node_selector_terms.iter().filter_map(NodeTerm::new).collect())
    }

    /// Whether a node of this name with these labels is selected.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.0.iter().any(|term| term.matches(name, labels))
    }

    /// The only nodes that could be selected, when every term names its nodes.
    pub fn named(&self) -> Option<Vec<Str>> {
        let mut all: Vec<Str> = Vec::new();
        for term in &self.0 {
            let mut required = term.names.iter().filter(|(equal, _)| *equal).map(|(_, name)| name);
            let first = required.next()?;
            if required.all(|name| name == first) && !all.contains(first) {
                all.push(first.clone());
            }
        }
        (!self.0.is_empty()).then_some(all)
    }
}

// === impl NodeTerm ===

impl NodeTerm {
    /// `None` when there is nothing in it.
    pub fn new(term: &core::NodeSelectorTerm) -> Option<NodeTerm> {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        if expressions.is_empty() && fields.is_empty() {
            return None;
        }
        let mut labels = Selector::expressions(expressions);
        let mut names = Vec::new();
        for field in fields {
            match (field.key.as_str(), field.operator.as_str(), field.values.as_deref()) {
                ("metadata.name", "In", Some([name])) => names.push((true, Str::from(name.as_str()))),
                ("metadata.name", "NotIn", Some([name])) => names.push((false, Str::from(name.as_str()))),
                _ => labels = Selector::nothing(),
            }
        }
        Some(NodeTerm { labels, names })
    }

    /// Whether a node of this name with these labels is selected.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.names.iter().all(|(equal, wanted)| (wanted == name) == *equal) && self.labels.matches(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        Labels::new(Some(&pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }

    fn requirement(key: &str, operator: &str, values: &[&str]) -> core::NodeSelectorRequirement {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        core::NodeSelectorRequirement { key: key.into(), operator: operator.into(), values: Some(values) }
    }

    #[test]
    fn requirements_as_upstream() {
        let table = [
            ("In", &["a", "b"][..], "k=a", true),
            ("In", &["a"], "", false),
            ("NotIn", &["a"], "", true),
            ("NotIn", &["a"], "k=a", false),
            ("Exists", &[], "k=", true),
            ("DoesNotExist", &[], "k=", false),
            ("Gt", &["5"], "k=6", true),
            ("Gt", &["5"], "k=5", false),
            ("Lt", &["5"], "k=x", false),
            ("Lt", &["x"], "k=1", false),
            ("Like", &["a"], "k=a", false),
        ];
        for (operator, values, actual, expected) in table {
            let term = core::NodeSelectorTerm {
                match_expressions: Some(vec![requirement("k", operator, values)]),
                match_fields: None,
            };
            let term = NodeTerm::new(&term).expect("not empty");
            assert_eq!(term.matches("n", &labels(actual)), expected, "{operator} {values:?} on {actual:?}");
        }
    }

    #[test]
    fn terms_that_name_their_nodes() {
        let term = |names: &[&str]| core::NodeSelectorTerm {
            match_expressions: None,
            match_fields: Some(names.iter().map(|n| requirement("metadata.name", "In", &[n])).collect()),
        };
        let named = |terms: Vec<core::NodeSelectorTerm>| {
            NodeSelector::new(&core::NodeSelector { node_selector_terms: terms }).named()
        };
        assert_eq!(named(vec![term(&["a"]), term(&["b"])]), Some(vec!["a".into(), "b".into()]));
        assert_eq!(named(vec![term(&["a", "b"])]), Some(vec![]), "no node has two names");
        assert_eq!(named(vec![]), None);
    }
}
