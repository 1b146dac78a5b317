#!/usr/bin/env bash
# A cluster of two nodes on this machine, each in namespaces of its own (network, mounts, processes, host name), for
# upstream's suites and our own tests. Needs root.
#
#   cluster.sh up DIR [IMAGE.tar ...]   starts it, imports the archives on both nodes, prints the kubeconfig; without
#                                       archives it is all of the suite's images (images/build.sh)
#   cluster.sh on DIR NODE COMMAND...   runs a command within a node ("one" or "two")
#   cluster.sh down DIR                 takes it away and leaves nothing but DIR/*/decapod.log
#
# The nodes and this machine share a segment, one of 10.97.0.0/16: this machine is .1, node one .2, node two .3. It lies
# in a network namespace of its own, so that no rule of this machine's sees it. Names and segment follow from DIR, so
# that there may be several; DIR/names says which they are. DECAPOD is the binary, target/debug/decapod unless it is set.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DECAPOD=${DECAPOD:-$ROOT/target/debug/decapod}
NODES=(one two)

die() {
  echo "cluster.sh: $*" >&2
  exit 1
}

address() { case "$1" in one) echo "$SEGMENT.2" ;; two) echo "$SEGMENT.3" ;; esac; }

# Finds names that nobody has, and writes them down: "down" takes away what is called so and nothing else.
claim() {
  local number attempt
  number=$(printf %s "$DIR" | cksum | cut -d' ' -f1)
  for attempt in $(seq 0 99); do
    SEGMENT=10.97.$(((number + attempt) % 256))
    NAME=dc$(((number + attempt) % 256))
    # Making the namespace is the claim: it fails if another has the name.
    if ip netns add "$NAME-lan" 2>/dev/null; then
      printf 'NAME=%s\nSEGMENT=%s\n' "$NAME" "$SEGMENT" >"$DIR/names"
      return
    fi
  done
  die "no name is free"
}

# The switch: a bridge in a namespace, with a cable to this machine and one to each node.
make_network() {
  local node
  ip -n "$NAME-lan" link add lan type bridge
  ip -n "$NAME-lan" link set lan up
  ip link add "$NAME-host" type veth peer name host netns "$NAME-lan"
  ip -n "$NAME-lan" link set host master lan up
  ip address add "$SEGMENT.1/24" dev "$NAME-host"
  ip link set "$NAME-host" up
  for node in "${NODES[@]}"; do
    ip netns add "$NAME-$node"
    ip -n "$NAME-lan" link add "$node" type veth peer name eth0 netns "$NAME-$node"
    ip -n "$NAME-lan" link set "$node" master lan up
    ip -n "$NAME-$node" link set lo up
    ip -n "$NAME-$node" address add "$(address "$node")/24" dev eth0
    ip -n "$NAME-$node" link set eth0 up
    ip -n "$NAME-$node" route add default via "$SEGMENT.1"
  done
}

# start NODE COMMAND...: runs the command as a machine of its own would. Its first process is a shell, which reaps what
# nobody waits for; all of it ends with that.
start() {
  local node=$1 dir=$DIR/$1
  shift
  mkdir -p "$dir"
  setsid nsenter --net="/run/netns/$NAME-$node" \
    unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc --propagation private \
    bash -c '
      hostname "$1"; shift
      mount -t tmpfs -o mode=755 tmpfs /run
      "$@" &
      child=$!
      trap "kill -TERM $child" TERM
      while kill -0 $child 2>/dev/null; do wait $child; done
    ' node "$node" "$@" </dev/null >"$dir/decapod.log" 2>&1 &
  echo $! >"$dir/unshare.pid"
}

# The first process within the node, as this machine numbers it.
inner() {
  local parent
  parent=$(cat "$DIR/$1/unshare.pid" 2>/dev/null) || return 1
  pgrep -P "$parent" | head -1
}

on() {
  local node=$1 pid
  shift
  pid=$(inner "$node") && [ -n "$pid" ] || die "node $node does not run"
  nsenter --target "$pid" --mount --uts --ipc --net --pid -- "$@"
}

