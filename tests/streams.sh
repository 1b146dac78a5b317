# Sourced by cluster.sh while its cluster is up and $pod serves: exec, attach, port-forward, cp and logs. kubectl falls
# back to SPDY in silence where WebSocket is refused, so what it says at verbosity 4 is looked at, too.
MEGABYTES=20
[ -z "${DECAPOD_TEST_FULL:-}" ] || MEGABYTES=100

# over_web_socket NAME COMMAND...: kubectl has to succeed without falling back.
over_web_socket() {
  local name=$1
  shift
  local output
  output=$(k -v=4 "$@" 2>&1) || { echo "$output" >&2; fail "$name"; }
  case "$output" in *[Ff]allback*) echo "$output" >&2; fail "$name: it fell back to SPDY" ;; esac
  PASSED=$((PASSED + 1))
}

# exits CODE COMMAND...: kubectl's exit code has to be this.
exits() {
  local wanted=$1 code=0
  shift
  k "$@" >/dev/null 2>&1 || code=$?
  [ "$code" = "$wanted" ] || fail "kubectl $*: exit code $code, expected $wanted"
  PASSED=$((PASSED + 1))
}

# same NAME WANTED COMMAND...: the command's output has to be WANTED and nothing else.
same() {
  local name=$1 wanted=$2
  shift 2
  local output
  output=$("$@" 2>&1) || true
  [ "$output" = "$wanted" ] || { echo "$output" >&2; fail "$name: expected $wanted"; }
  PASSED=$((PASSED + 1))
}

check "pods to talk to" k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: ticker}
spec:
  restartPolicy: Never
  containers:
  - {name: ticker, image: $BUSYBOX, command: [sh, -c, 'i=0; until [ -e /tmp/stop ]; do i=\$((i + 1)); echo tick \$i; sleep 1; done']}
---
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  containers:
  - name: reader
    image: $BUSYBOX
    stdin: true
    stdinOnce: true
    command: [sh, -c, 'while read line; do echo "got \$line"; done; echo "no more"']
---
apiVersion: v1
kind: Pod
metadata: {name: again}
spec:
  containers:
  - {name: again, image: $BUSYBOX, command: [sh, -c, 'echo ran once; exit 1']}
YAML
check "they run" k wait --for=condition=Ready pod/ticker pod/reader --timeout=30s
# Lines come as they are written, and the end of the container is the end of its log.
timeout 300 "$KUBECTL" logs -f ticker | while read -r line; do echo "$SECONDS $line"; done >"$WORK/followed" &
FOLLOWING=$!
expect "attach to output" "tick" bash -c "timeout 20 '$KUBECTL' attach ticker 2>/dev/null | head -1"
expect "attach with input" $'got one\ngot two\nno more' bash -c "printf 'one\ntwo\n' | timeout 20 '$KUBECTL' attach -i reader 2>/dev/null"
same "the log of what was attached" $'got one\ngot two\nno more' k logs reader

over_web_socket "exec over WebSocket" exec "$pod" -- true
for websockets in true false; do
  export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=$websockets
  exits 0 exec "$pod" -- true
  exits 42 exec "$pod" -- sh -c 'exit 42'
  same "output and errors apart" "out" bash -c "timeout 20 '$KUBECTL' exec '$pod' -- sh -c 'echo out; echo err >&2' 2>/dev/null"
  same "input ends" "5" bash -c "printf hello | timeout 20 '$KUBECTL' exec -i '$pod' -- wc -c"
  refuses "a container that is not there" "container nope is not valid" k exec "$pod" -c nope -- true
  refuses "a command that is not there" "no such file" k exec "$pod" -- /nope
  # Its stdin stays open: a terminal's output is cut off by containerd where its input ends, and `script` passes an end on.
  mkfifo "$WORK/stdin.$websockets"
  exec 9<>"$WORK/stdin.$websockets"
  expect "exec on a terminal" "tty" timeout 20 script -qec "'$KUBECTL' exec -it '$pod' -- echo tty" /dev/null <&9
  expect "the size of a terminal" "24 100" timeout 20 script -qec "stty rows 24 cols 100; '$KUBECTL' exec -it '$pod' -- sh -c 'sleep 0.5; stty size'" /dev/null <&9
  exec 9>&-
