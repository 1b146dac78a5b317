#!/usr/bin/env bash
# Custom resources with upstream's kubectl; what is refused, shown and published is the same as upstream's API server
# says beside ours.
. "$(dirname "$0")/lib.sh"

PORT=16541
. "$(dirname "$0")/both.sh"

cat >"$WORK/crd.yaml" <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    selectableFields: [{jsonPath: .spec.image}]
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec, description: When}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A table of times.
        required: [spec]
        properties:
          spec: &spec
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$', description: When it runs.}
              image: {type: string, default: none, maxLength: 10}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 2}
              mode: {type: string, enum: [fast, slow]}
              port: {x-kubernetes-int-or-string: true}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              steps:
                type: array
                maxItems: 3
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, at: {type: string, format: date-time}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              extra: {type: object, additionalProperties: {type: integer}}
              either:
                type: object
                properties: {a: {type: string}, b: {type: string}}
                oneOf: [{required: [a]}, {required: [b]}]
          status: &status
            type: object
            properties: {replicas: {type: integer}, selector: {type: string}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: *spec, status: *status}}
YAML
for side in ours theirs; do
  check "$side: definition" "$side" create -f "$WORK/crd.yaml"
  eventually 10 "$side: established" "$side" wait --for=condition=Established --timeout=10s crd/crontabs.stable.example.com
  eventually 10 "$side: discovery" "$side" get crontabs
  "$side" create serviceaccount default >/dev/null 2>&1 || true
done
both "the definition's table" get crd --no-headers
both "conditions" get crd crontabs.stable.example.com -o 'jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}{"\n"}{end}{.status.acceptedNames}{.status.storedVersions}'
for side in ours theirs; do "$side" get --raw /apis/stable.example.com | python3 -m json.tool --sort-keys >"$WORK/$side.out"; done
diff -u "$WORK/theirs.out" "$WORK/ours.out" >&2 || fail "discovery of the group differs (- theirs, + ours)"
sorted='import json, sys
for r in sorted(json.load(sys.stdin)["resources"], key=lambda r: r["name"]): print(json.dumps(r, sort_keys=True))'
for version in v1 v1beta1; do
  for side in ours theirs; do "$side" get --raw "/apis/stable.example.com/$version" | python3 -c "$sorted" >"$WORK/$side.out"; done
  diff -u "$WORK/theirs.out" "$WORK/ours.out" >&2 || fail "discovery of $version differs (- theirs, + ours)"
  PASSED=$((PASSED + 1))
done

# object NAME SPEC: the JSON of one.
object() { echo "{\"apiVersion\": \"stable.example.com/${3:-v1}\", \"kind\": \"CronTab\", \"metadata\": {\"name\": \"$1\"}, \"spec\": $2}"; }
for side in ours theirs; do
  object one '{"cronSpec": "* * * * */5", "image": "img", "free": {"any": {"thing": [1]}}, "extra": {"a": 1}}' | "$side" create -f - >/dev/null
  object two '{"cronSpec": "1 2 3 4 5", "port": "http", "steps": [{"name": "a"}]}' v1beta1 | "$side" create -f - >/dev/null 2>&1
done
both "a table" get ct
both "a wide table of the other version" get crontabs.v1beta1.stable.example.com -o wide
both "by category" get all --field-selector metadata.name!=kubernetes
both "defaults" get ct -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.spec}{"\n"}{end}'
both "both are of both versions" get crontabs.v1beta1.stable.example.com -o name
both "a field selector" get ct --field-selector spec.image=none -o name
both "explain" explain crontabs.spec
both "explain a field" explain crontabs.spec.steps.name
both "a warning" get --raw "/apis/stable.example.com/v1beta1/namespaces/default/crontabs/none"

# What is refused, and how.
refused=(
  '{}' '{"cronSpec": 5}' '{"cronSpec": "nonsense"}' '{"cronSpec": "* * * * *", "replicas": 11}' '{"cronSpec": "* * * * *", "replicas": "2"}'
  '{"cronSpec": "* * * * *", "replicas": 0}' '{"cronSpec": "* * * * *", "mode": "odd"}' '{"cronSpec": "* * * * *", "port": true}'
  '{"cronSpec": "* * * * *", "image": "much-too-long"}' '{"cronSpec": "* * * * *", "tags": ["a", "b", "a"]}'
  '{"cronSpec": "* * * * *", "steps": [{"name": "a"}, {"name": "a"}]}' '{"cronSpec": "* * * * *", "steps": [{}]}'
  '{"cronSpec": "* * * * *", "steps": [{"name": "a", "at": "noon"}]}' '{"cronSpec": "* * * * *", "extra": {"a": "x"}}'
  '{"cronSpec": "* * * * *", "steps": [{"name": "1"}, {"name": "2"}, {"name": "3"}, {"name": "4"}]}' '{"cronSpec": "* * * * *", "tags": {}}'
  '{"cronSpec": "* * * * *", "either": {}}' '{"cronSpec": "* * * * *", "either": {"a": "1", "b": "2"}}' '{"cronSpec": "* * * * *", "nope": 1, "steps": [{"name": "a", "nope": 2}]}'
)
for spec in "${refused[@]}"; do
  object bad "$spec" >"$WORK/bad.json"
  both "refused: $spec" create -f "$WORK/bad.json"
