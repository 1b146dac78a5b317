//! A cluster in a few lines that do not depend on chance.

use std::collections::BTreeMap;

use decapod_api::Object;
use decapod_api::kinds::built_in;

use crate::cluster::Cluster;
use crate::monitor::{image_of, is_ready, number, taints};

/// What comes and goes by itself is not shown.
const PASSING: [&str; 2] = ["events", "leases"];

/// `deployments`, `replicasets`, `pods` or `nodes`; with `all` these and how many there are of everything else.
pub(super) async fn show(cluster: &Cluster, what: &str) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let sections: [(&str, &str, fn(&[Object]) -> Vec<String>); 4] = [
        ("apps", "deployments", deployments),
        ("apps", "replicasets", replica_sets),
        ("", "pods", pods),
        ("", "nodes", nodes),
    ];
    for (group, plural, section) in sections {
        if what == plural || what == "all" {
            lines.extend(section(&objects(cluster, group, plural).await?));
        }
    }
    if what == "all" {
        lines.push(others(cluster, &sections.map(|(_, plural, _)| plural)).await);
    }
    if lines.is_empty() {
        lines.push(format!("no {what}"));
    }
    Ok(lines)
}

async fn objects(cluster: &Cluster, group: &str, plural: &str) -> Result<Vec<Object>, String> {
    let resource = built_in(group, plural).ok_or_else(|| format!("{plural} are not served"))?;
    cluster.objects(resource.preferred()).await.ok_or_else(|| "the server is down".to_owned())
}

fn deployments(objects: &[Object]) -> Vec<String> {
    let line = |one: &Object| {
        let status = |field: &str| number(one, &["status", field]);
        let generation = number(one, &["metadata", "generation"]);
        let seen = if generation == status("observedGeneration") { "" } else { ", not observed" };
        format!(
            "deployment {}: {} wanted, {} there, {} updated, {} available{seen}",
            one.name(),
            number(one, &["spec", "replicas"]),
            status("replicas"),
            status("updatedReplicas"),
            status("availableReplicas"),
        )
    };
    objects.iter().map(line).collect()
}

fn replica_sets(objects: &[Object]) -> Vec<String> {
    let line = |one: &Object| {
        let revision = one.text(&["metadata", "annotations", "deployment.kubernetes.io/revision"]);
        format!(
            "replicaset {}: {} wanted, {} there, {} available, revision {}",
            one.name(),
            number(one, &["spec", "replicas"]),
            number(one, &["status", "replicas"]),
            number(one, &["status", "availableReplicas"]),
            revision.unwrap_or_default(),
        )
    };
    objects.iter().map(line).collect()
}

fn pods(objects: &[Object]) -> Vec<String> {
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    for one in objects {
        let generated = one.text(&["metadata", "generateName"]).map(|name| format!("{name}*"));
        let phase = one.text(&["status", "phase"]).unwrap_or_default();
        let ready = if is_ready(one) { "ready" } else { "not ready" };
        let ending = if one.raw(&["metadata", "deletionTimestamp"]).is_some() { ", ending" } else { "" };
        let name = generated.unwrap_or_else(|| one.name().into_owned());
        let why = unscheduled(one).map(|why| format!(", {why}")).unwrap_or_default();
        *alike.entry(format!("{name} {phase}, {ready}, {}{ending}{why}", image_of(one))).or_default() += 1;
    }
    alike.into_iter().map(|(what, count)| format!("pods {what}: {count}")).collect()
}

/// Why a pod has no node.
fn unscheduled(pod: &Object) -> Option<String> {
    let conditions: serde_json::Value = serde_json::from_slice(pod.raw(&["status", "conditions"])?).ok()?;
    let condition = conditions.as_array()?.iter().find(|one| one["type"] == "PodScheduled")?;
    (condition["status"] == "False").then(|| condition["message"].as_str().unwrap_or_default().to_owned())
}

fn nodes(objects: &[Object]) -> Vec<String> {
    let is_well = |one: &&Object| is_ready(one) && taints(one).is_empty();
    let (well, ill): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(is_well);
    let ill = ill.into_iter().map(|one| {
        let ready = if is_ready(one) { "ready" } else { "not ready" };
        format!("node {} {ready}, taints {}", one.name(), taints(one).join(" "))
    });
    std::iter::once(format!("nodes ready: {}", well.len())).chain(ill).collect()
}

/// How many objects there are of all other resources beyond those that every cluster is born with.
async fn others(cluster: &Cluster, shown: &[&str]) -> String {
    let counts = cluster.counts().await;
    let named = |plural: &str| !shown.contains(&plural) && !PASSING.contains(&plural);
    let others = counts.iter().filter(|(plural, count)| named(plural) && **count != 0);
    let others: Vec<String> = others.map(|(plural, count)| format!("{count} {plural}")).collect();
    format!("besides {}", others.join(", "))
}
