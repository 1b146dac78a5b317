#!/usr/bin/env python3
"""Compares the tables of two API servers: columns, and cells of the same objects made in both.

    kubectl --kubeconfig upstream.kubeconfig proxy --port 8101 &
    kubectl --kubeconfig decapod.kubeconfig proxy --port 8102 &
    tables.py http://127.0.0.1:8101 http://127.0.0.1:8102

The objects go into the namespace `tables`. Descriptions are ours and not compared; ages are compared by their shape.
What controllers write, and the servers' own addresses, differ where they do.
Prints the differences; the exit code says whether there are any. KNOWN has those that are listed.
"""
import json
import re
import sys
import urllib.error
import urllib.request

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
# (path, column) whose cells differ, and why.
KNOWN = {
    ("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", "MissingPL"): "flow control is not built in yet",
    ("/apis/apiregistration.k8s.io/v1/apiservices", "Available"): "aggregation is not built in yet",
    ("/apis/autoscaling/v1/horizontalpodautoscalers", "Targets"): "ours shows metrics in the order of a way through this version, and back",
}
AGE = re.compile(r"\d+[smhdy](\d+[smhd])?$")
TIME = re.compile(r"\d{4}-\d\d-\d\dT")
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CONTAINER = {"name": "c", "image": "i"}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER, {"name": "d", "image": "j"}]}}
SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "a"]}]}
META = {"kind": "Deployment", "apiVersion": "apps/v1", "name": "d"}


