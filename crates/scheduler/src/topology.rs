//! Columns of what is told apart by name: the values of labels that make nodes one domain, and images.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use decapod_api::Str;

use crate::columns::Slot;

/// A map without a random seed, so that one seed replays a whole simulation.
pub type FixedMap<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// The values of one label, as small numbers.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    /// The domain of each slot; 0 for none.
    of: Vec<u32>,
    ids: FixedMap<Str, u32>,
}

/// Which nodes have which images (pkg/scheduler/backend/cache).
#[derive(Clone, Debug, Default)]
pub struct Images {
    ids: FixedMap<Str, u32>,
    states: Vec<ImageState>,
    free: Vec<u32>,
    /// The images of each slot, sorted.
    of: Vec<Vec<u32>>,
}

/// One image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageState {
    /// Its size, as the first node said that had it.
    pub size_bytes: i64,
    /// How many nodes have it.
    pub nodes: u32,
}

// === impl Domains ===

impl Domains {
    /// Sets the value of the label on the node at `slot`.
    pub fn set(&mut self, slot: Slot, value: Option<&str>) {
        let next = self.ids.len() as u32 + 1;
        let id = value.map_or(0, |value| *self.ids.entry(value.into()).or_insert(next));
        if self.of.len() <= slot as usize {
            self.of.resize(slot as usize + 1, 0);
        }
        self.of[slot as usize] = id;
    }

    /// The domain of the node at `slot`; 0 when it has no such label.
    pub fn of(&self, slot: Slot) -> usize {
        self.of.get(slot as usize).map_or(0, |id| *id as usize)
    }

    /// One more than the greatest domain: the length of an array over domains.
    pub fn len(&self) -> usize {
        self.ids.len() + 1
    }

    /// Whether no node has such a label.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

// === impl Images ===

impl Images {
    /// Sets the images of the node at `slot`.
    pub fn set(&mut self, slot: Slot, images: &[(Str, i64)]) {
        if self.of.len() <= slot as usize {
            self.of.resize_with(slot as usize + 1, Vec::new);
        }
        let mut now: Vec<u32> = images.iter().map(|(name, size)| self.intern(name, *size)).collect();
        now.sort_unstable();
        now.dedup();
        now.iter().for_each(|id| self.states[*id as usize].nodes += 1);
        for id in std::mem::replace(&mut self.of[slot as usize], now) {
            self.states[id as usize].nodes -= 1;
            if self.states[id as usize].nodes == 0 {
                self.ids.retain(|_, known| *known != id);
                self.free.push(id);
            }
        }
    }

    fn intern(&mut self, name: &Str, size_bytes: i64) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let state = ImageState { size_bytes, nodes: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.states[id as usize] = state;
                id
            }
            None => {
                self.states.push(state);
                self.states.len() as u32 - 1
            }
        };
        self.ids.insert(name.clone(), id);
        id
    }

    /// The image of this name, if any node has it.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// What is known of the image `id`.
    pub fn state(&self, id: u32) -> ImageState {
        self.states[id as usize]
    }

    /// Whether the node at `slot` has the image `id`.
    pub fn has(&self, slot: Slot, id: u32) -> bool {
        self.of.get(slot as usize).is_some_and(|ids| ids.binary_search(&id).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_forgotten_with_their_last_node() {
        let mut images = Images::default();
        images.set(0, &[("a:1".into(), 10), ("b:1".into(), 20)]);
        images.set(1, &[("a:1".into(), 11)]);
        let a = images.id("a:1").expect("known");
        assert_eq!(images.state(a), ImageState { size_bytes: 10, nodes: 2 });
        images.set(0, &[]);
        assert_eq!(images.id("b:1"), None);
        assert_eq!((images.has(0, a), images.has(1, a)), (false, true));
    }
}
