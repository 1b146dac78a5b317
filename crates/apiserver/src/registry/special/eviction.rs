//! eviction: a pod is deleted if its disruption budgets allow (upstream's `EvictionREST`).

use decapod_api::selector::LabelSelector;
use decapod_api::{Cause, Status, Value, value};
use decapod_client::{Options, Reply};

use super::created;
use crate::registry::delete_options::DeleteOptions;
use crate::registry::update::{Changed, Outcome, Preconditions};
use crate::registry::{Body, Context, Lookup, RETRIES_MAX, Registry, Target, meta};

/// How many pods a budget may count as evicted that its controller has not seen go.
const EVICTED_MAX: usize = 2000;
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// How a pod may go.
enum Verdict {
    /// As it is asked for.
    Go,
    /// Only as it is now: it counts for nothing because it is not ready. The budget's name.
    GoAsItIs(String),
}

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
        if eviction.str_at(&["metadata", "name"]) != Some(target.name.as_str()) {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let eviction = self.admit(context, target, query, eviction).await?;
        let json = serde_json::to_vec(eviction.get("deleteOptions").unwrap_or(&Value::map()))
            .map_err(Status::internal)?;
        let mut options = DeleteOptions::parse(&Body { bytes: json.into(), ..Body::default() })?;
        if query.dry_run {
            options.dry_run = vec!["All".into()];
        }
        let pod = Target { subresource: String::new(), ..target.clone() };
        let pins = options.preconditions.as_ref().is_some_and(|pins| pins.resource_version.is_some());
        for _ in 0..RETRIES_MAX {
            let draft = self.draft("", "pods", &pod.namespace, &pod.name).ok_or_else(|| pod.not_found())?;
            let revision = draft.str_at(&["metadata", "resourceVersion"]).map(str::to_owned);
            let pinned = || options.pinned(revision.clone());
            if !counts(&draft) {
                // A pod that waits may become ready meanwhile, and count.
                let waits =
                    draft.str_at(&["status", "phase"]) == Some("Pending") && !meta::is_terminating(&draft);
                let options = if waits && !pins { pinned() } else { options.clone() };
                match self.mark_and_end(context, &pod, options).await {
                    Err(status) if status.is_conflict() && !pins => continue,
                    result => return result.map(|_| created()),
                }
            }
            return match self.ask_budget(&pod, &draft, !options.dry_run.is_empty()).await? {
                Verdict::Go => self.mark_and_end(context, &pod, options).await,
                Verdict::GoAsItIs(budget) => match self.mark_and_end(context, &pod, pinned()).await {
                    Err(status) if status.is_conflict() && !pins => Err(unsettled(&budget)),
                    result => result,
                },
            }
            .map(|_| created());
        }
        Err(Status::modified(&pod.resource.group_resource(), &pod.name))
    }

    /// Says in the pod's status why it goes, and deletes it.
    async fn mark_and_end(
        &self,
        context: &Context,
        pod: &Target,
        mut options: DeleteOptions,
    ) -> Result<Changed, Status> {
        if options.dry_run.is_empty() {
            let place = Target { subresource: "status".into(), ..pod.clone() };
            let now = meta::timestamp(self.env.now());
            let marked = self
                .guaranteed_update(&place, &options.expect()?, false, |current| {
                    let mut draft = current.draft.clone();
                    let condition = value!({
                        "type": "DisruptionTarget", "status": "True",
                        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"
                    });
                    meta::set_condition(&mut draft, condition, &now);
                    Ok(Outcome::Put(draft))
                })
                .await?;
            if let (Changed::Kept(object), Some(pins)) = (marked, &mut options.preconditions)
                && pins.resource_version.is_some()
            {
                pins.resource_version = Some(object.revision().to_string());
            }
        }
        self.end(context, pod, &options).await
    }

    /// Counts the pod as disrupted in the one budget that covers it; 429 when none may be.
    async fn ask_budget(&self, pod: &Target, draft: &Value, dry_run: bool) -> Result<Verdict, Status> {
        let budgets = self.drafts("policy", "poddisruptionbudgets", &pod.namespace);
        let covers = |budget: &&Value| {
            let selector = budget.at(&["spec", "selector"]).map(LabelSelector::from_value);
            matches!(selector, Some(Ok(selector)) if selector.matches_labels(draft.at(&["metadata", "labels"])))
        };
        let covering: Vec<&Value> = budgets.iter().filter(covers).collect();
        let budget = match covering.as_slice() {
            [] => return Ok(Verdict::Go),
            [budget] => budget,
            _ => {
                let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status {
                    status: "Failure".into(),
                    message: why.into(),
                    code: 500,
                    ..Status::default()
                });
            }
        };
        let name = budget.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        if !is_ready(draft) && spares_the_unready(budget) {
            return Ok(Verdict::GoAsItIs(name));
        }
        let resource = self.kinds.find("policy", "poddisruptionbudgets").ok_or_else(Status::no_such_path)?;
        let place = Target { resource, name: name.clone(), subresource: "status".into(), ..pod.clone() };
        let now = meta::timestamp(self.env.now());
        self.guaranteed_update(&place, &Preconditions::default(), dry_run, |current| {
            take(current.draft.clone(), &pod.name, &now).map(Outcome::Put)
        })
        .await
        .map(|_| Verdict::Go)
    }
}

/// Whether the pod's going may be a disruption: not if it has ended, has not begun, or is going already.
fn counts(pod: &Value) -> bool {
    let phase = pod.str_at(&["status", "phase"]).unwrap_or_default();
    !matches!(phase, "Succeeded" | "Failed" | "Pending") && !meta::is_terminating(pod)
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod.list_at(&["status", "conditions"]).iter();
    conditions.any(|one| one.str_at(&["type"]) == Some("Ready") && one.str_at(&["status"]) == Some("True"))
}