wait_ready() {
  local node=$1 limit=$((SECONDS + 60))
  until grep -q '^ready' "$DIR/$node/decapod.log"; do
    [ -e "/proc/$(cat "$DIR/$node/unshare.pid")" ] || { cat "$DIR/$node/decapod.log" >&2; die "node $node ended"; }
    [ "$SECONDS" -lt "$limit" ] || { cat "$DIR/$node/decapod.log" >&2; die "node $node is not ready"; }
    sleep 0.1
  done
}

up() {
  [ -x "$DECAPOD" ] || die "there is no $DECAPOD: cargo build --package decapod"
  [ ! -e "$DIR/names" ] || die "$DIR is in use: cluster.sh down $DIR"
  local node runtime=() runtime_dir importing=()
  [ $# -gt 0 ] || mapfile -t images < <("$ROOT/conformance/images/build.sh")
  [ $# -eq 0 ] || images=("$@")
  mkdir -p "$DIR"
  DIR=$(cd "$DIR" && pwd)
  runtime_dir=$("$ROOT/scripts/runtime.sh" 2>/dev/null)
  [ -z "$runtime_dir" ] || runtime=(--runtime-dir "$runtime_dir")
  claim
  # Whatever fails, nothing half made stays.
  trap down EXIT
  make_network
  start one "$DECAPOD" server --data-dir "$DIR/one/data" --node-name one --node-ip "$SEGMENT.2" \
    --cgroup-root "/kubepods-$NAME-one" "${runtime[@]}"
  wait_ready one
  sed "s#https://127.0.0.1:#https://$SEGMENT.2:#" "$DIR/one/data/admin.kubeconfig" >"$DIR/kubeconfig"
  chmod 600 "$DIR/kubeconfig"
  "$DECAPOD" token create --kubeconfig "$DIR/kubeconfig" --ttl 1h >"$DIR/token"
  start two "$DECAPOD" agent --data-dir "$DIR/two/data" --node-name two --node-ip "$SEGMENT.3" \
    --server "https://$SEGMENT.2:6443" --token-file "$DIR/token" --cgroup-root "/kubepods-$NAME-two" "${runtime[@]}"
  wait_ready two
  for node in "${NODES[@]}"; do
    on "$node" "$DECAPOD" images import --data-dir "$DIR/$node/data" "${runtime[@]}" "${images[@]}" >/dev/null &
    importing+=($!)
  done
  for node in "${importing[@]}"; do wait "$node"; done
  trap - ERR EXIT
  echo "$DIR/kubeconfig"
}

# Everything of a node is in its namespaces, so that it ends when their first process does; what is left are control
# groups and files.
down() {
  local node pid
  [ -e "$DIR/names" ] || return 0
  for node in "${NODES[@]}"; do
    if pid=$(inner "$node") && [ -n "$pid" ]; then
      kill -KILL "$pid" 2>/dev/null || true
      while [ -e "/proc/$pid" ]; do sleep 0.05; done
    fi
    local group limit=$((SECONDS + 10))
    for group in /sys/fs/cgroup/kubepods-"$NAME-$node" /sys/fs/cgroup/*/kubepods-"$NAME-$node"; do
      while [ -d "$group" ] && [ "$SECONDS" -lt "$limit" ]; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
      done
    done
    ip netns delete "$NAME-$node" 2>/dev/null || true
    rm -rf "$DIR/$node/data" "$DIR/$node/unshare.pid"
  done
  ip link delete "$NAME-host" 2>/dev/null || true
  ip netns delete "$NAME-lan" 2>/dev/null || true
  rm -f "$DIR/kubeconfig" "$DIR/token" "$DIR/names"
}

[ $# -ge 2 ] || die "usage: cluster.sh up DIR [IMAGE.tar ...] | on DIR NODE COMMAND... | down DIR"
ACTION=$1 DIR=$2
shift 2
# Shell assignments of NAME and SEGMENT.
[ ! -e "$DIR/names" ] || . "$DIR/names"
case "$ACTION" in
  up | on | down) "$ACTION" "$@" ;;
  *) die "unknown action $ACTION: up, on or down" ;;
esac
