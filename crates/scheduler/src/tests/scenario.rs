//! A cluster of one's imagination, told what to do in lines of text.
//!
//! ```text
//! node a cpu=4 mem=8Gi pods=10 label:zone=x taint=key:value:NoSchedule cordoned image=web:1=100Mi gpu=2
//! pod p cpu=1 mem=1Gi label:app=web select:disk=ssd tolerate=key priority=5 port=80 …
//! service s app=web       all pods of app=web are of one kind
//! budget b app=web 0      no pod of app=web may be disrupted
//! class c waits provisioner=x         a storage class; claims of it wait for a node
//! volume v 5Gi class=c zone=a for=c   a volume, which nodes of that zone reach, kept for a claim
//! claim c 5Gi class=c volume=v        a claim; with a volume it is bound to it
//! forget class|volume|claim c
//! asked p | unasked p     its volumes could be asked for, or not
//! bound p | unbound p     the binding went well, or not
//! delete p | remove a     a pod, a node
//! tick 5s
//! ```
//! Every command is followed by as many decisions as there are to make; each prints a line. Ties go to the first node.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::storage;
use crate::core::{Action, Core};
use crate::labels::{Labels, Selector};
use crate::node::NodeInfo;
use crate::pod::{DEFAULT_SCHEDULER, PodInfo};
use crate::preempt::Budget;

pub struct World {
    core: Core,
    now: Duration,
    pods: BTreeMap<String, Value>,
}

impl Default for World {
    fn default() -> World {
        World { core: Core::new(DEFAULT_SCHEDULER), now: Duration::ZERO, pods: BTreeMap::new() }
    }
}

pub fn split(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// `app=web` as a selector of labels.
fn match_labels(pair: &str) -> Value {
    let (key, value) = split(pair);
    json!({"matchLabels": {key: value}})
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn quantity_name(key: &str) -> String {
    match key {
        "cpu" | "pods" => key.into(),
        "mem" => "memory".into(),
        "disk" => "ephemeral-storage".into(),
        other => format!("example.com/{other}"),
    }
}

pub fn node(name: &str, words: &[&str]) -> NodeInfo {
    let mut node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {}, "status": {"allocatable": {"pods": "110"}}});
    for word in words {
        match split(word) {
            ("cordoned", _) => node["spec"]["unschedulable"] = json!(true),
            ("taint", taint) => {
                let parts: Vec<&str> = taint.split(':').collect();
                push(
                    &mut node["spec"]["taints"],
                    json!({"key": parts[0], "value": parts[1], "effect": parts[2]}),
                );
            }
            ("image", image) => {
                let (image, size) = split(image);
                let bytes = size.strip_suffix("Mi").unwrap().parse::<i64>().unwrap() << 20;
                push(&mut node["status"]["images"], json!({"names": [image], "sizeBytes": bytes}));
            }
            (label, value) if label.starts_with("label:") => {
                node["metadata"]["labels"][&label[6..]] = json!(value);
            }
            (resource, amount) => node["status"]["allocatable"][quantity_name(resource)] = json!(amount),
        }
    }
    NodeInfo::new(&serde_json::from_value::<Node>(node).unwrap())
}

