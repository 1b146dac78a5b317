//! What an informer holds: objects by key, and the indices over them. No IO.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use decapod_api::Object;

use super::{Change, Indexer, ObjectKey};

/// Objects by key, with indices.
pub(super) struct Cache {
    objects: BTreeMap<Arc<ObjectKey>, Object>,
    indices: Vec<Index>,
}

struct Index {
    indexer: Indexer,
    keys: BTreeMap<String, BTreeSet<Arc<ObjectKey>>>,
}

// === impl Cache ===

impl Cache {
    pub(super) fn new(indexers: Vec<Indexer>) -> Cache {
        let indices = indexers.into_iter().map(|indexer| Index { indexer, keys: BTreeMap::new() }).collect();
        Cache { objects: BTreeMap::new(), indices }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Object> {
        self.objects.get(key).cloned()
    }

    pub(super) fn objects(&self) -> Vec<Object> {
        self.objects.values().cloned().collect()
    }

    pub(super) fn namespaced(&self, namespace: &str) -> Vec<Object> {
        // No name is empty, so that this is right before the namespace's first.
        let from = ObjectKey::new(namespace, "");
        let range = self.objects.range::<ObjectKey, _>(&from..);
        range.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn indexed(&self, index: &str, value: &str) -> Vec<Object> {
        let index = self.indices.iter().find(|candidate| candidate.indexer.name == index);
        debug_assert!(index.is_some(), "no such index");
        let keys = index.and_then(|index| index.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| self.get(key)).collect()
    }

    /// Puts `object` in its place; `None` if it is there already.
    pub(super) fn set(&mut self, object: Object) -> Option<Change> {
        let key = ObjectKey::of(&object);
        let shared = match self.objects.get_key_value(&key) {
            Some((_, old)) if old.revision() == object.revision() => return None,
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::new(key.clone()),
        };
        let old = self.objects.insert(Arc::clone(&shared), object.clone());
        for index in &mut self.indices {
            index.change(&shared, old.as_ref(), Some(&object));
        }
        Some(Change { key, old, new: Some(object) })
    }

    /// Takes out what is at `key`. `last` is its final state, if that is known.
    pub(super) fn remove(&mut self, key: &ObjectKey, last: Option<Object>) -> Option<Change> {
        let (shared, old) = self.objects.remove_entry(key)?;
        for index in &mut self.indices {
            index.change(&shared, Some(&old), None);
        }
        Some(Change { key: key.clone(), old: last.or(Some(old)), new: None })
    }

    /// Makes `objects` all that is there.
    pub(super) fn replace(&mut self, objects: Vec<Object>) -> Vec<Change> {
        let kept: BTreeSet<ObjectKey> = objects.iter().map(ObjectKey::of).collect();
        let gone: Vec<Arc<ObjectKey>> =
            self.objects.keys().filter(|key| !kept.contains(&***key)).cloned().collect();
        let removed: Vec<Change> = gone.iter().filter_map(|key| self.remove(key, None)).collect();
        removed
            .into_iter()
            .chain(objects.into_iter().filter_map(|object| self.set(object)).collect::<Vec<_>>())
            .collect()
    }
}

// === impl Index ===

impl Index {
    fn change(&mut self, key: &Arc<ObjectKey>, old: Option<&Object>, new: Option<&Object>) {
        let values = |object: Option<&Object>| object.map(self.indexer.keys).unwrap_or_default();
        let (before, after) = (values(old), values(new));
        for value in before.iter().filter(|value| !after.contains(value)) {
            if let Some(keys) = self.keys.get_mut(value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(value);
                }
            }
        }
        for value in after {
            self.keys.entry(value).or_default().insert(Arc::clone(key));
        }
    }
}
