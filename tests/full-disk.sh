#!/usr/bin/env bash
# A full disk, on a loop mount: writes are refused in one clear line, reads and deletes go on, a restart works, nothing
# acknowledged is lost, and when there is room again writes succeed without help. Needs root.
. "$(dirname "$0")/lib.sh"

PORT=16571
DISK="$WORK/mount"
cleanup() { umount "$DISK"; }
k() { timeout 30 "$KUBECTL" --kubeconfig "$DISK/api/admin.kubeconfig" "$@"; }

truncate -s 96M "$WORK/image"
mke2fs -q -t ext4 -m 0 "$WORK/image"
mkdir "$DISK"
mount -o loop "$WORK/image" "$DISK"

# The log of the test is not on the disk.
start() {
  start_apiserver "$DISK/api" "$PORT" "$WORK/log"
}
stop() {
  kill "$1" "$PID"
  wait "$PID" 2>/dev/null || true
}

start
check "something to keep" k create configmap keep --from-literal=a=b
head -c 900000 /dev/zero | tr '\0' x >"$WORK/value"
fill() { dd if=/dev/zero of="$DISK/ballast" bs=64k 2>/dev/null || true; }
fill
written=0
while output=$(k create configmap "fill-$written" --from-file=v="$WORK/value" 2>&1); do
  written=$((written + 1))
  [ "$written" -lt 200 ] || fail "the disk does not fill"
done
echo "$written objects of 900 kB until it was full"
case "$output" in *"the store's disk is full"*) PASSED=$((PASSED + 1)) ;; *) fail "unclear: $output" ;; esac
refuses "a change" "the store's disk is full" k label configmap keep x=y
expect "reads go on" "keep" k get configmap keep -o name
expect "ready" "ok" k get --raw /livez

stop -9
start
expect "it starts on a full disk" "keep" k get configmap keep -o name
expect "nothing lost" "$written" bash -c "timeout 30 '$KUBECTL' --kubeconfig '$DISK/api/admin.kubeconfig' get configmaps -o name | grep -c fill-"
refuses "still full" "the store's disk is full" k create configmap "again" --from-file=v="$WORK/value"
for n in $(seq 0 "$((written - 1))"); do
  check "delete on a full disk" k delete configmap "fill-$n" --wait=false
done
eventually 15 "room in the log after deletes" k create configmap "fill-0" --from-file=v="$WORK/value"

# Full again, and then there is room on the disk itself.
n=0
while k create configmap "more-$n" --from-file=v="$WORK/value" >/dev/null 2>&1; do n=$((n + 1)); done
refuses "full again" "the store's disk is full" k create configmap again --from-file=v="$WORK/value"
rm "$DISK/ballast"
eventually 15 "it recovers by itself" k create configmap recovered --from-file=v="$WORK/value"
expect "nothing lost" "$n" bash -c "timeout 30 '$KUBECTL' --kubeconfig '$DISK/api/admin.kubeconfig' get configmaps -o name | grep -c more-"
stop -9

# No room even to begin; but for a few keys.
fallocate -l 512K "$DISK/keys"
fill
rm "$DISK/keys"
refuses "a new store on a full disk" "free some, or keep the data on another disk" "$DECAPOD" apiserver --data-dir "$DISK/other" --port "$PORT"
rm "$DISK/ballast"
start
expect "nothing lost at last" "keep" k get configmap keep -o name
stop -TERM
