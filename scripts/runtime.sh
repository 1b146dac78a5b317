#!/usr/bin/env bash
# Prints a folder that holds a containerd of 2.2 or newer: built from Go modules where Go is there. Prints nothing where
# it is not; then the distribution's containerd is used.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null 2>&1 || exit 0
dir="${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}/runtime"
conformance/upstream/build.sh --links "$dir" containerd containerd-shim-runc-v2 ctr >&2
echo "$dir"
