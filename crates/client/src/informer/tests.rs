//! Informers against a server that says what the test tells it to, under paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decapod_api::{Object, Revision, Status};
use decapod_sys::Env;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::request::{List, Reply, Request, Verb, WatchEvent};
use crate::transport::Transport;

/// A server with a script of lists and watches; without one, it does not answer.
#[derive(Default)]
struct Script {
    log: Mutex<Vec<String>>,
    lists: Mutex<VecDeque<Result<List, Status>>>,
    watches: Mutex<VecDeque<mpsc::UnboundedReceiver<WatchEvent>>>,
}

impl Transport for Script {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        let from = request.options.resource_version.clone().unwrap_or_default();
        self.log.lock().unwrap().push(format!("{} {from}", request.verb.as_str()));
        Box::pin(async move {
            match request.verb {
                Verb::List => match self.lists.lock().unwrap().pop_front() {
                    Some(list) => list.map(Reply::List),
                    None => Err(Status::unavailable("no list")),
                },
                _ => {
                    let watch = self.watches.lock().unwrap().pop_front();
                    watch
                        .map(|watch| Reply::Watch(watch.boxed()))
                        .ok_or_else(|| Status::unavailable("no watch"))
                }
            }
        })
    }
}

impl Script {
    fn list(&self, revision: Revision, items: &[(&str, Revision)]) {
        let items = items.iter().map(|(name, revision)| pod(name, *revision, "")).collect();
        self.lists.lock().unwrap().push_back(Ok(List { items, revision, ..List::default() }));
    }

    fn watch(&self) -> mpsc::UnboundedSender<WatchEvent> {
        let (sender, receiver) = mpsc::unbounded();
        self.watches.lock().unwrap().push_back(receiver);
        sender
    }

    fn told(&self) -> String {
        std::mem::take(&mut *self.log.lock().unwrap()).join(", ")
    }
}

fn pod(name: &str, revision: Revision, node: &str) -> Object {
    let body = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"a","resourceVersion":"{revision}"}},"spec":{{"nodeName":"{node}"}}}}"#
    );
    Object::new(body.into(), revision)
}

fn by_node() -> Vec<Indexer> {
    let keys = |object: &Object| {
        object.text(&["spec", "nodeName"]).map(|node| node.into_owned()).into_iter().collect()
    };
    vec![Indexer { name: "node", keys }]
}

fn names(informer: &Informer<Pod>) -> String {
    informer.list().into_iter().filter_map(|pod| pod.metadata.name).collect::<Vec<_>>().join(" ")
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn it_lists_watches_and_indexes() {
    let (env, server) = (Env::simulated(1), Arc::new(Script::default()));
    server.list(5, &[("one", 3), ("two", 5)]);
    let watch = server.watch();
    let informer =
        Informer::<Pod>::start_indexed(&env, &Client::new(server.clone()), Selection::default(), by_node());
    assert!(!informer.is_synced());
    informer.synced().await;
    assert_eq!(names(&informer), "one two");
    let mut changes = informer.subscribe();
    assert_eq!(changes.next().await.unwrap().key.to_string(), "a/one");
    assert_eq!(changes.next().await.unwrap().key.to_string(), "a/two");

    watch.unbounded_send(WatchEvent::Added(pod("three", 7, "x"))).unwrap();
    watch.unbounded_send(WatchEvent::Modified(pod("three", 8, "y"))).unwrap();
    watch.unbounded_send(WatchEvent::Deleted(pod("one", 9, ""))).unwrap();
    informer.untyped().until(|informer| informer.revision() >= 9).await;
    assert_eq!(names(&informer), "three two");
    assert_eq!(informer.indexed("node", "x").len(), 0);
    assert_eq!(informer.indexed("node", "y").len(), 1);
    let change = changes.next().await.unwrap();
    assert!(change.old.is_none(), "two changes of one key are told as one");
    assert_eq!(change.new.unwrap().revision(), 8);
    assert!(changes.next().await.unwrap().new.is_none());

    env.shutdown().await;
    assert!(changes.next().await.is_none());
    assert_eq!(server.told(), "list 0, watch 5");
}

#[tokio::test(start_paused = true)]
async fn it_resumes_where_a_watch_ended_and_lists_anew_when_it_cannot() {
    let (env, server) = (Env::simulated(1), Arc::new(Script::default()));
    server.lists.lock().unwrap().push_back(Err(Status::unavailable("not yet")));
    server.list(5, &[("one", 3), ("two", 5)]);
    let (first, second, third) = (server.watch(), server.watch(), server.watch());
    let informer = Informer::<Pod>::start(&env, &Client::new(server.clone()), Selection::default());
    let mut changes = informer.subscribe();
    informer.synced().await;
    settle().await;
    assert_eq!(server.told(), "list 0, list 0, watch 5");

    first.unbounded_send(WatchEvent::Bookmark { revision: 20, initial_events_end: false }).unwrap();
    drop(first);
    settle().await;
    assert_eq!(server.told(), "watch 20");

    server.list(40, &[("two", 30), ("new", 40)]);
    second.unbounded_send(WatchEvent::Error(Status::expired("gone"))).unwrap();
    settle().await;
    assert_eq!(server.told(), "list , watch 40");
    assert_eq!(names(&informer), "new two");

    let mut told = Vec::new();
    for _ in 0..2 {
        let change = changes.next().await.unwrap();
        told.push(format!("{} {:?}", change.key.name, change.new.map(|object| object.revision())));
    }
    assert_eq!(told, ["two Some(30)", "new Some(40)"], "one came and went before anybody looked");
    drop(third);
    env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_ever_more_seldom() {
    let (env, server) = (Env::simulated(1), Arc::new(Script::default()));
    let informer = Informer::<Pod>::start(&env, &Client::new(server.clone()), Selection::default());
    tokio::time::sleep(Duration::from_secs(600)).await;
    let tries = server.told().split(", ").count();
    assert!((18..28).contains(&tries), "{tries} tries in ten minutes");
    assert!(!informer.is_synced());
    env.shutdown().await;
    informer.synced().await;
}
