//! Defaults of pod specs (k8s.io/kubernetes/pkg/apis/core/v1/defaults.go; where they apply, `zz_generated.defaults.go`).

use super::resources;
use crate::kinds::strategies::fill::{
    complete, each, fill, fill_zero, part, round, round_requirements, with,
};
use crate::kinds::strategies::image;
use crate::value::Value;

/// The lists of containers in a spec.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Seconds that a service account token of a projected volume lives.
const TOKEN_SECONDS: i64 = 3600;
/// 0644, the mode of files that volumes are made of.
const FILE_MODE: i64 = 0o644;

/// A pod: what only pods get, and then what every spec gets.
pub fn pod(pod: &mut Value) {
    let spec = part(pod, "spec");
    for list in ["containers", "initContainers"] {
        each(spec, list, |container| {
            with(container, "resources", |resources| complete(resources, "requests", "limits"))
        });
    }
    resources::default_pod_level(spec);
    fill(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for list in ["containers", "initContainers"] {
            each(spec, list, host_ports);
        }
    }
    if spec.int_at(&["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
        spec.set_at(&["terminationGracePeriodSeconds"], 1);
    }
    self::spec(spec);
    with(pod, "status", status);
}

/// The template of a workload, which is always there.
pub fn template(owner: &mut Value) {
    spec(part(part(owner, "template"), "spec"));
}

/// Any pod spec.
pub fn spec(spec: &mut Value) {
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", Value::map());
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "schedulerName", "default-scheduler");
    mirror_service_account(spec);
    each(spec, "volumes", volume);
    for list in CONTAINER_LISTS {
        each(spec, list, container);
    }
    round(spec, "overhead");
    with(spec, "resources", round_requirements);
}

/// Keeps `serviceAccount`, the old name of `serviceAccountName`, as this is, which wins (upstream's conversion of
/// `PodSpec`).
pub fn mirror_service_account(spec: &mut Value) {
    let text = |field: &str| spec.str_at(&[field]).filter(|name| !name.is_empty()).map(str::to_owned);
    if let Some(name) = text("serviceAccountName").or_else(|| text("serviceAccount")) {
        spec.set_at(&["serviceAccountName"], name.as_str());
        spec.set_at(&["serviceAccount"], name);
    }
}

/// Container ports are the host's ports where the pod has the host's network.
fn host_ports(container: &mut Value) {
    each(container, "ports", |port| {
        if let Some(number) = port.int_at(&["containerPort"]) {
            fill_zero(port, "hostPort", number);
        }
    });
}

fn container(container: &mut Value) {
    let policy = pull_policy(container.str_at(&["image"]).unwrap_or_default());
    fill(container, "imagePullPolicy", policy);
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    each(container, "ports", |port| fill(port, "protocol", "TCP"));
    each(container, "env", |env| {
        with(env, "valueFrom", |from| {
            with(from, "fieldRef", field_ref);
            with(from, "fileKeyRef", |file| fill(file, "optional", false));
        });
    });
    with(container, "resources", round_requirements);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        with(container, name, probe);
    }
    with(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            with(lifecycle, hook, |hook| with(hook, "httpGet", http_get));
        }
    });
}

fn pull_policy(image: &str) -> &'static str {
    if image::tag(image) == "latest" { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut Value) {
    for (field, default) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        fill_zero(probe, field, default);
    }
    with(probe, "httpGet", http_get);
    with(probe, "grpc", |grpc| fill(grpc, "service", ""));
}

fn http_get(action: &mut Value) {
    fill(action, "path", "/");
    fill(action, "scheme", "HTTP");
}

fn field_ref(selector: &mut Value) {
    fill(selector, "apiVersion", "v1");
}

fn volume(volume: &mut Value) {
    let sources = volume.as_map().into_iter().flat_map(|map| map.iter());
    if sources.filter(|(key, value)| *key != "name" && !value.is_null()).count() == 0 {
        volume.set_at(&["emptyDir"], Value::map());
    }
    for (source, default) in [
        ("secret", files as fn(&mut Value)),
        ("configMap", files),
        ("downwardAPI", downward),
        ("projected", projected),
        ("image", image_source),
        ("ephemeral", ephemeral),
    ] {
        with(volume, source, default);
    }
    volume_source(volume);
}

/// The sources that pods' volumes and persistent volumes share.
pub fn volume_source(owner: &mut Value) {
    with(owner, "hostPath", |host_path| fill(host_path, "type", ""));
    with(owner, "azureDisk", |disk| fill(disk, "readOnly", false));
}

fn files(source: &mut Value) {
    fill(source, "defaultMode", FILE_MODE);
}

fn downward(source: &mut Value) {
    files(source);
    downward_items(source);
}

fn downward_items(source: &mut Value) {
    each(source, "items", |item| with(item, "fieldRef", field_ref));
}

fn projected(source: &mut Value) {
    files(source);
    each(source, "sources", |source| {
        with(source, "downwardAPI", downward_items);
        with(source, "serviceAccountToken", |token| fill(token, "expirationSeconds", TOKEN_SECONDS));
    });
}

fn image_source(source: &mut Value) {
    let policy = pull_policy(source.str_at(&["reference"]).unwrap_or_default());
    fill(source, "pullPolicy", policy);
}

fn ephemeral(source: &mut Value) {
    with(source, "volumeClaimTemplate", |template| claim(part(template, "spec")));
}

/// The spec of a claim.
pub fn claim(spec: &mut Value) {
    fill(spec, "volumeMode", "Filesystem");
    with(spec, "resources", round_requirements);
}

fn status(status: &mut Value) {
    mirror_ip(status);
    for list in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
        each(status, list, |container| {
            round(container, "allocatedResources");
            with(container, "resources", round_requirements);
        });
    }
    round(status, "allocatedResources");
    with(status, "resources", round_requirements);
}

/// Keeps `podIP` and the first of `podIPs` the same; the former wins.
fn mirror_ip(status: &mut Value) {
    let first = status.list_at(&["podIPs"]).first().and_then(|ip| ip.str_at(&["ip"])).map(str::to_owned);
    match (status.str_at(&["podIP"]).filter(|ip| !ip.is_empty()).map(str::to_owned), first) {
        (Some(ip), first) if first.as_ref() != Some(&ip) => {
            let mut entry = Value::map();
            entry.set_at(&["ip"], ip);
            status.set_at(&["podIPs"], vec![entry]);
        }
        (None, Some(first)) => status.set_at(&["podIP"], first),
        _ => {}
    }
}
