//! One evaluator per resource: what its objects count for, and where.

use jiff::Timestamp;

use super::{Amounts, Scope, names, pod, scopes};
use crate::kinds::strategies::resource_names::{is_huge_pages, is_native};
use crate::quantity::{Format, Quantity};
use crate::value::Value;

/// What counts objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evaluator {
    /// Pods, with what they ask for.
    Pods,
    /// Services, with their node ports and load balancers.
    Services,
    /// Claims, with their storage, in all and by class.
    Claims,
    /// Objects of this group and resource, by their number.
    Count(String, String),
}

/// The resources that pods count for, besides huge pages and what device plugins offer.
const OF_PODS: [&str; 11] = [
    "count/pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
const OF_SERVICES: [&str; 4] = ["count/services", "services", "services.nodeports", "services.loadbalancers"];
const OF_CLAIMS: [&str; 3] = ["count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"];
/// What counts by a plain name too.
const PLAIN: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];
const BY_CLASS: &str = ".storageclass.storage.k8s.io/";

// === impl Evaluator ===

impl Evaluator {
    /// The evaluator of `plural` in `group`. There is always one.
    pub fn of(group: &str, plural: &str) -> Evaluator {
        match (group, plural) {
            ("", "pods") => Evaluator::Pods,
            ("", "services") => Evaluator::Services,
            ("", "persistentvolumeclaims") => Evaluator::Claims,
            _ => Evaluator::Count(group.to_owned(), plural.to_owned()),
        }
    }

    /// The evaluator of the resource by this name in a quota; `None` if nothing counts for it.
    pub fn of_name(name: &str) -> Option<Evaluator> {
        if let Some(counted) = name.strip_prefix("count/") {
            let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
            return Some(Evaluator::of(group, plural));
        }
        if PLAIN.contains(&name) {
            return Some(Evaluator::of("", name));
        }
        let all = [Evaluator::Pods, Evaluator::Services, Evaluator::Claims];
        all.into_iter().find(|evaluator| evaluator.limits(name))
    }

    /// The group and the resource.
    pub fn resource(&self) -> (&str, &str) {
        match self {
            Evaluator::Pods => ("", "pods"),
            Evaluator::Services => ("", "services"),
            Evaluator::Claims => ("", "persistentvolumeclaims"),
            Evaluator::Count(group, plural) => (group, plural),
        }
    }

    /// Whether objects count for the resource `name`.
    pub fn limits(&self, name: &str) -> bool {
        match self {
            Evaluator::Pods => {
                let request = name.strip_prefix("requests.").unwrap_or_default();
                OF_PODS.contains(&name)
                    || is_huge_pages(name)
                    || is_huge_pages(request)
                    || !request.is_empty() && (!is_native(name) || request.starts_with(pod::DEVICE_CLASS))
            }
            Evaluator::Services => OF_SERVICES.contains(&name),
            Evaluator::Claims => {
                OF_CLAIMS.contains(&name)
                    || name.split_once(BY_CLASS).is_some_and(|(_, of)| OF_CLAIMS[1..].contains(&of))
            }
            Evaluator::Count(group, plural) => {
                let counted = name.strip_prefix("count/").is_some_and(|counted| {
                    counted.split_once('.').unwrap_or((counted, "")) == (plural, group)
                });
                counted || group.is_empty() && PLAIN.contains(&name) && name == plural
            }
        }
    }

    /// The names, of those that `quota` limits, for which objects count.
    pub fn limited<'a>(&self, quota: &'a Value, path: &[&str]) -> Vec<&'a str> {
        names(quota, path).into_iter().filter(|name| self.limits(name)).collect()
    }

    /// Whether `object` is in all of these scopes.
    pub fn is_in(&self, scopes: &[Scope], object: &Value) -> bool {
        scopes.iter().all(|scope| match (self, scope.name) {
            (Evaluator::Pods, _) => pod::is_in(scope, object),
            (Evaluator::Claims, "VolumeAttributesClass") => scope.selects(&classes(object)),
            _ => false,
        })
    }

    /// Whether `object` counts for `quota`.
    pub fn matches(&self, quota: &Value, object: &Value) -> bool {
        !self.limited(quota, &["status", "hard"]).is_empty() && self.is_in(&scopes(quota), object)
    }

    /// What `object` counts for.
    pub fn usage(&self, object: &Value, now: Timestamp) -> Amounts {
        match self {
            Evaluator::Pods => pod::usage(object, now),
            Evaluator::Services => of_service(object),
            Evaluator::Claims => of_claim(object),
            Evaluator::Count(group, plural) => {
                let dot = if group.is_empty() { "" } else { "." };
                let mut usage = Amounts::from([(format!("count/{plural}{dot}{group}"), whole(1))]);
                if group.is_empty() && PLAIN.contains(&plural.as_str()) {
                    usage.insert(plural.clone(), whole(1));
                }
                usage
            }
        }
    }

    /// What `object` has to say before it may count for `required`; why not, if it does not.
    pub fn check(&self, required: &[&str], object: &Value) -> Result<(), String> {
        match self {
            Evaluator::Pods => pod::check(required, object),
            _ => Ok(()),
        }
    }
}

pub(super) fn whole(count: usize) -> Quantity {
    Quantity::new(count as i64, Format::DecimalSi)
}

fn of_service(service: &Value) -> Amounts {
    let ports = service.list_at(&["spec", "ports"]);
    let with_node_port = ports.iter().filter(|port| port.int_at(&["nodePort"]).unwrap_or(0) != 0).count();
    let allocates =
        service.at(&["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool) != Some(false);
    let (node_ports, balancers) = match service.str_at(&["spec", "type"]).unwrap_or_default() {
        "NodePort" => (ports.len(), 0),
        "LoadBalancer" => (if allocates { ports.len() } else { with_node_port }, 1),
        _ => (0, 0),
    };
    let counts = [1, 1, node_ports, balancers].map(whole);
    OF_SERVICES.iter().map(|name| (*name).to_owned()).zip(counts).collect()
}

fn of_claim(claim: &Value) -> Amounts {
    let mut usage: Amounts = OF_CLAIMS[..2].iter().map(|name| ((*name).to_owned(), whole(1))).collect();
    let annotated = claim.str_at(&["metadata", "annotations", "volume.beta.kubernetes.io/storage-class"]);
    let class = annotated.or(claim.str_at(&["spec", "storageClassName"])).unwrap_or_default();
    let storage = |path: &[&str]| super::read(claim.at(path)).get("storage").copied();
    let asked = storage(&["spec", "resources", "requests"]);
    let allocated = storage(&["status", "allocatedResources"]).filter(|_| asked.is_some());
    if !class.is_empty() {
        usage.insert(format!("{class}{BY_CLASS}persistentvolumeclaims"), whole(1));
    }
    if let Some(storage) = asked.max(allocated) {
        usage.insert("requests.storage".to_owned(), storage);
        if !class.is_empty() {
            usage.insert(format!("{class}{BY_CLASS}requests.storage"), storage);
        }
    }
    usage
}

/// The volume attributes classes that a claim has, or is to have.
fn classes(claim: &Value) -> Vec<&str> {
    let paths: [&[&str]; 3] = [
        &["spec", "volumeAttributesClassName"],
        &["status", "currentVolumeAttributesClassName"],
        &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
    ];
    paths.iter().filter_map(|path| claim.str_at(path)).filter(|name| !name.is_empty()).collect()
}
