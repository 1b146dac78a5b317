//! Decisions, as a table.

use serde_json::{Value, json};

use super::reconcile::{State, reconcile};

fn decide(map: Value) -> String {
    let map = (!map.is_null()).then(|| serde_json::from_value(map).unwrap());
    reconcile("a", &State { map }, "PEM").to_string()
}

#[test]
fn it_makes_and_mends_the_copy() {
    let metadata = json!({"name": "kube-root-ca.crt", "namespace": "a", "annotations": {"kubernetes.io/description": "x"}});
    assert_eq!(decide(Value::Null), "create configmaps a/kube-root-ca.crt\n");
    assert_eq!(decide(json!({"metadata": metadata, "data": {"ca.crt": "PEM"}})), "");
    let update = "update configmaps a/kube-root-ca.crt\n";
    assert_eq!(decide(json!({"metadata": metadata, "data": {"ca.crt": "PEM", "x": "y"}})), update);
    assert_eq!(
        decide(
            json!({"metadata": {"name": "kube-root-ca.crt", "namespace": "a"}, "data": {"ca.crt": "PEM"}})
        ),
        update
    );
}
