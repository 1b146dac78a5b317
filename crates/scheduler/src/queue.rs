//! Pods that wait for a node: active ones by priority, ones that back off, ones that wait for something to happen, and
//! gated ones (pkg/scheduler/backend/queue). Time is what has passed since the scheduler began.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use decapod_api::Str;

use crate::pod::PodInfo;

/// All pods that wait.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<Str, Entry>,
    active: BTreeSet<Turn>,
    /// Refused pods for which something has happened, by when they may go on. When nobody else waits they go at once.
    backoff: BTreeSet<(Duration, Turn)>,
    /// Pods that met an error, by when they may go on.
    errors: BTreeSet<(Duration, Turn)>,
    /// Refused pods, by when they were refused.
    waiting: BTreeSet<(Duration, Str)>,
    sequence: u64,
}

/// Whose turn it is: higher priorities first, then those that have waited longer.
type Turn = (Reverse<i32>, Duration, u64, Str);

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    place: Place,
    /// When it came, or was refused last.
    since: Duration,
    sequence: u64,
    /// How often it has been refused, which its back-off follows.
    refused: u32,
    /// How many errors it has met since it was last decided about.
    errors: u32,
    /// Who refused it last.
    plugins: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active,
    Backoff(Duration),
    Errors(Duration),
    Waiting,
    Gated,
    /// Handed out.
    InFlight,
}

/// The back-off after one refusal, and the most that doubling makes of it.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A refused pod is tried again after this long though nothing has happened.
const WAITING_MAX: Duration = Duration::from_secs(5 * 60);

// === impl Queue ===

impl Queue {
    /// Adds a pod that is new; `gate` is the plugin that holds it back, if any.
    pub fn add(&mut self, pod: Arc<PodInfo>, gate: Option<&'static str>, now: Duration) {
        self.remove(&pod.uid);
        self.sequence += 1;
        let uid = pod.uid.clone();
        let entry = Entry {
            pod,
            place: Place::InFlight,
            since: now,
            sequence: self.sequence,
            refused: 0,
            errors: 0,
            plugins: gate.into_iter().collect(),
        };
        self.entries.insert(uid.clone(), entry);
        self.put(&uid, if gate.is_some() { Place::Gated } else { Place::Active });
    }

    /// Takes over what has changed of a pod that waits. `worth` says whether that may let it through.
    pub fn update(&mut self, pod: Arc<PodInfo>, gate: Option<&'static str>, worth: bool, now: Duration) {
        let uid = pod.uid.clone();
        let Some(place) = self.entries.get(&uid).map(|entry| entry.place) else {
            return self.add(pod, gate, now);
        };
        if place != Place::InFlight {
            // Out and in again: its priority may have changed.
            self.take(&uid);
        }
        if let Some(entry) = self.entries.get_mut(&uid) {
            entry.pod = pod;
        }
        match (place, gate) {
            (Place::InFlight, _) => {}
            (_, Some(gate)) => {
                self.set_plugins(&uid, vec![gate]);
                self.put(&uid, Place::Gated);
            }
            (Place::Gated, None) => self.put(&uid, Place::Active),
            (Place::Waiting, None) if worth => self.release(&uid, now),
            (place, None) => self.put(&uid, place),
        }
    }

    /// Forgets a pod; says whether it waited here.
    pub fn remove(&mut self, uid: &str) -> bool {
        self.take(uid);
        self.entries.remove(uid).is_some()
    }

    /// The pod of this UID, if it waits or is in flight.
    pub fn get(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.entries.get(uid).map(|entry| &entry.pod)
    }

    /// Who refused the pod of this UID last.
    pub fn refused_by(&self, uid: &str) -> &[&'static str] {
        self.entries.get(uid).map_or(&[], |entry| &entry.plugins)
    }

    /// Hands out the pod whose turn it is.
    pub fn pop(&mut self, now: Duration) -> Option<Arc<PodInfo>> {
        self.release_due(now);
        let uid = match self.active.first() {
            Some(turn) => turn.3.clone(),
            None => self.backoff.first()?.1.3.clone(),
        };
        self.take(&uid);
        self.entries.get(&uid).map(|entry| entry.pod.clone())
    }

