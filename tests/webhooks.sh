#!/usr/bin/env bash
# Admission webhooks: the API server alone asks a server on loopback (tests/webhooks/server.py), which refuses, changes,
# waits, and answers nonsense.
. "$(dirname "$0")/lib.sh"

start_apiserver "$WORK/api" 16631
k() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" "$@"; }

# The bundle is the server's own certificate, as many an operator has it.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=hooks \
  -addext 'subjectAltName=IP:127.0.0.1,DNS:hooks.default.svc' -keyout "$WORK/key" -out "$WORK/cert" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=other \
  -addext 'subjectAltName=IP:127.0.0.1' -keyout "$WORK/other.key" -out "$WORK/other" 2>/dev/null
PORT=16632
python3 "$ROOT/tests/webhooks/server.py" "$WORK/cert" "$WORK/key" $PORT "$WORK/log" &
STARTED+=("$!")
touch "$WORK/log"
eventually 10 "the webhooks are there" bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT"

BUNDLE=$(base64 -w0 "$WORK/cert")
# webhook NAME PATH [FIELDS]: one webhook about config maps, as JSON. FIELDS overwrite.
webhook() {
  python3 - "$1" "https://127.0.0.1:$PORT$2" "$BUNDLE" "${3:-{\}}" <<'PY'
import json, sys
name, url, bundle, more = sys.argv[1:]
rule = {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
hook = {"name": name + ".example.com", "clientConfig": {"url": url, "caBundle": bundle}, "rules": [rule],
        "sideEffects": "None", "admissionReviewVersions": ["v1"]}
print(json.dumps(hook | json.loads(more)))
PY
}
# hooks PHASE NAME WEBHOOK...: a configuration, in place of the one of that name.
hooks() {
  local phase=$1 name=$2 list
  shift 2
  list=$(printf '%s,' "$@")
  k apply -f - >/dev/null <<JSON
{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "${phase}WebhookConfiguration", "metadata": {"name": "$name"}, "webhooks": [${list%,}]}
JSON
}
none() { k delete validatingwebhookconfigurations,mutatingwebhookconfigurations --all >/dev/null; }
# map NAME [KEY=VALUE...]: makes a config map.
map() {
  local name=$1
  shift
  k create configmap "$name" "${@/#/--from-literal=}" -o json
}
data() { k get configmap "$1" -o 'jsonpath={.data}'; }

# What they say no to.
k create configmap old --from-literal=a=b >/dev/null
hooks Validating a "$(webhook deny /deny)"
refuses "a denial" 'admission webhook "deny.example.com" denied the request: no x' map x
expect "with its code and reason" '"reason":"Because"' \
  bash -c "'$KUBECTL' --kubeconfig '$WORK/api/admin.kubeconfig' create --raw /api/v1/namespaces/default/configmaps -f - -v=8 <<<'{\"metadata\":{\"name\":\"x\"}}'"
refuses "an update" "no old" k patch configmap old -p '{"data":{"a":"c"}}'
refuses "an apply" "denied the request" k apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"old"},"data":{"z":"1"}}'
check "no delete, which is not asked about" k delete configmap old
check "nor another kind" k create secret generic s
check "nor its own configuration" k label validatingwebhookconfiguration a b=c
refuses "a dry run, too" "denied the request" k create configmap x --dry-run=server
hooks Validating a "$(webhook silent /deny-silently)"
refuses "a denial without a word" 'denied the request without explanation' map x
hooks Validating a "$(webhook warn /warn)"
expect "warnings" "Warning: mind the gap" k create configmap warned
check "what is asked is upstream's" grep -q '^/warn CREATE ConfigMap warned False v1<v1 CreateOptions ' "$WORK/log"
hooks Validating a "$(webhook del /deny '{"rules":[{"operations":["DELETE"],"apiGroups":["*"],"apiVersions":["*"],"resources":["*"]}]}')"
refuses "a delete" "no warned" k delete configmap warned
refuses "each of a collection" "denied the request" k delete configmaps --all
check "not that of its configuration" k delete validatingwebhookconfiguration a

