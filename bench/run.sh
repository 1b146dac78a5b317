#!/usr/bin/env bash
# The figures of docs/SPECIFICATION.md, ours and upstream's, side by side in one run.
#
#   run.sh [--full] [--results FILE] [--profile PROFILE] [--rows ROW,ROW]
#
# One side runs at a time, in the order A B B A, so that what the machine does meanwhile meets both. The server is
# pinned to core 0, the generator to core 1; only starts have all cores. Both sides are durable, on TLS, with RBAC for a
# user who is no administrator of the system, managed fields, and the same admission plugins; neither has flow control.
# Without --full it takes about five minutes. Every figure goes to the results file as it is measured; `decapod-bench
# table FILE` prints them again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
upstream=$root/conformance/upstream
source "$upstream/lib.sh"

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
	*) fail "unknown argument $1" ;;
	esac
	shift
done

# Plugins that are on in upstream's server and not in ours; upstream is spared them.
unlike=PodSecurity,CertificateApproval,CertificateSigning,CertificateSubjectRestriction,ClusterTrustBundleAttest
unlike+=,PodTopologyLabels,MutatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionPolicy
unlike+=,ValidatingAdmissionWebhook,ResourceQuota
port=$((20000 + RANDOM % 10000))

say() { printf '%s\n' "$*" >&2; }

# === preparing ===

say "building (profile $profile)"
cargo build --quiet --manifest-path "$root/Cargo.toml" --profile "$profile" -p decapod -p decapod-bench
target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
[[ $profile == dev ]] && built=$target/debug || built=$target/$profile
(cd "$root/bench/clientgo" && CGO_ENABLED=0 GOWORK=off go build -trimpath -o "$target/bench-clientgo" .)
{ read -r kubectl && read -r apiserver && read -r etcd; } < <("$upstream/build.sh" kubectl kube-apiserver etcd)
work=$(mktemp -d "${TMPDIR:-/tmp}/decapod-bench.XXXXXX")
results=${results:-$work/results}
[[ $(stat -f -c %T "$work") != tmpfs ]] || say "warning: $work is in memory; set TMPDIR to a folder on a disk"
dir=
finish() {
	local code=$?
	[[ -z $dir ]] || stop_all
	((code == 0)) || { say "failed; the logs are in $work" && exit "$code"; }
	rm -rf "$work"
}
trap finish EXIT

bench() { # command, arguments
	taskset -c 1 "$built/decapod-bench" "$1" --side "$side" --pids "$dir/pids" --results "${into:-$results}" "${@:2}"
}

# === a server ===

begin() { # row, cores
	case $side in
	decapod)
		dir=$dir start decapod taskset -c "$2" "$built/decapod" apiserver --data-dir "$dir" --port "$port" --bind-address 127.0.0.1
		;;
	upstream)
		taskset -c "$2" "$upstream/run-apiserver.sh" --no-wait "$dir" "$port" --disable-admission-plugins "$unlike" \
			--enable-priority-and-fairness=false --max-requests-inflight=4000 --max-mutating-requests-inflight=4000
		;;
	esac
	if [[ -n $1 ]]; then bench ready --port "$port" --row "$1"; else into=/dev/null bench ready --port "$port" --row start; fi
}

admin() { "$kubectl" --kubeconfig "$dir/admin.kubeconfig" "$@" >/dev/null; }

# A user with all rights by RBAC, and where its pods are.
prepare() {
	local pki=$dir/pki
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=bench -CA "$pki/ca.crt" \
		-CAkey "$pki/ca.key" -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth \
		-keyout "$dir/bench.key" -out "$dir/bench.crt" 2>>"$dir/openssl.log"
	await 10 admin get --raw /readyz
	admin create clusterrolebinding bench --clusterrole=cluster-admin --user=bench
	local namespace
	for namespace in bench bench-more; do
		admin create namespace "$namespace"
		admin create serviceaccount default -n "$namespace"
	done
}

load() { # further arguments
	bench requests --port "$port" --cert "$dir/bench.crt" --key "$dir/bench.key" --seconds "$seconds" \
		--objects "$objects" --rate "$rate" --more "$more" ${rows:+--rows "$rows"} "$@"
}

# Upstream's own client, on the pods that are there by now.
clientgo() {
	taskset -c 1 "$target/bench-clientgo" -side "$side" -pids "$dir/pids" -results "$results" -port "$port" \
		-cert "$dir/bench.crt" -key "$dir/bench.key" -seconds "$seconds" -objects "$objects"
}

# === the two sides ===

life() { # one life of one side: what it is asked, in order
	dir=$work/$side-$1
	mkdir -p "$dir"
	if [[ -z $rows ]]; then
		begin "start, first boot" 0,1
		stop_all
	fi
	begin "" 0
	prepare
	[[ -n $rows ]] || bench idle --row "at rest, empty" --seconds "$idle"
	load
	[[ -n $rows ]] || clientgo
	[[ -n $rows ]] || bench idle --row "at rest after all this" --seconds 5
	[[ $side != decapod ]] || admin_list >"$work/list.json"
	stop_all
	if [[ -z $rows ]]; then
		begin "start with $((objects + more)) pods" 0,1
		stop_all
	fi
	dir=
	rm -rf "$work/$side-$1"
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

say "$(nproc) cores, $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo); Linux $(uname -r); $(stat -f -c %T "$work")"
say "decapod $("$built/decapod" version | awk '{ print $2; exit }') beside ${apiserver##*/}, ${etcd##*/}; load $(cut -d' ' -f1-3 /proc/loadavg)"
count=0 all=$(wc -w <<<"$order")
for side in $order; do
	count=$((count + 1))
	say "[$count/$all] $side, $SECONDS s"
	life "$count"
done
[[ ! -s $work/list.json || -n $rows ]] || copied
"$built/decapod-bench" table "$results"
say "$SECONDS s"