    /// Takes back a pod that `plugins` have refused: it waits until something happens.
    pub fn refused(&mut self, uid: &str, plugins: Vec<&'static str>, now: Duration) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        (entry.since, entry.errors, entry.refused) = (now, 0, entry.refused.saturating_add(1));
        entry.plugins = plugins;
        self.take(uid);
        self.put(uid, Place::Waiting);
    }

    /// Takes back a pod that met an error: it is tried again after a while.
    pub fn failed(&mut self, uid: &str, now: Duration) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        (entry.since, entry.errors) = (now, entry.errors.saturating_add(1));
        entry.plugins.clear();
        let until = now + backoff(entry.errors);
        self.take(uid);
        self.put(uid, Place::Errors(until));
    }

    /// Lets those refused pods try again of which `worth` says, given the pod and who refused it, that what has
    /// happened may let them through.
    pub fn wake(&mut self, mut worth: impl FnMut(&PodInfo, &[&'static str]) -> bool, now: Duration) {
        if self.waiting.is_empty() {
            return;
        }
        let woken = |(_, uid): &(Duration, Str)| {
            let entry = self.entries.get(uid)?;
            worth(&entry.pod, &entry.plugins).then(|| uid.clone())
        };
        let woken: Vec<Str> = self.waiting.iter().filter_map(woken).collect();
        woken.iter().for_each(|uid| self.release(uid, now));
    }

    /// When the next pod may go on by the passing of time alone, if nothing can go on now.
    pub fn next_at(&self) -> Option<Duration> {
        let error = self.errors.first().map(|(until, _)| *until);
        let stale = self.waiting.first().map(|(since, _)| *since + WAITING_MAX);
        error.into_iter().chain(stale).min()
    }

    /// How many wait: active, backing off, refused and gated ones.
    pub fn lengths(&self) -> [usize; 4] {
        let gated = self.entries.values().filter(|entry| entry.place == Place::Gated).count();
        [self.active.len(), self.backoff.len() + self.errors.len(), self.waiting.len(), gated]
    }

    fn release_due(&mut self, now: Duration) {
        let due = |(until, _): &&(Duration, Turn)| *until <= now;
        while let Some((_, turn)) = self.errors.first().filter(due).or(self.backoff.first().filter(due)) {
            let uid = turn.3.clone();
            self.take(&uid);
            self.put(&uid, Place::Active);
        }
        while let Some((_, uid)) = self.waiting.first().filter(|(since, _)| *since + WAITING_MAX <= now) {
            let uid = uid.clone();
            self.release(&uid, now);
        }
    }

    /// Moves a refused pod on: at once, or when its back-off is over.
    fn release(&mut self, uid: &str, now: Duration) {
        self.take(uid);
        let Some(entry) = self.entries.get(uid) else { return };
        let until = entry.since + backoff(entry.refused);
        self.put(uid, if until > now { Place::Backoff(until) } else { Place::Active });
    }

    fn set_plugins(&mut self, uid: &str, plugins: Vec<&'static str>) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.plugins = plugins;
        }
    }

    /// Puts an entry that is in flight into `place`.
    fn put(&mut self, uid: &str, place: Place) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.place = place;
        let turn = entry.turn();
        match place {
            Place::Active => {
                self.active.insert(turn);
            }
            Place::Backoff(until) => {
                self.backoff.insert((until, turn));
            }
            Place::Errors(until) => {
                self.errors.insert((until, turn));
            }
            Place::Waiting => {
                self.waiting.insert((entry.since, uid.into()));
            }
            Place::Gated | Place::InFlight => {}
        }
    }

    /// Takes an entry out of wherever it stands.
    fn take(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let place = std::mem::replace(&mut entry.place, Place::InFlight);
        let turn = entry.turn();
        match place {
            Place::Active => self.active.remove(&turn),
            Place::Backoff(until) => self.backoff.remove(&(until, turn)),
            Place::Errors(until) => self.errors.remove(&(until, turn)),
            Place::Waiting => self.waiting.remove(&(entry.since, uid.into())),
            Place::Gated | Place::InFlight => true,
        };
    }
}

