#!/usr/bin/env bash
# Custom resources: what a definition takes of memory, and what a list of custom objects takes of CPU beside one of as many
# pods, for each megabyte.
#
#   custom.sh [--results FILE] [--profile PROFILE] [--order SIDES] [--definitions N] [--objects N]
set -euo pipefail
order='decapod upstream' profile=release results= definitions=500 objects=10000 lists=10
while (($#)); do
	case $1 in
	--results) results=$2 && shift ;;
	--profile) profile=$2 && shift ;;
	--order) order=$2 && shift ;;
	--definitions) definitions=$2 && shift ;;
	--objects) objects=$2 && shift ;;
	*) echo "custom.sh: unknown argument $1" >&2 && exit 1 ;;
	esac
	shift
done
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
client_cores=1
build

life() {
	begin "" 0
	prepare
	local row figure unit value
	while IFS=$'\t' read -r row figure unit value; do
		note "$row" "$figure" "$unit" "$value"
	done < <(taskset -c 1 python3 "$root/bench/custom.py" "$dir" "$port" "$definitions" "$objects" "$lists")
}

take_turns
table