# Whom they are asked about.
k create namespace red >/dev/null && k label namespace red colour=red >/dev/null
hooks Validating a "$(webhook deny /deny '{"namespaceSelector":{"matchLabels":{"colour":"red"}}}')"
refuses "in a namespace that is selected" "denied" k create configmap x -n red
check "not in another" k create configmap x
hooks Validating a "$(webhook deny /deny '{"objectSelector":{"matchLabels":{"colour":"red"}}}')"
check "labels that are not selected" k label configmap x colour=blue
refuses "labels that are" "denied" k label configmap x colour=red --overwrite
scalers() { webhook deny /deny '{"matchPolicy":"'"$1"'","rules":[{"operations":["*"],"apiGroups":["autoscaling"],"apiVersions":["v1"],"resources":["horizontalpodautoscalers","deployments/scale"]}]}'; }
scaler() { k create -f - <<<'{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"'"$1"'"},"spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"a"}}}'; }
hooks Validating a "$(scalers Exact)"
check "another version is not the same" scaler one
hooks Validating a "$(scalers Equivalent)"
refuses "but equivalent" "denied" scaler two
check "and converted" grep -q '^/deny CREATE HorizontalPodAutoscaler two False v1<v2' "$WORK/log"
k create deployment web --image=web >/dev/null
hooks Validating a "$(webhook deny /deny '{"rules":[{"operations":["*"],"apiGroups":["apps"],"apiVersions":["v1"],"resources":["deployments/scale"]}]}')"
refuses "a scale" "denied" k scale deployment web --replicas=3
check "is shown as one" grep -q '^/deny UPDATE Scale web' "$WORK/log"
none

# What they change.
hooks Mutating b "$(webhook first /first)" "$(webhook second /second)"
map staged start=1 >/dev/null
expect "changes in order" '{"first":"1","second":"1","start":"1"}' data staged
check "changes of a dry run" bash -c "'$KUBECTL' --kubeconfig '$WORK/api/admin.kubeconfig' create configmap dry --from-literal=start=1 --dry-run=server -o json | grep -q second"
refuses "which keeps nothing" "not found" k get configmap dry
hooks Mutating c "$(webhook count /count '{"reinvocationPolicy":"IfNeeded"}')" "$(webhook last /last)"
map again a=b >/dev/null
expect "who wants to is asked again after others" '{"a":"b","last":"1","seen":"2"}' data again
hooks Mutating c "$(webhook count /count)" "$(webhook last /last)"
map once a=b >/dev/null
expect "who does not is not" '"seen":"1"' data once
none
hooks Mutating b "$(webhook side /sidecar '{"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]}')"
k create serviceaccount default >/dev/null 2>&1 || true
check "a pod" k run injected --image=main
expect "has the container that was put in, with defaults" "side File Always" \
  k get pod injected -o 'jsonpath={.spec.initContainers[0].name} {.spec.initContainers[0].terminationMessagePolicy} {.spec.initContainers[0].imagePullPolicy}'
none
hooks Mutating b "$(webhook broken /broken-patch)"
refuses "a patch that does not fit" "Internal error occurred" map x2 a=b

# What goes wrong.
none
hooks Validating a "$(webhook slow /slow '{"timeoutSeconds":1}')"
refuses "a slow one" 'failed calling webhook "slow.example.com": failed to call webhook: Post "https://127.0.0.1:16632/slow?timeout=1s": context deadline exceeded' map x3
hooks Validating a "$(webhook slow /slow '{"timeoutSeconds":1,"failurePolicy":"Ignore"}')"
check "a slow one that does not matter" map x3
# failing NAME WANTED PATH [FIELDS]
failing() {
  hooks Validating a "$(webhook failing "$3" "${4:-}")"
  refuses "$1" "$2" map x4
}
failing "an error" 'an error on the server ("unknown") has prevented the request from succeeding' /error
failing "a redirect" 'status code 302' /redirect
failing "garbage" "json parse error" /garbage
failing "another's answer" "expected response.uid=" /wrong-uid
failing "nobody there" "connect: connection refused" /allow '{"clientConfig":{"url":"https://127.0.0.1:16639/x"}}'
failing "another's certificate" "certificate signed by unknown authority" /allow \
  '{"clientConfig":{"url":"https://127.0.0.1:16632/x","caBundle":"'"$(base64 -w0 "$WORK/other")"'"}}'
failing "no such service" 'service "none" not found' /allow '{"clientConfig":{"service":{"name":"none","namespace":"default"}}}'
k create service externalname hooks --external-name=localhost >/dev/null
failing "a service" 'denied the request: no x4' /x \
  '{"clientConfig":{"caBundle":"'"$BUNDLE"'","service":{"name":"hooks","namespace":"default","port":16632,"path":"/deny"}}}'
refuses "match conditions, which are not there yet" 'webhooks[0].matchConditions: Forbidden: matchConditions are not supported yet' \
  hooks Validating a "$(webhook bad /x '{"matchConditions":[{"name":"c","expression":"true"}]}')"
refuses "side effects that are not told" "sideEffects" hooks Validating a "$(webhook bad /x '{"sideEffects":"Some"}')"
none
check "none is left" map x4

CALLS=$(wc -l <"$WORK/log")
[ "$CALLS" -gt 25 ] || fail "only $CALLS calls"
grep -qi secret "$WORK/api.log" && fail "an answer is in the log"
echo "$CALLS calls"
