#!/usr/bin/env bash
# Power cuts: a virtual machine runs the API server under 32 writers, on a disk with a volatile cache (vm/disk.py).
# The machine is killed at a random moment, started again on what its disk has kept, and has to have all that was
# acknowledged; the writers note that down outside of it. The small form cuts 2 times, the full form 30 times. With the
# sync taken out of the store (a switch of debug builds) the same test has to find losses. Without KVM it is slow.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/vm/lib.sh"

CUTS=2
[ -n "${DECAPOD_TEST_FULL:-}" ] && CUTS=30
WRITERS=32
PORT=16581
export SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "seed $SEED"

# A new disk: an API server made its keys there, so that the writers know them.
make_disk() {
  rm -rf "$WORK/files"
  mkdir "$WORK/files"
  start_apiserver "$WORK/files/api" "$PORT"
  kill "$PID" && wait "$PID" || true
  rm "$WORK/files/api.log"
  cp "$WORK/files/api/admin.kubeconfig" "$WORK/kubeconfig"
  rm -f "$WORK/disk"
  truncate -s 1G "$WORK/disk"
  mke2fs -q -t ext4 -b 4096 -d "$WORK/files" "$WORK/disk"
  : >"$WORK/acknowledged"
}

# Turns the machine on. Arguments are for the kernel's command line; what is no option of it, init gets as environment.
power_on() {
  rm -f "$WORK/disk.sock"
  SEED=$RANDOM "$ROOT/tests/vm/disk.py" "$WORK/disk" "$WORK/disk.sock" >"$WORK/disk.log" &
  DISK=$!
  until [ -e "$WORK/disk.sock" ]; do kill -0 "$DISK"; sleep 0.02; done
  boot "$*" -blockdev "driver=nbd,node-name=disk,server.type=unix,server.path=$WORK/disk.sock" \
    -device virtio-blk-pci,drive=disk,logical_block_size=4096,physical_block_size=4096 \
    -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$PORT-:6443" -device virtio-net-pci,netdev=net,romfile=
  STARTED+=("$DISK")
}

# Whether the API server gets ready; if it cannot, the machine ends.
wait_ready() {
  local limit=$((SECONDS + 300))
  until grep -qs 'ready: kubectl' "$WORK/console"; do
    if ! kill -0 "$MACHINE" 2>/dev/null; then
      cat "$WORK/console" >&2
      grep -q 'decapod: ' "$WORK/console" || fail "the machine ended, and not because of the API server"
      return 1
    fi
    [ "$SECONDS" -lt "$limit" ] || { cat "$WORK/console" >&2; fail "the machine is not ready"; }
    sleep 0.05
  done
}

cut_power() {
  kill -9 "$MACHINE" 2>/dev/null || true
  wait "$MACHINE" 2>/dev/null || true
  wait "$DISK" || fail "the disk"
  cat "$WORK/disk.log"
  STARTED=()
}

# all_there KERNEL-ARGUMENTS...: turns the machine on; whether all is there that was acknowledged before.
all_there() {
  : >"$WORK/console"
  power_on "$@"
  wait_ready || return 1
  "$ROOT/tests/writes.py" check "$WORK/kubeconfig" "$PORT" "$WORK/acknowledged"
}

acknowledged() { wc -l <"$WORK/acknowledged"; }

# The machine runs under writers until some have been acknowledged, and up to two seconds more; then the power goes.
cut_under_load() {
  local writers enough=$(($(acknowledged) + 2 * WRITERS)) limit=$((SECONDS + 300))
  "$ROOT/tests/writes.py" load "$WORK/kubeconfig" "$PORT" "$WORK/acknowledged" "$WRITERS" &
  writers=$!
  STARTED+=("$writers")
  while [ "$(acknowledged)" -lt "$enough" ]; do
    [ "$SECONDS" -lt "$limit" ] || fail "hardly anything is acknowledged"
    sleep 0.05
  done
  sleep "$(moment 2)"
  cut_power
  kill "$writers"
  wait "$writers" || true
}

# Up to N seconds.
moment() { printf '%d.%02d' $((RANDOM % $1)) $((RANDOM % 100)); }

make_initramfs
make_disk
all_there || fail "the machine does not start"
for cut in $(seq "$CUTS"); do
  cut_under_load
  # Now and then it goes again while the machine starts.
  if [ $((RANDOM % 4)) -eq 0 ]; then
    power_on
    sleep "$(moment 8)"
    cut_power
  fi
  all_there || fail "something acknowledged is lost after cut $cut"
done
cut_power
PASSED=$((PASSED + CUTS))
echo "$CUTS power cuts under $WRITERS writers, 0 lost"

# The test itself: without the sync it has to find something.
make_disk
found=0
all_there DECAPOD_PLANTED_BUG=no-sync || fail "the machine does not start"
for _ in 1 2 3; do
  cut_under_load
  all_there DECAPOD_PLANTED_BUG=no-sync || { found=1; break; }
done
cut_power
[ "$found" = 1 ] || fail "without the sync nothing is lost: the test shows nothing"
PASSED=$((PASSED + 1))
echo "with the sync taken out, the loss is found"
