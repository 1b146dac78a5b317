#!/usr/bin/env bash
# A stranger's machine: a fresh clone, a HOME, CARGO_HOME and GOPATH with nothing in them, and `make up`. Then what a
# stranger does first (tests/cluster.sh), with the program that was built. Needs root, the toolchains and half an hour:
# only the full form runs it.
. "$(dirname "$0")/lib.sh"

CLONE="$WORK/decapod"
HOME_DIR="$WORK/home"
mkdir "$HOME_DIR"
# The toolchains stay where they are: a stranger has installed them.
stranger() {
  env -i PATH="$PATH" TERM="${TERM:-dumb}" HOME="$HOME_DIR" CARGO_HOME="$WORK/cargo" GOPATH="$WORK/go" \
    RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" GOFLAGS=-modcacherw "$@"
}
cleanup() { [ ! -x "$CLONE/target/release/decapod" ] || stranger make -C "$CLONE" uninstall >/dev/null 2>&1 || true; }

check "clone" git clone --quiet "$ROOT" "$CLONE"
began=$SECONDS
stranger make -C "$CLONE" up 2>&1 | tee "$WORK/up.log" | grep -E '^ *[0-9.]+ +s |^ready' || fail "make up"
echo "make up from nothing: $((SECONDS - began)) s"
expect "it says when it is ready" "ready: kubectl" cat "$WORK/up.log"
expect "DNS answers" "DNS answers" cat "$WORK/up.log"
expect "the node" " Ready " stranger "$KUBECTL" --context decapod get nodes
check "uninstall" stranger make -C "$CLONE" uninstall
check "the first minutes, with this program" env DECAPOD="$CLONE/target/release/decapod" "$ROOT/tests/cluster.sh"
