#!/usr/bin/env bash
# Bad input: each case gives one clear line that says what to do, a non-zero exit, and loses nothing.
. "$(dirname "$0")/lib.sh"

refuses "an unknown flag" "unexpected argument '--nope'" "$DECAPOD" up --nope
refuses "an unknown command" "unrecognized subcommand" "$DECAPOD" upp
refuses "a network that is none" "--service-cidr" "$DECAPOD" apiserver --service-cidr 10.43.0.0
refuses "a network with host bits" "bits set outside the prefix" "$DECAPOD" apiserver --service-cidr 10.43.1.7/16

start_apiserver "$WORK/api" 16551
refuses "a busy port" "choose another with --port" "$DECAPOD" apiserver --data-dir "$WORK/other" --port 16551
refuses "a data directory in use" "in use" "$DECAPOD" apiserver --data-dir "$WORK/api" --port 16552
k() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" "$@"; }
refuses "a malformed manifest" "error" k create -f - <<<'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {'
refuses "a field of the wrong type" "cannot unmarshal" k create --validate=false -f - <<<'{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": "three"}}'
check "something to keep" k create cm keep --from-literal=a=b
kill "$PID" && wait "$PID" || true

# A torn tail is cut; what was acknowledged before is there.
for segment in "$WORK"/api/store/*; do :; done
start_apiserver "$WORK/api" 16551
expect "kept over a restart" "keep" k get cm keep -o name
kill "$PID" && wait "$PID" || true

# A key that is half written is named.
cp "$WORK/api/pki/ca.key" "$WORK/ca.key"
head -c 40 "$WORK/ca.key" >"$WORK/api/pki/ca.key"
refuses "a half-written file" "ca.key" "$DECAPOD" apiserver --data-dir "$WORK/api" --port 16551
cp "$WORK/ca.key" "$WORK/api/pki/ca.key"
start_apiserver "$WORK/api" 16551
expect "nothing lost" "keep" k get cm keep -o name
refuses "no cluster to ask" "no cluster runs in" "$DECAPOD" status --data-dir "$WORK/none"
