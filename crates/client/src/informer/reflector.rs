//! The loop that keeps an informer's cache as the server has it: list, then watch from there; resume a watch that
//! ended, list again when the server has forgotten where we were.

use std::sync::Arc;
use std::time::Duration;

use decapod_api::{Revision, Status};
use decapod_sys::Env;
use futures::StreamExt;

use super::{ObjectKey, Progress, Shared};
use crate::backoff::Backoff;
use crate::request::{Options, WatchEvent};
use crate::typed::Client;

/// The shortest and the longest base wait between attempts.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A watch that ends sooner than this without a word counts as a failure.
const WATCH_MIN: Duration = Duration::from_secs(1);

/// How a watch ended.
enum End {
    /// The server ended it; it can go on from where it was.
    Closed,
    /// It failed; it can go on from where it was.
    Failed(Box<Status>),
    /// The server no longer knows the revision.
    Expired,
}

/// Tells everybody, when the informer's task is dropped with its scope.
struct Guard(Arc<Shared>);

struct Reflector {
    client: Client,
    shared: Arc<Shared>,
    backoff: Backoff,
}

pub(super) async fn run(env: Env, client: Client, shared: Arc<Shared>) {
    let guard = Guard(Arc::clone(&shared));
    Reflector { client, shared, backoff: Backoff::new(&env, RETRY_MIN, RETRY_MAX) }.run().await;
    drop(guard);
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

// === impl Reflector ===

impl Reflector {
    async fn run(mut self) {
        // Any state will do to begin with; later never one older than what was seen.
        let mut from = "0".to_owned();
        loop {
            match self.list(&from).await {
                Ok(revision) => {
                    self.backoff.reset();
                    self.watch(revision).await;
                    // The server forgot it, so nothing but the present will do.
                    from.clear();
                }
                Err(status) => {
                    if status.is_expired() || status.code == 504 {
                        from.clear();
                    }
                    self.pause("list", &status).await;
                }
            }
        }
    }

    async fn pause(&mut self, what: &str, status: &Status) {
        let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let wait = self.backoff.next_delay().max(Duration::from_secs(asked.into()));
        tracing::debug!(resource = %self.shared.resource.group_resource(), what, error = %status, "trying again");
        tokio::time::sleep(wait).await;
    }

    async fn list(&self, from: &str) -> Result<Revision, Status> {
        let options =
            Options { resource_version: (!from.is_empty()).then(|| from.to_owned()), ..self.selection() };
        let shared = &self.shared;
        let list =
            self.client.list_resource(shared.resource.clone(), &shared.selection.namespace, options).await?;
        shared.apply(list.revision, |cache| cache.replace(list.items));
        shared.progress.send_modify(|progress| *progress = Progress { synced: true, ..*progress });
        Ok(list.revision)
    }

    /// Follows changes from `revision` on, until the server no longer knows where we were.
    async fn watch(&mut self, mut revision: Revision) {
        loop {
            let began = tokio::time::Instant::now();
            let before = revision;
            let end = self.follow(&mut revision).await;
            if revision != before {
                self.backoff.reset();
            }
            match end {
                End::Expired => return,
                End::Failed(status) => self.pause("watch", &status).await,
                End::Closed if revision == before && began.elapsed() < WATCH_MIN => {
                    self.pause("watch", &Status::unavailable("the watch ended at once")).await;
                }
                End::Closed => {}
            }
        }
    }

    async fn follow(&self, revision: &mut Revision) -> End {
        let options = Options {
            resource_version: Some(revision.to_string()),
            allow_watch_bookmarks: true,
            ..self.selection()
        };
        let shared = &self.shared;
        let watch =
            self.client.watch_resource(shared.resource.clone(), &shared.selection.namespace, options).await;
        let mut watch = match watch {
            Ok(watch) => watch,
            Err(status) if status.is_expired() => return End::Expired,
            Err(status) => return End::Failed(Box::new(status)),
        };
        while let Some(event) = watch.next().await {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    *revision = object.revision();
                    shared.apply(*revision, |cache| cache.set(object).into_iter().collect());
                }
                WatchEvent::Deleted(object) => {
                    *revision = object.revision();
                    let key = ObjectKey::of(&object);
                    shared.apply(*revision, |cache| cache.remove(&key, Some(object)).into_iter().collect());
                }
                WatchEvent::Bookmark { revision: reached, .. } => {
                    *revision = reached;
                    shared.apply(reached, |_| Vec::new());
                }
                WatchEvent::Error(status) if status.is_expired() => return End::Expired,
                WatchEvent::Error(status) => return End::Failed(Box::new(status)),
            }
        }
        End::Closed
    }

    fn selection(&self) -> Options {
        let selection = &self.shared.selection;
        Options {
            label_selector: selection.label_selector.clone(),
            field_selector: selection.field_selector.clone(),
            ..Options::default()
        }
    }
}
