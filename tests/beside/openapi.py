#!/usr/bin/env python3
"""Compares the OpenAPI documents of two API servers.

    openapi.py http://127.0.0.1:8101 http://127.0.0.1:8102     upstream's and ours, each behind `kubectl proxy`

Prints how often each kind of difference occurs, with examples; the exit code says whether there are any.

Listed differences: paths and parameters have no descriptions in ours; lists have none, nor types that only upstream's
own documents describe; a field's possible values are named, and not explained; WatchEvent has the words of the library
that ours come from, k8s-openapi; and upstream's version 2 lists some
types of all groups, such as DeleteOptions, under versions that neither server serves.
"""
import collections
import json
import re
import sys
import urllib.request

EXAMPLES = 4
EVERYWHERE = ("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent")


def get(url, path):
    request = urllib.request.Request(url.rstrip("/") + path, headers={"Accept": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def plain(value, document):
    """Without descriptions and references to parameters, and with lists that have no order sorted."""
    if isinstance(value, list):
        return [plain(item, document) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/parameters/"):
        return plain(document["parameters"][reference.split("/")[-1]], document)
    out = {key: plain(item, document) for key, item in value.items() if not (key == "description" and isinstance(item, str))}
    if isinstance(out.get("parameters"), list):
        out["parameters"].sort(key=lambda parameter: (parameter["name"], parameter["in"]))
    if isinstance(out.get("x-kubernetes-group-version-kind"), list):
        out["x-kubernetes-group-version-kind"].sort(key=lambda kind: (kind["group"], kind["version"]))
    return out


def differences(theirs, own, path):
    if isinstance(theirs, dict) and isinstance(own, dict):
        for key in sorted(theirs.keys() | own.keys()):
            if key not in own:
                yield "missing", path + [key], theirs[key], None
            elif key not in theirs:
                yield "extra", path + [key], None, own[key]
            else:
                yield from differences(theirs[key], own[key], path + [key])
    elif theirs != own:
        yield "other", path, theirs, own


def descriptions(document):
    """The descriptions of types and of their fields, by their names."""
    schemas = document.get("definitions") or document.get("components", {}).get("schemas", {})
    for name, schema in schemas.items():
        for field, property in [("", schema), *schema.get("properties", {}).items()]:
            text = property.get("description", "")
            # What a value is good for is not in ours.
            head, enum, values = text.partition("\n\nPossible enum values:\n")
            values = re.findall(r'^ - `"[^"]*"`', values, re.M)
            yield (name, field), "\n".join([head.rstrip(), *sorted(values)])


def undescribed(name, document):
    """Whether the build has no description of a type at hand: lists, and what is answered but not stored. (WatchEvent's
    is another one.)"""
    return name.endswith("List") or name.split(".")[-1] in ("Scale", "ScaleSpec", "ScaleStatus", "Info", "Eviction", "WatchEvent")


def compare_descriptions(name, theirs, own, found):
    own = dict(descriptions(own))
    for (kind, field), text in descriptions(theirs):
        if text != own.get((kind, field), "") and not undescribed(kind, theirs):
            found["description", kind if (kind, field) not in own else "differs"].append((f"{name} {kind} {field}", text, own.get((kind, field))))


def main():
    upstream, ours = sys.argv[1:3]
    found = collections.defaultdict(list)
    theirs, own = (get(url, "/openapi/v3")["paths"] for url in (upstream, ours))
    for name in sorted(theirs.keys() ^ own.keys()):
        found["document " + ("missing" if name in theirs else "extra"), ""].append((name, None, None))
    pairs = [(name, theirs[name]["serverRelativeURL"], own[name]["serverRelativeURL"]) for name in sorted(theirs.keys() & own.keys())]
    for name, their_path, own_path in [*pairs, ("v2", "/openapi/v2", "/openapi/v2")]:
        one, other = get(upstream, their_path), get(ours, own_path)
        compare_descriptions(name, one, other, found)
        for document in (one, other):
            for kind in EVERYWHERE:
                document.get("definitions", {}).pop(kind, None)
        one, other = plain(one, one), plain(other, other)
        one.pop("parameters", None)
        other.pop("parameters", None)
        for kind, path, a, b in differences(one, other, []):
            found[kind, path[-1]].append((name + " " + "/".join(path), a, b))
    for (kind, key), cases in sorted(found.items(), key=lambda item: -len(item[1])):
        print(len(cases), kind, key)
        for case in cases[:EXAMPLES]:
            print("   ", case[0], "" if case[1] is None else json.dumps(case[1])[:150], "|", "" if case[2] is None else json.dumps(case[2])[:150])
    described = sum(1 for (_, text) in descriptions(get(ours, "/openapi/v2")) if text)
    print(f"{len(pairs) + 1} OpenAPI documents with {described} descriptions compared, {sum(map(len, found.values()))} differences")
    sys.exit(bool(found))


main()
