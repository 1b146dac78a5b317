#!/usr/bin/env bash
# Aggregation: upstream's sample API server, and an old one of our own (tests/aggregation/server.py), behind services of an
# API server alone, in a network namespace of the test's own.
set -euo pipefail
if [ -z "${DECAPOD_TEST_INSIDE:-}" ]; then
  exec env DECAPOD_TEST_INSIDE=1 unshare --net "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
# No endpoint may be on loopback.
ADDRESS=192.0.2.10
ip link set lo up
ip address add "$ADDRESS/32" dev lo

SAMPLE=$("$ROOT/conformance/upstream/build.sh" sample-apiserver)
ETCD=$("$ROOT/conformance/upstream/build.sh" etcd)
# What kubectl remembers of servers at this address.
export KUBECACHEDIR=$WORK/cache
start_apiserver "$WORK/api" 16640
CONFIG=$WORK/api/admin.kubeconfig
k() { timeout 20 "$KUBECTL" --kubeconfig "$CONFIG" "$@"; }
SERVER=$(k config view -o 'jsonpath={.clusters[0].cluster.server}')

# What the server registers itself.
expect "its own groups" "v1.apps" k get apiservices --no-headers
expect "are local" "Local" bash -c "'$KUBECTL' --kubeconfig '$CONFIG' get apiservice v1.apps"
expect "and available" '17800 15 onstart Local' k get apiservice v1.apps \
  -o 'jsonpath={.spec.groupPriorityMinimum} {.spec.versionPriority} {.metadata.labels.*} {.status.conditions[0].reason}'
managed() { k get apiservices -l kube-aggregator.kubernetes.io/automanaged="$1" -o name; }
[ "$(managed onstart | wc -l)" -eq 21 ] || fail "$(managed onstart | wc -l) APIServices of its own"
k apply -f - >/dev/null <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ducks.pond.example.com}
spec:
  group: pond.example.com
  scope: Namespaced
  names: {plural: ducks, singular: duck, kind: Duck, listKind: DuckList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
YAML
eventually 5 "a custom resource's APIService" k get apiservice v1.pond.example.com
expect "with its priority" "1000 100 true" k get apiservice v1.pond.example.com \
  -o 'jsonpath={.spec.groupPriorityMinimum} {.spec.versionPriority} {.metadata.labels.*}'
check "a change of it" k patch apiservice v1.pond.example.com --type=merge -p '{"spec":{"versionPriority":7}}'
eventually 5 "is undone" bash -c "[ \$('$KUBECTL' --kubeconfig '$CONFIG' get apiservice v1.pond.example.com -o 'jsonpath={.spec.versionPriority}') = 100 ]"
check "a deletion of it" k delete apiservice v1.pond.example.com
eventually 5 "too" k get apiservice v1.pond.example.com
k delete crd ducks.pond.example.com >/dev/null
eventually 5 "and it goes with its definition" bash -c "! '$KUBECTL' --kubeconfig '$CONFIG' get apiservice v1.pond.example.com"

# Upstream's sample API server.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=ca -keyout "$WORK/ca.key" -out "$WORK/ca" 2>/dev/null
issue() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" -keyout "$WORK/$1.key" -out "$WORK/$1.csr" 2>/dev/null
  openssl x509 -req -in "$WORK/$1.csr" -CA "$WORK/ca" -CAkey "$WORK/ca.key" -days 2 -out "$WORK/$1.crt" \
    -extfile <(echo "subjectAltName=DNS:$1.wardle.svc") 2>/dev/null
}
issue api
issue echo
"$ETCD" --data-dir "$WORK/etcd" --listen-client-urls http://127.0.0.1:16641 --advertise-client-urls http://127.0.0.1:16641 \
  --listen-peer-urls http://127.0.0.1:16642 >"$WORK/etcd.log" 2>&1 &
