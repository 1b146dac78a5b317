//! The group `batch`.

mod cron_job;
mod indexes;
mod job;
mod job_spec;
mod job_status;

pub use cron_job::CronJob;
pub use job::Job;
