#!/usr/bin/env bash
# Starts upstream's etcd and kube-apiserver on loopback, with all their files
# under DIR, and returns when /readyz says ok.
#
#   run-apiserver.sh [--no-wait] DIR PORT [ARGUMENT ...]    further arguments are kube-apiserver's
#   stop-apiserver.sh DIR
#
# With --no-wait it returns when both are started; who wants to know when they are ready asks /readyz.
# PORT is the API's; etcd takes PORT+1 (clients) and PORT+2 (peers).
# DIR/admin.kubeconfig has every right, DIR/pki holds ca.{crt,key} to issue more
# certificates with and sa.key, which signs tokens; DIR/pids and DIR/*.log are
# what they say. Data and certificates that DIR holds already are used again.
set -euo pipefail
umask 077
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wait=yes
[[ ${1-} != --no-wait ]] || { wait=no && shift; }
(($# >= 2)) || fail "usage: run-apiserver.sh [--no-wait] DIR PORT [ARGUMENT ...]"
mkdir -p "$1/pki"
dir=$(cd "$1" && pwd) port=$2
shift 2
pki=$dir/pki
[[ ! -e $dir/pids ]] || fail "$dir/pids exists: stop-apiserver.sh $dir first"
{ read -r etcd && read -r apiserver && read -r kubectl; } < <("$here/build.sh" etcd kube-apiserver kubectl)

# === certificates ===

certificate() { # name, subject, further arguments of openssl req
	[[ -e $pki/$1.crt ]] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 \
		-keyout "$pki/$1.key" -out "$pki/$1.crt" -subj "$2" "${@:3}" 2>>"$dir/openssl.log"
}
authority() { certificate "$1" "/CN=$1" -addext keyUsage=critical,keyCertSign,digitalSignature; }
issue() { # authority, name, subject, further arguments
	certificate "$2" "$3" -CA "$pki/$1.crt" -CAkey "$pki/$1.key" \
		-addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth "${@:4}"
}
authority ca
authority front-proxy-ca
issue ca apiserver /CN=kube-apiserver -addext \
	subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1
issue ca admin /O=system:masters/CN=admin
issue ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
issue front-proxy-ca front-proxy-client /CN=front-proxy-client
[[ -e $pki/sa.key ]] || openssl genrsa -out "$pki/sa.key" 2048 2>>"$dir/openssl.log"

admin() { "$kubectl" --kubeconfig "$dir/admin.kubeconfig" "$@"; }
admin config set-cluster upstream --server "https://127.0.0.1:$port" --certificate-authority "$pki/ca.crt" --embed-certs >/dev/null
admin config set-credentials admin --client-certificate "$pki/admin.crt" --client-key "$pki/admin.key" --embed-certs >/dev/null
admin config set-context upstream --cluster upstream --user admin >/dev/null
admin config use-context upstream >/dev/null

# === processes ===

clients=http://127.0.0.1:$((port + 1)) peers=http://127.0.0.1:$((port + 2))
start etcd "$etcd" --data-dir "$dir/etcd" --listen-client-urls "$clients" --advertise-client-urls "$clients" \
	--listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers"
start kube-apiserver "$apiserver" --etcd-servers "$clients" --bind-address 127.0.0.1 --secure-port "$port" \
	--advertise-address 127.0.0.1 --endpoint-reconciler-type none \
	--cert-dir "$pki" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
	--client-ca-file "$pki/ca.crt" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
	--enable-bootstrap-token-auth --allow-privileged --service-cluster-ip-range 10.96.0.0/16 \
	--service-account-issuer https://kubernetes.default.svc.cluster.local \
	--service-account-key-file "$pki/sa.key" --service-account-signing-key-file "$pki/sa.key" \
	--kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
	--requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
	--requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group --requestheader-uid-headers X-Remote-Uid \
	--requestheader-extra-headers-prefix X-Remote-Extra- \
	--proxy-client-cert-file "$pki/front-proxy-client.crt" --proxy-client-key-file "$pki/front-proxy-client.key" "$@"
[[ $wait == no ]] || await 60 admin get --raw /readyz || {
	tail -n 5 "$dir"/etcd.log "$dir"/kube-apiserver.log >&2
	stop_all
	fail "not ready; the logs are in $dir"
}
