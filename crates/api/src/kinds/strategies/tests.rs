//! Tables of what clients write and what is kept of it.

use super::of;
use crate::kinds::built_in;
use crate::value::Value;
use crate::{defaults, value};

/// `draft` with all defaults: the schema's, then the kind's.
pub fn defaulted(group: &str, plural: &str, mut draft: Value) -> Value {
    let resource = built_in(group, plural).expect("a built-in resource");
    let schema = crate::schema::Schema::builtin().type_of(resource.stored_kind()).expect("schema");
    defaults::apply(&mut draft, schema);
    resource.strategy.default(&mut draft);
    draft
}

#[test]
fn a_pod_gets_its_defaults() {
    let draft = value!({"metadata": {"name": "a"}, "spec": {
        "hostNetwork": true,
        "serviceAccount": "bot",
        "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}, {"name": "h", "hostPath": {"path": "/"}},
            {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
        "containers": [{
            "name": "c", "image": "nginx", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            "livenessProbe": {"httpGet": {"port": 80}},
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        }],
    }});
    let want = value!({"metadata": {"name": "a"}, "spec": {
        "hostNetwork": true, "serviceAccount": "bot", "serviceAccountName": "bot",
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {}, "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
        "volumes": [
            {"name": "v", "emptyDir": {}},
            {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
            {"name": "h", "hostPath": {"path": "/", "type": ""}},
            {"name": "p", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
        ],
        "containers": [{
            "name": "c", "image": "nginx", "imagePullPolicy": "Always",
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
            "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
        }],
    }});
    assert_eq!(defaulted("", "pods", draft), want);
}

/// What a template's spec gets when it says nothing.
fn template() -> Value {
    value!({"spec": {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
        "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30}})
}

#[test]
fn workloads_get_their_defaults() {
    let spec_of = |plural: &str, spec: Value| {
        let mut draft = Value::map();
        draft.set_at(&["spec"], spec);
        let group = match plural {
            "jobs" | "cronjobs" => "batch",
            _ => "apps",
        };
        let mut spec = defaulted(group, plural, draft).remove_at(&["spec"]).expect("spec");
        let path: &[&str] =
            if plural == "cronjobs" { &["jobTemplate", "spec", "template"] } else { &["template"] };
        assert_eq!(spec.remove_at(path), Some(template()), "{plural}");
        spec
    };
    for (plural, given, want) in [
        (
            "deployments",
            value!({}),
            value!({
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}),
        ),
        (
            "deployments",
            value!({"replicas": 0, "strategy": {"type": "Recreate"}}),
            value!({
            "replicas": 0, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {"type": "Recreate"}}),
        ),
        (
            "daemonsets",
            value!({}),
            value!({
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}),
        ),
        ("replicasets", value!({}), value!({"replicas": 1})),
        (
            "statefulsets",
            value!({}),
            value!({
            "replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}),
        ),
        (
            "jobs",
            value!({}),
            value!({
            "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
            "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": false}),
        ),
        (
            "jobs",
            value!({"parallelism": 2, "backoffLimitPerIndex": 1}),
            value!({
            "parallelism": 2, "backoffLimit": 2147483647, "backoffLimitPerIndex": 1, "completionMode": "NonIndexed",
            "suspend": false, "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": false}),
        ),
        (
            "cronjobs",
            value!({"schedule": "* * * * *"}),
            value!({
            "schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": false, "jobTemplate": {"spec": {}},
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}),
        ),
    ] {
        assert_eq!(spec_of(plural, given), want, "{plural}");
    }
}

#[test]
fn other_kinds_get_their_defaults() {
    for (group, plural, given, want) in [
        (
            "",
            "services",
            value!({"spec": {"ports": [{"port": 80}]}}),
            value!({"spec": {
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}]}}),
        ),
        (
            "",
            "services",
            value!({"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}}),
            value!({"spec": {
            "type": "LoadBalancer", "sessionAffinity": "ClientIP", "internalTrafficPolicy": "Cluster",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            "externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true}}),
        ),
        (
            "",
            "namespaces",
            value!({"metadata": {"name": "a"}}),
            value!({
            "metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}}, "status": {"phase": "Active"}}),
        ),
        (
            "",
            "limitranges",
            value!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1"}}]}}),
            value!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1"},
                "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1", "memory": "1"}}]}}),
        ),
        (
            "rbac.authorization.k8s.io",
            "rolebindings",
            value!({"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "User", "name": "u"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
            value!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}, "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "u"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
        ),
        (
            "networking.k8s.io",
            "networkpolicies",
            value!({"spec": {"egress": [{"ports": [{"port": 53}]}]}}),
            value!({"spec": {"policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}]}}),
        ),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            value!({"spec": {"names": {"kind": "CronTab", "plural": "crontabs"}, "versions": [{"name": "v1", "storage": true}]}}),
            value!({"spec": {"names": {"kind": "CronTab", "plural": "crontabs", "singular": "crontab", "listKind": "CronTabList"},
                "conversion": {"strategy": "None"}, "versions": [{"name": "v1", "storage": true}]},
                "status": {"storedVersions": ["v1"]}}),
        ),
        (
            "storage.k8s.io",
            "storageclasses",
            value!({}),
            value!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
        ),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            value!({"webhooks": [{"clientConfig": {"service": {"name": "s"}}, "rules": [{}]}]}),
            value!({"webhooks": [{"clientConfig": {"service": {"name": "s", "port": 443}}, "rules": [{"scope": "*"}],
                "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "timeoutSeconds": 10}]}),
        ),
    ] {
        assert_eq!(defaulted(group, plural, given), want, "{plural}");
    }
}

#[test]
fn a_pod_as_a_whole_asks_for_what_its_containers_do() {
    let draft = value!({"spec": {
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
        "initContainers": [
            {"name": "s", "image": "a:1", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "i", "image": "a:1", "resources": {"requests": {"cpu": "1500m"}}}],
        "containers": [{"name": "c", "image": "a:1", "resources": {"requests": {"cpu": "500m"}}}],
    }});
    let pod = defaulted("", "pods", draft);
    assert_eq!(pod.at(&["spec", "resources", "requests"]), Some(&value!({"cpu": "1600m", "memory": "1Gi"})));
}

#[test]
fn kinds_without_behaviour_are_plain() {
    let mut draft = value!({"spec": {"a": 1}});
    of("", "ConfigMap").default(&mut draft);
    assert_eq!(draft, value!({"spec": {"a": 1}}));
}

#[test]
fn hooks_that_say_yes_or_no_are_as_upstreams() {
    let names = |ask: fn(&dyn crate::kinds::Strategy) -> bool| -> Vec<String> {
        let yes = crate::kinds::BUILT_IN.iter().filter(|resource| ask(&*resource.strategy));
        let mut names: Vec<String> = yes.map(|resource| resource.plural.to_string()).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(
        names(|strategy| strategy.allow_create_on_update()),
        [
            "clusterrolebindings",
            "clusterroles",
            "endpoints",
            "events",
            "leases",
            "limitranges",
            "rolebindings",
            "roles",
            "runtimeclasses",
            "services"
        ]
    );
    assert_eq!(
        names(|strategy| !strategy.allow_unconditional_update()),
        [
            "apiservices",
            "csidrivers",
            "csinodes",
            "csistoragecapacities",
            "customresourcedefinitions",
            "leases",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "poddisruptionbudgets",
            "runtimeclasses",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
            "volumeattachments"
        ]
    );
    assert_eq!(
        names(|strategy| strategy.returns_deleted()),
        [
            "csidrivers",
            "csinodes",
            "deviceclasses",
            "namespaces",
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "podtemplates",
            "resourceclaims",
            "resourceclaimtemplates",
            "resourcequotas",
            "resourceslices",
            "serviceaccounts",
            "services",
            "storageclasses",
            "volumeattachments",
            "volumeattributesclasses"
        ]
    );
    assert_eq!(names(|strategy| strategy.default_orphan()), ["jobs", "replicationcontrollers"]);
    assert_eq!(names(|strategy| strategy.keeps_status_on_create()), ["nodes"]);
}

#[test]
fn new_objects_are_prepared() {
    for (group, plural, given, want) in [
        (
            "",
            "namespaces",
            value!({"metadata": {"name": "a"}}),
            value!({
            "metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        ),
        (
            "batch",
            "jobs",
            value!({"metadata": {"name": "j", "uid": "u"}, "spec": {"manualSelector": false}}),
            value!({
            "metadata": {"name": "j", "uid": "u", "labels": {"batch.kubernetes.io/controller-uid": "u",
                    "controller-uid": "u", "batch.kubernetes.io/job-name": "j", "job-name": "j"}},
            "spec": {"manualSelector": false,
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "u", "controller-uid": "u",
                    "batch.kubernetes.io/job-name": "j", "job-name": "j"}}}}}),
        ),
        (
            "apps",
            "daemonsets",
            value!({}),
            value!({
            "metadata": {"annotations": {"deprecated.daemonset.template.generation": "1"}}}),
        ),
        (
            "",
            "persistentvolumeclaims",
            value!({"spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "p"}}}),
            value!({"spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "p"},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "p"}}, "status": {"phase": "Pending"}}),
        ),
        (
            "",
            "persistentvolumeclaims",
            value!({"spec": {"dataSource": {"kind": "Other", "name": "p"}}}),
            value!({"spec": {}, "status": {"phase": "Pending"}}),
        ),
        (
            "",
            "serviceaccounts",
            value!({"secrets": [{"name": "s", "namespace": "n"}]}),
            value!({"secrets": [{"name": "s"}]}),
        ),
    ] {
        let mut draft = given;
        let strategy = &built_in(group, plural).expect("a built-in resource").strategy;
        strategy.prepare(&mut draft, None, crate::kinds::Verb::Create);
        assert_eq!(draft, want, "{plural}");
    }
}

#[test]
fn pods_take_the_time_they_need() {
    let pods = of("", "Pod");
    for (pod, want) in [
        (value!({"spec": {"terminationGracePeriodSeconds": 30}}), None),
        (value!({"spec": {"terminationGracePeriodSeconds": 30, "nodeName": "n"}}), Some(30)),
        (value!({"spec": {"terminationGracePeriodSeconds": 0, "nodeName": "n"}}), Some(0)),
        (value!({"spec": {"terminationGracePeriodSeconds": -5, "nodeName": "n"}}), Some(1)),
        (
            value!({"spec": {"terminationGracePeriodSeconds": 30, "nodeName": "n"}, "status": {"phase": "Failed"}}),
            None,
        ),
    ] {
        assert_eq!(pods.grace_period_seconds(&pod), want, "{pod:?}");
    }
}

#[test]
fn names_are_checked_by_kind() {
    for (group, plural, good, bad) in [
        ("", "namespaces", "kube-system", "a.b"),
        ("", "services", "1a", "a.b"),
        ("rbac.authorization.k8s.io", "clusterroles", "system:node", "a/b"),
        ("", "pods", "a.b", "A"),
        ("networking.k8s.io", "ipaddresses", "10.0.0.1", "010.0.0.1"),
        ("certificates.k8s.io", "certificatesigningrequests", "Any Thing", ""),
    ] {
        let strategy = &built_in(group, plural).expect("a built-in resource").strategy;
        assert!(strategy.check_name(good).is_empty(), "{plural} {good}");
        assert!(bad.is_empty() || !strategy.check_name(bad).is_empty(), "{plural} {bad}");
    }
}
