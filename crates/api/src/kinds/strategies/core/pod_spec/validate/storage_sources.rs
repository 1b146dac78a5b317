//! Faults of the storage that pods and persistent volumes can both be made of: mostly other systems' volumes, which
//! drivers have taken over but which objects may still name.

use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

/// The texts of each source that have to be there.
const NEEDED: [(&str, &[&str]); 17] = [
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("quobyte", &["volume"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
];
const HOST_PORT: &str = "must be a host:port pair or multiple pairs separated by commas";
const BLOB_URI: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
const MANAGED_URI: &str =
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";

/// The source called `name` of a volume.
pub fn check(name: &str, volume: &Place, out: &mut Causes) {
    let mut source = volume.field(if name == "gcePersistentDisk" { "persistentDisk" } else { name });
    source.value = volume.field(name).value;
    let needed = NEEDED.iter().find(|(source, _)| *source == name).map_or(&[][..], |(_, texts)| texts);
    for text in needed {
        source.field(text).need(out);
    }
    match name {
        "gitRepo" => source.field("directory").check(checks::descending_path, out),
        "nfs" if !source.field("path").text().starts_with('/') => {
            out.push(
                source.field("path").invalid_as(source.field("path").text(), "must be an absolute path"),
            );
        }
        "gcePersistentDisk" | "awsElasticBlockStore"
            if !(0..=255).contains(&source.field("partition").int()) =>
        {
            out.push(source.field("partition").invalid(&checks::between(1, 255)));
        }
        "iscsi" => iscsi(&source, out),
        "fc" => fc(&source, out),
        "rbd" | "cephfs" if source.field("monitors").list().is_empty() => {
            out.push(source.field("monitors").required(""));
        }
        "flocker" => flocker(&source, out),
        "azureDisk" => azure_disk(&source, out),
        "quobyte" => quobyte(&source, out),
        "flexVolume" => flex(&source, out),
        "storageos" => {
            source.field("volumeName").check_if_set(names::label, out);
            source.field("volumeNamespace").check_if_set(names::label, out);
            secret(&source, out);
        }
        "cinder" => secret(&source, out),
        _ => {}
    }
}

fn secret(source: &Place, out: &mut Causes) {
    let secret = source.field("secretRef");
    if secret.is_set() {
        secret.field("name").need(out);
    }
}

fn iscsi(source: &Place, out: &mut Causes) {
    source.field("iqn").check_if_set(initiator, out);
    let lun = source.field("lun");
    if !(0..=255).contains(&lun.int()) {
        out.push(lun.invalid(&checks::between(0, 255)));
    }
    let by_password =
        source.field("chapAuthDiscovery").is_true() || source.field("chapAuthSession").is_true();
    if by_password && !source.field("secretRef").is_set() {
        out.push(source.field("secretRef").required(""));
    }
    if source.field("initiatorName").is_set() {
        let mut name = source.field("initiatorname");
        name.value = source.field("initiatorName").value;
        name.check(initiator, out);
    }
}

/// Names of iSCSI nodes: `iqn.2001-04.com.example:disk`, `eui.` and 16 characters, `naa.` and 32.
fn initiator(name: &str) -> Vec<String> {
    let is_word =
        |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_good = match (name.get(..3), name.get(4..).unwrap_or_default()) {
        (Some("eui"), rest) => is_word(rest, 16),
        (Some("naa"), rest) => is_word(rest, 32),
        (Some("iqn"), rest) => rest.split_once(':').is_some_and(|(authority, own)| {
            let digits = |range: std::ops::Range<usize>| {
                authority.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
            };
            let domain = authority.get(8..).unwrap_or_default();
            let is_domain_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            name.starts_with("iqn.")
                && digits(0..4)
                && digits(5..7)
                && authority.get(4..5) == Some("-")
                && authority.get(7..8) == Some(".")
                && !domain.is_empty()
                && domain.bytes().all(is_domain_byte)
                && !own.is_empty()
                && !own.contains([',', ';', '*', '&', '$', '|'])
                && !own.contains(char::is_whitespace)
        }),
        _ => return vec!["must be valid format starting with iqn, eui, or naa".into()],
    };
    if is_good { vec![] } else { vec!["must be valid format".into()] }
}

fn fc(source: &Place, out: &mut Causes) {
    let (targets, ids, lun) = (source.field("targetWWNs"), source.field("wwids"), source.field("lun"));
    match (targets.list().is_empty(), ids.list().is_empty()) {
        (true, true) => {
            out.push(targets.required("must specify either targetWWNs or wwids, but not both"));
        }
        (false, false) => {
            out.push(targets.invalid("targetWWNs and wwids can not be specified simultaneously"));
        }
        _ => {}
    }
    if targets.list().is_empty() {
        return;
    }
    if !lun.is_set() {
        out.push(lun.required("lun is required if targetWWNs is specified"));
    } else if !(0..=255).contains(&lun.int()) {
        out.push(lun.invalid(&checks::between(0, 255)));
    }
}

fn flocker(source: &Place, out: &mut Causes) {
    let (name, id) = (source.field("datasetName"), source.field("datasetUUID"));
    match (name.text().is_empty(), id.text().is_empty()) {
        (true, true) => out.push(source.required("one of datasetName and datasetUUID is required")),
        (false, false) => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            out.push(source.invalid_as("resource", detail));
        }
        _ => {}
    }
    if name.text().contains('/') {
        out.push(name.invalid("must not contain '/'"));
    }
}

fn azure_disk(source: &Place, out: &mut Causes) {
    source.field("cachingMode").one_of_if_set(&["None", "ReadOnly", "ReadWrite"], out);
    let (kind, uri) = (source.field("kind"), source.field("diskURI"));
    kind.one_of_if_set(&["Dedicated", "Managed", "Shared"], out);
    let is_managed = kind.text() == "Managed";
    if is_managed && !uri.text().starts_with("/subscriptions/") {
        out.push(uri.not_supported(&[MANAGED_URI]));
    }
    if kind.is_set() && !is_managed && !uri.text().starts_with("https://") {
        out.push(uri.not_supported(&[BLOB_URI]));
    }
}

fn quobyte(source: &Place, out: &mut Causes) {
    let (registry, tenant) = (source.field("registry"), source.field("tenant"));
    if registry.text().is_empty() {
        out.push(registry.required(HOST_PORT));
    } else if tenant.text().len() >= 65 {
        out.push(tenant.required("must be a UUID and may not exceed a length of 64 characters"));
    } else if registry.text().split(',').any(|pair| !pair.contains(':')) {
        out.push(registry.invalid(HOST_PORT));
    }
}

fn flex(source: &Place, out: &mut Causes) {
    for (key, option) in source.field("options").entries() {
        let domain = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            out.push(option.invalid_as(key, "kubernetes.io and k8s.io namespaces are reserved"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::initiator;

    #[test]
    fn initiators_have_three_forms() {
        for good in
            ["iqn.2015-02.example.com:test", "eui.0123456789abcdef", &format!("naa.{}", "0".repeat(32))]
        {
            assert!(initiator(good).is_empty(), "{good}");
        }
        for bad in
            ["", "iqn", "iqn.2015-02.example.com", "iqn.2015-02.example.com:a b", "eui.01", "abc.d", "iqné"]
        {
            assert!(!initiator(bad).is_empty(), "{bad}");
        }
    }
}
