#!/usr/bin/env bash
# Two clusters side by side on one machine: each runs a pod that a service leads to; taking one away leaves the other as
# it was, and taking both away leaves the machine as it was. Needs root.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/machine.sh"

RUNTIME=$("$ROOT/scripts/runtime.sh" 2>/dev/null)
IMAGE=$("$ROOT/conformance/images/build.sh" agnhost | grep -E '/agnhost-2[.]63.*tar$')
AGNHOST=registry.k8s.io/e2e-test-images/agnhost:2.63.0
export KUBECONFIG="$WORK/kubeconfig"
at() { echo --name "$1" --data-dir "$WORK/$1"; }
up() {
  local name=$1 number=$2
  "$DECAPOD" up --detach $(at "$name") --kubeconfig "$KUBECONFIG" --port "165${number}1" --kubelet-port "165${number}2" \
    --node-name "node-$name" --cluster-cidr "10.4$number.0.0/17" --service-cidr "10.4$number.128.0/17" ${RUNTIME:+--runtime-dir "$RUNTIME"}
}
uninstall() { "$DECAPOD" uninstall $(at "$1") --kubeconfig "$KUBECONFIG"; }
cleanup() { for name in red blue; do uninstall "$name" >/dev/null 2>&1 || true; done; }
k() {
  local name=$1
  shift
  timeout 60 "$KUBECTL" --context "$name" "$@"
}

serve() {
  k "$1" apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
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
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
YAML
  k "$1" wait --for=condition=Ready pod/web --timeout=30s
}
# By name from the pod itself, by the service's address and by the node's from the machine.
serves() {
  local name=$1 ip port address
  ip=$(k "$name" get service web -o 'jsonpath={.spec.clusterIP}')
  port=$(k "$name" get service web -o 'jsonpath={.spec.ports[0].nodePort}')
  address=$(k "$name" get node "node-$name" -o 'jsonpath={.status.addresses[0].address}')
  curl -sf -m 5 "http://$ip/hostname" && curl -sf -m 5 "http://$address:$port/hostname" &&
    k "$name" exec web -- curl -sf -m 5 http://web.default.svc.cluster.local/hostname
}
# What of the machine is the other cluster's, and what it says of its pod: nothing of it may change.
of_blue() {
  nft list ruleset 2>/dev/null | grep -v counter | awk '/^table/ {mine = /-blue/} mine'
  ip -o link | awk -F': ' '{print $2}' | sort
  k blue get pod web -o 'jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount} {.status.podIP}{"\n"}'
}

# To look at the rules may load modules.
machine >/dev/null
machine >"$WORK/before"
began=$(date +%s%N)
check "one cluster" up red 6
check "another" up blue 7
echo "two clusters: $((($(date +%s%N) - began) / 1000000)) ms"
populate() { "$DECAPOD" images import $(at "$1") ${RUNTIME:+--runtime-dir "$RUNTIME"} "$IMAGE" && serve "$1"; }
populate red >"$WORK/red.log" 2>&1 &
check "a pod in the one" populate blue
wait $! || { cat "$WORK/red.log" >&2; fail "a pod in the other"; }
for name in red blue; do
  eventually 10 "$name: its service" serves "$name"
  expect "$name: its own node" "node-$name" k "$name" get nodes -o name
done

refuses "a busy API port" "choose another with --port" "$DECAPOD" up --name green --data-dir "$WORK/green" --kubeconfig "$KUBECONFIG" \
  --port 16561 --kubelet-port 16582 ${RUNTIME:+--runtime-dir "$RUNTIME"}
refuses "a busy kubelet port" "choose another with --kubelet-port" "$DECAPOD" up --name green --data-dir "$WORK/green" \
  --kubeconfig "$KUBECONFIG" --port 16581 --kubelet-port 16562 ${RUNTIME:+--runtime-dir "$RUNTIME"}
check "what did not start goes" uninstall green

pod_ip=$(k red get pod web -o 'jsonpath={.status.podIP}')
of_blue >"$WORK/blue.before"
check "one is uninstalled" uninstall red
of_blue >"$WORK/blue.after"
diff <(grep -v "$pod_ip" "$WORK/blue.before") "$WORK/blue.after" >"$WORK/gone" || true
if grep '^>' "$WORK/gone" >&2 || grep -E '^< .*(blue|nft|table|containerd)' "$WORK/gone" >&2; then fail "the other cluster has changed"; fi
PASSED=$((PASSED + 1))
eventually 10 "the other's service" serves blue
refuses "the context of the first is gone" "red" k red get nodes
check "new pods find their way" k blue run again --image=$AGNHOST --restart=Never --command -- curl -sf -m 5 http://web.default.svc.cluster.local/hostname
check "and end well" k blue wait --for=jsonpath='{.status.phase}'=Succeeded pod/again --timeout=30s

check "the other is uninstalled" uninstall blue
unchanged "uninstall"
