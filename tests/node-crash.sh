#!/usr/bin/env bash
# A node of 20 pods whose processes are killed. kill -9 of `decapod up`: the same containers afterwards, no restart
# counted; 2 times, in the full form 10 times. kill -9 of everything, or of the runtime alone, and uninstall: the machine
# is as it was before, and the user's kubeconfig, too. Needs root; what else changes on the machine
# meanwhile would be taken for something left behind.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/machine.sh"

KILLS=2
[ -n "${DECAPOD_TEST_FULL:-}" ] && KILLS=10
PODS=20
DATA="$WORK/data"
export KUBECONFIG="$WORK/kubeconfig"
RUNTIME=$("$ROOT/scripts/runtime.sh" 2>/dev/null)
IMAGE=$("$ROOT/conformance/images/build.sh" busybox | grep -E '/busybox-1[.]37.*tar$')
k() { timeout 60 "$KUBECTL" --context crash "$@"; }
up() {
  "$DECAPOD" up --detach --name crash --data-dir "$DATA" --kubeconfig "$KUBECONFIG" --port 16591 --kubelet-port 16592 \
    --cluster-cidr 10.72.0.0/16 --service-cidr 10.73.0.0/16 --node-name one ${RUNTIME:+--runtime-dir "$RUNTIME"}
}
uninstall() { "$DECAPOD" uninstall --name crash --data-dir "$DATA" --kubeconfig "$KUBECONFIG"; }
cleanup() { uninstall >/dev/null 2>&1 || true; }

# killed PID...: kills them and waits until they are gone.
killed() {
  kill -9 "$@" 2>/dev/null || true
  for pid in "$@"; do
    while grep -qs 'State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status"; do sleep 0.02; done
  done
}

# A cluster that runs the pods.
up_with_pods() {
  check "up" up
  check "import" "$DECAPOD" images import --data-dir "$DATA" ${RUNTIME:+--runtime-dir "$RUNTIME"} "$IMAGE"
  check "pods" k apply -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: many}
spec:
  replicas: $PODS
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: registry.k8s.io/e2e-test-images/busybox:1.37.0-1
        command: [sh, -c, "trap exit TERM; while true; do sleep 1; done"]
        volumeMounts: [{name: scratch, mountPath: /scratch}]
      volumes: [{name: scratch, emptyDir: {medium: Memory}}]
---
apiVersion: v1
kind: Service
metadata: {name: many}
spec: {type: NodePort, selector: {app: many}, ports: [{port: 80}]}
YAML
  eventually 120 "the pods run" all_run
}
all_run() { [ "$(k get deployment many -o 'jsonpath={.status.readyReplicas}')" = "$PODS" ]; }

containers() { k get pods -l app=many -o 'jsonpath={range .items[*]}{.metadata.name} {.status.phase} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].ready} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
same_containers() { containers >"$WORK/now" && diff -u "$WORK/containers" "$WORK/now"; }

# A kubeconfig with a cluster of the user's own.
"$KUBECTL" config set-cluster mine --server https://127.0.0.1:1 >/dev/null
"$KUBECTL" config set-context mine --cluster mine >/dev/null
"$KUBECTL" config use-context mine >/dev/null
"$KUBECTL" config view --raw >"$WORK/kubeconfig.before"
same_kubeconfig() {
  "$KUBECTL" config view --raw | diff -u "$WORK/kubeconfig.before" - >&2 || fail "the kubeconfig says something else"
  PASSED=$((PASSED + 1))
}
# To look at the rules may load modules.
machine >/dev/null
machine >"$WORK/before"

up_with_pods
containers >"$WORK/containers"
[ "$(grep -c ' Running containerd://.* true 0$' "$WORK/containers")" = "$PODS" ] || { cat "$WORK/containers" >&2; fail "not all pods run"; }
for _ in $(seq "$KILLS"); do
  killed "$(cat "$DATA/decapod.pid")"
  check "up again" up
  eventually 20 "the same containers" same_containers
done
echo "$KILLS kills of up with $PODS pods: the same containers, no restart"

killed $(ours_of "$DATA")
check "uninstall after kill -9 of everything" uninstall
unchanged "uninstall after kill -9 of everything"
same_kubeconfig

up_with_pods
check "uninstall with $PODS pods" uninstall
unchanged "uninstall with $PODS pods"
same_kubeconfig

# The runtime alone is gone: its shims and the pods go on without it.
if [ -n "${DECAPOD_TEST_FULL:-}" ]; then
  up_with_pods
  killed "$(cat "$DATA/decapod.pid")" "$(cat "$DATA/containerd/containerd.pid")"
  check "uninstall without a runtime" uninstall
  unchanged "uninstall without a runtime"
fi
