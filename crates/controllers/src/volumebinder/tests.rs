//! Decisions, as tables; and runs.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;
use crate::testing::merge;

fn volume(name: &str, size: &str, change: Value) -> Value {
    let mut volume = json!({"metadata": {"name": name, "uid": name, "labels": {"name": name}},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
            "persistentVolumeReclaimPolicy": "Retain"},
        "status": {"phase": "Available"}});
    merge(&mut volume, &change);
    volume
}

fn claim(change: Value) -> Value {
    let mut claim = json!({"metadata": {"name": "c", "namespace": "a", "uid": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "resources": {"requests": {"storage": "5Gi"}}}});
    merge(&mut claim, &change);
    claim
}

fn best(of: Value, volumes: Vec<Value>, waits: bool) -> String {
    let volumes: Vec<PersistentVolume> =
        volumes.into_iter().map(|one| serde_json::from_value(one).unwrap()).collect();
    let claim = serde_json::from_value(of).unwrap();
    let best = matching::best(&claim, &volumes, waits);
    best.and_then(|volume| volume.metadata.name.clone()).unwrap_or_default()
}

#[test]
fn the_smallest_that_fits_is_chosen() {
    let kept = json!({"spec": {"claimRef": {"namespace": "a", "name": "c"}}});
    let taken = json!({"spec": {"claimRef": {"namespace": "a", "name": "d", "uid": "d"}}});
    let many = json!({"spec": {"accessModes": ["ReadOnlyMany", "ReadWriteOnce"]}});
    let all = || {
        vec![
            volume("large", "20Gi", json!({})),
            volume("fits", "6Gi", json!({})),
            volume("small", "4Gi", json!({})),
        ]
    };
    let and = |more: Value| all().into_iter().chain([more]).collect::<Vec<_>>();
    let table = [
        (claim(json!({})), all(), false, "fits"),
        (claim(json!({})), all(), true, ""),
        (claim(json!({})), and(volume("kept", "30Gi", kept.clone())), true, "kept"),
        (claim(json!({})), and(volume("taken", "5Gi", taken)), false, "fits"),
        (claim(json!({})), and(volume("many", "5Gi", many)), false, "fits"),
        (
            claim(json!({})),
            and(volume("released", "5Gi", json!({"status": {"phase": "Released"}}))),
            false,
            "fits",
        ),
        (
            claim(json!({})),
            and(volume("other", "5Gi", json!({"spec": {"storageClassName": "fast"}}))),
            false,
            "fits",
        ),
        (
            claim(json!({})),
            and(volume("device", "5Gi", json!({"spec": {"volumeMode": "Block"}}))),
            false,
            "fits",
        ),
        (claim(json!({"spec": {"selector": {"matchLabels": {"name": "large"}}}})), all(), false, "large"),
        (claim(json!({"spec": {"accessModes": ["ReadWriteMany"]}})), all(), false, ""),
        (claim(json!({"spec": {"storageClassName": ""}})), all(), false, ""),
        (claim(json!({})), vec![volume("kept", "1Gi", kept)], false, ""),
    ];
    for (claim, volumes, waits, expected) in table {
        assert_eq!(best(claim.clone(), volumes, waits), expected, "{claim}");
    }
}

fn decide(of: Value, volumes: Vec<Value>, classes: Value, unscheduled: &[&str]) -> String {
    let state = claim::State {
        claim: serde_json::from_value(of).unwrap(),
        volumes: volumes.into_iter().map(|one| serde_json::from_value(one).unwrap()).collect(),
        classes: serde_json::from_value(classes).unwrap(),
        unscheduled: unscheduled.iter().map(|name| (*name).to_owned()).collect(),
    };
    claim::reconcile(&state).to_string()
}

