//! Faults of containers: regular ones, those that run first, and those that are added later.

use super::{Context, Within, env, handlers, mounts, resources, security};
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;
use crate::value::Value;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const MESSAGE_POLICIES: [&str; 2] = ["File", "FallbackToLogsOnError"];
const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];

/// What containers that are added later may not have.
const NOT_EPHEMERAL: [&str; 7] =
    ["ports", "resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy"];
/// What containers that run first may not have, unless they go on.
const NOT_INIT: [&str; 4] = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];

pub(super) fn check(context: &Context, out: &mut Causes) {
    let containers = context.spec.field("containers");
    if containers.list().is_empty() {
        out.push(containers.required(""));
    }
    let mut names = Seen::default();
    for container in containers.items() {
        common(&container, context, out);
        if names.again(container.field("name").text()) {
            out.push(container.field("name").duplicate());
        }
        handlers::of_container(&container, context, out);
        restart_policy(&container, out);
    }
    let mut ports = Vec::new();
    containers.items().for_each(|container| unique_host_ports(&container, &mut ports, out));
    init(context, &mut names, out);
    ephemeral(context, &mut names, out);
    if context.within == Within::Pod {
        for list in
            [containers, context.spec.field("initContainers"), context.spec.field("ephemeralContainers")]
        {
            for container in list.items() {
                let image = container.field("image");
                if image.text().trim() != image.text() {
                    out.push(image.invalid("must not have leading or trailing whitespace"));
                }
            }
        }
    }
}

fn init<'v>(context: &Context<'v, '_>, names: &mut Seen<'v>, out: &mut Causes) {
    let list = context.spec.field("initContainers");
    for container in list.items() {
        common(&container, context, out);
        restart_policy(&container, out);
        let name = container.field("name");
        if names.again(name.text()) {
            out.push(name.duplicate());
        }
        unique_host_ports(&container, &mut Vec::new(), out);
        let goes_on = container.field("restartPolicy").text() == "Always";
        if goes_on {
            handlers::of_container(&container, context, out);
        } else {
            for field in NOT_INIT.iter().filter(|field| container.field(field).is_set()) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                out.push(container.field(field).forbidden(detail));
            }
            for policy in container.field("resizePolicy").items() {
                let policy = policy.field("restartPolicy");
                if policy.text() == "RestartContainer" {
                    let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                    out.push(policy.invalid(detail));
                }
            }
        }
    }
}

fn ephemeral<'v>(context: &Context<'v, '_>, names: &mut Seen<'v>, out: &mut Causes) {
    const DETAIL: &str = "cannot be set for an Ephemeral Container";
    let others: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| context.spec.value.list_at(&[list]))
        .filter_map(|container| container.str_at(&["name"]))
        .collect();
    let list = context.spec.field("ephemeralContainers");
    for container in list.items() {
        common(&container, context, out);
        if names.again(container.field("name").text()) {
            out.push(container.field("name").duplicate());
        }
        let target = container.field("targetContainerName");
        if !target.text().is_empty() && !others.contains(&target.text()) {
            out.push(target.not_found());
        }
        for field in NOT_EPHEMERAL.iter().filter(|field| !container.field(field).is_empty()) {
            out.push(container.field(field).forbidden(DETAIL));
        }
        for mount in container.field("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.field(field).text().is_empty() {
                    out.push(mount.field(field).forbidden(DETAIL));
                }
            }
        }
    }
}

/// What holds for every container (upstream's `validateContainerCommon`).
fn common(container: &Place, context: &Context, out: &mut Causes) {
    container.field("name").need_checked(names::label, out);
    container.field("image").need(out);
    container.field("terminationMessagePolicy").need_one_of(&MESSAGE_POLICIES, out);
    ports(&container.field("ports"), out);
    env::check(container, out);
    mounts::check(container, context, out);
    container.field("imagePullPolicy").need_one_of(&PULL_POLICIES, out);
    resources::requirements(&container.field("resources"), &context.claims, out);
    resize_policy(&container.field("resizePolicy"), context, out);
    security::of_container(&container.field("securityContext"), context.has_host_users, out);
}

fn ports(ports: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    for port in ports.items() {
        let name = port.field("name");
        if !name.text().is_empty() {
            let before = out.len();
            name.check(crate::kinds::strategies::checks::port_name, out);
            if out.len() == before && seen.again(name.text()) {
                out.push(name.duplicate());
            }
        }
        let number = port.field("containerPort");
        if number.int() == 0 {
            out.push(number.required(""));
        } else {
            number.port(out);
        }
        if port.field("hostPort").int() != 0 {
            port.field("hostPort").port(out);
        }
        port.field("protocol").need_one_of(&PROTOCOLS, out);
    }
}

fn unique_host_ports(container: &Place, seen: &mut Vec<String>, out: &mut Causes) {
    for port in container.field("ports").items() {
        let number = port.field("hostPort");
        if number.int() == 0 {
            continue;
        }
        let key =
            format!("{}/{}/{}", port.field("protocol").text(), port.field("hostIP").text(), number.int());
        if seen.contains(&key) {
            out.push(crate::Cause::duplicate(number.path(), &key));
        } else {
            seen.push(key);
        }
    }
}

fn resize_policy(policies: &Place, context: &Context, out: &mut Causes) {
    let mut seen = Seen::default();
    for policy in policies.items() {
        let (resource, restart) = (policy.field("resourceName").text(), policy.field("restartPolicy").text());
        if seen.again(resource) {
            out.push(crate::Cause::duplicate(policy.path(), resource));
        }
        for (text, allowed) in [(resource, ["cpu", "memory"]), (restart, ["NotRequired", "RestartContainer"])]
        {
            if text.is_empty() {
                out.push(policies.required(""));
            } else if !allowed.contains(&text) {
                out.push(crate::Cause::not_supported(policies.path(), text, &allowed));
            }
        }
        if context.spec.field("restartPolicy").text() == "Never" && restart != "NotRequired" {
            out.push(
                policies.invalid_as(restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"),
            );
        }
    }
}

/// A container's own policy of restarts, and the rules to it (KEP-5307).
fn restart_policy(container: &Place, out: &mut Causes) {
    let (policy, rules) = (container.field("restartPolicy"), container.field("restartPolicyRules"));
    if policy.is_set() {
        policy.one_of(&RESTART_POLICIES, out);
    } else if !rules.list().is_empty() {
        out.push(policy.required("must specify restartPolicy when restart rules are used"));
    }
    if rules.list().len() > 20 {
        out.push(rules.too_many(20));
    }
    for rule in rules.items() {
        rule.field("action").one_of(&["Restart", "RestartAllContainers"], out);
        let codes = rule.field("exitCodes");
        if codes.is_set() {
            codes.field("operator").one_of(&["In", "NotIn"], out);
            if codes.field("values").list().len() > 255 {
                out.push(codes.field("values").too_many(255));
            }
        } else {
            out.push(codes.required("must be specified"));
        }
    }
}

/// The containers of every list of `spec`.
pub(super) fn all<'v>(spec: &Place<'v, '_>, mut then: impl FnMut(&Place<'v, '_>)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        spec.field(list)
            .items()
            .filter(|container| matches!(container.value, Value::Map(_)))
            .for_each(|c| then(&c));
    }
}
