# Upstream's API server and ours side by side, for tests that hold what kubectl says of the one against the other. Source it after
# lib.sh, with PORT set: upstream's listens there, ours ten ports on.
UPSTREAM="$ROOT/conformance/upstream"
cleanup() { "$UPSTREAM/stop-apiserver.sh" "$WORK/theirs" >/dev/null 2>&1 || true; }
check "upstream's API server" "$UPSTREAM/run-apiserver.sh" "$WORK/theirs" "$PORT"
start_apiserver "$WORK/ours" $((PORT + 10))
ours() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/ours/admin.kubeconfig" "$@"; }
theirs() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/theirs/admin.kubeconfig" "$@"; }

# both NAME COMMAND...: kubectl says the same of both, but for ages and what is random, and in errors for who is asked.
both() {
  local name=$1 side asked=()
  shift
  for side in ours theirs; do
    { "$side" "$@" 2>&1 || true; } | sed -E "s/[0-9]+s\$/AGE/; s/[0-9-]+T[0-9:]+Z/TIME/g; s/\"(uid|resourceVersion)\":\"[^\"]*\"/\1/g; s/Invalid value: [[{].*[]}]:/Invalid value:/; s:/$side/:/SIDE/:g; s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UID/g" >"$WORK/$side.out" &
    asked+=($!)
  done
  wait "${asked[@]}"
  diff -u "$WORK/theirs.out" "$WORK/ours.out" >&2 || fail "$name differs (- theirs, + ours)"
  [ -s "$WORK/ours.out" ] || fail "$name: nothing to compare"
  PASSED=$((PASSED + 1))
}
