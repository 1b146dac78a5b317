//! Which events are written, and how: repeated ones are counted, similar ones combined, and a flood about one object
//! is cut (k8s.io/client-go/tools/record/events_cache.go). No IO, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How many events are remembered, of each sort of memory.
const REMEMBERED_MAX: usize = 4096;
/// From how many different messages within how long events are combined.
const SIMILAR_MAX: usize = 10;
const SIMILAR_SECONDS: i64 = 600;
/// How many events about one object there may be at once, and after how long one more.
const FLOOD_BURST: f64 = 25.0;
const FLOOD_SECONDS: f64 = 300.0;

/// What is to be written.
pub(super) enum Deed {
    /// A new event.
    Create(Box<Event>),
    /// One more of an event that is there.
    Count {
        /// Where it is.
        namespace: String,
        /// Its name.
        name: String,
        /// The change.
        patch: serde_json::Value,
        /// The whole, for when it is there no more.
        again: Box<Event>,
    },
}

/// What is remembered of past events.
#[derive(Default)]
pub(super) struct Correlator {
    floods: Recent<Tokens>,
    similar: Recent<Similar>,
    written: Recent<Written>,
}

/// A token bucket.
struct Tokens {
    left: f64,
    at: Timestamp,
}

/// The different messages of events that are alike otherwise.
struct Similar {
    messages: BTreeSet<u64>,
    last: Timestamp,
}

struct Written {
    name: String,
    first: Option<Time>,
    count: i32,
}

/// A map that forgets what was used longest ago.
struct Recent<V> {
    values: BTreeMap<u64, (u64, V)>,
    used: BTreeMap<u64, u64>,
    clock: u64,
}

// === impl Correlator ===

impl Correlator {
    /// What to write for `event`; `None` if there have been too many about its object.
    pub(super) fn observe(&mut self, event: Event, now: Timestamp) -> Option<Deed> {
        let object = hash(&(about(&event), &event.type_));
        if !self.accept(object, now) {
            return None;
        }
        let alike = hash(&(object, &event.reason));
        let (mut event, key) = self.combine(event, alike, now);
        match self.written.get(key) {
            Some(written) => {
                written.count += 1;
                event.metadata.name = Some(written.name.clone());
                event.first_timestamp = written.first.clone();
                event.count = Some(written.count);
                let patch = serde_json::json!({
                    "count": written.count, "lastTimestamp": &event.last_timestamp, "message": &event.message,
                });
                let namespace = event.metadata.namespace.clone().unwrap_or_default();
                Some(Deed::Count { namespace, name: written.name.clone(), patch, again: Box::new(event) })
            }
            None => {
                let name = event.metadata.name.clone().unwrap_or_default();
                self.written.put(key, Written { name, first: event.first_timestamp.clone(), count: 1 });
                Some(Deed::Create(Box::new(event)))
            }
        }
    }

    fn accept(&mut self, object: u64, now: Timestamp) -> bool {
        let full = Tokens { left: FLOOD_BURST, at: now };
        let tokens = self.floods.get_or_put(object, full);
        let seconds = now.duration_since(tokens.at).as_secs_f64().max(0.0);
        tokens.left = (tokens.left + seconds / FLOOD_SECONDS).min(FLOOD_BURST);
        tokens.at = now;
        let accepted = tokens.left >= 1.0;
        if accepted {
            tokens.left -= 1.0;
        }
        accepted
    }

    /// `event`, or the one that stands for all like it, and under what it is counted.
    fn combine(&mut self, mut event: Event, alike: u64, now: Timestamp) -> (Event, u64) {
        let message = hash(&event.message);
        let similar = self.similar.get_or_put(alike, Similar { messages: BTreeSet::new(), last: now });
        if now.duration_since(similar.last).as_secs() > SIMILAR_SECONDS {
            similar.messages.clear();
        }
        similar.messages.insert(message);
        similar.last = now;
        if similar.messages.len() < SIMILAR_MAX {
            return (event, hash(&(alike, message)));
        }
        similar.messages.pop_first();
        event.message =
            Some(format!("(combined from similar events): {}", event.message.unwrap_or_default()));
        (event, alike)
    }
}

/// Who says it, and of what.
fn about(event: &Event) -> impl Hash + use<> {
    let (object, source) = (&event.involved_object, event.source.clone().unwrap_or_default());
    (
        (source.component, source.host, object.kind.clone(), object.namespace.clone()),
        (object.name.clone(), object.uid.clone(), object.api_version.clone()),
    )
}

fn hash(value: &impl Hash) -> u64 {
    // Its keys are fixed, so that the same run goes the same way.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

// === impl Recent ===

impl<V> Default for Recent<V> {
    fn default() -> Recent<V> {
        Recent { values: BTreeMap::new(), used: BTreeMap::new(), clock: 0 }
    }
}

impl<V> Recent<V> {
    fn get(&mut self, key: u64) -> Option<&mut V> {
        self.clock += 1;
        let (used, value) = self.values.get_mut(&key)?;
        self.used.remove(used);
        self.used.insert(self.clock, key);
        *used = self.clock;
        Some(value)
    }

    fn put(&mut self, key: u64, value: V) {
        self.clock += 1;
        if let Some((used, _)) = self.values.insert(key, (self.clock, value)) {
            self.used.remove(&used);
        }
        self.used.insert(self.clock, key);
        if self.values.len() > REMEMBERED_MAX
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.values.remove(&oldest);
        }
    }

    fn get_or_put(&mut self, key: u64, value: V) -> &mut V {
        if self.get(key).is_none() {
            self.put(key, value);
        }
        self.values.get_mut(&key).map(|(_, value)| value).expect("put just now, and the newest is kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event { message: Some(message.into()), ..Event::default() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn told(deed: Option<Deed>) -> String {
        match deed {
            None => "nothing".into(),
            Some(Deed::Create(event)) => format!("create {}", event.message.unwrap()),
            Some(Deed::Count { patch, .. }) => format!("count {} {}", patch["count"], patch["message"]),
        }
    }

    #[test]
    fn similar_events_are_combined_and_floods_cut() {
        let mut correlator = Correlator::default();
        for n in 0..9 {
            assert_eq!(told(correlator.observe(event(&format!("m{n}")), at(0))), format!("create m{n}"));
        }
        assert_eq!(told(correlator.observe(event("m9"), at(0))), "create (combined from similar events): m9");
        for n in 10..25 {
            assert!(told(correlator.observe(event(&format!("m{n}")), at(0))).starts_with("count"));
        }
        assert_eq!(told(correlator.observe(event("one more"), at(1))), "nothing");
        assert!(told(correlator.observe(event("later"), at(301))).starts_with("count"));
    }

    #[test]
    fn a_message_that_comes_again_is_counted() {
        let mut correlator = Correlator::default();
        assert_eq!(told(correlator.observe(event("m"), at(0))), "create m");
        assert_eq!(told(correlator.observe(event("m"), at(9))), "count 2 \"m\"");
    }
}