done
object warned '{"cronSpec": "* * * * *", "nope": 1}' >"$WORK/warned.json"
both "unknown fields are warned of" create --validate=warn -f "$WORK/warned.json"
both "and pruned" get ct warned -o 'jsonpath={.spec}'

# Changes.
both "strategic merge patches are not for them" patch ct one --type=strategic -p '{"spec": {"replicas": 3}}'
both "a merge patch" patch ct one --type=merge -p '{"spec": {"replicas": 3}}'
both "a JSON patch" patch ct one --type=json -p '[{"op": "add", "path": "/spec/extra/b", "value": 2}]'
both "a patch that does not fit" patch ct one --type=merge -p '{"spec": {"replicas": 30}}'
both "status by its subresource" patch ct one --subresource=status --type=merge -p '{"status": {"replicas": 3, "selector": "a=b"}, "spec": {"replicas": 9}}'
both "and only so" patch ct one --type=merge -p '{"status": {"replicas": 5}}'
both "a status that does not fit" patch ct one --subresource=status --type=merge -p '{"status": {"replicas": "x"}}'
both "a scale" get --raw /apis/stable.example.com/v1/namespaces/default/crontabs/one/scale
both "scaling" scale ct one --replicas=4
both "scaling too far" scale ct one --replicas=40
both "what came of it" get ct one -o 'jsonpath={.metadata.generation}{.spec}{.status}'
object applied '{"cronSpec": "* * * * *", "tags": ["a"]}' >"$WORK/applied.json"
both "apply" apply -f "$WORK/applied.json"
object applied '{"cronSpec": "1 * * * *"}' >"$WORK/applied.json"
both "apply again" apply -f "$WORK/applied.json"
both "nothing to apply" apply -f "$WORK/applied.json"
both "what was applied" get ct applied -o 'jsonpath={.spec}'
both "managers" get ct applied --show-managed-fields -o 'jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.subresource} {.fieldsV1}{"\n"}{end}'
both "replace needs a version" replace -f "$WORK/bad.json"

# Webhooks see them and change them, and what they put in has to fit the schema like all else.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=hooks \
  -addext 'subjectAltName=IP:127.0.0.1' -keyout "$WORK/key" -out "$WORK/cert" 2>/dev/null
python3 "$ROOT/tests/webhooks/server.py" "$WORK/cert" "$WORK/key" 16561 "$WORK/log" &
STARTED+=("$!")
eventually 10 "the webhooks are there" bash -c "exec 3<>/dev/tcp/127.0.0.1/16561"
# hook SIDE PHASE PATH OPERATIONS: one webhook about crontabs and their scales.
hook() {
  "$1" create -f - >/dev/null <<JSON
{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "$2WebhookConfiguration", "metadata": {"name": "hooks"}, "webhooks": [{
  "name": "hooks.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
  "clientConfig": {"url": "https://127.0.0.1:16561$3", "caBundle": "$(base64 -w0 "$WORK/cert")"},
  "rules": [{"operations": $4, "apiGroups": ["stable.example.com"], "apiVersions": ["v1"], "resources": ["crontabs", "crontabs/scale"]}]}]}
JSON
}
object hooked '{"cronSpec": "* * * * *", "image": "img"}' >"$WORK/hooked.json"
object other '{"cronSpec": "* * * * *", "image": "img"}' v1beta1 >"$WORK/other.json"
for side in ours theirs; do
  hook "$side" Mutating /custom '["CREATE", "UPDATE"]'
  eventually 10 "$side: is asked" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' create --dry-run=server -o json -f '$WORK/hooked.json' | grep -q hooked"
