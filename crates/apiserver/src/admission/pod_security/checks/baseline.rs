//! The rules of the baseline.

use decapod_api::Value;

use super::{Pod, Set, Violation, counted, given, is, name, named, quoted, text};
use decapod_api::codec::quote;

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// Those that container runtimes give anyway.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// The last came with v1.31.
const SE_LINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
/// What a pod may set without reach beyond it; those after the fifth came with v1.27, v1.29 and v1.32.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Whether a seccomp or AppArmor profile is one that confines.
pub(super) fn confines(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// AppArmor's default profile is neither replaced by none nor by an unknown one.
pub(super) fn app_armor(pod: &Pod) -> Option<Violation> {
    let mut kinds = Set::new();
    let mut setters = pod.setters(|context| {
        let profile = given(context, &["appArmorProfile"]).map(|profile| text(profile, "type"));
        let bad = profile.filter(|kind| !confines(kind));
        kinds.extend(bad);
        bad.is_some()
    });
    let allowed =
        |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let bad = pod.annotations().filter(|(key, value)| key.starts_with(APP_ARMOR) && !allowed(value));
    let mut annotations: Vec<String> = bad.map(|(key, value)| format!("{key}={}", quote(value))).collect();
    annotations.sort();
    if !annotations.is_empty() {
        setters.push(counted(annotations.len(), "annotation", "annotations").to_owned());
    }
    if setters.is_empty() {
        return None;
    }
    let values: Vec<&str> = kinds.into_iter().chain(annotations.iter().map(String::as_str)).collect();
    let reason = counted(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    let detail =
        format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(&values));
    Violation::new(reason.to_owned(), detail)
}

/// Nothing beyond the usual capabilities is added.
pub(super) fn capabilities(pod: &Pod) -> Option<Violation> {
    let mut added = Set::new();
    let containers = pod.containers_that(|container| {
        let before = container.list_at(&["securityContext", "capabilities", "add"]).iter();
        let bad: Set = before.filter_map(Value::as_str).filter(|name| !CAPABILITIES.contains(name)).collect();
        added.extend(&bad);
        !bad.is_empty()
    });
    let who = named("container", &containers)?;
    let detail = format!("{who} must not include {} in securityContext.capabilities.add", quoted(added));
    Violation::new("non-default capabilities", detail)
}

/// The node's network, processes and shared memory stay its own.
pub(super) fn host_namespaces(pod: &Pod) -> Option<Violation> {
    let shared =
        ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| is(pod.spec, &[field], true));
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", "))).flatten()
}

/// So do its files,
pub(super) fn host_paths(pod: &Pod) -> Option<Violation> {
    let volumes = pod.spec.list_at(&["volumes"]).iter();
    let bad: Vec<&str> = volumes.filter(|volume| given(volume, &["hostPath"]).is_some()).map(name).collect();
    Violation::new("hostPath volumes", named("volume", &bad)?)
}

/// and its ports.
pub(super) fn host_ports(pod: &Pod) -> Option<Violation> {
    let mut taken = std::collections::BTreeSet::new();
    let containers = pod.containers_that(|container| {
        let ports = container.list_at(&["ports"]).iter();
        let bad: Vec<String> = ports
            .filter_map(|port| port.int_at(&["hostPort"]))
            .filter(|port| *port != 0)
            .map(|port| port.to_string())
            .collect();
        let any = !bad.is_empty();
        taken.extend(bad);
        any
    });
    let who = named("container", &containers)?;
    let (uses, ports) =
        (counted(containers.len(), "uses", "use"), counted(taken.len(), "hostPort", "hostPorts"));
    let taken: Vec<String> = taken.into_iter().collect();
    Violation::new("hostPort", format!("{who} {uses} {ports} {}", taken.join(", ")))
}

