#!/usr/bin/env bash
# Versions of custom resources between which a webhook converts (tests/webhooks/convert.py): what clients see, and what they are told
# when the webhook fails, is the same as of upstream's API server.
. "$(dirname "$0")/lib.sh"

PORT=16571
. "$(dirname "$0")/both.sh"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=hooks \
  -addext 'subjectAltName=IP:127.0.0.1' -keyout "$WORK/key" -out "$WORK/cert" 2>/dev/null
HOOKS=$((PORT + 5))
python3 "$ROOT/tests/webhooks/convert.py" "$WORK/cert" "$WORK/key" $HOOKS "$WORK/log" &
STARTED+=("$!")
touch "$WORK/log"
eventually 10 "the webhook is there" bash -c "exec 3<>/dev/tcp/127.0.0.1/$HOOKS"

# definition SIDE: a kind whose two versions differ.
definition() {
  cat <<YAML
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gates.net.example.com}
spec:
  group: net.example.com
  scope: Namespaced
  names: {plural: gates, singular: gate, kind: Gate}
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v7, v1, v1beta1]
      clientConfig: {url: "https://127.0.0.1:$HOOKS/$1/convert", caBundle: $(base64 -w0 "$WORK/cert")}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: At, type: string, jsonPath: .spec.hostPort}]
    selectableFields: [{jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {hostPort: {type: string}, color: {type: string, default: red}}
          status: {type: object, properties: {open: {type: boolean}}}
  - name: v2
    served: true
    storage: false
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Host, type: string, jsonPath: .spec.host}, {name: Port, type: integer, jsonPath: .spec.port}]
    selectableFields: [{jsonPath: .spec.host}, {jsonPath: .spec.paint}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [host]
            properties:
              host: {type: string, maxLength: 10}
              port: {type: integer, default: 443, minimum: 1}
              paint: {type: string}
          status: {type: object, properties: {open: {type: boolean}}}
YAML
}
gate() { echo "{\"apiVersion\": \"net.example.com/$1\", \"kind\": \"Gate\", \"metadata\": {\"name\": \"$2\", \"labels\": {\"l\": \"1\"}}, \"spec\": $3}"; }
for side in ours theirs; do
  definition "$side" >"$WORK/$side.yaml"
  check "$side: definition" "$side" create -f "$WORK/$side.yaml"
  eventually 10 "$side: established" "$side" wait --for=condition=Established --timeout=10s crd/gates.net.example.com
  eventually 10 "$side: discovery" "$side" get gates
done
gate v1 one '{"hostPort": "a.example:80"}' >"$WORK/one.json"
gate v2 two '{"host": "b.example"}' >"$WORK/two.json"
both "a create in the version that is stored" create -f "$WORK/one.json" -o 'jsonpath={.metadata.labels} {.spec}'
both "one in another" create -f "$WORK/two.json" -o 'jsonpath={.metadata.labels} {.metadata.annotations} {.spec}'
all='jsonpath={range .items[*]}{.apiVersion} {.metadata.name} {.metadata.generation} {.metadata.labels} {.metadata.annotations} {.spec} {.status}{"\n"}{end}'
both "a list of the one" get gates.v1.net.example.com -o "$all"
both "a list of the other" get gates.v2.net.example.com -o "$all"
both "a table of the one" get gates.v1.net.example.com
both "a table of the other" get gates.v2.net.example.com
both "a field that only the one has" get gates.v1.net.example.com --field-selector spec.color=red -o name
both "a field that only the other has" get gates.v2.net.example.com --field-selector spec.host=b.example -o name
both "a label that only the other has" get gates.v2.net.example.com -l seen-as=v2 -o name
both "none in the one" get gates.v1.net.example.com -l seen-as=v2
both "what the other's schema refuses" patch gates.v2.net.example.com one --type=merge -p '{"spec": {"host": "much-too-long"}}'
both "and the one's does not" patch gates.v1.net.example.com one --type=merge -p '{"spec": {"hostPort": "much-too-long:81"}}'
both "a change by the other" patch gates.v2.net.example.com one --type=merge -p '{"spec": {"host": "c", "port": 82}}' -o 'jsonpath={.metadata.generation} {.spec}'
both "seen in the one" get gates.v1.net.example.com one -o 'jsonpath={.metadata.generation} {.spec}'
both "a status by the other" patch gates.v2.net.example.com one --subresource=status --type=merge -p '{"status": {"open": true}}' -o 'jsonpath={.metadata.generation} {.spec} {.status}'
both "a change that changes nothing" patch gates.v2.net.example.com one --type=merge -p '{"spec": {"host": "c"}}'
both "a dry run" create --dry-run=server -f "$WORK/two.json" -o 'jsonpath={.spec}'
gate v2 dry '{"host": "d"}' >"$WORK/dry.json"
both "another" create --dry-run=server -f "$WORK/dry.json" -o 'jsonpath={.metadata.labels} {.spec}'
both "a replace" replace -f "$WORK/one.json"

