//! Upstream's sample object of every kind (`testdata/HEAD` of the Go module `k8s.io/api`), in JSON, YAML and protobuf: all
//! three decode to one draft, which encodes to the same JSON value and the same protobuf bytes.

use std::path::{Path, PathBuf};

use decapod_api::codec::{FieldValidation, json, protobuf, yaml};
use decapod_api::schema::{Kind, Schema};

/// What the samples show.
#[derive(Debug, Default)]
pub struct Report {
    /// How many samples were read.
    pub samples: usize,
    /// How many of them are of kinds that are served.
    pub served: usize,
    /// What differs, and what is missing.
    pub problems: Vec<String>,
}

/// Holds the codecs against all samples in `folder`.
pub fn check(folder: &Path) -> Report {
    let mut report = Report::default();
    for kind in Schema::builtin().kinds() {
        let Some(path) = sample(folder, kind) else {
            if is_wanted(kind) {
                report.problems.push(format!("{}: no sample", kind.gvk.kind));
            }
            continue;
        };
        report.samples += 1;
        report.served += usize::from(kind.served);
        report.problems.extend(compare(kind, &path).err().map(|why| format!("{}: {why}", kind.gvk.kind)));
    }
    report
}

/// Whether the module has a sample of it: lists and what other modules define have none.
fn is_wanted(kind: &Kind) -> bool {
    let elsewhere = ["apiextensions.k8s.io", "apiregistration.k8s.io"];
    kind.served && !kind.list && !elsewhere.contains(&&*kind.gvk.group)
}

/// The path of the JSON sample, for kinds that have one.
fn sample(folder: &Path, kind: &Kind) -> Option<PathBuf> {
    let group = match &*kind.gvk.group {
        // Upstream registers them in the core group as well, and samples them there.
        "" | "meta.k8s.io" => "core",
        group => group,
    };
    let path = folder.join(format!("{group}.{}.{}.json", kind.gvk.version, kind.gvk.kind));
    path.exists().then_some(path)
}

fn read(path: &Path, extension: &str) -> Result<Vec<u8>, String> {
    let path = path.with_extension(extension);
    std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn compare(kind: &Kind, path: &Path) -> Result<(), String> {
    let ty = Schema::builtin().resolve(kind.ty);
    let (text, body) = (read(path, "json")?, read(path, "pb")?);
    let refused = |error: decapod_api::codec::DecodeError| error.to_string();
    let draft = json::decode(&text, ty, FieldValidation::Strict).map_err(refused)?.draft;
    let same = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what} differs")) };
    let from_yaml = yaml::decode(&read(path, "yaml")?, ty, FieldValidation::Strict).map_err(refused)?.draft;
    same(draft == from_yaml, "what YAML says")?;
    same(draft == protobuf::decode(&body, ty).map_err(refused)?.draft, "what protobuf says")?;

    let value =
        |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).map_err(|error| error.to_string());
    let written = json::to_bytes(&draft, ty);
    same(value(&written)? == value(&text)?, "JSON written again")?;
    let dense = |text: &[u8]| -> String { String::from_utf8_lossy(text).split_whitespace().collect() };
    same(dense(&written) == dense(&text), "the order of fields")?;
    let meta = protobuf::type_meta(&body).map_err(refused)?;
    let envelope = protobuf::envelope(&meta.api_version, &meta.kind, &protobuf::encode(&draft, ty));
    same(envelope == body, "protobuf written again")
}