/// The pod of this name, changed as `words` say.
fn describe_pod(pod: &mut Value, words: &[&str]) {
    let container =
        |pod: &mut Value, path: &str| pod.pointer_mut(&format!("/spec/containers/0{path}")).is_some();
    assert!(container(pod, ""), "a pod has a container");
    for word in words {
        let (key, value) = split(word);
        let spec = &mut pod["spec"];
        match key {
            "select" => unreachable!("select:key=value"),
            "tolerate" => push(&mut spec["tolerations"], json!({"key": value, "operator": "Exists"})),
            "priority" => spec["priority"] = json!(value.parse::<i32>().unwrap()),
            "never-preempts" => spec["preemptionPolicy"] = json!("Never"),
            "on" => spec["nodeName"] = json!(value),
            "gate" => push(&mut spec["schedulingGates"], json!({"name": value})),
            "ungated" => spec["schedulingGates"] = json!([]),
            "image" => spec["containers"][0]["image"] = json!(value),
            "scheduler" => spec["schedulerName"] = json!(value),
            "claim" => {
                let source = json!({"name": value, "persistentVolumeClaim": {"claimName": value}});
                push(&mut spec["volumes"], source);
            }
            "ephemeral" => push(&mut spec["volumes"], json!({"name": value, "ephemeral": {}})),
            "port" => {
                push(
                    &mut spec["containers"][0]["ports"],
                    json!({"containerPort": 1, "hostPort": value.parse::<i32>().unwrap()}),
                );
            }
            "terminating" => pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
            "started" => pod["status"]["startTime"] = json!(format!("2026-01-01T00:00:{value}Z")),
            "names" | "prefers" | "near" | "away" | "likes" | "dislikes" | "spread" | "spread?" => {
                describe_neighbourhood(spec, key, value);
            }
            label if label.starts_with("label:") => pod["metadata"]["labels"][&label[6..]] = json!(value),
            label if label.starts_with("select:") => spec["nodeSelector"][&label[7..]] = json!(value),
            resource => {
                spec["containers"][0]["resources"]["requests"][quantity_name(resource)] = json!(value)
            }
        }
    }
}

/// Where a pod would like to be.
fn describe_neighbourhood(spec: &mut Value, key: &str, value: &str) {
    match key {
        "names" => {
            let terms: Vec<Value> = value
                .split(',')
                .map(|name| {
                    json!({"matchFields":
                [{"key": "metadata.name", "operator": "In", "values": [name]}]})
                })
                .collect();
            spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                json!({"nodeSelectorTerms": terms});
        }
        "prefers" => {
            let (key, value) = split(value);
            let expression = json!({"key": key, "operator": "In", "values": [value]});
            push(
                &mut spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"],
                json!({"weight": 1, "preference": {"matchExpressions": [expression]}}),
            );
        }
        // near=zone:app=web
        "near" | "away" | "likes" | "dislikes" => {
            let (topology, selector) = value.split_once(':').unwrap();
            let term = json!({"topologyKey": topology, "labelSelector": match_labels(selector)});
            let side = if matches!(key, "near" | "likes") { "podAffinity" } else { "podAntiAffinity" };
            if matches!(key, "near" | "away") {
                push(&mut spec["affinity"][side]["requiredDuringSchedulingIgnoredDuringExecution"], term);
            } else {
                push(
                    &mut spec["affinity"][side]["preferredDuringSchedulingIgnoredDuringExecution"],
                    json!({"weight": 10, "podAffinityTerm": term}),
                );
            }
        }
        // spread=zone:1:app=web, spread?=… for one that only scores
        "spread" | "spread?" => {
            let parts: Vec<&str> = value.splitn(3, ':').collect();
            let unsatisfiable = if key == "spread" { "DoNotSchedule" } else { "ScheduleAnyway" };
            push(
                &mut spec["topologySpreadConstraints"],
                json!({"topologyKey": parts[0],
                "maxSkew": parts[1].parse::<i32>().unwrap(), "whenUnsatisfiable": unsatisfiable,
                "labelSelector": match_labels(parts[2])}),
            );
        }
        _ => panic!("no such word: {key}"),
    }
}

pub fn pod(name: &str, words: &[&str]) -> PodInfo {
    let mut pod = new_pod(name);
    describe_pod(&mut pod, words);
    PodInfo::new(&serde_json::from_value(pod).unwrap())
}

fn new_pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c"}]}, "status": {}})
}

