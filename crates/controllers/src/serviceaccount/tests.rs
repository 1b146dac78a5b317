//! Decisions, as a table; and one run.

use decapod_client::Kind;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use serde_json::json;

use super::reconcile::{State, reconcile};
use crate::testing::cluster::Cluster;

#[test]
fn active_namespaces_without_one_get_one() {
    for (is_active, has_default, expected) in
        [(true, false, "create serviceaccounts a/default\n"), (true, true, ""), (false, false, "")]
    {
        assert_eq!(reconcile("a", &State { is_active, has_default }).to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_when_it_is_deleted() {
    let cluster = Cluster::new();
    cluster
        .server
        .put(&Namespace::resource(), json!({"metadata": {"name": "a"}, "status": {"phase": "Active"}}));
    cluster.start(super::start);
    cluster.settle().await;
    assert_eq!(cluster.names::<ServiceAccount>(), "default");
    cluster.server.remove(&ServiceAccount::resource(), "a", "default");
    cluster.settle().await;
    assert_eq!(cluster.names::<ServiceAccount>(), "default");
    cluster.env.shutdown().await;
}
