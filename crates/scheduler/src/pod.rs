//! What the scheduler knows of a pod: who it is ([`PodInfo`]) and what decides about it ([`Shape`]).
//!
//! Pods of one controller have one shape, so what follows from the shape alone is worked out once for all of them.

use std::sync::Arc;

use decapod_api::Str;
use k8s_openapi::api::core::v1 as core;

use crate::labels::{Labels, NodeSelector, NodeTerm, Selector};
use crate::resources::Requests;

/// The default profile's name, and what pods ask for that ask for no other scheduler.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// A pod, read once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodInfo {
    /// `metadata.namespace`.
    pub namespace: Str,
    /// `metadata.name`.
    pub name: Str,
    /// `metadata.uid`.
    pub uid: Str,
    /// `metadata.generation`.
    pub generation: i64,
    /// The node it is bound to; empty while it is pending.
    pub node: Str,
    /// The node that victims are making room on; mostly empty.
    pub nominated: Str,
    /// Higher goes first and may preempt lower.
    pub priority: i32,
    /// Whether it preempts nobody (`preemptionPolicy: Never`).
    pub never_preempts: bool,
    /// What has to be taken off before it may be scheduled.
    pub gates: Vec<Str>,
    /// Whose pod it is; `default-scheduler` mostly.
    pub scheduler: Str,
    /// When it was started, in nanoseconds since 1970; pods that were not count as the latest.
    pub started_at_ns: i64,
    /// Whether it is being deleted to make room for another.
    pub preempted: bool,
    /// Its `PodScheduled` condition while that is false: reason and message.
    pub unscheduled: Option<(String, String)>,
    /// The claims whose volumes it mounts.
    pub claims: Vec<PodClaim>,
    /// What decides about it.
    pub shape: Arc<Shape>,
}

/// A claim that a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClaim {
    /// Its name.
    pub name: Str,
    /// Whether it is made for this pod.
    pub is_ephemeral: bool,
}

/// All of a pod that decides where it can go and what that does to others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The namespace, within which selectors select.
    pub namespace: Str,
    /// The labels, which others select by.
    pub labels: Labels,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// What it asks for.
    pub requests: Requests,
    /// Ports of the node that it takes.
    pub ports: Vec<HostPort>,
    /// The images of its containers, normalised.
    pub images: Vec<Str>,
    /// How many containers it has, init containers among them.
    pub containers: usize,
    /// What it tolerates.
    pub tolerations: Vec<Toleration>,
    /// `nodeSelector`.
    pub node_selector: Selector,
    /// Required node affinity.
    pub required: Option<NodeSelector>,
    /// Preferred node affinity, with weights.
    pub preferred: Vec<(i32, NodeTerm)>,
    /// Its topology spread constraints.
    pub spread: Vec<Spread>,
    /// Pods that it has to be near to, and not.
    pub affinity: Vec<Term>,
    /// Pods that it must not be near to.
    pub anti_affinity: Vec<Term>,
    /// Pods that it would like to be near to (positive weight) or not (negative).
    pub preferences: Vec<(i32, Term)>,
    /// The controller, if it is one by whose selector pods are spread.
    pub owner: Option<Owner>,
}

/// A port of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// `0.0.0.0` for all addresses.
    pub ip: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
    /// The number.
    pub port: i32,
}

/// What taints a pod puts up with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Empty for all keys.
    pub key: Str,
    /// `None` for all values.
    pub value: Option<Str>,
    /// Empty for all effects.
    pub effect: Str,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// The key.
    pub key: Str,
    /// The value; may be empty.
    pub value: Str,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Str,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    /// By how many pods domains may differ.
    pub max_skew: i32,
    /// The label that makes nodes one domain.
    pub key: Str,
    /// Whether it refuses (`DoNotSchedule`) or only scores.
    pub hard: bool,
    /// Which pods are counted.
    pub selector: Selector,
    /// With fewer domains than this the emptiest counts as empty.
    pub min_domains: i32,
    /// Whether only nodes that the pod's node affinity selects count.
    pub honors_affinity: bool,
    /// Whether only nodes whose taints the pod tolerates count.
    pub honors_taints: bool,
}

