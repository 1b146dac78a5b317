//! Images beside the registry: imported from archives and listed, in the runtime's namespace for pods.
//!
//! Containerd's own `ctr`, which ships beside it, reads OCI and docker archives alike.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::cri::types::Image;
use crate::cri::{Cri, CriError};

/// Containerd's namespace for everything that belongs to Kubernetes.
const NAMESPACE: &str = "k8s.io";

/// An archive could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such file, or it is no archive of images.
    #[error("{path}: {source}")]
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// Why it was not.
        source: std::io::Error,
    },
    /// The program that imports cannot be run.
    #[error("cannot run {program}, which ships beside containerd: {source}")]
    Run {
        /// Which program.
        program: PathBuf,
        /// Why it does not run.
        source: std::io::Error,
    },
    /// It was run and refused.
    #[error("{path} was not imported: {message}")]
    Refused {
        /// The archive.
        path: PathBuf,
        /// What the program says.
        message: String,
    },
}

/// The images of one containerd.
#[derive(Clone, Debug)]
pub struct Images {
    socket: PathBuf,
    ctr: PathBuf,
}

// === impl Images ===

impl Images {
    /// Those of the containerd at `socket`, with its `ctr` program.
    pub fn new(socket: &Path, ctr: &Path) -> Images {
        Images { socket: socket.to_path_buf(), ctr: ctr.to_path_buf() }
    }

    /// Imports all images of an OCI or docker archive; their names.
    pub async fn import(&self, archive: &Path) -> Result<Vec<String>, ImportError> {
        let open = |source| ImportError::Open { path: archive.to_path_buf(), source };
        let names = crate::archive::names(archive).map_err(open)?;
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(&self.socket).args(["--namespace", NAMESPACE, "images", "import"]);
        command.arg(archive).stdin(Stdio::null()).kill_on_drop(true);
        let output = command
            .output()
            .await
            .map_err(|source| ImportError::Run { program: self.ctr.clone(), source })?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let message = stderr.trim().trim_start_matches("ctr: ").to_owned();
            return Err(ImportError::Refused { path: archive.to_path_buf(), message });
        }
        Ok(names)
    }

    /// All images.
    pub async fn list(&self, cri: &Cri) -> Result<Vec<Image>, CriError> {
        cri.list_images().await
    }
}
