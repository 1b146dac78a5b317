//! The cluster as the scheduler sees it: nodes in columns, and the pods on them, the assumed ones among them.

use std::sync::Arc;

use decapod_api::Str;

use crate::classes::{Class, Classes, Counted, Counter, Namespaces};
use crate::columns::{Columns, Slot};
use crate::labels::Labels;
use crate::node::NodeInfo;
use crate::pod::{PodInfo, Shape};
use crate::storage::{Storage, VolumePlan};
use crate::topology::{Domains, FixedMap, Images};
use crate::workloads::Workloads;

/// Everything that decisions follow from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    slots: FixedMap<Str, Slot>,
    live: Vec<Slot>,
    free: Vec<Slot>,
    nodes: Vec<NodeInfo>,
    /// Counts changes of nodes and of what is on them.
    epoch: u64,
    /// By slot: the last of them.
    changed_at: Vec<u64>,
    columns: Columns,
    images: Images,
    residents: Vec<Vec<Arc<PodInfo>>>,
    /// Pods on nodes that have not been seen yet, or no more.
    strangers: FixedMap<Str, Vec<Arc<PodInfo>>>,
    /// The node of every placed pod, by the pod's UID.
    placed: FixedMap<Str, Str>,
    classes: Classes,
    domains: FixedMap<Str, Domains>,
    namespaces: Namespaces,
    workloads: Workloads,
    storage: Storage,
    /// Pods that wait for victims to make room, by UID, with their nodes.
    nominated: std::collections::BTreeMap<Str, Arc<PodInfo>>,
}

// === impl Snapshot: nodes ===

impl Snapshot {
    /// Adds a node, or takes over what has changed of it.
    pub fn set_node(&mut self, mut node: NodeInfo) {
        self.epoch += 1;
        let slot = self.slots.get(&node.name).copied().unwrap_or_else(|| self.make_slot(&node.name));
        let i = slot as usize;
        self.changed_at[i] = self.epoch;
        self.columns.set_allocatable(slot, &node.allocatable, node.allocatable_pods);
        self.images.set(slot, &std::mem::take(&mut node.images));
        for (key, domains) in &mut self.domains {
            domains.set(slot, node.labels.get(key));
        }
        let name = node.name.clone();
        self.nodes[i] = node;
        for pod in self.strangers.remove(&name).into_iter().flatten() {
            self.settle(slot, pod);
        }
    }

    fn make_slot(&mut self, name: &Str) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(NodeInfo::default());
            self.changed_at.push(0);
            self.residents.push(Vec::new());
            self.columns.resize(self.nodes.len());
            self.nodes.len() as Slot - 1
        });
        self.slots.insert(name.clone(), slot);
        let at = self.live.partition_point(|live| *live < slot);
        self.live.insert(at, slot);
        slot
    }

    /// Forgets a node; its pods wait in case it comes again.
    pub fn remove_node(&mut self, name: &str) {
        let Some(slot) = self.slots.remove(name) else { return };
        self.epoch += 1;
        let i = slot as usize;
        self.live.retain(|live| *live != slot);
        for pod in std::mem::take(&mut self.residents[i]) {
            self.book(slot, &pod, -1);
            self.strangers.entry(name.into()).or_default().push(pod);
        }
        self.columns.set_allocatable(slot, &Default::default(), 0);
        self.images.set(slot, &[]);
        self.domains.values_mut().for_each(|domains| domains.set(slot, None));
        self.nodes[i] = NodeInfo::default();
        self.changed_at[i] = self.epoch;
        self.free.push(slot);
    }

    /// The slots of all nodes, ascending.
    pub fn live(&self) -> &[Slot] {
        &self.live
    }

    /// How many slots there are, live or not: the length of an array over slots.
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The slot of a node.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied()
    }

    /// The node at `slot`; its images are told by [`Snapshot::images`].
    pub fn node(&self, slot: Slot) -> &NodeInfo {
        &self.nodes[slot as usize]
    }

    /// When the node at `slot` last changed, or what is on it, in the count of [`Snapshot::epoch`].
    pub fn changed_at(&self, slot: Slot) -> u64 {
        self.changed_at[slot as usize]
    }

    /// How many changes of nodes and of what is on them there have been.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The images of nodes.
    pub fn images(&self) -> &Images {
        &self.images
    }
}

// === impl Snapshot: pods ===

impl Snapshot {
    /// Places `pod` on its node; it may be placed already, as it was or otherwise.
    pub fn add_pod(&mut self, mut pod: PodInfo) {
        self.remove_pod(&pod.uid);
        pod.shape = self.share(&pod.shape);
        self.nominated.remove(&pod.uid);
        let pod = Arc::new(pod);
        self.placed.insert(pod.uid.clone(), pod.node.clone());
        match self.slot(&pod.node) {
            Some(slot) => self.settle(slot, pod),
            None => self.strangers.entry(pod.node.clone()).or_default().push(pod),
        }
    }

