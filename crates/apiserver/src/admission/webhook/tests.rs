//! Rules, selectors, reviews and answers, as tables.

use std::sync::Arc;

use decapod_api::kinds::{BUILT_IN, Resource};
use decapod_api::value::from_json;
use decapod_api::{Object, Value, value};
use serde_json::json;

use super::configuration::{Hook, Source};
use super::matching::{self, invocation};
use super::review::{self, Objects};
use super::{Phase, faults};
use crate::admission::{Attributes, Operation, Rounds};
use crate::identity::User;
use crate::registry::{Lookup, Warnings};

/// A cluster with these namespaces, and these configurations of either phase.
#[derive(Default)]
struct World {
    namespaces: Vec<Value>,
    configurations: Vec<(Value, u64)>,
}

impl Lookup for World {
    fn object(&self, _: &str, plural: &str, _: &str, name: &str) -> Option<Object> {
        assert_eq!(plural, "namespaces");
        let found = self.namespaces.iter().find(|object| object.str_at(&["metadata", "name"]) == Some(name));
        found.map(|object| Object::new(serde_json::to_vec(object).unwrap().into(), 3))
    }

    fn objects(&self, _: &str, _: &str, _: &str) -> Vec<Object> {
        let object = |(draft, revision): &(Value, u64)| {
            Object::new(serde_json::to_vec(draft).unwrap().into(), *revision)
        };
        self.configurations.iter().map(object).collect()
    }

    fn rows(&self) -> Arc<Vec<Arc<Resource>>> {
        Arc::new(BUILT_IN.clone())
    }
}

/// A request in few words.
struct Asked {
    operation: Operation,
    resource: &'static str,
    subresource: &'static str,
    namespace: &'static str,
    labels: Option<(&'static str, &'static str)>,
}

fn with_attributes<T>(asked: &Asked, then: impl FnOnce(&Attributes) -> T) -> T {
    let mut parts = asked.resource.split('/').rev();
    let (plural, version) = (parts.next().unwrap(), parts.next().unwrap());
    let group = parts.next().unwrap_or("");
    let row = BUILT_IN.iter().find(|row| row.plural == plural && row.group == group).unwrap();
    let version = row.version(version).unwrap();
    let mut object = value!({"metadata": {"name": "x"}});
    if let Some((key, value)) = asked.labels {
        object.set_at(&["metadata", "labels", key], value);
    }
    then(&Attributes {
        operation: asked.operation,
        resource: row,
        version,
        subresource: asked.subresource,
        namespace: asked.namespace,
        name: "x",
        object,
        old: None,
        kind: &version.kind,
        options: &|| Value::Null,
        user: &User::new("jane", &["dev"]),
        dry_run: false,
        warnings: &Warnings::default(),
        rounds: Rounds::default(),
    })
}

fn asked(operation: Operation, resource: &'static str) -> Asked {
    let (resource, subresource) = resource.split_once(':').unwrap_or((resource, ""));
    let namespaced = !resource.ends_with("namespaces") && !resource.ends_with("nodes");
    Asked { operation, resource, subresource, namespace: if namespaced { "red" } else { "" }, labels: None }
}

/// What the webhook sees, or `-`.
fn outcome(hook: &Arc<Hook>, asked: &Asked) -> String {
    let world = World {
        namespaces: vec![value!({"metadata": {"name": "red", "labels": {"colour": "red"}}})],
        ..World::default()
    };
    with_attributes(asked, |attributes| match invocation(hook, attributes, &world) {
        Ok(Some(invocation)) => format!("{} {}", invocation.kind.api_version(), invocation.kind.kind),
        Ok(None) => "-".to_owned(),
        Err(status) => status.message,
    })
}

fn hook(mut webhook: serde_json::Value) -> Arc<Hook> {
    webhook["name"] = "a.example.com".into();
    Arc::new(Hook::new("a", 0, &from_json(webhook)))
}

