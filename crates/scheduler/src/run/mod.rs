//! The thin loop: what informers see goes into the [`Core`], what it decides goes out as ordinary API requests, many
//! of them in flight.

mod events;
mod hands;
mod sources;
#[cfg(test)]
mod tests;

use std::time::Duration;

use decapod_client::Client;
use decapod_sys::Env;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::core::{Action, Core};
use crate::pod::DEFAULT_SCHEDULER;
use hands::Hands;
use sources::Sources;

/// How a scheduler is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose pods it schedules: those with this `schedulerName`.
    pub name: String,
    /// How many bindings may be under way.
    pub binds_in_flight: usize,
}

/// A running scheduler. It runs as long as the scope that it was started in.
#[derive(Clone)]
pub struct Scheduler {
    ready: watch::Receiver<bool>,
}

/// How a step went that was taken for the pod of this UID.
#[derive(Debug)]
struct Done {
    uid: decapod_api::Str,
    step: Step,
    well: bool,
}

/// What bindings consist of.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Its volumes are asked for.
    Prepare,
    /// It is bound.
    Bind,
}

/// How many changes are taken in before the next decision, so that a storm of them does not stop bindings.
const CHANGES_AT_ONCE: usize = 1000;

// === impl Config ===

impl Default for Config {
    fn default() -> Config {
        Config { name: DEFAULT_SCHEDULER.to_owned(), binds_in_flight: 256 }
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Starts a scheduler that acts as `client`.
    pub fn start(env: &Env, client: Client, config: Config) -> Scheduler {
        let sources = Sources::start(env, &client);
        let (ready_sender, ready) = watch::channel(false);
        let inner = env.clone();
        env.supervise("scheduler", move || {
            let hands = Hands::new(&inner, &client, &config.name);
            run(inner.clone(), sources.clone(), hands, config.clone(), ready_sender.clone())
        });
        Scheduler { ready }
    }

    /// Returns once the scheduler has seen the cluster and begun to decide.
    pub async fn ready(&self) {
        // The sender lives as long as the scheduler; without it nobody is left to wait for.
        self.ready.clone().wait_for(|ready| *ready).await.map(drop).unwrap_or_default();
    }

    /// Whether the scheduler has seen the cluster.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }
}

async fn run(env: Env, sources: Sources, hands: Hands, config: Config, ready: watch::Sender<bool>) {
    sources.synced().await;
    let began = Instant::now();
    let mut core = Core::new(&config.name);
    let mut inputs = sources.subscribe();
    let (sender, mut results) = mpsc::unbounded_channel::<Done>();
    let mut in_flight = 0usize;
    let mut chance = |below: u64| env.random_below(below);
    let mut seen = 0;
    loop {
        let now = began.elapsed();
        // All that is known of comes before the next decision.
        if seen < CHANGES_AT_ONCE
            && let Some(Some(input)) = inputs.next().now_or_never()
        {
            sources::apply(&mut core, input, now);
            seen += 1;
            continue;
        }
        seen = 0;
        ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        while let Ok(done) = results.try_recv() {
            in_flight -= 1;
            settle(&mut core, &done, now);
        }
        if in_flight < config.binds_in_flight
            && let Some(action) = core.next(now, &mut chance)
        {
            match action {
                Action::Bind(pod) => {
                    in_flight += 1;
                    hands.bind(pod, sender.clone());
                }
                Action::Prepare(pod, plan) => {
                    in_flight += 1;
                    hands.prepare(pod, plan, sender.clone());
                }
                action => hands.act(action),
            }
            tokio::task::yield_now().await;
            continue;
        }
        // While no more bindings may begin, only one that ends lets anything go on.
        let next_at = core.next_at().filter(|_| in_flight < config.binds_in_flight);
        let wake_at = next_at.map_or(Duration::MAX, |at| at.saturating_sub(now));
        tokio::select! {
            biased;
            input = inputs.next() => match input {
                Some(input) => sources::apply(&mut core, input, began.elapsed()),
                // The informers' scope has ended, and ours with it.
                None => return,
            },
            Some(done) = results.recv() => {
                in_flight -= 1;
                settle(&mut core, &done, began.elapsed());
            }
            () = sleep(wake_at) => {}
        }
    }
}

/// Tells `core` how a step went.
fn settle(core: &mut Core, done: &Done, now: Duration) {
    match done.step {
        Step::Prepare => core.asked(&done.uid, done.well, now),
        Step::Bind => core.bound(&done.uid, done.well, now),
    }
}

/// Sleeps for `duration`; for ever, without a timer, when that is the longest there is.
async fn sleep(duration: Duration) {
    match duration {
        Duration::MAX => futures::future::pending().await,
        duration => tokio::time::sleep(duration).await,
    }
}