# Managers write in their versions, and what they own is compared in them.
for manager in "a v1 {\"hostPort\":\"s:1\"}" "b v2 {\"paint\":\"blue\",\"host\":\"s\"}" "c v2 {\"host\":\"t\"}" "c v1 {\"hostPort\":\"t:2\"}"; do
  read -r name version spec <<<"$manager"
  gate "$version" shared "$spec" >"$WORK/applied.json"
  both "an apply by $manager" apply --server-side --field-manager="$name" -f "$WORK/applied.json"
done
both "an apply by force" apply --server-side --field-manager=c --force-conflicts -f "$WORK/applied.json"
gate v2 shared '{"paint": "green"}' >"$WORK/applied.json"
both "an apply that gives up a field" apply --server-side --field-manager=b -f "$WORK/applied.json"
both "a patch" patch gates.v2.net.example.com shared --field-manager=d --type=merge -p '{"spec": {"port": 5}}'
both "what came of it" get gates.v2.net.example.com shared -o 'jsonpath={.metadata.labels} {.spec}'
owners='jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.apiVersion} {.fieldsV1}{"\n"}{end}'
both "who owns what" get gates.v2.net.example.com shared --show-managed-fields -o "$owners"
for side in ours theirs; do check "$side: no more of it" "$side" delete gates shared; done

# Watches are of a version, too.
for side in ours theirs; do
  timeout 10 "$KUBECTL" --kubeconfig "$WORK/$side/admin.kubeconfig" get gates.v2.net.example.com -w --output-watch-events --field-selector spec.host=w \
    -o 'jsonpath={.type} {.object.metadata.name} {.object.spec}{"\n"}' >"$WORK/$side.watch" 2>/dev/null &
  STARTED+=("$!")
  sleep 0.5
  gate v1 watched '{"hostPort": "w:1"}' | "$side" create -f - >/dev/null
  "$side" patch gates.v1.net.example.com watched --type=merge -p '{"spec": {"hostPort": "w:2"}}' >/dev/null
  "$side" patch gates.v1.net.example.com watched --type=merge -p '{"spec": {"hostPort": "x:2"}}' >/dev/null
  "$side" patch gates.v1.net.example.com watched --type=merge -p '{"spec": {"hostPort": "w:3"}}' >/dev/null
  "$side" delete gates.v1.net.example.com watched >/dev/null
  eventually 5 "$side: events" bash -c "grep -c . '$WORK/$side.watch' | grep -q 5"
done
diff -u "$WORK/theirs.watch" "$WORK/ours.watch" >&2 || fail "events differ (- theirs, + ours)"
PASSED=$((PASSED + 1))

# becomes WHAT: the webhook does that from now on.
becomes() {
  for side in ours theirs; do
    "$side" patch crd gates.net.example.com --type=merge -p '{"spec": {"conversion": {"webhook": {"clientConfig": {"url": "https://127.0.0.1:'$HOOKS/$side/$1'"}}}}}' >/dev/null
    eventually 10 "$side: $1" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' get gates.v2.net.example.com one >/dev/null 2>&1; grep -q '^$side $1 ' '$WORK/log'"
  done
}
gate v2 new '{"host": "n", "port": 1}' >"$WORK/new.json"
for what in fail fail-silently none uid name namespace kind version labels annotations label-number labels-list no-metadata \
  error wrong-uid no-response; do
  becomes "$what"
  both "a read while the webhook does: $what" get gates.v2.net.example.com one
  both "a write while the webhook does: $what" create -f "$WORK/new.json"
