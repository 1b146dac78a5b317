//! Policies of labels, and what becomes of pods, workloads and namespaces. The rules themselves are held against upstream's
//! fixtures by the oracle.

use decapod_api::{Value, value};

use super::*;
use crate::admission::testing::{Request, World};
use crate::identity::User;

fn namespace(labels: &[(&str, &str)]) -> Value {
    let mut namespace = value!({"metadata": {"name": "ns"}});
    for (mode, value) in labels {
        namespace.set_at(&["metadata", "labels", &format!("pod-security.kubernetes.io/{mode}")], *value);
    }
    namespace
}

fn object(draft: &Value) -> Object {
    Object::new(serde_json::to_vec(draft).unwrap().into(), 3)
}

#[test]
fn labels_say_what_is_refused_and_warned_of() {
    let table: [(&[(&str, &str)], &str, usize); 9] = [
        (&[], "privileged:latest privileged:latest privileged:latest", 0),
        (&[("enforce", "baseline")], "baseline:latest privileged:latest baseline:latest", 0),
        (
            &[("enforce", "restricted"), ("enforce-version", "v1.24")],
            "restricted:v1.24 privileged:latest restricted:v1.24",
            0,
        ),
        (
            &[("enforce", "restricted"), ("warn-version", "v1.0")],
            "restricted:latest privileged:latest restricted:v1.0",
            0,
        ),
        (
            &[("enforce", "restricted"), ("warn", "privileged")],
            "restricted:latest privileged:latest privileged:latest",
            0,
        ),
        (&[("audit", "baseline")], "privileged:latest baseline:latest privileged:latest", 0),
        (
            &[("enforce", "x"), ("audit", "x"), ("warn", "x")],
            "restricted:latest privileged:latest privileged:latest",
            3,
        ),
        (&[("enforce-version", "v1.01")], "privileged:latest privileged:latest privileged:latest", 1),
        (
            &[("warn-version", "v2.1"), ("audit-version", "v1.")],
            "privileged:latest privileged:latest privileged:latest",
            2,
        ),
    ];
    for (labels, expected, faults) in table {
        let namespace = object(&namespace(labels));
        let (policy, causes) = PodSecurity::default().policy(&namespace);
        assert_eq!(format!("{} {} {}", policy.enforce, policy.audit, policy.warn), expected, "{labels:?}");
        assert_eq!(causes.len(), faults, "{labels:?}");
    }
}

#[test]
fn pods_are_refused_and_workloads_warned_of() {
    let world = World(vec![("namespaces", namespace(&[("enforce", "baseline"), ("warn", "restricted")]))]);
    let plugin = PodSecurity::default();
    let spec = value!({"hostNetwork": true, "containers": [{"name": "a", "image": "i"}]});
    let pod = value!({"metadata": {"name": "x"}, "spec": spec.clone()});
    let create = |pod: &Value| Request::create("", "pods", pod.clone());
    let refused = "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
    assert_eq!(create(&pod).validate(&plugin, &world), Err(refused.to_owned()));
    // What it was is not refused again, unless what runs in it changes.
    assert_eq!(create(&pod).over(pod.clone()).validate(&plugin, &world), Ok(vec![]));
    let mut other = pod.clone();
    other.set_at(&["spec", "containers"], value!([{"name": "a", "image": "j"}]));
    assert!(create(&other).over(pod.clone()).validate(&plugin, &world).is_err());
    assert_eq!(create(&pod).part("status").over(value!({})).validate(&plugin, &world), Ok(vec![]));

    let job = value!({"metadata": {"name": "x"}, "spec": {"template": {"spec": {
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true,
            "capabilities": {"add": ["NET_ADMIN"]}}}]}}}});
    let warned = "would violate PodSecurity \"restricted:latest\": unrestricted capabilities (container \"a\" must set \
        securityContext.capabilities.drop=[\"ALL\"]; container \"a\" must not include \"NET_ADMIN\" in \
        securityContext.capabilities.add)";
    let request = Request::create("batch", "jobs", job);
    assert_eq!(request.validate(&plugin, &world), Ok(vec![warned.to_owned()]));
}

