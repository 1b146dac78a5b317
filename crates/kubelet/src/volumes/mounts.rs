//! What is mounted into a container (pkg/kubelet kubelet_pods.go makeMounts).

use std::path::Path;

use decapod_sys::mount::Mounts;
use k8s_openapi::api::core::v1::VolumeMount;

use super::{Mounted, PodVolumes, subpath};
use crate::cri::types::{ImageSpec, Mount, MountPropagation};
use crate::pod::expand::expand;
use crate::pod::{NodePod, Slot};

/// A container's mounts cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Its pod has no such volume.
    #[error("cannot find volume {volume:?} to mount into container {container:?}")]
    NoVolume {
        /// The volume's name.
        volume: String,
        /// The container's name.
        container: String,
    },
    /// A variable in `subPathExpr` is not set.
    #[error("subPathExpr {0:?} names a variable that is not set")]
    Expression(String),
    /// The part of the volume cannot be mounted.
    #[error("failed to prepare subPath for volumeMount {volume:?} of container {container:?}: {source}")]
    SubPath {
        /// The volume's name.
        volume: String,
        /// The container's name.
        container: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// The volumes of the container at `slot`, whose variables are `env`; `pod_dir` is the pod's directory.
pub fn of_container(
    pod: &NodePod,
    slot: Slot,
    volumes: &PodVolumes,
    env: &[(String, String)],
    pod_dir: &Path,
    mounts: &dyn Mounts,
) -> Result<Vec<Mount>, MountError> {
    let container = pod.container(slot);
    let mut all = Vec::new();
    for (index, wanted) in container.volume_mounts.iter().flatten().enumerate() {
        let name = || container.name.clone();
        let volume = volumes.mounted.get(&wanted.name);
        let volume =
            volume.ok_or_else(|| MountError::NoVolume { volume: wanted.name.clone(), container: name() })?;
        let sub_path = sub_path(wanted, env)?;
        let mut mount = Mount {
            container_path: absolute(&wanted.mount_path),
            readonly: wanted.read_only.unwrap_or(false),
            propagation: propagation(wanted) as i32,
            ..Mount::default()
        };
        match volume {
            Mounted::Image { reference, .. } => {
                mount.image = Some(ImageSpec {
                    image: reference.clone(),
                    user_specified_image: reference.clone(),
                    ..ImageSpec::default()
                });
                mount.image_sub_path = sub_path.unwrap_or_default();
                mount.readonly = true;
            }
            Mounted::Path { path, read_only } => {
                mount.readonly |= read_only;
                mount.host_path = match sub_path {
                    None => path.clone(),
                    Some(sub_path) => {
                        let target = pod_dir
                            .join("volume-subpaths")
                            .join(&wanted.name)
                            .join(&container.name)
                            .join(index.to_string());
                        subpath::bind(mounts, path, &sub_path, &target).map_err(|source| {
                            MountError::SubPath { volume: wanted.name.clone(), container: name(), source }
                        })?
                    }
                }
                .display()
                .to_string();
            }
        }
        all.push(mount);
    }
    Ok(all)
}

/// A file of the kubelet's own in the container, such as /etc/hosts.
pub fn file(host_path: &Path, container_path: &str) -> Mount {
    Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.display().to_string(),
        ..Mount::default()
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn sub_path(mount: &VolumeMount, env: &[(String, String)]) -> Result<Option<String>, MountError> {
    let plain = mount.sub_path.clone().filter(|path| !path.is_empty());
    let Some(expression) = mount.sub_path_expr.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(plain);
    };
    let missing = std::cell::Cell::new(false);
    let expanded = expand(expression, |name| {
        let value = env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        missing.set(missing.get() || value.is_none());
        value
    });
    if missing.get() { Err(MountError::Expression(expression.to_owned())) } else { Ok(Some(expanded)) }
}

fn propagation(mount: &VolumeMount) -> MountPropagation {
    match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => MountPropagation::HostToContainer,
        Some("Bidirectional") => MountPropagation::Bidirectional,
        _ => MountPropagation::Private,
    }
}