/// A pod affinity term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// Which pods it is about.
    pub whom: Whom,
    /// The label that makes nodes one domain.
    pub key: Str,
}

/// A set of pods: of these namespaces, with these labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Whom {
    /// Namespaces by name.
    pub namespaces: Vec<Str>,
    /// Namespaces by label, beside those.
    pub namespace_selector: Selector,
    /// The pods' labels.
    pub selector: Selector,
}

/// A controller by whose selector pods are spread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Which kind.
    pub kind: OwnerKind,
    /// Its name.
    pub name: Str,
}

/// The kinds by whose selector pods are spread (pkg/scheduler/framework/plugins/helper).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// core/v1
    ReplicationController,
    /// apps/v1
    ReplicaSet,
    /// apps/v1
    StatefulSet,
}

// === impl PodInfo ===

impl PodInfo {
    /// Reads `pod`.
    pub fn new(pod: &core::Pod) -> PodInfo {
        let (meta, status) = (&pod.metadata, pod.status.as_ref());
        let spec = pod.spec.as_ref();
        let text = |text: Option<&String>| text.map_or_else(Str::default, |text| text.as_str().into());
        let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let condition = |type_: &str| conditions.iter().find(|c| c.type_ == type_);
        let started = status.and_then(|s| s.start_time.as_ref());
        PodInfo {
            namespace: text(meta.namespace.as_ref()),
            name: text(meta.name.as_ref()),
            uid: text(meta.uid.as_ref()),
            generation: meta.generation.unwrap_or(0),
            node: text(spec.and_then(|s| s.node_name.as_ref())),
            nominated: text(status.and_then(|s| s.nominated_node_name.as_ref())),
            priority: spec.and_then(|s| s.priority).unwrap_or(0),
            never_preempts: spec.and_then(|s| s.preemption_policy.as_deref()) == Some("Never"),
            gates: spec
                .iter()
                .flat_map(|s| s.scheduling_gates.iter().flatten())
                .map(|g| g.name.as_str().into())
                .collect(),
            scheduler: spec.and_then(|s| s.scheduler_name.as_deref()).unwrap_or(DEFAULT_SCHEDULER).into(),
            started_at_ns: started
                .map_or(i64::MAX, |t| i64::try_from(t.0.as_nanosecond()).unwrap_or(i64::MAX)),
            preempted: meta.deletion_timestamp.is_some()
                && condition("DisruptionTarget").is_some_and(|c| {
                    c.status == "True" && c.reason.as_deref() == Some("PreemptionByScheduler")
                }),
            unscheduled: condition("PodScheduled")
                .filter(|c| c.status == "False")
                .map(|c| (c.reason.clone().unwrap_or_default(), c.message.clone().unwrap_or_default())),
            claims: claims(pod),
            shape: Arc::new(Shape::new(pod)),
        }
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

// === impl Shape ===

impl Shape {
    fn new(pod: &core::Pod) -> Shape {
        let empty = core::PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let namespace: Str = pod.metadata.namespace.as_deref().unwrap_or_default().into();
        let labels = Labels::new(pod.metadata.labels.as_ref());
        let affinity = spec.affinity.as_ref();
        let node = affinity.and_then(|a| a.node_affinity.as_ref());
        let required = node.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred =
            node.into_iter().flat_map(|n| n.preferred_during_scheduling_ignored_during_execution.iter());
        Shape {
            terminating: pod.metadata.deletion_timestamp.is_some(),
            requests: Requests::of_pod(pod),
            ports: host_ports(spec),
            images: images(spec),
            containers: spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len),
            tolerations: spec.tolerations.iter().flatten().filter_map(Toleration::new).collect(),
            node_selector: spec.node_selector.as_ref().map(Selector::equal).unwrap_or_default(),
            required: required.map(NodeSelector::new),
            preferred: preferred
                .flatten()
                .filter(|p| p.weight != 0)
                .filter_map(|p| Some((p.weight, NodeTerm::new(&p.preference)?)))
                .collect(),
            spread: spec
                .topology_spread_constraints
                .iter()
                .flatten()
                .map(|c| Spread::new(c, &labels))
                .collect(),
            affinity: terms(
                affinity.and_then(|a| {
                    a.pod_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_deref()
                }),
                &namespace,
            ),
            anti_affinity: terms(
                affinity.and_then(|a| {
                    a.pod_anti_affinity
                        .as_ref()?
                        .required_during_scheduling_ignored_during_execution
                        .as_deref()
                }),
                &namespace,
            ),
            preferences: preferences(affinity, &namespace),
            owner: owner(pod),
            namespace,
            labels,
        }
    }

    /// Whether it has affinity terms of any sort, required or preferred.
    pub fn has_affinity(&self) -> bool {
        !self.affinity.is_empty() || !self.anti_affinity.is_empty() || !self.preferences.is_empty()
    }

    /// Whether its `nodeSelector` and required node affinity select a node.
    pub fn selects_node(&self, name: &str, labels: &Labels) -> bool {
        self.node_selector.matches(labels) && self.required.as_ref().is_none_or(|r| r.matches(name, labels))
    }

    /// Whether every taint that keeps pods away is tolerated.
    pub fn tolerates_all(&self, taints: &[Taint]) -> bool {
        let hard = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
        taints.iter().filter(hard).all(|taint| self.tolerates(taint))
    }

    /// Whether some toleration covers `taint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.covers(taint))
    }
}

