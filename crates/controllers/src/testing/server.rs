//! A small API server in memory: enough of its rules that controllers can run against it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use decapod_api::meta::GroupVersionResource;
use decapod_api::{Object, Status};
use decapod_client::{Client, List, PatchType, Reply, Request, Transport, Verb, WatchEvent};
use decapod_sys::Env;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{merge, object};

type Key = (GroupVersionResource, String, String);

/// The server. Events are not kept as objects but as lines.
pub(crate) struct Server {
    env: Env,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Value>,
    history: Vec<(u64, Key, &'static str, Value)>,
    watchers: Vec<(GroupVersionResource, mpsc::UnboundedSender<WatchEvent>)>,
    writes: Vec<String>,
    requests: u64,
    events: Vec<String>,
    /// What is refused, as `verb resource`, and why.
    refused: BTreeMap<String, Status>,
}

impl Server {
    pub(crate) fn new(env: &Env) -> Arc<Server> {
        Arc::new(Server { env: env.clone(), state: Mutex::default() })
    }

    pub(crate) fn client(self: &Arc<Server>) -> Client {
        Client::new(self.clone())
    }

    /// Puts an object as it is.
    pub(crate) fn put(&self, resource: &GroupVersionResource, mut json: Value) {
        let mut state = self.state();
        let metadata = json["metadata"].as_object_mut().expect("metadata");
        let name = metadata["name"].as_str().expect("a name").to_owned();
        let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
        metadata.entry("uid").or_insert(json!(format!("uid-{name}")));
        metadata.entry("generation").or_insert(json!(1));
        metadata.entry("creationTimestamp").or_insert(json!(self.env.now().to_string()));
        let key = (resource.clone(), namespace, name);
        let kind = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        state.commit(key, kind, json);
    }

    /// The object, or null.
    pub(crate) fn get(&self, resource: &GroupVersionResource, namespace: &str, name: &str) -> Value {
        let key = (resource.clone(), namespace.to_owned(), name.to_owned());
        self.state().objects.get(&key).cloned().unwrap_or_default()
    }

