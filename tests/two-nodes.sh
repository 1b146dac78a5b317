#!/usr/bin/env bash
# A second node joins with a token, and everybody reaches everybody: pods, services, node ports and names from both
# nodes, kubelets and node ports from this machine. Needs root. Runs in namespaces of its own.
. "$(dirname "$0")/lib.sh"

IMAGES=$("$ROOT/conformance/images/build.sh" agnhost | grep -E '/agnhost-2[.]63.*tar$')
AGNHOST=registry.k8s.io/e2e-test-images/agnhost:2.63.0
cluster() { "$ROOT/conformance/cluster.sh" "$@"; }
cleanup() { cluster down "$WORK/cluster"; }

# What of the cluster is on this machine.
machine() (
  set +e +o pipefail
  ip -o link | awk -F': ' '{print "link", $2}' | grep "$NAME"
  ip netns list | grep "$NAME"
  find /sys/fs/cgroup -maxdepth 2 -name "*$NAME*"
  pgrep -af "$WORK/cluster" | grep -v pgrep
  awk '{print $5}' /proc/self/mountinfo | grep "$WORK/cluster"
  true
)

began=$(date +%s%N)
check "up" cluster up "$WORK/cluster" $IMAGES
echo "two nodes with images: $((($(date +%s%N) - began) / 1000000)) ms"
. "$WORK/cluster/names"
export KUBECONFIG="$WORK/cluster/kubeconfig"
k() { timeout 60 "$KUBECTL" "$@"; }
expect "two nodes are ready" "one=True two=True" k get nodes -o 'jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
expect "the node's certificates were asked for" "kubernetes.io/kubelet-serving" k get csr
refuses "the node may not act as another" "is forbidden" \
  k --as system:node:two --as-group system:nodes label node one a=b
[ "$(find "$WORK"/cluster/two/data/node -type f ! -perm 600 | wc -l)" -eq 0 ] || fail "a key can be read by others"

check "a pod on each node, and their service" k apply -f - <<YAML
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: $AGNHOST
        args: [netexec, --http-port=8080, --udp-port=8081]
        readinessProbe: {httpGet: {path: /hostname, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
YAML
check "both run" k rollout status daemonset/web --timeout=60s
pod() { k get pods -l app=web --field-selector "spec.nodeName=$1" -o "jsonpath={.items[0].$2}"; }
port=$(k get service web -o 'jsonpath={.spec.ports[0].nodePort}')
ip=$(k get service web -o 'jsonpath={.spec.clusterIP}')
address() { k get node "$1" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'; }
# By URL, until both pods have answered.
both() {
  local one=$1 url=$2 seen=""
  for _ in $(seq 30); do
    seen="$seen $(k exec "$one" -- curl -sf -m 2 "$url/hostname")" || return 1
    case "$seen" in *"$POD_ONE"*"$POD_TWO"* | *"$POD_TWO"*"$POD_ONE"*) return 0 ;; esac
  done
  echo "only$seen"
  return 1
}
POD_ONE=$(pod one metadata.name) POD_TWO=$(pod two metadata.name)
for node in one two; do
  from=$(pod "$node" metadata.name)
  for other in one two; do
    expect "$node: the pod of $other" "$(pod "$other" metadata.name)" k exec "$from" -- curl -sf -m 5 "http://$(pod "$other" status.podIP):8080/hostname"
    expect "$node: its own address is seen by the pod of $other" "$(pod "$node" status.podIP)" k exec "$from" -- curl -sf -m 5 "http://$(pod "$other" status.podIP):8080/clientip"
    check "$node: node port of $other" both "$from" "http://$(address "$other"):$port"
  done
  check "$node: the service" both "$from" "http://$ip"
  check "$node: by name" both "$from" http://web.default.svc.cluster.local
  expect "$node: the API by name" "v1.36" k exec "$from" -- curl -sk -m 5 https://kubernetes.default/version
  expect "$node: from the node itself" "web-" cluster on "$WORK/cluster" "$node" curl -sf -m 5 "http://$ip/hostname"
  expect "$node: logs" "Started HTTP server" k logs "$from"
  expect "$node: exec" "hello" k exec "$from" -- echo hello
  expect "$node: node port from outside" "web-" curl -sf -m 5 "http://$(address "$node"):$port/hostname"
done

expect "tokens are listed" "59m" "$DECAPOD" token list --kubeconfig "$KUBECONFIG"
id=$(cut -c1-6 "$WORK/cluster/token")
check "a token is deleted" "$DECAPOD" token delete "$id" --kubeconfig "$KUBECONFIG"
refuses "a token that is gone" "no token $id" "$DECAPOD" token delete "$id" --kubeconfig "$KUBECONFIG"
agent() { cluster on "$WORK/cluster" two timeout 20 "$DECAPOD" agent --data-dir "$WORK/cluster/two/other" --server "https://$SEGMENT.2:6443" --node-name three "$@"; }
refuses "joining with it" "Unauthorized" agent --token-file "$WORK/cluster/token"
refuses "another cluster" "is of another cluster" agent --token "abcdef.0123456789abcdef@sha256:$(printf '0%.0s' {1..64})"
refuses "a token without a pin" "which cluster" agent --token abcdef.0123456789abcdef
refuses "no token" "decapod token create" agent

check "down" cleanup
machine >"$WORK/after"
[ ! -s "$WORK/after" ] || { cat "$WORK/after" >&2; fail "something is left behind"; }
