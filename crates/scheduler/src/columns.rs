//! What nodes have and what is taken of it, as arrays per resource: a filter reads a few cache lines per hundred nodes.

use decapod_api::Str;

use crate::pod::{HostPort, PodInfo};
use crate::resources::Resources;

/// The place of a node in every column. It stays while the node is there, and is given away again afterwards.
pub type Slot = u32;

/// One array per resource.
#[derive(Clone, Debug, Default)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_milli: Vec<i64>,
    /// Bytes.
    pub memory_bytes: Vec<i64>,
    /// Bytes.
    pub ephemeral_bytes: Vec<i64>,
    /// Extended resources, in the order of [`Columns::extended`].
    pub extended: Vec<Vec<i64>>,
}

/// All columns.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// What pods may take.
    pub allocatable: Amounts,
    /// What pods asked for.
    pub requested: Amounts,
    /// What pods asked for as scoring counts it: never nothing.
    pub scored_cpu_milli: Vec<i64>,
    /// What pods asked for as scoring counts it: never nothing.
    pub scored_memory_bytes: Vec<i64>,
    /// How many pods there may be.
    pub allocatable_pods: Vec<i64>,
    /// How many pods there are.
    pub pods: Vec<i64>,
    /// Ports in use, with repetitions.
    pub ports: Vec<Vec<HostPort>>,
    /// The names of the extended resources that any node has or any pod asked for.
    pub extended: Vec<Str>,
}

// === impl Amounts ===

impl Amounts {
    fn resize(&mut self, slots: usize, extended: usize) {
        self.cpu_milli.resize(slots, 0);
        self.memory_bytes.resize(slots, 0);
        self.ephemeral_bytes.resize(slots, 0);
        self.extended.resize_with(extended, Vec::new);
        self.extended.iter_mut().for_each(|column| column.resize(slots, 0));
    }
}

// === impl Columns ===

impl Columns {
    /// Makes room for `slots` slots.
    pub fn resize(&mut self, slots: usize) {
        self.allocatable.resize(slots, self.extended.len());
        self.requested.resize(slots, self.extended.len());
        self.scored_cpu_milli.resize(slots, 0);
        self.scored_memory_bytes.resize(slots, 0);
        self.allocatable_pods.resize(slots, 0);
        self.pods.resize(slots, 0);
        self.ports.resize_with(slots, Vec::new);
    }

    /// The column of an extended resource, if it has one.
    pub fn extended_column(&self, name: &str) -> Option<usize> {
        self.extended.iter().position(|known| known == name)
    }

    fn make_extended_column(&mut self, name: &Str) -> usize {
        self.extended_column(name).unwrap_or_else(|| {
            self.extended.push(name.clone());
            self.resize(self.pods.len());
            self.extended.len() - 1
        })
    }

    /// Sets what the node at `slot` has.
    pub fn set_allocatable(&mut self, slot: Slot, resources: &Resources, pods: i64) {
        let i = slot as usize;
        self.allocatable.cpu_milli[i] = resources.cpu_milli;
        self.allocatable.memory_bytes[i] = resources.memory_bytes;
        self.allocatable.ephemeral_bytes[i] = resources.ephemeral_bytes;
        self.allocatable_pods[i] = pods;
        self.allocatable.extended.iter_mut().for_each(|column| column[i] = 0);
        for (name, amount) in &resources.extended {
            let column = self.make_extended_column(name);
            self.allocatable.extended[column][i] = *amount;
        }
    }

    /// Takes what `pod` asks for from the node at `slot`.
    pub fn take(&mut self, slot: Slot, pod: &PodInfo) {
        self.book(slot, pod, 1);
        self.ports[slot as usize].extend(pod.shape.ports.iter().cloned());
    }

    /// Gives back what `pod` took from the node at `slot`.
    pub fn give_back(&mut self, slot: Slot, pod: &PodInfo) {
        self.book(slot, pod, -1);
        let used = &mut self.ports[slot as usize];
        for port in &pod.shape.ports {
            if let Some(i) = used.iter().position(|used| used == port) {
                used.swap_remove(i);
            }
        }
    }

    fn book(&mut self, slot: Slot, pod: &PodInfo, sign: i64) {
        let (i, requests) = (slot as usize, &pod.shape.requests);
        self.pods[i] += sign;
        self.requested.cpu_milli[i] += sign * requests.resources.cpu_milli;
        self.requested.memory_bytes[i] += sign * requests.resources.memory_bytes;
        self.requested.ephemeral_bytes[i] += sign * requests.resources.ephemeral_bytes;
        self.scored_cpu_milli[i] += sign * requests.scored_cpu_milli;
        self.scored_memory_bytes[i] += sign * requests.scored_memory_bytes;
        for (name, amount) in &requests.resources.extended {
            let column = self.make_extended_column(name);
            self.requested.extended[column][i] += sign * amount;
        }
    }
}
