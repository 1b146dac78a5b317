//! What can be said of admission, called as at upstream's API server.

use std::path::PathBuf;

use clap::Args as Arguments;
use decapod_apiserver::admission::Settings;

/// Which admission plugins run.
#[derive(Arguments)]
pub struct Admission {
    /// Admission plugins that run besides those that run anyway
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub enable_admission_plugins: Vec<String>,
    /// Admission plugins that do not run
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub disable_admission_plugins: Vec<String>,
    /// What admission plugins are told: an AdmissionConfiguration
    #[arg(long, value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,
}

impl From<Admission> for Settings {
    fn from(args: Admission) -> Settings {
        Settings {
            enable: args.enable_admission_plugins,
            disable: args.disable_admission_plugins,
            config_file: args.admission_control_config_file,
        }
    }
}
