//! Faults of security contexts.

use super::{Context, containers, windows};
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place, Seen};

const SECCOMP: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// What only Linux has, in pods and in containers.
const LINUX_OF_POD: [&str; 11] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];
const LINUX_OF_CONTAINER: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// Sysctls that are of a network or IPC namespace, by prefix.
const OF_NETWORK: [&str; 1] = ["net."];
const OF_IPC: [&str; 3] = ["kernel.shm", "kernel.msg", "fs.mqueue."];

fn id(place: &Place, out: &mut Causes) {
    if place.is_set() {
        place.within(0, i32::MAX.into(), out);
    }
}

pub(super) fn of_pod(context: &Context, out: &mut Causes) {
    let spec = context.spec;
    let security = spec.field("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&security.field(field), out);
    }
    security.field("supplementalGroups").items().for_each(|group| group.within(0, i32::MAX.into(), out));
    if spec.field("shareProcessNamespace").is_true() && spec.field("hostPID").is_true() {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        out.push(security.field("shareProcessNamespace").invalid_as(true, detail));
    }
    sysctls(spec, &security.field("sysctls"), out);
    security.field("fsGroupChangePolicy").one_of_if_set(&["Always", "OnRootMismatch"], out);
    security.field("supplementalGroupsPolicy").one_of_if_set(&["Merge", "Strict"], out);
    security.field("seLinuxChangePolicy").one_of_if_set(&["Recursive"], out);
    seccomp(&security.field("seccompProfile"), out);
    app_armor(&security.field("appArmorProfile"), out);
    windows::options(&security.field("windowsOptions"), out);
    windows::host_processes(spec, out);
    if !context.has_host_users {
        host_namespaces(spec, out);
    }
}

/// Users of its own go with none of the host's namespaces.
fn host_namespaces(spec: &Place, out: &mut Causes) {
    const DETAIL: &str = "when `hostUsers` is false";
    for (field, called) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.field(field).is_true() {
            out.push(spec.field(called).forbidden(DETAIL));
        }
    }
    containers::all(spec, |container| {
        if !container.field("volumeDevices").list().is_empty() {
            out.push(container.field("volumeDevices").forbidden(DETAIL));
        }
    });
}

fn sysctls(spec: &Place, sysctls: &Place, out: &mut Causes) {
    const PATTERN: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
    let mut seen = Seen::default();
    for sysctl in sysctls.items() {
        let name = sysctl.field("name");
        if name.need(out) {
            if !is_sysctl(name.text()) {
                out.push(
                    name.invalid(&format!("must have at most 253 characters and match regex {PATTERN}")),
                );
            } else if seen.has(name.text()) {
                out.push(name.duplicate());
            }
        }
        seen.again(name.text());
        let dotted = name.text().replace('/', ".");
        let is_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| dotted.starts_with(prefix));
        if spec.field("hostNetwork").is_true() && is_of(&OF_NETWORK) {
            out.push(name.invalid("may not be specified when 'hostNetwork' is true"));
        } else if spec.field("hostIPC").is_true() && (is_of(&OF_IPC) || dotted == "kernel.sem") {
            out.push(name.invalid("may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let end = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).map(str::as_bytes).all(|part| {
            part.first().is_some_and(end)
                && part.last().is_some_and(end)
                && part.iter().all(|b| end(b) || matches!(b, b'-' | b'_'))
        })
}

pub(super) fn of_container(security: &Place, has_host_users: bool, out: &mut Causes) {
    if !security.is_set() {
        return;
    }
    id(&security.field("runAsUser"), out);
    id(&security.field("runAsGroup"), out);
    let mount = security.field("procMount");
    mount.one_of_if_set(&["Default", "Unmasked"], out);
    if has_host_users && mount.text() == "Unmasked" {
        out.push(mount.invalid("`hostUsers` must be false to use `Unmasked`"));
    }
    seccomp(&security.field("seccompProfile"), out);
    if security.field("allowPrivilegeEscalation").value.as_bool() == Some(false) {
        if security.field("privileged").is_true() {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            out.push(security.invalid(detail));
        }
        let capabilities = security.field("capabilities");
        for _ in capabilities.field("add").items().filter(|capability| capability.text() == "CAP_SYS_ADMIN") {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            out.push(security.invalid(detail));
        }
    }
    windows::options(&security.field("windowsOptions"), out);
    app_armor(&security.field("appArmorProfile"), out);
}

fn seccomp(profile: &Place, out: &mut Causes) {
    if !profile.is_set() {
        return;
    }
    let (kind, local) = (profile.field("type"), profile.field("localhostProfile"));
    match kind.text() {
        "" => out.push(kind.required("type is required when seccompProfile is set")),
        _ => kind.one_of(&SECCOMP, out),
    }
    match (kind.text() == "Localhost", local.is_set()) {
        (true, true) => local.check(checks::descending_path, out),
        (true, false) => out.push(local.required("must be set when seccomp type is Localhost")),
        (false, true) => out.push(local.invalid("can only be set when seccomp type is Localhost")),
        (false, false) => {}
    }
}

fn app_armor(profile: &Place, out: &mut Causes) {
    const NEEDED: &str = "must be set when AppArmor type is Localhost";
    const BYTES_MAX: usize = 4095;
    if !profile.is_set() {
        return;
    }
    let (kind, local) = (profile.field("type"), profile.field("localhostProfile"));
    match kind.text() {
        "Localhost" if !local.is_set() => out.push(local.required(NEEDED)),
        "Localhost" => {
            if local.text().trim() != local.text() {
                out.push(local.invalid("must not be padded with whitespace"));
            } else if local.text().is_empty() {
                out.push(local.required(NEEDED));
            }
            if local.text().len() > BYTES_MAX {
                out.push(Cause::too_long(local.path(), BYTES_MAX));
            }
        }
        "RuntimeDefault" | "Unconfined" if local.is_set() => {
            out.push(local.invalid("can only be set when AppArmor type is Localhost"));
        }
        "RuntimeDefault" | "Unconfined" => {}
        "" => out.push(kind.required("type is required when appArmorProfile is set")),
        _ => out.push(kind.not_supported(&SECCOMP)),
    }
}

pub(super) fn forbid_windows_options(spec: &Place, out: &mut Causes) {
    let mut forbid = |owner: &Place| {
        let security = owner.field("securityContext");
        if security.field("windowsOptions").is_set() {
            let detail = "windows options cannot be set for a linux pod";
            out.push(security.field("windowsOptions").forbidden(detail));
        }
    };
    forbid(spec);
    containers::all(spec, |container| forbid(container));
}

pub(super) fn forbid_linux_options(spec: &Place, out: &mut Causes) {
    const DETAIL: &str = "cannot be set for a windows pod";
    let mut forbid = |owner: &Place, fields: &[&str]| {
        let set = fields.iter().filter(|field| !owner.field(field).value.is_null());
        out.extend(set.map(|field| owner.field(field).forbidden(DETAIL)));
    };
    forbid(&spec.field("securityContext"), &LINUX_OF_POD);
    forbid(spec, &["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"]);
    containers::all(spec, |container| forbid(&container.field("securityContext"), &LINUX_OF_CONTAINER));
}
