//! What a Job's pod failure policy and success policy say.

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, SuccessPolicy};

use super::indexes::Indexes;
use crate::objects::Pod;
use crate::objects::pod::ContainerStatus;

/// What follows from a pod's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts against the back-off limit.
    Count,
    /// It does not count.
    Ignore,
    /// Its index has failed for good.
    FailIndex,
    /// The whole Job has, for this reason.
    FailJob(String),
}

/// What the policy of `spec` says of the failed pod `pod`: its first rule that matches.
pub(super) fn verdict(spec: &JobSpec, pod: &Pod) -> Verdict {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    for (at, rule) in rules.enumerate() {
        let key = pod.metadata.key();
        let why = if let Some(codes) = &rule.on_exit_codes {
            exit_code(pod, codes).map(|(name, code)| {
                format!("Container {name} for pod {key} failed with exit code {code} matching {} rule at index {at}", rule.action)
            })
        } else {
            let patterns = rule.on_pod_conditions.iter().flatten();
            let mut matching = patterns.filter_map(|pattern| {
                let wanted = pattern.status.as_deref().unwrap_or("True");
                pod.condition(&pattern.type_).filter(|condition| condition.status == wanted)
            });
            let kind = matching.next().map(|condition| condition.type_.clone());
            kind.map(|kind| {
                format!("Pod {key} has condition {kind} matching {} rule at index {at}", rule.action)
            })
        };
        match (why, rule.action.as_str()) {
            (None, _) => {}
            (Some(why), "FailJob") => return Verdict::FailJob(why),
            (Some(_), "FailIndex") => return Verdict::FailIndex,
            (Some(_), "Ignore") => return Verdict::Ignore,
            (Some(_), _) => return Verdict::Count,
        }
    }
    Verdict::Count
}

/// The container that failed with an exit code as `wanted`, and the code.
fn exit_code<'a>(pod: &'a Pod, wanted: &PodFailurePolicyOnExitCodesRequirement) -> Option<(&'a str, i32)> {
    let of = |status: &'a ContainerStatus| {
        let code = status.state.terminated.as_ref()?.exit_code;
        let is_named = wanted.container_name.as_ref().is_none_or(|name| *name == status.name);
        let is_listed = wanted.values.contains(&code);
        let matches = if wanted.operator == "NotIn" { !is_listed } else { is_listed };
        (code != 0 && is_named && matches).then_some((status.name.as_str(), code))
    };
    let statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
    statuses.filter_map(of).next()
}

/// Why `succeeded` indexes are enough, if they are.
pub(super) fn success(
    policy: Option<&SuccessPolicy>,
    completions: i32,
    succeeded: &Indexes,
) -> Option<String> {
    let rules = policy?.rules.iter().enumerate();
    let mut met = rules.filter(|(_, rule)| match (&rule.succeeded_indexes, rule.succeeded_count) {
        (Some(text), count) => {
            let wanted = Indexes::parse(text, completions);
            let reached = wanted.0.intersection(&succeeded.0).count() as i32;
            wanted.total() > 0 && (reached == wanted.total() || count.is_some_and(|count| reached >= count))
        }
        (None, Some(count)) => succeeded.total() > 0 && succeeded.total() >= count,
        (None, None) => false,
    });
    met.next().map(|(at, _)| format!("Matched rules at index {at}"))
}
