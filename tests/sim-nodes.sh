#!/usr/bin/env bash
# Simulated nodes in a process of their own, over TLS, on a server that syncs every write: all pods run before long, and
# then no lease is late. 50 nodes and 500 pods for 15 s; in the full form 1,000 nodes and 10,000 pods for 5 minutes.
. "$(dirname "$0")/lib.sh"

NODES=50 PODS=500 QUIET=15
RUNNING_WITHIN=120
PORT=$((20000 + RANDOM % 10000))
if [ -n "${DECAPOD_TEST_FULL:-}" ]; then
  NODES=1000 PODS=10000 QUIET=300
  # Figures are of a release; DECAPOD_RELEASE names one that is built already.
  [ -n "${DECAPOD_RELEASE:-}" ] || (cd "$ROOT" && cargo build --quiet --release -p decapod)
  DECAPOD=${DECAPOD_RELEASE:-$ROOT/target/release/decapod}
fi

start_apiserver "$WORK/api" "$PORT"
SERVER=$PID
kubectl() { "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" "$@"; }
for component in controller-manager scheduler; do
  "$DECAPOD" "$component" --kubeconfig "$WORK/api/admin.kubeconfig" >"$WORK/$component.log" 2>&1 &
  STARTED+=($!)
done
"$DECAPOD" sim nodes --count "$NODES" --kubeconfig "$WORK/api/admin.kubeconfig" >"$WORK/nodes.log" 2>&1 &
SIMULATION=$!
STARTED+=("$SIMULATION")

# process_cpu PID: the seconds of CPU that it has used; process_rss PID: its memory in MB.
process_cpu() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%.1f", ($14 + $15) / hz }' "/proc/$1/stat"; }
process_rss() { awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
tell() {
  echo "$1: server $(process_cpu "$SERVER") s of CPU, $(process_rss "$SERVER") MB; nodes $(process_cpu "$SIMULATION") s, $(process_rss "$SIMULATION") MB"
}
ready_nodes() { kubectl get nodes --no-headers 2>/dev/null | awk '$2 == "Ready"' | wc -l; }
are_nodes_ready() { [ "$(ready_nodes)" -eq "$NODES" ]; }
ready_pods() { kubectl get deployment load -o jsonpath='{.status.readyReplicas}' 2>/dev/null; }
are_pods_ready() { [ "$(ready_pods)" = "$PODS" ]; }

eventually 60 "all nodes are ready" are_nodes_ready
tell "$NODES nodes are ready"
BEGAN=$SECONDS
check "make the pods" kubectl create deployment load --image=load:1 --replicas="$PODS"
eventually "$RUNNING_WITHIN" "all pods run" are_pods_ready
tell "$PODS pods run after $((SECONDS - BEGAN)) s"
for _ in $(seq "$((QUIET / 15))"); do
  sleep 15
  tell "at rest"
done
kill "$SIMULATION"
wait "$SIMULATION" 2>/dev/null || true
tail -1 "$WORK/nodes.log"
expect "every node has registered and every pod runs" "$NODES nodes, $PODS of $PODS pods running" tail -1 "$WORK/nodes.log"
expect "no lease was late" " 0 late" tail -1 "$WORK/nodes.log"
check "no node was ever lost" test -z "$(kubectl get events -A --no-headers 2>/dev/null | grep NodeNotReady || true)"

# Away with them, as a kubelet does it.
"$DECAPOD" sim nodes --count "$NODES" --kubeconfig "$WORK/api/admin.kubeconfig" >"$WORK/nodes.log" 2>&1 &
SIMULATION=$!
STARTED+=("$SIMULATION")
check "take the pods away" kubectl delete deployment load
are_pods_gone() { [ -z "$(kubectl get pods --no-headers 2>/dev/null | head -1)" ]; }
eventually "$RUNNING_WITHIN" "all pods are gone" are_pods_gone
tell "no pods any more"
