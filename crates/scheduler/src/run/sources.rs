//! What the scheduler watches, and how that is told to the [`Core`].

use std::time::Duration;

use decapod_api::Object;
use decapod_client::{Change, Changes, Client, Informer, Kind, ObjectKey, Selection, decode};
use decapod_sys::Env;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;

use crate::core::Core;
use crate::labels::{Labels, Selector};
use crate::node::NodeInfo;
use crate::pod::{OwnerKind, PodInfo};
use crate::preempt::Budget;
use crate::storage::{Claim, Class, Volume};

/// The informers. Cloning shares them.
#[derive(Clone)]
pub struct Sources {
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    namespaces: Informer<Namespace>,
    services: Informer<Service>,
    replication_controllers: Informer<ReplicationController>,
    replica_sets: Informer<ReplicaSet>,
    stateful_sets: Informer<StatefulSet>,
    budgets: Informer<PodDisruptionBudget>,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
}

/// Whose change an input is.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    Pods,
    Nodes,
    Namespaces,
    Services,
    ReplicationControllers,
    ReplicaSets,
    StatefulSets,
    Budgets,
    Claims,
    Volumes,
    Classes,
}

/// One change that has been seen.
pub type Input = (Source, Change);

/// Pods that have ended hold nothing on a node, and are left out as by upstream's informer.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";

// === impl Sources ===

impl Sources {
    /// Starts the informers.
    pub fn start(env: &Env, client: &Client) -> Sources {
        let running = Selection { field_selector: RUNNING.to_owned(), ..Selection::default() };
        Sources {
            pods: Informer::start(env, client, running),
            nodes: Informer::start(env, client, Selection::default()),
            namespaces: Informer::start(env, client, Selection::default()),
            services: Informer::start(env, client, Selection::default()),
            replication_controllers: Informer::start(env, client, Selection::default()),
            replica_sets: Informer::start(env, client, Selection::default()),
            stateful_sets: Informer::start(env, client, Selection::default()),
            budgets: Informer::start(env, client, Selection::default()),
            claims: Informer::start(env, client, Selection::default()),
            volumes: Informer::start(env, client, Selection::default()),
            classes: Informer::start(env, client, Selection::default()),
        }
    }

    /// Returns once all first lists are in.
    pub async fn synced(&self) {
        self.pods.synced().await;
        self.nodes.synced().await;
        self.namespaces.synced().await;
        self.services.synced().await;
        self.replication_controllers.synced().await;
        self.replica_sets.synced().await;
        self.stateful_sets.synced().await;
        self.budgets.synced().await;
        self.claims.synced().await;
        self.volumes.synced().await;
        self.classes.synced().await;
    }

    /// All changes from now on, after everything that is there.
    pub fn subscribe(&self) -> SelectAll<BoxStream<'static, Input>> {
        futures::stream::select_all([
            stream(Source::Pods, self.pods.subscribe()),
            stream(Source::Nodes, self.nodes.subscribe()),
            stream(Source::Namespaces, self.namespaces.subscribe()),
            stream(Source::Services, self.services.subscribe()),
            stream(Source::ReplicationControllers, self.replication_controllers.subscribe()),
            stream(Source::ReplicaSets, self.replica_sets.subscribe()),
            stream(Source::StatefulSets, self.stateful_sets.subscribe()),
            stream(Source::Budgets, self.budgets.subscribe()),
            stream(Source::Claims, self.claims.subscribe()),
            stream(Source::Volumes, self.volumes.subscribe()),
            stream(Source::Classes, self.classes.subscribe()),
        ])
    }
}

fn stream(source: Source, changes: Changes) -> BoxStream<'static, Input> {
    futures::stream::unfold(changes, move |mut changes| async move {
        let change = changes.next().await?;
        Some(((source, change), changes))
    })
    .boxed()
}

