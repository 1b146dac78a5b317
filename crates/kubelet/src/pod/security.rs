//! As whom and how confined a container runs: the pod's wishes, overridden by the container's own
//! (pkg/securitycontext, pkg/kubelet/kuberuntime/security_context.go).

use std::path::Path;

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, SeccompProfile};

use super::{NodePod, Slot};
use crate::cri::types::{
    Capability, Int64Value, LinuxContainerSecurityContext, NamespaceMode, NamespaceOption, ProfileType,
    SeLinuxOption, SecurityProfile, SupplementalGroupsPolicy,
};

/// As whom an image runs by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageUser {
    /// A number, where the image says one.
    pub uid: Option<i64>,
    /// A name otherwise; empty for root.
    pub name: String,
}

/// What hides the machine from a container (pkg/securitycontext).
const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Why a container is not to run as its image wants.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NonRootError {
    /// It asks to be root.
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    AsksForRoot {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// Its image is root.
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    ImageIsRoot {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// Nobody can tell.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    NotNumeric {
        /// The user's name.
        user: String,
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
}

/// Which namespaces the pod's containers share, and with whom (kuberuntime/util NamespacesForPod).
pub fn namespaces(pod: &NodePod) -> NamespaceOption {
    let spec = pod.spec();
    let node_or_pod =
        |host: Option<bool>| if host == Some(true) { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => NamespaceMode::Node,
        (_, Some(true)) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    };
    NamespaceOption {
        network: node_or_pod(spec.host_network) as i32,
        ipc: node_or_pod(spec.host_ipc) as i32,
        pid: pid as i32,
        ..NamespaceOption::default()
    }
}

/// Whether the container keeps to the promise of not being root.
pub fn verify_non_root(pod: &NodePod, container: &Container, image: &ImageUser) -> Result<(), NonRootError> {
    let spec = pod.spec();
    let (of_pod, own) = (spec.security_context.as_ref(), container.security_context.as_ref());
    let promised = own.and_then(|own| own.run_as_non_root).or(of_pod.and_then(|pod| pod.run_as_non_root));
    if promised != Some(true) {
        return Ok(());
    }
    let user = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user));
    let (pod, container) = (pod.format(), container.name.clone());
    match (user, image) {
        (Some(0), _) => Err(NonRootError::AsksForRoot { pod, container }),
        (Some(_), _) => Ok(()),
        (None, ImageUser { uid: Some(0), .. }) => Err(NonRootError::ImageIsRoot { pod, container }),
        (None, ImageUser { uid: None, name }) if !name.is_empty() => {
            Err(NonRootError::NotNumeric { user: name.clone(), pod, container })
        }
        _ => Ok(()),
    }
}

