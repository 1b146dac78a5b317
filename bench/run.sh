#!/usr/bin/env bash
# The figures of docs/SPECIFICATION.md, ours and upstream's, side by side in one run.
#
#   run.sh [--full] [--results FILE] [--profile PROFILE] [--rows ROW,ROW]
#
# Rows are start, idle, create, get, list, patch, watch, more (what a pod needs in memory, with --more N), clientgo.
#
# One side runs at a time, in the order A B B A, so that what the machine does meanwhile meets both. The server is
# pinned to core 0, the generator to core 1; only starts have all cores. Both sides are durable, on TLS, with RBAC for a
# user who is no administrator of the system, managed fields, and the same admission plugins; neither has flow control.
# Without --full it takes about five minutes. Every figure goes to the results file as it is measured; `decapod-bench
# table FILE` prints them again.
set -euo pipefail
order='decapod upstream upstream decapod' profile=release results= rows=
seconds=3 idle=10 objects=5000 more=0 rate=50
while (($#)); do
	case $1 in
	--full) seconds=10 idle=300 more=145000 ;;
	--results) results=$2 && shift ;;
	--profile) profile=$2 && shift ;;
	--order) order=$2 && shift ;;
	--seconds) seconds=$2 && shift ;;
	--idle) idle=$2 && shift ;;
	--more) more=$2 && shift ;;
	--objects) objects=$2 && shift ;;
	--rate) rate=$2 && shift ;;
	--rows) rows=$2 && shift ;;
	*) echo "run.sh: unknown argument $1" >&2 && exit 1 ;;
	esac
	shift
done

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
client_cores=1
build
(cd "$root/bench/clientgo" && CGO_ENABLED=0 GOWORK=off go build -trimpath -o "$target/bench-clientgo" .)

wants() { [[ -z $rows || ,$rows, == *,$1,* ]]; } # row

load() { # further arguments
	local row asked=
	for row in create get list patch watch more; do ! wants "$row" || asked+=,$row; done
	[[ -n $asked ]] || return 0
	bench requests --port "$port" --cert "$dir/bench.crt" --key "$dir/bench.key" --seconds "$seconds" \
		--objects "$objects" --rate "$rate" --more "$more" --rows "${asked#,}" "$@"
}

# Upstream's own client, on the pods that are there by now.
clientgo() {
	taskset -c 1 "$target/bench-clientgo" -side "$side" -pids "$dir/pids" -results "$results" -port "$port" \
		-cert "$dir/bench.crt" -key "$dir/bench.key" -seconds "$seconds" -objects "$objects"
}

# === the two sides ===

life() { # one life of one side: what it is asked, in order
	if wants start; then
		begin "start, first boot" 0,1
		stop_all
	fi
	begin "" 0
	prepare
	! wants idle || bench idle --row "at rest, empty" --seconds "$idle"
	load
	! wants clientgo || clientgo
	! wants idle || bench idle --row "at rest after all this" --seconds 5
	[[ $side != decapod ]] || ! wants list || admin_list >"$work/list.json"
	wants start || return 0
	stop_all
	begin "start with $((objects + more)) pods" 0,1
}
admin_list() { "$kubectl" --kubeconfig "$dir/admin.kubeconfig" get --raw /api/v1/namespaces/bench/pods; }

# What a list is held against: the same bytes from a server that only copies them.
copied() {
	dir=$work/copy side=decapod
	mkdir -p "$dir"
	start copy taskset -c 0 "$built/decapod-bench" copy "$work/list.json" --port "$port"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=bench \
		-keyout "$dir/bench.key" -out "$dir/bench.crt" 2>>"$dir/openssl.log"
	into=/dev/null bench ready --port "$port" --row copy
	rows=list more=0 load --encodings json --note " as a server that only copies"
	stop_all
	dir=
}

take_turns
[[ ! -s $work/list.json ]] || copied
table
