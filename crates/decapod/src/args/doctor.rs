//! What can be said to the doctor.

use std::path::PathBuf;

use clap::Args as Arguments;

use super::Folder;

/// Arguments of `decapod doctor`.
#[derive(Arguments)]
pub struct Doctor {
    /// The cluster that is there or is to be.
    #[command(flatten)]
    pub folder: Folder,
    /// The API server's port
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub port: u16,
    /// The kubelet's port
    #[arg(long, value_name = "PORT", default_value_t = 10250)]
    pub kubelet_port: u16,
    /// Where containerd is looked for before PATH; may be given again
    #[arg(long, value_name = "DIR", env = "DECAPOD_RUNTIME_DIR")]
    pub runtime_dir: Vec<PathBuf>,
}
