#!/usr/bin/env bash
# Each kubectl command that needs no container, on upstream's kube-apiserver and on ours: what they print and their
# exit codes are the same. The commands are in tests/beside/*.txt; arguments name some of them. DECAPOD_TEST_FULL=1 runs
# all of them; else those marked `full:` stay out, which show no more of a command than others do.
# DECAPOD_TEST_PORT is the first of the four ports that it takes; DECAPOD_TEST_FLAGS are given to both servers.
. "$(dirname "$0")/lib.sh"

UPSTREAM="$ROOT/conformance/upstream"
BESIDE="$ROOT/tests/beside"
export KUBECTL FIXTURES="$WORK/fixtures"
cleanup() { "$UPSTREAM/stop-apiserver.sh" "$WORK/theirs" >/dev/null 2>&1 || true; }

# Files that both servers are given: a certificate, and a request for one.
mkdir -p "$FIXTURES"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj /CN=example.com \
  -keyout "$FIXTURES/tls.key" -out "$FIXTURES/tls.crt" 2>/dev/null
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /O=people/CN=jane \
  -keyout "$FIXTURES/csr.key" -out "$FIXTURES/csr.pem" 2>/dev/null
base64 -w0 "$FIXTURES/csr.pem" >"$FIXTURES/csr.base64"

# Both with the same range of services, the same address, and the same names in their kubeconfigs.
address=192.0.2.77 port=${DECAPOD_TEST_PORT:-16541}
check "upstream's API server" "$UPSTREAM/run-apiserver.sh" "$WORK/theirs" "$port" --service-cluster-ip-range=10.43.0.0/16 \
  --advertise-address="$address" --endpoint-reconciler-type=lease ${DECAPOD_TEST_FLAGS-}
start_apiserver "$WORK/ours" $((port + 3)) "$WORK/ours.log" --advertise-address "$address" ${DECAPOD_TEST_FLAGS-}
sed -i 's/: upstream$/: beside/; s/: admin$/: beside/' "$WORK/theirs/admin.kubeconfig"
sed -i 's/: decapod$/: beside/' "$WORK/ours/admin.kubeconfig"

# Behind proxies, for what kubectl does not ask for by itself: whole tables and documents.
proxy() {
  "$KUBECTL" --kubeconfig "$1/admin.kubeconfig" proxy --port=0 >"$1.proxy" 2>&1 &
  STARTED+=($!)
  until grep -q '^Starting to serve' "$1.proxy"; do sleep 0.05; done
  URL="http://$(sed -n 's/^Starting to serve on //p' "$1.proxy")"
}
proxy "$WORK/theirs" && theirs=$URL
proxy "$WORK/ours" && ours=$URL

different=0
python3 "$BESIDE/openapi.py" "$theirs" "$ours" >"$WORK/openapi.txt" 2>&1 &
openapi=$!
python3 "$BESIDE/tables.py" "$theirs" "$ours" || different=1
tables=("$@")
[ "${#tables[@]}" -gt 0 ] || tables=("$BESIDE"/*.txt)
python3 "$BESIDE/run.py" "$WORK/theirs" "$WORK/ours" "${tables[@]}" || different=1
wait "$openapi" || different=1
cat "$WORK/openapi.txt"
[ "$different" = 0 ] || fail "something differs; see above"
PASSED=$((PASSED + 3))