// === impl Entry ===

impl Entry {
    fn turn(&self) -> Turn {
        (Reverse(self.pod.priority), self.since, self.sequence, self.pod.uid.clone())
    }
}

/// 1 s after the first time, doubled up to 10 s.
fn backoff(times: u32) -> Duration {
    let doubled = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    BACKOFF_MIN.saturating_mul(doubled).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, priority: i32) -> Arc<PodInfo> {
        Arc::new(PodInfo { uid: uid.into(), priority, ..PodInfo::default() })
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn pop(queue: &mut Queue, now: u64) -> Option<String> {
        queue.pop(seconds(now)).map(|pod| pod.uid.to_string())
    }

    #[test]
    fn priority_then_age() {
        let mut queue = Queue::default();
        for (uid, priority) in [("a", 0), ("b", 5), ("c", 0)] {
            queue.add(pod(uid, priority), None, seconds(0));
        }
        let order: Vec<String> = std::iter::from_fn(|| pop(&mut queue, 0)).collect();
        assert_eq!(order, ["b", "a", "c"]);
    }

    #[test]
    fn a_refused_pod_waits_for_what_matters_and_backs_off_behind_others() {
        let mut queue = Queue::default();
        queue.add(pod("a", 0), None, seconds(0));
        assert_eq!(pop(&mut queue, 0).as_deref(), Some("a"));
        queue.refused("a", vec!["NodeResourcesFit"], seconds(0));
        queue.wake(|_, plugins| plugins == ["NodeAffinity"], seconds(0));
        assert_eq!(pop(&mut queue, 0), None);
        queue.wake(|_, plugins| plugins == ["NodeResourcesFit"], seconds(0));
        queue.add(pod("b", 0), None, seconds(0));
        assert_eq!(pop(&mut queue, 0).as_deref(), Some("b"), "a backs off");
        assert_eq!(pop(&mut queue, 0).as_deref(), Some("a"), "but not for nobody's sake");
        queue.refused("a", vec!["NodeResourcesFit"], seconds(10));
        assert_eq!(queue.next_at(), Some(seconds(310)));
        assert_eq!(pop(&mut queue, 309), None);
        assert_eq!(pop(&mut queue, 310).as_deref(), Some("a"));
    }

    #[test]
    fn errors_back_off_in_earnest() {
        let mut queue = Queue::default();
        queue.add(pod("a", 0), None, seconds(0));
        let mut now = 0;
        for wait in [1, 2, 4, 8, 10, 10] {
            assert_eq!(pop(&mut queue, now).as_deref(), Some("a"), "at {now}");
            queue.failed("a", seconds(now));
            assert_eq!(queue.next_at(), Some(seconds(now + wait)));
            assert_eq!(pop(&mut queue, now + wait - 1), None);
            now += wait;
        }
    }

    #[test]
    fn gates_hold_and_updates_keep_the_place() {
        let mut queue = Queue::default();
        queue.add(pod("a", 0), Some("SchedulingGates"), seconds(0));
        queue.wake(|_, _| true, seconds(0));
        assert_eq!((pop(&mut queue, 0), queue.lengths()), (None, [0, 0, 0, 1]));
        queue.update(pod("a", 0), None, true, seconds(0));
        queue.add(pod("b", 0), None, seconds(1));
        queue.update(pod("b", 9), None, false, seconds(1));
        assert_eq!(pop(&mut queue, 1).as_deref(), Some("b"), "its priority has risen");
        queue.update(pod("b", 1), None, true, seconds(1));
        assert!(queue.remove("b") && !queue.remove("b"));
        assert_eq!(pop(&mut queue, 1).as_deref(), Some("a"));
    }
}
