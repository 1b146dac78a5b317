#!/usr/bin/env bash
# Removes all pods of the containerd that run-containerd.sh started for DIR, ends
# it, and undoes its mounts. Its images and logs stay.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
(($# == 1)) || fail "usage: stop-containerd.sh DIR"
[[ -d $1 ]] || exit 0
dir=$(cd "$1" && pwd)
if [[ -e $dir/pids ]] && all_run; then
	"$dir/bin/crictl" --config "$dir/crictl.yaml" rmp --all --force >/dev/null 2>&1 ||
		echo "${0##*/}: some pods could not be removed" >&2
fi
stop_all
awk -v dir="$dir" '$5 == dir || index($5, dir "/") == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r umount
