#!/usr/bin/env bash
# Starts upstream's containerd with all its files under DIR, imports image
# archives, and returns when the CRI answers. Needs root, runc and overlayfs.
#
#   run-containerd.sh DIR [IMAGE.tar ...]
#   stop-containerd.sh DIR
#
# The socket is DIR/containerd.sock, so DIR must be short (a socket's path has at
# most 107 bytes). DIR/bin holds containerd, its shim, ctr and crictl under
# their plain names. A network is had by writing a conflist to DIR/cni/net.d and
# its plugins to DIR/cni/bin; until then only pods on the host's network start.
# DIR/conf.d/*.toml is read after our own configuration.
# DIR is mounted on itself and shared, so that volumes under it may ask for mount
# propagation where / is private: put the kubelet's root there too.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# >= 1)) || fail "usage: run-containerd.sh DIR [IMAGE.tar ...]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[[ ! -e $dir/pids ]] || fail "$dir/pids exists: stop-containerd.sh $dir first"
mkdir -p "$dir"/{cni/bin,cni/net.d,conf.d}
# containerd looks for its shim by the plain name.
"$here/build.sh" --links "$dir/bin" containerd containerd-shim-runc-v2 ctr crictl >/dev/null

# Without CAP_SYS_RESOURCE (bit 24) no process may be given a lower OOM score than ours.
capabilities=$((16#$(awk '/^CapEff/ { print $2 }' /proc/self/status)))
restrict=$((capabilities >> 24 & 1 ? 0 : 1))

cat >"$dir/config.toml" <<EOF
version = 3
root = '$dir/root'
state = '$dir/state'
imports = ['$dir/conf.d/*.toml']
disabled_plugins = ['io.containerd.nri.v1.nri']

[grpc]
  address = '$dir/containerd.sock'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10.2'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = $( ((restrict)) && echo true || echo false)
  disable_apparmor = true
  enable_cdi = false
  netns_mounts_under_state_dir = true

  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['$dir/cni/bin']
    conf_dir = '$dir/cni/net.d'
    use_internal_loopback = true

[plugins.'io.containerd.internal.v1.opt']
  path = '$dir/opt'
EOF
cat >"$dir/crictl.yaml" <<EOF
runtime-endpoint: unix://$dir/containerd.sock
image-endpoint: unix://$dir/containerd.sock
EOF

mountpoint -q "$dir" || mount --bind "$dir" "$dir"
mount --make-rshared "$dir"
PATH=$dir/bin:$PATH start containerd "$dir/bin/containerd" --config "$dir/config.toml"
await 30 "$dir/bin/crictl" --config "$dir/crictl.yaml" version || {
	tail -n 5 "$dir/containerd.log" >&2
	"$here/stop-containerd.sh" "$dir"
	fail "not ready; the log is $dir/containerd.log"
}
for archive; do
	"$dir/bin/ctr" --address "$dir/containerd.sock" --namespace k8s.io images import "$archive" >/dev/null
done
