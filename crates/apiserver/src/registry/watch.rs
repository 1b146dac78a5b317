//! watch: changes from a revision on.

use std::pin::Pin;
use std::sync::Arc;

use decapod_api::{Cause, Object, Revision, Status};
use decapod_client::{Options, Watch, WatchEvent};
use decapod_store::{At, Change, Cursor, Event};
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, Sleep};

use super::custom::selects_late;
use super::list::{self, Selection};
use super::{Registry, Rows, Target};

/// Where a watch begins.
enum Start {
    /// After this revision: the client has everything up to it.
    After(Revision),
    /// With what is there now.
    Initial {
        /// Whether a bookmark says when that has been sent (`sendInitialEvents`).
        marked: bool,
    },
}

/// A watch that is being sent.
struct Sender {
    registry: Arc<Registry>,
    target: Target,
    /// Whether objects are shown as they are stored.
    is_stored: bool,
    selection: Selection,
    cursor: Cursor,
    /// Which resources are served: the watch of a custom one ends when its definition changes or goes.
    rows: Option<decapod_sys::watch::Receiver<Rows>>,
    /// When to tell of progress next, if the client wants to know. It runs on while events are sent: setting a timer
    /// anew for each of them costs more than a bookmark a minute.
    bookmark: Option<Pin<Box<Sleep>>>,
    /// Up to which revision the client knows that it has everything.
    told: Revision,
}

/// How often a quiet watch is told of progress (upstream: about a minute).
const BOOKMARK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

impl Registry {
    /// A stream of changes; it ends with the cursor, an error or the client.
    pub(super) async fn watch(&self, target: &Target, options: &Options) -> Result<Watch, Status> {
        let selection = Selection::parse(target, options)?;
        let bookmarks = options.allow_watch_bookmarks;
        let prefix = target.prefix();
        let expired = |_| {
            Status::expired(format!(
                "too old resource version: {}",
                options.resource_version.as_deref().unwrap_or("0")
            ))
        };
        let (initial, after) = match start(options)? {
            Start::After(revision) => (vec![], revision),
            Start::Initial { marked } => {
                let at =
                    list::at(options).map(|at| if matches!(at, At::Exact(_)) { At::Latest } else { at })?;
                let snapshot = self.store.snapshot(&prefix, at).await.map_err(list::read_failed)?;
                let late = selects_late(&target.resource);
                let chosen = snapshot.iter().filter(|(_, object)| late || selection.matches(object));
                let chosen = chosen.map(|(_, object)| object.clone()).collect();
                let mut initial = self.all_in_version(target, chosen).await?;
                initial.retain(|object| !late || selection.matches(object));
                let mut initial: Vec<WatchEvent> = initial.into_iter().map(WatchEvent::Added).collect();
                if marked {
                    initial.push(WatchEvent::Bookmark {
                        revision: snapshot.revision(),
                        initial_events_end: true,
                    });
                }
                (initial, snapshot.revision())
            }
        };
        let cursor = self.store.watch(&prefix, after).map_err(expired)?;
        let bookmark = bookmarks.then(|| Box::pin(tokio::time::sleep(BOOKMARK_INTERVAL)));
        let rows = target.custom().map(|_| self.kinds.follow());
        if rows.is_some() && !self.kinds.has(&target.resource) {
            return Err(Status::no_such_path());
        }
        let registry = self.this.upgrade().ok_or_else(|| Status::unavailable("the server is ending"))?;
        let sender = Sender {
            registry,
            is_stored: target.resource.custom.is_none() && target.resource.stored_kind() == target.kind(),
            target: target.clone(),
            selection,
            cursor,
            rows,
            bookmark,
            told: after,
        };
        let changes = stream::unfold(Some(sender), |sender| async move {
            let mut sender = sender?;
            let (events, go_on) = sender.next().await;
            Some((stream::iter(events), go_on.then_some(sender)))
        });
        Ok(stream::iter(initial).chain(changes.flatten()).boxed())
    }
}

