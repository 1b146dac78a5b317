//! Back-off of restarts and pulls: doubles from one failure to the next, forgotten after a long enough calm
//! (k8s.io/client-go/util/flowcontrol Backoff).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// Delays by key.
#[derive(Clone, Debug)]
pub struct Backoffs {
    entries: BTreeMap<String, Entry>,
    max: SignedDuration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    delay: SignedDuration,
    updated: Timestamp,
}

/// The first delay, of restarts and pulls alike.
const FIRST: SignedDuration = SignedDuration::from_secs(10);
/// The longest.
const MAX: SignedDuration = SignedDuration::from_secs(300);

// === impl Backoffs ===

impl Default for Backoffs {
    fn default() -> Backoffs {
        Backoffs { entries: BTreeMap::new(), max: MAX }
    }
}

impl Backoffs {
    /// Until when `key`, which failed at `since`, is to wait; `None` if it need not.
    pub fn until(&self, key: &str, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let entry = self.entries.get(key).filter(|entry| !self.is_old(entry, since))?;
        let until = since.checked_add(entry.delay).ok()?;
        (now < until).then_some(until)
    }

    /// The delay of `key` as it is.
    pub fn delay(&self, key: &str) -> Option<SignedDuration> {
        self.entries.get(key).map(|entry| entry.delay)
    }

    /// Notes that `key`, which failed at `since`, is tried again now; the next wait is twice as long.
    pub fn next(&mut self, key: &str, since: Timestamp, now: Timestamp) {
        let entry = self.entries.get(key).filter(|entry| !self.is_old(entry, since));
        let delay = entry.map_or(FIRST, |entry| (entry.delay * 2).min(self.max));
        self.entries.insert(key.to_owned(), Entry { delay, updated: now });
    }

    fn is_old(&self, entry: &Entry, since: Timestamp) -> bool {
        since.duration_since(entry.updated) > self.max * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_are_forgotten() {
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        let mut backoffs = Backoffs::default();
        assert_eq!(backoffs.until("a", at(0), at(0)), None, "the first restart is at once");
        backoffs.next("a", at(0), at(0));
        assert_eq!(backoffs.until("a", at(1), at(1)), Some(at(11)));
        assert_eq!(backoffs.until("a", at(1), at(11)), None);
        backoffs.next("a", at(1), at(11));
        assert_eq!(backoffs.until("a", at(12), at(12)), Some(at(32)));
        for _ in 0..9 {
            backoffs.next("a", at(12), at(32));
        }
        assert_eq!(backoffs.delay("a"), Some(MAX));
        assert_eq!(backoffs.until("a", at(700), at(701)), None, "ten calm minutes");
    }
}
