//! What is looked at: conditions about pods, nodes and Deployments, and the monitor that holds every single state of the
//! pods and ReplicaSets to some of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_api::Object;
use decapod_client::ObjectKey;
use decapod_store::{At, Change, Event};
use decapod_sys::Env;

use crate::gate::{Gate, Life};
use crate::trace::Trace;

/// How many of which objects there are to be, such as `>=15 pods app=web ready`.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    least: usize,
    most: usize,
    /// The plural of what is counted.
    pub resource: String,
    filters: Vec<Filter>,
    /// Whether the replicas count that they want, instead of themselves.
    replicas: bool,
}

/// Which objects count.
#[derive(Clone, Debug, PartialEq)]
enum Filter {
    /// Those of this name.
    Name(String),
    /// Those with this label.
    Label(String, String),
    /// Pods whose first container has this image.
    Image(String),
    /// Pods of this node.
    On(String),
    /// Pods or nodes that are ready.
    Ready,
    /// Pods that are about to end.
    Ending,
    /// Pods that are not about to end.
    Staying,
    /// Nodes of which nothing is heard.
    Unreachable,
    /// Deployments whose rollout is over.
    Complete,
}

/// Holds all states of the pods and the ReplicaSets to conditions. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Monitor(Arc<Mutex<Vec<Condition>>>);

const COUNTED: [&str; 4] = ["pods", "nodes", "replicasets", "deployments"];
/// What the monitor follows.
const FOLLOWED: [&str; 2] = ["pods", "replicasets"];

// === impl Condition ===

impl Condition {
    /// Reads `20 pods app=web ready`; the count may be `20`, `>=20` or `<=20`. Filters are a label, `image=`, `on=`,
    /// `name=`, `ready`, `ending`, `staying`, `unreachable` and `complete`. With `wanted` the replicas count that they
    /// want.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let mut words = text.split_whitespace();
        let count = words.next().unwrap_or_default();
        let number = |digits: &str| digits.parse::<usize>().map_err(|_| format!("{count:?} is no count"));
        let (least, most) = match (count.strip_prefix(">="), count.strip_prefix("<=")) {
            (Some(least), _) => (number(least)?, usize::MAX),
            (_, Some(most)) => (0, number(most)?),
            _ => (number(count)?, number(count)?),
        };
        let resource = words.next().unwrap_or_default().to_owned();
        if !COUNTED.contains(&resource.as_str()) {
            return Err(format!("{resource:?} are not counted: {} are", COUNTED.join(", ")));
        }
        let (replicas, words): (Vec<&str>, Vec<&str>) = words.partition(|word| *word == "wanted");
        let filters = words.into_iter().map(Filter::parse).collect::<Result<_, _>>()?;
        Ok(Condition {
            text: text.to_owned(),
            least,
            most,
            resource,
            filters,
            replicas: !replicas.is_empty(),
        })
    }

    /// Why it does not hold for `objects`, all there are of its resource.
    pub fn check<'a>(&self, objects: impl Iterator<Item = &'a Object>) -> Result<(), String> {
        let holds = |object: &&Object| self.filters.iter().all(|filter| filter.holds(object));
        let weight = |object: &Object| match self.replicas {
            true => usize::try_from(number(object, &["spec", "replicas"])).unwrap_or_default(),
            false => 1,
        };
        let count = objects.filter(holds).map(weight).sum();
        match (self.least..=self.most).contains(&count) {
            true => Ok(()),
            false => Err(format!("expected {}, there are {count}", self.text)),
        }
    }
}

// === impl Filter ===

impl Filter {
    fn parse(word: &str) -> Result<Filter, String> {
        Ok(match word.split_once('=') {
            Some(("name", name)) => Filter::Name(name.to_owned()),
            Some(("image", image)) => Filter::Image(image.to_owned()),
            Some(("on", node)) => Filter::On(node.to_owned()),
            Some((key, value)) => Filter::Label(key.to_owned(), value.to_owned()),
            None => match word {
                "ready" => Filter::Ready,
                "ending" => Filter::Ending,
                "staying" => Filter::Staying,
                "unreachable" => Filter::Unreachable,
                "complete" => Filter::Complete,
                _ => return Err(format!("nothing is known of {word:?}")),
            },
        })
    }

