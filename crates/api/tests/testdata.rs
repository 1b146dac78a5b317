//! Upstream's sample object of every served kind, in JSON, YAML and protobuf, decodes to one draft and encodes to
//! the same JSON value and the same protobuf bytes.
//!
//! `DECAPOD_API_TESTDATA` is the folder `testdata/HEAD` of the Go module `k8s.io/api`; `cargo xtask testdata` prints it.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use decapod_api::codec::{FieldValidation, json, protobuf, yaml};
use decapod_api::schema::{Kind, Schema};

fn folder() -> PathBuf {
    std::env::var_os("DECAPOD_API_TESTDATA").map(PathBuf::from).expect(
        "DECAPOD_API_TESTDATA is not set: run `DECAPOD_API_TESTDATA=$(cargo xtask testdata) cargo test …`",
    )
}

/// The sample's path without its extension, for kinds that have one.
fn sample(kind: &Kind) -> Option<PathBuf> {
    let group = match &*kind.gvk.group {
        // Upstream registers them in the core group as well, and samples them there.
        "" | "meta.k8s.io" => "core",
        group => group,
    };
    let name = format!("{group}.{}.{}", kind.gvk.version, kind.gvk.kind);
    let path = folder().join(&name);
    path.with_file_name(format!("{name}.json")).exists().then_some(path)
}

fn read(path: &Path, extension: &str) -> Vec<u8> {
    let name = path.file_name().unwrap().to_str().unwrap();
    std::fs::read(path.with_file_name(format!("{name}.{extension}"))).unwrap()
}

fn check(kind: &Kind, path: &Path) {
    let schema = Schema::builtin();
    let ty = schema.resolve(kind.ty);
    let name = &kind.gvk.kind;
    let text = read(path, "json");
    let from_json =
        json::decode(&text, ty, FieldValidation::Strict).unwrap_or_else(|e| panic!("{name}: {e}")).draft;
    let from_yaml = yaml::decode(&read(path, "yaml"), ty, FieldValidation::Strict).unwrap().draft;
    let body = read(path, "pb");
    let from_protobuf = protobuf::decode(&body, ty).unwrap_or_else(|e| panic!("{name}: {e}")).draft;
    assert_eq!(from_json, from_yaml, "{name}: YAML");
    assert_eq!(from_json, from_protobuf, "{name}: protobuf");

    let written: serde_json::Value = serde_json::from_slice(&json::to_bytes(&from_json, ty)).unwrap();
    let wanted: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(written, wanted, "{name}: JSON again");
    let dense = |text: &[u8]| -> String { String::from_utf8_lossy(text).split_whitespace().collect() };
    assert_eq!(dense(&json::to_bytes(&from_json, ty)), dense(&text), "{name}: order of fields");

    let message = protobuf::encode(&from_json, ty);
    let meta = protobuf::type_meta(&body).unwrap();
    assert!(protobuf::envelope(&meta.api_version, &meta.kind, &message) == body, "{name}: protobuf again");
}

#[test]
fn samples_of_every_served_kind_round_trip() {
    let kinds: Vec<(&Kind, PathBuf)> =
        Schema::builtin().kinds().iter().filter_map(|kind| Some((kind, sample(kind)?))).collect();
    for (kind, path) in &kinds {
        check(kind, path);
    }
    let served: Vec<&str> =
        kinds.iter().filter(|(kind, _)| kind.served).map(|(kind, _)| &*kind.gvk.kind).collect();
    println!("{} samples, {} of served kinds", kinds.len(), served.len());
    assert_eq!(served.len(), 79, "samples of served kinds");
}

#[test]
fn every_served_kind_of_the_api_module_has_a_sample() {
    let missing: Vec<String> = Schema::builtin()
        .kinds()
        .iter()
        .filter(|kind| kind.served && !kind.list && sample(kind).is_none())
        .map(|kind| format!("{}/{}", kind.gvk.api_version(), kind.gvk.kind))
        .filter(|name| !name.starts_with("apiextensions") && !name.starts_with("apiregistration"))
        .collect();
    assert!(missing.is_empty(), "no samples of {missing:?}");
}