done
becomes metadata
both "only labels and annotations are the webhook's" get gates.v2.net.example.com one -o 'jsonpath={.metadata.finalizers}{.metadata.generateName}{.metadata.generation}{.metadata.labels}'
becomes unknown
both "what the schema does not know is pruned" get gates.v2.net.example.com one -o 'jsonpath={.spec}'
becomes wrong-kind
refuses "another kind" "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got apiextensions.k8s.io/v1, Kind=Status" ours get gates.v2.net.example.com one
becomes redirect
refuses "where it sends on is not gone" "the server responded with the status code 302" ours get gates.v2.net.example.com one
becomes garbage
refuses "no review" "couldn't get version/kind; json parse error" ours get gates.v2.net.example.com one
both "what is stored needs no webhook" get gates.v1.net.example.com one -o name
for side in ours theirs; do
  "$side" patch crd gates.net.example.com --type=merge -p '{"spec": {"conversion": {"webhook": {"clientConfig": {"url": "https://127.0.0.1:9/'$side'/gone"}}}}}' >/dev/null
  eventually 10 "$side: nobody" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' get gates.v2.net.example.com one 2>&1 | grep -q refused"
done
both "a webhook that is not there" get gates.v2.net.example.com one
for side in ours theirs; do
  "$side" patch crd gates.net.example.com --type=merge -p '{"spec": {"conversion": {"webhook": {"clientConfig": {"url": null, "service": {"namespace": "default", "name": "none", "path": "/x"}}}}}}' >/dev/null
  eventually 10 "$side: a service" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' get gates.v2.net.example.com one 2>&1 | grep -q none.default.svc"
done
both "a service that there is not" get gates.v2.net.example.com one
for side in ours theirs; do
  "$side" patch crd gates.net.example.com --type=merge -p '{"spec": {"conversion": {"webhook": {"clientConfig": {"service": null, "url": "https://127.0.0.1:'$HOOKS/$side/convert'"}, "conversionReviewVersions": ["v1beta1"]}}}}' >/dev/null
  eventually 10 "$side: well again" "$side" get gates.v2.net.example.com one
done
check "reviews of the version that it wants" grep -q '^ours convert net.example.com/v2 [0-9]* apiextensions.k8s.io/v1beta1 ConversionReview$' "$WORK/log"

# What is stored stays in the version that it was written in.
for side in ours theirs; do
  "$side" patch crd gates.net.example.com --type=json -p '[{"op": "replace", "path": "/spec/versions/0/storage", "value": false}, {"op": "replace", "path": "/spec/versions/1/storage", "value": true}]' >/dev/null
  gate v1 three '{"hostPort": "e:3"}' | "$side" create -f - >/dev/null
  gate v2 four '{"host": "f"}' | "$side" create -f - >/dev/null
done
both "versions that are stored" get crd gates.net.example.com -o 'jsonpath={.status.storedVersions}'
both "a list of objects of both in the one" get gates.v1.net.example.com -o "$all"
both "and in the other" get gates.v2.net.example.com -o "$all"
: >"$WORK/log"
for at in $(seq 1 20); do gate v1 "many-$at" '{"hostPort": "m:'"$at"'"}'; done | ours create -f - >/dev/null
expect "many" "gate.net.example.com/many-20" ours get gates.v1.net.example.com -o name
kill "$PID" && wait "$PID" || true
: >"$WORK/log"
start_apiserver "$WORK/ours" $((PORT + 10))
both "after a restart" get gates.v1.net.example.com one two three four -o "$all"
: >"$WORK/log"
expect "a list" "gate.net.example.com/many-20" ours get gates.v1.net.example.com -o name
expect "is one call" "ours convert net.example.com/v1 20 " cat "$WORK/log"
expect "a list again" "gate.net.example.com/many-20" ours get gates.v1.net.example.com -o name
expect "asks nobody" "1" grep -c . "$WORK/log"

for change in 's["conversion"]["webhook"]["conversionReviewVersions"] = ["v7"]' 'del(s["conversion"]["webhook"])' 's["conversion"]["strategy"] = "None"' \
  's["preserveUnknownFields"] = True' 's["conversion"]["webhook"]["clientConfig"]["url"] = "http://a"'; do
  ours create --dry-run=client -o json -f "$WORK/ours.yaml" | sed 's/gates/doors/g' | python3 -c "
import json, sys
crd = json.load(sys.stdin); s = crd['spec']; $change; json.dump(crd, sys.stdout)" >"$WORK/bad.json"
  both "a definition is refused: $change" create -f "$WORK/bad.json"
done

# Nobody is asked about what goes.
for side in ours theirs; do
  "$side" patch crd gates.net.example.com --type=merge -p '{"spec": {"conversion": {"strategy": "None", "webhook": null}}}' >/dev/null
  check "$side: gone" "$side" delete crd gates.net.example.com --timeout=15s
done