done
unset KUBECTL_REMOTE_COMMAND_WEBSOCKETS

head -c "${MEGABYTES}M" /dev/urandom >"$WORK/big"
sum=$(sha256sum <"$WORK/big")
check "cp of $MEGABYTES MB there" k cp "$WORK/big" "$pod:/tmp/big"
same "it is the same there" "$sum" k exec "$pod" -- sh -c 'sha256sum </tmp/big'
check "cp back" k cp "$pod:/tmp/big" "$WORK/back"
same "it is the same here" "$sum" bash -c "sha256sum <'$WORK/back'"

k -v=4 port-forward "pod/$pod" 16563:8080 16564:1 >"$WORK/forward.log" 2>&1 &
STARTED+=($!)
eventually 10 "port-forward" curl -sf -m 2 http://127.0.0.1:16563/hostname
check "many connections" bash -c 'for i in $(seq 40); do curl -sf -m 5 http://127.0.0.1:16563/hostname >/dev/null & pids="$pids $!"; done; for pid in $pids; do wait $pid || exit 1; done'
curl -s -m 5 http://127.0.0.1:16564/ >/dev/null 2>&1 || true
eventually 5 "a port that is closed" grep -q "refused" "$WORK/forward.log"
expect "through the tunnel" "portforward.k8s.io" grep "negotiated protocol" "$WORK/forward.log"
grep -qi fallback "$WORK/forward.log" && fail "port-forward fell back to SPDY"

check "the end of the container" k exec ticker -- touch /tmp/stop
wait "$FOLLOWING" || fail "logs -f: exit code $?"
ticks=$(wc -l <"$WORK/followed")
same "all lines were followed" "$(seq -f 'tick %g' "$ticks")" sed 's/^[0-9]* //' "$WORK/followed"
same "and no others are there" "$(seq -f 'tick %g' "$ticks")" k logs ticker
spread=$(($(awk 'END {print $1}' "$WORK/followed") - $(awk 'NR == 1 {print $1}' "$WORK/followed")))
[ "$spread" -ge 3 ] || fail "lines were followed within $spread s"
same "the last lines" "tick $((ticks - 1))"$'\n'"tick $ticks" k logs ticker --tail=2
same "lines since then" "" k logs ticker --since-time=2999-01-01T00:00:00Z
same "lines of the last hour" "tick 1" bash -c "timeout 20 '$KUBECTL' logs ticker --since=1h | head -1"
check "timestamps" bash -c "timeout 20 '$KUBECTL' logs ticker --timestamps --tail=1 | grep -E '^20[0-9-]+T[0-9:.]+Z tick $ticks\$'"
refuses "lines of less than no time" "must be greater than" k logs ticker --since-time= --since=-5s
eventually 30 "a second run" bash -c "timeout 20 '$KUBECTL' logs again --previous | grep -x 'ran once'"
refuses "no second run" "previous terminated container \"ticker\" in pod \"ticker\" not found" k logs ticker --previous

check "an ephemeral container" k debug "$pod" --image=$BUSYBOX --container=helper -- sh -c 'echo helped'
eventually 20 "its log" bash -c "timeout 20 '$KUBECTL' logs '$pod' -c helper | grep -x helped"

# What kubectl does not do: a log over WebSocket.
for part in certificate key; do
  k config view --raw --minify -o "jsonpath={.users[0].user.client-$part-data}" | base64 -d >"$WORK/client-$part"
done
server=$(k config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
expect "a log over WebSocket" "tick $ticks" curl -skN -m 10 --http1.1 --cert "$WORK/client-certificate" --key "$WORK/client-key" \
  -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' \
  -H 'Sec-WebSocket-Protocol: binary.k8s.io' --output - "$server/api/v1/namespaces/default/pods/ticker/log"
check "delete them" k delete pod ticker reader again --now
