//! Events in the form of events.k8s.io/v1: what repeats becomes a series (k8s.io/client-go/tools/events).
//!
//! Recording never waits: a task of its own writes, several at a time, and drops what it cannot keep up with.

use std::collections::BTreeMap;
use std::time::Duration;

use decapod_api::Status;
use decapod_client::{Client, EventType, PatchType};
use decapod_sys::Env;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::pod::PodInfo;

/// Records events of one scheduler.
#[derive(Clone)]
pub struct Events {
    env: Env,
    component: String,
    waiting: mpsc::Sender<Event>,
}

/// What is to be told of a pod.
pub struct Told<'a> {
    /// The pod.
    pub pod: &'a PodInfo,
    /// Another that it has to do with.
    pub related: Option<&'a PodInfo>,
    /// Whether it is as it should be.
    pub kind: EventType,
    /// Such as `Scheduled`.
    pub reason: &'static str,
    /// Such as `Binding`.
    pub action: &'static str,
    /// What people read.
    pub note: String,
}

/// What makes two events the same: all but the note.
type Same = (String, String, Option<String>);

/// An event that may become a series.
struct Series {
    namespace: String,
    name: String,
    count: i32,
    last: Timestamp,
}

/// What there is to write.
enum Deed {
    Create(Box<Event>),
    Count { namespace: String, name: String, patch: Value },
}

/// How many events may wait to be written, and how many are being written.
const WAITING_MAX: usize = 10_000;
const WRITING_MAX: usize = 64;
/// A series ends when nothing has been added to it for this long.
const SERIES_MAX: Duration = Duration::from_secs(6 * 60);
/// What a note may be at most, in bytes.
const NOTE_MAX: usize = 1024;

/// How events name `pod`.
fn reference(pod: &PodInfo) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name.to_string()),
        namespace: Some(pod.namespace.to_string()),
        uid: Some(pod.uid.to_string()),
        ..ObjectReference::default()
    }
}

/// `note`, cut where it is too long, as upstream cuts it.
fn cut(note: String) -> String {
    if note.len() <= NOTE_MAX {
        return note;
    }
    let end = (0..=NOTE_MAX - 4).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
    format!("{} ...", &note[..end])
}

// === impl Events ===

impl Events {
    /// Events that say that they come from `component`.
    pub fn new(env: &Env, client: &Client, component: &str) -> Events {
        let (waiting, receiver) = mpsc::channel(WAITING_MAX);
        env.spawn("scheduler-events", write_all(env.clone(), client.clone(), receiver));
        Events { env: env.clone(), component: component.to_owned(), waiting }
    }

    /// Records what is to be told.
    pub fn tell(&self, told: Told<'_>) {
        let now = self.env.now();
        let name: String = told.pod.name.chars().take(230).collect();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(told.pod.namespace.to_string()),
                ..ObjectMeta::default()
            },
            action: Some(told.action.to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(cut(told.note)),
            reason: Some(told.reason.to_owned()),
            regarding: Some(reference(told.pod)),
            related: told.related.map(reference),
            reporting_controller: Some(self.component.clone()),
            reporting_instance: Some(self.component.clone()),
            type_: Some(told.kind.as_str().to_owned()),
            ..Event::default()
        };
        if self.waiting.try_send(event).is_err() {
            tracing::debug!(reason = told.reason, "too many events; one is dropped");
        }
    }
}

async fn write_all(env: Env, client: Client, receiver: mpsc::Receiver<Event>) {
    let mut known = BTreeMap::new();
    let deeds = futures::stream::unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        Some((event, receiver))
    })
    .filter_map(|event| std::future::ready(correlate(&mut known, event, env.now())));
    deeds
        .for_each_concurrent(WRITING_MAX, |deed| async {
            if let Err(error) = write(&client, deed).await {
                tracing::debug!(%error, "an event could not be written");
            }
        })
        .await;
}

/// What has to be written of `event`: the first of a kind, and of its repetitions the second, fourth, eighth …
fn correlate(known: &mut BTreeMap<Same, Series>, event: Event, now: Timestamp) -> Option<Deed> {
    // What went well happens once.
    if event.type_.as_deref() == Some(EventType::Normal.as_str()) {
        return Some(Deed::Create(Box::new(event)));
    }
    let fresh = |series: &Series| now.duration_since(series.last).unsigned_abs() < SERIES_MAX;
    if known.len().is_multiple_of(1024) {
        known.retain(|_, series| fresh(series));
    }
    let uid = |object: &Option<ObjectReference>| object.as_ref().and_then(|object| object.uid.clone());
    let same = (event.reason.clone()?, uid(&event.regarding)?, uid(&event.related));
    match known.get_mut(&same).filter(|series| fresh(series)) {
        Some(series) => {
            (series.count, series.last) = (series.count.saturating_add(1), now);
            let patch = json!({"series": {"count": series.count, "lastObservedTime": MicroTime(now)}});
            let (namespace, name) = (series.namespace.clone(), series.name.clone());
            (series.count.count_ones() == 1).then_some(Deed::Count { namespace, name, patch })
        }
        None => {
            let (namespace, name) = (event.metadata.namespace.clone()?, event.metadata.name.clone()?);
            known.insert(same, Series { namespace, name, count: 1, last: now });
            Some(Deed::Create(Box::new(event)))
        }
    }
}

async fn write(client: &Client, deed: Deed) -> Result<(), Status> {
    match deed {
        Deed::Create(event) => client.create(&*event).await.map(drop),
        Deed::Count { namespace, name, patch } => {
            client.patch::<Event>(&namespace, &name, "", PatchType::Strategic, &patch).await.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_become_a_series() {
        let mut known = BTreeMap::new();
        let event = |uid: &str| Event {
            metadata: ObjectMeta {
                name: Some("e".into()),
                namespace: Some("n".into()),
                ..Default::default()
            },
            reason: Some("FailedScheduling".into()),
            type_: Some("Warning".into()),
            regarding: Some(ObjectReference { uid: Some(uid.into()), ..Default::default() }),
            ..Event::default()
        };
        let mut deeds = String::new();
        for second in 0..5 {
            let now = Timestamp::from_second(second).unwrap();
            deeds += match correlate(&mut known, event("a"), now) {
                Some(Deed::Create(_)) => "create ",
                Some(Deed::Count { .. }) => "count ",
                None => "- ",
            };
        }
        assert_eq!(deeds, "create count - count - ");
        let later = Timestamp::from_second(1000).unwrap();
        assert!(matches!(correlate(&mut known, event("a"), later), Some(Deed::Create(_))));
        assert!(matches!(correlate(&mut known, event("b"), later), Some(Deed::Create(_))));
    }

    #[test]
    fn long_notes_are_cut() {
        assert_eq!(cut("é".repeat(600)).len(), 1024);
        assert_eq!(cut("short".into()), "short");
    }
}
