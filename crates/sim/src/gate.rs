//! The way from all components to the API server of the moment: slow by chance, and broken when the server is killed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_api::{Revision, Status};
use decapod_apiserver::Server;
use decapod_apiserver::identity::User;
use decapod_client::{Client, Reply, Request, Transport, Watch, WatchEvent};
use decapod_store::disk::FakeDisk;
use decapod_sys::{Env, watch};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::trace::{Trace, digest};

/// Where the server is found, or not.
pub(crate) struct Gate {
    env: Env,
    disk: FakeDisk,
    trace: Trace,
    state: Mutex<State>,
    /// The number of the life that has begun last; it may be over.
    pub(crate) lives: watch::Sender<u64>,
    /// How often the server was killed.
    pub(crate) deaths: watch::Sender<u64>,
}

struct State {
    life: Option<Life>,
    /// The newest revision that anybody was told.
    told: Revision,
    writes: u64,
    kills: bool,
}

/// One life of the server.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) server: Arc<Server>,
    pub(crate) end: CancellationToken,
}

/// The gate for one identity.
struct Door {
    gate: Arc<Gate>,
    user: User,
    agent: String,
}

/// How long a request or an answer is on its way at most.
const LATENCY_US_MAX: u64 = 3_000;
/// One event of a watch in so many comes late, and so much.
const LAG_EVERY: u64 = 16;
const LAG_US_MAX: u64 = 30_000;

// === impl Gate ===

impl Gate {
    /// A gate behind which there is no server yet.
    pub(crate) fn new(env: &Env, disk: FakeDisk, trace: Trace) -> Arc<Gate> {
        Arc::new(Gate {
            env: env.clone(),
            disk,
            trace,
            state: Mutex::new(State { life: None, told: 0, writes: 0, kills: false }),
            lives: watch::Sender::new(0),
            deaths: watch::Sender::new(0),
        })
    }

    /// A client that acts as `user`.
    pub(crate) fn client(self: &Arc<Gate>, user: User, agent: &str) -> Client {
        Client::new(Arc::new(Door { gate: self.clone(), user, agent: agent.to_owned() }))
    }

    /// Lets requests in to `server`.
    pub(crate) fn open(&self, server: Arc<Server>) {
        self.lock().life = Some(Life { server, end: CancellationToken::new() });
        self.lives.send_modify(|lives| *lives += 1);
    }

    /// The server dies now: nothing of it reaches the disk any more, and nobody gets an answer.
    pub(crate) fn kill(&self) {
        let Some(life) = self.lock().life.take() else { return };
        self.disk.cut_power();
        life.end.cancel();
        self.trace.note(format_args!("the server is killed"));
        self.deaths.send_modify(|deaths| *deaths += 1);
    }

    /// The server, if it lives.
    pub(crate) fn life(&self) -> Option<Life> {
        self.lock().life.clone()
    }

    /// The newest revision that anybody was told: it must be there for ever.
    pub(crate) fn told(&self) -> Revision {
        self.lock().told
    }

    /// How many writes have succeeded.
    pub(crate) fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Whether the server is killed after each of its writes.
    pub(crate) fn kills(&self) -> bool {
        self.lock().kills
    }

    /// Whether the server is killed after each of its writes from now on.
    pub(crate) fn set_kills(&self, kills: bool) {
        self.lock().kills = kills;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delay(&self) {
        let latency_us = self.env.random_below(LATENCY_US_MAX);
        tokio::time::sleep(Duration::from_micros(latency_us)).await;
    }

    /// A write has succeeded; its answer gets lost if the server dies of it, but for one time in two.
    fn written(&self, reply: Reply) -> Result<Reply, Status> {
        let kills = {
            let mut state = self.lock();
            state.writes += 1;
            state.kills
        };
        if kills {
            self.kill();
            if self.env.random_below(2) == 0 {
                return Err(gone());
            }
        }
        if let Reply::Object(object) = &reply {
            let mut state = self.lock();
            state.told = state.told.max(object.revision());
        }
        Ok(reply)
    }

    /// A watch that comes over a network, and ends with the server.
    fn carry(self: &Arc<Gate>, watch: Watch, end: CancellationToken) -> Watch {
        let gate = self.clone();
        let late = watch.then(move |event| {
            let gate = gate.clone();
            async move {
                if gate.env.random_below(LAG_EVERY) == 0 {
                    let lag_us = gate.env.random_below(LAG_US_MAX);
                    tokio::time::sleep(Duration::from_micros(lag_us)).await;
                }
                event
            }
        });
        let broken = futures::stream::once(std::future::ready(WatchEvent::Error(gone())));
        let ended = end.clone();
        let until_end = late.take_until(async move { ended.cancelled().await });
        until_end.chain(broken.filter(move |_| std::future::ready(end.is_cancelled()))).boxed()
    }
}

impl Door {
    async fn ask(&self, request: Request) -> Result<Reply, Status> {
        let gate = &self.gate;
        gate.delay().await;
        let Some(life) = gate.life() else { return Err(gone()) };
        let is_read = request.verb.is_read();
        let client = life.server.client(self.user.clone(), &self.agent);
        let reply = tokio::select! {
            biased;
            () = life.end.cancelled() => return Err(gone()),
            reply = client.call(request) => reply?,
        };
        let reply = match reply {
            Reply::Watch(watch) => Reply::Watch(gate.carry(watch, life.end.clone())),
            reply if is_read => reply,
            reply => gate.written(reply)?,
        };
        tokio::select! {
            biased;
            () = life.end.cancelled(), if is_read => Err(gone()),
            () = gate.delay() => Ok(reply),
        }
    }
}

impl Transport for Door {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        Box::pin(async move {
            let asked = format!(
                "{} {} {} {} {}/{} {:x}",
                self.user.name,
                request.verb.as_str(),
                request.resource.resource,
                request.subresource,
                request.namespace,
                request.name,
                digest(&request.body),
            );
            self.gate.trace.note(format_args!("{asked}"));
            let reply = self.ask(request).await;
            let answer = match &reply {
                Ok(Reply::Object(object)) => format!("{} {:x}", object.revision(), digest(object.body())),
                Ok(Reply::List(list)) => format!("{} items at {}", list.items.len(), list.revision),
                Ok(Reply::Status(status)) => status.code.to_string(),
                Ok(Reply::Watch(_)) => "a watch".to_owned(),
                Err(status) => format!("{} {}", status.code, status.message),
            };
            self.gate.trace.note(format_args!("{asked}: {answer}"));
            reply
        })
    }
}

/// What a client sees of a server that is not there.
fn gone() -> Status {
    Status::unavailable("the connection to the server was lost")
}
