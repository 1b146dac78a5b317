//! How long a failed pod is left before another takes its place: longer each time one fails on the same node
//! (k8s.io/client-go/util/flowcontrol, Backoff).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

const MIN: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(15 * 60);

/// Failures by place.
#[derive(Debug, Default)]
pub(super) struct Backoffs(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    delay: Duration,
    since: Timestamp,
    /// The pod that may go now, until it has.
    released: String,
}

impl Backoffs {
    /// How long pod `uid`, which failed at `place`, has to stay; `None` if it may go now.
    pub(super) fn wait(&mut self, place: &str, uid: &str, now: Timestamp) -> Option<Duration> {
        // What has not failed for long starts anew; this is also when it is forgotten.
        self.0.retain(|_, entry| age(entry, now) <= 2 * MAX);
        let Some(entry) = self.0.get_mut(place) else {
            self.0.insert(place.to_owned(), Entry { delay: MIN, since: now, released: uid.to_owned() });
            return None;
        };
        if entry.released == uid {
            return None;
        }
        let left = entry.delay.saturating_sub(age(entry, now));
        if !left.is_zero() {
            return Some(left);
        }
        *entry = Entry { delay: (entry.delay * 2).min(MAX), since: now, released: uid.to_owned() };
        None
    }
}

fn age(entry: &Entry, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(entry.since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn each_failure_waits_longer() {
        let mut backoffs = Backoffs::default();
        let mut wait = |uid: &str, now| backoffs.wait("n", uid, at(now)).map(|wait| wait.as_secs());
        assert_eq!(wait("a", 0), None);
        assert_eq!(wait("a", 5), None, "it is the same one");
        assert_eq!(wait("b", 0), Some(1));
        assert_eq!(wait("b", 1), None);
        assert_eq!(wait("c", 1), Some(2));
        assert_eq!(wait("c", 3), None);
        assert_eq!(wait("d", 4), Some(3));
        assert_eq!(wait("e", 10_000), None);
        assert_eq!(wait("f", 10_000), Some(1), "forgotten");
    }
}
