//! The scheduler without its hands: what is seen goes in, what is to be done comes out. No clock, no IO.

mod volumes;

use std::sync::Arc;
use std::time::Duration;

use decapod_api::Str;

use crate::decide::{Chance, Decider, Decision};
use crate::diagnosis::{Diagnosis, NO_NODES};
use crate::event::Event;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::preempt::{Budget, Preemption, preempt};
use crate::queue::Queue;
use crate::snapshot::Snapshot;
use crate::storage::VolumePlan;
use crate::topology::FixedMap;
use volumes::Preparations;

/// What the scheduler knows.
pub struct Core {
    /// Whose pods it schedules.
    name: Str,
    snapshot: Snapshot,
    queue: Queue,
    decider: Decider,
    budgets: std::collections::BTreeMap<String, Budget>,
    /// Pods that are placed here but not yet seen to be bound, by UID.
    assumed: FixedMap<Str, ()>,
    preparations: Preparations,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The pod is to be bound to its (assumed) node; [`Core::bound`] wants to hear how it went.
    Bind(Arc<PodInfo>),
    /// These volumes are to be asked for, for the pod and its (assumed) node; [`Core::asked`] wants to hear how it went.
    Prepare(Arc<PodInfo>, VolumePlan),
    /// What the pod needs on its node does not come, for this reason; it will be tried again.
    Fail {
        /// It.
        pod: Arc<PodInfo>,
        /// Why.
        message: String,
    },
    /// The pod fits nowhere.
    Refuse {
        /// It, with the node that is to stand as nominated from now on.
        pod: Arc<PodInfo>,
        /// Why.
        message: String,
        /// What stands as nominated until now.
        nominated: Str,
    },
    /// The pod fits nowhere, for this reason; the victims are to be deleted to make room on this node.
    Preempt {
        /// Who wants to go there.
        pod: Arc<PodInfo>,
        /// Why it fits nowhere.
        message: String,
        /// Where there will be room.
        node: Str,
        /// Who has to go.
        victims: Vec<Arc<PodInfo>>,
        /// Pods of lower priority to which the room on that node is promised no longer.
        disappointed: Vec<Arc<PodInfo>>,
    },
    /// The pod is being deleted and needs no node any more.
    Skip(Arc<PodInfo>),
}

/// What the post-filter of DynamicResources says of pods without claims; it comes before preemption's answer.
const NO_CLAIMS: &str = "no new claims to deallocate";

// === impl Core ===

impl Core {
    /// A scheduler of this name with upstream's default profile.
    pub fn new(name: &str) -> Core {
        Core {
            name: name.into(),
            snapshot: Snapshot::default(),
            queue: Queue::default(),
            decider: Decider::default(),
            budgets: Default::default(),
            assumed: FixedMap::default(),
            preparations: Preparations::default(),
        }
    }

    /// The cluster as it is seen.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The same, to change what no pod waits for: namespaces, services, controllers.
    pub fn snapshot_mut(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    /// The pods that wait.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Whether the pod of this UID is placed but not yet seen to be bound.
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.assumed.contains_key(uid)
    }

    /// Sets or (`None`) forgets a PodDisruptionBudget.
    pub fn set_budget(&mut self, key: String, budget: Option<Budget>) {
        match budget {
            Some(budget) => self.budgets.insert(key, budget),
            None => self.budgets.remove(&key),
        };
    }

    /// A node is new, has changed or is gone (`new` is `None`).
    pub fn set_node(&mut self, name: &str, new: Option<NodeInfo>, now: Duration) {
        let old = self.snapshot.slot(name).map(|slot| Arc::new(self.snapshot.node(slot).clone()));
        let event = match (old, new) {
            (None, None) => return,
            (old, Some(node)) => {
                // The snapshot keeps images apart; what is compared and told has none.
                let bare = Arc::new(NodeInfo { images: Vec::new(), ..node.clone() });
                self.snapshot.set_node(node);
                match old {
                    Some(old) if old == bare => return,
                    Some(old) => Event::NodeUpdated(old, bare),
                    None => Event::NodeAdded(bare),
                }
            }
            (Some(old), None) => {
                self.snapshot.remove_node(name);
                Event::NodeDeleted(old)
            }
        };
        self.happened(&event, now);
    }

    /// A pod is new or has changed.
    pub fn set_pod(&mut self, pod: PodInfo, now: Duration) {
        if pod.node.is_empty() { self.set_pending(pod, now) } else { self.set_assigned(pod, now) }
    }

    fn set_assigned(&mut self, pod: PodInfo, now: Duration) {
        self.queue.remove(&pod.uid);
        let old = self.snapshot.pod(&pod.uid).cloned();
        let assumed = self.assumed.remove(&pod.uid).is_some();
        if !assumed && old.as_deref() == Some(&pod) {
            return;
        }
        let new = Arc::new(pod.clone());
        self.snapshot.add_pod(pod);
        let event = match old {
            Some(old) if !assumed => Event::PodUpdated(old, new),
            _ => Event::PodAssigned(new),
        };
        self.happened(&event, now);
    }