#[test]
fn claims_without_a_volume_are_told_why() {
    let class = |provisioner: &str, mode: &str| json!([{"metadata": {"name": "slow"}, "provisioner": provisioner, "volumeBindingMode": mode}]);
    let default = json!([{"metadata": {"name": "d", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "x"}]);
    let pending = "update persistentvolumeclaims/status a/c\n";
    let waiting = "Waiting for a volume to be created either by the external provisioner 'x.io' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.";
    let table = [
        (
            claim(json!({})),
            class("x.io", "WaitForFirstConsumer"),
            vec![],
            format!(
                "event Normal WaitForFirstConsumer: waiting for first consumer to be created before binding\n{pending}"
            ),
        ),
        (
            claim(json!({})),
            class("x.io", "WaitForFirstConsumer"),
            vec!["p", "q"],
            format!("event Normal WaitForPodScheduled: waiting for pods p,q to be scheduled\n{pending}"),
        ),
        (
            claim(json!({})),
            class("x.io", "Immediate"),
            vec![],
            format!("update persistentvolumeclaims a/c\nevent Normal ExternalProvisioning: {waiting}\n"),
        ),
        (
            claim(
                json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n", "volume.kubernetes.io/storage-provisioner": "x.io"}}}),
            ),
            class("x.io", "WaitForFirstConsumer"),
            vec![],
            format!("event Normal ExternalProvisioning: {waiting}\n"),
        ),
        (
            claim(json!({})),
            class("kubernetes.io/no-provisioner", "Immediate"),
            vec![],
            "event Warning ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner\n"
                .into(),
        ),
        (
            claim(json!({})),
            json!([]),
            vec![],
            "event Warning ProvisioningFailed: storageclass.storage.k8s.io \"slow\" not found\n".into(),
        ),
        (
            claim(json!({"spec": {"storageClassName": ""}})),
            default.clone(),
            vec![],
            format!(
                "event Normal FailedBinding: no persistent volumes available for this claim and no storage class is set\n{pending}"
            ),
        ),
        (
            claim(json!({"spec": {"storageClassName": null}})),
            default,
            vec![],
            "update persistentvolumeclaims a/c\n".into(),
        ),
    ];
    for (claim, classes, pods, expected) in table {
        assert_eq!(decide(claim.clone(), vec![], classes, &pods), expected, "{claim}");
    }
}

#[test]
fn claims_that_name_a_volume_get_it_or_not() {
    let named = |change: Value| {
        let mut claim = claim(json!({"spec": {"volumeName": "v"}}));
        merge(&mut claim, &change);
        claim
    };
    let complete = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "status": {"phase": "Bound"}});
    let bound_to = |uid: &str| json!({"spec": {"claimRef": {"namespace": "a", "name": "c", "uid": uid}}});
    let pending = "update persistentvolumeclaims/status a/c\n";
    let table = [
        (named(json!({})), vec![], pending.to_owned()),
        (
            named(json!({})),
            vec![volume("v", "6Gi", json!({}))],
            "update persistentvolumes v\nagain after 0ns\n".into(),
        ),
        (
            named(json!({})),
            vec![volume("v", "1Gi", json!({}))],
            format!(
                "event Warning VolumeMismatch: Cannot bind to requested volume \"v\": requested PV is too small\n{pending}"
            ),
        ),
        (
            named(json!({})),
            vec![volume("v", "6Gi", bound_to("other"))],
            format!(
                "event Warning FailedBinding: volume \"v\" already bound to a different claim.\n{pending}"
            ),
        ),
        (
            named(json!({})),
            vec![volume("v", "6Gi", bound_to("c"))],
            "update persistentvolumes/status v\nupdate persistentvolumeclaims a/c\nagain after 0ns\n".into(),
        ),
        (
            named(complete.clone()),
            vec![],
            format!(
                "{pending}event Warning ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!\n"
            ),
        ),
        (
            named(complete),
            vec![volume("v", "6Gi", bound_to("other"))],
            format!(
                "{pending}event Warning ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly\n"
            ),
        ),
    ];
    for (claim, volumes, expected) in table {
        assert_eq!(decide(claim.clone(), volumes.clone(), json!([]), &[]), expected, "{claim} {volumes:?}");
    }
}