fn ruled(rule: serde_json::Value, policy: &str) -> Arc<Hook> {
    hook(json!({"rules": [rule], "matchPolicy": policy}))
}

#[test]
fn rules_match_operations_groups_versions_and_resources() {
    use Operation::{Connect, Create, Delete, Update};
    let rule = |operations: &[&str], group: &str, version: &str, resources: &[&str]| json!({"operations": operations, "apiGroups": [group], "apiVersions": [version], "resources": resources});
    let table = [
        (rule(&["CREATE"], "", "v1", &["pods"]), asked(Create, "v1/pods"), "v1 Pod"),
        (rule(&["CREATE"], "", "v1", &["pods"]), asked(Update, "v1/pods"), "-"),
        (rule(&["*"], "*", "*", &["*"]), asked(Delete, "apps/v1/deployments"), "apps/v1 Deployment"),
        (rule(&["*"], "*", "*", &["*"]), asked(Update, "apps/v1/deployments:status"), "-"),
        (
            rule(&["*"], "*", "*", &["*/*"]),
            asked(Update, "apps/v1/deployments:scale"),
            "autoscaling/v1 Scale",
        ),
        (rule(&["*"], "*", "*", &["*/*"]), asked(Update, "apps/v1/deployments"), "apps/v1 Deployment"),
        (rule(&["*"], "", "v1", &["pods/*"]), asked(Create, "v1/pods:eviction"), "policy/v1 Eviction"),
        (rule(&["*"], "", "v1", &["*/attach"]), asked(Connect, "v1/pods:attach"), "v1 PodAttachOptions"),
        (rule(&["*"], "", "v1", &["pods"]), asked(Connect, "v1/pods:attach"), "-"),
        (rule(&["*"], "apps", "v1", &["pods"]), asked(Create, "v1/pods"), "-"),
        (rule(&["UPDATE", "DELETE"], "", "v1", &["pods"]), asked(Delete, "v1/pods"), "v1 Pod"),
    ];
    for (rule, asked, wanted) in table {
        assert_eq!(outcome(&ruled(rule.clone(), "Exact"), &asked), wanted, "{rule}");
    }
}

#[test]
fn scopes_tell_what_is_in_namespaces() {
    let all = |scope: &str| {
        let rule = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": scope});
        ruled(rule, "Exact")
    };
    let table = [
        ("*", "v1/pods", "v1 Pod"),
        ("*", "v1/nodes", "v1 Node"),
        ("Cluster", "v1/pods", "-"),
        ("Cluster", "v1/nodes", "v1 Node"),
        ("Cluster", "v1/namespaces", "v1 Namespace"),
        ("Namespaced", "v1/pods", "v1 Pod"),
        ("Namespaced", "v1/nodes", "-"),
        ("Namespaced", "v1/namespaces", "-"),
    ];
    for (scope, resource, wanted) in table {
        assert_eq!(outcome(&all(scope), &asked(Operation::Create, resource)), wanted, "{scope} {resource}");
    }
}

#[test]
fn equivalent_versions_and_names_of_the_same_objects_match_unless_exactness_is_asked() {
    let rule = |group: &str, version: &str, resource: &str| json!({"operations": ["*"], "apiGroups": [group], "apiVersions": [version], "resources": [resource]});
    let scalers = || rule("autoscaling", "v1", "horizontalpodautoscalers");
    let v2 = "autoscaling/v2/horizontalpodautoscalers";
    let v1 = "autoscaling/v1/horizontalpodautoscalers";
    let events = "events.k8s.io/v1/events";
    let table = [
        (scalers(), "Equivalent", v2, "autoscaling/v1 HorizontalPodAutoscaler"),
        (scalers(), "Equivalent", v1, "autoscaling/v1 HorizontalPodAutoscaler"),
        (scalers(), "Exact", v2, "-"),
        (rule("autoscaling", "v3", "horizontalpodautoscalers"), "Equivalent", v2, "-"),
        (rule("", "v1", "events"), "Equivalent", events, "v1 Event"),
        (rule("", "v1", "events"), "Exact", events, "-"),
        (rule("", "v1", "pods"), "Equivalent", events, "-"),
    ];
    for (rule, policy, resource, wanted) in table {
        let hook = ruled(rule.clone(), policy);
        assert_eq!(outcome(&hook, &asked(Operation::Create, resource)), wanted, "{rule} {policy}");
    }
}

