//! Follows one aggregated server: whether it is there, and what it says that it serves.
//!
//! It is asked when something about it changes, and now and then beside that, for a server can go without a word.

use std::sync::Arc;
use std::time::Duration;

use decapod_api::Value;
use decapod_client::backoff::Backoff;
use decapod_store::{Cursor, Event};
use decapod_sys::watch;
use tokio::time::Instant;

use super::api_service::{ApiService, Condition, Reference};
use super::remote::{Documents, Remote};
use super::{availability, discovery, openapi};
use crate::registry::Registry;
use crate::server::Server;

/// How soon one is looked at again (upstream's resync of its availability controller).
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How soon it is asked again what it serves (upstream's `discoveryRefreshInterval`).
const DOCUMENTS_INTERVAL: Duration = Duration::from_secs(60);
/// How soon one is asked again that did not answer, at first.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// What is known of one server from one look to the next.
struct Worker {
    server: Arc<Server>,
    remote: Arc<Remote>,
    backoff: Backoff,
    /// What was written last.
    condition: Option<Condition>,
    /// When it is to be asked what it serves.
    documents_due: Instant,
}

/// Follows one server, until `service` ends.
pub async fn run(server: Arc<Server>, remote: Arc<Remote>, mut service: watch::Receiver<Arc<ApiService>>) {
    let backoff = Backoff::new(server.env(), RETRY_MIN, CHECK_INTERVAL);
    let registry = server.registry.clone();
    let mut worker = Worker { server, remote, backoff, condition: None, documents_due: Instant::now() };
    loop {
        let now = service.borrow_and_update().clone();
        // From here on no change is missed.
        let mut around = Around::new(&registry, &worker.remote.reference);
        let again = tokio::time::sleep(worker.look(&now).await);
        tokio::pin!(again);
        loop {
            tokio::select! {
                biased;
                changed = service.changed() => match changed {
                    Err(_) => return,
                    // What was just written comes back.
                    Ok(()) if worker.has_said(&now, &service.borrow_and_update()) => {}
                    Ok(()) => break,
                },
                () = around.changed() => break,
                () = &mut again => break,
            }
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Looks at the server; how soon to do so again.
    async fn look(&mut self, service: &ApiService) -> Duration {
        let condition = availability::check(&self.server, service, &self.remote).await;
        let is_available = condition.status == "True";
        let mut is_well = is_available;
        // It can serve before it is said to be there.
        if is_available && self.documents_due <= Instant::now() {
            is_well = self.ask(service).await;
            self.documents_due = Instant::now() + if is_well { DOCUMENTS_INTERVAL } else { Duration::ZERO };
        }
        if !is_available {
            self.documents_due = Instant::now();
            self.put(Documents { discovery: None, ..(*self.remote.documents()).clone() });
        }
        if let Err(status) = availability::write(&self.server, service, &condition).await {
            tracing::warn!(%status, service = service.name, "writing whether an API server is available");
            is_well = false;
        }
        let asks_again = condition.reason == "FailedDiscoveryCheck" || is_available;
        self.condition = Some(condition);
        match asks_again && !is_well {
            true => self.backoff.next_delay(),
            false => {
                self.backoff.reset();
                CHECK_INTERVAL
            }
        }
    }

    /// Asks what it serves; whether it has said so.
    async fn ask(&self, service: &ApiService) -> bool {
        let mut documents = (*self.remote.documents()).clone();
        let known = documents.discovery.take();
        match discovery::fetch(&self.server, service, &self.remote, known.as_ref()).await {
            Ok(found) => documents.discovery = Some(found),
            Err(why) => tracing::debug!(service = service.name, why, "discovery of an aggregated API server"),
        }
        let is_current = documents.discovery.is_some();
        openapi::refresh(&self.server, service, &self.remote, &mut documents).await;
        self.put(documents);
        is_current
    }

    /// Keeps what it has said, and says so if its resources are others.
    fn put(&self, documents: Documents) {
        let same = match (&self.remote.documents().discovery, &documents.discovery) {
            (None, None) => true,
            (Some(old), Some(new)) => old.json == new.json,
            _ => false,
        };
        self.remote.put(documents);
        if !same {
            self.server.aggregator.change(|_| ());
        }
    }

    /// Whether `new` is `old` with the condition that was written.
    fn has_said(&self, old: &ApiService, new: &ApiService) -> bool {
        new.condition == self.condition
            && ApiService { condition: old.condition.clone(), ..new.clone() } == *old
    }
}

/// Word of changes to a service and to its endpoints.
struct Around {
    services: Option<Cursor>,
    slices: Option<Cursor>,
    name: String,
}

// === impl Around ===

impl Around {
    fn new(registry: &Registry, reference: &Reference) -> Around {
        let from = registry.store().revision();
        let cursor = |group: &str, plural: &str| {
            let prefix = registry.kinds().find(group, plural)?.prefix_in(&reference.namespace);
            registry.store().watch(&prefix, from).ok()
        };
        Around {
            services: cursor("", "services"),
            slices: cursor("discovery.k8s.io", "endpointslices"),
            name: reference.name.clone(),
        }
    }

    /// Returns when something has changed.
    async fn changed(&mut self) {
        let name = self.name.as_str();
        tokio::select! {
            biased;
            () = seen(&mut self.services, |event| event.object.name() == name) => {}
            () = seen(&mut self.slices, |event| {
                let slice: Value = serde_json::from_slice(event.object.body()).unwrap_or_default();
                slice.str_at(&["metadata", "labels", "kubernetes.io/service-name"]) == Some(name)
            }) => {}
        }
    }
}

/// Returns at an event that is wanted, or when the history is gone; never without a cursor.
async fn seen(cursor: &mut Option<Cursor>, wanted: impl Fn(&Event) -> bool) {
    let Some(cursor) = cursor else { return std::future::pending().await };
    while let Ok(events) = cursor.next().await {
        if events.iter().any(|event| wanted(event)) {
            return;
        }
    }
}
