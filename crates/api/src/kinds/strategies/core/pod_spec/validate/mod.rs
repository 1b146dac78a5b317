//! Faults of pod specs (upstream's `ValidatePodSpec` and `ValidatePodTemplateSpec`).

mod annotations;
mod containers;
mod env;
mod handlers;
mod mounts;
mod resources;
pub mod scheduling;
mod security;
pub mod storage_sources;
mod volumes;
mod windows;

pub use resources::of_overhead as requirements_of_overhead;
pub use volumes::{driver_name, volume_source_path};

use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;
use crate::value::Value;

/// What a spec is part of.
#[derive(Clone, Copy, PartialEq)]
pub enum Within {
    /// A pod.
    Pod,
    /// The template of a workload.
    Template,
}

/// What the parts of a spec need to know of the others.
struct Context<'v, 'p> {
    spec: &'p Place<'v, 'p>,
    within: Within,
    /// The volumes that are sound, by name.
    volumes: Vec<(&'v str, &'v Value)>,
    /// The names of the resource claims.
    claims: Vec<&'v str>,
    grace_seconds: Option<i64>,
    has_host_users: bool,
    is_windows: bool,
}

/// The most name servers, search domains and characters of them that name resolution takes.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCHES_BYTES_MAX: usize = 2048;

const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const PREEMPTION_POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];

/// A template, with its metadata.
pub fn template(template: &Place, out: &mut Causes) {
    let metadata = template.field("metadata");
    // Upstream names the fields of the template's metadata as if they were its own.
    relabel(template, &metadata, "labels").labels(out);
    let spec = template.field("spec");
    let annotations = relabel(template, &metadata, "annotations");
    annotations::keys(&annotations, out);
    annotations::check(&annotations, &spec, out);
    self::spec(&spec, metadata.value, Within::Template, out);
    if !spec.field("ephemeralContainers").list().is_empty() {
        out.push(
            spec.field("ephemeralContainers").forbidden("ephemeral containers not allowed in pod template"),
        );
    }
}

/// A field of `metadata`, called as if it were one of `owner`.
fn relabel<'v, 'b>(owner: &'b Place<'v, 'b>, metadata: &Place<'v, '_>, field: &'b str) -> Place<'v, 'b> {
    let mut place = owner.field(field);
    place.value = metadata.field(field).value;
    place
}

/// The annotations of a pod that mean something to it.
pub fn pod_annotations(metadata: &Place, spec: &Place, out: &mut Causes) {
    annotations::check(&metadata.field("annotations"), spec, out);
}

/// Any pod spec. `metadata` is of the pod, or of the template.
pub fn spec(spec: &Place, metadata: &Value, within: Within, out: &mut Causes) {
    let grace = spec.field("terminationGracePeriodSeconds");
    if !grace.is_set() {
        out.push(grace.required(""));
    }
    let name = if within == Within::Pod { metadata.str_at(&["name"]).unwrap_or_default() } else { "" };
    let context = Context {
        spec,
        within,
        volumes: volumes::check(&spec.field("volumes"), name, within, out),
        claims: spec
            .field("resourceClaims")
            .list()
            .iter()
            .filter_map(|claim| claim.str_at(&["name"]))
            .collect(),
        grace_seconds: grace.value.as_int(),
        has_host_users: spec.field("hostUsers").value != &Value::Bool(false),
        is_windows: spec.field("os").field("name").text() == "windows",
    };
    claims(&spec.field("resourceClaims"), out);
    containers::check(&context, out);
    resources::of_pod(spec, &context.claims, out);
    host_ports(&context, out);
    spec.field("restartPolicy").need_one_of(&RESTART_POLICIES, out);
    spec.field("dnsPolicy").need_one_of(&DNS_POLICIES, out);
    spec.field("nodeSelector").labels(out);
    security::of_pod(&context, out);
    scheduling::affinity(&spec.field("affinity"), out);
    dns_config(spec, out);
    let gates = spec.field("readinessGates");
    gates.items().for_each(|gate| gate.field("conditionType").check(names::qualified_name, out));
    scheduling_gates(&spec.field("schedulingGates"), out);
    scheduling::spread(&spec.field("topologySpreadConstraints"), out);
    host_name(spec, out);
    plain_fields(spec, out);
    scheduling::tolerations(&spec.field("tolerations"), out);
    for alias in spec.field("hostAliases").items() {
        alias.field("ip").check(checks::ip, out);
        alias.field("hostnames").items().for_each(|name| name.check(names::subdomain, out));
    }
    if spec.field("overhead").is_set() {
        resources::of_fixed(&spec.field("overhead"), spec.field("overhead").value, out);
    }
    operating_system(&context, out);
    env::file_volumes(&context, out);
}

