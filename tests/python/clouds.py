"""What clouds put before a receiver of remote write: AWS' signatures and STS, Azure's login, Google's metadata server.

Usage: clouds.py PORT

Takes what is written to /aws/write, /azure/write and /google/write if it shows who it is, and tells on /log what it took, gave and
refused. GET /revoke makes all tokens and keys invalid that were given so far. Keys and tokens are said to last two seconds, so that
they are renewed all the time; they are taken for longer, so that a slow machine is none that is refused.
"""

import datetime
import hashlib
import hmac
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OWN_KEYS = {"AKIDOWN": "own secret"}
REGION = "eu-west-1"

lock = threading.Lock()
log = {"taken": {}, "given": {}, "refused": []}
tokens = set()
keys = {}


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def fault_of_signature(request, body, service, secrets):
    """Why a signature (version 4) is not good; None if it is."""
    header = request.headers.get("authorization", "")
    if not header.startswith("AWS4-HMAC-SHA256 "):
        return f"no signature: {header!r}"
    parts = dict(part.split("=", 1) for part in header.removeprefix("AWS4-HMAC-SHA256 ").split(", "))
    key, date, region, named, end = parts["Credential"].split("/")
    if (region, named, end) != (REGION, service, "aws4_request") or key not in secrets:
        return f"wrong credential {parts['Credential']}"
    moment = request.headers["x-amz-date"]
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(moment)
    if abs(age.total_seconds()) > 300 or not moment.startswith(date):
        return f"wrong time {moment}"
    names = parts["SignedHeaders"].split(";")
    if names != sorted(names) or "host" not in names or "x-amz-date" not in names:
        return f"wrong headers {names}"
    url = urllib.parse.urlsplit(request.path)
    query = sorted(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    canonical = [
        request.command,
        urllib.parse.quote(url.path, safe="/-_.~"),
        "&".join(f"{urllib.parse.quote(n, safe='')}={urllib.parse.quote(v, safe='')}" for n, v in query),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
        "",
        ";".join(names),
        hashlib.sha256(body).hexdigest(),
    ]
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", moment, f"{date}/{region}/{service}/aws4_request", hashed])
    secret = f"AWS4{secrets[key]}".encode()
    for part in (date, region, service, "aws4_request"):
        secret = mac(secret, part)
    if not hmac.compare_digest(mac(secret, text).hex(), parts["Signature"]):
        return f"wrong signature over {canonical}"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, content_type="application/json"):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, why):
        log["refused"].append(f"{self.command} {self.path}: {why}")
        self.answer(status, why)

    def give(self, cloud):
        number = log["given"][cloud] = log["given"].get(cloud, 0) + 1
        token = f"{cloud}-{number}"
        tokens.add(token)
        self.answer(200, json.dumps({"access_token": token, "expires_in": 2, "token_type": "Bearer"}))

    def give_keys(self, form, body):
        fault = fault_of_signature(self, body, "sts", OWN_KEYS)
        if fault or form.get("RoleArn") != "arn:role" or form.get("ExternalId") != "known":
            return self.refuse(403, fault or f"wrong role: {form}")
        number = log["given"]["aws"] = log["given"].get("aws", 0) + 1
        keys[f"ASIA{number}"] = f"secret {number}"
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        self.answer(
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>secret {number}</SecretAccessKey>"
            f"<SessionToken>session {number}</SessionToken><Expiration>{end:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>",
            "text/xml",
        )

    def write(self, cloud, body):
        if cloud == "aws":
            fault = fault_of_signature(self, body, "aps", keys)
            token = self.headers.get("x-amz-security-token", "")
            key = self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
            if not fault and token.removeprefix("session ") != key.removeprefix("ASIA"):
                fault = f"wrong session {token}"
            if fault:
                return self.refuse(403, fault)
        else:
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in tokens or not token.startswith(cloud):
                return self.refuse(401, f"wrong token {token}")
        log["taken"][cloud] = log["taken"].get(cloud, 0) + 1
        self.answer(204, "")

    def do_GET(self):
        with lock:
            if self.path == "/log":
                self.answer(200, json.dumps(log))
            elif self.path == "/revoke":
                tokens.clear()
                keys.clear()
                self.answer(200, "")
            elif self.path.startswith("/computeMetadata/v1/instance/service-accounts/default/token?"):
                query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
                known = query.get("scopes") == "https://www.googleapis.com/auth/monitoring.write"
                if known and self.headers.get("metadata-flavor") == "Google":
                    self.give("google")
                else:
                    self.refuse(403, f"{query}")
            else:
                self.refuse(404, "unknown")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        form = dict(urllib.parse.parse_qsl(body.decode("latin-1")))
        with lock:
            if self.path == "/":
                self.give_keys(form, body)
            elif self.path == "/dir.example/oauth2/v2.0/token":
                wanted = {
                    "grant_type": "client_credentials",
                    "client_id": "00000000-0000-0000-0000-000000000001",
                    "client_secret": "s&cret",
                    "scope": "https://monitor.azure.com//.default",
                }
                if form == wanted:
                    self.give("azure")
                else:
                    self.refuse(401, f"{form}")
            elif self.path.endswith("/write"):
                self.write(self.path.split("/")[1], body)
            else:
                self.refuse(404, "unknown")


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
