"""Judges images: `images.py CERTIFICATE KEY PORT LOG`. Those called `bad` may not run. Its own certificate signs its clients'."""
import http.server
import json
import ssl
import sys

CERTIFICATE, KEY, PORT, LOG = sys.argv[1:]


class Judge(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        containers = review["spec"]["containers"]
        subject = self.connection.getpeercert()["subject"]
        who = ",".join(f"{'CN' if key == 'commonName' else key}={value}" for part in subject for key, value in part)
        with open(LOG, "a") as log:
            print(who, json.dumps(containers), review["spec"]["namespace"], file=log)
        allowed = all(container["image"] != "bad" for container in containers)
        review["status"] = {"allowed": allowed, "reason": "" if allowed else "no bad ones"}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
context.load_verify_locations(CERTIFICATE)
context.verify_mode = ssl.CERT_REQUIRED
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Judge)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
