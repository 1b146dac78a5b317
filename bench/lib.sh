# Sourced by the scripts beside it: builds both sides, and starts and stops an API server of either. Needs $order and
# $profile; sets $work, $results, $built, $upstream and $port. While a side lives, $side and $dir are its own.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
upstream=$root/conformance/upstream
source "$upstream/lib.sh"

# Plugins that are on in upstream's server and not in ours; upstream is spared them.
unlike=MutatingAdmissionPolicy,ValidatingAdmissionPolicy,NodeDeclaredFeatureValidator
port=$((20000 + RANDOM % 10000))
dir= side=

say() { printf '%s\n' "$*" >&2; }

build() { # upstream's programs besides
	say "building (profile $profile)"
	cargo build --quiet --manifest-path "$root/Cargo.toml" --profile "$profile" -p decapod -p decapod-bench
	target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
	[[ $profile == dev ]] && built=$target/debug || built=$target/$profile
	# A containerd's socket has to have a short path.
	work=$(mktemp -d "${TMPDIR:-/tmp}/db.XXXXXX")
	results=${results:-$work/results}
	"$upstream/build.sh" --links "$work/bin" kubectl kube-apiserver etcd "$@" >/dev/null
	kubectl=$work/bin/kubectl
	[[ $(stat -f -c %T "$work") != tmpfs ]] || say "warning: $work is in memory; set TMPDIR to a folder on a disk"
	trap finish EXIT
	say "$(nproc) cores, $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo); Linux $(uname -r); $(stat -f -c %T "$work")"
	say "decapod $("$built/decapod" version | awk '{ print $2; exit }') beside upstream $("$work/bin/kube-apiserver" --version | awk '{ print $2 }'); load $(cut -d' ' -f1-3 /proc/loadavg)"
}

finish() {
	local code=$?
	set +e
	[[ -z $dir ]] || end
	((code == 0)) || { say "failed; the logs are in $work" && exit "$code"; }
	rm -rf "$work"
}
# What ends a side that lives; a script that starts more than processes has its own.
end() { stop_all; }

# Calls `life N` for each side in turn.
take_turns() {
	local count=0 all
	all=$(wc -w <<<"$order")
	for side in $order; do
		count=$((count + 1))
		say "[$count/$all] $side, $SECONDS s"
		dir=$work/$count
		mkdir -p "$dir"
		life "$count"
		end
		rm -rf "$dir"
		dir=
	done
}

# The table of what has been measured.
table() { "$built/decapod-bench" table "$results" && say "$SECONDS s"; }

bench() { # command, arguments
	${client_cores:+taskset -c "$client_cores"} "$built/decapod-bench" "$1" --side "$side" --pids "$dir/pids" \
		--results "${into:-$results}" "${@:2}"
}

note() { # row, figure, unit, value
	printf '%s\t%s\t%s\t%s\t%s\n' "$side" "$@" >>"$results"
	say "  $side: $*"
}

# === a server ===

begin() { # row, cores; upstream's further arguments
	case $side in
	decapod)
		dir=$dir start decapod taskset -c "$2" "$built/decapod" apiserver --data-dir "$dir" --port "$port" --bind-address 127.0.0.1 \
			--service-cidr 10.96.0.0/16
		;;
	upstream)
		taskset -c "$2" "$upstream/run-apiserver.sh" --no-wait "$dir" "$port" --disable-admission-plugins "$unlike" \
			--enable-priority-and-fairness=false --max-requests-inflight=4000 --max-mutating-requests-inflight=4000
		;;
	esac
	if [[ -n $1 ]]; then bench ready --port "$port" --row "$1"; else into=/dev/null bench ready --port "$port" --row start; fi
}

admin() { "$kubectl" --kubeconfig "$dir/admin.kubeconfig" "$@" >/dev/null; }

# A user with all rights by RBAC, and where its objects are.
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
