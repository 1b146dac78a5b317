#!/usr/bin/env bash
# The API server alone with upstream's kubectl: every kind is served, listed and watched; objects are made, applied,
# patched, scaled and deleted.
. "$(dirname "$0")/lib.sh"

start_apiserver "$WORK/api" 16501
k() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" "$@"; }

check "readyz" k get --raw /readyz
expect "version" "v1.36.3" k version

kinds=0
for resource in $(k api-resources --verbs=list,watch -o name); do
  check "list $resource" k get "$resource" --all-namespaces
  check "watch $resource" bash -c "timeout -s INT 0.4 '$KUBECTL' --kubeconfig '$WORK/api/admin.kubeconfig' get '$resource' -A --watch --no-headers; [ \$? -eq 124 ]"
  kinds=$((kinds + 1))
done
[ "$kinds" -ge 50 ] || fail "only $kinds kinds are listed"

check "create" k create deployment web --image=example.com/web:1
expect "defaults" "RollingUpdate" k get deployment web -o 'jsonpath={.spec.strategy.type}'
expect "managed fields" "kubectl-create" k get deployment web --show-managed-fields -o 'jsonpath={.metadata.managedFields[0].manager}'
check "scale" k scale deployment web --replicas=4
expect "generation" "2" k get deployment web -o 'jsonpath={.metadata.generation}'
check "strategic patch" k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/web:2"}]}}}}'
expect "patched by key" "example.com/web:2" k get deployment web -o 'jsonpath={.spec.template.spec.containers[*].image}'
check "json patch" k patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'
refuses "json patch test" "testing value" k patch deployment web --type=json -p '[{"op":"test","path":"/spec/replicas","value":7}]'
check "merge patch" k patch deployment web --type=merge -p '{"metadata":{"labels":{"a":"b"}}}'
expect "label selector" "web" k get deployments -l a=b -o name
expect "no match" "No resources found" k get deployments -l a=c

cat >"$WORK/config.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {key: one}
YAML
check "apply" k apply -f "$WORK/config.yaml"
before=$(k get cm conf -o 'jsonpath={.metadata.resourceVersion}')
expect "apply again" "unchanged" k apply -f "$WORK/config.yaml"
[ "$before" = "$(k get cm conf -o 'jsonpath={.metadata.resourceVersion}')" ] || fail "an unchanged apply moved the revision"
# Writes that change nothing move no revision, neither the object's nor the store's.
stays() {
  local name=$1 object=$2 before
  shift 2
  before=$(revisions "$object")
  check "$name of $object" "$@"
  [ "$before" = "$(revisions "$object")" ] || fail "$name of $object moved the revision from $before to $(revisions "$object")"
  PASSED=$((PASSED + 1))
}
revisions() { echo "$(k get "$1" -o 'jsonpath={.metadata.resourceVersion}') $(k get --raw '/api/v1/namespaces/default/configmaps?limit=1' | sed 's/.*"metadata":{"resourceVersion":"\([0-9]*\)".*/\1/; s/,"continue.*//')"; }
# Raw, for kubectl's own replace writes an annotation anew.
put() {
  k get --raw "$1" >"$WORK/object.json"
  k replace --raw "$1" -f "$WORK/object.json"
}
while read -r object path; do
  stays "an empty merge patch" "$object" k patch "$object" --type=merge -p '{}'
  stays "an empty strategic patch" "$object" k patch "$object" -p '{}'
  stays "an empty JSON patch" "$object" k patch "$object" --type=json -p '[]'
  stays "an identical PUT" "$object" put "$path"
done <<'OBJECTS'
cm/conf /api/v1/namespaces/default/configmaps/conf
deployment/web /apis/apps/v1/namespaces/default/deployments/web
deployment/web /apis/apps/v1/namespaces/default/deployments/web/status
namespace/default /api/v1/namespaces/default
service/kubernetes /api/v1/namespaces/default/services/kubernetes
OBJECTS
stays "a patch to what is so already" deployment/web k patch deployment/web -p '{"spec":{"replicas":1}}'
stays "an empty patch to the status" deployment/web k patch deployment/web --subresource=status --type=merge -p '{"status":{}}'
# As upstream's do, the first two lose who owned the replicas: the record of it is written under another version and overlooked.
check "a scale that changes nothing" k scale deployment web --replicas=1
check "another one" k scale deployment web --replicas=1
stays "the same scale" deployment/web k scale deployment web --replicas=1
sed -i 's/one/two/' "$WORK/config.yaml"
expect "diff" "two" k diff -f "$WORK/config.yaml"
check "apply a change" k apply -f "$WORK/config.yaml"
expect "applied" "two" k get cm conf -o 'jsonpath={.data.key}'
refuses "conflict" "the object has been modified" k replace -f - <<YAML
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": "default", "resourceVersion": "$before"}}
YAML
expect "dry run" "created (server dry run)" k create cm other --from-literal=a=b --dry-run=server
refuses "dry run keeps nothing" "NotFound" k get cm other
refuses "unknown fields, strictly" 'unknown field "spec.nope"' k create --validate=strict -f - <<'YAML'
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"nope": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}
YAML
refuses "a name that is none" "Invalid value" k create cm Not_A_Name
refuses "a kind of another group" "no matches for kind" k create -f - <<'YAML'
{"apiVersion": "apps/v2", "kind": "Deployment", "metadata": {"name": "x"}}
YAML