#[test]
fn volumes_without_a_claim_go_their_policys_way() {
    let of = |change: Value| {
        let mut volume = volume(
            "v",
            "6Gi",
            json!({"spec": {"claimRef": {"namespace": "a", "name": "c", "uid": "gone"},
            "persistentVolumeReclaimPolicy": "Delete"}, "status": {"phase": "Released"}}),
        );
        merge(&mut volume, &change);
        volume
    };
    let failed =
        |why: &str| format!("update persistentvolumes/status v\nevent Warning VolumeFailedDelete: {why}\n");
    let table = [
        (of(json!({"status": {"phase": "Bound"}})), "read persistentvolumeclaims a/c\n".to_owned()),
        (of(json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})), String::new()),
        (of(json!({"spec": {"csi": {"driver": "x", "volumeHandle": "y"}}})), String::new()),
        (
            of(json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "x.io"}}})),
            String::new(),
        ),
        (
            of(json!({"spec": {"nfs": {"server": "x", "path": "/"}}})),
            failed(
                "error getting deleter volume plugin for volume \"v\": no deletable volume plugin matched",
            ),
        ),
        (
            of(json!({"spec": {"hostPath": {"path": "/etc"}}})),
            failed("host_path deleter only supports /tmp/.+ but received provided /etc"),
        ),
        (
            of(json!({"spec": {"hostPath": {"path": "/tmp/../etc"}}})),
            failed("host_path deleter only supports /tmp/.+ but received provided /tmp/../etc"),
        ),
        (of(json!({"spec": {"hostPath": {"path": "/tmp/x"}}})), "read persistentvolumes v\n".into()),
        (of(json!({"spec": {"claimRef": {"uid": ""}}})), "update persistentvolumes/status v\n".into()),
    ];
    for (volume, expected) in table {
        let state = volume::State { volume: serde_json::from_value(volume.clone()).unwrap(), claim: None };
        assert_eq!(volume::reconcile(&state, &Live::default()).to_string(), expected, "{volume}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_may_make_a_volume_fit() {
    let cluster = Cluster::new();
    let (claims, volumes) = (PersistentVolumeClaim::resource(), PersistentVolume::resource());
    cluster.start(start);
    cluster.server.put(&volumes, volume("v", "6Gi", json!({})));
    let choosy = json!({"spec": {"selector": {"matchLabels": {"disk": "fast"}}}});
    cluster.server.put(&claims, claim(choosy));
    cluster.settle().await;
    let named = || cluster.get::<PersistentVolumeClaim>("a", "c")["spec"]["volumeName"].clone();
    assert_eq!(named(), Value::Null);
    cluster.server.change(&volumes, "", "v", json!({"metadata": {"labels": {"disk": "fast"}}}));
    cluster.settle().await;
    assert_eq!(named(), "v");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn claims_and_volumes_find_each_other_and_part() {
    let cluster = Cluster::new();
    let (claims, volumes) = (PersistentVolumeClaim::resource(), PersistentVolume::resource());
    cluster.start(start);
    cluster.server.put(&claims, claim(json!({"spec": {"storageClassName": ""}})));
    cluster.settle().await;
    assert_eq!(cluster.get::<PersistentVolumeClaim>("a", "c")["status"]["phase"], "Pending");
    let plain = json!({"spec": {"storageClassName": ""}, "status": {"phase": null}});
    for (name, size) in [("large", "20Gi"), ("fits", "6Gi")] {
        cluster.server.put(&volumes, volume(name, size, plain.clone()));
    }
    cluster.settle().await;
    let of = |name: &str| cluster.get::<PersistentVolume>("", name);
    let bound = cluster.get::<PersistentVolumeClaim>("a", "c");
    assert_eq!(
        (&bound["status"]["phase"], &bound["status"]["capacity"]["storage"]),
        (
            &json!("Bound"),
            of(bound["spec"]["volumeName"].as_str().unwrap())["spec"]["capacity"].get("storage").unwrap()
        )
    );
    assert_eq!(bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"], "yes");
    assert_eq!(bound["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"], "yes");
    let name = bound["spec"]["volumeName"].as_str().unwrap().to_owned();
    assert_eq!(of(&name)["status"]["phase"], "Bound");
    assert_eq!(of(&name)["spec"]["claimRef"]["uid"], "c");
    let other = if name == "fits" { "large" } else { "fits" };
    assert_eq!(of(other)["status"]["phase"], "Available");
    cluster.server.remove(&claims, "a", "c");
    cluster.settle().await;
    assert_eq!(of(&name)["status"]["phase"], "Released");
    assert_eq!(of(other)["status"]["phase"], "Available");
    cluster.env.shutdown().await;
}