    fn holds(&self, object: &Object) -> bool {
        let is_ending = || object.raw(&["metadata", "deletionTimestamp"]).is_some();
        match self {
            Filter::Name(name) => object.name() == name.as_str(),
            Filter::Label(key, value) => object.label(key).as_deref() == Some(value),
            Filter::Image(image) => image_of(object) == *image,
            Filter::On(node) => object.text(&["spec", "nodeName"]).as_deref() == Some(node),
            Filter::Ready => is_ready(object),
            Filter::Ending => is_ending(),
            Filter::Staying => !is_ending(),
            Filter::Unreachable => taints(object).iter().any(|key| key == "node.kubernetes.io/unreachable"),
            Filter::Complete => is_complete(object),
        }
    }
}

fn tree(object: &Object, path: &[&str]) -> serde_json::Value {
    object.raw(path).and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default()
}

/// Whether its condition `Ready` is true.
pub(crate) fn is_ready(object: &Object) -> bool {
    let conditions = tree(object, &["status", "conditions"]);
    let mut all = conditions.as_array().into_iter().flatten();
    all.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The images of a pod's containers.
pub(crate) fn image_of(object: &Object) -> String {
    let containers = tree(object, &["spec", "containers"]);
    let images = containers.as_array().into_iter().flatten().filter_map(|one| one["image"].as_str());
    images.collect::<Vec<_>>().join(",")
}

/// The keys of a node's taints.
pub(crate) fn taints(object: &Object) -> Vec<String> {
    let taints = tree(object, &["spec", "taints"]);
    let keys = taints.as_array().into_iter().flatten().filter_map(|taint| taint["key"].as_str());
    keys.map(str::to_owned).collect()
}

/// A number at `path`; 0 where there is none.
pub(crate) fn number(object: &Object, path: &[&str]) -> i64 {
    tree(object, path).as_i64().unwrap_or_default()
}

/// Whether a Deployment has rolled out (as `kubectl rollout status` has it).
fn is_complete(object: &Object) -> bool {
    let wanted = number(object, &["spec", "replicas"]);
    let has = |field: &str| number(object, &["status", field]) == wanted;
    number(object, &["metadata", "generation"]) == number(object, &["status", "observedGeneration"])
        && has("replicas")
        && has("updatedReplicas")
        && has("availableReplicas")
}

// === impl Monitor ===

impl Monitor {
    /// Follows whatever server is behind `gate`.
    pub(crate) fn start(env: &Env, gate: &Arc<Gate>, trace: &Trace) -> Monitor {
        let monitor = Monitor(Arc::default());
        for resource in FOLLOWED {
            env.spawn("monitor", monitor.clone().run(resource, Arc::clone(gate), trace.clone()));
        }
        monitor
    }

    /// Adds a condition about pods or ReplicaSets.
    pub(crate) fn always(&self, condition: Condition) -> Result<(), String> {
        if !FOLLOWED.contains(&condition.resource.as_str()) {
            return Err(format!("{} are not followed: {} are", condition.resource, FOLLOWED.join(", ")));
        }
        self.lock().push(condition);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Condition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self, resource: &'static str, gate: Arc<Gate>, trace: Trace) {
        let mut lives = gate.lives.subscribe();
        loop {
            if let Some(life) = gate.life() {
                let end = life.end.clone();
                tokio::select! {
                    biased;
                    () = end.cancelled() => {}
                    () = self.follow(resource, life, &trace) => {}
                }
            }
            if lives.changed().await.is_err() {
                return;
            }
        }
    }

    /// Holds every state of the objects in one life of the server to the conditions.
    async fn follow(&self, resource: &str, life: Life, trace: &Trace) {
        let store = life.server.registry().store();
        let prefix = format!("/registry/{resource}/");
        let Ok(snapshot) = store.snapshot(&prefix, At::Latest).await else { return };
        let mut objects: BTreeMap<ObjectKey, Object> =
            snapshot.iter().map(|(_, object)| (ObjectKey::of(object), object.clone())).collect();
        self.check(resource, &objects, trace);
        let Ok(mut cursor) = store.watch(&prefix, snapshot.revision()) else { return };
        while let Ok(events) = cursor.next().await {
            for event in events {
                apply(&mut objects, &event);
                self.check(resource, &objects, trace);
            }
        }
    }

    fn check(&self, resource: &str, objects: &BTreeMap<ObjectKey, Object>, trace: &Trace) {
        for condition in self.lock().iter().filter(|condition| condition.resource == resource) {
            if let Err(why) = condition.check(objects.values()) {
                trace.fail(format!("always {why}"));
            }
        }
    }
}

fn apply(objects: &mut BTreeMap<ObjectKey, Object>, event: &Event) {
    let key = ObjectKey::of(&event.object);
    match event.change {
        Change::Delete => drop(objects.remove(&key)),
        Change::Put { .. } => drop(objects.insert(key, event.object.clone())),
    }
}