    pub(crate) fn list(&self, resource: &GroupVersionResource) -> Vec<Value> {
        self.state()
            .objects
            .iter()
            .filter(|(key, _)| key.0 == *resource)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Merges `change` into an object that is there.
    pub(crate) fn change(&self, resource: &GroupVersionResource, namespace: &str, name: &str, change: Value) {
        let mut object = self.get(resource, namespace, name);
        assert!(!object.is_null(), "no {name}");
        let spec = object["spec"].clone();
        merge(&mut object, &change);
        if object["spec"] != spec {
            object["metadata"]["generation"] =
                json!(object["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        self.put(resource, object);
    }

    /// Removes an object at once.
    pub(crate) fn remove(&self, resource: &GroupVersionResource, namespace: &str, name: &str) {
        let key = (resource.clone(), namespace.to_owned(), name.to_owned());
        self.state().remove(&key);
    }

    /// Refuses requests such as `create pods` from now on; `None` ends that.
    pub(crate) fn refuse(&self, what: &str, why: Option<Status>) {
        let mut state = self.state();
        match why {
            Some(status) => state.refused.insert(what.to_owned(), status),
            None => state.refused.remove(what),
        };
    }

    /// What has been written since the last time this was asked.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().writes)
    }

    /// How many requests there have been.
    pub(crate) fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Which events have been recorded since the last time this was asked.
    pub(crate) fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.state().events)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answer(&self, request: &Request) -> Result<Reply, Status> {
        let mut state = self.state();
        state.requests += 1;
        let resource = request.resource.group_resource();
        if let Some(status) = state.refused.get(&format!("{} {resource}", request.verb.as_str())) {
            return Err(status.clone());
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if &*request.resource.resource == "events" {
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            state.events.push(format!("{} {}: {}", text("type"), text("reason"), text("message")));
            return Ok(Reply::Object(object(body)));
        }
        let key: Key = (request.resource.clone(), request.namespace.clone(), request.name.clone());
        if !request.verb.is_read() {
            let sub = if request.subresource.is_empty() {
                String::new()
            } else {
                format!("/{}", request.subresource)
            };
            state.writes.push(
                format!("{} {resource}{sub} {}", request.verb.as_str(), request.name).trim().to_owned(),
            );
        }
        match request.verb {
            Verb::Get => state
                .objects
                .get(&key)
                .cloned()
                .map(reply)
                .ok_or_else(|| Status::not_found(&resource, &key.2)),
            Verb::List => Ok(Reply::List(state.list(request))),
            Verb::Watch => Ok(Reply::Watch(state.watch(request))),
            Verb::Create => state.create(&self.env, key, body),
            Verb::Update => state.update(key, &request.subresource, body),
            Verb::Patch => state.patch(key, request.patch_type, &body),
            Verb::Delete => state.delete(&self.env, key, &body),
            Verb::DeleteCollection => {
                let keys: Vec<Key> =
                    state.objects.keys().filter(|k| k.0 == key.0 && k.1 == key.1).cloned().collect();
                keys.into_iter().try_for_each(|key| state.delete(&self.env, key, &body).map(drop))?;
                Ok(Reply::Status(Status::deleted(&resource, "", "")))
            }
        }
    }
}

impl Transport for Server {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        Box::pin(async move { self.answer(&request) })
    }
}

fn reply(json: Value) -> Reply {
    Reply::Object(object(json))
}

impl State {
    fn list(&self, request: &Request) -> List {
        let of = |key: &Key| {
            key.0 == request.resource && (request.namespace.is_empty() || key.1 == request.namespace)
        };
        let items =
            self.objects.iter().filter(|(key, _)| of(key)).map(|(_, value)| object(value.clone())).collect();
        List { items, revision: self.revision, ..List::default() }
    }

    fn watch(&mut self, request: &Request) -> decapod_client::Watch {
        let from: u64 = request.options.resource_version.as_deref().unwrap_or("0").parse().unwrap();
        let (sender, receiver) = mpsc::unbounded();
        let missed =
            self.history.iter().filter(|(revision, key, ..)| *revision > from && key.0 == request.resource);
        for (_, _, kind, value) in missed {
            sender.unbounded_send(event(kind, value)).unwrap();
        }
        self.watchers.push((request.resource.clone(), sender));
        receiver.boxed()
    }

    fn commit(&mut self, key: Key, kind: &'static str, mut value: Value) -> Value {
        self.revision += 1;
        value["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        if let Some(fields) = value.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        if kind == "DELETED" {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key.clone(), value.clone());
        }
        self.watchers.retain(|(resource, sender)| {
            *resource != key.0 || sender.unbounded_send(event(kind, &value)).is_ok()
        });
        self.history.push((self.revision, key, kind, value.clone()));
        value
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let value = self.objects.get(key).cloned()?;
        Some(self.commit(key.clone(), "DELETED", value))
    }

    fn create(&mut self, env: &Env, mut key: Key, mut body: Value) -> Result<Reply, Status> {
        let resource = key.0.group_resource();
        let metadata = &mut body["metadata"];
        if metadata["name"].is_null() {
            let prefix = metadata["generateName"].as_str().expect("a name or its beginning").to_owned();
            metadata["name"] = json!(format!("{prefix}{}", self.revision + 1));
        }
        key.2 = metadata["name"].as_str().unwrap().to_owned();
        if self.objects.contains_key(&key) {
            return Err(Status::already_exists(&resource, &key.2));
        }
        metadata["uid"] = json!(format!("uid-{}-{}", key.2, self.revision + 1));
        metadata["generation"] = json!(1);
        metadata["creationTimestamp"] = json!(env.now().to_string());
        Ok(reply(self.commit(key, "ADDED", body)))
    }

    fn update(&mut self, key: Key, subresource: &str, body: Value) -> Result<Reply, Status> {
        let resource = key.0.group_resource();
        let old = self.objects.get(&key).cloned().ok_or_else(|| Status::not_found(&resource, &key.2))?;
        let revision = &body["metadata"]["resourceVersion"];
        if !revision.is_null() && *revision != old["metadata"]["resourceVersion"] {
            return Err(Status::modified(&resource, &key.2));
        }
        let mut new = old.clone();
        match subresource {
            "" => {
                new = body;
                new["status"] = old["status"].clone();
            }
            "status" => new["status"] = body["status"].clone(),
            "finalize" => new["spec"] = body["spec"].clone(),
            other => panic!("no subresource {other}"),
        }
        self.replace(key, old, new)
    }

    /// Writes `new` in place of `old`, if it differs; and ends what only waited for its finalizers.
    fn replace(&mut self, key: Key, old: Value, mut new: Value) -> Result<Reply, Status> {
        let fixed = [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "resourceVersion",
            "generation",
            "name",
            "namespace",
        ];
        for field in fixed {
            new["metadata"][field] = old["metadata"][field].clone();
        }
        drop_nulls(&mut new);
        if let Some(fields) = new.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        if new == old {
            return Ok(reply(old));
        }
        if new["spec"] != old["spec"] && !old["metadata"]["generation"].is_null() {
            new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
        let is_over = !new["metadata"]["deletionTimestamp"].is_null()
            && is_empty(&new["metadata"]["finalizers"])
            && is_empty(&new["spec"]["finalizers"])
            && (key.0.resource != "pods" || !is_empty(&old["metadata"]["finalizers"]));
        let kind = if is_over { "DELETED" } else { "MODIFIED" };
        Ok(reply(self.commit(key, kind, new)))
    }

    fn patch(&mut self, key: Key, kind: PatchType, patch: &Value) -> Result<Reply, Status> {
        let resource = key.0.group_resource();
        let old = self.objects.get(&key).cloned().ok_or_else(|| Status::not_found(&resource, &key.2))?;
        let (mut new, mut patch) = (old.clone(), patch.clone());
        let metadata = patch["metadata"].as_object_mut();
        if let Some(metadata) = metadata {
            if metadata.remove("uid").is_some_and(|uid| uid != old["metadata"]["uid"]) {
                return Err(Status::modified(&resource, &key.2));
            }
            let revision = metadata.remove("resourceVersion");
            if revision.is_some_and(|revision| revision != old["metadata"]["resourceVersion"]) {
                return Err(Status::modified(&resource, &key.2));
            }
            let merged = by_key(&old["metadata"]["ownerReferences"], metadata.get("ownerReferences"), "uid");
            if let Some(merged) = merged.filter(|_| kind == PatchType::Strategic) {
                metadata.insert("ownerReferences".into(), merged);
            }
            if let Some(Value::Array(removed)) = metadata.remove("$deleteFromPrimitiveList/finalizers") {
                let left = old["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
                let left: Vec<Value> = left.into_iter().filter(|one| !removed.contains(one)).collect();
                metadata.insert("finalizers".into(), json!(left));
            }
        }
        if let Some(merged) = by_key(&old["status"]["conditions"], patch["status"].get("conditions"), "type")
        {
            patch["status"]["conditions"] = merged;
        }
        if patch["status"].is_null() {
            patch.as_object_mut().expect("a map").remove("status");
        }
        merge(&mut new, &patch);
        self.replace(key, old, new)
    }

    fn delete(&mut self, env: &Env, key: Key, options: &Value) -> Result<Reply, Status> {
        let resource = key.0.group_resource();
        let mut object =
            self.objects.get(&key).cloned().ok_or_else(|| Status::not_found(&resource, &key.2))?;
        let uid = &options["preconditions"]["uid"];
        if !uid.is_null() && *uid != object["metadata"]["uid"] {
            return Err(Status::conflict(&resource, &key.2, "the UID is another"));
        }
        let finalizer = match options["propagationPolicy"].as_str() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.extend(finalizer.map(|finalizer| json!(finalizer)));
        finalizers.dedup();
        let has_spec_finalizers =
            object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        let is_graceful = key.0.resource == "pods"
            && object["spec"]["nodeName"].is_string()
            && options["gracePeriodSeconds"] != 0
            && !matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if finalizers.is_empty() && !has_spec_finalizers && !is_graceful {
            self.remove(&key);
            return Ok(Reply::Status(Status::deleted(&resource, &key.2, "")));
        }
        if !object["metadata"]["deletionTimestamp"].is_null() && finalizer.is_none() {
            return Ok(reply(object));
        }
        object["metadata"]["deletionTimestamp"] = json!(env.now().to_string());
        if !finalizers.is_empty() {
            object["metadata"]["finalizers"] = json!(finalizers);
        }
        Ok(reply(self.commit(key, "MODIFIED", object)))
    }
}

/// `old` with what `patch` adds, changes and deletes, by the field that tells items apart.
fn by_key(old: &Value, patch: Option<&Value>, key: &str) -> Option<Value> {
    let mut items = old.as_array().cloned().unwrap_or_default();
    for change in patch?.as_array()? {
        let at = items.iter().position(|item| item[key] == change[key]);
        match at {
            Some(at) if change["$patch"] == "delete" => drop(items.remove(at)),
            Some(at) => merge(&mut items[at], change),
            None if change["$patch"] == "delete" => {}
            None => items.push(change.clone()),
        }
    }
    Some(json!(items))
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

fn event(kind: &str, value: &Value) -> WatchEvent {
    let object: Object = object(value.clone());
    match kind {
        "ADDED" => WatchEvent::Added(object),
        "MODIFIED" => WatchEvent::Modified(object),
        _ => WatchEvent::Deleted(object),
    }
}