    fn set_pending(&mut self, pod: PodInfo, now: Duration) {
        if pod.scheduler != self.name || self.is_assumed(&pod.uid) {
            return;
        }
        match self.snapshot.slot(&pod.nominated) {
            Some(_) => self.snapshot.nominate(pod.clone()),
            None => drop(self.snapshot.denominate(&pod.uid)),
        }
        let gate = self.decider.gate(&pod).map(|(plugin, _)| plugin);
        let new = Arc::new(pod);
        let Some(old) = self.queue.get(&new.uid).cloned() else { return self.queue.add(new, gate, now) };
        let changed = Event::is_about_scheduling(&old, &new);
        let event = Event::SelfUpdated(old, new.clone());
        let Core { queue, decider, snapshot, .. } = self;
        let worth = changed && decider.hint(snapshot, &new, queue.refused_by(&new.uid), &event);
        queue.update(new, gate, worth, now);
    }

    /// The pod of this UID is gone.
    pub fn remove_pod(&mut self, uid: &str, now: Duration) {
        self.queue.remove(uid);
        self.assumed.remove(uid);
        self.forsake(uid);
        let nominated = self.snapshot.denominate(uid);
        if let Some(pod) = self.snapshot.remove_pod(uid).or(nominated) {
            self.happened(&Event::PodDeleted(pod), now);
        }
    }

    /// Says whether the binding of the pod of this UID went well; the pod is tried again if not.
    pub fn bound(&mut self, uid: &str, well: bool, now: Duration) {
        if well {
            // What is seen of it later finds it placed.
            self.queue.remove(uid);
            return;
        }
        self.forsake(uid);
        if self.assumed.remove(uid).is_some() {
            let pod = self.snapshot.remove_pod(uid);
            self.queue.failed(uid, now);
            pod.into_iter().for_each(|pod| self.happened(&Event::PodDeleted(pod), now));
        }
    }

    /// Decides about the pod whose turn it is.
    pub fn next(&mut self, now: Duration, chance: Chance) -> Option<Action> {
        if let Some(action) = self.prepared(now) {
            return Some(action);
        }
        let pod = self.queue.pop(now)?;
        if pod.shape.terminating {
            self.queue.remove(&pod.uid);
            return Some(Action::Skip(pod));
        }
        Some(match self.decider.decide(&mut self.snapshot, &pod, chance) {
            Decision::Node(node) => self.assume(&pod, node),
            Decision::NoNodes => {
                // Any new node will do, which is what NodeName waits for.
                self.queue.refused(&pod.uid, vec!["NodeName"], now);
                self.turn_away(pod, NO_NODES.to_owned(), false, now)
            }
            Decision::NoFit(diagnosis) => self.refuse(pod, diagnosis, now, chance),
        })
    }

    fn assume(&mut self, pod: &PodInfo, node: Str) -> Action {
        let placed = PodInfo { node, ..pod.clone() };
        let plan = self.snapshot.volumes_for(&placed);
        self.assumed.insert(placed.uid.clone(), ());
        self.snapshot.add_pod(placed.clone());
        match plan {
            plan if plan.is_empty() => Action::Bind(Arc::new(placed)),
            plan => self.prepare(Arc::new(placed), plan),
        }
    }

    fn refuse(
        &mut self,
        pod: Arc<PodInfo>,
        mut diagnosis: Diagnosis,
        now: Duration,
        chance: Chance,
    ) -> Action {
        let budgets: Vec<Budget> = self.budgets.values().cloned().collect();
        let room = preempt(&self.decider, &mut self.snapshot, &pod, &diagnosis, &budgets, chance);
        self.queue.refused(&pod.uid, diagnosis.plugins.iter().copied().collect(), now);
        match room {
            Ok(Preemption { node, victims }) => {
                let lower = |other: &&Arc<PodInfo>| other.nominated == node && other.priority < pod.priority;
                let disappointed: Vec<Arc<PodInfo>> =
                    self.snapshot.nominated().filter(lower).cloned().collect();
                disappointed.iter().for_each(|other| drop(self.snapshot.denominate(&other.uid)));
                // It is known at once, not only when the API server tells of it: or the next attempt takes more victims.
                let promised = PodInfo { nominated: node.clone(), ..(*pod).clone() };
                self.snapshot.nominate(promised.clone());
                self.queue.update(Arc::new(promised), None, false, now);
                Action::Preempt { message: diagnosis.to_string(), pod, node, victims, disappointed }
            }
            Err(reason) => {
                diagnosis.afterwards = format!("{NO_CLAIMS}, {}", reason.message);
                self.turn_away(pod, diagnosis.to_string(), reason.still_nominated, now)
            }
        }
    }

    fn turn_away(
        &mut self,
        pod: Arc<PodInfo>,
        message: String,
        still_nominated: bool,
        now: Duration,
    ) -> Action {
        let nominated = pod.nominated.clone();
        if still_nominated || nominated.is_empty() {
            return Action::Refuse { pod, message, nominated };
        }
        self.snapshot.denominate(&pod.uid);
        let pod = Arc::new(PodInfo { nominated: Str::default(), ..(*pod).clone() });
        self.queue.update(pod.clone(), None, false, now);
        Action::Refuse { pod, message, nominated }
    }

    /// Lets pods try again that `event` may let through.
    fn happened(&mut self, event: &Event, now: Duration) {
        let Core { queue, decider, snapshot, .. } = self;
        queue.wake(|pod, plugins| decider.hint(snapshot, pod, plugins, event), now);
    }
}
