//! What a data directory survives, and what it refuses.

mod common;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{config, object, pod, store};
use decapod_api::Object;
use decapod_store::disk::FakeDisk;
use decapod_store::disk::fake::Loss;
use decapod_store::{At, Config, Expect, OpenBodyError, OpenError, Store, Transform, Txn};
use decapod_sys::Env;

/// All pods, and the revision.
async fn pods(store: &Store) -> (u64, BTreeMap<String, Vec<u8>>) {
    let snapshot = store.snapshot("/registry/pods/", At::Latest).await.expect("a snapshot");
    (store.revision(), snapshot.iter().map(|(key, o)| (key.to_string(), o.body().to_vec())).collect())
}

/// Writes, overwrites and deletes some pods, through several segments.
async fn fill(store: &Store) {
    for n in 0..120 {
        if n % 10 == 0 {
            // These stay as they are, so every segment holds something.
            let txn = Txn::put(pod(format!("still-{n}")), object("s", 30), Expect::Absent);
            store.commit(txn).await.expect("a commit");
        }
        let txn = Txn::put(pod(n % 13), object("a", 40 * (n % 11)), Expect::Any);
        store.commit(txn).await.expect("a commit");
        if n % 7 == 0 {
            store.commit(Txn::delete(pod(n % 13), Expect::Exists)).await.expect("a delete");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_format_is_refused_by_name() {
    let (store, disk, env) = store().await;
    store.close().await.expect("closed");
    disk.plant("FORMAT", b"decapod store format 99\n".to_vec());
    let error = Store::open(config(&disk), &env).await.expect_err("another format");
    assert_eq!(error.to_string(), "the data directory has format 99, this version reads format 1");
}

#[tokio::test(start_paused = true)]
async fn a_store_in_use_is_refused() {
    let (store, disk, env) = store().await;
    let error = Store::open(config(&disk), &env).await.expect_err("in use");
    assert!(matches!(error, OpenError::InUse), "{error}");
    store.close().await.expect("closed");
    Store::open(config(&disk), &env).await.expect("free again");
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_a_restart() {
    let (store, disk, env) = store().await;
    for n in 0..4 {
        store.commit(Txn::put(pod(n), object("a", 0), Expect::Any)).await.expect("a commit");
    }
    store.close().await.expect("closed");
    let store = Store::open(config(&disk), &env).await.expect("opened");
    let mut cursor = store.watch("/registry/pods/", 2).expect("history is there");
    assert_eq!(cursor.next().await.expect("events").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_is_damage() {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    let config = |disk| Config { log_bytes_min: 1 << 20, ..config(disk) };
    let store = Store::open(config(&disk), &env).await.expect("a store");
    fill(&store).await;
    store.close().await.expect("closed");
    let segments: Vec<_> = disk.names().into_iter().filter(|name| name.starts_with("log-")).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    for name in segments.iter().skip(1).take(segments.len() - 2).chain([&"FORMAT".to_owned()]) {
        let bytes = disk.bytes(name).expect("a file");
        disk.unplant(name);
        let error = Store::open(config(&disk), &env).await.expect_err("damage");
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}: {error}");
        disk.plant(name, bytes);
        disk.reboot(Loss::Nothing);
    }
    Store::open(config(&disk), &env).await.expect("whole again");
}

#[tokio::test(start_paused = true)]
async fn no_flipped_bit_changes_what_is_read() {
    let (store, disk, env) = store().await;
    fill(&store).await;
    let whole = pods(&store).await;
    store.close().await.expect("closed");
    let files: Vec<_> = disk.names().into_iter().filter(|name| !name.starts_with("spare-")).collect();
    let (mut detected, mut harmless) = (0, 0);
    for name in &files {
        let bytes = disk.bytes(name).expect("a file");
        // Not every bit, but some of every sector, and all that begin a file.
        for at in (0..bytes.len()).filter(|at| *at < 64 || at % 61 == 0) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << env.random_below(8);
            disk.plant(name, flipped);
            match Store::open(config(&disk), &env).await {
                Ok(store) => {
                    assert_eq!(pods(&store).await, whole, "{name} at {at}");
                    harmless += 1;
                }
                Err(OpenError::Damaged { .. } | OpenError::Format { .. }) => detected += 1,
                Err(error) => panic!("{name} at {at}: {error}"),
            }
            disk.cut_power();
            tokio::time::sleep(Duration::from_millis(10)).await;
            disk.reboot(Loss::Everything);
        }
        disk.plant(name, bytes);
    }
    println!("{detected} flipped bits detected, {harmless} harmless, 0 wrong answers");
    assert!(detected > 100 && harmless > 10);
}

/// Turns every bit over, and ties the body to its key by its last byte.
struct Inverted(u8);

impl Transform for Inverted {
    fn seal(&self, key: &str, body: &[u8], out: &mut Vec<u8>) {
        out.extend(body.iter().map(|byte| byte ^ self.0));
        out.push(key.bytes().fold(self.0, u8::wrapping_add));
    }

    fn open<'a>(&self, key: &str, sealed: &'a [u8]) -> Result<Cow<'a, [u8]>, OpenBodyError> {
        match sealed.split_last() {
            Some((last, sealed)) if *last == key.bytes().fold(self.0, u8::wrapping_add) => {
                Ok(Cow::Owned(sealed.iter().map(|byte| byte ^ self.0).collect()))
            }
            _ => Err(OpenBodyError { reason: "another key".to_owned() }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_are_sealed_on_disk_and_plain_in_memory() {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    let sealed = |by| Config { transform: Arc::new(Inverted(by)), ..config(&disk) };
    let store = Store::open(sealed(0xff), &env).await.expect("a store");
    fill(&store).await;
    let whole = pods(&store).await;
    assert!(store.stats().cleaned_segments > 0, "what is kept is sealed, too");
    store.close().await.expect("closed");
    for name in disk.names() {
        let bytes = disk.bytes(&name).expect("a file");
        assert!(!bytes.windows(8).any(|bytes| bytes == b"metadata"), "{name} tells");
    }
    let error = Store::open(sealed(0x0f), &env).await.expect_err("another key");
    assert!(matches!(error, OpenError::Sealed { .. }), "{error}");
    disk.reboot(Loss::Nothing);
    let store = Store::open(sealed(0xff), &env).await.expect("opened");
    assert_eq!(pods(&store).await, whole);
}

#[tokio::test]
async fn a_real_directory_holds_what_was_acknowledged() {
    let (dir, env) = (tempfile::tempdir().expect("a directory"), Env::system());
    let config = || Config {
        segment_bytes: 1 << 18,
        txn_bytes_max: 100_000,
        log_bytes_min: 1 << 20,
        ..Config::dir(dir.path())
    };
    let mut revision = 1;
    for life in 0..3 {
        let store = Store::open(config(), &env).await.expect("a store");
        assert_eq!(store.revision(), revision, "life {life}");
        let error = Store::open(config(), &env).await.expect_err("in use");
        assert!(matches!(error, OpenError::InUse), "{error}");
        let mut tasks = Vec::new();
        for n in 0..32 {
            let store = store.clone();
            tasks.push(env.spawn("client", async move {
                for m in 0..20 {
                    let txn = Txn::put(pod(n), object("a", 100 * m), Expect::Any);
                    store.commit(txn).await.expect("a commit");
                }
            }));
        }
        for task in tasks {
            task.await.expect("a client");
        }
        revision += 640;
        let expected: Vec<Object> = (0..32).filter_map(|n| store.get(&pod(n))).collect();
        assert_eq!(expected.len(), 32);
        assert!(life < 2 || store.stats().cleaned_segments > 0, "{:?}", store.stats());
        store.close().await.expect("closed");
    }
}
