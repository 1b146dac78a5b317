#!/usr/bin/env python3
"""custom.py FOLDER PORT DEFINITIONS OBJECTS LISTS: asks the server of bench/custom.sh whose folder this is, and prints its rows."""
import http.client, json, os, ssl, sys, time

folder, port, definitions, objects, lists = sys.argv[1], *map(int, sys.argv[2:])
context = ssl.create_default_context(cafile=f"{folder}/pki/ca.crt")
context.check_hostname = False
context.load_cert_chain(f"{folder}/bench.crt", f"{folder}/bench.key")
connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)


def ask(method, path, body=None):
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text[:500]}")
    return text


def processes():
    return [int(line.split()[1]) for line in open(f"{folder}/pids")]


def cpu_seconds():
    ticks = 0
    for pid in processes():
        words = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes():
    total = 0
    for pid in processes():
        line = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))
        total += int(line.split()[1]) * 1024
    return total


def settled():
    """The memory once the server is at rest: it has taken no CPU for a second."""
    before = cpu_seconds()
    while True:
        time.sleep(1)
        now = cpu_seconds()
        if now - before <= 0.02:
            return memory_bytes()
        before = now


def schema(depth):
    """As an operator's: nested objects, descriptions, lists by key, patterns."""
    fields = {
        f"field{at}": {"type": "string", "description": "What this is for, in a sentence or two as they are in most definitions.",
                       "maxLength": 100 + at, "pattern": "^[a-z]*$" if at == 0 else "^[a-zA-Z0-9 -]*$"}
        for at in range(8)
    }
    if depth:
        fields["inner"] = schema(depth - 1)
        fields["items"] = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["field0"],
                           "items": schema(depth - 1) | {"required": ["field0"]}}
    return {"type": "object", "description": "A part of it.", "properties": fields}


def definition(at):
    plural = f"things{at}"
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.bench{at % 20}.example.com"},
        "spec": {"group": f"bench{at % 20}.example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": f"Thing{at}"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                               "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema(3), "status": schema(1)}}}}]},
    }


def spec():
    part = {f"field{at}": "text of some length to fill it up" for at in range(8)}
    items = [part | {"field0": letter} for letter in "abcd"]
    return part | {"inner": part | {"items": items}}


def listed(row, path):
    text = ask("GET", path)
    before = cpu_seconds()
    for _ in range(lists):
        text = ask("GET", path)
    spent = cpu_seconds() - before
    print(row, "size", "MB", round(len(text) / 1e6, 2), sep="\t")
    print(row, "server CPU for a megabyte", "ms", round(spent * 1e9 / lists / len(text), 3), sep="\t", flush=True)


empty = settled()
size = len(json.dumps(definition(0)))
for at in range(definitions):
    ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(at))
print("definitions", f"memory for each of {definitions}, of {size // 1000} KB", "KB", round((settled() - empty) / definitions / 1000, 1), sep="\t", flush=True)
for at in range(objects):
    name = f"a-{at:05}"
    ask("POST", "/apis/bench0.example.com/v1/namespaces/bench/things0",
        {"apiVersion": "bench0.example.com/v1", "kind": "Thing0", "metadata": {"name": name}, "spec": spec()})
    ask("POST", "/api/v1/namespaces/bench/pods",
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
         "spec": {"containers": [{"name": letter, "image": "registry.example.com/some/image:v1", "env": [{"name": f"E{n}", "value": "x" * 40} for n in range(6)]}
                                 for letter in "abc"]}})
listed("list of custom objects", "/apis/bench0.example.com/v1/namespaces/bench/things0")
listed("list of pods", "/api/v1/namespaces/bench/pods")
