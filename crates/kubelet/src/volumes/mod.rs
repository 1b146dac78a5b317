//! The volumes of pods: made before a pod's sandbox, kept up to date while it runs, taken away when it is gone.
//!
//! They lie where upstream has them: `pods/UID/volumes/kubernetes.io~PLUGIN/NAME`.

pub mod atomic;
mod claims;
mod host_path;
pub mod mounts;
mod ownership;
pub mod payload;
mod subpath;
pub mod token;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use decapod_client::Client;
use decapod_sys::Env;
use decapod_sys::mount::Mounts;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolumeSpec, ProjectedVolumeSource, Volume,
};

use crate::config::Config;
use crate::downward::Node;
use crate::objects::Objects;
use crate::pod::NodePod;
use crate::pod::env::Lookup;
use crate::pod::resources::pod_limits;
use crate::quantity::value;
use atomic::{File, Payload};
use claims::{Backing, ClaimError, Claims};
use host_path::HostPathError;
use payload::{PayloadError, Selection};
use token::Tokens;

pub use mounts::MountError;

/// The permissions of files that say none.
const MODE: i32 = 0o644;
/// How long a service account's token lives when nothing is said.
const TOKEN_SECONDS: i64 = 3600;

/// A volume cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {why}")]
pub struct VolumeError {
    /// Its name in the pod.
    pub volume: String,
    /// The step that failed.
    pub why: Why,
}

/// Why a volume cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Its content is not there.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The node's path is not as it should be.
    #[error(transparent)]
    HostPath(#[from] HostPathError),
    /// Its claim has no volume for the pod.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// There is nothing at the path of a local volume.
    #[error("path {0:?} does not exist")]
    NoPath(PathBuf),
    /// No token was given.
    #[error("failed to fetch token: {0}")]
    Token(#[source] Box<decapod_api::Status>),
    /// Its files cannot be written or mounted.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// This kubelet does not know the volume's type.
    #[error("volumes of type {0} are not supported by this node yet")]
    Unsupported(&'static str),
}

/// A volume that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Mounted {
    /// On the node, at this path.
    Path {
        /// Where it is.
        path: PathBuf,
        /// Whether nobody may write to it.
        read_only: bool,
    },
    /// In an image, which the runtime mounts.
    Image {
        /// The image's name.
        reference: String,
        /// When it is pulled.
        pull_policy: Option<String>,
    },
}

/// A pod's volumes, and when they are to be looked at again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodVolumes {
    /// By name.
    pub mounted: BTreeMap<String, Mounted>,
    /// When the first token has to be renewed.
    pub renew_at: Option<Timestamp>,
}

/// Makes and removes volumes.
pub struct Volumes {
    env: Env,
    config: Arc<Config>,
    mounts: Arc<dyn Mounts>,
    objects: Objects,
    tokens: Tokens,
    claims: Claims,
    node: Arc<Node>,
}

// === impl Volumes ===

impl Volumes {
    /// Volumes below the data directory of `config`.
    pub fn new(
        env: &Env,
        client: &Client,
        config: &Arc<Config>,
        mounts: &Arc<dyn Mounts>,
        objects: &Objects,
        node: &Arc<Node>,
    ) -> Volumes {
        Volumes {
            env: env.clone(),
            config: Arc::clone(config),
            mounts: Arc::clone(mounts),
            objects: objects.clone(),
            tokens: Tokens::new(env, client),
            claims: Claims::new(client, &node.name),
            node: Arc::clone(node),
        }
    }

    /// Makes the volumes of `pod` that are not there and brings the others up to date.
    pub async fn set_up(&self, pod: &NodePod) -> Result<PodVolumes, Vec<VolumeError>> {
        let (mut volumes, mut errors) = (PodVolumes::default(), Vec::new());
        for volume in pod.spec().volumes.iter().flatten() {
            match self.set_up_one(pod, volume, &mut volumes.renew_at).await {
                Ok(mounted) => drop(volumes.mounted.insert(volume.name.clone(), mounted)),
                Err(why) => errors.push(VolumeError { volume: volume.name.clone(), why }),
            }
        }
        if errors.is_empty() { Ok(volumes) } else { Err(errors) }
    }

