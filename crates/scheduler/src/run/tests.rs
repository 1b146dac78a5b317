//! The loop against a server in memory, under paused time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decapod_api::{Object, Revision, Status};
use decapod_client::{Client, List, Reply, Request, Transport, Verb, WatchEvent};
use decapod_sys::Env;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Config, Scheduler};

/// Objects of any resource; bindings and patches take effect, and everything written is remembered.
#[derive(Default)]
struct Server(Mutex<State>);

#[derive(Default)]
struct State {
    revision: Revision,
    objects: BTreeMap<(String, String), Value>,
    watches: Vec<(String, mpsc::UnboundedSender<WatchEvent>)>,
    log: Vec<String>,
    refuse_bindings: usize,
}

fn object(value: &Value, revision: Revision) -> Object {
    // `serde_json` sorts keys, and what an encoder of ours would write is compact as well.
    Object::new(serde_json::to_vec(value).unwrap().into(), revision)
}

impl State {
    fn set(&mut self, resource: &str, mut value: Value) -> Object {
        self.revision += 1;
        value["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let name = value["metadata"]["name"].as_str().unwrap().to_owned();
        let object = object(&value, self.revision);
        let old = self.objects.insert((resource.to_owned(), name), value);
        for (_, watch) in self.watches.iter().filter(|(watched, _)| watched == resource) {
            let event = if old.is_some() { WatchEvent::Modified } else { WatchEvent::Added };
            watch.unbounded_send(event(object.clone())).unwrap();
        }
        object
    }

    #[allow(clippy::result_large_err, reason = "the transport's own error")]
    fn write(&mut self, request: &Request, body: Value) -> Result<Reply, Status> {
        let resource = request.resource.resource.to_string();
        let key = (resource.clone(), request.name.clone());
        match (request.verb, &*resource, &*request.subresource) {
            (Verb::Create, "pods", "binding") => {
                let node = body["target"]["name"].as_str().unwrap();
                if self.refuse_bindings > 0 {
                    self.refuse_bindings -= 1;
                    return Err(Status::unavailable("not now"));
                }
                self.log.push(format!("bind {} to {node}", request.name));
                let mut pod = self.objects[&key].clone();
                pod["spec"]["nodeName"] = json!(node);
                Ok(Reply::Object(self.set("pods", pod)))
            }
            (Verb::Create, "events", "") => {
                let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
                self.log.push(format!(
                    "{} {} by {}: {}",
                    text("type"),
                    text("reason"),
                    text("reportingController"),
                    text("note")
                ));
                Ok(Reply::Object(self.set("events", body)))
            }
            (Verb::Patch, "pods", "status") => {
                let condition = &body["status"]["conditions"][0];
                let (kind, status) =
                    (condition["type"].as_str().unwrap(), condition["status"].as_str().unwrap());
                self.log.push(format!(
                    "{} is {kind}={status} for {}",
                    request.name,
                    condition["reason"].as_str().unwrap()
                ));
                let mut pod = self.objects[&key].clone();
                pod["status"]["conditions"] = json!([condition]);
                Ok(Reply::Object(self.set("pods", pod)))
            }
            (Verb::Patch, "persistentvolumes" | "persistentvolumeclaims", "") => {
                self.log.push(format!("patch {} {body}", request.name));
                Ok(Reply::Object(object(&self.objects[&key], 0)))
            }
            _ => Ok(Reply::Object(object(&body, 0))),
        }
    }
}

impl Transport for Server {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        let mut state = self.0.lock().unwrap();
        let resource = request.resource.resource.to_string();
        let reply = match request.verb {
            Verb::List => {
                let of = state.objects.iter().filter(|((r, _), _)| *r == resource);
                let items = of.map(|(_, value)| object(value, state.revision)).collect();
                Ok(Reply::List(List { items, revision: state.revision, ..List::default() }))
            }
            Verb::Watch => {
                let (sender, receiver) = mpsc::unbounded();
                state.watches.push((resource, sender));
                Ok(Reply::Watch(receiver.boxed()))
            }
            _ => {
                let body = serde_json::from_slice(&request.body).unwrap_or_default();
                state.write(&request, body)
            }
        };
        Box::pin(async move { reply })
    }
}

fn node(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"}}})
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "metadata": {"generation": 1, "name": name, "namespace": "default", "uid": format!("uid-{name}")},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        "status": {},
    })
}

async fn settle(server: &Server) -> String {
    tokio::time::sleep(Duration::from_millis(10)).await;
    std::mem::take(&mut server.0.lock().unwrap().log).join("\n")
}

