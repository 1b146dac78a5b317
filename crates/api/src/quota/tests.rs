//! What objects count for, as tables.

use super::*;
use crate::value;

fn usage(group: &str, plural: &str, object: Value) -> String {
    print(&Evaluator::of(group, plural).usage(&object, "2024-01-01T00:00:00Z".parse().unwrap()))
}

#[test]
fn objects_count() {
    let container = |requests: &str, limits: &str| value!({"name": "c", "resources": {"requests": {"cpu": requests}, "limits": {"cpu": limits}}});
    for (object, expected) in [
        (value!({"spec": {"containers": [{"name": "c"}]}}), "count/pods=1,pods=1"),
        (
            value!({"spec": {"containers": [container("1", "2"), container("500m", "1")]}}),
            "count/pods=1,cpu=1500m,limits.cpu=3,pods=1,requests.cpu=1500m",
        ),
        (
            value!({"spec": {"containers": [container("1", "2")], "initContainers": [container("3", "3")]}}),
            "count/pods=1,cpu=3,limits.cpu=3,pods=1,requests.cpu=3",
        ),
        (
            value!({"spec": {"containers": [container("1", "2")], "overhead": {"cpu": "1", "memory": "1Gi"},
                "initContainers": [{"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}]}}),
            "count/pods=1,cpu=3,limits.cpu=3,memory=1Gi,pods=1,requests.cpu=3,requests.memory=1Gi",
        ),
        (
            value!({"spec": {"containers": [{"resources": {"requests": {"nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi"}}}]}}),
            "count/pods=1,hugepages-2Mi=4Mi,pods=1,requests.hugepages-2Mi=4Mi,requests.nvidia.com/gpu=2",
        ),
        (
            value!({"spec": {"containers": [container("1", "1")]}, "status": {"containerStatuses": [
                {"name": "c", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "3"}}]}}),
            "count/pods=1,cpu=3,limits.cpu=1,pods=1,requests.cpu=3",
        ),
        (
            value!({"spec": {"containers": [container("1", "1")]}, "status": {"phase": "Failed"}}),
            "count/pods=1",
        ),
        (
            value!({"metadata": {"deletionTimestamp": "2023-12-31T23:59:00Z", "deletionGracePeriodSeconds": 30}}),
            "count/pods=1",
        ),
    ] {
        assert_eq!(usage("", "pods", object.clone()), expected, "{object:?}");
    }
    for (object, expected) in [
        (
            value!({"spec": {"type": "NodePort", "ports": [{}, {}]}}),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2",
        ),
        (
            value!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"nodePort": 3}, {}]}}),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1",
        ),
    ] {
        assert_eq!(usage("", "services", object), expected);
    }
    assert_eq!(
        usage(
            "",
            "persistentvolumeclaims",
            value!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}})
        ),
        "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi"
    );
    assert_eq!(usage("", "secrets", value!({})), "count/secrets=1,secrets=1");
    assert_eq!(usage("apps", "deployments", value!({})), "count/deployments.apps=1");
}

#[test]
fn names_lead_to_what_counts() {
    let table = [
        ("pods", Some(Evaluator::Pods)),
        ("requests.nvidia.com/gpu", Some(Evaluator::Pods)),
        ("requests.storage", Some(Evaluator::Claims)),
        ("gold.storageclass.storage.k8s.io/requests.storage", Some(Evaluator::Claims)),
        ("services.nodeports", Some(Evaluator::Services)),
        ("configmaps", Some(Evaluator::of("", "configmaps"))),
        ("count/configmaps", Some(Evaluator::of("", "configmaps"))),
        ("count/pods", Some(Evaluator::Pods)),
        ("count/jobs.batch", Some(Evaluator::of("batch", "jobs"))),
        ("example.com/x", None),
    ];
    for (name, expected) in table {
        assert_eq!(Evaluator::of_name(name), expected, "{name}");
        if let Some(evaluator) = expected {
            assert!(evaluator.limits(name), "{name}");
        }
    }
}

#[test]
fn scopes_select() {
    let best = value!({"spec": {"containers": [{"name": "c"}]}});
    let ends = value!({"spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high", "containers": [{"resources": {"requests": {"cpu": "1"}}}],
        "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"namespaces": ["x"]}}]}}}});
    for (scope, of_best, of_ends) in [
        ("BestEffort", true, false),
        ("NotBestEffort", false, true),
        ("Terminating", false, true),
        ("NotTerminating", true, false),
        ("PriorityClass", false, true),
        ("CrossNamespacePodAffinity", false, true),
    ] {
        let quota = value!({"spec": {"scopes": [scope]}});
        assert_eq!(Evaluator::Pods.is_in(&scopes(&quota), &best), of_best, "{scope}");
        assert_eq!(Evaluator::Pods.is_in(&scopes(&quota), &ends), of_ends, "{scope}");
        assert!(!Evaluator::Services.is_in(&scopes(&quota), &best), "{scope}");
    }
    for (operator, values, of_best, of_ends) in [
        ("In", value!(["high"]), false, true),
        ("NotIn", value!(["high"]), true, false),
        ("Exists", value!([]), false, true),
        ("DoesNotExist", value!([]), true, false),
    ] {
        let mut quota = value!({"spec": {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator}]}}});
        quota.at_mut(&["spec", "scopeSelector", "matchExpressions"]).unwrap().as_list_mut().unwrap()[0]
            .set_at(&["values"], values);
        assert_eq!(Evaluator::Pods.is_in(&scopes(&quota), &best), of_best, "{operator}");
        assert_eq!(Evaluator::Pods.is_in(&scopes(&quota), &ends), of_ends, "{operator}");
    }
}

#[test]
fn containers_say_what_is_limited() {
    let pod = value!({"spec": {"containers": [{"name": "b", "resources": {"requests": {"cpu": "1"}}}, {"name": "a"}]}});
    let why = Evaluator::Pods.check(&["pods", "requests.cpu", "limits.memory"], &pod);
    assert_eq!(why, Err("must specify limits.memory for: a,b; requests.cpu for: a".to_owned()));
    assert_eq!(Evaluator::Pods.check(&["pods"], &pod), Ok(()));
}

#[test]
fn amounts_are_reckoned_with() {
    let of = |text: &str| -> Amounts {
        text.split(',')
            .map(|part| part.split_once('=').unwrap())
            .map(|(n, q)| (n.to_owned(), crate::quantity::Quantity::parse(q).unwrap()))
            .collect()
    };
    let mut sum = of("cpu=1,pods=2");
    add(&mut sum, &of("cpu=500m,memory=1Gi"));
    assert_eq!(print(&sum), "cpu=1500m,memory=1Gi,pods=2");
    assert_eq!(print(&subtract(&of("cpu=1,pods=2"), &of("cpu=2,pods=1"))), "cpu=0,pods=1");
    assert_eq!(exceeding(&of("cpu=2,pods=2"), &of("cpu=1,memory=1")), ["cpu"]);
    assert_eq!(print(&masked(&sum, &["pods"])), "pods=2");
    assert_eq!(print(&read(Some(&write(&sum)))), print(&sum));
}
