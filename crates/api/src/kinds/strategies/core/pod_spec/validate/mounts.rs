//! Faults of what a container has of its pod's volumes.

use super::Context;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::value::Value;

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
const RECURSIVE: [&str; 3] = ["Disabled", "Enabled", "IfPossible"];

pub(super) fn check(container: &Place, context: &Context, out: &mut Causes) {
    mounts(container, context, out);
    devices(container, context, out);
}

fn mounts(container: &Place, context: &Context, out: &mut Causes) {
    let (mounts, devices) = (container.field("volumeMounts"), container.field("volumeDevices"));
    let mut paths = Seen::default();
    for mount in mounts.items() {
        let (name, path) = (mount.field("name"), mount.field("mountPath"));
        name.need(out);
        if !context.volumes.iter().any(|(known, _)| *known == name.text()) {
            out.push(name.not_found());
        }
        path.need(out);
        if paths.again(path.text()) {
            out.push(path.invalid("must be unique"));
        }
        if devices.items().any(|device| device.field("name").text() == name.text()) {
            out.push(name.invalid("must not already exist in volumeDevices"));
        }
        if devices.items().any(|device| device.field("devicePath").text() == path.text()) {
            out.push(path.invalid("must not already exist as a path in volumeDevices"));
        }
        below(&mounts, &mount, "subPath", out);
        let expression = mount.field("subPathExpr");
        if !expression.text().is_empty() && !mount.field("subPath").text().is_empty() {
            out.push(expression.invalid("subPathExpr and subPath are mutually exclusive"));
        }
        below(&mounts, &mount, "subPathExpr", out);
        propagation(container, &mounts, &mount, out);
        recursive(&mounts, &mount, out);
    }
}

/// Upstream blames the list for these fields of a mount, so `mounts` names them.
fn below(mounts: &Place, mount: &Place, field: &str, out: &mut Causes) {
    let path = mount.field(field).text();
    if !path.is_empty() {
        out.extend(checks::descending_path(path).iter().map(|why| mounts.field(field).invalid_as(path, why)));
    }
}

fn propagation(container: &Place, mounts: &Place, mount: &Place, out: &mut Causes) {
    let mode = mount.field("mountPropagation");
    if !mode.is_set() {
        return;
    }
    let mut place = mounts.field("mountPropagation");
    place.value = mode.value;
    place.one_of(&PROPAGATIONS, out);
    if mode.text() == "Bidirectional" && !container.field("securityContext").field("privileged").is_true() {
        out.push(
            place.forbidden("Bidirectional mount propagation is available only to privileged containers"),
        );
    }
}

fn recursive(mounts: &Place, mount: &Place, out: &mut Causes) {
    let mode = mount.field("recursiveReadOnly");
    let mut place = mounts.field("recursiveReadOnly");
    place.value = mode.value;
    match mode.text() {
        _ if !mode.is_set() => {}
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.field("readOnly").is_true() {
                out.push(place.forbidden("may only be specified when readOnly is true"));
            }
            if !matches!(mount.field("mountPropagation").text(), "" | "None") {
                out.push(
                    place.forbidden("may only be specified when mountPropagation is None or not specified"),
                );
            }
        }
        _ => out.push(place.not_supported(&RECURSIVE)),
    }
}

fn devices(container: &Place, context: &Context, out: &mut Causes) {
    let (devices, mounts) = (container.field("volumeDevices"), container.field("volumeMounts"));
    let (mut names, mut paths) = (Seen::default(), Seen::default());
    for device in devices.items() {
        let (name, path) = (device.field("name"), device.field("devicePath"));
        name.need(out);
        if !name.text().is_empty() && names.again(name.text()) {
            out.push(name.invalid("must be unique"));
        }
        let has = |volume: &Value, source: &str| volume.get(source).is_some_and(|source| !source.is_null());
        match context.volumes.iter().find(|(known, _)| *known == name.text()) {
            None => out.push(name.not_found()),
            Some((_, volume)) if !has(volume, "persistentVolumeClaim") && !has(volume, "ephemeral") => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                out.push(name.invalid(detail));
            }
            Some(_) => {}
        }
        path.need(out);
        if paths.has(path.text()) {
            out.push(path.invalid("must be unique"));
        }
        if checks::no_backsteps(path.text()).is_empty() {
            paths.again(path.text());
        } else {
            out.push(path.invalid("can not contain backsteps ('..')"));
        }
        if mounts.items().any(|mount| mount.field("name").text() == name.text()) {
            out.push(name.invalid("must not already exist in volumeMounts"));
        }
        if mounts.items().any(|mount| mount.field("mountPath").text() == path.text()) {
            out.push(path.invalid("must not already exist as a path in volumeMounts"));
        }
    }
}