fn count(budget: &Value, field: &str) -> i64 {
    budget.int_at(&["status", field]).unwrap_or(0)
}

/// Whether a pod that is not ready may go without being counted (KEP-3017).
fn spares_the_unready(budget: &Value) -> bool {
    let (healthy, desired) = (count(budget, "currentHealthy"), count(budget, "desiredHealthy"));
    budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == Some("AlwaysAllow")
        || healthy >= desired && desired > 0
}

/// The budget with one disruption less; why there is none left (upstream's `checkAndDecrement`).
fn take(mut budget: Value, pod: &str, now: &str) -> Result<Value, Status> {
    let name = budget.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
    if count(&budget, "observedGeneration") < budget.int_at(&["metadata", "generation"]).unwrap_or(0) {
        return Err(unsettled(&name));
    }
    let allowed = count(&budget, "disruptionsAllowed");
    let resource =
        decapod_api::meta::GroupResource { group: "policy".into(), resource: "poddisruptionbudget".into() };
    let evicted = budget.at(&["status", "disruptedPods"]).and_then(Value::as_map).map_or(0, |map| map.len());
    if allowed < 0 {
        return Err(Status::forbidden(&resource, &name, "pdb disruptions allowed is negative"));
    }
    if evicted > EVICTED_MAX {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(&resource, &name, why));
    }
    if allowed == 0 {
        return Err(refused(&why_none(&budget, &name), 0));
    }
    budget.set_at(&["status", "disruptionsAllowed"], allowed - 1);
    if allowed == 1 {
        let condition = value!({
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "observedGeneration": count(&budget, "observedGeneration")
        });
        meta::set_condition(&mut budget, condition, now);
    }
    budget.set_at(&["status", "disruptedPods", pod], now);
    Ok(budget)
}

fn why_none(budget: &Value, name: &str) -> String {
    let (healthy, desired) = (count(budget, "currentHealthy"), count(budget, "desiredHealthy"));
    let mut conditions = budget.list_at(&["status", "conditions"]).iter();
    let condition = conditions.find(|one| {
        one.str_at(&["type"]) == Some("DisruptionAllowed") && one.str_at(&["status"]) == Some("False")
    });
    let text = |field: &str| condition.and_then(|one| one.str_at(&[field])).unwrap_or_default();
    match (text("message"), text("reason")) {
        (why, "SyncFailed") if !why.is_empty() => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}"
            )
        }
        _ if healthy <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
        }
        ("", _) => format!("The disruption budget {name} does not allow evicting pods currently"),
        (why, reason) => {
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {why}")
        }
    }
}

/// 429: the budget's controller has not seen what it is now.
fn unsettled(budget: &str) -> Status {
    refused(&format!("The disruption budget {budget} is still being processed by the server."), 10)
}

/// 429, with the budget as its cause.
fn refused(detail: &str, retry_after_seconds: u32) -> Status {
    let mut status = Status::too_many_requests(REFUSED, retry_after_seconds);
    let cause = Cause { reason: "DisruptionBudget".into(), message: detail.into(), field: String::new() };
    status.details.get_or_insert_default().causes.push(cause);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(status: serde_json::Value) -> Value {
        value!({"metadata": {"name": "b", "generation": 2}, "status": status})
    }

    #[test]
    fn a_budget_gives_or_says_why_not() {
        let left =
            take(budget(serde_json::json!({"observedGeneration": 2, "disruptionsAllowed": 1})), "p", "now")
                .unwrap();
        assert_eq!(left.int_at(&["status", "disruptionsAllowed"]), Some(0));
        assert_eq!(left.str_at(&["status", "disruptedPods", "p"]), Some("now"));
        assert_eq!(left.list_at(&["status", "conditions"])[0].str_at(&["reason"]), Some("InsufficientPods"));
        let condition = |reason: &str, message: &str| serde_json::json!([{"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": message}]);
        let table = [
            (
                serde_json::json!({"observedGeneration": 1}),
                "The disruption budget b is still being processed by the server.",
            ),
            (
                serde_json::json!({"observedGeneration": 2, "currentHealthy": 1, "desiredHealthy": 2}),
                "The disruption budget b needs 2 healthy pods and has 1 currently",
            ),
            (
                serde_json::json!({"observedGeneration": 2, "currentHealthy": 1, "conditions": condition("SyncFailed", "x")}),
                "The disruption budget b does not allow evicting pods currently because it failed sync: x",
            ),
            (
                serde_json::json!({"observedGeneration": 2, "currentHealthy": 1}),
                "The disruption budget b does not allow evicting pods currently",
            ),
        ];
        for (status, why) in table {
            let refusal = take(budget(status), "p", "now").unwrap_err();
            assert_eq!((refusal.code, refusal.message.as_str()), (429, REFUSED));
            assert_eq!(refusal.details.unwrap().causes[0].message, why);
        }
        let refusal =
            take(budget(serde_json::json!({"observedGeneration": 2, "disruptionsAllowed": -1})), "p", "now");
        assert_eq!(
            refusal.unwrap_err().message,
            "poddisruptionbudget.policy \"b\" is forbidden: pdb disruptions allowed is negative"
        );
    }

    #[test]
    fn the_unready_may_go_where_the_budget_is_kept() {
        let table = [
            (value!({"status": {"currentHealthy": 2, "desiredHealthy": 2}}), true),
            (value!({"status": {"currentHealthy": 1, "desiredHealthy": 2}}), false),
            (value!({"status": {"currentHealthy": 0, "desiredHealthy": 0}}), false),
            (value!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}), true),
        ];
        for (budget, expected) in table {
            assert_eq!(spares_the_unready(&budget), expected, "{budget:?}");
        }
    }
}
