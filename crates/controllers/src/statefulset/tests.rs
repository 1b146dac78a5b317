//! Decisions, as text; and runs.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::reconcile::reconcile;
use super::*;
use crate::objects::Meta;
use crate::testing::cluster::Cluster;
use crate::testing::{at, merge, time};

fn spec(change: Value) -> Value {
    let mut spec = json!({
        "replicas": 3, "serviceName": "db", "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"app": "db"}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}},
    });
    merge(&mut spec, &change);
    spec
}

fn set(change: Value) -> StatefulSet {
    let set = json!({"metadata": {"name": "db", "namespace": "a", "uid": "set", "generation": 1}, "spec": spec(change)});
    serde_json::from_value(set).unwrap()
}

/// The revision `number` of the template with `image`, named `db-{image}`.
fn revision(number: i64, image: &str) -> ControllerRevision {
    let of = set(json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}));
    serde_json::from_value(json!({
        "metadata": {"name": format!("db-{image}"), "namespace": "a", "uid": image, "labels": {"app": "db"},
            "ownerReferences": [owner()]},
        "revision": number,
        "data": crate::objects::revision::data(Some(&of.spec.unwrap().template)),
    }))
    .unwrap()
}

fn owner() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "set", "controller": true,
        "blockOwnerDeletion": true})
}

/// Pods by their ordinals, each as `ordinal revision state`, where `-` is one that is not ready.
fn pods(text: &str) -> Vec<Pod> {
    let pod = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let name = format!("db-{}", words[0]);
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "a", "uid": name, "ownerReferences": [owner()], "labels": {
                "app": "db", "controller-revision-hash": format!("db-{}", words[1]),
                "statefulset.kubernetes.io/pod-name": name}},
            "status": {"phase": "Running"},
        });
        match words[2] {
            "ready" => {
                pod["status"]["conditions"] =
                    json!([{"type": "Ready", "status": "True", "lastTransitionTime": time(0)}]);
            }
            "going" => pod["metadata"]["deletionTimestamp"] = json!(time(0)),
            "-" => {}
            phase => pod["status"]["phase"] = json!(phase),
        }
        serde_json::from_value(pod).unwrap()
    };
    text.split(", ").filter(|text| !text.is_empty()).map(pod).collect()
}

/// What is done for pods, status and clean-up aside; of revisions `one` and then `two`, the set being at `image`.
fn decide(change: Value, image: &str, text: &str) -> String {
    let mut set = set(change);
    let template = &mut set.spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
    set.status = Some(serde_json::from_value(json!({"replicas": 0, "currentRevision": "db-one"})).unwrap());
    let mut revisions = vec![revision(1, "one")];
    if image != "one" {
        revisions.push(revision(2, image));
    }
    let state = State { set, pods: pods(text), claims: Default::default(), revisions, taken: None };
    let plan = reconcile(&state, &Live::default(), at(100));
    let created: Vec<String> = plan
        .writes()
        .filter(|write| write.request.subresource.is_empty())
        .map(|write| match write.request.verb {
            decapod_client::Verb::Create => {
                let metadata = &write.body()["metadata"];
                let revision = metadata["labels"]["controller-revision-hash"].as_str().unwrap();
                format!("create {} {}", metadata["name"].as_str().unwrap(), revision)
            }
            verb => format!("{} {}", verb.as_str(), write.request.name),
        })
        .collect();
    created.join(", ")
}

#[test]
fn pods_come_and_go_in_order() {
    let ordered = json!({});
    let parallel = json!({"podManagementPolicy": "Parallel"});
    let started = json!({"ordinals": {"start": 5}});
    let table = [
        (&ordered, "", "create db-0 db-one"),
        (&ordered, "0 one -", ""),
        (&ordered, "0 one ready", "create db-1 db-one"),
        (&ordered, "0 one ready, 2 one ready", "create db-1 db-one"),
        (&ordered, "0 one ready, 1 one Failed, 2 one ready", "delete db-1"),
        (&ordered, "0 one ready, 1 one going", ""),
        (&ordered, "0 one ready, 1 one ready, 2 one ready", ""),
        (&ordered, "0 one ready, 1 one ready, 2 one ready, 3 one ready, 4 one ready", "delete db-4"),
        (&ordered, "0 one ready, 1 one ready, 2 one ready, 3 one -, 4 one ready", "delete db-4"),
        (&ordered, "0 one ready, 1 one ready, 2 one ready, 3 one ready, 4 one going", ""),
        (&ordered, "0 one ready, 1 one ready, 2 one ready, 3 one -, 4 one -", ""),
        (&ordered, "0 one ready, 1 one ready, 2 one -, 3 one ready", ""),
        (&parallel, "", "create db-0 db-one, create db-1 db-one, create db-2 db-one"),
        (
            &parallel,
            "1 one -, 3 one ready, 4 one -",
            "create db-0 db-one, create db-2 db-one, delete db-4, delete db-3",
        ),
        (&started, "", "create db-5 db-one"),
        (&started, "0 one ready, 5 one ready, 6 one ready, 7 one ready", "delete db-0"),
    ];
    for (change, before, expected) in table {
        assert_eq!(decide(change.clone(), "one", before), expected, "{change} {before}");
    }
}

