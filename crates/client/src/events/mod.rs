//! Records what happened to objects, as Events that people read with `kubectl describe`
//! (k8s.io/client-go/tools/record).
//!
//! Recording never waits: a task of its own writes, and drops what it cannot keep up with.

mod correlator;

use std::time::Duration;

use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use tokio::sync::mpsc;

use crate::request::PatchType;
use crate::typed::{Client, Kind};
use correlator::{Correlator, Deed};

/// How many events may wait to be written.
const WAITING_MAX: usize = 1000;
/// How often and how long apart an event is tried when no server answers.
const TRIES: u32 = 12;
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Whether an event is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// It is.
    Normal,
    /// It is not.
    Warning,
}

/// Records events of one component. Cloning shares it.
#[derive(Clone)]
pub struct Recorder {
    env: Env,
    source: EventSource,
    waiting: mpsc::Sender<Event>,
}

struct Writer {
    env: Env,
    client: Client,
    correlator: Correlator,
}

/// How events and others name `object`.
pub fn reference<K: Kind>(object: &K) -> ObjectReference {
    let meta: &ObjectMeta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        resource_version: meta.resource_version.clone(),
        uid: meta.uid.clone(),
        field_path: None,
    }
}

// === impl EventType ===

impl EventType {
    /// As events spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

// === impl Recorder ===

impl Recorder {
    /// A recorder whose events say that they come from `component`.
    pub fn new(env: &Env, client: &Client, component: &str) -> Recorder {
        Recorder::on_host(env, client, component, "")
    }

    /// The same with the node's name, for what runs on every node.
    pub fn on_host(env: &Env, client: &Client, component: &str, host: &str) -> Recorder {
        let (waiting, receiver) = mpsc::channel(WAITING_MAX);
        let host = (!host.is_empty()).then(|| host.to_owned());
        let source = EventSource { component: Some(component.to_owned()), host };
        let writer = Writer { env: env.clone(), client: client.clone(), correlator: Correlator::default() };
        env.spawn("events", writer.run(receiver));
        Recorder { env: env.clone(), source, waiting }
    }

    /// Records that something happened to `object`.
    pub fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        let now = self.env.now();
        let namespace = object.namespace.clone().filter(|namespace| !namespace.is_empty());
        let name = format!("{}.{:x}", object.name.as_deref().unwrap_or_default(), now.as_nanosecond());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            involved_object: object.clone(),
            reason: Some(reason.to_owned()),
            message: Some(message.into()),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            type_: Some(kind.as_str().to_owned()),
            reporting_component: self.source.component.clone(),
            reporting_instance: Some(self.source.host.clone().unwrap_or_default()),
            source: Some(self.source.clone()),
            ..Event::default()
        };
        if self.waiting.try_send(event).is_err() {
            tracing::debug!(reason, "too many events; one is dropped");
        }
    }
}

// === impl Writer ===

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Event>) {
        while let Some(event) = waiting.recv().await {
            if let Some(deed) = self.correlator.observe(event, self.env.now()) {
                self.write(deed).await;
            }
        }
    }

    async fn write(&mut self, deed: Deed) {
        for _ in 0..TRIES {
            let written = match &deed {
                Deed::Create(event) => self.client.create(&**event).await,
                Deed::Count { namespace, name, patch, again } => {
                    let patched =
                        self.client.patch::<Event>(namespace, name, "", PatchType::Strategic, patch).await;
                    match patched {
                        // It has expired.
                        Err(status) if status.is_not_found() => self.client.create(&**again).await,
                        patched => patched,
                    }
                }
            };
            match written {
                Ok(_) => return,
                Err(status) if matches!(status.code, 503 | 504 | 429) => {
                    let jitter_ms = self.env.random_below(RETRY_AFTER.as_millis() as u64);
                    tokio::time::sleep(Duration::from_millis(jitter_ms)).await;
                }
                Err(status) => {
                    tracing::debug!(error = %status, "the server refused an event");
                    return;
                }
            }
        }
        tracing::warn!("an event could not be written and is dropped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Reply, Request, Verb};
    use crate::transport::Transport;
    use decapod_api::{Object, Status};
    use futures::future::BoxFuture;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl Transport for Log {
        fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let line = format!("{} {} {}", request.verb.as_str(), body["count"], body["message"]);
            self.0.lock().unwrap().push(line);
            let gone = request.verb == Verb::Patch && body["count"] == 3;
            let event = br#"{"metadata":{"name":"e","namespace":"default"},"involvedObject":{}}"#;
            Box::pin(async move {
                if gone {
                    return Err(Status::not_found(&request.resource.group_resource(), &request.name));
                }
                Ok(Reply::Object(Object::new(event.to_vec().into(), 1)))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_events_are_counted_and_expired_ones_made_anew() {
        let (env, log) = (Env::simulated(1), Arc::new(Log::default()));
        let recorder = Recorder::new(&env, &Client::new(log.clone()), "test");
        let object =
            ObjectReference { name: Some("web".into()), kind: Some("Pod".into()), ..Default::default() };
        for _ in 0..3 {
            recorder.event(&object, EventType::Warning, "BackOff", "again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lines = log.0.lock().unwrap().join("\n");
        assert_eq!(lines, "create 1 \"again\"\npatch 2 \"again\"\npatch 3 \"again\"\ncreate 3 \"again\"");
    }
}
