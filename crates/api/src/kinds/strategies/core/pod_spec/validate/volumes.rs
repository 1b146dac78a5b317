//! Faults of volumes and where they come from.

use super::{Within, annotations, env, storage_sources};
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::claim_spec;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;
use crate::value::Value;

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
const TOO_MANY: &str = "may not specify more than 1 volume type";

/// Ten minutes, and the longest that fits, for tokens.
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

/// The sources, in upstream's order.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// The volumes of a pod called `pod`; returns those that are sound, by name.
pub(super) fn check<'v>(
    volumes: &Place<'v, '_>,
    pod: &str,
    within: Within,
    out: &mut Causes,
) -> Vec<(&'v str, &'v Value)> {
    let mut seen = Seen::default();
    let mut sound = Vec::new();
    for volume in volumes.items() {
        let before = out.len();
        source(&volume, within, out);
        let name = volume.field("name");
        name.need_checked(names::label, out);
        if seen.has(name.text()) {
            out.push(name.duplicate());
        }
        if out.len() == before {
            seen.again(name.text());
            sound.push((name.text(), volume.value));
        }
        made_claim(volumes, &volume, pod, out);
    }
    sound
}

/// A volume does not use the claim that is only made for another volume of the pod.
fn made_claim(volumes: &Place, volume: &Place, pod: &str, out: &mut Causes) {
    let claim = volume.field("persistentVolumeClaim");
    let claim = claim.field("claimName");
    if pod.is_empty() || claim.text().is_empty() {
        return;
    }
    let made = volumes.items().filter(|other| other.field("ephemeral").is_set());
    if made.into_iter().any(|other| format!("{pod}-{}", other.field("name").text()) == claim.text()) {
        out.push(claim.invalid("must not reference a PVC that gets created for an ephemeral volume"));
    }
}

fn source(volume: &Place, within: Within, out: &mut Causes) {
    let mut found = false;
    for name in SOURCES {
        let source = volume.field(name);
        if !source.is_set() {
            continue;
        }
        if std::mem::replace(&mut found, true) {
            let called = match name {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                other => other,
            };
            out.push(volume.field(called).forbidden(TOO_MANY));
            continue;
        }
        match name {
            "emptyDir" if source.field("sizeLimit").quantity().is_negative() => {
                let detail = "SizeLimit field must be a valid resource quantity";
                out.push(source.field("sizeLimit").forbidden(detail));
            }
            "hostPath" => volume_source_path(&source, out),
            "persistentVolumeClaim" => drop(source.field("claimName").need(out)),
            "secret" => files(&source, "secretName", out),
            "configMap" => files(&source, "name", out),
            "downwardAPI" => {
                default_mode(&source, out);
                downward_items(&source, out);
            }
            "projected" => projected(&source, out),
            "csi" => csi(&source, out),
            "ephemeral" => ephemeral(&source, out),
            "image" => {
                if within == Within::Pod {
                    source.field("reference").need(out);
                }
                source.field("pullPolicy").need_one_of(&PULL_POLICIES, out);
            }
            other => storage_sources::check(other, volume, out),
        }
    }
    if !found {
        out.push(volume.required("must specify a volume type"));
    }
}

/// A path on the host, in a pod's volume or in a persistent one.
pub fn volume_source_path(source: &Place, out: &mut Causes) {
    if source.field("path").need(out) {
        source.field("path").check(checks::no_backsteps, out);
        source.field("type").one_of_if_set(&HOST_PATH_TYPES, out);
    }
}

fn default_mode(source: &Place, out: &mut Causes) {
    if source.field("defaultMode").is_set() {
        source.field("defaultMode").file_mode(out);
    }
}

fn files(source: &Place, name: &str, out: &mut Causes) {
    source.field(name).need(out);
    default_mode(source, out);
    source.field("items").items().for_each(|item| key_to_path(&item, out));
}

fn key_to_path(item: &Place, out: &mut Causes) {
    item.field("key").need(out);
    item.field("path").need(out);
    item.field("path").check(checks::unreserved_path, out);
    if item.field("mode").is_set() {
        item.field("mode").file_mode(out);
    }
}

/// Upstream blames the source for what is wrong with one of its files.
fn downward_items(source: &Place, out: &mut Causes) {
    for item in source.field("items").items() {
        let mut place = *source;
        place.value = item.value;
        env::volume_file(&place, out);
    }
}

