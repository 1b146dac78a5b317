//! The config maps and secrets that this node's pods name: each watched for as long as a pod names it, as the node
//! authorizer allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_client::{Client, Kind, ObjectInformer, Selection, decode};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tokio::sync::mpsc;

use crate::pod::NodePod;
use crate::pod::env::Lookup;

/// How long a pod waits for its objects; the API server may be away.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A config map.
    ConfigMap,
    /// A secret.
    Secret,
}

/// One object that pods name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The objects. Cloning shares them.
#[derive(Clone)]
pub struct Objects(Arc<Inner>);

struct Inner {
    env: Env,
    client: Client,
    /// Told the UIDs of pods whose objects have changed.
    changed: mpsc::UnboundedSender<String>,
    entries: Mutex<BTreeMap<Reference, Entry>>,
}

struct Entry {
    scope: Env,
    informer: ObjectInformer,
    users: BTreeSet<String>,
}

// === impl Objects ===

impl Objects {
    /// Watches what is named while `env` lives, and sends the UIDs of pods whose objects change.
    pub fn new(env: &Env, client: &Client, changed: mpsc::UnboundedSender<String>) -> Objects {
        Objects(Arc::new(Inner {
            env: env.clone(),
            client: client.clone(),
            changed,
            entries: Mutex::default(),
        }))
    }

    /// Watches what `pod` names, from now on and no more than that.
    pub fn register(&self, pod: &NodePod) {
        let named = references(pod);
        let mut entries = self.0.entries();
        for reference in &named {
            let entry = entries.entry(reference.clone()).or_insert_with(|| self.watch(reference));
            entry.users.insert(pod.uid().to_owned());
        }
        release(&self.0.env, &mut entries, pod.uid(), &named);
    }

    /// Watches no more for the pod `uid`.
    pub fn release(&self, uid: &str) {
        release(&self.0.env, &mut self.0.entries(), uid, &BTreeSet::new());
    }

    /// Returns once all that the pod `uid` names has been looked up; false if that takes too long.
    pub async fn synced(&self, uid: &str) -> bool {
        let informers: Vec<ObjectInformer> = self
            .0
            .entries()
            .values()
            .filter(|entry| entry.users.contains(uid))
            .map(|entry| entry.informer.clone())
            .collect();
        let all = async {
            for informer in informers {
                informer.synced().await;
            }
        };
        tokio::time::timeout(SYNC_TIMEOUT, all).await.is_ok()
    }

    fn watch(&self, reference: &Reference) -> Entry {
        let scope = self.0.env.scope();
        let selection = Selection {
            namespace: reference.namespace.clone(),
            field_selector: format!("metadata.name={}", reference.name),
            ..Selection::default()
        };
        let resource = match reference.kind {
            ObjectKind::ConfigMap => ConfigMap::resource(),
            ObjectKind::Secret => Secret::resource(),
        };
        let informer = ObjectInformer::start(&scope, &self.0.client, resource, selection, Vec::new());
        let (objects, reference, mut changes) = (self.clone(), reference.clone(), informer.subscribe());
        scope.spawn("object-changes", async move {
            while changes.next().await.is_some() {
                let users = objects.0.entries().get(&reference).map(|entry| entry.users.clone());
                for uid in users.unwrap_or_default() {
                    if objects.0.changed.send(uid).is_err() {
                        return;
                    }
                }
            }
        });
        Entry { scope, informer, users: BTreeSet::new() }
    }

    fn get<K: Kind>(&self, kind: ObjectKind, namespace: &str, name: &str) -> Option<K> {
        let reference = Reference { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        let informer = self.0.entries().get(&reference)?.informer.clone();
        decode(&informer.object(namespace, name)?).ok()
    }
}

impl Lookup for Objects {
    fn config_map(&self, namespace: &str, name: &str) -> Option<ConfigMap> {
        self.get(ObjectKind::ConfigMap, namespace, name)
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<Secret> {
        self.get(ObjectKind::Secret, namespace, name)
    }
}

fn release(env: &Env, entries: &mut BTreeMap<Reference, Entry>, uid: &str, still: &BTreeSet<Reference>) {
    entries.retain(|reference, entry| {
        if !still.contains(reference) {
            entry.users.remove(uid);
        }
        if entry.users.is_empty() {
            let scope = entry.scope.clone();
            env.spawn("object-unwatch", async move { scope.shutdown().await });
        }
        !entry.users.is_empty()
    });
}

impl Inner {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<Reference, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All config maps and secrets that `pod` names (pkg/api/v1/pod VisitPodSecretNames, VisitPodConfigmapNames).
pub fn references(pod: &NodePod) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    let mut add = |kind, name: Option<&str>| {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            found.insert(Reference { kind, namespace: pod.namespace().to_owned(), name: name.to_owned() });
        }
    };
    let spec = pod.spec();
    for secret in spec.image_pull_secrets.iter().flatten() {
        add(ObjectKind::Secret, Some(&secret.name));
    }
    for (_, container) in pod.containers() {
        for source in container.env_from.iter().flatten() {
            add(ObjectKind::ConfigMap, source.config_map_ref.as_ref().map(|source| source.name.as_str()));
            add(ObjectKind::Secret, source.secret_ref.as_ref().map(|source| source.name.as_str()));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            add(ObjectKind::ConfigMap, source.config_map_key_ref.as_ref().map(|source| source.name.as_str()));
            add(ObjectKind::Secret, source.secret_key_ref.as_ref().map(|source| source.name.as_str()));
        }
    }
    for volume in spec.volumes.iter().flatten() {
        add(ObjectKind::ConfigMap, volume.config_map.as_ref().map(|source| source.name.as_str()));
        add(ObjectKind::Secret, volume.secret.as_ref().and_then(|source| source.secret_name.as_deref()));
        let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
        for source in projected.unwrap_or_default() {
            add(ObjectKind::ConfigMap, source.config_map.as_ref().map(|source| source.name.as_str()));
            add(ObjectKind::Secret, source.secret.as_ref().map(|source| source.name.as_str()));
        }
    }
    found
}
