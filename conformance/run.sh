#!/usr/bin/env bash
# Runs upstream's conformance tests, unmodified, and writes docs/CONFORMANCE.md.
#
#   run.sh [--focus REGEX] [--skip REGEX] [--names FILE] [--procs N] [--kubeconfig FILE] [--images 'NAME ...'] [--out DIR]
#          [--page FILE]
#
# Without --kubeconfig it starts a cluster of two nodes for itself (cluster.sh), with all images or those that are named,
# and takes it away again. --names has exact names of tests, one a line; all of them have to run. Tests that upstream marks serial run alone, after the others. What failed tests leave
# (their namespaces' objects, events, logs) is kept in DIR/state, ginkgo's own output in DIR/*.log. Ends with 1 when a test fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
focus='\[Conformance\]' skip='' names='' procs=6 kubeconfig='' images='' out='' page=$here/../docs/CONFORMANCE.md
while (($#)); do
	case $1 in
	--focus | --skip | --names | --procs | --kubeconfig | --images | --out | --page)
		[[ $# -gt 1 ]] || { echo "run.sh: $1 wants a value" >&2 && exit 2; }
		declare "${1#--}=$2"
		shift 2
		;;
	*) echo "run.sh: unknown argument $1" >&2 && exit 2 ;;
	esac
done
[[ -n $out ]] || out=$(mktemp -d "${TMPDIR:-/tmp}/decapod-conformance.XXXXXX")
mkdir -p "$out"

"$here/upstream/build.sh" --links "$out/bin" kubectl ginkgo e2e.test >/dev/null
"$out/bin/e2e.test" --list-conformance-tests >"$out/list.yaml" 2>/dev/null
if [[ -n $names ]]; then
	focus=$(sed -E 's/[][().*+?^${}|\\/]/\\&/g; s/$/$/' "$names" | paste -sd'|')
fi
if [[ -z $kubeconfig ]]; then
	trap '"$here/cluster.sh" down "$out/cluster"' EXIT
	# shellcheck disable=SC2086 # Names are words.
	mapfile -t archives < <("$here/images/build.sh" $images)
	"$here/cluster.sh" up "$out/cluster" "${archives[@]}"
	kubeconfig=$out/cluster/kubeconfig
fi
export KUBECONFIG=$kubeconfig

# suite NAME PROCS ARGUMENT...: one run of ginkgo.
suite() {
	local name=$1 procs=$2
	shift 2
	"$out/bin/ginkgo" --procs="$procs" --timeout=4h --poll-progress-after=0 --no-color --succinct --keep-going \
		--json-report="$name.json" --output-dir="$out" "$@" "$out/bin/e2e.test" -- \
		--provider=skeleton --kubeconfig="$kubeconfig" --kubectl-path="$out/bin/kubectl" \
		--delete-namespace-on-failure=false --disable-log-dump --dump-logs-on-failure=false >"$out/$name.log" 2>&1 || true
	local report
	for report in "$out/$name.json" "$out/e2e_$name.json"; do
		[[ -s $report ]] && reports+=("$report")
	done
	echo "$name: $(grep -aoE '^Ran [0-9].*|[0-9]+ Passed.*' "$out/$name.log" | paste -sd' ')"
}

reports=()
suite parallel "$procs" --focus="$focus" --skip='\[Serial\]' ${skip:+--skip="$skip"}
suite serial 1 --focus="$focus" --label-filter='Serial' ${skip:+--skip="$skip"}
((${#reports[@]})) || { tail -20 "$out"/*.log >&2 && echo "run.sh: nothing ran, see $out" >&2 && exit 2; }

# Whatever failed tests left behind: they keep their namespaces.
left=$("$out/bin/kubectl" get namespaces -l e2e-framework -o 'jsonpath={range .items[*]}{.metadata.name},{end}')
if [[ -n $left ]]; then
	"$out/bin/kubectl" cluster-info dump --namespaces "${left%,}" --output-directory "$out/state" >/dev/null || true
	tr ',' '\n' <<<"${left%,}" | xargs -r "$out/bin/kubectl" delete namespace --wait=false >/dev/null || true
fi
report=$(cd "$here/report" && GOWORK=off GOFLAGS= go build -o "$out/bin/report" . && echo "$out/bin/report")
echo "logs and state: $out"
"$report" "$out/list.yaml" "$here/reasons.txt" "$page" "${reports[@]}" | tee "$out/result"
if [[ -n $names ]] && ! grep -q "^$(grep -c . "$names") tests ran" "$out/result"; then
	echo "run.sh: not all of the tests in $names have run" >&2
	exit 1
fi
