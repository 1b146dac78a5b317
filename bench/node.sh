#!/usr/bin/env bash
# The figures of a whole node, ours and upstream's: time until Ready, memory and CPU at rest, start of a pod. Needs root
# and runc; nothing else may run a cluster on the machine meanwhile.
#
#   node.sh [--full] [--results FILE] [--profile PROFILE] [--order SIDES]
#
# Ours is `decapod up`; the peer is etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kube-proxy,
# without DNS, on the same containerd, which is counted on neither side; what that takes alone is a row of its own. The
# peer has no pod network, so pods start on the host's network on both; ours also start on their own. Certificates and kubeconfigs are there before the peer starts.
set -euo pipefail
order='decapod upstream upstream decapod' profile=release results= idle=20 pods=15
while (($#)); do
	case $1 in
	--full) idle=300 pods=50 ;;
	--results) results=$2 && shift ;;
	--profile) profile=$2 && shift ;;
	--order) order=$2 && shift ;;
	*) echo "node.sh: unknown argument $1" >&2 && exit 1 ;;
	esac
	shift
done
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=registry.k8s.io/e2e-test-images/busybox:1.37.0-1
build kube-controller-manager kube-scheduler kubelet kube-proxy
archive=$("$root/conformance/images/build.sh" busybox | grep 'busybox-1[.]37' | head -n 1)
pause=$("$root/conformance/images/build.sh" pause | head -n 1)
runtime=$("$root/scripts/runtime.sh" 2>/dev/null)

milliseconds() { echo $((($(date +%s%N) - $1) / 1000000)); }
now() { date +%s%N; }

# === ours ===

ours() { "$built/decapod" "$1" --data-dir "$dir/data" "${@:2}"; }

begin_decapod() {
	local began pid
	began=$(now)
	ours up --kubeconfig "$dir/kubeconfig" --port "$port" --kubelet-port "$((port + 1))" --node-name bench --detach \
		${runtime:+--runtime-dir "$runtime"} >"$dir/up.log" 2>&1
	note "node, from nothing" "until Ready" ms "$(milliseconds "$began")"
	pid=$(cat "$dir/data/decapod.pid")
	echo "decapod $pid $(started "$pid")" >"$dir/pids"
	ours images ${runtime:+--runtime-dir "$runtime"} import "$archive" >/dev/null
	pki=$dir/data/pki socket=$dir/data/containerd/containerd.sock
}
end_decapod() { ours uninstall --kubeconfig "$dir/kubeconfig" >/dev/null; }

# === upstream's ===

kubeconfig() { # name, subject
	local file=$dir/$1.kubeconfig
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj "$2" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" \
		-addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth,serverAuth -addext subjectAltName=IP:127.0.0.1 \
		-keyout "$dir/$1.key" -out "$dir/$1.crt" 2>>"$dir/openssl.log"
	cat >"$file" <<-YAML
		apiVersion: v1
		kind: Config
		clusters: [{name: c, cluster: {server: "https://127.0.0.1:$port", certificate-authority: $pki/ca.crt}}]
		users: [{name: u, user: {client-certificate: $dir/$1.crt, client-key: $dir/$1.key}}]
		contexts: [{name: x, context: {cluster: c, user: u}}]
		current-context: x
	YAML
}

kubelet_config() {
	cat >"$dir/kubelet.yaml" <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		port: $((port + 3))
		healthzPort: 0
		cgroupDriver: cgroupfs
		failCgroupV1: false
		failSwapOn: false
		containerRuntimeEndpoint: unix://$dir/cri/containerd.sock
		authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $pki/ca.crt}}
		authorization: {mode: Webhook}
		podLogsDir: $dir/pod-logs
		evictionHard: {}
	YAML
	cat >"$dir/proxy.yaml" <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		clientConnection: {kubeconfig: $dir/proxy.kubeconfig}
		clusterCIDR: 10.244.0.0/16
		metricsBindAddress: 127.0.0.1:$((port + 4))
		healthzBindAddress: 127.0.0.1:$((port + 5))
		hostnameOverride: bench
	YAML
}

