//! StatefulSet: pods with names and storage of their own.

use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{each, fill, has, part, with};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// StatefulSet: pods with names and storage of their own.
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "podManagementPolicy", "OrderedReady");
        let strategy = part(spec, "updateStrategy");
        if !has(strategy, "type") {
            strategy.set_at(&["type"], "RollingUpdate");
            part(strategy, "rollingUpdate");
        }
        if strategy.str_at(&["type"]) == Some("RollingUpdate") {
            with(strategy, "rollingUpdate", |rolling| fill(rolling, "partition", 0));
        }
        let retention = part(spec, "persistentVolumeClaimRetentionPolicy");
        fill(retention, "whenDeleted", "Retain");
        fill(retention, "whenScaled", "Retain");
        fill(spec, "replicas", 1);
        fill(spec, "revisionHistoryLimit", 10);
        pod_defaults::template(spec);
        each(spec, "volumeClaimTemplates", |template| {
            fill(template, "apiVersion", "v1");
            fill(template, "kind", "PersistentVolumeClaim");
            pod_defaults::claim(part(template, "spec"));
            fill(part(template, "status"), "phase", "Pending");
        });
    }

    /// `maxUnavailable` is behind a feature that is off; only objects that have it keep it.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        const FIELD: [&str; 4] = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
        if old.and_then(|old| old.at(&FIELD)).is_none_or(Value::is_null) {
            new.remove_at(&FIELD);
        }
    }
}