/// Tells `core` of one change.
pub fn apply(core: &mut Core, (source, change): Input, now: Duration) {
    let Change { key, old, new } = change;
    match source {
        Source::Pods => apply_pod(core, old.as_ref(), new.as_ref(), now),
        Source::Nodes => {
            let node = read(&new).map(|node: Node| NodeInfo::new(&node));
            core.set_node(&key.name, node, now);
        }
        Source::Namespaces => {
            let labels =
                read(&new).map(|namespace: Namespace| Labels::new(namespace.metadata.labels.as_ref()));
            core.snapshot_mut().set_namespace(&key.name, labels);
        }
        Source::Services => {
            let selector = read(&new).and_then(|service: Service| service.spec?.selector);
            core.snapshot_mut().workloads_mut().set_service(&key.namespace, &key.name, selector);
        }
        Source::ReplicationControllers => {
            let selector = read(&new).and_then(|owner: ReplicationController| owner.spec?.selector);
            set_owner(core, OwnerKind::ReplicationController, &key, selector.as_ref().map(Selector::equal));
        }
        Source::ReplicaSets => {
            let selector = read(&new).and_then(|owner: ReplicaSet| Some(owner.spec?.selector));
            set_owner(core, OwnerKind::ReplicaSet, &key, selector.map(|s| Selector::new(Some(&s))));
        }
        Source::StatefulSets => {
            let selector = read(&new).and_then(|owner: StatefulSet| Some(owner.spec?.selector));
            set_owner(core, OwnerKind::StatefulSet, &key, selector.map(|s| Selector::new(Some(&s))));
        }
        Source::Budgets => {
            core.set_budget(key.to_string(), read(&new).map(|budget| budget_of(&key, &budget)))
        }
        Source::Claims => {
            let claim = read(&new).map(|claim: PersistentVolumeClaim| Claim::new(&claim));
            core.set_claim((key.namespace.as_str().into(), key.name.as_str().into()), claim, now);
        }
        Source::Volumes => {
            let volume = read(&new).map(|volume: PersistentVolume| Volume::new(&volume));
            core.set_volume(&key.name, volume, now);
        }
        Source::Classes => {
            let class = read(&new).map(|class: StorageClass| Class::new(&class));
            core.set_class(&key.name, class, now);
        }
    }
}

/// The object's type; an object that cannot be read counts as gone.
fn read<K: Kind>(object: &Option<Object>) -> Option<K> {
    let object = object.as_ref()?;
    decode(object).inspect_err(|error| tracing::warn!(?object, %error, "cannot read an object")).ok()
}

fn set_owner(core: &mut Core, kind: OwnerKind, key: &ObjectKey, selector: Option<Selector>) {
    core.snapshot_mut().workloads_mut().set_owner(kind, &key.namespace, &key.name, selector);
}

fn budget_of(key: &ObjectKey, budget: &PodDisruptionBudget) -> Budget {
    let status = budget.status.as_ref();
    let disrupted = status.into_iter().flat_map(|status| status.disrupted_pods.iter().flatten());
    Budget {
        namespace: key.namespace.as_str().into(),
        selector: Selector::new(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref())),
        allowed: status.and_then(|status| status.disruptions_allowed).unwrap_or(0),
        disrupted: disrupted.map(|(name, _)| name.as_str().into()).collect(),
    }
}

fn apply_pod(core: &mut Core, old: Option<&Object>, new: Option<&Object>, now: Duration) {
    if let Some(old) = old.filter(|old| new.is_none_or(|new| new.uid() != old.uid())) {
        core.remove_pod(&old.uid(), now);
    }
    let Some(new) = new else { return };
    if old.is_some_and(|old| !matters(old, new)) {
        return;
    }
    match decode::<Pod>(new) {
        Ok(pod) => core.set_pod(PodInfo::new(&pod), now),
        Err(error) => tracing::warn!(pod = ?new, %error, "cannot read a pod"),
    }
}

/// Whether anything has changed of a bound pod that the scheduler minds: a kubelet's reports mostly do not.
fn matters(old: &Object, new: &Object) -> bool {
    const PATHS: [&[&str]; 7] = [
        &["metadata", "uid"],
        &["metadata", "generation"],
        &["metadata", "labels"],
        &["metadata", "deletionTimestamp"],
        &["spec"],
        &["status", "startTime"],
        &["status", "nominatedNodeName"],
    ];
    let pending = new.raw(&["spec", "nodeName"]).is_none();
    // What a pod that has been resized holds is told by its containers' statuses.
    let resized = new.raw(&["metadata", "generation"]).is_some_and(|generation| generation != b"1");
    let statuses: &[&str] = &["status", "containerStatuses"];
    pending
        || PATHS.iter().any(|path| old.raw(path) != new.raw(path))
        || (resized && old.raw(statuses) != new.raw(statuses))
}
