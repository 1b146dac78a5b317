#!/usr/bin/env python3
"""Load on an API server that may die at any moment, and what has to hold afterwards.

  writes.py load KUBECONFIG PORT LOG WRITERS    creates config maps until it is told to end (SIGTERM), and writes down
                                                the name and revision of each that was acknowledged
  writes.py watch KUBECONFIG PORT LOG           watches them from now on, over all deaths of the server, and writes down
                                                what it sees, until it sees the one named "end"
  writes.py check KUBECONFIG PORT LOG [WATCHED] compares what was acknowledged, and seen, with what is there; what is
                                                there counts as acknowledged from then on
"""
import base64
import http.client
import itertools
import json
import os
import re
import signal
import ssl
import sys
import tempfile
import threading
import time

PATH = "/api/v1/namespaces/default/configmaps"
stop = threading.Event()


class Server:
    """A connection to an API server, as the administrator of a kubeconfig of ours."""

    def __init__(self, kubeconfig, port):
        text, self.port = open(kubeconfig).read(), port
        field = lambda name: base64.b64decode(re.search(name + r":\s*(\S+)", text).group(1))
        self.tls = ssl.create_default_context(cadata=field("certificate-authority-data").decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(field("client-certificate-data") + field("client-key-data"))
            pair.flush()
            self.tls.load_cert_chain(pair.name)

    def connect(self, timeout):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=timeout)

    def get(self, path):
        connection = self.connect(60)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"GET {path}: {answer.status} {text[:500]}")
        return json.loads(text)


def write(server, prefix, log):
    """One writer: a connection kept as long as it lasts, one write at a time."""
    connection = None
    for n in itertools.count():
        if stop.is_set():
            return
        name = f"{prefix}-{n}"
        body = json.dumps({"metadata": {"name": name}, "data": {"text": "b" * (n * 97 % 400)}})
        try:
            connection = connection or server.connect(5)
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 201:
                os.write(log, f"{name} {json.loads(text)['metadata']['resourceVersion']}\n".encode())
        except (OSError, http.client.HTTPException):
            connection = None
            time.sleep(0.02)


def load(server, path, writers):
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = [
        threading.Thread(target=write, args=(server, f"w{n}-{os.getpid()}", log)) for n in range(writers)
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()


def watch(server, path):
    revision = server.get(PATH + "?limit=1")["metadata"]["resourceVersion"]
    log = open(path, "w", buffering=1)
    log.write(f"from {revision}\n")
    while True:
        try:
            connection = server.connect(60)
            connection.request("GET", f"{PATH}?watch=1&resourceVersion={revision}")
            answer = connection.getresponse()
            if answer.status != 200:
                time.sleep(0.02)
                continue
            for line in answer:
                event = json.loads(line)
                if event["type"] != "ADDED":
                    log.write(f"unexpected {event['type']} {json.dumps(event['object'])}\n")
                    return
                revision = event["object"]["metadata"]["resourceVersion"]
                log.write(f"{event['object']['metadata']['name']} {revision}\n")
                if event["object"]["metadata"]["name"] == "end":
                    return
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            time.sleep(0.02)


def pairs(path):
    """The names and revisions in a log; its last line is whole, for each is written at once."""
    with open(path) as lines:
        return [(name, int(revision)) for name, revision, *_ in (line.split() for line in lines)]


def of_writers(path):
    """The same for each writer, without what was only found to be there."""
    writers = {}
    with open(path) as lines:
        for name, revision, *found in (line.split() for line in lines):
            if not found:
                writers.setdefault(name.rsplit("-", 1)[0], []).append(int(revision))
    return writers


def check(server, path, watched):
    items = [item["metadata"] for item in server.get(PATH)["items"]]
    there = {item["name"]: int(item["resourceVersion"]) for item in items}
    there.pop("kube-root-ca.crt", None)
    acknowledged = pairs(path)
    lost = {name for name, revision in acknowledged if there.get(name) != revision}
    # Who wrote one after the other got ascending revisions; and no two writes have got the same one.
    back = sum(after <= before for own in of_writers(path).values() for before, after in itertools.pairwise(own))
    owners = {}
    for name, revision in itertools.chain(acknowledged, there.items()):
        owners.setdefault(revision, set()).add(name)
    repeated = sum(len(names) > 1 for names in owners.values())
    print(f"{len(acknowledged)} acknowledged, {len(lost)} lost, {repeated} revisions repeated, {back} steps back")
    wrong = lost or repeated or back
    for name in sorted(lost)[:5]:
        print(f"  {name}: acknowledged {dict(acknowledged)[name]}, there {there.get(name)}")
    if watched:
        wrong = check_watch(there, watched) or wrong
    with open(path, "a") as log:
        known = {name for name, _ in acknowledged}
        new = sorted((revision, name) for name, revision in there.items() if name not in known)
        log.writelines(f"{name} {revision} found\n" for revision, name in new)
    sys.exit(1 if wrong else 0)


def check_watch(there, path):
    """What a watcher saw is what is there, once each and in order."""
    (_, begin), *seen = pairs(path)
    revisions = [begin] + [revision for _, revision in seen]
    back = sum(after <= before for before, after in itertools.pairwise(revisions))
    names = dict(seen)
    gaps = sum(revision > begin and names.get(name) != revision for name, revision in there.items())
    untrue = sum(there.get(name) != revision for name, revision in seen)
    print(f"{len(seen)} watched, {gaps} gaps, {untrue} of what is not there, {back} duplicates or steps back")
    return gaps or untrue or back


def main():
    verb, kubeconfig, port, path, *rest = sys.argv[1:]
    server = Server(kubeconfig, int(port))
    if verb == "load":
        load(server, path, int(rest[0]))
    elif verb == "watch":
        watch(server, path)
    else:
        check(server, path, rest[0] if rest else None)


main()
