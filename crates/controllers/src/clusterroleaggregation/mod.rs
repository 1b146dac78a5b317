//! Gives ClusterRoles with an aggregation rule the rules of those that it selects
//! (k8s.io/kubernetes/pkg/controller/clusterroleaggregation).
//!
//! There are few of them, so that a change of any is a reason to look at all that aggregate.

#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

use crate::Wiring;
use crate::objects::labels;
use crate::objects::status::same;
use crate::runtime::{Action, Live, Plan, Reconcile, Write};

#[derive(Clone)]
struct Controller {
    roles: Informer<ClusterRole>,
}

/// An aggregating role, and all others.
#[derive(Clone, Debug)]
pub struct State {
    /// The one that aggregates.
    pub role: ClusterRole,
    /// The others, by name.
    pub others: Vec<ClusterRole>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let roles = wiring.informers.of::<ClusterRole>();
    let controller = Controller { roles: roles.clone() };
    let all = controller.clone();
    wiring.controller(controller).watch(roles.untyped(), move |_| all.aggregating()).start();
}

impl Controller {
    fn aggregating(&self) -> Vec<ObjectKey> {
        let roles = self.roles.objects().into_iter();
        roles
            .filter(|role| role.raw(&["aggregationRule"]).is_some())
            .map(|role| ObjectKey::of(&role))
            .collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let role = self.roles.get("", &key.name)?;
        let mut others = self.roles.list();
        others.retain(|other| other.metadata.name != role.metadata.name);
        others.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Some(State { role, others })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile(state)
    }
}

fn reconcile(state: &State) -> Plan {
    let Some(aggregation) = &state.role.aggregation_rule else { return Plan::nothing() };
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in aggregation.cluster_role_selectors.iter().flatten() {
        let selects = |role: &&ClusterRole| {
            labels::selects(selector, role.metadata.labels.as_ref().unwrap_or(&Default::default()))
        };
        for rule in state.others.iter().filter(selects).flat_map(|role| role.rules.iter().flatten()) {
            if !rules.iter().any(|other| same(other, rule)) {
                rules.push(rule.clone());
            }
        }
    }
    if same(&state.role.rules, &rules) {
        return Plan::nothing();
    }
    Plan::of(vec![Action::from(Write::update(&ClusterRole { rules: Some(rules), ..state.role.clone() }))])
}
