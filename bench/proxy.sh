#!/usr/bin/env bash
# The service dataplane with 10,000 services of 2 endpoints: how long a proxy takes from its start until they are
# reached, and from a change until it is in force. Each side's proxy, by nftables, on its own API server. Needs root; it
# runs in a network namespace of its own, so the machine's rules are not touched.
#
#   proxy.sh [--full] [--results FILE] [--profile PROFILE] [--order SIDES] [--services N]
set -euo pipefail
if [[ -z ${DECAPOD_BENCH_NETNS-} ]]; then
	DECAPOD_BENCH_NETNS=yes exec unshare --net "${BASH_SOURCE[0]}" "$@"
fi
order='decapod upstream' profile=release results= services=10000 changes=5
while (($#)); do
	case $1 in
	--full) order='decapod upstream upstream decapod' changes=20 ;;
	--results) results=$2 && shift ;;
	--profile) profile=$2 && shift ;;
	--order) order=$2 && shift ;;
	--services) services=$2 && shift ;;
	*) echo "proxy.sh: unknown argument $1" >&2 && exit 1 ;;
	esac
	shift
done
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
client_cores=
build kube-proxy

# An address that services lead to, and a way for packets that no rule has caught.
address=10.9.9.9
ip link set lo up
ip link add bench0 type veth peer name bench1
ip address add "$address/24" dev bench0
ip link set bench0 up
ip link set bench1 up
ip route add default dev bench0

proxy() { # the proxy alone has a folder of processes of its own
	local server=$dir
	local dir=$dir/proxy
	mkdir -p "$dir"
	case $side in
	decapod) start proxy "$built/decapod" proxy --kubeconfig "$server/admin.kubeconfig" --node-name bench --cluster-cidr 10.128.0.0/12 --service-cidr 10.96.0.0/16 ;;
	upstream)
		cat >"$dir/proxy.yaml" <<-YAML
			apiVersion: kubeproxy.config.k8s.io/v1alpha1
			kind: KubeProxyConfiguration
			mode: nftables
			clientConnection: {kubeconfig: $server/admin.kubeconfig, qps: 1000, burst: 1000}
			clusterCIDR: 10.128.0.0/12
			conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
			metricsBindAddress: 127.0.0.1:$((port + 4))
			healthzBindAddress: 127.0.0.1:$((port + 5))
			hostnameOverride: bench
		YAML
		start proxy "$work/bin/kube-proxy" --config "$dir/proxy.yaml"
		;;
	esac
	bench sync-services --port "$port" --cert "$server/bench.crt" --key "$server/bench.key" --count "$services" \
		--address "$address" --changes "$changes"
	stop_all
}

end() { dir=$dir/proxy stop_all && stop_all; }

life() {
	begin "" "0-$(($(nproc) - 1))"
	prepare
	bench make-services --port "$port" --cert "$dir/bench.crt" --key "$dir/bench.key" --count "$services" --address "$address"
	proxy
	nft flush ruleset # in this namespace
}

take_turns
table
