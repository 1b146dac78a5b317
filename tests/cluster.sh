#!/usr/bin/env bash
# A stranger's first minutes: a cluster comes up, runs pods that are probed, served and named, and goes away without a
# trace. Needs root. Nothing else may run a cluster of ours on the machine meanwhile.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/machine.sh"

DATA="$WORK/data"
export KUBECONFIG="$WORK/kubeconfig"
RUNTIME=$("$ROOT/scripts/runtime.sh" 2>/dev/null)
IMAGES=$("$ROOT/conformance/images/build.sh" agnhost busybox | grep -E '/(agnhost-2[.]63|busybox-1[.]37).*tar$')
AGNHOST=registry.k8s.io/e2e-test-images/agnhost:2.63.0
BUSYBOX=registry.k8s.io/e2e-test-images/busybox:1.37.0-1
k() { timeout 60 "$KUBECTL" "$@"; }
up() { "$DECAPOD" up --detach --data-dir "$DATA" --kubeconfig "$KUBECONFIG" --port 16561 --kubelet-port 16562 --node-name one ${RUNTIME:+--runtime-dir "$RUNTIME"}; }
cleanup() {
  "$DECAPOD" uninstall --data-dir "$DATA" --kubeconfig "$KUBECONFIG" >/dev/null 2>&1 || true
  [ -z "${FOLDER:-}" ] || rm -rf "$FOLDER"
}

# To look at the rules may load modules.
machine >/dev/null
machine >"$WORK/before"
began=$(date +%s%N)
check "up" up
echo "up to ready: $((($(date +%s%N) - began) / 1000000)) ms"
ready=$SECONDS
expect "the node" " Ready " k get nodes
for image in $IMAGES; do
  check "import $image" "$DECAPOD" images import --data-dir "$DATA" ${RUNTIME:+--runtime-dir "$RUNTIME"} "$image"
done
# Archives of one layout alone, as docker save and podman save write them.
check "archives" "$ROOT/tests/archives.py" "$(echo "$IMAGES" | grep busybox)" example.com "$WORK/image"
for form in oci docker; do
  expect "import an archive of the $form layout" "example.com/$form:1" \
    "$DECAPOD" images import --data-dir "$DATA" ${RUNTIME:+--runtime-dir "$RUNTIME"} "$WORK/image.$form.tar"
done
list() { "$DECAPOD" images list --data-dir "$DATA" ${RUNTIME:+--runtime-dir "$RUNTIME"}; }
for image in "$AGNHOST" "$BUSYBOX" example.com/oci:1 example.com/docker:1; do
  expect "images list" "$image" list
done

# What takes its time goes on meanwhile: a container that crashes, one that a probe restarts, and the node's own pods, of
# which one is of no use.
check "a container that crashes" k run crash --image=example.com/docker:1 --command -- false
check "a container that is not alive" k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: sick}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: sick
    image: example.com/oci:1
    command: [sleep, "3600"]
    livenessProbe: {exec: {command: [cat, /alive]}, periodSeconds: 1, failureThreshold: 2}
YAML
echo '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "half' >"$WORK/broken.yaml"
cat >"$WORK/static.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: static}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "$BUSYBOX", command: [sleep, "3600"]}]
YAML
# Whole at once: what is half written is passed over, too.
mv "$WORK/broken.yaml" "$WORK/static.yaml" "$DATA/manifests/"

