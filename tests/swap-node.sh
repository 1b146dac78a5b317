#!/usr/bin/env bash
# Our node on upstream's kube-apiserver v1.36.3, and nothing else: no scheduler and no controllers, whose parts are done by
# hand. `decapod kubelet` runs a pod, `decapod proxy` leads a service to it, upstream's API server reaches the kubelet; both
# end well, and nothing of them is left. Needs root.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/machine.sh"

UPSTREAM="$ROOT/conformance/upstream"
RUNTIME=$("$ROOT/scripts/runtime.sh" 2>/dev/null)
IMAGE=$("$ROOT/conformance/images/build.sh" agnhost | grep -E '/agnhost-2[.]63.*tar$')
AGNHOST=registry.k8s.io/e2e-test-images/agnhost:2.63.0
OF="--name swap --data-dir $WORK/node"
NETWORKS="--cluster-cidr 10.44.0.0/16 --service-cidr 10.96.0.0/16"
uninstall() { "$DECAPOD" uninstall $OF --kubeconfig "$WORK/none"; }
cleanup() {
  uninstall >/dev/null 2>&1 || true
  "$UPSTREAM/stop-apiserver.sh" "$WORK/theirs" >/dev/null 2>&1 || true
}

# To look at the rules may load modules.
machine >/dev/null
machine >"$WORK/before"
check "upstream's API server" "$UPSTREAM/run-apiserver.sh" "$WORK/theirs" 16581 --kubelet-preferred-address-types InternalIP
export KUBECONFIG="$WORK/theirs/admin.kubeconfig"
k() { timeout 20 "$KUBECTL" "$@"; }

# component NAME ARGUMENTS...: starts a part of ours; PID is its process.
component() {
  "$DECAPOD" "$1" --kubeconfig "$KUBECONFIG" --node-name one $NETWORKS "${@:2}" >"$WORK/$1.log" 2>&1 &
  PID=$!
  STARTED+=("$PID")
}
ready() { grep -q '^ready' "$WORK/$1.log"; }
# ends NAME PID: the process ends when asked to, and has complained of nothing.
ends() {
  kill "$2"
  wait "$2" || fail "$1 does not end well when it is asked to"
  if grep -E ' (WARN|ERROR) |panicked' "$WORK/$1.log" >&2; then fail "$1 complains"; fi
  PASSED=$((PASSED + 1))
}

component kubelet $OF --kubelet-port 16585 ${RUNTIME:+--runtime-dir "$RUNTIME"}
kubelet=$PID
eventually 20 "the node is registered" k get node one
# As a controller would.
check "a network for its pods" k patch node one -p '{"spec":{"podCIDR":"10.44.0.0/24","podCIDRs":["10.44.0.0/24"]}}'
eventually 20 "the kubelet is ready" ready kubelet
component proxy --name swap
proxy=$PID
eventually 10 "the proxy is ready" ready proxy
check "images import" "$DECAPOD" images import $OF ${RUNTIME:+--runtime-dir "$RUNTIME"} "$IMAGE"
check "the node is ready" k wait --for=condition=Ready node/one --timeout=15s

check "an account for pods" k create serviceaccount default
check "a pod and its service" k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: one
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: $AGNHOST
    args: [netexec, --http-port=8080]
    readinessProbe: {httpGet: {path: /hostname, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
YAML
check "the pod runs" k wait --for=condition=Ready pod/web --timeout=15s
check "its endpoint" k create -f - <<YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: ["$(k get pod web -o 'jsonpath={.status.podIP}')"], conditions: {ready: true}, nodeName: one}]
ports: [{port: 8080, protocol: TCP}]
YAML
url="http://$(k get service web -o 'jsonpath={.spec.clusterIP}')/hostname"
eventually 10 "the service leads to the pod" curl -sf -m 2 "$url"
expect "and to no other" "web" curl -sf -m 2 "$url"
expect "from a pod, too" "web" k exec web -- curl -sf -m 5 "$url"
expect "logs through upstream's API server" "Started HTTP server" k logs web
expect "events" "Started" k get events --field-selector involvedObject.name=web
check "delete" k delete pod web --wait --timeout=15s
ends proxy "$proxy"
ends kubelet "$kubelet"
check "the proxy's rules go when that is asked for" "$DECAPOD" proxy --kubeconfig "$KUBECONFIG" --name swap $NETWORKS --cleanup
check "uninstall" uninstall
"$UPSTREAM/stop-apiserver.sh" "$WORK/theirs" >/dev/null
unchanged "the node"
