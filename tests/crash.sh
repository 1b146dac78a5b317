#!/usr/bin/env bash
# kill -9 of the API server under 32 writers: every write that was acknowledged is there afterwards, no resourceVersion
# is given twice, and a watcher that comes back after each death sees every write once and in order. The small form
# kills 10 times, the full form 300 times.
. "$(dirname "$0")/lib.sh"

KILLS=10
[ -n "${DECAPOD_TEST_FULL:-}" ] && KILLS=300
WRITERS=32
PORT=16541
writes() { "$ROOT/tests/writes.py" "$1" "$WORK/api/admin.kubeconfig" "$PORT" "${@:2}"; }

start_apiserver "$WORK/api" "$PORT"
"$ROOT/tests/writes.py" watch "$WORK/api/admin.kubeconfig" "$PORT" "$WORK/watched" &
watcher=$!
until [ -s "$WORK/watched" ]; do kill -0 "$watcher"; sleep 0.05; done
"$ROOT/tests/writes.py" load "$WORK/api/admin.kubeconfig" "$PORT" "$WORK/acknowledged" "$WRITERS" &
writers=$!
STARTED+=("$watcher" "$writers")

for _ in $(seq "$KILLS"); do
  sleep "0.$((RANDOM % 6 + 2))"
  kill -9 "$PID"
  wait "$PID" 2>/dev/null || true
  start_apiserver "$WORK/api" "$PORT"
done
kill "$writers"
wait "$writers"

timeout 60 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" create configmap end >/dev/null
wait "$watcher"
[ "$(wc -l <"$WORK/acknowledged")" -ge $((10 * KILLS)) ] || fail "hardly anything was acknowledged"
writes check "$WORK/acknowledged" "$WORK/watched" || fail "acknowledged writes are lost, or not seen rightly"
PASSED=$((PASSED + KILLS))
echo "$KILLS kills under $WRITERS writers, 0 lost"