    async fn set_up_one(
        &self,
        pod: &NodePod,
        volume: &Volume,
        renew_at: &mut Option<Timestamp>,
    ) -> Result<Mounted, Why> {
        let directory = |plugin: &str| self.directory(pod.uid(), plugin, &volume.name);
        if let Some(source) = &volume.empty_dir {
            return self.empty_dir(pod, source, &directory("empty-dir"));
        }
        if let Some(source) = &volume.host_path {
            return at_path(source, false);
        }
        if let Some(backing) = self.claims.behind(pod, volume).await? {
            let source = volume.persistent_volume_claim.as_ref();
            let read_only = source.and_then(|source| source.read_only).unwrap_or(false);
            return self.persistent(pod, &backing, read_only);
        }
        if let Some(source) = &volume.config_map {
            let selection = select(source.items.as_deref(), source.default_mode, source.optional);
            let found = self.objects.config_map(pod.namespace(), &source.name);
            let payload = payload::config_map(&source.name, found, &selection)?;
            return self.write(pod, &directory("configmap"), false, &payload);
        }
        if let Some(source) = &volume.secret {
            let selection = select(source.items.as_deref(), source.default_mode, source.optional);
            let name = source.secret_name.as_deref().unwrap_or_default();
            let payload = payload::secret(name, self.objects.secret(pod.namespace(), name), &selection)?;
            return self.write(pod, &directory("secret"), true, &payload);
        }
        if let Some(source) = &volume.downward_api {
            let mode = source.default_mode.unwrap_or(MODE).cast_unsigned();
            let payload =
                payload::downward_api(pod, source.items.as_deref().unwrap_or_default(), mode, &self.node)?;
            return self.write(pod, &directory("downward-api"), true, &payload);
        }
        if let Some(source) = &volume.projected {
            let payload = self.projected(pod, source, renew_at).await?;
            return self.write(pod, &directory("projected"), true, &payload);
        }
        if let Some(source) = &volume.image {
            let reference = source.reference.clone().unwrap_or_default();
            return Ok(Mounted::Image { reference, pull_policy: source.pull_policy.clone() });
        }
        Err(Why::Unsupported(kind(volume)))
    }

    /// A volume of the cluster, as far as it is one of this node's paths.
    fn persistent(&self, pod: &NodePod, backing: &Backing, read_only: bool) -> Result<Mounted, Why> {
        let spec = &backing.spec;
        if spec.volume_mode.as_deref() == Some("Block") {
            return Err(Why::Unsupported("persistentVolumeClaim with volumeMode Block"));
        }
        if let Some(source) = &spec.host_path {
            return at_path(source, read_only);
        }
        let Some(local) = &spec.local else { return Err(Why::Unsupported(kind_behind(spec))) };
        let path = PathBuf::from(&local.path);
        let Ok(metadata) = std::fs::metadata(&path) else { return Err(Why::NoPath(path)) };
        if !metadata.is_dir() {
            return Err(Why::Unsupported("local on a device"));
        }
        if !read_only {
            self.give_to_group(pod, &path, false)?;
        }
        Ok(Mounted::Path { path, read_only })
    }

    /// Where a volume is.
    pub fn directory(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.config.pod_dir(uid).join("volumes").join(format!("kubernetes.io~{plugin}")).join(name)
    }

    fn empty_dir(&self, pod: &NodePod, source: &EmptyDirVolumeSource, path: &Path) -> Result<Mounted, Why> {
        use std::os::unix::fs::PermissionsExt;
        let new = !path.exists();
        std::fs::create_dir_all(path)?;
        match source.medium.as_deref().unwrap_or_default() {
            "" => {}
            "Memory" => self.mount_memory(path, memory_limit(pod, source, &self.node))?,
            _ => return Err(Why::Unsupported("emptyDir with huge pages")),
        }
        if new || source.medium.as_deref() == Some("Memory") {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
            self.give_to_group(pod, path, false)?;
        }
        Ok(Mounted::Path { path: path.to_path_buf(), read_only: false })
    }

    fn mount_memory(&self, path: &Path, size_bytes: Option<u64>) -> io::Result<()> {
        if self.mounts.list()?.iter().any(|mount| mount.target == path) {
            return Ok(());
        }
        self.mounts.tmpfs(path, size_bytes)
    }

    fn give_to_group(&self, pod: &NodePod, path: &Path, read_only: bool) -> io::Result<()> {
        let Some(gid) = fs_group(pod) else { return Ok(()) };
        let spec = pod.spec();
        let policy =
            spec.security_context.as_ref().and_then(|context| context.fs_group_change_policy.as_deref());
        ownership::set_group(path, gid, read_only, policy == Some("OnRootMismatch"))
    }

    /// Writes files; those of `secret` volumes never to a disk.
    fn write(&self, pod: &NodePod, path: &Path, secret: bool, payload: &Payload) -> Result<Mounted, Why> {
        std::fs::create_dir_all(path)?;
        if secret {
            self.mount_memory(path, self.node.allocatable.get("memory").map(|bytes| bytes.unsigned_abs()))?;
        }
        let unique = format!("{:x}", self.env.random_u64());
        atomic::write(path, payload, fs_group(pod), &unique)?;
        // What is written here comes from the API alone.
        Ok(Mounted::Path { path: path.to_path_buf(), read_only: true })
    }

