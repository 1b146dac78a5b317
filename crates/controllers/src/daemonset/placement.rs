//! On which nodes a DaemonSet's pods belong, and how a pod says which node it is for.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec,
    PodTemplateSpec, Taint, Toleration,
};

use crate::objects::labels::{selects_node, tolerates};
use crate::objects::{Node, Pod};

const NODE_NAME: &str = "metadata.name";

/// What a daemon tolerates on any node: it is there to help nodes in trouble.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// The same for one that uses the node's own network.
const TOLERATED_ON_HOST: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// Whether a pod belongs on a node, and whether one that is there may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    pub should_run: bool,
    pub may_stay: bool,
}

/// Whether pods of `set` belong on `node`.
pub(super) fn fit(set: &DaemonSet, node: &Node) -> Fit {
    let spec = set.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap_or_default();
    let name = &node.metadata.name;
    let names = spec.node_name.as_ref().is_none_or(|wanted| wanted.is_empty() || wanted == name);
    let labels =
        spec.node_selector.iter().flatten().all(|(key, value)| node.metadata.labels.get(key) == Some(value));
    let required = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        required.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    if !names
        || !labels
        || !required.is_none_or(|selector| selects_node(selector, name, &node.metadata.labels))
    {
        return Fit { should_run: false, may_stay: false };
    }
    let tolerations = tolerations(&spec);
    let bears = |taint: &Taint| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    let all = |effects: &[&str]| {
        node.spec.taints.iter().filter(|taint| effects.contains(&taint.effect.as_str())).all(bears)
    };
    Fit { should_run: all(&["NoExecute", "NoSchedule"]), may_stay: all(&["NoExecute"]) }
}

/// The template's tolerations, and a daemon's.
fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    let on_host = spec.host_network.unwrap_or_default().then_some(TOLERATED_ON_HOST);
    for (key, effect) in TOLERATED.into_iter().chain(on_host) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        let same = |one: &&mut Toleration| {
            (&one.key, &one.operator, &one.effect)
                == (&toleration.key, &toleration.operator, &toleration.effect)
        };
        match tolerations.iter_mut().find(same) {
            Some(one) => *one = toleration,
            None => tolerations.push(toleration),
        }
    }
    tolerations
}

/// The template of the pod of `node`, of the revision `hash`.
pub(super) fn template(set: &DaemonSet, node: &str, hash: &str) -> PodTemplateSpec {
    let mut template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(super::history::HASH.to_owned(), hash.to_owned());
    if let Some(generation) = super::history::generation(set) {
        labels.insert(super::history::GENERATION_LABEL.to_owned(), generation);
    }
    let spec = template.spec.get_or_insert_default();
    spec.tolerations = Some(tolerations(spec));
    bind(spec, node);
    template
}

/// Makes `node` the only one that the scheduler may take.
fn bind(spec: &mut PodSpec, node: &str) {
    let requirement = NodeSelectorRequirement {
        key: NODE_NAME.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![requirement]), match_expressions: None };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
}

/// The node that `pod` is on or meant for.
pub(super) fn target(pod: &Pod) -> Option<String> {
    if !pod.spec.node_name.is_empty() {
        return Some(pod.spec.node_name.clone());
    }
    let affinity = pod.spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let selector = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let mut fields = selector.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let field = fields.find(|field| field.key == NODE_NAME && field.operator == "In")?;
    match field.values.as_deref() {
        Some([name]) => Some(name.clone()),
        _ => None,
    }
}
