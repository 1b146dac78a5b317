//! Random clients of a store, and what they saw.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use decapod_api::{Encoded, Revision};
use decapod_store::{At, CommitError, Expect, ReadError, Store, Txn, Write};
use decapod_sys::Env;

use crate::model::{Seen, body, is_unknown};

/// What the clients of one life of the store saw.
#[derive(Default)]
pub struct Record {
    /// Acknowledged transactions with their revisions.
    pub acknowledged: Vec<(Revision, Txn)>,
    /// Transactions of which nobody knows.
    pub unknown: Vec<Txn>,
    pub seen: Vec<Seen>,
    /// Up to where history was forgotten on request.
    pub compacted: Revision,
    pub conflicts: u64,
    pub refused: u64,
}

pub type Shared = Arc<Mutex<Record>>;

/// The prefixes that are listed and watched.
const PREFIXES: [&str; 5] = [
    "/registry/pods/",
    "/registry/pods/a/",
    "/registry/leases/",
    "/registry/example.com/widgets/",
    "/registry/none/",
];

/// Writes `count` times, reading what it needs to.
pub async fn write(store: Store, env: Env, count: u64, shared: Shared) {
    for _ in 0..count {
        if env.random_below(4) == 0 {
            tokio::time::sleep(Duration::from_micros(env.random_below(500))).await;
        }
        let txn = random_txn(&store, &env);
        let from = store.revision();
        let result = store.commit(txn.clone()).await;
        let to = store.revision();
        let mut record = shared.lock().expect("no panic");
        match result {
            Ok(committed) => {
                assert!(committed.revision <= to, "acknowledged before it is visible");
                assert!(committed.objects.iter().all(|object| object.revision() == committed.revision));
                record.acknowledged.push((committed.revision, txn));
            }
            Err(CommitError::Conflict { key, current }) => {
                let (key, current) = (key.to_string(), current.as_ref().map(body));
                record.conflicts += 1;
                record.seen.push(Seen::Conflict { txn, key, current, from, to });
            }
            Err(error) if is_unknown(&error) => {
                record.unknown.push(txn);
                return;
            }
            Err(CommitError::Unavailable { .. }) => return,
            Err(CommitError::Full) => record.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads `count` times.
pub async fn read(store: Store, env: Env, count: u64, shared: Shared) {
    for _ in 0..count {
        tokio::time::sleep(Duration::from_micros(env.random_below(2000))).await;
        let key = random_key(&env);
        let (revision, object) = (store.revision(), store.get(&key));
        let get = Seen::Get { key, revision, body: object.as_ref().map(body) };
        let seen = match env.random_below(6) {
            0 => Some(list(&store, &env, At::Any).await),
            1 => Some(list(&store, &env, At::Latest).await),
            2 => Some(list(&store, &env, At::NotOlder(revision + env.random_below(2))).await),
            3 | 4 => Some(list(&store, &env, At::Exact(revision.saturating_sub(env.random_below(12)))).await),
            _ if env.random_below(4) == 0 => {
                let upto = revision.saturating_sub(env.random_below(20));
                if store.compact(upto).await.is_ok() {
                    let mut record = shared.lock().expect("no panic");
                    record.compacted = record.compacted.max(upto);
                }
                None
            }
            _ => None,
        };
        shared.lock().expect("no panic").seen.extend(seen.flatten().into_iter().chain([get]));
    }
}

async fn list(store: &Store, env: &Env, at: At) -> Option<Seen> {
    let prefix = PREFIXES[env.random_below(PREFIXES.len() as u64) as usize].to_owned();
    let from = store.revision();
    match store.snapshot(&prefix, at).await {
        Ok(snapshot) => {
            match at {
                At::Exact(revision) => assert_eq!(snapshot.revision(), revision),
                At::NotOlder(revision) => assert!(snapshot.revision() >= revision),
                At::Any | At::Latest => assert!(snapshot.revision() >= from),
            }
            // By pages, as a chunked list is read.
            let mut bodies: Vec<_> = Vec::new();
            let mut last = String::new();
            loop {
                let page: Vec<_> =
                    snapshot.after(&last).take(2).map(|(key, o)| (key.to_string(), body(o))).collect();
                let Some((key, _)) = page.last() else { break };
                last = key.clone();
                bodies.extend(page);
            }
            assert_eq!(bodies.len(), snapshot.len());
            assert!(
                snapshot.iter().map(|(key, _)| key.as_str()).eq(bodies.iter().map(|(key, _)| key.as_str()))
            );
            Some(Seen::List { prefix, revision: snapshot.revision(), bodies })
        }
        Err(ReadError::Compacted(error)) => Some(Seen::Gone { error, to: store.revision() }),
        Err(ReadError::TooLarge { asked, current }) => {
            assert!(asked > current && asked > from);
            None
        }
    }
}

/// Watches from about `after` until the store is gone; says how far it came, for another life to go on.
pub async fn watch(
    store: Store,
    env: Env,
    prefix: String,
    after: Revision,
    shared: Shared,
    place: Arc<Mutex<Revision>>,
) {
    let mut cursor = match store.watch(&prefix, after) {
        Ok(cursor) => cursor,
        Err(error) => {
            *place.lock().expect("no panic") = store.revision();
            return shared.lock().expect("no panic").seen.push(Seen::Gone { error, to: store.revision() });
        }
    };
    let (mut after, mut events) = (after, Vec::new());
    // Some are slow, and fall off.
    let delay_us = [0, 0, 50, 20_000][env.random_below(4) as usize];
    loop {
        let lazy = Duration::from_micros(delay_us);
        let batch = tokio::select! {
            biased;
            () = env.cancelled() => None,
            batch = cursor.next() => Some(batch),
        };
        let progress = match &batch {
            None => cursor.progress().min(store.revision()),
            Some(Ok(batch)) => {
                events.extend(batch.iter().cloned());
                cursor.progress()
            }
            Some(Err(error)) => {
                shared
                    .lock()
                    .expect("no panic")
                    .seen
                    .push(Seen::Gone { error: *error, to: store.revision() });
                error.oldest
            }
        };
        *place.lock().expect("no panic") = progress;
        if matches!(batch, Some(Err(_))) {
            // What was delivered before was checked then; a new watch begins at the oldest place.
            return;
        }
        let watched = std::mem::take(&mut events);
        let seen = Seen::Watch { prefix: prefix.clone(), after, progress, events: watched };
        shared.lock().expect("no panic").seen.push(seen);
        after = progress.max(after);
        if batch.is_none() {
            return;
        }
        tokio::time::sleep(lazy).await;
    }
}

pub fn random_prefix(env: &Env) -> String {
    PREFIXES[env.random_below(4) as usize].to_owned()
}

fn random_key(env: &Env) -> String {
    match env.random_below(8) {
        0..4 => {
            format!("/registry/pods/{}/p{}", ["a", "b"][env.random_below(2) as usize], env.random_below(3))
        }
        4..7 => format!("/registry/leases/kube-node-lease/n{}", env.random_below(3)),
        _ => format!("/registry/example.com/widgets/a/w{}", env.random_below(2)),
    }
}

fn random_txn(store: &Store, env: &Env) -> Txn {
    let txn = Txn(vec![random_write(store, env, random_key(env))]);
    match env.random_below(6) {
        0 => {
            let other = format!("/registry/services/specs/a/s{}", env.random_below(2));
            txn.and(random_write(store, env, other))
        }
        _ => txn,
    }
}

fn random_write(store: &Store, env: &Env, key: String) -> Write {
    let current = store.get(&key).map(|object| object.revision());
    let expect = match (env.random_below(8), current) {
        (0, _) => Expect::Any,
        (1, _) => Expect::Exists,
        (2, _) | (_, None) => Expect::Absent,
        (3, Some(current)) => Expect::Revision(current.saturating_sub(1)),
        (_, Some(current)) => Expect::Revision(current),
    };
    let key = key.into();
    match env.random_below(4) {
        0 => Write::Delete { key, expect, last: (env.random_below(2) == 0).then(|| random_object(env)) },
        _ => Write::Put { key, value: random_object(env), expect },
    }
}

/// An object like no other.
pub fn random_object(env: &Env) -> Encoded {
    let padding = "x".repeat(env.random_below(600) as usize);
    let head = r#"{"metadata":{"name":"n","#;
    let bytes = format!(r#"{head}"uid":"{}"}},"spec":"{padding}"}}"#, env.random_u64());
    Encoded { bytes: Bytes::from(bytes), revision_at: head.len() }
}