#[test]
fn selectors_choose_namespaces_and_objects() {
    let all = json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]);
    let namespaces =
        |colour: &str| hook(json!({"rules": all, "namespaceSelector": {"matchLabels": {"colour": colour}}}));
    let objects =
        |colour: &str| hook(json!({"rules": all, "objectSelector": {"matchLabels": {"colour": colour}}}));
    let pod = || asked(Operation::Create, "v1/pods");
    let red = |asked: Asked| Asked { labels: Some(("colour", "red")), ..asked };
    let table = [
        (namespaces("red"), pod(), "v1 Pod"),
        (namespaces("blue"), pod(), "-"),
        (namespaces("blue"), Asked { namespace: "gone", ..pod() }, "namespaces \"gone\" not found"),
        // What is in no namespace is never exempted; a namespace is in itself.
        (namespaces("blue"), asked(Operation::Create, "v1/nodes"), "v1 Node"),
        (namespaces("red"), asked(Operation::Create, "v1/namespaces"), "-"),
        (namespaces("red"), red(asked(Operation::Create, "v1/namespaces")), "v1 Namespace"),
        (objects("red"), pod(), "-"),
        (objects("red"), red(pod()), "v1 Pod"),
        (objects("blue"), red(pod()), "-"),
    ];
    for (at, (hook, asked, wanted)) in table.into_iter().enumerate() {
        assert_eq!(outcome(&hook, &asked), wanted, "row {at}");
    }
    // Nobody minds what cannot be decided if the rules do not match anyway.
    let other = hook(json!({"rules": [], "namespaceSelector": {"matchLabels": {"colour": "red"}}}));
    assert_eq!(outcome(&other, &Asked { namespace: "gone", ..pod() }), "-");
}

#[test]
fn conditions_are_refused_and_fail_as_the_policy_says() {
    let all = json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]);
    let conditions = json!([{"name": "c", "expression": "true"}]);
    let with = |policy: &str| json!({"rules": all, "failurePolicy": policy, "matchConditions": conditions});
    let pod = asked(Operation::Create, "v1/pods");
    let why = "matchConditions are not supported yet";
    assert_eq!(outcome(&hook(with("Fail")), &pod), format!("pods \"x\" is forbidden: {why}"));
    assert_eq!(outcome(&hook(with("Ignore")), &pod), "-");

    let configuration = from_json(json!({"webhooks": [{"name": "a"}, with("Fail")]}));
    let row = |plural: &str| BUILT_IN.iter().find(|row| row.plural == plural).unwrap();
    let causes = faults(row("validatingwebhookconfigurations"), &configuration);
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].field, "webhooks[1].matchConditions");
    assert_eq!(causes[0].message, format!("Forbidden: {why}"));
    assert!(faults(row("configmaps"), &configuration).is_empty());
}

#[test]
fn configurations_are_exempt() {
    for (resource, exempt) in [
        ("admissionregistration.k8s.io/v1/validatingwebhookconfigurations", true),
        ("admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", true),
        ("v1/configmaps", false),
    ] {
        assert_eq!(with_attributes(&asked(Operation::Delete, resource), matching::is_exempt), exempt);
    }
}

