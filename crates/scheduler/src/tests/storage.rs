//! The words of scenarios for claims, volumes and classes.

use std::time::Duration;

use serde_json::{Value, json};

use super::scenario::split;
use crate::core::Core;
use crate::storage::{Claim, Class, Volume};

/// Tells `core` what a line that begins with `class`, `volume`, `claim` or `forget` says.
pub fn command(core: &mut Core, words: &[&str], now: Duration) {
    let key = |name: &str| ("default".into(), name.into());
    match words {
        ["class", name, words @ ..] => core.set_class(name, Some(class(words)), now),
        ["volume", name, size, words @ ..] => core.set_volume(name, Some(volume(name, size, words)), now),
        ["claim", name, size, words @ ..] => core.set_claim(key(name), Some(claim(name, size, words)), now),
        ["forget", "class", name] => core.set_class(name, None, now),
        ["forget", "volume", name] => core.set_volume(name, None, now),
        ["forget", "claim", name] => core.set_claim(key(name), None, now),
        _ => panic!("no such command: {words:?}"),
    }
}

fn class(words: &[&str]) -> Class {
    let mut class = json!({"metadata": {}, "provisioner": "kubernetes.io/no-provisioner"});
    for word in words {
        match split(word) {
            ("waits", _) => class["volumeBindingMode"] = json!("WaitForFirstConsumer"),
            ("provisioner", name) => class["provisioner"] = json!(name),
            ("zone", zone) => {
                let label = json!({"key": "zone", "values": [zone]});
                class["allowedTopologies"] = json!([{"matchLabelExpressions": [label]}]);
            }
            _ => panic!("no such word: {word}"),
        }
    }
    Class::new(&serde_json::from_value(class).unwrap())
}

/// What volumes and claims say alike.
fn terms(object: &mut Value, word: &str) {
    match split(word) {
        ("class", name) => object["spec"]["storageClassName"] = json!(name),
        ("mode", mode) => object["spec"]["accessModes"] = json!([mode]),
        ("block", _) => object["spec"]["volumeMode"] = json!("Block"),
        ("terminating", _) => object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        _ => panic!("no such word: {word}"),
    }
}

fn volume(name: &str, size: &str, words: &[&str]) -> Volume {
    let mut volume = json!({"metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Available"}});
    for word in words {
        match split(word) {
            ("zone", zone) => {
                let zone = json!({"key": "zone", "operator": "In", "values": [zone]});
                let terms = json!([{"matchExpressions": [zone]}]);
                volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": terms}});
            }
            ("kept", claim) => volume["spec"]["claimRef"] = json!({"namespace": "default", "name": claim}),
            ("for", claim) => {
                volume["spec"]["claimRef"] = json!({"namespace": "default", "name": claim, "uid": claim});
            }
            ("phase", phase) => volume["status"]["phase"] = json!(phase),
            (label, value) if label.starts_with("label:") => {
                volume["metadata"]["labels"][&label[6..]] = json!(value)
            }
            _ => terms(&mut volume, word),
        }
    }
    Volume::new(&serde_json::from_value(volume).unwrap())
}

fn claim(name: &str, size: &str, words: &[&str]) -> Claim {
    let mut claim = json!({"metadata": {"namespace": "default", "name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"]}});
    for word in words {
        match split(word) {
            ("volume", volume) => {
                claim["spec"]["volumeName"] = json!(volume);
                claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
            }
            ("node", node) => {
                claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!(node);
            }
            ("owner", pod) => {
                let owner =
                    json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": pod, "controller": true});
                claim["metadata"]["ownerReferences"] = json!([owner]);
            }
            ("lost", _) => claim["status"]["phase"] = json!("Lost"),
            ("wants", pair) => {
                let (key, value) = split(pair);
                claim["spec"]["selector"] = json!({"matchLabels": {key: value}});
            }
            _ => terms(&mut claim, word),
        }
    }
    Claim::new(&serde_json::from_value(claim).unwrap())
}
