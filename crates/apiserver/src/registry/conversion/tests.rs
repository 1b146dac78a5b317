//! Reviews and what is made of their answers, as tables; tests/conversion-webhooks.sh holds the whole against upstream's.

use decapod_api::meta::GroupVersionKind;
use decapod_api::{Value, value};

use super::review::{self, Fault};

fn v2() -> GroupVersionKind {
    GroupVersionKind::new("pond.example.com", "v2", "Duck")
}

fn duck() -> Value {
    value!({"metadata": {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"},
        "finalizers": ["x/y"]}, "spec": {"name": "Donald"}})
}

#[test]
fn a_request_has_the_objects_without_revisions() {
    let kind = GroupVersionKind { version: "v1".into(), ..v2() };
    let sent = review::sent(&duck(), &kind).expect("JSON");
    let request = review::request("v1beta1", "q", "pond.example.com/v2", &[sent.clone(), sent]);
    let request: Value = serde_json::from_slice(&request).expect("JSON");
    assert_eq!(request.str_at(&["apiVersion"]), Some("apiextensions.k8s.io/v1beta1"));
    assert_eq!(request.str_at(&["request", "desiredAPIVersion"]), Some("pond.example.com/v2"));
    let objects = request.list_at(&["request", "objects"]);
    let object = &objects[1];
    assert_eq!((objects.len(), object.str_at(&["apiVersion"])), (2, Some("pond.example.com/v1")));
    assert_eq!(object.at(&["metadata", "resourceVersion"]), None);
    assert_eq!(object.str_at(&["metadata", "uid"]), Some("u"));
}

#[test]
fn an_answer_is_held_against_the_question() {
    let body =
        |text: &str| format!(r#"{{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview"{text}}}"#);
    let good = r#","response":{"uid":"q","result":{"status":"Success"},"convertedObjects":[{"a":1},{}]}"#;
    assert_eq!(review::answer("v1", "q", body(good).as_bytes()).map(|objects| objects.len()), Ok(2));
    let table = [
        ("v1", body(""), "no response provided"),
        (
            "v1",
            body(r#","response":{"uid":"p","result":{"status":"Success"}}"#),
            r#"expected response.uid="q", got "p""#,
        ),
        ("v1", body(r#","response":{"uid":"q"}"#), "response.result.status was '', not 'Success'"),
        ("v1beta1", body(r#","response":{"result":{"status":"Failure","message":"no"}}"#), "no"),
        (
            "v1",
            r#"{"apiVersion":"v1","kind":"Status"}"#.to_owned(),
            "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got /v1, Kind=Status",
        ),
    ];
    for (version, body, wanted) in table {
        assert_eq!(review::answer(version, "q", body.as_bytes()), Err(wanted.to_owned()), "{body}");
    }
}

#[test]
fn only_labels_and_annotations_are_the_webhooks() {
    let converted = value!({"apiVersion": "pond.example.com/v2", "kind": "Duck", "spec": {"called": "Donald"},
        "metadata": {"name": "a", "namespace": "b", "uid": "u", "labels": {"l": "2"}, "annotations": {"x": "y"},
            "finalizers": [], "generation": 9}});
    let settled = review::settled(&duck(), converted.clone(), &v2()).expect("settled");
    let wanted = value!({"spec": {"called": "Donald"}, "metadata": {"name": "a", "namespace": "b", "uid": "u",
        "resourceVersion": "7", "finalizers": ["x/y"], "labels": {"l": "2"}, "annotations": {"x": "y"}}});
    assert_eq!(settled, wanted);
    let fault = |path: &[&str], value: Value| {
        let mut converted = converted.clone();
        converted.set_at(path, value);
        review::settled(&duck(), converted, &v2()).map_err(Fault::of_one)
    };
    let refused = |why: &str| Err(why.to_owned());
    assert_eq!(
        fault(&["metadata", "uid"], "w".into()),
        refused("invalid object: must have the same UID: u != w")
    );
    assert_eq!(
        fault(&["kind"], "Goose".into()),
        refused("invalid object at index 0: invalid kind (expected Duck, received Goose)")
    );
    assert_eq!(
        fault(&["metadata", "labels"], value!({"l": 1})),
        refused("invalid metadata: metadata.labels[l] must be a string, but is int64 in converted object")
    );
}