    async fn projected(
        &self,
        pod: &NodePod,
        source: &ProjectedVolumeSource,
        renew_at: &mut Option<Timestamp>,
    ) -> Result<Payload, Why> {
        let mode = source.default_mode.unwrap_or(MODE);
        let mut payload = Payload::new();
        for part in source.sources.iter().flatten() {
            if let Some(source) = &part.config_map {
                let selection = select(source.items.as_deref(), Some(mode), source.optional);
                let found = self.objects.config_map(pod.namespace(), &source.name);
                payload.extend(payload::config_map(&source.name, found, &selection)?);
            }
            if let Some(source) = &part.secret {
                let selection = select(source.items.as_deref(), Some(mode), source.optional);
                let found = self.objects.secret(pod.namespace(), &source.name);
                payload.extend(payload::secret(&source.name, found, &selection)?);
            }
            if let Some(source) = &part.downward_api {
                let items = source.items.as_deref().unwrap_or_default();
                payload.extend(payload::downward_api(pod, items, mode.cast_unsigned(), &self.node)?);
            }
            if let Some(source) = &part.service_account_token {
                let seconds = source.expiration_seconds.unwrap_or(TOKEN_SECONDS);
                let audience = source.audience.as_deref().unwrap_or_default();
                let (token, at) = self
                    .tokens
                    .get(pod, audience, seconds)
                    .await
                    .map_err(|error| Why::Token(Box::new(error)))?;
                *renew_at = (*renew_at).into_iter().chain([at]).min();
                payload.insert(source.path.clone(), token_file(pod, token, mode.cast_unsigned()));
            }
            if part.cluster_trust_bundle.is_some() {
                return Err(Why::Unsupported("projected clusterTrustBundle"));
            }
            if part.pod_certificate.is_some() {
                return Err(Why::Unsupported("projected podCertificate"));
            }
        }
        Ok(payload)
    }

    /// Unmounts and removes everything of the pod `uid`. What is still mounted is left, and named.
    pub fn tear_down(&self, uid: &str) -> io::Result<()> {
        self.tokens.forget(uid);
        self.claims.forget(uid);
        let directory = self.config.pod_dir(uid);
        let of_pod = |mounts: Vec<decapod_sys::mount::Mount>| {
            mounts
                .into_iter()
                .map(|mount| mount.target)
                .filter(|target| target.starts_with(&directory))
                .collect::<Vec<_>>()
        };
        for target in of_pod(self.mounts.list()?).iter().rev() {
            self.mounts.unmount(target)?;
        }
        if let Some(target) = of_pod(self.mounts.list()?).first() {
            return Err(io::Error::other(format!("{} is still mounted", target.display())));
        }
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A path of the node.
fn at_path(source: &HostPathVolumeSource, read_only: bool) -> Result<Mounted, Why> {
    let path = PathBuf::from(&source.path);
    host_path::check(&path, source.type_.as_deref().unwrap_or_default())?;
    Ok(Mounted::Path { path, read_only })
}

/// The group that owns the pod's volumes.
fn fs_group(pod: &NodePod) -> Option<u32> {
    pod.spec().security_context.as_ref()?.fs_group.and_then(|gid| u32::try_from(gid).ok())
}

fn select(
    items: Option<&[k8s_openapi::api::core::v1::KeyToPath]>,
    mode: Option<i32>,
    optional: Option<bool>,
) -> Selection<'_> {
    Selection {
        items: items.unwrap_or_default(),
        mode: mode.unwrap_or(MODE).cast_unsigned(),
        optional: optional.unwrap_or(false),
    }
}

/// A token is its pod's alone where the pod has a group or one user (pkg/volume/projected).
fn token_file(pod: &NodePod, token: String, mode: u32) -> File {
    let user = fs_user(pod);
    let mode = if user.is_some() || fs_group(pod).is_some() { 0o600 } else { mode };
    File { data: token.into_bytes(), mode, uid: user }
}

/// The one user that all containers run as, if it is said (pkg/volume/util FsUserFrom).
fn fs_user(pod: &NodePod) -> Option<u32> {
    let spec = pod.spec();
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        container.security_context.as_ref().and_then(|context| context.run_as_user).or(of_pod)
    };
    let mut users = pod.containers().map(|(_, container)| of(container));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}

/// The least of what the volume, the pod and the node allow.
fn memory_limit(pod: &NodePod, source: &EmptyDirVolumeSource, node: &Node) -> Option<u64> {
    let own = source.size_limit.as_ref().map(value).filter(|limit| *limit > 0);
    let all_limited = crate::pod::resources::pod_cgroup(pod).memory_bytes.is_some();
    let of_pod = pod_limits(pod).get("memory").copied().filter(|_| all_limited);
    let of_node = node.allocatable.get("memory").copied();
    own.into_iter().chain(of_pod).chain(of_node).min().map(i64::unsigned_abs)
}

/// The name of a volume's type that is not known here.
fn kind(volume: &Volume) -> &'static str {
    if volume.csi.is_some() {
        "csi"
    } else if volume.nfs.is_some() {
        "nfs"
    } else if volume.iscsi.is_some() {
        "iscsi"
    } else if volume.fc.is_some() {
        "fc"
    } else {
        "unknown"
    }
}

/// The same, of a volume behind a claim.
fn kind_behind(spec: &PersistentVolumeSpec) -> &'static str {
    if spec.csi.is_some() {
        "csi"
    } else if spec.nfs.is_some() {
        "nfs"
    } else if spec.iscsi.is_some() {
        "iscsi"
    } else if spec.fc.is_some() {
        "fc"
    } else {
        "unknown"
    }
}