STARTED+=("$!")
echo '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}' >"$WORK/policy"
"$SAMPLE" --etcd-servers=http://127.0.0.1:16641 --secure-port=16643 --bind-address="$ADDRESS" --kubeconfig="$CONFIG" \
  --authentication-kubeconfig="$CONFIG" --authorization-kubeconfig="$CONFIG" --tls-cert-file="$WORK/api.crt" \
  --tls-private-key-file="$WORK/api.key" --audit-log-path="$WORK/audit" --audit-policy-file="$WORK/policy" >"$WORK/sample.log" 2>&1 &
SAMPLE_PID=$!
STARTED+=("$SAMPLE_PID")

# What keeps it from being available, one after the other.
k create namespace wardle >/dev/null
registration() { # fields of the spec
  k apply -f - <<JSON
{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1alpha1.wardle.example.com"}, "spec": {
  "group": "wardle.example.com", "version": "v1alpha1", "groupPriorityMinimum": 2000, "versionPriority": 200,
  "service": {"namespace": "wardle", "name": "api"}, $1}}
JSON
}
is() { # reason and message
  eventually "${3:-10}" "$1" bash -c "'$KUBECTL' --kubeconfig '$CONFIG' get apiservice v1alpha1.wardle.example.com -o 'jsonpath={.status.conditions[0].status} {.status.conditions[0].reason} {.status.conditions[0].message}' | grep -F '$1 $2'"
}
service() { # service port
  k apply -f - >/dev/null <<JSON
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "wardle"}, "spec": {"ports": [{"port": $1, "protocol": "TCP"}]}}
JSON
}
slice() { # name, address, port, ready
  k apply -f - >/dev/null <<JSON
{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "$1", "namespace": "wardle",
  "labels": {"kubernetes.io/service-name": "$1"}}, "addressType": "IPv4",
  "endpoints": [{"addresses": ["$2"], "conditions": {"ready": $4}}], "ports": [{"name": "", "port": $3, "protocol": "TCP"}]}
JSON
}
refuses "nothing is there yet" "the server doesn't have a resource type" k get flunders
registration "\"caBundle\": \"$(base64 -w0 "$WORK/ca")\"" >/dev/null
is "False ServiceNotFound" 'service/api in "wardle" is not present'
expect "as kubectl prints it" "False (ServiceNotFound)" k get apiservice v1alpha1.wardle.example.com
refuses "nor is what it serves" "the server is currently unable to handle the request" k get --raw /apis/wardle.example.com/v1alpha1
freshness() { # of the version, as aggregated discovery has it
  curl -s --cacert "$WORK/api/pki/ca.crt" --cert "$WORK/api/pki/admin.crt" --key "$WORK/api/pki/admin.key" \
    -H 'Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' "$SERVER/apis" >"$WORK/discovery"
  python3 - "$WORK/discovery" <<'PY'
import json, sys
for group in json.load(open(sys.argv[1]))["items"]:
    for version in group["versions"]:
        if group["metadata"]["name"] == "wardle.example.com":
            print(version["freshness"], *[resource["resource"] for resource in version.get("resources", [])])
PY
}
[ "$(freshness)" = "Stale" ] || fail "what cannot be asked is $(freshness)"
service 80
is "False ServicePortError" 'service/api in "wardle" is not listening on port 443'
service 443
is "False EndpointsNotFound" 'cannot find endpointslices for service/api in "wardle"'
slice api "$ADDRESS" 16643 false
is "False MissingEndpoints" 'endpointslices for service/api in "wardle" have no addresses with port name ""'
slice api "$ADDRESS" 9 true
is "False FailedDiscoveryCheck" "failing or missing response from https://$ADDRESS:9/apis/wardle.example.com/v1alpha1: Get \"https://$ADDRESS:9/apis/wardle.example.com/v1alpha1\": dial tcp $ADDRESS:9: connect: connection refused"
eventually 30 "the sample API server is up" curl -sk --fail "https://$ADDRESS:16643/readyz"
slice api "$ADDRESS" 16643 true
is "True Passed" "all checks passed"
registration "\"caBundle\": \"$(base64 -w0 "$WORK/api/pki/ca.crt")\"" >/dev/null
is "False FailedDiscoveryCheck" "failing or missing response from https://$ADDRESS:16643/apis/wardle.example.com/v1alpha1: Get \"https://$ADDRESS:16643/apis/wardle.example.com/v1alpha1\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
registration '"caBundle": null, "insecureSkipTLSVerify": true' >/dev/null
is "True Passed" "all checks passed"
registration "\"insecureSkipTLSVerify\": false, \"caBundle\": \"$(base64 -w0 "$WORK/ca")\"" >/dev/null
is "True Passed" "all checks passed"