#[test]
fn updates_go_from_the_last_to_the_first() {
    let rolling = |change: Value| json!({"updateStrategy": {"rollingUpdate": change}});
    let all = "0 one ready, 1 one ready, 2 one ready";
    let table = [
        (json!({}), all, "delete db-2"),
        (json!({}), "0 one ready, 1 one ready", "create db-2 db-two"),
        (json!({}), "0 one ready, 1 one ready, 2 two -", ""),
        (json!({}), "0 one ready, 1 one ready, 2 two ready", "delete db-1"),
        (rolling(json!({"partition": 2})), "0 one ready, 1 one ready, 2 two ready", ""),
        (rolling(json!({"partition": 2})), "0 one ready, 2 two ready", "create db-1 db-one"),
        (rolling(json!({"maxUnavailable": 2})), all, "delete db-2, delete db-1"),
        (rolling(json!({"maxUnavailable": "50%"})), all, "delete db-2"),
        (json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}), all, ""),
        (
            json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}),
            "0 one ready, 1 one ready",
            "create db-2 db-two",
        ),
    ];
    for (change, before, expected) in table {
        assert_eq!(decide(change.clone(), "two", before), expected, "{change} {before}");
    }
}

#[test]
fn claims_belong_to_whom_the_policy_says() {
    let claim = |owners: Value| -> PersistentVolumeClaim {
        serde_json::from_value(
            json!({"metadata": {"name": "d-db-0", "namespace": "a", "ownerReferences": owners}}),
        )
        .unwrap()
    };
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "name": "db-0", "uid": "pod", "controller": true, "blockOwnerDeletion": true});
    let mut stale = pod.clone();
    stale["uid"] = json!("earlier");
    let other = json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true});
    let meta = Meta { name: "db-0".into(), uid: "pod".into(), ..Meta::default() };
    let (in_range, beyond) = (3, 0);
    let table = [
        ("Retain", "Retain", in_range, json!([]), None),
        ("Retain", "Retain", in_range, json!([owner()]), Some(json!(null))),
        ("Delete", "Retain", in_range, json!([]), Some(json!([owner()]))),
        ("Delete", "Retain", beyond, json!([]), Some(json!([owner()]))),
        ("Retain", "Delete", in_range, json!([]), None),
        ("Retain", "Delete", beyond, json!([]), Some(json!([pod]))),
        ("Delete", "Delete", beyond, json!([owner()]), Some(json!([pod]))),
        ("Delete", "Delete", in_range, json!([pod]), Some(json!([owner()]))),
        ("Delete", "Delete", beyond, json!([stale]), None),
        ("Delete", "Delete", beyond, json!([other]), None),
        ("Delete", "Delete", beyond, json!([other, owner()]), Some(json!([other]))),
    ];
    for (deleted, scaled, replicas, owners, expected) in table {
        let set = set(json!({"replicas": replicas,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}));
        let mended = claims::Of::new(&set, &meta, 0).mended(&claim(owners.clone()));
        let mended = mended.map(|claim| json!(claim.metadata.owner_references));
        assert_eq!(mended, expected, "{deleted} {scaled} {replicas} {owners}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_with_claims_comes_up_and_rolls() {
    let cluster = Cluster::new();
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let spec = spec(json!({"replicas": 2, "volumeClaimTemplates": [claim]}));
    let sets = StatefulSet::resource();
    cluster.server.put(&sets, json!({"metadata": {"name": "db", "namespace": "a"}, "spec": spec}));
    cluster.start(start);
    for _ in 0..3 {
        cluster.run_pods().await;
    }
    assert_eq!(cluster.names::<core::Pod>(), "db-0 db-1");
    assert_eq!(cluster.names::<PersistentVolumeClaim>(), "data-db-0 data-db-1");
    let pod = cluster.get::<core::Pod>("a", "db-1");
    assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
    assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("db-1"), &json!("db")));
    assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-db-1");
    let events = cluster.server.events().join("\n");
    for expected in [
        "Normal SuccessfulCreate: Create Claim data-db-0 Pod db-0 in StatefulSet db success",
        "Normal SuccessfulCreate: Create Pod db-0 in StatefulSet db successful",
    ] {
        assert!(events.contains(expected), "{events}");
    }
    let status = cluster.get::<StatefulSet>("a", "db")["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    for field in ["replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"] {
        assert_eq!(status[field], 2, "{field}");
    }

    let containers = json!([{"name": "c", "image": "two"}]);
    cluster.server.change(
        &sets,
        "a",
        "db",
        json!({"spec": {"template": {"spec": {"containers": containers}}}}),
    );
    cluster.settle().await;
    assert_eq!(cluster.names::<ControllerRevision>().split(' ').count(), 2);
    let rolling = cluster.get::<StatefulSet>("a", "db")["status"].clone();
    assert_ne!(rolling["currentRevision"], rolling["updateRevision"]);
    for _ in 0..6 {
        cluster.run_pods().await;
    }
    for name in ["db-0", "db-1"] {
        assert_eq!(cluster.get::<core::Pod>("a", name)["spec"]["containers"][0]["image"], "two");
    }
    let rolled = cluster.get::<StatefulSet>("a", "db")["status"].clone();
    assert_eq!(
        (&rolled["currentRevision"], &rolled["updatedReplicas"]),
        (&rolling["updateRevision"], &json!(2))
    );
    cluster.env.shutdown().await;
}