/// Reads `resourceVersion` and `sendInitialEvents`
/// (k8s.io/apimachinery/pkg/apis/meta/internalversion/validation, KEP-3157).
fn start(options: &Options) -> Result<Start, Status> {
    let (matching, initial) = (options.matching(), options.send_initial_events);
    let mut causes = Vec::new();
    let mut forbid = |why: &str| causes.push(Cause::forbidden("resourceVersionMatch", why));
    if initial.is_some() && matching != "NotOlderThan" {
        forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if initial.is_none() && !matching.is_empty() {
        forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if !matches!(matching, "" | "NotOlderThan") {
        causes.push(Cause::not_supported("resourceVersionMatch", matching, &["NotOlderThan"]));
    }
    if !causes.is_empty() {
        return Err(Status::invalid_options("ListOptions", causes));
    }
    let revision = match options.revision() {
        "" => 0,
        text => list::parse_revision(text)?,
    };
    match initial {
        Some(true) => Ok(Start::Initial { marked: options.allow_watch_bookmarks }),
        Some(false) if revision == 0 => Ok(Start::After(0)),
        None if revision == 0 => Ok(Start::Initial { marked: false }),
        _ => Ok(Start::After(revision)),
    }
}

/// Waits until the row of `target` is served no more; forever for one that stays.
async fn replaced(rows: &mut Option<decapod_sys::watch::Receiver<Rows>>, target: &Target) {
    let Some(rows) = rows else { return std::future::pending().await };
    let is_gone = |rows: &Rows| !rows.iter().any(|row| Arc::ptr_eq(row, &target.resource));
    // Nobody to tell any more is the end as well.
    match rows.wait_for(is_gone).await {
        Ok(_) | Err(_) => {}
    }
}

/// Waits until `timer` ends, and sets it anew; forever without one.
async fn due(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => {
            timer.as_mut().await;
            timer.as_mut().reset(Instant::now() + BOOKMARK_INTERVAL);
        }
        None => std::future::pending().await,
    }
}

// === impl Sender ===

impl Sender {
    /// The next events to send, and whether there may be more.
    async fn next(&mut self) -> (Vec<WatchEvent>, bool) {
        loop {
            let next = tokio::select! {
                biased;
                next = self.cursor.next() => next,
                () = replaced(&mut self.rows, &self.target) => return (vec![], false),
                () = due(&mut self.bookmark) => {
                    match self.progress() {
                        Some(bookmark) => return (vec![bookmark], true),
                        None => continue,
                    }
                }
            };
            let Ok(events) = next else {
                return (
                    vec![WatchEvent::Error(Status::expired(
                        "The resourceVersion for the provided watch is too old.",
                    ))],
                    false,
                );
            };
            let events = match self.shown(events).await {
                Ok(events) => events,
                Err(status) => return (vec![WatchEvent::Error(status)], false),
            };
            if !events.is_empty() {
                return (events, true);
            }
        }
    }

    /// Word of progress, unless the client knows already.
    fn progress(&mut self) -> Option<WatchEvent> {
        let revision = self.cursor.progress();
        if revision == self.told {
            return None;
        }
        self.told = revision;
        Some(WatchEvent::Bookmark { revision, initial_events_end: false })
    }

    /// The events as this watch sees them, in the version of the client. A resource whose versions differ in more than
    /// their names is selected from by what the client sees.
    async fn shown(&self, events: Vec<Arc<Event>>) -> Result<Vec<WatchEvent>, Status> {
        let late = selects_late(&self.target.resource) && !self.selection.is_everything();
        let events = if late { self.converted(&events).await? } else { events };
        let selected = events.iter().filter_map(|event| self.select(event));
        if late || self.is_stored {
            return Ok(selected.map(|(show, object)| show(object)).collect());
        }
        let (kinds, objects): (Vec<Show>, Vec<Object>) = selected.unzip();
        let objects = self.registry.all_in_version(&self.target, objects).await?;
        Ok(kinds.into_iter().zip(objects).map(|(show, object)| show(object)).collect())
    }

    /// The events with what was and what is in the version of the client.
    async fn converted(&self, events: &[Arc<Event>]) -> Result<Vec<Arc<Event>>, Status> {
        let objects = events.iter().flat_map(|event| std::iter::once(&event.object).chain(&event.prev));
        let objects = objects.cloned().collect();
        let mut objects = self.registry.all_in_version(&self.target, objects).await?.into_iter();
        let mut next = || objects.next().ok_or_else(|| Status::internal("fewer objects than events"));
        let convert = |event: &Arc<Event>| {
            let (object, prev) = (next()?, event.prev.as_ref().map(|_| next()).transpose()?);
            Ok(Arc::new(Event { object, prev, ..Event::clone(event) }))
        };
        events.iter().map(convert).collect()
    }

    /// The event as this watch sees it: an object that comes into the selection is added, one that leaves it deleted,
    /// with its old body and the new revision.
    fn select(&self, event: &Event) -> Option<(Show, Object)> {
        let before = event.prev.as_ref().is_some_and(|prev| self.selection.matches(prev));
        let after = event.change != Change::Delete && self.selection.matches(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some((WatchEvent::Added, event.object.clone())),
            (true, true) => Some((WatchEvent::Modified, event.object.clone())),
            (true, false) => Some((WatchEvent::Deleted, gone(event))),
        }
    }
}

/// How an object is shown to have changed.
type Show = fn(Object) -> WatchEvent;

/// The last body of an object that leaves a selection.
fn gone(event: &Event) -> Object {
    match (&event.prev, event.change) {
        (Some(prev), Change::Put { .. }) => prev.at_revision(event.revision),
        _ => event.object.clone(),
    }
}