/// The claims that volumes name, or that are made for them (k8s.io/component-helpers/storage/ephemeral).
fn claims(pod: &core::Pod) -> Vec<PodClaim> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claim = |volume: &core::Volume| {
        if let Some(source) = &volume.persistent_volume_claim {
            return Some(PodClaim { name: source.claim_name.as_str().into(), is_ephemeral: false });
        }
        let name = format!("{pod_name}-{}", volume.name);
        volume.ephemeral.as_ref().map(|_| PodClaim { name: name.into(), is_ephemeral: true })
    };
    volumes.filter_map(claim).collect()
}

fn host_ports(spec: &core::PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|c| c.ports.iter().flatten());
    let host_port = |port: &core::ContainerPort| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let or = |text: Option<&String>, default: &str| {
            text.filter(|t| !t.is_empty()).map_or(default, |t| t).into()
        };
        Some(HostPort {
            ip: or(port.host_ip.as_ref(), "0.0.0.0"),
            protocol: or(port.protocol.as_ref(), "TCP"),
            port: number,
        })
    };
    ports.filter_map(host_port).collect()
}

fn images(spec: &core::PodSpec) -> Vec<Str> {
    let containers =
        spec.init_containers.iter().flatten().chain(&spec.containers).filter_map(|c| c.image.as_deref());
    let volumes = spec.volumes.iter().flatten().filter_map(|v| v.image.as_ref()?.reference.as_deref());
    containers.chain(volumes).map(normalized_image).collect()
}

/// An image's name as nodes report it: with a tag.
pub fn normalized_image(name: &str) -> Str {
    let tagged = name.rfind(':').is_some_and(|colon| name.rfind('/').is_none_or(|slash| colon > slash));
    if tagged { name.into() } else { format!("{name}:latest").into() }
}

fn terms(terms: Option<&[core::PodAffinityTerm]>, namespace: &Str) -> Vec<Term> {
    terms.unwrap_or_default().iter().map(|term| Term::new(term, namespace)).collect()
}

fn preferences(affinity: Option<&core::Affinity>, namespace: &Str) -> Vec<(i32, Term)> {
    let near = affinity.and_then(|a| {
        a.pod_affinity.as_ref()?.preferred_during_scheduling_ignored_during_execution.as_deref()
    });
    let away = affinity.and_then(|a| {
        a.pod_anti_affinity.as_ref()?.preferred_during_scheduling_ignored_during_execution.as_deref()
    });
    let near =
        near.unwrap_or_default().iter().map(|t| (t.weight, Term::new(&t.pod_affinity_term, namespace)));
    let away =
        away.unwrap_or_default().iter().map(|t| (-t.weight, Term::new(&t.pod_affinity_term, namespace)));
    near.chain(away).collect()
}

