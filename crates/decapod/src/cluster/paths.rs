//! Where things are: everything under one folder.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Error;

/// The folder of a cluster.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The folder itself.
    pub data: PathBuf,
}

impl Paths {
    /// CNI's configuration.
    pub fn cni_conf(&self) -> PathBuf {
        self.data.join("cni/net.d")
    }

    /// CNI's plugins.
    pub fn cni_bin(&self) -> PathBuf {
        self.data.join("cni/bin")
    }

    /// Leases of pod addresses.
    pub fn leases(&self) -> PathBuf {
        self.data.join("cni/leases")
    }

    /// Logs of containers.
    pub fn pod_logs(&self) -> PathBuf {
        self.data.join("pod-logs")
    }

    /// Manifests of static pods.
    pub fn manifests(&self) -> PathBuf {
        self.data.join("manifests")
    }

    /// What was changed about the machine.
    pub fn ledger(&self) -> PathBuf {
        self.data.join("ledger.json")
    }

    /// What taking it all away needs to know.
    pub fn record(&self) -> PathBuf {
        self.data.join("node.json")
    }

    /// Certificates of a node that has joined.
    pub fn node_pki(&self) -> PathBuf {
        self.data.join("node")
    }

    /// The authority of the cluster that it has joined.
    pub fn node_ca(&self) -> PathBuf {
        self.node_pki().join("ca.crt")
    }

    /// The kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    /// The process that runs the cluster.
    pub fn pid(&self) -> PathBuf {
        self.data.join("decapod.pid")
    }

    /// Held by it.
    pub fn lock(&self) -> PathBuf {
        self.data.join("decapod.lock")
    }

    /// Its log, when it runs in the background.
    pub fn log(&self) -> PathBuf {
        self.data.join("decapod.log")
    }

    /// Whether a cluster is, or was, kept here: nothing else is to be taken down or away.
    pub fn is_cluster(&self) -> bool {
        [self.cni_conf(), self.pod_logs(), self.manifests()].iter().all(|dir| dir.is_dir())
    }

    /// Makes the folders.
    pub fn make(&self) -> Result<(), Error> {
        make_data(&self.data)?;
        make_dir(&self.node_pki(), 0o700)?;
        for dir in [self.cni_conf(), self.cni_bin(), self.pod_logs(), self.manifests()] {
            make_dir(&dir, 0o755)?;
        }
        Ok(())
    }
}

/// Makes the folder itself, for its owner alone.
pub fn make_data(path: &Path) -> Result<(), Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    let writable = made.and_then(|()| Ok(rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK)?));
    writable.map_err(|source| Error::Data { path: path.to_owned(), source })
}

fn make_dir(path: &Path, mode: u32) -> Result<(), Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| Error::File { path: path.to_owned(), source })
}