#[test]
fn some_are_exempt() {
    let file = r#"{"defaults": {"enforce": "restricted"},
        "exemptions": {"usernames": ["root"], "runtimeClasses": ["kata"], "namespaces": ["trusted"]}}"#;
    let plugin = PodSecurity::new(serde_json::from_str::<File>(file).unwrap().try_into().unwrap());
    let world = World(vec![("namespaces", namespace(&[]))]);
    let mut pod = value!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a"}]}});
    let create = |pod: &Value| Request::create("", "pods", pod.clone());
    assert!(create(&pod).validate(&plugin, &world).is_err());
    assert_eq!(create(&pod).by(User::new("root", &[])).validate(&plugin, &world), Ok(vec![]));
    pod.set_at(&["spec", "runtimeClassName"], "kata");
    assert_eq!(create(&pod).validate(&plugin, &world), Ok(vec![]));

    let mut trusted = namespace(&[("enforce", "baseline"), ("warn", "privileged")]);
    trusted.set_at(&["metadata", "name"], "trusted");
    let ignored = "namespace \"trusted\" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored";
    let create = Request::create("", "namespaces", trusted);
    assert_eq!(create.validate(&plugin, &world), Ok(vec![ignored.to_owned()]));
    let faults = serde_json::from_str::<File>(
        r#"{"defaults": {"warn": "x", "audit-version": "1"}, "exemptions": {"usernames": ["", "a", "a"], "namespaces": ["A"]}}"#,
    );
    let faults = Configuration::try_from(faults.unwrap()).unwrap_err();
    let fields: Vec<&str> = faults.iter().map(|cause| cause.field.as_str()).collect();
    let expected = "defaults.warn defaults.audit-version exemptions.namespaces[0] exemptions.usernames[0] exemptions.usernames[2]";
    assert_eq!(fields.join(" "), expected);
}

#[test]
fn stricter_namespaces_tell_of_their_pods() {
    let pod = |name: &str, owner: &str, spec: Value| {
        let mut pod = value!({"metadata": {"name": name}, "spec": spec});
        if !owner.is_empty() {
            pod.set_at(&["metadata", "ownerReferences"], value!([{"uid": owner, "controller": true}]));
        }
        ("pods", pod)
    };
    let host = value!({"hostPID": true, "containers": [{"name": "a"}]});
    let privileged = value!({"containers": [{"name": "a", "securityContext": {"privileged": true}}]});
    let world = World(vec![
        pod("c", "1", host.clone()),
        pod("b", "1", host.clone()),
        pod("d", "2", host),
        pod("a", "", privileged),
        pod("fine", "", value!({"containers": [{"name": "a"}]})),
    ]);
    let change = |new: &[(&str, &str)], old: &[(&str, &str)]| {
        Request::create("", "namespaces", namespace(new))
            .over(namespace(old))
            .validate(&PodSecurity::default(), &world)
    };
    let told = change(&[("enforce", "baseline")], &[]).unwrap();
    let expected = [
        "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"",
        "a: privileged",
        "b (and 2 other pods): host namespaces",
    ];
    assert_eq!(told, expected);
    let nothing: Vec<String> = vec![];
    assert_eq!(change(&[("warn", "baseline")], &[]), Ok(nothing.clone()));
    assert_eq!(change(&[("enforce", "baseline")], &[("enforce", "restricted")]), Ok(nothing.clone()));
    let refused = "Namespace \"ns\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \
        \"x\": must be one of privileged, baseline, restricted";
    assert_eq!(change(&[("enforce", "x")], &[]), Err(refused.to_owned()));
    assert_eq!(change(&[("enforce", "x"), ("audit", "baseline")], &[("enforce", "x")]), Ok(nothing));
}
