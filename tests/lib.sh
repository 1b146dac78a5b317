# What the whole-binary tests share. Source it; it sets DECAPOD, KUBECTL and a folder WORK that goes when the test ends.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DECAPOD=${DECAPOD:-"$ROOT/target/debug/decapod"}
KUBECTL=$("$ROOT/conformance/upstream/build.sh" kubectl)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/decapod-test.XXXXXX")
PASSED=0
STARTED=()

finish() {
  local code=$?
  set +e
  for pid in "${STARTED[@]:-}"; do
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
  done
  declare -F cleanup >/dev/null && cleanup
  rm -rf "$WORK"
  if [ "$code" -eq 0 ]; then echo "$PASSED passed, 0 failed"; else echo "$PASSED passed, 1 failed"; fi
  exit "$code"
}
trap finish EXIT

# Fails the test.
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# check NAME COMMAND...: the command has to succeed.
check() {
  local name=$1
  shift
  local output
  if ! output=$("$@" 2>&1); then
    echo "$output" >&2
    fail "$name"
  fi
  PASSED=$((PASSED + 1))
}

# expect NAME WANTED COMMAND...: the command's output has to contain WANTED.
expect() {
  local name=$1 wanted=$2
  shift 2
  local output
  output=$("$@" 2>&1) || true
  case "$output" in
    *"$wanted"*) PASSED=$((PASSED + 1)) ;;
    *) echo "$output" >&2; fail "$name: expected $wanted" ;;
  esac
}

# refuses NAME WANTED COMMAND...: the command has to fail and say WANTED.
refuses() {
  local name=$1 wanted=$2
  shift 2
  local output
  if output=$("$@" 2>&1); then
    echo "$output" >&2
    fail "$name: it did not fail"
  fi
  case "$output" in
    *"$wanted"*) PASSED=$((PASSED + 1)) ;;
    *) echo "$output" >&2; fail "$name: expected $wanted" ;;
  esac
}

# eventually SECONDS NAME COMMAND...: the command has to succeed before the time is over.
eventually() {
  local limit=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || { "$@" >&2 || true; fail "$name"; }
    sleep 0.2
  done
  PASSED=$((PASSED + 1))
}

# start_apiserver DIR PORT [LOG [ARGUMENT...]]: starts the API server alone and waits until it is ready; PID is its process.
start_apiserver() {
  local log=${3:-$1.log}
  : >"$log"
  "$DECAPOD" apiserver --data-dir "$1" --port "$2" "${@:4}" >"$log" 2>&1 &
  PID=$!
  STARTED+=("$PID")
  local limit=$((SECONDS + 20))
  until grep -q '^ready' "$log"; do
    kill -0 "$PID" 2>/dev/null || { cat "$log" >&2; fail "the API server ended"; }
    [ "$SECONDS" -lt "$limit" ] || fail "the API server is not ready"
    sleep 0.05
  done
}
