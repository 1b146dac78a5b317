#!/usr/bin/env bash
# Our parts in the place of upstream's, on upstream's kube-apiserver v1.36.3 with a Node that nobody runs: our
# controller manager makes a Deployment's pods and our scheduler binds them; then upstream's controller manager makes
# them and ours binds them. Nobody of ours has anything to complain of.
. "$(dirname "$0")/lib.sh"

UPSTREAM="$ROOT/conformance/upstream"
cleanup() { "$UPSTREAM/stop-apiserver.sh" "$WORK/theirs" >/dev/null 2>&1 || true; }
check "upstream's API server" "$UPSTREAM/run-apiserver.sh" "$WORK/theirs" 16571
export KUBECONFIG="$WORK/theirs/admin.kubeconfig"
k() { timeout 20 "$KUBECTL" "$@"; }

# component NAME ARGUMENTS...: starts a part of ours; PID is its process.
component() {
  local name=$1 log="$WORK/$1.log" limit=$((SECONDS + 20))
  shift
  "$DECAPOD" "$name" --kubeconfig "$KUBECONFIG" "$@" >"$log" 2>&1 &
  PID=$!
  STARTED+=("$PID")
  until grep -q '^ready' "$log"; do
    kill -0 "$PID" 2>/dev/null || { cat "$log" >&2; fail "$name ended"; }
    [ "$SECONDS" -lt "$limit" ] || { cat "$log" >&2; fail "$name is not ready"; }
    sleep 0.05
  done
  PASSED=$((PASSED + 1))
}

# ends NAME PID: the process ends when asked to, and has complained of nothing.
ends() {
  kill "$2"
  wait "$2" || fail "$1 does not end well when it is asked to"
  if grep -E ' (WARN|ERROR) |panicked' "$WORK/$1.log" >&2; then fail "$1 complains"; fi
  PASSED=$((PASSED + 1))
}

deployment() {
  k create deployment "$1" --image=example.com/nothing --replicas=5 >/dev/null
  eventually 20 "$1: five pods are bound" bound "$1"
  expect "$1: events" "Successfully assigned default/$1-" k get events --field-selector reason=Scheduled
  eventually 5 "$1: an event for each" scheduled "$1"
}
bound() { [ "$(k get pods -l "app=$1" -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep -c '^one$')" = 5 ]; }
scheduled() { [ "$(k get events --field-selector reason=Scheduled -o name | wc -l)" -ge "$(k get pods -o name | wc -l)" ]; }

k create -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Node
metadata: {name: one}
YAML
k patch node one --subresource=status --type=merge -p '{"status":{"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"allocatable":{"cpu":"4","memory":"8Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}' >/dev/null

component controller-manager --allocate-node-cidrs --cluster-cidr 10.42.0.0/16 --service-cluster-ip-range 10.96.0.0/16 \
  --cluster-signing-cert-file "$WORK/theirs/pki/ca.crt" --cluster-signing-key-file "$WORK/theirs/pki/ca.key"
controllers=$PID
component scheduler
scheduler=$PID
eventually 10 "the node has a network" bash -c "timeout 10 '$KUBECTL' get node one -o 'jsonpath={.spec.podCIDR}' | grep -q '^10.42.0.0/24'"
eventually 10 "the node's taint goes" bash -c "! timeout 10 '$KUBECTL' get node one -o 'jsonpath={.spec.taints}' | grep not-ready"
eventually 10 "namespaces get a service account" k get serviceaccount default
expect "namespaces get the root CA" "BEGIN CERTIFICATE" k get configmap kube-root-ca.crt -o 'jsonpath={.data.ca\.crt}'
deployment ours
check "a namespace with contents" k create namespace full
check "its contents" k -n full create configmap a
check "goes with what is in it" k delete namespace full --wait --timeout=15s
check "owners take what they own with them" k delete deployment ours --wait
eventually 20 "no ReplicaSet is left" bash -c "[ -z \"\$(timeout 10 '$KUBECTL' get replicasets -o name)\" ]"
ends controller-manager "$controllers"

"$("$UPSTREAM/build.sh" kube-controller-manager)" --kubeconfig "$KUBECONFIG" --leader-elect=false --secure-port=0 \
  --service-account-private-key-file "$WORK/theirs/pki/sa.key" --root-ca-file "$WORK/theirs/pki/ca.crt" >"$WORK/kcm.log" 2>&1 &
STARTED+=($!)
deployment theirs
ends scheduler "$scheduler"

refuses "an unknown option" "unexpected argument '--nope' found; see decapod scheduler --help" "$DECAPOD" scheduler --kubeconfig "$KUBECONFIG" --nope
refuses "no kubeconfig" "--kubeconfig" "$DECAPOD" proxy
refuses "a kubeconfig that is not there" "--kubeconfig: cannot read" "$DECAPOD" kubelet --data-dir "$WORK/none" --kubeconfig "$WORK/none.kubeconfig"
