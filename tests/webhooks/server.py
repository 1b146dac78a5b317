#!/usr/bin/env python3
"""Webhooks for tests/webhooks.sh and tests/custom-resources.sh: server.py CERTIFICATE KEY PORT LOG. What a path does is in `answer`; LOG has one line a
call: the path, the operation, the kind, the name, and whether it is a dry run."""
import base64, json, ssl, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

certificate, key, port, log = sys.argv[1:]


def patch(*operations):
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}


def answer(path, request):
    obj = request["object"] or {}
    data = obj.get("data") or {}
    if path == "/deny":
        return {"allowed": False, "status": {"message": "no " + request["name"], "reason": "Because", "code": 418}}
    if path == "/deny-silently":
        return {"allowed": False}
    if path == "/warn":
        return {"allowed": True, "warnings": ["mind the gap"], "auditAnnotations": {"seen": "yes"}}
    if path == "/slow":
        time.sleep(3)
    if path == "/first" and data.get("start"):
        return patch({"op": "add", "path": "/data/first", "value": "1"})
    if path == "/second" and data.get("first") and not data.get("second"):
        return patch({"op": "add", "path": "/data/second", "value": "1"})
    if path == "/count":
        seen = int(data.get("seen", "0")) + 1
        return patch({"op": "add", "path": "/data/seen", "value": str(seen)})
    if path == "/last" and not data.get("last"):
        return patch({"op": "add", "path": "/data/last", "value": "1"})
    if path == "/sidecar":
        return patch({"op": "add", "path": "/spec/initContainers", "value": [{"name": "side", "image": "side"}]})
    if path == "/custom" and request["kind"]["kind"] == "Scale":
        return patch({"op": "replace", "path": "/spec/replicas", "value": 6})
    if path == "/custom":
        return patch(
            {"op": "add", "path": "/spec/nope", "value": 1},
            {"op": "add", "path": "/spec/tags", "value": ["hooked"]},
            {"op": "remove", "path": "/spec/image"},
        )
    if path == "/broken-patch":
        return patch({"op": "remove", "path": "/data/none"})
    return {"allowed": True}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        path = self.path.split("?")[0]
        request = json.loads(body)["request"]
        with open(log, "a") as lines:
            words = [path, request["operation"], request["kind"]["kind"], request.get("name", ""), str(request["dryRun"])]
            words.append(request["kind"]["version"] + "<" + request["requestKind"]["version"])
            words.append(request["options"]["kind"] if request["options"] else "-")
            words.append(request["userInfo"]["username"])
            lines.write(" ".join(words) + "\n")
        if path == "/error":
            return self.say(500, b"secret")
        if path == "/redirect":
            return self.say(302, b"", [("Location", "/allow")])
        if path == "/garbage":
            return self.say(200, b"<html>")
        uid = "other" if path == "/wrong-uid" else request["uid"]
        response = {"uid": uid} | answer(path, request)
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        self.say(200, json.dumps(review).encode())

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