/// The kubelet is not sent to other hosts.
pub(super) fn hosts_of_probes(pod: &Pod) -> Option<Violation> {
    const ASKERS: [&[&str]; 5] = [
        &["livenessProbe"],
        &["readinessProbe"],
        &["startupProbe"],
        &["lifecycle", "postStart"],
        &["lifecycle", "preStop"],
    ];
    let (mut containers, mut hosts) = (Set::new(), Set::new());
    for container in pod.containers() {
        for asker in ASKERS.iter().filter_map(|path| container.at(path)) {
            let asked = ["httpGet", "tcpSocket"].iter().filter_map(|how| asker.str_at(&[how, "host"]));
            for host in asked.filter(|host| !host.is_empty()) {
                containers.insert(name(container));
                hosts.insert(host);
            }
        }
    }
    let containers: Vec<&str> = containers.into_iter().collect();
    let who = named("container", &containers)?;
    let uses = counted(containers.len(), "uses", "use");
    let what = counted(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts");
    Violation::new("probe or lifecycle host", format!("{who} {uses} {what} {}", quoted(hosts)))
}

/// No container is root on the node.
pub(super) fn privileged(pod: &Pod) -> Option<Violation> {
    let bad = pod.containers_that(|container| is(container, &["securityContext", "privileged"], true));
    let who = named("container", &bad)?;
    Violation::new("privileged", format!("{who} must not set securityContext.privileged=true"))
}

/// What is masked in /proc stays so.
pub(super) fn proc_mount(pod: &Pod) -> Option<Violation> {
    let mut kinds = Set::new();
    let bad = pod.containers_that(|container| {
        let kind = container.str_at(&["securityContext", "procMount"]).filter(|kind| *kind != "Default");
        kinds.extend(kind);
        kind.is_some()
    });
    let who = named("container", &bad)?;
    Violation::new("procMount", format!("{who} must not set securityContext.procMount to {}", quoted(kinds)))
}

/// SELinux labels are of the first `known` types, and of nobody in particular.
pub(super) fn se_linux(pod: &Pod, known: usize) -> Option<Violation> {
    let (mut types, mut user, mut role) = (Set::new(), false, false);
    let setters = pod.setters(|context| {
        let Some(options) = given(context, &["seLinuxOptions"]) else { return false };
        let kind = Some(text(options, "type")).filter(|kind| !SE_LINUX_TYPES[..known].contains(kind));
        types.extend(kind);
        let (has_user, has_role) = (!text(options, "user").is_empty(), !text(options, "role").is_empty());
        user |= has_user;
        role |= has_role;
        kind.is_some() || has_user || has_role
    });
    if setters.is_empty() {
        return None;
    }
    let types: Vec<&str> = types.into_iter().collect();
    let mut data: Vec<String> = named("type", &types).into_iter().collect();
    data.extend(user.then(|| "user may not be set".to_owned()));
    data.extend(role.then(|| "role may not be set".to_owned()));
    let detail = format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters.join(" and "),
        data.join("; ")
    );
    Violation::new("seLinuxOptions", detail)
}

/// Seccomp is not turned off, as it was said before v1.19.
pub(super) fn seccomp_annotations(pod: &Pod) -> Option<Violation> {
    let allowed = |value: &str| {
        matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
    };
    let concerns = |key: &str| {
        let container = key.strip_prefix(SECCOMP_CONTAINER);
        key == SECCOMP_POD
            || container.is_some_and(|wanted| pod.containers().any(|container| name(container) == wanted))
    };
    let bad = pod.annotations().filter(|(key, value)| !allowed(value) && concerns(key));
    let mut bad: Vec<String> = bad.map(|(key, value)| format!("{key}={}", quote(value))).collect();
    bad.sort();
    if bad.is_empty() {
        return None;
    }
    let what = counted(bad.len(), "annotation", "annotations");
    Violation::new("seccompProfile", format!("forbidden {what} {}", bad.join(", ")))
}

/// Seccomp is not turned off.
pub(super) fn seccomp(pod: &Pod) -> Option<Violation> {
    let mut kinds = Set::new();
    let setters = pod.setters(|context| {
        let profile = given(context, &["seccompProfile"]).map(|profile| text(profile, "type"));
        let bad = profile.filter(|kind| !confines(kind));
        kinds.extend(bad);
        bad.is_some()
    });
    if setters.is_empty() {
        return None;
    }
    let who = setters.join(" and ");
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(kinds));
    Violation::new("seccompProfile", detail)
}

/// Kernel parameters are among the first `known`.
pub(super) fn sysctls(pod: &Pod, known: usize) -> Option<Violation> {
    let set = pod.spec.list_at(&["securityContext", "sysctls"]).iter().map(name);
    let bad: Vec<&str> = set.filter(|name| !SYSCTLS[..known].contains(name)).collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", "))).flatten()
}

/// Nor is a container a process of a Windows node.
pub(super) fn windows_host_process(pod: &Pod) -> Option<Violation> {
    let setters = pod.setters(|context| is(context, &["windowsOptions", "hostProcess"], true));
    if setters.is_empty() {
        return None;
    }
    let who = setters.join(" and ");
    Violation::new(
        "hostProcess",
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}