/// The texts and numbers of a spec that stand for themselves.
fn plain_fields(spec: &Place, out: &mut Causes) {
    let checks: [(&str, fn(&str) -> Vec<String>); 6] = [
        ("serviceAccountName", names::subdomain),
        ("nodeName", names::subdomain),
        ("hostname", names::label),
        ("subdomain", names::label),
        ("priorityClassName", names::subdomain),
        ("runtimeClassName", names::subdomain),
    ];
    for (field, reasons) in checks {
        spec.field(field).check_if_set(reasons, out);
    }
    if spec.field("activeDeadlineSeconds").is_set() {
        spec.field("activeDeadlineSeconds").within(1, i32::MAX.into(), out);
    }
    spec.field("preemptionPolicy").one_of_if_set(&PREEMPTION_POLICIES, out);
}

fn claims(claims: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    for claim in claims.items() {
        let name = claim.field("name");
        if name.need(out) {
            if seen.again(name.text()) {
                out.push(name.duplicate());
            } else {
                name.check(names::label, out);
            }
        }
        let (by_name, by_template) =
            (claim.field("resourceClaimName"), claim.field("resourceClaimTemplateName"));
        match (by_name.is_set(), by_template.is_set()) {
            (true, true) => {
                out.push(claim.invalid(
                    "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
                ));
            }
            (false, false) => {
                out.push(
                    claim.invalid("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
                );
            }
            _ => {}
        }
        for name in [by_name, by_template].iter().filter(|name| name.is_set()) {
            name.check(names::subdomain, out);
        }
    }
}

/// With the host's network, ports of containers are ports of the host.
fn host_ports(context: &Context, out: &mut Causes) {
    if !context.spec.field("hostNetwork").is_true() {
        return;
    }
    for container in context.spec.field("containers").items() {
        for port in container.field("ports").items() {
            let (host, own) = (port.field("hostPort").int(), port.field("containerPort").int());
            if (context.within == Within::Pod || host != 0) && host != own {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                out.push(port.field("hostPort").invalid_as(host, detail));
            }
        }
    }
}

fn dns_config(spec: &Place, out: &mut Causes) {
    let config = spec.field("dnsConfig");
    let servers = config.field("nameservers");
    if spec.field("dnsPolicy").text() == "None" {
        if !config.is_set() {
            return out.push(config.required("must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        if servers.list().is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return out.push(servers.required(detail));
        }
    }
    if servers.list().len() > NAMESERVERS_MAX {
        out.push(servers.invalid(&format!("must not have more than {NAMESERVERS_MAX} nameservers")));
    }
    servers.items().for_each(|server| server.check(checks::ip, out));
    let searches = config.field("searches");
    if searches.list().len() > SEARCHES_MAX {
        out.push(searches.invalid(&format!("must not have more than {SEARCHES_MAX} search paths")));
    }
    let bytes: usize = searches.items().map(|search| search.text().len() + 1).sum();
    if bytes > SEARCHES_BYTES_MAX + 1 {
        let detail = format!(
            "must not have more than {SEARCHES_BYTES_MAX} characters (including spaces) in the search list"
        );
        out.push(searches.invalid(&detail));
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let name = search.text().strip_suffix('.').unwrap_or(search.text());
        out.extend(checks::underscored_subdomain(name).iter().map(|why| search.invalid_as(name, why)));
    }
    for option in config.field("options").items().filter(|option| option.field("name").text().is_empty()) {
        out.push(option.required("must not be empty"));
    }
}

fn scheduling_gates(gates: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    for gate in gates.items() {
        let name = gate.value.str_at(&["name"]).unwrap_or_default();
        out.extend(names::qualified_name(name).iter().map(|why| gate.invalid_as(name, why)));
        if seen.again(name) {
            out.push(crate::Cause::duplicate(gate.path(), name));
        }
    }
}

fn host_name(spec: &Place, out: &mut Causes) {
    let name = spec.field("hostnameOverride");
    if !name.is_set() {
        return;
    }
    for (field, detail) in [
        ("setHostnameAsFQDN", "may not be specified when setHostnameAsFQDN is true"),
        ("hostNetwork", "may not be specified when hostNetwork is true"),
    ] {
        if spec.field(field).is_true() {
            out.push(name.forbidden(detail));
        }
    }
    if name.text().len() > 64 {
        out.push(crate::Cause::too_long(name.path(), 64));
    }
    name.check(names::subdomain, out);
}

fn operating_system(context: &Context, out: &mut Causes) {
    let os = context.spec.field("os");
    if !os.is_set() {
        return;
    }
    if os.field("name").need(out) && !matches!(os.field("name").text(), "linux" | "windows") {
        out.push(crate::Cause::not_supported(os.path(), os.field("name").text(), &["linux", "windows"]));
    }
    if os.field("name").text() == "linux" {
        security::forbid_windows_options(context.spec, out);
    } else if context.is_windows {
        security::forbid_linux_options(context.spec, out);
    }
}