check "config map" k create configmap conf --from-literal=greeting=hello
check "secret" k create secret generic hidden --from-literal=word=xyzzy
check "deployment and service" k apply -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: $AGNHOST
        args: [netexec, --http-port=8080]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /hostname, port: 8080}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /hostname, port: 8080}}
        volumeMounts: [{name: conf, mountPath: /conf}, {name: hidden, mountPath: /hidden}]
      volumes:
      - {name: conf, configMap: {name: conf}}
      - {name: hidden, secret: {secretName: hidden}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
YAML
check "rollout" k rollout status deployment/web --timeout=60s
pod=$(k get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
expect "logs" "Started HTTP server" k logs "$pod"
expect "exec, config map and secret" "helloxyzzy" k exec "$pod" -- cat /conf/greeting /hidden/word
expect "exec with input" "typed" bash -c "echo typed | timeout 20 '$KUBECTL' exec -i '$pod' -- cat"
. "$ROOT/tests/streams.sh"
expect "describe" "Started" k describe pod "$pod"
node_port=$(k get service web -o 'jsonpath={.spec.ports[0].nodePort}')
address=$(k get node one -o 'jsonpath={.status.addresses[0].address}')
eventually 10 "node port" curl -sf -m 2 "http://$address:$node_port/hostname"
check "a client" k run client --image=$BUSYBOX --restart=Never --command -- sh -c 'trap exit TERM; while true; do sleep 1; done'
check "the client runs" k wait --for=condition=Ready pod/client --timeout=30s
expect "by name" "web-" k exec client -- wget -qO- http://web/hostname
expect "DNS" "kubernetes.default.svc.cluster.local" k exec client -- nslookup kubernetes.default.svc.cluster.local
check "scale" k scale deployment web --replicas=4
check "scaled" k rollout status deployment/web --timeout=60s
check "a bad image" k set image deployment/web web=$AGNHOST-nope
eventually 20 "a second revision" bash -c "timeout 10 '$KUBECTL' rollout history deployment/web | grep '^2 '"
check "undo" k rollout undo deployment/web
check "undone" k rollout status deployment/web --timeout=60s
check "a job" k create job once --image=$BUSYBOX -- echo done
check "the job completes" k wait --for=condition=complete job/once --timeout=30s
. "$ROOT/tests/volumes.sh"
status_of() { k get pod "$1" -o "jsonpath={.status.containerStatuses[0].$2}"; }
backs_off() { [ "$(status_of crash restartCount)" -ge 2 ] && [ "$(status_of crash state.waiting.reason)" = CrashLoopBackOff ]; }
eventually 30 "a container that crashes is started again, later each time" backs_off
expect "and says so" "Back-off restarting failed container" k get events --field-selector reason=BackOff
restarted() { [ "$(status_of sick restartCount)" -ge 1 ] && [ "$(status_of sick lastState.terminated.exitCode)" = 137 ]; }
eventually 20 "a container that is not alive is killed and started again" restarted
expect "and says so" "Liveness probe failed" k get events --field-selector reason=Unhealthy
eventually 20 "a static pod runs, and the API shows it" k wait --for=condition=Ready pod/static-one --timeout=10s
passed_over() { grep -c 'a manifest is passed over' "$DATA/decapod.log"; }
[ "$(passed_over)" = 1 ] || { passed_over; fail "a static pod's malformed manifest: not one line"; }
expect "a malformed manifest is named" "broken.yaml" grep 'a manifest is passed over' "$DATA/decapod.log"
rm "$DATA/manifests/"*.yaml
eventually 20 "a static pod whose manifest goes is gone" bash -c "! timeout 10 '$KUBECTL' get pod static-one"

echo "all of a stranger's first steps: $((SECONDS - ready)) s after it was ready"
[ $((SECONDS - ready)) -le 300 ] || fail "a stranger's first steps take more than 5 minutes"

# The process may die: the containers go on, and are found again.
containers() { k get pods -l app=web -o 'jsonpath={range .items[*]}{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
containers >"$WORK/containers"
pid=$(cat "$DATA/decapod.pid")
kill -9 "$pid"
while grep -qs 'State:[[:space:]]*[^Z]' "/proc/$pid/status"; do sleep 0.05; done
check "up again" up
eventually 20 "the same containers" bash -c "diff <($(declare -f containers k); KUBECTL='$KUBECTL'; containers) '$WORK/containers'"

check "delete" k delete pod client --wait
check "status" "$DECAPOD" status --data-dir "$DATA"
pid=$(cat "$DATA/decapod.pid")
echo "memory of the node: $(awk '/VmRSS/ {print $2}' "/proc/$pid/status") kB"
check "uninstall" "$DECAPOD" uninstall --data-dir "$DATA" --kubeconfig "$KUBECONFIG"
unchanged "uninstall"
[ ! -e "$KUBECONFIG" ] || fail "uninstall leaves the context"
PASSED=$((PASSED + 1))
