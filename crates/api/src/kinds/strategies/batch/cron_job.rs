//! CronJob: jobs by the clock.

use super::job::default_spec;
use crate::kinds::strategies::fill::{fill, part};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// CronJob: jobs by the clock.
pub struct CronJob;

impl Strategy for CronJob {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "concurrencyPolicy", "Allow");
        fill(spec, "suspend", false);
        fill(spec, "successfulJobsHistoryLimit", 3);
        fill(spec, "failedJobsHistoryLimit", 1);
        default_spec(part(part(spec, "jobTemplate"), "spec"));
    }
}