for i in 1 2 3 4 5; do k create cm "page-$i" --from-literal=a=b >/dev/null; done
expect "pages" "page-5" k get cm --chunk-size=2 -o name
check "service" k create service nodeport np --tcp=80:8080
expect "cluster address" "10.43." k get service np -o 'jsonpath={.spec.clusterIP}'
expect "node port" "3" k get service np -o 'jsonpath={.spec.ports[0].nodePort}'

check "service account" k create serviceaccount bob
expect "token" "eyJ" k create token bob
refuses "no rights" "no" k auth can-i list pods --as=system:serviceaccount:default:bob
check "role binding" k create rolebinding view --clusterrole=view --serviceaccount=default:bob
expect "rights" "yes" k auth can-i list pods --as=system:serviceaccount:default:bob
token=$(k create token bob)
sed '/client-certificate-data/d; /client-key-data/d' "$WORK/api/admin.kubeconfig" | sed 's/user: {}/user:/' >"$WORK/bare.kubeconfig"
expect "acting by token" "system:serviceaccount:default:bob" timeout 20 "$KUBECTL" --kubeconfig "$WORK/bare.kubeconfig" --token="$token" auth whoami
refuses "a token that is none" "must be logged in" timeout 20 "$KUBECTL" --kubeconfig "$WORK/bare.kubeconfig" --token=nonsense get pods
check "a node" k create -f - <<<'{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}}'
k get node b -o json | sed 's/"labels": {/&"x": "y",/; s/"name": "b"/&, "labels": {"x": "y"}/' >"$WORK/node.json"
refuses "NodeRestriction" "not allowed to modify node" k --as=system:node:a --as-group=system:nodes replace --raw /api/v1/nodes/b -f "$WORK/node.json"
refuses "NamespaceLifecycle" "not found" k -n nowhere create cm x
refuses "immortal namespaces" "may not be deleted" k delete namespace default
check "an account for pods" k create serviceaccount default
refuses "Priority" "no PriorityClass" k run p --image=example.com/p --overrides='{"spec":{"priorityClassName":"none-such"}}'

check "finalizer" k patch cm conf --type=merge -p '{"metadata":{"finalizers":["example.com/hold"]}}'
check "delete waits for finalizers" k delete cm conf --wait=false
expect "terminating" "20" k get cm conf -o 'jsonpath={.metadata.deletionTimestamp}'
check "the last finalizer" k patch cm conf --type=merge -p '{"metadata":{"finalizers":null}}'
refuses "gone" "NotFound" k get cm conf
check "delete a collection" k delete cm --all
check "delete" k delete deployment web