fn owner(pod: &core::Pod) -> Option<Owner> {
    let owner =
        pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let kind = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("v1", "ReplicationController") => OwnerKind::ReplicationController,
        ("apps/v1", "ReplicaSet") => OwnerKind::ReplicaSet,
        ("apps/v1", "StatefulSet") => OwnerKind::StatefulSet,
        _ => return None,
    };
    Some(Owner { kind, name: owner.name.as_str().into() })
}

// === impl HostPort ===

impl HostPort {
    /// Whether one node cannot give both.
    pub fn conflicts(&self, other: &HostPort) -> bool {
        let same_ip = self.ip == other.ip || self.ip == "0.0.0.0" || other.ip == "0.0.0.0";
        same_ip && self.port == other.port && self.protocol == other.protocol
    }
}

// === impl Toleration ===

impl Toleration {
    /// `None` for operators that are off by default (`Lt`, `Gt`): they tolerate nothing.
    fn new(toleration: &core::Toleration) -> Option<Toleration> {
        let text = |text: Option<&String>| text.map_or_else(Str::default, |text| text.as_str().into());
        let value = match toleration.operator.as_deref().unwrap_or_default() {
            "" | "Equal" => Some(text(toleration.value.as_ref())),
            "Exists" => None,
            _ => return None,
        };
        Some(Toleration {
            key: text(toleration.key.as_ref()),
            value,
            effect: text(toleration.effect.as_ref()),
        })
    }

    /// Whether it covers `taint` (k8s.io/api/core/v1, `ToleratesTaint`).
    pub fn covers(&self, taint: &Taint) -> bool {
        (self.effect.is_empty() || self.effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

// === impl Spread ===

impl Spread {
    fn new(constraint: &core::TopologySpreadConstraint, labels: &Labels) -> Spread {
        let keys = constraint.match_label_keys.iter().flatten();
        let own = keys.filter_map(|key| Some((key.clone(), labels.get(key)?.to_owned()))).collect();
        let honored = |policy: Option<&String>, default| policy.map_or(default, |policy| policy == "Honor");
        Spread {
            max_skew: constraint.max_skew,
            key: constraint.topology_key.as_str().into(),
            hard: constraint.when_unsatisfiable == "DoNotSchedule",
            selector: Selector::new(constraint.label_selector.as_ref()).and(&Selector::equal(&own)),
            min_domains: constraint.min_domains.unwrap_or(1),
            honors_affinity: honored(constraint.node_affinity_policy.as_ref(), true),
            honors_taints: honored(constraint.node_taints_policy.as_ref(), false),
        }
    }
}

// === impl Term ===

impl Term {
    /// The API server has merged `matchLabelKeys` and `mismatchLabelKeys` into the selector already.
    fn new(term: &core::PodAffinityTerm, namespace: &Str) -> Term {
        let listed: Vec<Str> = term.namespaces.iter().flatten().map(|name| name.as_str().into()).collect();
        let own = listed.is_empty() && term.namespace_selector.is_none();
        let whom = Whom {
            namespaces: if own { vec![namespace.clone()] } else { listed },
            namespace_selector: Selector::new(term.namespace_selector.as_ref()),
            selector: Selector::new(term.label_selector.as_ref()),
        };
        Term { whom, key: term.topology_key.as_str().into() }
    }
}

// === impl Whom ===

impl Whom {
    /// Whether a pod of `shape`, in a namespace with `namespace_labels`, is among them.
    pub fn matches(&self, shape: &Shape, namespace_labels: &Labels) -> bool {
        let namespace =
            self.namespaces.contains(&shape.namespace) || self.namespace_selector.matches(namespace_labels);
        namespace && self.selector.matches(&shape.labels)
    }
}
