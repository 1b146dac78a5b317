#!/usr/bin/env bash
# Pods bound a second on 5,000 nodes, end to end: each side's scheduler on its own API server, whose disk is synced; pods
# are created as fast as the server takes them. Plain pods first, then pods that are spread over zones, kept off each
# other's nodes, and held together in a zone, on top of those that are there. The counts are scheduler_perf's, smaller.
#
#   scheduler.sh [--full] [--results FILE] [--profile PROFILE] [--order SIDES] [--nodes N] [--pods N] [--slow-pods N]
#
# Everything shares all cores; CPU is that of the server, its store and the scheduler together.
set -euo pipefail
order='decapod upstream' profile=release results= nodes=5000 pods=2000 slow=300
while (($#)); do
	case $1 in
	--full) order='decapod upstream upstream decapod' pods=10000 slow=2000 ;;
	--results) results=$2 && shift ;;
	--profile) profile=$2 && shift ;;
	--order) order=$2 && shift ;;
	--nodes) nodes=$2 && shift ;;
	--pods) pods=$2 && shift ;;
	--slow-pods) slow=$2 && shift ;;
	*) echo "scheduler.sh: unknown argument $1" >&2 && exit 1 ;;
	esac
	shift
done
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
client_cores=
build kube-scheduler

life() {
	local cores
	cores=0-$(($(nproc) - 1))
	begin "" "$cores"
	prepare
	case $side in
	decapod) start scheduler "$built/decapod" scheduler --kubeconfig "$dir/admin.kubeconfig" ;;
	upstream)
		# Without limits of its client's own, as scheduler_perf has it.
		cat >"$dir/scheduler.yaml" <<-YAML
			apiVersion: kubescheduler.config.k8s.io/v1
			kind: KubeSchedulerConfiguration
			clientConnection: {kubeconfig: $dir/admin.kubeconfig, qps: 5000, burst: 5000}
			leaderElection: {leaderElect: false}
		YAML
		start scheduler "$work/bin/kube-scheduler" --config "$dir/scheduler.yaml" --secure-port "$((port + 7))" --bind-address 127.0.0.1
		;;
	esac
	bench bound --port "$port" --cert "$dir/bench.crt" --key "$dir/bench.key" --nodes "$nodes" --pods "$pods" --slow-pods "$slow"
}

take_turns
table
