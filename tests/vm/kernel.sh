#!/usr/bin/env bash
# Prints a folder with a kernel for a virtual machine (vmlinuz) and the modules that it needs, in the order in which they
# are loaded (modules/). Both are from the distribution's package, which is unpacked into a cache and not installed.
set -euo pipefail
cache="${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}/kernel"
modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk failover net_failover virtio_net"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$cache/guest/vmlinuz" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  arch=$(dpkg --print-architecture)
  package=$(apt-cache depends "linux-image-cloud-$arch" | awk '/Depends: linux-image/ {print $2; exit}')
  [ -n "$package" ] || { echo "no package linux-image-cloud-$arch: is this Debian?" >&2; exit 1; }
  (cd "$scratch" && apt-get download -qq "$package" && dpkg -x ./*.deb unpacked) >&2
  mkdir -p "$scratch/guest/modules"
  cp "$scratch"/unpacked/boot/vmlinuz-* "$scratch/guest/vmlinuz"
  order=0
  for module in $modules; do
    # What is not there is built into the kernel.
    file=$(find "$scratch/unpacked/" -name "$module.ko" -print -quit)
    [ -z "$file" ] || cp "$file" "$scratch/guest/modules/$(printf %02d "$order")-$module.ko"
    order=$((order + 1))
  done
  rm -rf "$cache/guest"
  cp -r "$scratch/guest" "$cache/guest"
fi
echo "$cache/guest"
