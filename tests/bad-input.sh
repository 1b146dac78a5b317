#!/usr/bin/env bash
# Bad input: each case gives one clear line that says what to do, a non-zero exit, and loses nothing. (A full disk has a
# script of its own.) Needs root, to be able to do without.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/vm/lib.sh"

# one_line NAME WANTED COMMAND...: as `refuses`, and what is said as an error is one line of ours.
one_line() {
  local name=$1 wanted=$2
  shift 2
  refuses "$name" "$wanted" "$@"
  local said
  said=$("$@" 2>&1 >/dev/null) || true
  case "$said" in
    *$'\n'* | "") echo "$said" >&2; fail "$name: not one line" ;;
    "decapod: "*) ;;
    *) echo "$said" >&2; fail "$name: not a line of ours" ;;
  esac
}
# up ARGUMENTS...: with nothing of the user's own.
up() { timeout 30 "$DECAPOD" up --kubeconfig "$WORK/kubeconfig" "$@"; }

# not_understood NAME WANTED ARGUMENTS...: as `one_line`, and the exit code tells it from a command that failed.
not_understood() {
  local name=$1 wanted=$2 code=0
  shift 2
  one_line "$name" "$wanted" "$DECAPOD" "$@"
  "$DECAPOD" "$@" >/dev/null 2>&1 || code=$?
  [ "$code" = 2 ] || fail "$name: exit code $code"
}
not_understood "an unknown flag" "unexpected argument '--nope' found (a similar argument exists: '--node-ip'); see decapod up --help" up --nope
not_understood "an unknown command" "unrecognized subcommand 'upp' (a similar subcommand exists: 'up'); see decapod --help" upp
not_understood "a flag that is missing" "--kubeconfig <FILE>; see decapod scheduler --help" scheduler
not_understood "a network that is none" "--service-cidr" apiserver --service-cidr 10.43.0.0
not_understood "a network with host bits" "bits set outside the prefix; see decapod apiserver --help" apiserver --service-cidr 10.43.1.7/16
not_understood "a port that is none" "0..=65535; see decapod up --help" up --port 99999
one_line "networks of which one is in the other" "overlap" up --data-dir "$WORK/none" --cluster-cidr 10.43.128.0/20
one_line "a node in its own pods' network" "--node-ip" up --data-dir "$WORK/none" --node-ip 10.42.0.9

# Folders.
touch "$WORK/plain"
one_line "a file as data directory" "choose another folder with --data-dir" "$DECAPOD" apiserver --data-dir "$WORK/plain" --port 16551
one_line "a folder that cannot be made" "choose another folder with --data-dir" up --data-dir /proc/none
mkdir -p "$WORK/newer/store"
echo "decapod store format 99" >"$WORK/newer/store/FORMAT"
one_line "a data directory of another version" "format 99" "$DECAPOD" apiserver --data-dir "$WORK/newer" --port 16551
mkdir "$WORK/home"
echo precious >"$WORK/home/letter"
one_line "uninstall of what is no cluster" "no cluster is kept in" "$DECAPOD" uninstall --data-dir "$WORK/home" --kubeconfig "$WORK/kubeconfig"
one_line "down of what is no cluster" "no cluster is kept in" "$DECAPOD" down --data-dir "$WORK/home"
expect "which stays" "precious" cat "$WORK/home/letter"

# Kubeconfigs.
echo 'clusters: [' >"$WORK/damaged"
one_line "a kubeconfig that is none" "mend or move it" timeout 30 "$DECAPOD" up --data-dir "$WORK/none" --kubeconfig "$WORK/damaged"
expect "which stays" "clusters: [" cat "$WORK/damaged"
one_line "a kubeconfig that cannot be read" "the kubeconfig $WORK/home" timeout 30 "$DECAPOD" up --data-dir "$WORK/none" --kubeconfig "$WORK/home"
one_line "a kubeconfig that cannot be written" "the kubeconfig /proc" timeout 30 "$DECAPOD" up --data-dir "$WORK/none" --kubeconfig /proc/none/config
[ ! -e "$WORK/none" ] || fail "something was begun"

# Somebody who is not root.
chmod 755 "$WORK"
install -d -o 65534 "$WORK/theirs"
cp "$DECAPOD" "$WORK/theirs/decapod"
nobody() { timeout 30 setpriv --reuid 65534 --regid 65534 --clear-groups "$WORK/theirs/decapod" "$@"; }
one_line "up without root" "run it with sudo" nobody up --data-dir "$WORK/theirs/data" --kubeconfig "$WORK/theirs/kubeconfig"
one_line "a folder of somebody else's" "Permission denied" nobody apiserver --data-dir "$WORK/home/data" --port 16551

