# What a line of these tables may use besides tests/beside/helpers.sh.

# owners KIND NAME: who owns what of an object, in an order that does not depend on the second it was written in.
owners() {
  k get "$@" --show-managed-fields -o json | python3 -c '
import json, sys
meta = json.load(sys.stdin)["metadata"]
entries = meta.get("managedFields", [])
for entry in entries:
    entry["time"] = "time" in entry
for text in sorted(json.dumps(entry, sort_keys=True) for entry in entries):
    print(text)
print(meta.get("generation"), meta.get("annotations"))'
}

# ask METHOD PATH TYPE BODY [HEADER]: a request as admin; the code and the body of its answer, without managed fields and
# what columns are described as.
ask() {
  curl -sS --unix-socket ~/proxy.socket -X "$1" -H "Content-Type: $3" ${5:+-H "$5"} --data-binary "$4" -w '\n%{http_code}\n' "http://localhost$2" |
    python3 -c '
import json, sys
body, code = sys.stdin.read().rstrip("\n").rsplit("\n", 1)
def settled(node):
    if isinstance(node, dict):
        # Upstream names a cause several times in places, and in any order.
        causes = node.get("causes")
        if isinstance(causes, list):
            node = {**node, "causes": [json.loads(text) for text in sorted({json.dumps(cause, sort_keys=True) for cause in causes})]}
        hidden = ("managedFields", "clusterIP", "clusterIPs") + (("description",) if "priority" in node else ())
        return {key: settled(value) for key, value in node.items() if key not in hidden}
    return [settled(item) for item in node] if isinstance(node, list) else node
print(code)
try:
    print(json.dumps(settled(json.loads(body)), sort_keys=True, indent=1))
except ValueError:
    print(body)'
}

# apply MANAGER PATH BODY [QUERY]: an apply by a plain request.
apply() { ask PATCH "$2?fieldManager=$1${4:+&$4}" application/apply-patch+yaml "$3"; }

# revision KIND NAME: the revision of an object.
revision() { k get "$@" -o 'jsonpath={.metadata.resourceVersion}'; }

CONFIG_MAPS=/api/v1/namespaces/apply/configmaps
DEPLOYMENTS=/apis/apps/v1/namespaces/apply/deployments