    /// Takes the pod with this UID off its node; says whether it was on one.
    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let node = self.placed.remove(uid)?;
        let Some(slot) = self.slot(&node) else {
            let strangers = self.strangers.get_mut(&node)?;
            let i = strangers.iter().position(|pod| pod.uid == uid)?;
            let pod = strangers.swap_remove(i);
            if strangers.is_empty() {
                self.strangers.remove(&node);
            }
            return Some(pod);
        };
        let residents = &mut self.residents[slot as usize];
        let i = residents.iter().position(|pod| pod.uid == uid)?;
        let pod = residents.swap_remove(i);
        self.book(slot, &pod, -1);
        Some(pod)
    }

    fn settle(&mut self, slot: Slot, pod: Arc<PodInfo>) {
        self.book(slot, &pod, 1);
        self.residents[slot as usize].push(pod);
    }

    fn book(&mut self, slot: Slot, pod: &PodInfo, sign: i64) {
        self.epoch += 1;
        self.changed_at[slot as usize] = self.epoch;
        if sign > 0 {
            self.columns.take(slot, pod);
        } else {
            self.columns.give_back(slot, pod);
        }
        let class = self.classes.intern(&pod.shape, &self.namespaces);
        self.classes.book(class, slot, sign);
    }

    /// The pod with this UID, if it is placed.
    pub fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        let node = self.placed.get(uid)?;
        let pods = match self.slot(node) {
            Some(slot) => &self.residents[slot as usize],
            None => self.strangers.get(node)?,
        };
        pods.iter().find(|pod| pod.uid == uid)
    }

    /// The pods on the node at `slot`, in no order.
    pub fn residents(&self, slot: Slot) -> &[Arc<PodInfo>] {
        &self.residents[slot as usize]
    }

    /// How many pods are placed.
    pub fn pods(&self) -> usize {
        self.placed.len()
    }

    /// Puts a pod on the node at `slot` for a moment: to see what would be. [`Snapshot::retract`] undoes it.
    pub fn suppose(&mut self, slot: Slot, pod: &PodInfo) {
        self.book(slot, pod, 1);
    }

    /// Takes a pod off the node at `slot` for a moment; [`Snapshot::suppose`] undoes it.
    pub fn retract(&mut self, slot: Slot, pod: &PodInfo) {
        self.book(slot, pod, -1);
    }

    /// Remembers that `pod` waits for room on the node that it names as nominated.
    pub fn nominate(&mut self, pod: PodInfo) {
        self.nominated.insert(pod.uid.clone(), Arc::new(pod));
    }

    /// Forgets a nomination.
    pub fn denominate(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        self.nominated.remove(uid)
    }

    /// The pods that wait for room, in order of their UIDs.
    pub fn nominated(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.nominated.values()
    }
}

// === impl Snapshot: classes, domains, namespaces, workloads ===

impl Snapshot {
    /// The one value of `shape` that all pods of it share.
    pub fn share(&mut self, shape: &Arc<Shape>) -> Arc<Shape> {
        let class = self.classes.intern(shape, &self.namespaces);
        self.classes.shape(class).clone()
    }

    /// The classes whose running pods have affinity terms, in a fixed order.
    pub fn bearers(&self) -> impl Iterator<Item = &Class> {
        self.classes.bearers()
    }

    /// Makes sure that `counted` is being counted.
    pub fn count(&mut self, counted: &Counted) {
        self.classes.count(counted, self.nodes.len(), &self.namespaces);
    }

    /// The counter of what [`Snapshot::count`] was asked for.
    pub fn counter(&self, counted: &Counted) -> Option<&Counter> {
        self.classes.counter(counted)
    }

    /// Makes sure that the domains of the label `key` are known.
    pub fn divide(&mut self, key: &Str) {
        if !self.domains.contains_key(key) {
            let mut domains = Domains::default();
            self.live.iter().for_each(|slot| domains.set(*slot, self.nodes[*slot as usize].labels.get(key)));
            self.domains.insert(key.clone(), domains);
        }
    }

    /// The domains of the label that [`Snapshot::divide`] was asked for.
    pub fn domains(&self, key: &str) -> Option<&Domains> {
        self.domains.get(key)
    }

    /// Sets or (`None`) forgets the labels of a namespace.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        let before = match labels {
            Some(labels) if self.namespaces.get(name) == Some(&labels) => return,
            Some(labels) => self.namespaces.insert(name.into(), labels),
            None => self.namespaces.remove(name),
        };
        // A namespace that is new has no pods yet.
        if before.is_some() {
            self.classes.recount();
        }
    }

    /// The labels of a namespace; none if it is not known.
    pub fn namespace(&self, name: &str) -> Labels {
        self.namespaces.get(name).cloned().unwrap_or_default()
    }

    /// Whose selectors pods are spread by when they say nothing themselves.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// The same, to change it.
    pub fn workloads_mut(&mut self) -> &mut Workloads {
        &mut self.workloads
    }

    /// Claims, volumes and storage classes.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The same, to change them.
    pub fn storage_mut(&mut self) -> &mut Storage {
        &mut self.storage
    }

    /// What has to be written before `pod`, for which its node has been found to do, can be bound to it.
    pub fn volumes_for(&self, pod: &PodInfo) -> VolumePlan {
        let claims = self.storage.claims_of(pod).ok();
        let node = self.slot(&pod.node).map(|slot| self.node(slot));
        claims.zip(node).and_then(|(claims, node)| claims.plan(node).ok()).unwrap_or_default()
    }
}
