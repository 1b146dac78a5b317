#!/usr/bin/env bash
# Builds upstream's programs from their Go modules, each once, into a cache
# outside the repository, and prints the path of each on its own line.
#
#   build.sh [--links DIR] [NAME ...]     without names: all of them
#
# With --links, DIR/NAME links to each: some programs look for others by their
# plain names, and ginkgo knows a suite by its ending.
#
# The cache is ${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}/bin,
# its files are NAME-VERSION. What is there already is not built again. Two
# runs at once are safe: one builds, the other waits for it.
# Raising a version: change it in the folder's go.mod, then `go mod tidy` there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}/bin

# name, folder with the go.mod, module that gives the version, package.
programs='
kubectl                  kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/cmd/kubectl
etcd                     etcd        go.etcd.io/etcd/server/v3            go.etcd.io/etcd/server/v3
etcdctl                  etcd        go.etcd.io/etcd/etcdctl/v3           go.etcd.io/etcd/etcdctl/v3
kube-apiserver           kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/cmd/kube-apiserver
containerd               containerd  github.com/containerd/containerd/v2  github.com/containerd/containerd/v2/cmd/containerd
containerd-shim-runc-v2  containerd  github.com/containerd/containerd/v2  github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
ctr                      containerd  github.com/containerd/containerd/v2  github.com/containerd/containerd/v2/cmd/ctr
agnhost                  kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/test/images/agnhost
crictl                   cri-tools   sigs.k8s.io/cri-tools                sigs.k8s.io/cri-tools/cmd/crictl
kube-scheduler           kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/cmd/kube-scheduler
kube-controller-manager  kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/cmd/kube-controller-manager
kubelet                  kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/cmd/kubelet
kube-proxy               kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/cmd/kube-proxy
ginkgo                   kubernetes  github.com/onsi/ginkgo/v2            github.com/onsi/ginkgo/v2/ginkgo
e2e.test                 kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/test/e2e
critest                  cri-tools   sigs.k8s.io/cri-tools                sigs.k8s.io/cri-tools/cmd/critest
nonewprivs               kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/test/images/nonewprivs
resource-consumer        kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/test/images/resource-consumer
consume-cpu              kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/test/images/resource-consumer/consume-cpu
regression-issue-74839   kubernetes  k8s.io/kubernetes                    k8s.io/kubernetes/test/images/regression-issue-74839
sample-apiserver         kubernetes  k8s.io/kubernetes                    k8s.io/sample-apiserver
oracle                   ../oracle   k8s.io/api                           decapod/conformance/oracle
'

# What is ours changes without a version, so its sources are part of the name.
version_of() { # folder, module
	awk -v module="$2" '{ sub(/^require /, "") } $1 == module && $2 ~ /^v/ { print $2; exit }' "$here/$1/go.mod"
	[[ $1 != ../* ]] || cat "$here/$1"/go.* "$here/$1"/*.go | sha256sum | head -c 12
}

# What upstream's release builds set, so that version endpoints and the tests
# that look at them agree.
linker_flags() { # folder, version
	local minor=${2#v1.} package
	printf '%s' '-s -w'
	case $1 in
	kubernetes)
		for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
			printf ' -X %s.%s' "$package" "gitVersion=$2" "$package" gitMajor=1 \
				"$package" "gitMinor=${minor%%.*}" "$package" gitTreeState=clean
		done
		;;
	containerd) printf ' -X %s' "github.com/containerd/containerd/v2/version.Version=$2" ;;
	cri-tools) printf ' -X %s' "sigs.k8s.io/cri-tools/pkg/version.Version=${2#v}" ;;
	esac
}

build() { # folder, version, package, output
	local -a verb=(build)
	[[ $3 == */test/e2e || $3 == */critest ]] && verb=(test -c)
	[[ $1 == containerd ]] && verb+=(-tags no_btrfs)
	(cd "$here/$1" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly \
		go "${verb[@]}" -trimpath -buildvcs=false -ldflags "$(linker_flags "$1" "$2")" -o "$4" "$3")
}

provide() { # name
	local name folder module package version path started
	read -r name folder module package < <(awk -v name="$1" '$1 == name' <<<"$programs") ||
		{ echo "build.sh: no program is named $1" >&2 && return 2; }
	version=$(version_of "$folder" "$module" | paste -sd -)
	path=$bin/$name-$version
	if [[ ! -x $path ]]; then
		mkdir -p "$bin"
		exec 9>"$bin/.$name.lock"
		flock 9
		if [[ ! -x $path ]]; then
			started=$SECONDS
			build "$folder" "$version" "$package" "$path.partial" 9>&-
			mv "$path.partial" "$path"
			echo "built $name $version: $((SECONDS - started)) s, $(($(stat -c %s "$path") / 1000000)) MB" >&2
		fi
		exec 9>&-
	fi
	[[ -z $links ]] || ln -sfn "$path" "$links/$name"
	echo "$path"
}

links=
if [[ ${1-} == --links ]]; then
	links=$2
	mkdir -p "$links"
	shift 2
fi
mapfile -t names < <(awk 'NF { print $1 }' <<<"$programs")
for name in "${@:-${names[@]}}"; do provide "$name"; done