fn projected(volume: &Place, out: &mut Causes) {
    default_mode(volume, out);
    let mut paths = Seen::default();
    for source in volume.field("sources").items() {
        let mut count = 0;
        for kind in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ] {
            let part = source.field(kind);
            if !part.is_set() {
                continue;
            }
            count += 1;
            match kind {
                "secret" | "configMap" => {
                    part.field("name").need(out);
                    part.field("items").items().for_each(|item| key_to_path(&item, out));
                }
                "downwardAPI" => downward_items(&part, out),
                "serviceAccountToken" => token(volume, &part, out),
                "clusterTrustBundle" => {
                    bundle(&part, out);
                }
                _ => certificate(&part, out),
            }
            let shown =
                if matches!(kind, "secret" | "configMap") { part.value.str_at(&["name"]) } else { None };
            for path in paths_of(kind, part.value) {
                if paths.again(path) {
                    out.push(volume.invalid_as(shown.unwrap_or(path), "conflicting duplicate paths"));
                }
            }
        }
        if count > 1 {
            out.push(source.forbidden("may not specify more than 1 volume type per source"));
        }
    }
}

/// The paths of the files that a source of a projected volume makes.
fn paths_of<'v>(kind: &str, source: &'v Value) -> Vec<&'v str> {
    let paths: Vec<Option<&str>> = match kind {
        "secret" | "configMap" | "downwardAPI" => {
            source.list_at(&["items"]).iter().map(|item| item.str_at(&["path"])).collect()
        }
        "clusterTrustBundle" => vec![source.str_at(&["path"])],
        "podCertificate" => ["credentialBundlePath", "keyPath", "certificateChainPath"]
            .iter()
            .map(|field| source.str_at(&[field]))
            .collect(),
        _ => vec![],
    };
    paths.into_iter().flatten().filter(|path| !path.is_empty()).collect()
}

fn token(volume: &Place, token: &Place, out: &mut Causes) {
    let seconds = token.field("expirationSeconds");
    if seconds.int() < TOKEN_SECONDS_MIN {
        out.push(seconds.invalid_as(seconds.int(), "may not specify a duration less than 10 minutes"));
    }
    if seconds.int() > TOKEN_SECONDS_MAX {
        out.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
    }
    let mut path = volume.field("path");
    path.value = token.field("path").value;
    path.need_checked(checks::unreserved_path, out);
}

fn bundle(bundle: &Place, out: &mut Causes) {
    let (name, signer) = (bundle.field("name"), bundle.field("signerName"));
    match (name.is_set(), signer.is_set()) {
        (true, true) => out.push(bundle.invalid("only one of name and signerName may be used")),
        (false, false) => out.push(bundle.required("either name or signerName must be specified")),
        (true, false) => {
            if name.text().is_empty() {
                out.push(name.required("must be a valid object name"));
            }
            if bundle.field("labelSelector").is_set() {
                out.push(
                    bundle.field("labelSelector").invalid("labelSelector must be unset if name is specified"),
                );
            }
        }
        (false, true) => bundle.field("labelSelector").label_selector(out),
    }
    bundle.field("path").need(out);
    bundle.field("path").check(checks::unreserved_path, out);
}

fn certificate(certificate: &Place, out: &mut Causes) {
    certificate.field("signerName").need(out);
    certificate.field("keyType").one_of(&KEY_TYPES, out);
    let seconds = certificate.field("maxExpirationSeconds");
    if seconds.is_set() && seconds.int() < 3600 {
        out.push(seconds.invalid("if provided, maxExpirationSeconds must be >= 3600"));
    }
    let paths = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    for path in paths {
        certificate.field(path).check_if_set(checks::unreserved_path, out);
    }
    if paths.iter().all(|path| certificate.field(path).text().is_empty()) {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        out.push(certificate.required(detail));
    }
}

fn csi(source: &Place, out: &mut Causes) {
    driver_name(&source.field("driver"), out);
    let secret = source.field("nodePublishSecretRef");
    if secret.is_set() {
        secret.field("name").need_checked(names::subdomain, out);
    }
}

/// The name of a storage driver (upstream's `ValidateCSIDriverName`).
pub fn driver_name(name: &Place, out: &mut Causes) {
    if !name.need(out) {
        return;
    }
    if name.text().len() > 63 {
        out.push(Cause::too_long(name.path(), 63));
    }
    let lower = name.text().to_lowercase();
    out.extend(names::subdomain(&lower).iter().map(|why| name.invalid(why)));
}

fn ephemeral(source: &Place, out: &mut Causes) {
    let template = source.field("volumeClaimTemplate");
    if template.is_set() {
        let metadata = template.field("metadata");
        annotations::keys(&metadata.field("annotations"), out);
        metadata.field("labels").labels(out);
        for (name, field) in metadata.entries() {
            if !matches!(name, "annotations" | "labels") && !field.is_empty() {
                out.push(metadata.field(name).forbidden("cannot be set"));
            }
        }
        claim_spec::check(&template.field("spec"), out);
    } else {
        out.push(template.required(""));
    }
}
