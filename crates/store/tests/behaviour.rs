//! What the store promises, one sentence a test.

mod common;

use std::time::Duration;

use common::{config, object, pod, store};
use decapod_api::Object;
use decapod_store::disk::FakeDisk;
use decapod_store::disk::fake::Fault;
use decapod_store::{At, Change, CommitError, Compacted, Config, Expect, ReadError, Store, Txn, Write};
use decapod_sys::Env;

async fn put(store: &Store, key: &str, padding: usize) -> u64 {
    let txn = Txn::put(key, object("a", padding), Expect::Any);
    store.commit(txn).await.expect("a commit").revision
}

fn version(object: &Object) -> String {
    object.text(&["metadata", "resourceVersion"]).expect("a resourceVersion").into_owned()
}

#[tokio::test(start_paused = true)]
async fn objects_carry_the_revision_of_their_write() {
    let (store, ..) = store().await;
    assert!(store.revision() == 1 && store.get(&pod("a")).is_none());
    let made = store.commit(Txn::put(pod("a"), object("a", 3), Expect::Absent)).await.expect("created");
    assert_eq!((made.revision, version(&made.objects[0]).as_str()), (2, "2"));
    let got = store.get(&pod("a")).expect("there");
    assert_eq!((got.revision(), got.body()), (2, made.objects[0].body()));
    let gone = store.commit(Txn::delete(pod("a"), Expect::Revision(2))).await.expect("deleted");
    assert_eq!((gone.revision, version(&gone.objects[0]).as_str()), (3, "3"));
    assert!(store.get(&pod("a")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_says_what_is_there() {
    let (store, ..) = store().await;
    put(&store, &pod("a"), 0).await;
    for (txn, current) in [
        (Txn::put(pod("a"), object("a", 0), Expect::Absent), Some(2)),
        (Txn::put(pod("a"), object("a", 0), Expect::Revision(9)), Some(2)),
        (Txn::put(pod("b"), object("b", 0), Expect::Exists), None),
        (Txn::delete(pod("a"), Expect::Revision(1)), Some(2)),
        (Txn::delete(pod("b"), Expect::Any), None),
    ] {
        match store.commit(txn).await {
            Err(CommitError::Conflict { current: found, .. }) => {
                assert_eq!(found.map(|o| o.revision()), current)
            }
            other => panic!("no conflict: {other:?}"),
        }
    }
    assert_eq!(store.revision(), 2, "a conflict takes no revision");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_happens_wholly_or_not_at_all() {
    let (store, ..) = store().await;
    let lease = "/registry/leases/n/a";
    let both = |expect| {
        let write = Write::Put { key: lease.into(), value: object("l", 0), expect };
        Txn::put(pod("a"), object("a", 0), Expect::Any).and(write)
    };
    let made = store.commit(both(Expect::Absent)).await.expect("both");
    assert_eq!(made.objects.iter().map(Object::revision).collect::<Vec<_>>(), [2, 2]);
    assert!(matches!(store.commit(both(Expect::Absent)).await, Err(CommitError::Conflict { .. })));
    assert_eq!(store.get(&pod("a")).map(|o| o.revision()), Some(2));
    let twice = Txn::delete(pod("a"), Expect::Any).and(Txn::delete(pod("b"), Expect::Any).0.remove(0));
    assert!(matches!(store.commit(twice).await, Err(CommitError::Repeated { .. })));
    let large = Txn::put(pod("a"), object("a", 3000), Expect::Any);
    assert!(matches!(store.commit(large).await, Err(CommitError::TooLarge { .. })));
}

#[tokio::test(start_paused = true)]
async fn commits_that_wait_share_one_append() {
    let (store, _, env) = store().await;
    let mut tasks = Vec::new();
    for n in 0..64 {
        let store = store.clone();
        tasks.push(env.spawn("client", async move {
            put(&store, &pod(n), 1).await;
        }));
    }
    for task in tasks {
        task.await.expect("a commit");
    }
    assert_eq!(store.revision(), 65);
    assert!(store.stats().appends <= 4, "{:?}", store.stats());
}

#[tokio::test(start_paused = true)]
async fn nobody_sees_a_commit_before_it_is_durable() {
    let (store, ..) = store().await;
    let mut cursor = store.watch("/registry/pods/", 1).expect("a watch");
    let first = store.commit(Txn::put(pod("a"), object("a", 0), Expect::Absent));
    let second = store.commit(Txn::put(pod("a"), object("a", 0), Expect::Absent));
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    // Both are under way, and the second one conflicts with the first.
    tokio::select! { biased; _ = &mut first => panic!("durable at once"), () = std::future::ready(()) => {} }
    tokio::select! { biased; _ = &mut second => panic!("known at once"), () = std::future::ready(()) => {} }
    assert!(store.get(&pod("a")).is_none() && store.revision() == 1);
    assert!(cursor.take().expect("events").is_empty());
    assert!(matches!(second.await, Err(CommitError::Conflict { current: Some(_), .. })));
    assert_eq!(store.revision(), 2, "the conflict is told when it is a fact");
    assert_eq!(first.await.expect("committed").revision, 2);
    assert_eq!(cursor.take().expect("events").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_a_revision_for_a_while() {
    let (store, ..) = store().await;
    let begin = tokio::time::Instant::now();
    let error = store.snapshot("/registry/pods/", At::NotOlder(2)).await.expect_err("not there");
    assert_eq!(error, ReadError::TooLarge { asked: 2, current: 1 });
    assert_eq!(begin.elapsed().as_secs(), 3);
    let key = pod("a");
    let (snapshot, _) =
        tokio::join!(store.snapshot("/registry/pods/", At::NotOlder(2)), put(&store, &key, 0));
    assert_eq!(snapshot.expect("there").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_one_revision_for_good() {
    let (store, ..) = store().await;
    for n in 0..5 {
        put(&store, &pod(n), 0).await;
    }
    put(&store, "/registry/pods/other/x", 0).await;
    put(&store, "/registry/secrets/default/x", 0).await;
    let before = store.snapshot("/registry/pods/default/", At::Latest).await.expect("a snapshot");
    put(&store, &pod(0), 9).await;
    store.commit(Txn::delete(pod(1), Expect::Any)).await.expect("deleted");
    let exact = store.snapshot("/registry/pods/default/", At::Exact(8)).await.expect("a past snapshot");
    for snapshot in [&before, &exact] {
        let revisions: Vec<_> = snapshot.iter().map(|(_, object)| object.revision()).collect();
        assert_eq!((snapshot.revision(), revisions, snapshot.len()), (8, vec![2, 3, 4, 5, 6], 5));
        assert_eq!(snapshot.after(&pod(2)).count(), 2);
        assert!(snapshot.get(&pod(1)).is_some() && snapshot.get("/registry/pods/other/x").is_none());
    }
    store.compact(9).await.expect("compacted");
    let gone = store.snapshot("/registry/pods/", At::Exact(8)).await.expect_err("forgotten");
    assert_eq!(gone, ReadError::Compacted(Compacted { asked: 8, oldest: 9 }));
    assert!(store.snapshot("/registry/none/", At::Exact(8)).await.is_err(), "nor where nothing ever was");
    assert_eq!(store.snapshot("/registry/pods/", At::Exact(9)).await.expect("kept").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_change_once_with_what_was_before() {
    let (store, ..) = store().await;
    put(&store, &pod("a"), 0).await;
    let mut cursor = store.watch("/registry/pods/default/", 1).expect("a watch");
    put(&store, "/registry/pods/other/x", 0).await;
    put(&store, &pod("a"), 1).await;
    store.commit(Txn::delete(pod("a"), Expect::Any)).await.expect("deleted");
    let events = cursor.next().await.expect("events");
    let told: Vec<_> =
        events.iter().map(|e| (e.change, e.revision, e.prev.as_ref().map(|o| o.revision()))).collect();
    assert_eq!(
        told,
        [
            (Change::Put { created: true }, 2, None),
            (Change::Put { created: false }, 4, Some(2)),
            (Change::Delete, 5, Some(4)),
        ]
    );
    assert_eq!((version(&events[2].object).as_str(), cursor.progress()), ("5", 5));
    put(&store, "/registry/secrets/default/x", 0).await;
    assert_eq!(cursor.progress(), 6, "a bookmark moves on with other resources");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_slow_is_told() {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    let store = Store::open(Config { history_events: 3, ..config(&disk) }, &env).await.expect("a store");
    let mut slow = store.watch("/registry/pods/", 1).expect("a watch");
    for _ in 0..5 {
        put(&store, &pod("a"), 0).await;
    }
    assert_eq!(slow.next().await.expect_err("too slow"), Compacted { asked: 1, oldest: 3 });
    assert!(store.watch("/registry/pods/", 2).is_err());
    let mut quick = store.watch("/registry/pods/", 3).expect("a watch");
    assert_eq!(quick.next().await.expect("events").len(), 3);
    store.compact(6).await.expect("compacted");
    put(&store, &pod("a"), 0).await;
    assert_eq!(quick.next().await.expect("who is up to date never falls off").len(), 1);
    assert!(store.watch("/registry/secrets/", 5).is_err(), "compaction counts everywhere");
}

#[tokio::test(start_paused = true)]
async fn history_is_forgotten_after_a_while() {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    let config = Config { compact_every: Some(Duration::from_secs(300)), ..config(&disk) };
    let store = Store::open(config, &env).await.expect("a store");
    let revision = put(&store, &pod("a"), 0).await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(store.compacted(), 0);
    tokio::time::sleep(Duration::from_secs(302)).await;
    assert_eq!(store.compacted(), revision);
    let calls = disk.calls();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(disk.calls(), calls, "an idle store is idle");
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_stops_the_store() {
    let (store, disk, _) = store().await;
    put(&store, &pod("a"), 0).await;
    disk.fail(2, Fault::Io);
    let error = store.commit(Txn::put(pod("b"), object("b", 0), Expect::Any)).await.expect_err("no sync");
    assert!(matches!(error, CommitError::Unknown), "{error}");
    assert!(store.stopped().await.contains("sync the log"));
    let error = store.commit(Txn::put(pod("c"), object("c", 0), Expect::Any)).await.expect_err("stopped");
    assert!(matches!(error, CommitError::Unavailable { .. }), "{error}");
    assert!(store.get(&pod("a")).is_some() && store.get(&pod("b")).is_none(), "reads go on");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_cleaned_through_deletes() {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    disk.set_capacity(12 * 8192);
    let store = Store::open(config(&disk), &env).await.expect("a store");
    let mut count = 0;
    loop {
        match store.commit(Txn::put(pod(count), object("a", 500), Expect::Absent)).await {
            Ok(_) => count += 1,
            Err(CommitError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(count > 100 && store.stats().full, "{count}");
    for _ in 0..20 {
        let lease = Txn::put("/registry/leases/n/a", object("l", 0), Expect::Any);
        store.commit(lease).await.expect("leases go on");
    }
    for n in 0..count {
        store.commit(Txn::delete(pod(n), Expect::Exists)).await.expect("deletes go on");
    }
    // A refused put makes it look for room; cleaning then takes a moment.
    drop(store.commit(Txn::put(pod("b"), object("b", 0), Expect::Absent)).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(store.commit(Txn::put(pod("c"), object("c", 0), Expect::Absent)).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!store.stats().full, "{:?}", store.stats());
    store.commit(Txn::put(pod("d"), object("d", 0), Expect::Absent)).await.expect("room again");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_that_someone_else_cleaned_is_noticed() {
    let (disk, env) = (FakeDisk::new(1), Env::simulated(1));
    disk.set_capacity(6 * 8192);
    let store = Store::open(config(&disk), &env).await.expect("a store");
    let fill = async |store: &Store| {
        for n in 0.. {
            if store.commit(Txn::put(pod(n), object("a", 500), Expect::Any)).await.is_err() {
                return;
            }
        }
    };
    fill(&store).await;
    drop(store);
    disk.cut_power();
    tokio::time::sleep(Duration::from_secs(1)).await;
    disk.reboot(decapod_store::disk::fake::Loss::Everything);
    let store = Store::open(config(&disk), &env).await.expect("it opens on a full disk");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(store.stats().full);
    store.commit(Txn::delete(pod(0), Expect::Exists)).await.expect("a delete");
    disk.set_capacity(u64::MAX);
    drop(store.commit(Txn::put(pod("b"), object("b", 0), Expect::Absent)).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.commit(Txn::put(pod("c"), object("c", 0), Expect::Absent)).await.expect("room again");
}
