#!/usr/bin/env python3
"""An old API server for tests/aggregation.sh: server.py CERTIFICATE KEY CLIENT-CA ADDRESS PORT. It speaks HTTP/1.1 and OpenAPI 2
only, takes nobody without a certificate of CLIENT-CA, says what it was sent, and echoes what follows an upgrade."""
import json, ssl, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

certificate, key, client_ca, address, port = sys.argv[1:]
GROUP_VERSION = "/apis/echo.example.com/v1"
ECHO = {"name": "echoes", "singularName": "echo", "namespaced": True, "kind": "Echo", "verbs": ["get", "list"]}
RESOURCES = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION[6:], "resources": [ECHO]}
KIND = {"group": "echo.example.com", "version": "v1", "kind": "Echo"}
OPENAPI = {
    "swagger": "2.0",
    "info": {"title": "echo", "version": "1"},
    "paths": {
        GROUP_VERSION + "/namespaces/{namespace}/echoes": {
            "get": {
                "operationId": "listEchoes",
                "produces": ["application/json"],
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/com.example.Echo"}}},
                "x-kubernetes-action": "list",
                "x-kubernetes-group-version-kind": KIND,
            }
        }
    },
    "definitions": {
        "com.example.Echo": {
            "type": "object",
            "description": "What was called.",
            "properties": {"volume": {"type": "integer", "description": "How loud it comes back."}},
            "x-kubernetes-group-version-kind": [KIND],
        }
    },
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        if "upgrade" in self.headers.get("connection", "").lower():
            self.send_response_only(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            self.wfile.write(self.headers["x-remote-user"].encode() + b": " + self.rfile.readline())
            self.close_connection = True
        elif path == GROUP_VERSION:
            self.say(200, RESOURCES)
        elif path == "/openapi/v2":
            self.say(200, OPENAPI)
        elif path.startswith(GROUP_VERSION + "/"):
            self.echo()
        else:
            self.say(404, {"kind": "Status", "code": 404})

    def echo(self):
        length = int(self.headers.get("content-length", "0"))
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(length)
        subject = dict(pair for part in self.connection.getpeercert()["subject"] for pair in part)
        headers = [f"{name.lower()}: {value}" for name, value in self.headers.items()]
        self.say(200, {"method": self.command, "path": self.path, "body": body.decode(), "peer": subject["commonName"], "headers": headers})

    do_POST = do_PUT = do_PATCH = do_DELETE = echo

    def say(self, code, document):
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.load_verify_locations(client_ca)
context.verify_mode = ssl.CERT_REQUIRED
server = ThreadingHTTPServer((address, int(port)), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
