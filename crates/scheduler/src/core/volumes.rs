//! Pods that have a node but wait for their volumes: what they need is asked for, and when all of it is there they are
//! bound (pkg/scheduler/framework/plugins/volumebinding, `Reserve` and `PreBind`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use decapod_api::Str;

use super::{Action, Core};
use crate::event::Event;
use crate::pod::PodInfo;
use crate::storage::{Claim, ClaimKey, Class, Progress, Volume, VolumePlan};

/// How long a pod keeps its node while its volumes are not there (upstream's `bindTimeoutSeconds`).
const TIMEOUT: Duration = Duration::from_secs(600);
/// What begins the message of a pod whose volumes do not come.
const FAILED: &str = "running PreBind plugin \"VolumeBinding\": binding volumes";

/// The pods that wait for volumes.
#[derive(Debug, Default)]
pub(super) struct Preparations {
    entries: BTreeMap<Str, Preparation>,
    /// Whether anything has happened that they may have waited for.
    is_news: bool,
}

#[derive(Debug)]
struct Preparation {
    pod: Arc<PodInfo>,
    plan: VolumePlan,
    /// How long it waits, once everything has been asked for.
    until: Option<Duration>,
}

// === impl Core ===

impl Core {
    /// Sets or (`None`) forgets a claim.
    pub fn set_claim(&mut self, key: ClaimKey, claim: Option<Claim>, now: Duration) {
        self.snapshot.storage_mut().set_claim(&key, claim);
        self.preparations.is_news = true;
        self.happened(&Event::ClaimChanged(key), now);
    }

    /// Sets or (`None`) forgets a volume.
    pub fn set_volume(&mut self, name: &str, volume: Option<Volume>, now: Duration) {
        self.snapshot.storage_mut().set_volume(name, volume);
        self.preparations.is_news = true;
        self.happened(&Event::VolumeChanged, now);
    }

    /// Sets or (`None`) forgets a storage class.
    pub fn set_class(&mut self, name: &str, class: Option<Class>, now: Duration) {
        self.snapshot.storage_mut().set_class(name, class);
        self.happened(&Event::ClassChanged, now);
    }

    /// Says whether everything that [`Action::Prepare`] named could be asked for; the pod is tried again if not.
    pub fn asked(&mut self, uid: &str, well: bool, now: Duration) {
        if !well {
            return self.bound(uid, false, now);
        }
        if let Some(preparation) = self.preparations.entries.get_mut(uid) {
            preparation.until = Some(now + TIMEOUT);
            self.preparations.is_news = true;
        }
    }

    /// When something has to be decided by the passing of time alone, if nothing can be decided now.
    pub fn next_at(&self) -> Option<Duration> {
        let untils = self.preparations.entries.values().filter_map(|preparation| preparation.until);
        self.queue.next_at().into_iter().chain(untils).min()
    }

    /// Counts on what `plan` says, and waits for it.
    pub(super) fn prepare(&mut self, pod: Arc<PodInfo>, plan: VolumePlan) -> Action {
        self.snapshot.storage_mut().promise(&plan, &pod.node);
        let preparation = Preparation { pod: pod.clone(), plan: plan.clone(), until: None };
        self.preparations.entries.insert(pod.uid.clone(), preparation);
        Action::Prepare(pod, plan)
    }

    /// Takes back what the pod of this UID was promised.
    pub(super) fn forsake(&mut self, uid: &str) {
        if let Some(preparation) = self.preparations.entries.remove(uid) {
            self.snapshot.storage_mut().revoke(&preparation.plan);
        }
    }

    /// A pod whose volumes are there, or will not come.
    pub(super) fn prepared(&mut self, now: Duration) -> Option<Action> {
        let is_due = |preparation: &Preparation| preparation.until.is_some_and(|until| until <= now);
        if !self.preparations.is_news && !self.preparations.entries.values().any(is_due) {
            return None;
        }
        let progress = |preparation: &Preparation| {
            let node = self.snapshot.slot(&preparation.pod.node).map(|slot| self.snapshot.node(slot));
            let node = node.ok_or_else(|| Progress::Failed("the node is gone".to_owned()));
            match node
                .map_or_else(|gone| gone, |node| self.snapshot.storage().progress(&preparation.plan, node))
            {
                Progress::Waiting if is_due(preparation) => {
                    Progress::Failed("context deadline exceeded".to_owned())
                }
                progress => progress,
            }
        };
        let mut asked = self.preparations.entries.values().filter(|preparation| preparation.until.is_some());
        let settled = asked.find_map(|preparation| match progress(preparation) {
            Progress::Waiting => None,
            Progress::Bound => Some((preparation.pod.clone(), None)),
            Progress::Failed(why) => Some((preparation.pod.clone(), Some(why))),
        });
        let Some((pod, failure)) = settled else {
            self.preparations.is_news = false;
            return None;
        };
        match failure {
            None => {
                self.preparations.entries.remove(&pod.uid);
                Some(Action::Bind(pod))
            }
            Some(why) => {
                self.bound(&pod.uid, false, now);
                Some(Action::Fail { pod, message: format!("{FAILED}: {why}") })
            }
        }
    }
}
