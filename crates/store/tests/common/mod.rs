//! What the tests of the store share.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::Arc;

use bytes::Bytes;
use decapod_api::Encoded;
use decapod_store::disk::FakeDisk;
use decapod_store::{Config, Place, Store};
use decapod_sys::Env;

/// A small store's configuration on `disk`.
pub fn config(disk: &FakeDisk) -> Config {
    Config {
        segment_bytes: 8192,
        txn_bytes_max: 3000,
        log_bytes_min: 16_000,
        compact_every: None,
        ..Config::new(Place::Disk(Arc::new(disk.clone())))
    }
}

/// A small store on a disk of its own.
pub async fn store() -> (Store, FakeDisk, Env) {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    let store = Store::open(config(&disk), &env).await.expect("a store");
    (store, disk, env)
}

/// An object with this name and so much in it.
pub fn object(name: &str, padding: usize) -> Encoded {
    let head = format!(r#"{{"metadata":{{"name":"{name}","#);
    let revision_at = head.len();
    let bytes = format!(r#"{head}"uid":"u-{name}"}},"spec":"{}"}}"#, "x".repeat(padding));
    Encoded { bytes: Bytes::from(bytes), revision_at }
}

/// The key of the pod `name`.
pub fn pod(name: impl std::fmt::Display) -> String {
    format!("/registry/pods/default/{name}")
}
