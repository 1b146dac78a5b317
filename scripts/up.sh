#!/usr/bin/env bash
# From a fresh machine to a cluster that is ready.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/packages.sh runc=runc gcc=gcc
command -v go >/dev/null 2>&1 || scripts/packages.sh containerd=containerd
runtime=$(scripts/runtime.sh)
cargo build --release --package decapod
run=""
[ "$(id -u)" -eq 0 ] || run="sudo --preserve-env=HOME,KUBECONFIG"
exec $run target/release/decapod up --detach ${runtime:+--runtime-dir "$runtime"} "$@"