#[test]
fn what_has_not_changed_is_not_compiled_again() {
    let configuration = |name: &str| value!({"metadata": {"name": name}, "webhooks": [{"name": "x.example.com"}, {"name": "x.example.com"}]});
    let mut world =
        World { configurations: vec![(configuration("a"), 5), (configuration("b"), 6)], ..World::default() };
    let source = Source::new(Phase::Mutating);
    let before = source.hooks(&world).unwrap();
    let uids: Vec<&str> = before.iter().map(|hook| hook.uid.as_str()).collect();
    assert_eq!(uids, ["a/x.example.com/0", "a/x.example.com/1", "b/x.example.com/0", "b/x.example.com/1"]);
    assert!(Arc::ptr_eq(&before, &source.hooks(&world).unwrap()));
    world.configurations[1].1 = 7;
    let after = source.hooks(&world).unwrap();
    assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[2], &after[2]));
    world.configurations.clear();
    assert!(source.hooks(&world).is_none());
}

#[test]
fn a_review_has_upstreams_fields() {
    let hook = ruled(
        json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}),
        "Exact",
    );
    let body = with_attributes(&asked(Operation::Create, "v1/pods"), |attributes| {
        let invocation = invocation(&hook, attributes, &World::default()).unwrap().unwrap();
        let objects = Objects { new: Some("{}".into()), old: None };
        review::request("v1", "u", &invocation, attributes, &objects)
    });
    let wanted = concat!(
        r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","#,
        r#""kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"#,
        r#""requestKind":{"group":"","version":"v1","kind":"Pod"},"#,
        r#""requestResource":{"group":"","version":"v1","resource":"pods"},"#,
        r#""name":"x","namespace":"red","operation":"CREATE","#,
        r#""userInfo":{"username":"jane","groups":["dev","system:authenticated"]},"#,
        r#""object":{},"oldObject":null,"dryRun":false,"options":null}}"#
    );
    assert_eq!(String::from_utf8_lossy(&body), wanted);
}

#[test]
fn answers_are_told_in_upstreams_words() {
    let answered = |response: serde_json::Value| {
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        review::answer("v1", "u", review.to_string().as_bytes())
    };
    let verdict = |response: serde_json::Value| {
        let outcome = answered(response).and_then(|mut answer| {
            let patch = answer.take_patch()?;
            answer.verdict("x.example.com").map(|()| patch)
        });
        match outcome {
            Ok(patch) => format!("ok {}", String::from_utf8_lossy(&patch.unwrap_or_default())),
            Err(super::Failure::Calling(why)) => why,
            Err(super::Failure::Refused(status)) => {
                format!("{} {} {}", status.code, status.reason, status.message)
            }
        }
    };
    let denied = "admission webhook \"x.example.com\" denied the request";
    let invalid = "received invalid webhook response:";
    let table = [
        (json!({"uid": "u", "allowed": true}), "ok ".to_owned()),
        (json!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch"}), "ok []".to_owned()),
        (json!({"uid": "u"}), format!("400  {denied} without explanation")),
        (json!({"uid": "u", "status": {"message": "no"}}), format!("400  {denied}: no")),
        (json!({"uid": "u", "status": {"reason": "Bad", "code": 200}}), format!("400 Bad {denied}: Bad")),
        (json!({"uid": "u", "status": {"message": "no", "code": 418}}), format!("418  {denied}: no")),
        (json!({"uid": "v"}), format!("{invalid} expected response.uid=\"u\", got \"v\"")),
        (json!(null), format!("{invalid} webhook response was absent")),
        (
            json!({"uid": "u", "allowed": true, "patch": "W10="}),
            format!("{invalid} webhook returned response.patch but not response.patchType"),
        ),
        (
            json!({"uid": "u", "allowed": true, "patchType": "JSONPatch"}),
            format!("{invalid} webhook returned response.patchType but not response.patch"),
        ),
        (
            json!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "Merge"}),
            "unsupported patch type \"Merge\"".to_owned(),
        ),
    ];
    for (response, wanted) in table {
        assert_eq!(verdict(response.clone()), wanted, "{response}");
    }
    let other = review::answer("v1", "u", br#"{"response":{"uid":"u","allowed":true}}"#).err();
    let Some(super::Failure::Calling(why)) = other else { panic!("{other:?}") };
    assert_eq!(
        why,
        format!(
            "{invalid} expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind="
        )
    );
}
