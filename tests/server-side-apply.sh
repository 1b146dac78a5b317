#!/usr/bin/env bash
# Server-side apply and managed fields on upstream's kube-apiserver and on ours, through kubectl and plain requests: what comes
# back, what is kept and who owns it are the same. The commands are in tests/server-side-apply/*.txt.
. "$(dirname "$0")/lib.sh"

UPSTREAM="$ROOT/conformance/upstream"
TABLES="$ROOT/tests/server-side-apply"
export KUBECTL FIXTURES="$WORK/fixtures" BESIDE_HELPERS="$TABLES/helpers.sh"
cleanup() { "$UPSTREAM/stop-apiserver.sh" "$WORK/theirs" >/dev/null 2>&1 || true; }

check "upstream's API server" "$UPSTREAM/run-apiserver.sh" "$WORK/theirs" 16641 --service-cluster-ip-range=10.43.0.0/16
start_apiserver "$WORK/ours" 16651 "$WORK/ours.log"
sed -i 's/: upstream$/: beside/; s/: admin$/: beside/' "$WORK/theirs/admin.kubeconfig"
sed -i 's/: decapod$/: beside/' "$WORK/ours/admin.kubeconfig"
for side in theirs ours; do
  mkdir -p "$WORK/$side/home"
  "$KUBECTL" --kubeconfig "$WORK/$side/admin.kubeconfig" proxy --unix-socket="$WORK/$side/home/proxy.socket" >/dev/null &
  STARTED+=($!)
  until [ -S "$WORK/$side/home/proxy.socket" ]; do sleep 0.02; done
done
python3 "$ROOT/tests/beside/run.py" "$WORK/theirs" "$WORK/ours" "$TABLES"/*.txt || fail "something differs; see above"
PASSED=$((PASSED + 1))
