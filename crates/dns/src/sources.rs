//! What the zone is built from.

use std::sync::Arc;

use decapod_api::Object;
use decapod_client::{Change, Changes, Client, Informer, Kind, Selection, decode};
use decapod_sys::Env;
use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::server::Shared;
use crate::zone::Zone;

/// The informers. Cloning shares them.
#[derive(Clone)]
pub struct Sources {
    namespaces: Informer<Namespace>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
}

/// Whose change an input is.
#[derive(Clone, Copy)]
enum Source {
    Namespaces,
    Services,
    Slices,
}

type Input = (Source, Change);

/// How many changes are applied while queries wait.
const AT_ONCE: usize = 100;

// === impl Sources ===

impl Sources {
    /// Starts the informers.
    pub fn start(env: &Env, client: &Client) -> Sources {
        Sources {
            namespaces: Informer::start(env, client, Selection::default()),
            services: Informer::start(env, client, Selection::default()),
            slices: Informer::start(env, client, Selection::default()),
        }
    }

    fn subscribe(&self) -> SelectAll<BoxStream<'static, Input>> {
        futures::stream::select_all([
            stream(Source::Namespaces, self.namespaces.subscribe()),
            stream(Source::Services, self.services.subscribe()),
            stream(Source::Slices, self.slices.subscribe()),
        ])
    }

    /// Keeps the zone as the informers see it.
    pub async fn follow(self, shared: Arc<Shared>) {
        self.namespaces.synced().await;
        self.services.synced().await;
        self.slices.synced().await;
        let mut inputs = self.subscribe();
        // After a failure what has gone meanwhile is told by nobody.
        shared.synced.send_replace(false);
        shared.change(Zone::clear);
        loop {
            // All that is known is in the zone before it counts as seen.
            let mut batch = Vec::new();
            while batch.len() < AT_ONCE
                && let Some(Some(input)) = inputs.next().now_or_never()
            {
                batch.push(input);
            }
            if batch.is_empty() {
                shared.synced.send_replace(true);
                match inputs.next().await {
                    Some(input) => batch.push(input),
                    // The informers' scope has ended, and ours with it.
                    None => return,
                }
            }
            shared.change(|zone| batch.into_iter().for_each(|input| apply(zone, input)));
            tokio::task::yield_now().await;
        }
    }
}

fn stream(source: Source, changes: Changes) -> BoxStream<'static, Input> {
    futures::stream::unfold(changes, move |mut changes| async move {
        let change = changes.next().await?;
        Some(((source, change), changes))
    })
    .boxed()
}

/// The object's type; an object that cannot be read counts as gone.
fn read<K: Kind>(object: &Option<Object>) -> Option<K> {
    let object = object.as_ref()?;
    decode(object).inspect_err(|error| tracing::warn!(?object, %error, "cannot read an object")).ok()
}

fn apply(zone: &mut Zone, (source, change): Input) {
    let Change { key, new, .. } = change;
    match source {
        Source::Namespaces => zone.set_namespace(&key.name, new.is_some()),
        Source::Services => zone.set_service(&key.namespace, &key.name, read(&new).as_ref()),
        Source::Slices => zone.set_slice(&key.namespace, &key.name, read(&new).as_ref()),
    }
}