begin_upstream() {
	local began
	pki=$dir/pki socket=$dir/cri/containerd.sock
	# Once, for the certificates.
	"$upstream/run-apiserver.sh" "$dir" "$port" && stop_all
	kubeconfig kubelet "/O=system:nodes/CN=system:node:bench"
	kubeconfig manager /CN=system:kube-controller-manager
	kubeconfig scheduler /CN=system:kube-scheduler
	kubeconfig proxy /CN=system:kube-proxy
	kubelet_config
	mkdir -p "$dir/cri/cni/net.d"
	# Enough for the node to say that it has a network.
	echo '{"cniVersion":"1.0.0","name":"none","plugins":[{"type":"none"}]}' >"$dir/cri/cni/net.d/10-none.conflist"
	rm -rf "$dir/etcd"
	began=$(now)
	"$upstream/run-apiserver.sh" --no-wait "$dir" "$port"
	"$upstream/run-containerd.sh" "$dir/cri"
	start manager "$work/bin/kube-controller-manager" --kubeconfig "$dir/manager.kubeconfig" --leader-elect=false \
		--use-service-account-credentials --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
		--secure-port "$((port + 6))" --bind-address 127.0.0.1
	start scheduler "$work/bin/kube-scheduler" --kubeconfig "$dir/scheduler.kubeconfig" --leader-elect=false \
		--secure-port "$((port + 7))" --bind-address 127.0.0.1
	start kubelet "$work/bin/kubelet" --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubelet.kubeconfig" \
		--root-dir "$dir/cri/kubelet" --hostname-override bench --node-ip 127.0.0.1 --tls-cert-file "$dir/kubelet.crt" \
		--tls-private-key-file "$dir/kubelet.key"
	start proxy "$work/bin/kube-proxy" --config "$dir/proxy.yaml"
	await 120 ready || { tail -n 5 "$dir"/*.log >&2 && fail "the node is not Ready"; }
	note "node, from nothing" "until Ready" ms "$(milliseconds "$began")"
	await 30 "$work/bin/kubectl" --kubeconfig "$dir/admin.kubeconfig" get serviceaccount default
	"$dir/cri/bin/ctr" --address "$dir/cri/containerd.sock" --namespace k8s.io images import "$archive" >/dev/null
	"$dir/cri/bin/ctr" --address "$dir/cri/containerd.sock" --namespace k8s.io images import "$pause" >/dev/null
}
ready() { "$work/bin/kubectl" --kubeconfig "$dir/admin.kubeconfig" get nodes --no-headers | grep -q ' Ready '; }
end_upstream() {
	stop_all
	"$upstream/stop-containerd.sh" "$dir/cri"
	"$work/bin/kube-proxy" --cleanup >/dev/null 2>&1 || say "kube-proxy's rules are left"
	find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null || true
}

# === the two sides ===

end() { "end_$side"; }

life() {
	((count > 2)) || case $side in
	decapod) note binary size MB "$(awk -v b="$(stat -c %s "$built/decapod")" 'BEGIN { print b / 1e6 }')" ;;
	upstream) note binary size MB "$(stat -L -c %s "$work"/bin/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy} | awk '{ all += $1 } END { print all / 1e6 }')" ;;
	esac
	"begin_$side"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /O=system:masters/CN=bench \
		-CA "$pki/ca.crt" -CAkey "$pki/ca.key" -addext basicConstraints=critical,CA:FALSE \
		-addext extendedKeyUsage=clientAuth -keyout "$dir/bench.key" -out "$dir/bench.crt" 2>>"$dir/openssl.log"
	bench idle --row "node at rest, no runtime" --seconds "$idle"
	bench cri --socket "$socket" --logs "$dir/raw" --image "$image" --count "$pods" --row "pod start, runtime alone"
	pods "pod start, host network" --host-network
	[[ $side == upstream ]] || pods "pod start, own network"
}
pods() { # row, further arguments
	bench pod-start --port "$port" --cert "$dir/bench.crt" --key "$dir/bench.key" --image "$image" --count "$pods" --row "$@"
}

take_turns
table