def terminated(code, **more):
    return {"terminated": {"exitCode": code, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T01:00:00Z", **more}}


def status_of(name, state, **more):
    return {"name": name, "image": "i", "imageID": "", "ready": "running" in state, "restartCount": 0, "state": state, "lastState": {}, **more}


def pod(name, spec=None, status=None):
    return ("api/v1", "pods", name, {"spec": {"containers": [CONTAINER], **(spec or {})}}, status or {})


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
SIDECAR = {"name": "s", "image": "i", "restartPolicy": "Always"}
READY = [{"type": "Ready", "status": "True"}]
# (path of the group version, resource, name, object, status)
OBJECTS = [
    pod("pending"),
    pod("evicted", {}, {"phase": "Failed", "reason": "Evicted"}),
    pod("running", {"readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}]}, {
        "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": READY + [{"type": "x", "status": "True"}],
        "containerStatuses": [status_of("c", RUNNING, restartCount=2, lastState=terminated(1))]}),
    pod("crashing", {}, {"phase": "Running", "containerStatuses": [status_of("c", {"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=7)]}),
    pod("completed", {}, {"phase": "Succeeded", "containerStatuses": [status_of("c", terminated(0, reason="Completed"))]}),
    pod("signalled", {}, {"phase": "Failed", "containerStatuses": [status_of("c", terminated(137, signal=9))]}),
    pod("half", {"containers": [CONTAINER, {"name": "d", "image": "i"}]}, {
        "phase": "Running", "containerStatuses": [status_of("c", terminated(0, reason="Completed")), status_of("d", RUNNING)]}),
    pod("init", {"initContainers": [{"name": "i", "image": "i"}, {"name": "j", "image": "i"}]}, {
        "phase": "Pending", "initContainerStatuses": [status_of("i", terminated(0)), status_of("j", RUNNING)],
        "containerStatuses": [status_of("c", {"waiting": {"reason": "PodInitializing"}})]}),
    pod("init-fails", {"initContainers": [{"name": "i", "image": "i"}]}, {
        "phase": "Pending", "initContainerStatuses": [status_of("i", terminated(3), restartCount=1)]}),
    pod("sidecar", {"initContainers": [SIDECAR]}, {
        "phase": "Running", "initContainerStatuses": [status_of("s", RUNNING, started=True, restartCount=1, lastState=terminated(1))],
        "containerStatuses": [status_of("c", RUNNING)]}),
    pod("gated", {"schedulingGates": [{"name": "x/y"}]}, {
        "phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
    ("api/v1", "podtemplates", "a", {"template": TEMPLATE}, None),
    ("api/v1", "nodes", "a", {"metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/master": "", "kubernetes.io/role": "x"}},
                              "spec": {"unschedulable": True}}, {
        "conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1", "osImage": "Linux", "kernelVersion": "6", "architecture": "amd64", "containerRuntimeVersion": "c://2",
                     "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "", "operatingSystem": ""}}),
    ("api/v1", "nodes", "b", {}, {"conditions": [{"type": "Ready", "status": "Unknown"}]}),
    ("api/v1", "replicationcontrollers", "a", {"spec": {"replicas": 2, "selector": {"a": "b"}, "template": TEMPLATE}}, {"replicas": 1}),
    ("apps/v1", "replicasets", "a", {"spec": {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}}, {"replicas": 1, "readyReplicas": 1}),
    ("apps/v1", "deployments", "a", {"spec": {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}}, {"replicas": 2, "updatedReplicas": 1}),
    ("apps/v1", "statefulsets", "a", {"spec": {"replicas": 2, "serviceName": "s", "selector": SELECTOR, "template": TEMPLATE}}, {"replicas": 2, "readyReplicas": 1}),
    ("apps/v1", "daemonsets", "a", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}, {
        "currentNumberScheduled": 1, "numberMisscheduled": 0, "desiredNumberScheduled": 3, "numberReady": 2}),
    ("apps/v1", "controllerrevisions", "a", {"revision": 3, "data": {}, "metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u", "controller": True}]}}, None),
    ("batch/v1", "jobs", "a", {"spec": {"completions": 3, "template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}}, {
        "startTime": "2026-01-01T00:00:00Z", "succeeded": 1}),
    ("batch/v1", "jobs", "b", {"spec": {"suspend": True, "parallelism": 4, "template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}}, {
        "conditions": [{"type": "Suspended", "status": "True"}]}),
    ("batch/v1", "cronjobs", "a", {"spec": {"schedule": "@daily", "timeZone": "Etc/UTC", "jobTemplate": {
        "spec": {"template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}}}}, {
        "lastScheduleTime": "2026-01-01T00:00:00Z", "active": [{"kind": "Job", "name": "j"}]}),
    ("autoscaling/v2", "horizontalpodautoscalers", "a", {"spec": {"scaleTargetRef": META, "minReplicas": 1, "maxReplicas": 5, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
        {"type": "Pods", "pods": {"metric": {"name": "p"}, "target": {"type": "AverageValue", "averageValue": "1k"}}},
        {"type": "External", "external": {"metric": {"name": "e"}, "target": {"type": "Value", "value": "7"}}}]}}, {
        "currentReplicas": 2, "desiredReplicas": 2, "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 20, "averageValue": "5m"}}}]}),
    ("policy/v1", "poddisruptionbudgets", "a", {"spec": {"minAvailable": 2, "selector": SELECTOR}}, {
        "disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3}),
    ("policy/v1", "poddisruptionbudgets", "b", {"spec": {"maxUnavailable": "50%"}}, None),
    ("api/v1", "services", "a", {"spec": {"selector": {"a": "b"}, "type": "ExternalName", "externalName": "example.com"}}, None),
    ("api/v1", "services", "b", {"spec": {"clusterIP": "None", "ports": [{"port": 80}, {"name": "u", "port": 53, "protocol": "UDP"}][:1]}}, None),
    ("api/v1", "endpoints", "a", {"subsets": [{"addresses": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.2"}], "ports": [{"name": "x", "port": 80}, {"name": "y", "port": 81}]}]}, None),
    ("api/v1", "endpoints", "none", {}, None),
    ("discovery.k8s.io/v1", "endpointslices", "a", {"addressType": "IPv4", "ports": [{"name": "x", "port": 80}, {"name": "y"}],
                                                    "endpoints": [{"addresses": ["1.1.1.1"]}, {"addresses": ["1.1.1.2"]}, {"addresses": ["1.1.1.3"]}, {"addresses": ["1.1.1.4"]}]}, None),
    ("networking.k8s.io/v1", "ingresses", "a", {"spec": {"ingressClassName": "c", "tls": [{"secretName": "s"}], "rules": [
        {"host": f"{h}.example.com"} for h in "abcde"], "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}, {
        "loadBalancer": {"ingress": [{"ip": "1.1.1.2"}, {"ip": "1.1.1.1"}, {"hostname": "h"}]}}),
    ("networking.k8s.io/v1", "ingressclasses", "tables", {"metadata": {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
                                                     "spec": {"controller": "x/y", "parameters": {"kind": "K", "apiGroup": "g.io", "name": "n"}}}, None),
    ("networking.k8s.io/v1", "networkpolicies", "a", {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, None),
    ("api/v1", "persistentvolumes", "tables", {"spec": {"capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "hostPath": {"path": "/x"},
                                                   "claimRef": {"namespace": "n", "name": "c"}, "storageClassName": "s"}}, {"phase": "Bound"}),
    ("api/v1", "persistentvolumeclaims", "a", {"spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "v", "resources": {"requests": {"storage": "1Gi"}}}}, {
        "phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}),
    ("api/v1", "persistentvolumeclaims", "b", {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}, None),
    ("storage.k8s.io/v1", "storageclasses", "tables", {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"}, None),
    ("storage.k8s.io/v1", "csidrivers", "tables", {"spec": {"tokenRequests": [{"audience": "x"}, {"audience": "y"}]}}, None),
    ("storage.k8s.io/v1", "csinodes", "tables", {"spec": {"drivers": [{"name": "d", "nodeID": "n"}]}}, None),
    ("storage.k8s.io/v1", "volumeattachments", "tables", {"spec": {"attacher": "x", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}, {"attached": True}),
    ("storage.k8s.io/v1", "volumeattributesclasses", "tables", {"driverName": "d", "parameters": {"a": "b"}}, None),
    ("storage.k8s.io/v1", "csistoragecapacities", "a", {"storageClassName": "s"}, None),
    ("api/v1", "configmaps", "a", {"data": {"x": "1"}, "binaryData": {"y": "eA=="}}, None),
    ("api/v1", "secrets", "a", {"stringData": {"x": "1"}, "type": "example.com/x"}, None),
    ("api/v1", "limitranges", "a", {"spec": {"limits": []}}, None),
    ("api/v1", "resourcequotas", "a", {"spec": {"hard": {"pods": "50", "limits.cpu": "90"}}}, {
        "hard": {"pods": "50", "limits.cpu": "90"}, "used": {"pods": "3", "limits.cpu": "500m"}}),
    ("api/v1", "events", "a", {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "tables", "fieldPath": "spec.x"}, "reason": "Started", "message": " m\n",
                              "source": {"component": "k", "host": "n"}, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-02T00:00:00Z", "count": 3, "type": "Normal"}, None),
    ("events.k8s.io/v1", "events", "b", {"regarding": {"kind": "Pod", "name": "p", "namespace": "tables"}, "reason": "r", "note": "n", "action": "a", "type": "Warning",
                                        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x/y", "reportingInstance": "i"}, None),
    ("rbac.authorization.k8s.io/v1", "roles", "a", {"rules": []}, None),
    ("rbac.authorization.k8s.io/v1", "rolebindings", "a", {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}, "subjects": [
        {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
        {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"}]}, None),
    ("coordination.k8s.io/v1", "leases", "a", {"spec": {"holderIdentity": "h"}}, None),
    ("node.k8s.io/v1", "runtimeclasses", "tables", {"handler": "h"}, None),
    ("scheduling.k8s.io/v1", "priorityclasses", "tables", {"value": 7, "preemptionPolicy": "Never"}, None),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "tables", {"spec": {"paramKind": {"apiVersion": "g.io/v1", "kind": "K"}, "validations": [{"expression": "true"}],
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nosuch"]}]}}}, None),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", "tables", {"spec": {"policyName": "tables", "validationActions": ["Audit"], "paramRef": {
        "parameterNotFoundAction": "Allow", "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]}}}}, None),
    ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "tables", {"webhooks": []}, None),
    ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "tables", {}, None),
    ("resource.k8s.io/v1", "deviceclasses", "tables", {"spec": {}}, None),
    ("resource.k8s.io/v1", "resourceclaims", "a", {"spec": {"devices": {}}}, None),
    ("resource.k8s.io/v1", "resourceslices", "tables", {"spec": {"driver": "d.io", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}}, None),
    ("apiregistration.k8s.io/v1", "apiservices", "v1.tables.example.com", {"spec": {"group": "tables.example.com", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 10,
        "insecureSkipTLSVerify": True, "service": {"namespace": "n", "name": "s"}}}, None),
    ("flowcontrol.apiserver.k8s.io/v1", "flowschemas", "tables", {"spec": {"priorityLevelConfiguration": {"name": "global-default"}, "matchingPrecedence": 777,
        "distinguisherMethod": {"type": "ByUser"}}}, None),
]


class Server:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def ask(self, method, path, body=None, accept="application/json", content="application/json"):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Accept": accept, "Content-Type": content}, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read()
            # What is there from the last time counts against the quota that it made.
            if error.code in (404, 409) or b"failed quota" in text:
                return None
            print(f"{self.url} {method} {path}: {error.code} {text[:300].decode(errors='replace')}")
            return None

    def resources(self):
        """(path, resource, namespaced, kind) of all that can be listed."""
        versions = ["api/v1"]
        for group in self.ask("GET", "/apis")["groups"]:
            versions += [f"apis/{version['groupVersion']}" for version in group["versions"]]
        for version in versions:
            for resource in (self.ask("GET", f"/{version}") or {"resources": []})["resources"]:
                if "/" not in resource["name"] and "list" in resource["verbs"]:
                    yield version, resource["name"], resource["namespaced"], resource["kind"]


def make(server, kinds):
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "tables"}})
    server.ask("POST", "/api/v1/namespaces/tables/serviceaccounts", {"metadata": {"name": "default"}})
    for version, resource, name, body, status in OBJECTS:
        path = version if version.startswith("api/") else f"apis/{version}"
        namespaced, kind = kinds[path, resource]
        base = f"/{path}/namespaces/tables/{resource}" if namespaced else f"/{path}/{resource}"
        body = {**body, "kind": kind, "apiVersion": path.split("/", 1)[1]}
        body["metadata"] = {**body.get("metadata", {}), "name": name}
        server.ask("POST", base, body)
        if status:
            server.ask("PATCH", f"{base}/{name}/status", {"status": status}, content="application/merge-patch+json")


def table(server, path):
    return server.ask("GET", path, accept=TABLE) or {"columnDefinitions": [], "rows": []}


def columns(table):
    return [(c["name"], c["type"], c["format"], c["priority"]) for c in table["columnDefinitions"]]


def rows(table, path):
    # Cells beyond the columns are shown by no client.
    width = len(table["columnDefinitions"])
    known = [at for at, column in enumerate(table["columnDefinitions"]) if (path, column["name"]) in KNOWN]

    def cell(value):
        if not isinstance(value, str):
            return value
        # The servers' own ports, in their endpoints.
        value = re.sub(r"(^|:)\d{5}$", r"\1PORT", value)
        return "AGE" if AGE.match(value) or TIME.match(value) else UID.sub("UID", value)

    show = lambda row: (["KNOWN" if at in known else cell(value) for at, value in enumerate(row["cells"][:width])], row.get("conditions"), row["object"]["kind"])
    return {(row["object"]["metadata"].get("namespace", ""), row["object"]["metadata"]["name"]): show(row) for row in table["rows"] or []}


def main():
    upstream, ours = Server(sys.argv[1]), Server(sys.argv[2])
    resources = list(upstream.resources())
    kinds = {(version, name): (namespaced, kind) for version, name, namespaced, kind in resources}
    for server in (upstream, ours):
        make(server, kinds)
    different = compared = 0
    for version, name, _, _ in resources:
        path = f"/{version}/{name}"
        theirs, own = table(upstream, path), table(ours, path)
        if columns(theirs) != columns(own):
            different += 1
            print(f"{path}: columns\n  upstream {columns(theirs)}\n  ours     {columns(own)}")
        theirs, own = rows(theirs, path), rows(own, path)
        for key in sorted(theirs.keys() & own.keys()):
            compared += 1
            if theirs[key] != own[key]:
                different += 1
                print(f"{path} {key}\n  upstream {theirs[key]}\n  ours     {own[key]}")
        for key in sorted(theirs.keys() ^ own.keys()):
            if key[0] == "tables" or key[1] == "tables":
                print(f"{path} {key}: only {'upstream' if key in theirs else 'ours'}")
    print(f"{len(resources)} resources and {compared} rows compared, {different} differ")
    sys.exit(different > 0)


main()
