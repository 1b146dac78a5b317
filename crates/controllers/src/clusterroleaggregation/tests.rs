//! A run.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

fn role(name: &str, label: &str, verbs: &[&str]) -> Value {
    let rules: Value =
        verbs.iter().map(|verb| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]})).collect();
    json!({"metadata": {"name": name, "labels": {label: "true"}}, "rules": rules})
}

#[tokio::test(start_paused = true)]
async fn rules_are_gathered_once_each_and_follow() {
    let cluster = Cluster::new();
    let roles = ClusterRole::resource();
    let all = json!({"metadata": {"name": "all", "labels": {"to-all": "true"}}, "rules": [],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-all": "true"}}]}});
    cluster.server.put(&roles, all);
    cluster.server.put(&roles, role("b", "to-all", &["get", "list"]));
    cluster.server.put(&roles, role("a", "to-all", &["list", "watch"]));
    cluster.server.put(&roles, role("c", "other", &["delete"]));
    cluster.start(start);
    cluster.settle().await;
    let verbs = || {
        let rules = cluster.get::<ClusterRole>("", "all")["rules"].clone();
        let verbs =
            rules.as_array().unwrap().iter().map(|rule| rule["verbs"][0].as_str().unwrap().to_owned());
        verbs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(verbs(), "list watch get");
    cluster.server.remove(&roles, "", "b");
    cluster.settle().await;
    assert_eq!(verbs(), "list watch");
    assert_eq!(cluster.server.writes().len(), 2);
    cluster.env.shutdown().await;
}
