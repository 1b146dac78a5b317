#!/usr/bin/env bash
# Ends what run-apiserver.sh started for DIR; its data stays.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
(($# == 1)) || fail "usage: stop-apiserver.sh DIR"
[[ -d $1 ]] || exit 0
dir=$(cd "$1" && pwd)
stop_all
