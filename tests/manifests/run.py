#!/usr/bin/env python3
"""Gives two API servers the same manifests, valid and not, and compares what they say.

    run.py THEIRS OURS BASES.json [--seed N] [--every P] [--doubled N] [--kinds A,B] [--out FILE]

THEIRS and OURS are addresses of `kubectl proxy`; BASES.json is a list of valid manifests. From each, manifests with one
field changed are made (mutate.py), so that each field that a schema knows is changed at least once, and some with two.
They are created with dry-run and strict validation, and, where the base could be created, written over it. Compared are
the code, the reason, and the reason and field of each cause; of what is accepted, the object that comes back.
known.txt lists differences that are known, as a regular expression for a line and why.
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import pathlib
import random
import re
import sys
import threading
import urllib.parse

import mutate

HERE = pathlib.Path(__file__).resolve().parent
LANES = 2
# What no two servers have alike.
OWN = {"uid", "creationTimestamp", "resourceVersion", "managedFields", "lastTransitionTime", "lastProbeTime", "deletionTimestamp"}

MASKS = [(re.compile(pattern), mask) for pattern, mask in [
    (r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}$", "SUFFIX"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"X509SHA256=[0-9a-f]{64}", "DIGEST"),
    (r"^kubernetes-admin$", "admin"),
    # Upstream takes the first address of the range where nothing is to be kept.
    (r"^10\.43\.\d+\.\d+$", "ADDRESS"),
]]

local = threading.local()


def ask(server, method, path, body=None, kind="application/json"):
    """(code, document)."""
    connections = local.__dict__.setdefault("connections", {})
    for attempt in (0, 1):
        connection = connections.get(server)
        if connection is None:
            connection = connections[server] = http.client.HTTPConnection(urllib.parse.urlsplit(server).netloc, timeout=60)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": kind, "Accept": "application/json"})
            response = connection.getresponse()
            text = response.read()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, {"message": text.decode(errors="replace")}
        except (OSError, http.client.HTTPException):
            connections[server] = None
            if attempt:
                raise


def said(answer):
    """What of an answer is compared."""
    code, document = answer
    if code < 300:
        return (code, "", ())
    causes = (document.get("details") or {}).get("causes") or []
    return (code, document.get("reason", ""), tuple(sorted((cause.get("reason", ""), cause.get("field", "")) for cause in causes)))


def shown(outcome):
    code, reason, causes = outcome
    return f"{code} {reason} {', '.join(' '.join(cause) for cause in causes)}".strip()


def plain(value, path=""):
    """A document without what no two servers have alike."""
    if isinstance(value, dict):
        return {key: plain(item, f"{path}.{key}") for key, item in value.items() if key not in OWN}
    if isinstance(value, list):
        return [plain(item, path) for item in value]
    if isinstance(value, str):
        for pattern, mask in MASKS:
            value = pattern.sub(mask, value)
        return value
    if path.endswith(".nodePort") and isinstance(value, int):
        return "PORT"
    return value


def parts(theirs, ours, path=""):
    """Where two documents differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            if theirs.get(key) != ours.get(key):
                yield from parts(theirs.get(key), ours.get(key), f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (one, other) in enumerate(zip(theirs, ours)):
            if one != other:
                yield from parts(one, other, f"{path}[{index}]")
    else:
        yield f"{path}: {json.dumps(theirs)[:80]} / {json.dumps(ours)[:80]}"


class Kind:
    """A served kind, with a valid manifest of it."""

    def __init__(self, base, resources, schemas):
        self.base = base
        group, _, version = base["apiVersion"].rpartition("/")
        self.name = f"{base['apiVersion']} {base['kind']}"
        resource = resources[base["apiVersion"], base["kind"]]
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        where = f"/namespaces/{base['metadata'].get('namespace', 'default')}" if resource["namespaced"] else ""
        self.path = f"{root}{where}/{resource['name']}"
        self.can_update = "update" in resource["verbs"]
        self.is_named_by_content = base["kind"] in ("CustomResourceDefinition", "APIService", "IPAddress")
        self.schemas = schemas
        self.definition = schemas.of_kind(group, version, base["kind"])


def discover(server):
    """Resources that can be created, by version and kind, and the schemas of each version."""
    resources, documents = {}, {}
    index = ask(server, "GET", "/openapi/v3")[1]["paths"]
    for where, entry in index.items():
        if not re.fullmatch(r"api/v1|apis/[^/]+/[^/]+", where):
            continue
        version = where.removeprefix("apis/").removeprefix("api/")
        documents[version] = mutate.Schemas(ask(server, "GET", entry["serverRelativeURL"])[1])
        for resource in ask(server, "GET", "/" + where)[1].get("resources", []):
            if "create" in resource["verbs"] and "/" not in resource["name"]:
                resources[version, resource["kind"]] = resource
    return resources, documents


def cases(kind, args, seen):
    """(path, value, method, address, manifest) for all manifests made of one kind's."""
    seed = args.seed
    made = list(mutate.mutants(kind.schemas, kind.definition, kind.base, seen, seed, args.every))
    made += mutate.doubled(made, kind.base, args.doubled, random.Random(f"{seed} {kind.name}"))
    name = kind.base["metadata"].get("name")
    updates = kind.can_update and name and not kind.is_named_by_content and args.updates
    for path, value, manifest in [((), None, kind.base), *made]:
        created = manifest
        if not kind.is_named_by_content and "name" not in path[:2] and name and isinstance(manifest.get("metadata"), dict):
            created = {**manifest, "metadata": {**manifest["metadata"], "name": f"{name}-2"}}
        yield path, value, "POST", f"{kind.path}?dryRun=All&fieldValidation=Strict", created
        if updates and path[:2] != ("metadata", "name") and path[:2] != ("metadata", "namespace"):
            yield path, value, "PUT", f"{kind.path}/{name}?dryRun=All&fieldValidation=Strict", manifest


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("theirs")
    parser.add_argument("ours")
    parser.add_argument("bases")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--every", type=float, default=0.02)
    parser.add_argument("--doubled", type=int, default=10)
    parser.add_argument("--updates", action="store_true")
    parser.add_argument("--kinds", default="")
    parser.add_argument("--out")
    args = parser.parse_args()
    resources, documents = discover(args.theirs)
    bases = json.loads(pathlib.Path(args.bases).read_text())["items"]
    wanted = set(filter(None, args.kinds.split(",")))
    kinds = [Kind(base, resources, documents[base["apiVersion"]]) for base in bases]
    missing = {f"{version} {kind}" for version, kind in resources} - {kind.name for kind in kinds}
    kinds = [kind for kind in kinds if not wanted or kind.base["kind"] in wanted]
    if args.updates:
        for kind in kinds:
            if kind.can_update and not kind.is_named_by_content:
                for server in (args.theirs, args.ours):
                    code, answer = ask(server, "POST", kind.path, kind.base)
                    if code not in (201, 409):
                        print(f"{kind.name}: the base is refused by {server}: {answer.get('message')}")
    known = []
    for line in (HERE / "known.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            known.append(re.compile(line.split(" # ")[0]))
    seen, work = set(), []
    for kind in kinds:
        work += [(kind, *case) for case in cases(kind, args, seen)]
    totals, groups, messages = collections.Counter(), collections.OrderedDict(), collections.Counter()

    def run(item):
        kind, path, value, method, address, manifest = item
        return item, ask(args.theirs, method, address, manifest), ask(args.ours, method, address, manifest)

    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        for item, theirs, ours in pool.map(run, work):
            kind, path, value, method, address, manifest = item
            totals["all"] += 1
            totals["accepted"] += theirs[0] < 300
            one, other = said(theirs), said(ours)
            text = "gone" if value is mutate.NOWHERE else json.dumps(value, default=lambda _: "gone")[:60]
            where = ".".join(str(step) for step in path)
            if one != other:
                line = f"{kind.name} {method} {where}: {shown(one)} / {shown(other)}"
                totals["other verdict" if (one[0], one[1]) != (other[0], other[1]) else "other causes"] += 1
            elif one[0] < 300:
                differences = list(parts(plain(theirs[1]), plain(ours[1])))
                if not differences:
                    continue
                line = f"{kind.name} {method} {where}: the object: {'; '.join(differences)[:300]}"
                totals["other object"] += 1
            else:
                if theirs[1].get("message") != ours[1].get("message"):
                    totals["other message"] += 1
                    messages[f"{theirs[1].get('message')}\n    {ours[1].get('message')}"[:600]] += 1
                continue
            if any(pattern.search(line) for pattern in known):
                totals["known"] += 1
                continue
            groups.setdefault(line, []).append(text)
    report = open(args.out, "w") if args.out else sys.stdout
    for line, values in groups.items():
        print(f"{line}\n    given {' '.join(values[:6])}", file=report)
    if args.out:
        report.close()
        pathlib.Path(args.out + ".messages").write_text("\n".join(f"{count} {text}" for text, count in messages.most_common()))
    if missing and not wanted:
        print("kinds without a manifest: " + ", ".join(sorted(missing)))
    accepted = 100 * totals["accepted"] // max(totals["all"], 1)
    print(f"{totals['all']} manifests of {len(kinds)} kinds, seed {args.seed}, {len(seen)} fields; upstream accepts {accepted} %")
    for name in ("other verdict", "other causes", "other object", "other message", "known"):
        print(f"  {name}: {totals[name]}")
    bad = totals["other verdict"] + totals["other causes"] + totals["other object"] - totals["known"]
    sys.exit(1 if bad or missing and not wanted else 0)


if __name__ == "__main__":
    main()
