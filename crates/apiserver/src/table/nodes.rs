//! Cells of nodes (`printNode`).

use super::cell::{Cell, Function, Row};
use super::path::Path;

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let function: Function = match name {
        "node_status" => status,
        "node_roles" => roles,
        "node_kernel" => kernel,
        _ => return None,
    };
    Some(function)
}

fn status<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    // The last one counts, should there be several.
    let conditions = row.at("status.conditions");
    let ready = conditions.items().filter(|condition| condition.key("type").is("Ready")).last();
    let mut status = match ready.map(|condition| condition.key("status").is("True")) {
        Some(true) => "Ready".to_owned(),
        Some(false) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if row.at("spec.unschedulable").is_true() {
        status.push_str(",SchedulingDisabled");
    }
    Some(Cell::text(status))
}

fn roles<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let labels = row.at("metadata.labels");
    let mut roles: Vec<String> = labels
        .fields()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None => (key == "kubernetes.io/role").then(|| value.str().into_owned()),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort();
    roles.dedup();
    Some(Cell::text(if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }))
}

fn kernel<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let info = row.at("status.nodeInfo");
    let version = info.key("kernelVersion").or("<unknown>");
    Some(match info.key("architecture").str() {
        architecture if architecture.is_empty() => Cell::Text(version),
        architecture => Cell::text(format!("{version} ({architecture})")),
    })
}
