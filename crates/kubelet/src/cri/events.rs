//! What happens to containers, as it happens: from CRI's events, or where the runtime has none (containerd before
//! 1.7) from containerd's own event service. Never by asking again and again.

use std::time::Duration;

use decapod_sys::Env;
use prost::Message;
use tokio::sync::mpsc;
use tonic::Request;

use super::client::{Cri, CriError};

/// Something happened to a container or sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// To one of the pod with this UID.
    Pod(String),
    /// To the container or sandbox with this id.
    Container(String),
    /// Events may have been missed: look at everything.
    Everything,
}

/// How long to wait before listening again.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// When to look after an event of containerd's own.
const SHOWN_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(2)];

/// `containerd.services.events.v1`: `SubscribeRequest`.
#[derive(Clone, PartialEq, Message)]
struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

/// `containerd.types.Envelope`, in its event what all task events have in common.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(string, tag = "3")]
    topic: String,
    #[prost(message, optional, tag = "4")]
    event: Option<AnyEvent>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct AnyEvent {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `containerd.events.TaskExit`, `TaskStart`, `TaskOOM` and others begin with it.
#[derive(Clone, PartialEq, Message)]
struct TaskEvent {
    #[prost(string, tag = "1")]
    container_id: String,
}

/// Listens for as long as `env` lives and hands what happens to `events`.
pub fn watch_events(env: &Env, cri: Cri, events: mpsc::UnboundedSender<RuntimeEvent>) {
    let scope = env.clone();
    env.spawn("runtime-events", async move {
        let mut delay = RETRY_MIN;
        loop {
            let began = tokio::time::Instant::now();
            let result = match listen(&cri, &events).await {
                Err(error) if error.is_unimplemented() => listen_to_containerd(&scope, &cri, &events).await,
                result => result,
            };
            if events.is_closed() {
                return;
            }
            if let Err(error) = result {
                tracing::debug!(%error, "lost the container runtime's events");
            }
            if began.elapsed() > RETRY_MAX {
                delay = RETRY_MIN;
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_MAX);
        }
    });
}

async fn listen(cri: &Cri, events: &mpsc::UnboundedSender<RuntimeEvent>) -> Result<(), CriError> {
    // The stream's headers come with its first event, so its opening cannot be waited for.
    if events.send(RuntimeEvent::Everything).is_err() {
        return Ok(());
    }
    let mut stream = cri.container_events().await?;
    while let Some(event) = stream.message().await? {
        let uid = event.pod_sandbox_status.and_then(|status| status.metadata).map(|metadata| metadata.uid);
        let event = uid.map_or(RuntimeEvent::Container(event.container_id), RuntimeEvent::Pod);
        if events.send(event).is_err() {
            break;
        }
    }
    Ok(())
}

async fn listen_to_containerd(
    env: &Env,
    cri: &Cri,
    events: &mpsc::UnboundedSender<RuntimeEvent>,
) -> Result<(), CriError> {
    let filters = vec![r#"namespace==k8s.io,topic~="^/tasks/(start|exit|oom)$""#.to_owned()];
    let request = Request::new(SubscribeRequest { filters });
    let mut stream =
        cri.stream::<_, Envelope>(request, "/containerd.services.events.v1.Events/Subscribe").await?;
    while let Some(envelope) = stream.message().await? {
        let Some(event) = envelope.event.and_then(|event| TaskEvent::decode(event.value.as_slice()).ok())
        else {
            continue;
        };
        tell_until_it_shows(env, events, event.container_id);
    }
    Ok(())
}

/// Containerd's CRI part hears of the same events beside us, and shows what they say a little later.
fn tell_until_it_shows(env: &Env, events: &mpsc::UnboundedSender<RuntimeEvent>, id: String) {
    let events = events.clone();
    env.spawn("runtime-event", async move {
        for wait in SHOWN_AFTER {
            tokio::time::sleep(wait).await;
            if events.send(RuntimeEvent::Container(id.clone())).is_err() {
                return;
            }
        }
    });
}