impl World {
    /// Does what `line` says and decides until there is nothing to decide.
    pub fn command(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut out = String::new();
        match words[..] {
            ["node", name, ref rest @ ..] => self.core.set_node(name, Some(node(name, rest)), self.now),
            ["remove", name] => self.core.set_node(name, None, self.now),
            ["pod", name, ref rest @ ..] => {
                let pod = self.pods.entry(name.to_owned()).or_insert_with(|| new_pod(name));
                describe_pod(pod, rest);
                self.send(name);
            }
            ["delete", name] => {
                self.pods.remove(name);
                self.core.remove_pod(name, self.now);
            }
            ["bound", name] => {
                let node = self.core.snapshot().pod(name).unwrap().node.to_string();
                self.core.bound(name, true, self.now);
                describe_pod(self.pods.get_mut(name).unwrap(), &[&format!("on={node}")]);
                self.send(name);
            }
            ["unbound", name] => self.core.bound(name, false, self.now),
            ["asked", name] => self.core.asked(name, true, self.now),
            ["unasked", name] => self.core.asked(name, false, self.now),
            ["class" | "volume" | "claim" | "forget", ..] => {
                storage::command(&mut self.core, &words, self.now)
            }
            ["service", name, selector] => {
                let (key, value) = split(selector);
                let selector = BTreeMap::from([(key.to_owned(), value.to_owned())]);
                self.core.snapshot_mut().workloads_mut().set_service("default", name, Some(selector));
            }
            ["namespace", name, ref labels @ ..] => {
                let labels = labels
                    .iter()
                    .map(|pair| split(pair))
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect();
                self.core.snapshot_mut().set_namespace(name, Some(Labels::new(Some(&labels))));
            }
            ["budget", name, selector, allowed] => {
                let (key, value) = split(selector);
                let selector = Selector::equal(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
                let allowed = allowed.parse().unwrap();
                let budget = Budget { namespace: "default".into(), selector, allowed, disrupted: vec![] };
                self.core.set_budget(name.to_owned(), Some(budget));
            }
            ["tick", seconds] => {
                self.now += Duration::from_secs(seconds.strip_suffix('s').unwrap().parse().unwrap());
            }
            ["show"] => out += &self.show(),
            _ => panic!("no such command: {line}"),
        }
        while let Some(action) = self.core.next(self.now, &mut |_| 0) {
            out += &print(&action);
        }
        out
    }

    fn send(&mut self, name: &str) {
        let pod: Pod = serde_json::from_value(self.pods[name].clone()).unwrap();
        self.core.set_pod(PodInfo::new(&pod), self.now);
    }

    fn show(&self) -> String {
        let snapshot = self.core.snapshot();
        let mut out = String::new();
        for slot in snapshot.live() {
            let (node, columns, i) = (snapshot.node(*slot), snapshot.columns(), *slot as usize);
            let mut pods: Vec<&str> = snapshot.residents(*slot).iter().map(|pod| pod.name.as_str()).collect();
            pods.sort_unstable();
            let (cpu, memory) = (columns.requested.cpu_milli[i], columns.requested.memory_bytes[i] >> 20);
            let (cpus, memories) =
                (columns.allocatable.cpu_milli[i], columns.allocatable.memory_bytes[i] >> 20);
            let pods = if pods.is_empty() { "none".to_owned() } else { pods.join(" ") };
            out +=
                &format!("{}: cpu {cpu}m/{cpus}m, memory {memory}Mi/{memories}Mi, pods {pods}\n", node.name);
        }
        let [active, backoff, waiting, gated] = self.core.queue().lengths();
        out + &format!("queue: {active} active, {backoff} backing off, {waiting} waiting, {gated} gated\n")
    }
}

fn print(action: &Action) -> String {
    match action {
        Action::Bind(pod) => format!("{} → {}\n", pod.name, pod.node),
        Action::Prepare(pod, plan) => {
            let bindings = plan.bindings.iter().map(|b| format!(", {} gets {}", b.claim.1, b.volume));
            let made = plan.provisions.iter().map(|p| format!(", {} is made", p.claim.1));
            format!("{} ⇢ {}{}\n", pod.name, pod.node, bindings.chain(made).collect::<String>())
        }
        Action::Fail { pod, message } => format!("{}: {message}\n", pod.name),
        Action::Refuse { pod, message, .. } => format!("{}: {message}\n", pod.name),
        Action::Skip(pod) => format!("{}: skipped\n", pod.name),
        Action::Preempt { pod, message, node, victims, .. } => {
            let victims: Vec<&str> = victims.iter().map(|victim| victim.name.as_str()).collect();
            format!("{}: {message}\n{} ⇒ {node}, off go {}\n", pod.name, pod.name, victims.join(" "))
        }
    }
}
