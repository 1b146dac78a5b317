//! DaemonSet: a pod on every node.

use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{fill, part, same};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Where the changes of the template are counted, for the clients of a version long gone.
const TEMPLATE_GENERATION: [&str; 3] =
    ["metadata", "annotations", "deprecated.daemonset.template.generation"];

/// DaemonSet: a pod on every node.
pub struct DaemonSet;

impl Strategy for DaemonSet {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        let strategy = part(spec, "updateStrategy");
        fill(strategy, "type", "RollingUpdate");
        if strategy.str_at(&["type"]) == Some("RollingUpdate") {
            let rolling = part(strategy, "rollingUpdate");
            fill(rolling, "maxUnavailable", 1);
            fill(rolling, "maxSurge", 0);
        }
        fill(spec, "revisionHistoryLimit", 10);
        pod_defaults::template(spec);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        let generation = match old {
            None => template_generation(new).max(1),
            Some(old) if same(new, old, &["spec", "template"]) => template_generation(old),
            Some(old) => template_generation(old) + 1,
        };
        new.set_at(&TEMPLATE_GENERATION, generation.to_string());
    }
}

fn template_generation(draft: &Value) -> i64 {
    draft.str_at(&TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}