# What it serves, through us.
[ "$(freshness)" = "Current fischers flunders" ] || fail "what is there is $(freshness)"
expect "its resources" "wardle.example.com/v1alpha1   true         Flunder" k api-resources --api-group=wardle.example.com
expect "its group" '"preferredVersion":{"groupVersion":"wardle.example.com/v1alpha1"' k get --raw /apis/wardle.example.com
expect "its place" "v1alpha1.wardle.example.com" k get apiservices --sort-by=.spec.groupPriorityMinimum
flunder() {
  k apply -f - <<JSON
{"apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder", "metadata": {"name": "$1", "namespace": "default"}, "spec": {"reference": "$2"}}
JSON
}
"$KUBECTL" --kubeconfig "$CONFIG" get flunders --watch --no-headers >"$WORK/watched" 2>&1 &
STARTED+=("$!")
expect "create" "created" flunder one two
expect "apply again" "unchanged" flunder one two
expect "a change" "configured" flunder one three
expect "get" "three" k get flunder one -o 'jsonpath={.spec.reference}'
expect "a table" "NAME   CREATED AT" k get flunders
k create -f - >/dev/null <<'JSON'
{"apiVersion": "wardle.example.com/v1alpha1", "kind": "Fischer", "metadata": {"name": "strict"}, "disallowedFlunders": ["bad"]}
JSON
eventually 5 "its own admission" bash -c "'$KUBECTL' --kubeconfig '$CONFIG' create -f - 2>&1 <<<'{\"apiVersion\": \"wardle.example.com/v1alpha1\", \"kind\": \"Flunder\", \"metadata\": {\"name\": \"bad\"}}' | grep -q 'this name may not be used'"
eventually 5 "a watch" grep -q one "$WORK/watched"
expect "explain" "A name of another flunder" k explain flunders.spec.reference
expect "patch" "four" k patch flunder one --type=merge -p '{"spec":{"reference":"four"}}' -o 'jsonpath={.spec.reference}'
check "delete" k delete flunder one
expect "its OpenAPI 3" '"apis/wardle.example.com/v1alpha1":{"serverRelativeURL":"/openapi/v3/apis/wardle.example.com/v1alpha1?hash=' k get --raw /openapi/v3
expect "its part of OpenAPI 2" '"/apis/wardle.example.com/v1alpha1/namespaces/{namespace}/flunders/{name}"' k get --raw /openapi/v2

# Who asks, and may they.
refuses "rights are asked of us" 'User "jane" cannot list resource "flunders" in API group "wardle.example.com"' k --as=jane get flunders
k create clusterrole reader --verb=get,list --resource=flunders.wardle.example.com >/dev/null
k create clusterrolebinding reader --clusterrole=reader --user=jane >/dev/null
check "and with them" k --as=jane --as-group=ducks get flunders
expect "it knows who asks" '"username":"jane","groups":["ducks","system:authenticated"]' cat "$WORK/audit"

