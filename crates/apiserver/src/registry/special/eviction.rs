//! eviction: a pod is deleted if its disruption budgets allow (upstream's `EvictionREST`).

use decapod_api::selector::LabelSelector;
use decapod_api::{Cause, Status, Value, value};
use decapod_client::{Options, Reply};

use super::created;
use crate::registry::delete_options::DeleteOptions;
use crate::registry::update::{Outcome, Preconditions};
use crate::registry::{Body, Context, Lookup, Registry, Target, meta};

impl Registry {
    /// Deletes the pod, counting it against its budget first.
    pub(super) async fn evict(
        &self,
        context: &Context,
        target: &Target,
        query: &Options,
        body: Body,
    ) -> Result<Reply, Status> {
        let eviction = self.payload(context, target, &body)?;
        let named = eviction.str_at(&["metadata", "name"]).unwrap_or_default();
        if !named.is_empty() && named != target.name {
            let why =
                format!("name in URL does not match name in Eviction object: {} vs {named}", target.name);
            return Err(Status::bad_request(why));
        }
        let json = serde_json::to_vec(eviction.get("deleteOptions").unwrap_or(&Value::map()))
            .map_err(Status::internal)?;
        let mut options = DeleteOptions::parse(&Body { bytes: json.into(), ..Body::default() })?;
        if query.dry_run {
            options.dry_run = vec!["All".into()];
        }
        let pod = Target { subresource: String::new(), ..target.clone() };
        let draft = self.draft("", "pods", &pod.namespace, &pod.name).ok_or_else(|| pod.not_found())?;
        let phase = draft.str_at(&["status", "phase"]).unwrap_or_default();
        let needs_budget =
            !matches!(phase, "Succeeded" | "Failed" | "Pending") && !meta::is_terminating(&draft);
        if needs_budget {
            self.take_from_budget(&pod, &draft, !options.dry_run.is_empty()).await?;
        }
        if options.dry_run.is_empty() {
            self.mark_disrupted(&pod).await?;
        }
        self.end(context, &pod, &options).await?;
        Ok(created())
    }

    /// Says on the pod why it ends (upstream's addConditionAndDeletePod).
    async fn mark_disrupted(&self, pod: &Target) -> Result<(), Status> {
        let now = meta::timestamp(self.env.now());
        let place = Target { subresource: "status".into(), ..pod.clone() };
        self.guaranteed_update(&place, &Preconditions::default(), false, |current| {
            let mut draft = current.draft.clone();
            let condition = value!({
                "type": "DisruptionTarget", "status": "True",
                "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"
            });
            meta::set_condition(&mut draft, condition, &now);
            Ok(Outcome::Put(draft))
        })
        .await?;
        Ok(())
    }

    /// Counts the pod as disrupted in the one budget that covers it; 429 when none may be.
    async fn take_from_budget(&self, pod: &Target, draft: &Value, dry_run: bool) -> Result<(), Status> {
        let budgets = self.drafts("policy", "poddisruptionbudgets", &pod.namespace);
        let covers = |budget: &&Value| {
            let selector = budget.at(&["spec", "selector"]).map(LabelSelector::from_value);
            matches!(selector, Some(Ok(selector)) if selector.matches_labels(draft.at(&["metadata", "labels"])))
        };
        let covering: Vec<&Value> = budgets.iter().filter(covers).collect();
        let budget = match covering.as_slice() {
            [] => return Ok(()),
            [budget] => budget.str_at(&["metadata", "name"]).unwrap_or_default().to_owned(),
            _ => {
                let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status::internal(why));
            }
        };
        let resource = self.kinds.find("policy", "poddisruptionbudgets").ok_or_else(Status::no_such_path)?;
        let place = Target { resource, name: budget.clone(), subresource: "status".into(), ..pod.clone() };
        let now = meta::timestamp(self.env.now());
        self.guaranteed_update(&place, &Preconditions::default(), dry_run, |current| {
            let mut budget_draft = current.draft.clone();
            let observed = budget_draft.int_at(&["status", "observedGeneration"]).unwrap_or(0);
            if observed < budget_draft.int_at(&["metadata", "generation"]).unwrap_or(0) {
                let why = "Cannot evict pod as it would violate the pod's disruption budget.";
                return Err(refused(
                    &budget,
                    why,
                    &format!("The disruption budget {budget} is still being processed by the server."),
                ));
            }
            let allowed = budget_draft.int_at(&["status", "disruptionsAllowed"]).unwrap_or(0);
            if allowed <= 0 {
                let healthy = budget_draft.int_at(&["status", "currentHealthy"]).unwrap_or(0);
                let desired = budget_draft.int_at(&["status", "desiredHealthy"]).unwrap_or(0);
                let detail = format!(
                    "The disruption budget {budget} needs {desired} healthy pods and has {healthy} currently"
                );
                return Err(refused(
                    &budget,
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    &detail,
                ));
            }
            budget_draft.set_at(&["status", "disruptionsAllowed"], allowed - 1);
            budget_draft.set_at(&["status", "disruptedPods", &pod.name], now.as_str());
            Ok(Outcome::Put(budget_draft))
        })
        .await?;
        Ok(())
    }
}

/// 429, with the budget as its cause.
fn refused(budget: &str, why: &str, detail: &str) -> Status {
    let mut status = Status::too_many_requests(why, 0);
    let cause = Cause { reason: "DisruptionBudget".into(), message: detail.into(), field: String::new() };
    let details = status.details.get_or_insert_default();
    details.name = budget.to_owned();
    details.causes.push(cause);
    status
}