/// How the container at `slot` is confined; `profiles` is where local seccomp profiles are.
pub fn context(
    pod: &NodePod,
    slot: Slot,
    image: &ImageUser,
    profiles: &Path,
) -> LinuxContainerSecurityContext {
    let spec = pod.spec();
    let container = pod.container(slot);
    let of_pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(of_pod.run_as_user).or(image.uid);
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |paths: &[&str]| {
        if unmasked { Vec::new() } else { paths.iter().map(|path| (*path).to_owned()).collect() }
    };
    let seccomp = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    let apparmor = own.app_armor_profile.as_ref().or(of_pod.app_armor_profile.as_ref());
    LinuxContainerSecurityContext {
        capabilities: own.capabilities.map(|capabilities| Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged: own.privileged.unwrap_or(false),
        namespace_options: Some(namespaces(pod)),
        selinux_options: own.se_linux_options.or(of_pod.se_linux_options).map(|options| SeLinuxOption {
            user: options.user.unwrap_or_default(),
            role: options.role.unwrap_or_default(),
            r#type: options.type_.unwrap_or_default(),
            level: options.level.unwrap_or_default(),
        }),
        run_as_user: user.map(|value| Int64Value { value }),
        run_as_username: if user.is_none() { image.name.clone() } else { String::new() },
        run_as_group: own.run_as_group.or(of_pod.run_as_group).map(|value| Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or(false),
        supplemental_groups: groups(pod),
        supplemental_groups_policy: groups_policy(pod),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READ_ONLY_PATHS),
        seccomp: Some(seccomp_profile(seccomp, profiles)),
        apparmor: apparmor.map(apparmor_profile),
        ..LinuxContainerSecurityContext::default()
    }
}

/// The groups that all containers of the pod belong to.
pub fn groups(pod: &NodePod) -> Vec<i64> {
    let context = pod.spec().security_context.clone().unwrap_or_default();
    context.fs_group.into_iter().chain(context.supplemental_groups.into_iter().flatten()).collect()
}

/// Whether the image's own groups count too.
pub fn groups_policy(pod: &NodePod) -> i32 {
    let spec = pod.spec();
    let policy =
        spec.security_context.as_ref().and_then(|context| context.supplemental_groups_policy.as_deref());
    match policy {
        Some("Strict") => SupplementalGroupsPolicy::Strict as i32,
        _ => SupplementalGroupsPolicy::Merge as i32,
    }
}

fn seccomp_profile(profile: Option<&SeccompProfile>, profiles: &Path) -> SecurityProfile {
    let profile = profile
        .map(|profile| (profile.type_.as_str(), profile.localhost_profile.as_deref().unwrap_or_default()));
    match profile {
        Some(("RuntimeDefault", _)) => {
            SecurityProfile { profile_type: ProfileType::RuntimeDefault as i32, localhost_ref: String::new() }
        }
        Some(("Localhost", name)) => SecurityProfile {
            profile_type: ProfileType::Localhost as i32,
            localhost_ref: profiles.join(name).display().to_string(),
        },
        _ => SecurityProfile { profile_type: ProfileType::Unconfined as i32, localhost_ref: String::new() },
    }
}

fn apparmor_profile(profile: &AppArmorProfile) -> SecurityProfile {
    let profile_type = match profile.type_.as_str() {
        "Localhost" => ProfileType::Localhost,
        "Unconfined" => ProfileType::Unconfined,
        _ => ProfileType::RuntimeDefault,
    };
    SecurityProfile {
        profile_type: profile_type as i32,
        localhost_ref: profile.localhost_profile.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    #[test]
    fn non_root_is_verified() {
        let user = |uid: Option<i64>, name: &str| ImageUser { uid, name: name.to_owned() };
        for (pod_context, own, image, expected) in [
            (json!({}), json!({}), user(Some(0), ""), ""),
            (json!({ "runAsNonRoot": true }), json!({}), user(Some(0), ""), "image will run as root"),
            (json!({ "runAsNonRoot": true }), json!({ "runAsUser": 5 }), user(Some(0), ""), ""),
            (
                json!({ "runAsNonRoot": true }),
                json!({ "runAsUser": 0 }),
                user(None, ""),
                "breaks non-root policy",
            ),
            (json!({ "runAsNonRoot": true }), json!({ "runAsNonRoot": false }), user(Some(0), ""), ""),
            (json!({ "runAsNonRoot": true }), json!({}), user(None, "web"), "non-numeric user (web)"),
        ] {
            let pod = pod(
                json!({ "securityContext": pod_context, "containers": [{ "name": "a", "securityContext": own }] }),
            );
            let result =
                verify_non_root(&pod, &pod.regular()[0], &image).err().map(|error| error.to_string());
            let said = result.unwrap_or_default();
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{said:?}, not {expected:?}"
            );
        }
    }

    #[test]
    fn the_container_overrides_the_pod() {
        let pod = pod(json!({
            "shareProcessNamespace": true,
            "securityContext": { "runAsUser": 1, "fsGroup": 7, "supplementalGroups": [8], "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "a", "securityContext": { "runAsUser": 2, "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] } } }],
        }));
        let context = context(&pod, Slot::Regular(0), &ImageUser::default(), Path::new("/p"));
        assert_eq!(context.run_as_user, Some(Int64Value { value: 2 }));
        assert_eq!(context.supplemental_groups, [7, 8]);
        assert!(
            context.no_new_privs
                && context.seccomp.is_some_and(|s| s.profile_type == ProfileType::RuntimeDefault as i32)
        );
        assert_eq!(context.namespace_options.unwrap().pid, NamespaceMode::Pod as i32);
    }
}
