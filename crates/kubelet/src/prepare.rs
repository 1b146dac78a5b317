//! What has to be there before a kubelet can run pods, and its end: directories, mounts, control groups and the
//! container runtime.

use std::path::PathBuf;
use std::sync::Arc;

use decapod_sys::Env;
use decapod_sys::cgroup::{self, Cgroups, Limits};
use decapod_sys::mount::{KernelMounts, Mounts};

use crate::config::{Config, RuntimeChoice};
use crate::containerd::{self, Containerd, ContainerdError, Settings};
use crate::cri::types::{ImageSpec, PodSandboxFilter};
use crate::cri::{Cri, client::ConnectError};
use crate::images::{Images, ImportError};
use crate::pause;
use crate::pod::qos;
use crate::server::ServerError;

/// The kubelet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its container runtime does not run.
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    /// Its container runtime cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The pause image was not taken.
    #[error("the pause image: {0}")]
    Pause(#[from] ImportError),
    /// A directory, mount or control group cannot be made.
    #[error("cannot prepare {what}: {source}")]
    Prepare {
        /// Such as a path.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Its own API does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What a kubelet stands on.
pub(crate) struct Ground {
    /// The mount table.
    pub mounts: Arc<dyn Mounts>,
    /// Control groups.
    pub cgroups: Arc<dyn Cgroups>,
    /// The container runtime.
    pub cri: Cri,
    /// The runtime of our own, if it is that.
    pub containerd: Option<Containerd>,
    /// Its images.
    pub images: Option<Images>,
}

/// Makes what is not there.
pub(crate) async fn prepare(env: &Env, config: &Config) -> Result<Ground, StartError> {
    let mounts: Arc<dyn Mounts> = Arc::new(KernelMounts);
    prepare_directories(config, &*mounts)?;
    let (containerd, images, cri) = start_runtime(env, config).await?;
    Ok(Ground { mounts, cgroups: prepare_cgroups(config)?, cri, containerd, images })
}

/// Stops and removes all pods that the runtime has, at once.
pub async fn remove_all_pods(cri: &Cri) {
    let sandboxes = cri.list_sandboxes(PodSandboxFilter::default()).await.unwrap_or_default();
    let removals = sandboxes.iter().map(|sandbox| async {
        if let Err(error) = cri.stop_sandbox(&sandbox.id).await {
            tracing::warn!(%error, "cannot stop a sandbox");
        }
        if let Err(error) = cri.remove_sandbox(&sandbox.id).await {
            tracing::warn!(%error, "cannot remove a sandbox");
        }
    });
    futures::future::join_all(removals).await;
}

/// Takes away what a kubelet with `config` has mounted and the control groups of its pods, once none runs.
pub fn clean_up(config: &Config) -> std::io::Result<()> {
    // What still runs keeps mounts busy.
    cgroup::detect()?.remove(&config.cgroup_root)?;
    let mounts = KernelMounts;
    let below = mounts
        .list()?
        .into_iter()
        .map(|mount| mount.target)
        .filter(|target| target.starts_with(&config.data_dir));
    below.collect::<Vec<PathBuf>>().iter().rev().try_for_each(|target| mounts.unmount(target))
}

/// The data directory, itself a mount whose mounts pods can share both ways.
fn prepare_directories(config: &Config, mounts: &dyn Mounts) -> Result<(), StartError> {
    let root = config.data_dir.join("kubelet");
    let fail =
        |what: &std::path::Path, source| StartError::Prepare { what: what.display().to_string(), source };
    for path in [&root.join("pods"), &config.pod_log_dir, &root.join("seccomp")] {
        std::fs::create_dir_all(path).map_err(|source| fail(path, source))?;
    }
    let list = mounts.list().map_err(|source| fail(&root, source))?;
    if !list.iter().any(|mount| mount.target == root && mount.shared) {
        mounts.bind(&root, &root).map_err(|source| fail(&root, source))?;
        mounts.share(&root).map_err(|source| fail(&root, source))?;
    }
    Ok(())
}

async fn start_runtime(
    env: &Env,
    config: &Config,
) -> Result<(Option<Containerd>, Option<Images>, Cri), StartError> {
    let dirs = match &config.runtime {
        RuntimeChoice::Socket(socket) => return Ok((None, None, Cri::new(socket)?)),
        RuntimeChoice::Containerd { dirs } => dirs.clone(),
    };
    let found =
        env.spawn_blocking(move || containerd::find(&dirs)).await.unwrap_or(Err(ContainerdError::Missing))?;
    let settings = Settings {
        pause_image: pause::PAUSE_IMAGE.to_owned(),
        cni_conf_dir: config.cni_conf_dir.clone(),
        cni_bin_dir: config.cni_bin_dir.clone(),
        restrict_oom_score_adj: !can_lower_oom_score(),
    };
    let directory = config.data_dir.join("containerd");
    let containerd = Containerd::start(env, &directory, found, &settings).await?;
    let cri = Cri::new(&containerd.socket())?;
    let images = Images::new(&containerd.socket(), containerd.ctr());
    let spec = ImageSpec { image: pause::PAUSE_IMAGE.to_owned(), ..ImageSpec::default() };
    if !matches!(cri.image_status(spec).await, Ok(Some(_))) {
        let write = pause::write_archive(&directory);
        let archive =
            write.map_err(|source| StartError::Prepare { what: "the pause image".to_owned(), source })?;
        images.import(&archive).await?;
    }
    Ok((Some(containerd), Some(images), cri))
}

/// Whether this process may make others less likely to be killed when memory runs out.
fn can_lower_oom_score() -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    bits & (1 << CAP_SYS_RESOURCE) != 0
}

fn prepare_cgroups(config: &Config) -> Result<Arc<dyn Cgroups>, StartError> {
    let fail =
        |source| StartError::Prepare { what: format!("the control group {}", config.cgroup_root), source };
    let cgroups: Arc<dyn Cgroups> = Arc::from(cgroup::detect().map_err(fail)?);
    let groups =
        [(qos::Class::Guaranteed, None), (qos::Class::Burstable, None), (qos::Class::BestEffort, Some(2))];
    for (class, cpu_shares) in groups {
        cgroups
            .ensure(&class.cgroup(&config.cgroup_root), &Limits { cpu_shares, ..Limits::default() })
            .map_err(fail)?;
    }
    Ok(cgroups)
}
