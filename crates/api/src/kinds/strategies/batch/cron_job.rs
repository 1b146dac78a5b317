//! CronJob: jobs by the clock.

use jiff::tz::TimeZone;

use super::job::default_spec;
use super::job_spec;
use crate::Cause;
use crate::cron::{Schedule, time_zone};
use crate::kinds::strategies::core::pod::warn_of_name;
use crate::kinds::strategies::core::pod_spec::gated;
use crate::kinds::strategies::fill::{fill, part};
use crate::kinds::strategies::rules::{Causes, Place, before};
use crate::kinds::strategy::{Strategy, Verb};
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

    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        gated::drop_unused(new, old, &["spec", "jobTemplate", "spec", "template", "spec"]);
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (job, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            return out;
        }
        let spec = job.field("spec");
        schedule(&spec, old, &mut out);
        spec.field("startingDeadlineSeconds").non_negative(&mut out);
        let zone = spec.field("timeZone");
        if zone.is_set() && before(old, &["spec", "timeZone"]) != Some(zone.value) {
            zone_name(&zone, &mut out);
        }
        spec.field("concurrencyPolicy").need_one_of(&["Allow", "Forbid", "Replace"], &mut out);
        let template = spec.field("jobTemplate");
        let of_job = template.field("spec");
        job_spec::check(&of_job, &mut out);
        if of_job.field("selector").is_set() {
            out.push(of_job.field("selector").invalid("`selector` will be auto-generated"));
        }
        if of_job.field("manualSelector").is_true() {
            let mut cause = of_job.field("manualSelector").not_supported(&["nil", "false"]);
            cause.message = cause.message.replace("\"\"", "true");
            out.push(cause);
        }
        for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            spec.field(field).non_negative(&mut out);
        }
        let metadata = job.field("metadata");
        let name = metadata.field("name");
        if old.is_none() && name.text().len() > NAME_BYTES_MAX {
            out.push(name.invalid("must be no more than 52 characters"));
        }
        out
    }

    fn warn(&self, new: &Value) -> Vec<String> {
        warn_of_name(new, "Pod names and hostnames")
    }
}

/// The names of its jobs are eleven bytes longer.
const NAME_BYTES_MAX: usize = 52;

fn schedule(spec: &Place, old: Option<&Value>, out: &mut Causes) {
    let schedule = spec.field("schedule");
    if !schedule.need(out) {
        return;
    }
    if let Err(why) = Schedule::parse(schedule.text(), TimeZone::UTC) {
        out.push(schedule.invalid(&why));
    }
    let had_zone =
        before(old, &["spec", "schedule"]).and_then(Value::as_str).is_some_and(|text| text.contains("TZ"));
    match schedule.text().contains("TZ") {
        true if !had_zone => {
            out.push(schedule.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
        }
        true if spec.field("timeZone").is_set() => {
            out.push(schedule.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule"));
        }
        _ => {}
    }
}

/// Whether there is such a zone.
fn zone_name(zone: &Place, out: &mut Causes) {
    let name = zone.text();
    if name.is_empty() {
        return out.push(zone.invalid_as("", "timeZone must be nil or non-empty string"));
    }
    if name.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        out.push(zone.invalid(detail));
    }
    if name != "Local" && time_zone(name).is_none() {
        out.push(zone.invalid(&format!("unknown time zone {name}")));
    }
}