# A kernel that lacks features: a machine whose modules are not there.
make_initramfs
boot RUN=up
eventually 120 "the machine ends" bash -c "! kill -0 $MACHINE"
said=$(grep -o 'decapod: .*' "$WORK/console") || { cat "$WORK/console" >&2; fail "a kernel without features: nothing is said"; }
[ "$(echo "$said" | wc -l)" = 1 ] || fail "a kernel without features: not one line"
expect "a kernel without features: what to do" "load what is missing with modprobe" echo "$said"
for feature in overlayfs bridges veth nftables; do
  expect "the kernel has no $feature" "no $feature" echo "$said"
done

start_apiserver "$WORK/api" 16551
one_line "a busy port" "choose another with --port" "$DECAPOD" apiserver --data-dir "$WORK/other" --port 16551
one_line "a busy port of a cluster" "choose another with --port" up --data-dir "$WORK/busy" --port 16551
one_line "a busy port of one in the background" "choose another with --port" up --detach --data-dir "$WORK/busy" --port 16551
"$DECAPOD" uninstall --data-dir "$WORK/busy" --kubeconfig "$WORK/kubeconfig" >/dev/null 2>&1 || true
one_line "a data directory in use" "in use" "$DECAPOD" apiserver --data-dir "$WORK/api" --port 16552
k() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" "$@"; }
refuses "a malformed manifest" "error" k create -f - <<<'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {'
# post NAME WANTED BODY: one line that says what is wrong, of whoever does not go through kubectl's own checks.
post() {
  echo "$3" >"$WORK/body"
  refuses "$1" "$2" k create --raw /api/v1/namespaces/default/configmaps -f "$WORK/body"
  [ "$(k create --raw /api/v1/namespaces/default/configmaps -f "$WORK/body" 2>&1 | wc -l)" = 1 ] || fail "$1: not one line"
}
post "half an object, to the API itself" "(BadRequest)" '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {'
post "no object, to the API itself" "(BadRequest)" '"text"'
post "another kind, to the API itself" "(BadRequest)" '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}'
post "a field of the wrong type, to the API itself" "unmarshal" '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": 7}}'
post "a name that is none, to the API itself" "metadata.name: Invalid value" '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "X_"}}'
refuses "a field of the wrong type" "cannot unmarshal" k create --validate=false -f - <<<'{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": "three"}}'
check "something to keep" k create cm keep --from-literal=a=b
kill "$PID" && wait "$PID" || true

# What was damaged in the middle of the log is named, and left as it is.
segment=$(echo "$WORK"/api/store/log-*)
cp "$segment" "$WORK/segment"
printf 'damage' | dd of="$segment" bs=1 seek=3000 conv=notrunc status=none
one_line "a damaged log" "restore it from a backup" "$DECAPOD" apiserver --data-dir "$WORK/api" --port 16551
cp "$WORK/segment" "$segment"
mv "$segment" "$WORK/segment"
one_line "a log without its segments" "all segments are missing" "$DECAPOD" apiserver --data-dir "$WORK/api" --port 16551
mv "$WORK/segment" "$segment"
start_apiserver "$WORK/api" 16551
expect "kept over a restart" "keep" k get cm keep -o name
kill "$PID" && wait "$PID" || true

# A key that is half written is named.
cp "$WORK/api/pki/ca.key" "$WORK/ca.key"
head -c 40 "$WORK/ca.key" >"$WORK/api/pki/ca.key"
one_line "a half-written file" "ca.key" "$DECAPOD" apiserver --data-dir "$WORK/api" --port 16551
cp "$WORK/ca.key" "$WORK/api/pki/ca.key"
start_apiserver "$WORK/api" 16551
expect "nothing lost" "keep" k get cm keep -o name

# The doctor says of each thing whether it is well, and what to do.
expect "the doctor finds the kernel's features" "ok    overlayfs" "$DECAPOD" doctor --data-dir "$WORK/none" --port 16552
refuses "the doctor finds a busy port" "fail  port        port 16551 cannot be had" "$DECAPOD" doctor --data-dir "$WORK/none" --port 16551
refuses "the doctor finds a runtime that is missing" "install the package" env PATH=/nowhere "$DECAPOD" doctor --data-dir "$WORK/none" --port 16552
refuses "no cluster to ask" "no cluster runs in" "$DECAPOD" status --data-dir "$WORK/none"