done
both "what a webhook puts in is pruned, what it takes away defaulted" create -f "$WORK/hooked.json" -o 'jsonpath={.spec}'
both "of another version, too" create -f "$WORK/other.json" -o 'jsonpath={.spec}'
both "and when it is changed" patch ct hooked --type=merge -p '{"spec": {"mode": "fast", "image": "img"}}' -o 'jsonpath={.spec}'
both "a scale" scale ct hooked --replicas=5
both "which it sets" get ct hooked -o 'jsonpath={.spec}'
for side in ours theirs; do
  check "$side: no webhook" "$side" delete mutatingwebhookconfiguration hooks
  hook "$side" Validating /deny '["DELETE"]'
  eventually 10 "$side: is asked about deletes" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' delete ct hooked --dry-run=server 2>&1 | grep -q denied"
done
both "a delete is refused" delete ct hooked

# The definition changes: what is stored is shown as it says now.
for side in ours theirs; do
  check "$side: another default" "$side" patch crd crontabs.stable.example.com --type=json -p \
    '[{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/more", "value": {"type": "string", "default": "new"}},
      {"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/extra"},
      {"op": "replace", "path": "/spec/versions/1/served", "value": false}]'
  eventually 10 "$side: the new schema" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' get ct one -o 'jsonpath={.spec.more}' | grep -q new"
  eventually 10 "$side: one version" bash -c "! timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' get --raw /apis/stable.example.com/v1beta1"
done
both "pruned and defaulted when read" get ct one -o 'jsonpath={.spec}'

# Names are given once.
sed 's/crontabs/tabs/g; s/singular: crontab/singular: tab/; s/shortNames: .ct./shortNames: [t]/' "$WORK/crd.yaml" >"$WORK/second.yaml"
for side in ours theirs; do
  check "$side: a second definition" "$side" create -f "$WORK/second.yaml"
  check "$side: names in use" "$side" wait --for=condition=NamesAccepted=false --timeout=10s crd/tabs.stable.example.com
done
both "the conflict" get crd tabs.stable.example.com -o 'jsonpath={range .status.conditions[*]}{.type}={.status} {.reason} {.message}{"\n"}{end}'

# What definitions are refused for.
for change in 'del(s["versions"][0]["schema"]["openAPIV3Schema"]["type"])' 's["versions"][1]["storage"] = True' 's["names"]["plural"] = "others"' \
  's["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["tags"]["items"] = {}' 's["preserveUnknownFields"] = True' \
  's["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["replicas"]["default"] = "x"'; do
  ours create --dry-run=client -o json -f "$WORK/crd.yaml" | sed 's/crontabs/cronlists/g' | python3 -c "
import json, sys
crd = json.load(sys.stdin); s = crd['spec']; $change; json.dump(crd, sys.stdout)" >"$WORK/bad.json"
  both "a definition is refused: $change" create -f "$WORK/bad.json"
done
# Listed differences: what is not served yet is refused by name.
ours create --dry-run=client -o json -f "$WORK/crd.yaml" | python3 -c '
import json, sys
crd = json.load(sys.stdin)
crd["metadata"]["name"] = "others.stable.example.com"
crd["spec"]["names"] = {"plural": "others", "kind": "Other"}
crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] = [{"rule": "self.spec.replicas < 3"}]
json.dump(crd, sys.stdout)' >"$WORK/cel.json"
refuses "CEL rules" "CEL validation rules are not supported yet" ours create -f "$WORK/cel.json"

# The end: instances go first, of which no webhook is asked; held ones hold the definition.
for side in ours theirs; do
  "$side" patch ct two --type=merge -p '{"metadata": {"finalizers": ["example.com/held"]}}' >/dev/null
  check "$side: deletion" "$side" delete crd crontabs.stable.example.com --wait=false
  eventually 10 "$side: ending" bash -c "timeout 20 '$KUBECTL' --kubeconfig '$WORK/$side/admin.kubeconfig' get ct two -o 'jsonpath={.metadata.deletionTimestamp}' | grep -q Z"
done
both "nothing new is made" create -f "$WORK/applied.json"
both "what is left" get ct -o name
for side in ours theirs; do
  "$side" patch ct two --type=json -p '[{"op": "remove", "path": "/metadata/finalizers"}]' >/dev/null
  check "$side: gone" "$side" wait --for=delete --timeout=15s crd/crontabs.stable.example.com
  check "$side: names are free" "$side" wait --for=condition=Established --timeout=10s crd/tabs.stable.example.com
done
both "the second one's" get tabs

# A restart serves what was defined.
object kept '{"cronSpec": "* * * * *"}' | ours create -f - >/dev/null
kill "$PID" && wait "$PID" || true
start_apiserver "$WORK/ours" 16551
expect "after a restart" "kept" ours get tabs -o name
