#!/usr/bin/env bash
# Everything that CI runs, stage by stage; each prints its seconds. DECAPOD_TEST_FULL=1 runs the long counts.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() {
  local name=$1 began=$SECONDS
  shift
  echo "=== $name"
  if ! "$@"; then
    echo "=== $name FAILED after $((SECONDS - began)) s"
    exit 1
  fi
  echo "=== $name: $((SECONDS - began)) s"
}

# They build the programs as well, which the stages after them run.
unit_tests() {
  cargo test --workspace
}

# Our codecs, small languages and patches against upstream's own Go code.
oracle() {
  local security=k8s.io/pod-security-admission
  go -C conformance/oracle mod download $security
  DECAPOD_ORACLE=$(conformance/upstream/build.sh oracle) DECAPOD_API_TESTDATA=$(cargo xtask testdata) \
    DECAPOD_POD_SECURITY_TESTDATA=$(go -C conformance/oracle list -m -f '{{.Dir}}' $security)/test/testdata tests/oracle.sh
}

# What `cargo test` does from a few seeds, from a thousand.
simulation() {
  cargo run --quiet --profile seeds -p decapod-sim --example sim_seeds -- --seeds 1000
}

# 24 of upstream's conformance tests, of every SIG, on two nodes.
conformance() {
  conformance/run.sh --names conformance/quick.txt --procs 4 --images "agnhost busybox pause" --out "$1/out" --page "$1/page.md"
}

# What nobody runs unless they ask for it.
optional_plugins() {
  local plugins=AlwaysAdmit,NamespaceAutoProvision,NamespaceExists,LimitPodHardAntiAffinityTopology,AlwaysPullImages,PodNodeSelector
  plugins+=,PodTolerationRestriction,EventRateLimit,ExtendedResourceToleration,OwnerReferencesPermissionEnforcement,DenyServiceExternalIPs
  DECAPOD_TEST_FLAGS="--enable-admission-plugins=$plugins --admission-control-config-file=tests/beside/optional/admission.yaml" \
    tests/kubectl-beside.sh tests/beside/optional/admission.txt
}

packages() {
  scripts/packages.sh runc=runc nft=nftables ip=iproute2 gcc=gcc curl=curl python3=python3 ps=procps strip=binutils mke2fs=e2fsprogs \
    setpriv=util-linux openssl=openssl busybox=busybox-static \
    "qemu-system-$(uname -m)=qemu-system-$([ "$(uname -m)" = x86_64 ] && echo x86 || echo arm)"
}

# Upstream's programs first: they are built once and kept.
upstream() {
  conformance/upstream/build.sh kubectl etcd kube-apiserver sample-apiserver kube-scheduler kube-controller-manager agnhost ginkgo e2e.test oracle \
    >/dev/null
  scripts/runtime.sh >/dev/null
  conformance/images/build.sh agnhost busybox pause >/dev/null
}

stage "packages" packages
stage "upstream programs and images" upstream
stage "format" cargo fmt --all --check
stage "schema facts are fresh" cargo xtask schema --check
stage "house rules" cargo xtask tidy
stage "lints" cargo clippy --quiet --workspace --all-targets -- -D warnings
stage "dependencies" scripts/cargo-deny.sh
stage "unit and property tests" unit_tests
stage "oracle: beside upstream's Go types" oracle
stage "API server with kubectl" tests/apiserver.sh
stage "API server beside upstream's" tests/beside-upstream.sh
stage "server-side apply beside upstream's" tests/server-side-apply.sh
stage "admission plugins" tests/admission.sh
stage "admission webhooks" tests/webhooks.sh
stage "aggregated API servers" tests/aggregation.sh
stage "kubectl beside upstream's API server" tests/kubectl-beside.sh
stage "custom resources beside upstream's" tests/custom-resources.sh
stage "conversion webhooks beside upstream's" tests/conversion-webhooks.sh
[ -z "${DECAPOD_TEST_FULL:-}" ] || stage "optional admission plugins beside upstream's" optional_plugins
stage "our parts in the place of upstream's" tests/swap.sh
stage "our node on upstream's API server" tests/swap-node.sh
stage "crash: kill -9 of the API server" tests/crash.sh
stage "crash: power cuts" tests/power-cut.sh
[ -z "${DECAPOD_TEST_FULL:-}" ] || stage "simulation: 1,000 seeds of each scenario" simulation
stage "simulated nodes" tests/sim-nodes.sh
stage "bad input" tests/bad-input.sh
stage "bad input: a full disk" tests/full-disk.sh
stage "cluster: a stranger's first minutes" tests/cluster.sh
[ -z "${DECAPOD_TEST_FULL:-}" ] || stage "a stranger's machine" tests/stranger.sh
stage "two clusters on one machine" tests/two-clusters.sh
stage "two nodes" tests/two-nodes.sh
scratch=$(mktemp -d "${TMPDIR:-/tmp}/decapod-conformance.XXXXXX")
stage "conformance: 24 tests on two nodes" conformance "$scratch"
rm -rf "$scratch"
stage "cluster: crashes of a node with 20 pods" tests/node-crash.sh
echo "all stages: $SECONDS s"