#[tokio::test(start_paused = true)]
async fn pods_are_bound_refused_and_tried_again() {
    let (env, server) = (Env::simulated(1), Arc::new(Server::default()));
    server.0.lock().unwrap().set("nodes", node("a", "1"));
    server.0.lock().unwrap().set("pods", pod("p", "1"));
    let scheduler = Scheduler::start(&env, Client::new(server.clone()), Config::default());
    scheduler.ready().await;
    let told = settle(&server).await;
    let scheduled = "Normal Scheduled by default-scheduler: Successfully assigned default";
    assert_eq!(told, format!("bind p to a\n{scheduled}/p to a"));

    server.0.lock().unwrap().set("pods", pod("q", "1"));
    let told = settle(&server).await;
    assert!(told.contains(
        "Warning FailedScheduling by default-scheduler: 0/1 nodes are available: 1 Insufficient cpu."
    ));
    assert!(told.contains("q is PodScheduled=False for Unschedulable"), "{told}");

    server.0.lock().unwrap().refuse_bindings = 1;
    server.0.lock().unwrap().set("nodes", node("b", "1"));
    let told = settle(&server).await;
    assert!(told.contains("q is PodScheduled=False for SchedulerError"), "{told}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(settle(&server).await, format!("bind q to b\n{scheduled}/q to b"));
    env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn many_pods_fill_their_nodes_and_no_more() {
    let (env, server) = (Env::simulated(2), Arc::new(Server::default()));
    for i in 0..100 {
        server.0.lock().unwrap().set("pods", pod(&format!("p{i}"), "100m"));
    }
    for i in 0..4 {
        server.0.lock().unwrap().set("nodes", node(&format!("n{i}"), "2"));
    }
    let config = Config { binds_in_flight: 3, ..Config::default() };
    let scheduler = Scheduler::start(&env, Client::new(server.clone()), config);
    scheduler.ready().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let state = server.0.lock().unwrap();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for ((_, _), pod) in state.objects.iter().filter(|((resource, _), _)| resource == "pods") {
        if let Some(node) = pod["spec"]["nodeName"].as_str() {
            *taken.entry(node.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(taken.into_values().collect::<Vec<_>>(), [10, 10, 10, 10], "ten pods a node");
}

#[tokio::test(start_paused = true)]
async fn volumes_are_asked_for_and_waited_for() {
    let (env, server) = (Env::simulated(3), Arc::new(Server::default()));
    let set = |resource: &str, value: Value| drop(server.0.lock().unwrap().set(resource, value));
    set("nodes", node("a", "1"));
    let class = |name: &str, by: &str| json!({"metadata": {"name": name}, "provisioner": by, "volumeBindingMode": "WaitForFirstConsumer"});
    set("storageclasses", class("local", "kubernetes.io/no-provisioner"));
    set("storageclasses", class("made", "x.io"));
    let volume = json!({"metadata": {"name": "v"}, "status": {"phase": "Available"},
        "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local"}});
    set("persistentvolumes", volume);
    let claim = |name: &str, class: &str, volume: &str| {
        let mut claim = json!({"metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}")},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"], "storageClassName": class}});
        if !volume.is_empty() {
            claim["metadata"]["annotations"] =
                json!({"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "a"});
            claim["spec"]["volumeName"] = json!(volume);
        }
        claim
    };
    let mut user = pod("p", "1");
    let source = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    user["spec"]["volumes"] = json!([source("one"), source("two")]);
    for (name, class) in [("one", "local"), ("two", "made")] {
        set("persistentvolumeclaims", claim(name, class, ""));
    }
    set("pods", user);
    let scheduler = Scheduler::start(&env, Client::new(server.clone()), Config::default());
    scheduler.ready().await;
    let told = settle(&server).await;
    let expected = r#"patch v {"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"},"resourceVersion":"4"},"spec":{"claimRef":{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":"one","namespace":"default","uid":"uid-one"}}}
patch two {"metadata":{"annotations":{"volume.kubernetes.io/selected-node":"a"},"resourceVersion":"6"}}"#;
    assert_eq!(told, expected);
    set("persistentvolumeclaims", claim("one", "local", "v"));
    assert_eq!(settle(&server).await, "", "the other claim is not bound yet");
    set("persistentvolumeclaims", claim("two", "made", "w"));
    assert!(settle(&server).await.starts_with("bind p to a"));
    env.shutdown().await;
}
