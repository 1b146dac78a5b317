//! The rules that the restricted level adds, or has in place of the baseline's.

use decapod_api::Value;

use super::baseline::confines;
use super::{Pod, Set, Violation, counted, given, is, name, named, quoted, text};

/// What may be mounted.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// What else is known, in the order in which upstream looks.
const RESTRICTED_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

/// Nobody gets more rights than they began with.
pub(super) fn privilege_escalation(pod: &Pod) -> Option<Violation> {
    const FIELD: [&str; 2] = ["securityContext", "allowPrivilegeEscalation"];
    let bad = pod.containers_that(|container| !is(container, &FIELD, false));
    let who = named("container", &bad)?;
    let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
    Violation::new("allowPrivilegeEscalation != false", detail)
}

/// All capabilities are dropped, and only that of low ports may be added.
pub(super) fn capabilities(pod: &Pod) -> Option<Violation> {
    let list = |container: &'_ Value, field: &str| -> Vec<String> {
        let list = container.list_at(&["securityContext", "capabilities", field]).iter();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keeps = pod.containers_that(|container| !list(container, "drop").iter().any(|name| name == "ALL"));
    let mut added = std::collections::BTreeSet::new();
    let adds = pod.containers_that(|container| {
        let mut bad = list(container, "add");
        bad.retain(|name| name != "NET_BIND_SERVICE");
        let any = !bad.is_empty();
        added.extend(bad);
        any
    });
    let mut details = Vec::new();
    if let Some(who) = named("container", &keeps) {
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if let Some(who) = named("container", &adds) {
        let added = quoted(added);
        details.push(format!("{who} must not include {added} in securityContext.capabilities.add"));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; "))).flatten()
}

/// Only volumes that are the cluster's are mounted.
pub(super) fn volumes(pod: &Pod) -> Option<Violation> {
    let has = |volume: &Value, kinds: &[&'static str]| -> Option<&'static str> {
        kinds.iter().find(|kind| given(volume, &[kind]).is_some()).copied()
    };
    let (mut bad, mut kinds) = (Vec::new(), Set::new());
    for volume in pod.spec.list_at(&["volumes"]) {
        if has(volume, &VOLUMES).is_none() {
            bad.push(name(volume));
            kinds.insert(has(volume, &RESTRICTED_VOLUMES).unwrap_or("unknown"));
        }
    }
    let who = named("volume", &bad)?;
    let uses = counted(bad.len(), "uses", "use");
    let what = counted(kinds.len(), "restricted volume type", "restricted volume types");
    Violation::new("restricted volume types", format!("{who} {uses} {what} {}", quoted(kinds)))
}

/// Nobody is root, and that is said.
pub(super) fn run_as_non_root(pod: &Pod) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let setters = pod.setters(|context| is(context, &["runAsNonRoot"], false));
    if !setters.is_empty() {
        let who = setters.join(" and ");
        return Violation::new(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    const FIELD: [&str; 2] = ["securityContext", "runAsNonRoot"];
    if is(pod.spec, &FIELD, true) {
        return None;
    }
    let who = named("container", &pod.containers_that(|container| given(container, &FIELD).is_none()))?;
    Violation::new(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

/// Nobody is told to be root.
pub(super) fn run_as_user(pod: &Pod) -> Option<Violation> {
    let setters = pod.setters(|context| context.int_at(&["runAsUser"]) == Some(0));
    if setters.is_empty() {
        return None;
    }
    Violation::new("runAsUser=0", format!("{} must not set runAsUser=0", setters.join(" and ")))
}

/// Seccomp is turned on.
pub(super) fn seccomp(pod: &Pod) -> Option<Violation> {
    if let Some(violation) = super::baseline::seccomp(pod) {
        return Some(violation);
    }
    const FIELD: [&str; 2] = ["securityContext", "seccompProfile"];
    if given(pod.spec, &FIELD).is_some_and(|profile| confines(text(profile, "type"))) {
        return None;
    }
    let who = named("container", &pod.containers_that(|container| given(container, &FIELD).is_none()))?;
    let detail = format!(
        "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
    );
    Violation::new("seccompProfile", detail)
}
