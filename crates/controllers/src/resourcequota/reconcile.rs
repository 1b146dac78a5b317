//! What is used of a quota.

use std::collections::BTreeMap;
use std::time::Duration;

use decapod_api::meta::GroupVersionResource;
use decapod_api::quantity::Quantity;
use decapod_api::quota::{self, Amounts, Evaluator};
use decapod_api::{Object, Value};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use crate::objects::Meta;
use crate::runtime::{Live, LiveRead, Plan, Write};

/// How often what only time makes less is counted anew (upstream's --resource-quota-sync-period).
const AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// What is known of a quota.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub quota: ResourceQuota,
    /// Itself, as the evaluators read it.
    pub draft: Value,
    /// What it limits, as far as that is served.
    pub counted: Vec<Counted>,
}

/// The objects of one resource in the quota's namespace.
#[derive(Clone, Debug)]
pub struct Counted {
    /// What counts them.
    pub evaluator: Evaluator,
    /// Of which resource they are.
    pub resource: GroupVersionResource,
    /// Themselves.
    pub objects: Vec<Object>,
    /// Whether there may be others by now, so that the server has to be asked.
    pub is_behind: bool,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    let meta = Meta::from(&state.quota.metadata);
    let behind = state.counted.iter().filter(|counted| counted.is_behind);
    let reads: Vec<LiveRead> =
        behind.map(|counted| LiveRead::list(counted.resource.clone(), &meta.namespace)).collect();
    if reads.iter().any(|read| !live.has(read)) {
        return Plan::ask(reads);
    }
    let hard = quota::read(state.draft.at(&["spec", "hard"]));
    let old = state.quota.status.clone().unwrap_or_default();
    let was_used = quota::read(state.draft.at(&["status", "used"]));
    let mut used = was_used.clone();
    for counted in &state.counted {
        let read = LiveRead::list(counted.resource.clone(), &meta.namespace);
        let objects = live.list(&read).unwrap_or(&counted.objects);
        used.extend(count(state, &counted.evaluator, objects, now));
    }
    let used = quota::masked(&used, &hard.keys().collect::<Vec<_>>());
    let mut plan = Plan { again_after: Some(AGAIN_AFTER), ..Plan::nothing() };
    let is_same = old.hard.is_some()
        && old.used.is_some()
        && quota::read(state.draft.at(&["status", "hard"])) == hard
        && was_used == used;
    if !is_same {
        let hard = state.quota.spec.as_ref().and_then(|spec| spec.hard.clone());
        let status = ResourceQuotaStatus { hard: Some(hard.unwrap_or_default()), used: Some(written(&used)) };
        let new = ResourceQuota { status: Some(status), ..state.quota.clone() };
        plan.write(Write::update_status(&new).tolerating(&["NotFound"]));
    }
    plan
}

/// What the objects that are in the quota's scopes count for, of what it limits.
fn count(state: &State, evaluator: &Evaluator, objects: &[Object], now: Timestamp) -> Amounts {
    let limited = evaluator.limited(&state.draft, &["spec", "hard"]);
    let scopes = quota::scopes(&state.draft);
    let mut sum: Amounts = limited.iter().map(|name| ((*name).to_owned(), Quantity::ZERO)).collect();
    for object in objects {
        let Ok(object) = serde_json::from_slice::<Value>(object.body()) else { continue };
        if evaluator.is_in(&scopes, &object) {
            quota::add(&mut sum, &evaluator.usage(&object, now));
        }
    }
    quota::masked(&sum, &limited)
}

fn written(amounts: &Amounts) -> BTreeMap<String, Written> {
    amounts.iter().map(|(name, amount)| (name.clone(), Written(amount.to_string()))).collect()
}
