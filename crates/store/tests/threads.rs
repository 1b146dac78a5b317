//! The store under real threads on a real disk: what is seen at the same time agrees.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::object;
use decapod_store::{At, Change, Config, Event, Expect, Store, Txn};
use decapod_sys::Env;

const RESOURCES: [&str; 2] = ["/registry/pods/a/", "/registry/secrets/a/"];
const WRITES: u64 = 300;

/// Keys and the revisions they are at.
type Revisions = BTreeMap<String, u64>;

/// A list: which resource, at which revision, and what was in it.
type List = (usize, u64, Revisions);

/// Puts and deletes a few keys.
async fn write(store: Store, env: Env, writer: u64) {
    for n in 0..WRITES {
        let key = format!("{}{}", RESOURCES[((n + writer) % 2) as usize], env.random_below(20));
        let txn = match env.random_below(3) {
            0 => Txn::delete(key, Expect::Any),
            _ => Txn::put(key, object("a", 100), Expect::Any),
        };
        // Deletes of what is not there are conflicts.
        drop(store.commit(txn).await);
    }
}

/// Watches a resource until the scope ends; checks that nothing comes after it was said to be delivered.
async fn watch(store: Store, resource: usize, scope: Env) -> Vec<Arc<Event>> {
    let mut cursor = store.watch(RESOURCES[resource], 1).expect("a watch");
    let mut all: Vec<Arc<Event>> = Vec::new();
    loop {
        let delivered = cursor.progress();
        let events = tokio::select! {
            biased;
            events = cursor.next() => events.expect("not too slow"),
            () = scope.cancelled() => return all,
        };
        assert!(events.iter().all(|event| event.revision > delivered), "said to be delivered before it was");
        assert!(events.is_sorted_by_key(|event| event.revision));
        all.extend(events);
    }
}

async fn list(store: Store, scope: Env) -> Vec<List> {
    let mut lists = Vec::new();
    while !scope.is_cancelled() {
        for (resource, prefix) in RESOURCES.iter().enumerate() {
            let before = store.revision();
            let snapshot = store.snapshot(prefix, At::Latest).await.expect("a list");
            assert!(snapshot.revision() >= before, "back in time");
            let revisions = snapshot.iter().map(|(key, o)| (key.to_string(), o.revision())).collect();
            lists.push((resource, snapshot.revision(), revisions));
        }
        tokio::time::sleep(std::time::Duration::from_micros(500)).await;
    }
    lists
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_and_watches_agree_at_every_revision() {
    let (dir, env) = (tempfile::tempdir().expect("a directory"), Env::system());
    let store = Store::open(Config::dir(dir.path()), &env).await.expect("a store");
    let (readers, mut writers) = (env.scope(), Vec::new());
    let (sender, mut lists) = tokio::sync::mpsc::unbounded_channel();
    let (watched, mut watches) = tokio::sync::mpsc::unbounded_channel();
    for resource in [0, 1, 0, 1] {
        let work = watch(store.clone(), resource, readers.clone());
        let watched = watched.clone();
        env.spawn("watcher", async move { watched.send((resource, work.await)).expect("a receiver") });
    }
    let work = list(store.clone(), readers.clone());
    env.spawn("lister", async move { sender.send(work.await).expect("a receiver") });
    for writer in 0..16 {
        writers.push(env.spawn("writer", write(store.clone(), env.clone(), writer)));
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    drop(watched);
    readers.shutdown().await;
    let mut histories: [Option<Vec<Arc<Event>>>; 2] = [None, None];
    while let Some((resource, events)) = watches.recv().await {
        let revisions = |events: &[Arc<Event>]| events.iter().map(|event| event.revision).collect::<Vec<_>>();
        match &histories[resource] {
            Some(other) => assert_eq!(revisions(other), revisions(&events), "watchers differ"),
            None => histories[resource] = Some(events),
        }
    }
    let lists: Vec<List> = lists.recv().await.expect("lists");
    for (resource, revision, revisions) in &lists {
        let mut expected = Revisions::new();
        for event in histories[*resource].iter().flatten().take_while(|event| event.revision <= *revision) {
            match event.change {
                Change::Put { .. } => expected.insert(event.key.to_string(), event.revision),
                Change::Delete => expected.remove(event.key.as_str()),
            };
        }
        assert_eq!(revisions, &expected, "a list at {revision}");
    }
    println!("{} lists agree with the watches", lists.len());
    assert!(lists.len() > 10);
}
