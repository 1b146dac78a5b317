#!/usr/bin/env bash
# kill -9 of the API server under writers: every write that was acknowledged is there afterwards, and no resourceVersion
# is given twice. The small form kills 10 times, the full form 300 times, under 32 writers.
. "$(dirname "$0")/lib.sh"

KILLS=10
[ -n "${DECAPOD_TEST_FULL:-}" ] && KILLS=300
WRITERS=32

start_apiserver "$WORK/api" 16541
config() { python3 - "$WORK/api/admin.kubeconfig" "$WORK" <<'PYTHON'
import base64, re, sys
text = open(sys.argv[1]).read()
for field, name in (("client-certificate-data", "c.crt"), ("client-key-data", "c.key"), ("certificate-authority-data", "ca.crt")):
    data = re.search(field + r":\s*(\S+)", text).group(1)
    open(sys.argv[2] + "/" + name, "wb").write(base64.b64decode(data))
PYTHON
}
config
touch "$WORK/acknowledged"
# Writers keep a connection each and write down what was acknowledged.
cat >"$WORK/writer.py" <<'PYTHON'
import http.client, json, os, ssl, sys, time
work, writer, stop = sys.argv[1], sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=work + "/ca.crt")
context.load_cert_chain(work + "/c.crt", work + "/c.key")
log = open(work + "/acknowledged", "a", buffering=1)
connection, n = None, 0
while not os.path.exists(stop):
    n += 1
    name = "w%s-%d-%d" % (writer, os.getpid(), n)
    try:
        if connection is None:
            connection = http.client.HTTPSConnection("127.0.0.1", 16541, context=context, timeout=5)
        body = json.dumps({"metadata": {"name": name}, "data": {"a": "b"}})
        connection.request("POST", "/api/v1/namespaces/default/configmaps", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 201:
            log.write("%s %s\n" % (name, json.loads(text)["metadata"]["resourceVersion"]))
    except Exception:
        connection = None
        time.sleep(0.02)
PYTHON
writers=()
for writer in $(seq "$WRITERS"); do
  python3 "$WORK/writer.py" "$WORK" "$writer" "$WORK/stop" &
  writers+=($!)
  STARTED+=($!)
done
for _ in $(seq "$KILLS"); do
  sleep "0.$((RANDOM % 6 + 2))"
  kill -9 "$PID"
  wait "$PID" 2>/dev/null || true
  start_apiserver "$WORK/api" 16541
done
touch "$WORK/stop"
for pid in "${writers[@]}"; do wait "$pid" || true; done

timeout 60 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" get cm -o json >"$WORK/list"
python3 - "$WORK" <<'PYTHON' || fail "acknowledged writes are lost, or revisions repeat"
import json, sys
items = json.load(open(sys.argv[1] + "/list"))["items"]
there = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}
acknowledged = [line.split() for line in open(sys.argv[1] + "/acknowledged")]
lost = [name for name, revision in acknowledged if there.get(name) != revision]
revisions = [revision for _, revision in acknowledged]
repeated = len(revisions) - len(set(revisions))
print(f"{len(acknowledged)} acknowledged, {len(lost)} lost, {repeated} revisions repeated")
sys.exit(1 if lost or repeated or len(acknowledged) < 100 else 0)
PYTHON
PASSED=$((PASSED + KILLS))
echo "$KILLS kills under $WRITERS writers"
