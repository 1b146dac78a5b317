//! Which slices to write so that all endpoints are in one: those that hold an endpoint already keep it; others fill
//! the gaps of slices that are written anyway, then of one that is not, then new ones.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::{Meta, owner, service, status};

/// Who sees to a slice.
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Which Service it belongs to.
pub(super) const SERVICE: &str = "kubernetes.io/service-name";
/// How many endpoints a slice holds at most.
const ENDPOINTS_MAX: usize = 100;

/// What tells one list of ports from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports(String);

/// The endpoints that there should be, by their ports.
pub(super) type Wanted = BTreeMap<Ports, (Vec<EndpointPort>, Vec<Endpoint>)>;

/// The slices to write.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<EndpointSlice>,
}

impl Ports {
    pub(super) fn of(ports: &[EndpointPort]) -> Ports {
        // By what they mean: a server may leave out what is empty.
        let key = |port: &EndpointPort| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            format!(
                "{}/{protocol}/{}/{}",
                text(&port.name),
                port.port.unwrap_or_default(),
                text(&port.app_protocol)
            )
        };
        let mut keys: Vec<String> = ports.iter().map(key).collect();
        keys.sort();
        Ports(keys.join(" "))
    }
}

/// Whether `slice` is ours to change.
pub(super) fn is_managed(slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

/// What turns `existing`, all of the address type `kind`, into `wanted`.
pub(super) fn plan(service: &Service, kind: &str, existing: Vec<EndpointSlice>, wanted: Wanted) -> Changes {
    let mut changes = Changes::default();
    let uid = service.metadata.uid.clone().unwrap_or_default();
    let is_owned = |slice: &EndpointSlice| {
        slice.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
    };
    let mut by_ports: BTreeMap<Ports, Vec<EndpointSlice>> = BTreeMap::new();
    for slice in existing {
        if is_owned(&slice) {
            let ports = Ports::of(slice.ports.as_deref().unwrap_or_default());
            by_ports.entry(ports).or_default().push(slice);
        } else {
            changes.delete.push(slice);
        }
    }
    let mut kept = 0;
    for (key, (ports, endpoints)) in wanted {
        kept +=
            fill(service, kind, by_ports.remove(&key).unwrap_or_default(), ports, endpoints, &mut changes);
    }
    changes.delete.extend(by_ports.into_values().flatten());
    if kept == 0 && changes.create.is_empty() && changes.update.is_empty() {
        keep_placeholder(service, kind, &mut changes);
    }
    reuse(&mut changes, is_owned);
    changes
}

/// Puts the endpoints of one list of ports into slices; how many slices stay as they are.
fn fill(
    service: &Service,
    kind: &str,
    existing: Vec<EndpointSlice>,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
    changes: &mut Changes,
) -> usize {
    let mut missing: BTreeMap<String, Endpoint> =
        endpoints.into_iter().map(|one| (identity(&one), one)).collect();
    let labels = labels(service);
    let (mut unchanged, mut updated): (Vec<EndpointSlice>, Vec<EndpointSlice>) = (Vec::new(), Vec::new());
    for slice in existing {
        let kept: Vec<Endpoint> =
            endpoints_of(&slice).iter().filter_map(|one| missing.remove(&identity(one))).collect();
        if kept.is_empty() && !endpoints_of(&slice).is_empty() {
            changes.delete.push(slice);
        } else if !status::same(&kept, &endpoints_of(&slice))
            || slice.metadata.labels.as_ref() != Some(&labels)
        {
            updated.push(relabelled(EndpointSlice { endpoints: Some(kept), ..slice }, &labels));
        } else {
            unchanged.push(slice);
        }
    }
    let mut missing: Vec<Endpoint> = missing.into_values().collect();
    // The fullest first, so that few stay half full.
    updated.sort_by_key(|slice| std::cmp::Reverse(endpoints_of(slice).len()));
    for slice in &mut updated {
        take(slice, &mut missing);
    }
    let room = |slice: &EndpointSlice| ENDPOINTS_MAX.saturating_sub(endpoints_of(slice).len());
    if !missing.is_empty() {
        let fitting = (0..unchanged.len()).filter(|at| room(&unchanged[*at]) >= missing.len());
        if let Some(at) = fitting.min_by_key(|at| room(&unchanged[*at])) {
            let mut slice = unchanged.swap_remove(at);
            take(&mut slice, &mut missing);
            updated.push(slice);
        }
    }
    while !missing.is_empty() {
        let mut slice = make(service, kind, ports.clone());
        take(&mut slice, &mut missing);
        changes.create.push(slice);
    }
    changes.update.extend(updated);
    unchanged.len()
}

/// Moves as many endpoints as there is room for into `slice`.
fn take(slice: &mut EndpointSlice, missing: &mut Vec<Endpoint>) {
    let count = missing.len().min(ENDPOINTS_MAX.saturating_sub(endpoints_of(slice).len()));
    slice.endpoints.get_or_insert_default().extend(missing.drain(..count));
}

/// A Service without endpoints has one empty slice, by which readers know that it is known.
fn keep_placeholder(service: &Service, kind: &str, changes: &mut Changes) {
    let placeholder = make(service, kind, Vec::new());
    let is_one = |slice: &EndpointSlice| {
        endpoints_of(slice).is_empty()
            && slice.ports.as_ref().is_none_or(Vec::is_empty)
            && slice.metadata.labels == placeholder.metadata.labels
    };
    match changes.delete.as_slice() {
        [only] if is_one(only) => changes.delete.clear(),
        _ => changes.create.push(placeholder),
    }
}

/// Writes what was to be created over what was to be deleted.
fn reuse(changes: &mut Changes, is_owned: impl Fn(&EndpointSlice) -> bool) {
    let mut at = 0;
    while at < changes.delete.len() {
        if !is_owned(&changes.delete[at]) {
            at += 1;
            continue;
        }
        let Some(created) = changes.create.pop() else { return };
        let old = changes.delete.remove(at);
        let metadata = ObjectMeta { labels: created.metadata.labels, ..old.metadata };
        changes.update.push(EndpointSlice { metadata, ..created });
    }
}

fn endpoints_of(slice: &EndpointSlice) -> &[Endpoint] {
    slice.endpoints.as_deref().unwrap_or_default()
}

fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default();
    let hostname = endpoint.hostname.as_deref().unwrap_or_default();
    format!("{} {target} {hostname}", endpoint.addresses.join(","))
}

fn make(service: &Service, kind: &str, ports: Vec<EndpointPort>) -> EndpointSlice {
    let meta = Meta::from(&service.metadata);
    EndpointSlice {
        address_type: kind.to_owned(),
        endpoints: Some(Vec::new()),
        ports: Some(ports),
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", meta.name)),
            namespace: Some(meta.namespace.clone()),
            labels: Some(labels(service)),
            owner_references: Some(vec![owner::reference::<Service>(&meta)]),
            ..ObjectMeta::default()
        },
    }
}

fn relabelled(mut slice: EndpointSlice, labels: &BTreeMap<String, String>) -> EndpointSlice {
    slice.metadata.labels = Some(labels.clone());
    slice
}

/// The Service's labels, and ours.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if service::has_address(service) {
        labels.remove(service::HEADLESS);
    } else {
        labels.insert(service::HEADLESS.to_owned(), String::new());
    }
    labels
}
