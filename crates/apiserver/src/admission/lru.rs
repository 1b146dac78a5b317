//! A map that forgets what was asked for the longest ago.

use std::collections::{BTreeMap, HashMap};

/// At most so many values by text.
pub struct Lru<T> {
    max: usize,
    /// The values, with the time of their last use.
    values: HashMap<String, (u64, T)>,
    by_use: BTreeMap<u64, String>,
    clock: u64,
}

// === impl Lru ===

impl<T> Lru<T> {
    /// An empty one of `max` values, at least one.
    pub fn new(max: usize) -> Lru<T> {
        Lru { max: max.max(1), values: HashMap::new(), by_use: BTreeMap::new(), clock: 0 }
    }

    /// The value of `key`, made if there is none.
    pub fn entry(&mut self, key: &str, make: impl FnOnce() -> T) -> &mut T {
        self.clock += 1;
        if let Some((used, _)) = self.values.get(key) {
            self.by_use.remove(used);
        } else if self.values.len() >= self.max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.values.remove(&oldest);
        }
        self.by_use.insert(self.clock, key.to_owned());
        let entry = self.values.entry(key.to_owned()).or_insert_with(|| (0, make()));
        entry.0 = self.clock;
        &mut entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_goes() {
        let mut lru = Lru::new(2);
        for key in ["a", "b", "a", "c", "a", "b"] {
            *lru.entry(key, || 0) += 1;
        }
        assert_eq!([*lru.entry("a", || 0), *lru.entry("b", || 0), *lru.entry("c", || 0)], [3, 1, 0]);
    }
}
