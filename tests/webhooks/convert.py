#!/usr/bin/env python3
"""A conversion webhook for tests/conversion-webhooks.sh: convert.py CERTIFICATE KEY PORT LOG. The path is who asks and what it does, which
`convert` and `answer` know; LOG has one line a call: both, the version asked for, how many objects, the version of the review."""
import copy, json, ssl, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

certificate, key, port, log = sys.argv[1:]


def convert(what, obj, desired):
    """v1 has one field for what v2 has two for; `color` is in both, and is called otherwise in v2."""
    new = copy.deepcopy(obj)
    new["apiVersion"] = desired
    spec, meta = new.get("spec") or {}, new["metadata"]
    # Also of parts of objects: servers compare in every version what managers own.
    for there, old, name in ("/v2", "color", "paint"), ("/v1", "paint", "color"):
        if desired.endswith(there) and old in spec:
            spec[name] = spec.pop(old)
    if desired.endswith("/v2") and "hostPort" in spec:
        spec["host"], _, number = spec.pop("hostPort").partition(":")
        spec["port"] = int(number or 0)
        meta["labels"] = (meta.get("labels") or {}) | {"seen-as": "v2"}
    if desired.endswith("/v1") and "host" in spec:
        spec["hostPort"] = f"{spec.pop('host')}:{spec.pop('port', 0)}"
        meta["annotations"] = (meta.get("annotations") or {}) | {"was": "v2"}
        (meta.get("labels") or {}).pop("seen-as", None)
    if what == "metadata":
        meta["finalizers"], meta["generation"], meta["creationTimestamp"] = ["example.com/x"], 77, "2001-01-01T00:00:00Z"
        meta["generateName"], meta["ownerReferences"] = "x-", []
    if what == "uid":
        meta["uid"] = "another"
    if what == "name":
        meta["name"] = "another"
    if what == "namespace":
        meta["namespace"] = "another"
    if what == "kind":
        new["kind"] = "Another"
    if what == "version":
        new["apiVersion"] = obj["apiVersion"]
    if what == "labels":
        meta["labels"] = {"a": "not a value"}
    if what == "annotations":
        meta["annotations"] = {"not a key": "b"}
    if what == "label-number":
        meta["labels"] = {"a": 1}
    if what == "labels-list":
        meta["labels"] = ["a"]
    if what == "no-metadata":
        del new["metadata"]
    if what == "unknown":
        spec["nobody"] = "knows"
    return new


def answer(what, request):
    objects = [convert(what, obj, request["desiredAPIVersion"]) for obj in request["objects"]]
    result = {"status": "Success"}
    if what == "fail":
        result, objects = {"status": "Failure", "message": "this cannot be converted"}, []
    if what == "fail-silently":
        result, objects = {"status": "Failure"}, []
    if what == "none":
        objects = []
    return {"convertedObjects": objects, "result": result}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        request = review["request"]
        _, who, what = self.path.split("?")[0].split("/")
        with open(log, "a") as lines:
            count = len(request["objects"])
            lines.write(f"{who} {what} {request['desiredAPIVersion']} {count} {review['apiVersion']} {review['kind']}\n")
        if what == "error":
            return self.say(500, b"secret")
        if what == "redirect":
            return self.say(302, b"", [("Location", "/" + who + "/convert")])
        if what == "garbage":
            return self.say(200, b"<html>")
        reply = {"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": {"uid": request["uid"]} | answer(what, request)}
        if what == "wrong-uid":
            reply["response"]["uid"] = "other"
        if what == "wrong-kind":
            reply["kind"] = "Status"
        if what == "no-response":
            del reply["response"]
        self.say(200, json.dumps(reply).encode())

    def say(self, code, body, headers=()):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Whoever does not believe our certificate hangs up."""


server = Server(("127.0.0.1", int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
