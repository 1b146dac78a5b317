//! What goes next: pods, then everything else, then the namespace.

use std::time::Duration;

use decapod_api::Object;
use decapod_client::{Kind, Request, Verb};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

use super::conditions::{self, Remaining};
use crate::objects::meta::meta_of;
use crate::objects::{status, time};
use crate::resources::ApiResource;
use crate::runtime::{Action, Live, LiveRead, Plan, Write};

/// What holds a namespace until it is empty.
const FINALIZER: &str = "kubernetes";
const TERMINATING: &str = "Terminating";
/// How long finalizers are expected to take.
const FINALIZERS_SECONDS: i64 = 15;

/// What is known of a namespace that goes away.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub namespace: Namespace,
    /// Which resources may be in it.
    pub resources: Vec<ApiResource>,
    /// The groups and versions of which nobody knows what they have.
    pub undiscovered: Vec<String>,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    let name = state.namespace.metadata.name.clone().unwrap_or_default();
    // The informer may be behind, and what is asked of the server is not to be undone.
    let itself = LiveRead::of::<Namespace>("", &name);
    let Some(fresh) = live.object(&itself) else { return Plan::ask(vec![itself]) };
    let Some(namespace) = fresh.and_then(|object| decapod_client::decode::<Namespace>(object).ok()) else {
        return Plan::nothing();
    };
    let is_another = namespace.metadata.uid != state.namespace.metadata.uid;
    let finalizers = namespace.spec.iter().flat_map(|spec| &spec.finalizers).flatten().count();
    if is_another || namespace.metadata.deletion_timestamp.is_none() || finalizers == 0 {
        return Plan::nothing();
    }
    if namespace.status.as_ref().and_then(|status| status.phase.as_deref()) != Some(TERMINATING) {
        return terminate(namespace);
    }
    let (pods, others): (Vec<&ApiResource>, Vec<&ApiResource>) =
        state.resources.iter().partition(|one| one.resource == Pod::resource());
    match empty(&pods, &name, live) {
        Err(ask) => return ask,
        Ok(remaining) if !remaining.is_empty() => return purge(state, namespace, remaining, now),
        Ok(_) => {}
    }
    match empty(&others, &name, live) {
        Err(ask) => ask,
        // What cannot be seen may be there.
        Ok(remaining) if !remaining.is_empty() || !state.undiscovered.is_empty() => {
            purge(state, namespace, remaining, now)
        }
        Ok(_) => release(namespace, now),
    }
}

fn terminate(namespace: Namespace) -> Plan {
    let mut status = namespace.status.clone().unwrap_or_default();
    status.phase = Some(TERMINATING.to_owned());
    Plan::of(vec![Action::from(Write::update_status(&Namespace { status: Some(status), ..namespace }))])
}

/// What is left of `resources`, or the reads that tell.
fn empty<'a>(
    resources: &[&'a ApiResource],
    namespace: &str,
    live: &'a Live,
) -> Result<Vec<Remaining<'a>>, Plan> {
    let reads: Vec<(&ApiResource, LiveRead)> = resources
        .iter()
        .filter(|one| one.has_verb("list"))
        .map(|one| (*one, LiveRead::list(one.resource.clone(), namespace)))
        .collect();
    let unknown: Vec<LiveRead> =
        reads.iter().map(|(_, read)| read).filter(|read| !live.has(read)).cloned().collect();
    if !unknown.is_empty() {
        return Err(Plan::ask(unknown));
    }
    let lists = reads.into_iter().filter_map(|(resource, read)| {
        let items = live.list(&read).filter(|items| !items.is_empty())?;
        Some(Remaining { resource, items })
    });
    Ok(lists.collect())
}

/// Deletes what has not been deleted yet, says what is left, and looks again when that may have gone.
fn purge(state: &State, namespace: Namespace, remaining: Vec<Remaining>, now: Timestamp) -> Plan {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let mut plan = Plan::nothing();
    let deletes: Vec<Write> = remaining
        .iter()
        .filter(|one| one.items.iter().any(|item| !meta_of(item).is_deleting()))
        .flat_map(|one| delete(one, &name))
        .collect();
    if deletes.is_empty() {
        // What does not go at once is said; then it is waited for.
        plan.again_after(Duration::from_secs(estimate(&namespace, &remaining, now).unsigned_abs() / 2 + 1));
        say(&mut plan, namespace, &remaining, &state.undiscovered, now);
    } else {
        plan.actions.push(Action::Parallel(deletes));
        plan.again_after(Duration::from_millis(1));
    }
    plan
}

/// To delete all of one resource.
fn delete(remaining: &Remaining, namespace: &str) -> Vec<Write> {
    let resource = &remaining.resource.resource;
    let options =
        DeleteOptions { propagation_policy: Some("Background".to_owned()), ..DeleteOptions::default() };
    if remaining.resource.has_verb("deletecollection") {
        let mut request = Request::new(Verb::DeleteCollection, resource.clone());
        request.namespace = namespace.to_owned();
        request.body = serde_json::to_vec(&options).unwrap_or_default().into();
        return vec![Write::new(request).tolerating(&["NotFound", "MethodNotAllowed"])];
    }
    let each = remaining
        .items
        .iter()
        .map(|item| Write::delete_resource(resource.clone(), namespace, &item.name(), &options));
    each.map(|write| write.tolerating(&["NotFound", "MethodNotAllowed"])).collect()
}

/// How many seconds it may take until the rest is gone.
fn estimate(namespace: &Namespace, remaining: &[Remaining], now: Timestamp) -> i64 {
    let grace = |pod: &Object| -> i64 {
        let seconds = pod.raw(&["spec", "terminationGracePeriodSeconds"]);
        seconds.and_then(|seconds| serde_json::from_slice(seconds).ok()).unwrap_or_default()
    };
    let pods = remaining.iter().filter(|one| one.resource.resource == Pod::resource());
    let grace = pods.flat_map(|one| one.items).map(grace).max().unwrap_or_default();
    let since = namespace.metadata.deletion_timestamp.as_ref().map_or(now, |time| time.0);
    let is_past = time::until(since, grace, now).is_zero();
    let has_finalizers =
        remaining.iter().flat_map(|one| one.items).any(|item| !meta_of(item).finalizers.is_empty());
    if grace > 0 && !is_past {
        grace
    } else if has_finalizers {
        FINALIZERS_SECONDS
    } else {
        // A kubelet that is late; the pods' own changes bring us back as well.
        FINALIZERS_SECONDS * 2
    }
}

/// Writes the conditions, if they are news.
fn say(
    plan: &mut Plan,
    namespace: Namespace,
    remaining: &[Remaining],
    undiscovered: &[String],
    now: Timestamp,
) -> bool {
    let old = namespace.status.clone().unwrap_or_default();
    let new = conditions::update(old.clone(), remaining, undiscovered, now);
    let is_news = !status::same(&old, &new);
    if is_news {
        plan.write(Write::update_status(&Namespace { status: Some(new), ..namespace }));
    }
    is_news
}

/// Takes the finalizer away, by which the namespace goes.
fn release(mut namespace: Namespace, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    // Who looks at a namespace that others hold should see that nothing is left in it.
    let held = namespace.spec.iter().flat_map(|spec| &spec.finalizers).flatten().any(|one| one != FINALIZER)
        || namespace.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    if held && say(&mut plan, namespace.clone(), &[], &[], now) {
        return plan;
    }
    if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        let before = finalizers.len();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        if finalizers.len() < before {
            plan.write(Write::replace(&namespace, "finalize").tolerating(&["NotFound"]));
        }
    }
    plan
}