# An old server, which speaks HTTP/1.1 and says less.
python3 "$ROOT/tests/aggregation/server.py" "$WORK/echo.crt" "$WORK/echo.key" "$WORK/api/pki/front-proxy-ca.crt" "$ADDRESS" 16644 &
STARTED+=("$!")
k apply -f - >/dev/null <<JSON
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "namespace": "wardle"}, "spec": {"ports": [{"port": 443}]}},
  {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.echo.example.com"}, "spec": {
    "group": "echo.example.com", "version": "v1", "groupPriorityMinimum": 20000, "versionPriority": 1,
    "caBundle": "$(base64 -w0 "$WORK/ca")", "service": {"namespace": "wardle", "name": "echo"}}}]}
JSON
slice echo "$ADDRESS" 16644 true
check "an old server" k wait --for=condition=Available apiservice/v1.echo.example.com --timeout=20s
eventually 5 "its resources" bash -c "'$KUBECTL' --kubeconfig '$CONFIG' api-resources --api-group=echo.example.com | grep -q Echo"
expect "its OpenAPI 2 as version 3" "How loud it comes back" k explain echoes.volume
curl -s --cacert "$WORK/api/pki/ca.crt" --cert "$WORK/api/pki/admin.crt" --key "$WORK/api/pki/admin.key" \
  -H 'X-Remote-User: evil' -H 'X-Remote-Extra-Evil: x' -H 'Cookie: a=b' -X POST --data-binary 'hello' \
  "$SERVER/apis/echo.example.com/v1/namespaces/a/echoes//x?a=b%20c" >"$WORK/said"
says() { expect "$1" "$2" cat "$WORK/said"; }
says "a request as it came" '"method": "POST", "path": "/apis/echo.example.com/v1/namespaces/a/echoes//x?a=b%20c", "body": "hello"'
says "by the front proxy" '"peer": "front-proxy-client"'
says "in a user's name" '"x-remote-user: kubernetes-admin"'
says "and groups" '"x-remote-group: system:masters", "x-remote-group: system:authenticated"'
says "and what else is known" 'x-remote-extra-authentication.kubernetes.io%2fcredential-id: X509SHA256='
says "with its cookies" '"cookie: a=b"'
says "for whom it goes" '"x-forwarded-for: 127.0.0.1"'
! grep -qi evil "$WORK/said" || fail "a client's own X-Remote headers go on"
expect "an upgrade" "kubernetes-admin: hello" python3 - "$WORK/api/pki" "${SERVER##*:}" <<'PY'
import socket, ssl, sys
pki, port = sys.argv[1:]
context = ssl.create_default_context(cafile=pki + "/ca.crt")
context.load_cert_chain(pki + "/admin.crt", pki + "/admin.key")
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="localhost") as peer:
    peer.sendall(b"GET /apis/echo.example.com/v1/namespaces/a/echoes/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    stream = peer.makefile("rb")
    while stream.readline().strip():
        pass
    peer.sendall(b"hello\n")
    print(stream.readline().decode())
PY
expect "groups by priority" "echo.example.com apps" bash -c "'$KUBECTL' --kubeconfig '$CONFIG' get --raw /apis | python3 -c 'import json, sys; print(*[g[\"name\"] for g in json.load(sys.stdin)[\"groups\"]][1:3])'"

# It ends.
kill -9 "$SAMPLE_PID"
wait "$SAMPLE_PID" 2>/dev/null || true
refuses "a server that is gone" "unable to handle the request" k get flunders
k label endpointslice api -n wardle seen=yes >/dev/null
is "False FailedDiscoveryCheck" "failing or missing response from"
check "an APIService is deleted" k delete apiservice v1alpha1.wardle.example.com v1.echo.example.com
eventually 5 "with what it served" bash -c "! '$KUBECTL' --kubeconfig '$CONFIG' get --raw /apis/wardle.example.com/v1alpha1 2>&1 | grep -v NotFound"
expect "and nothing of it is left" "0" bash -c "'$KUBECTL' --kubeconfig '$CONFIG' get --raw /apis | grep -c example.com || true"
