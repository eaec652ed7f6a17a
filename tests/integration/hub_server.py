"""A hub of models on loopback: what huggingface.co answers, with a CDN on another port for large files, and as many faults as a test wants.

    hub = Hub(); hub.add("org/name", {"tokenizer.json": b"...", "tokenizer.model": Large(b"...")}); hub.url

It speaks api/models/ID/revision/REV (and the tree listing that huggingface_hub asks for), ID/resolve/REV/FILE with HEAD and ranges, ETags (git's names of blobs; SHA-256 for large files), redirects to
signed addresses on the CDN, 401 and 403 with X-Error-Code, 416. `hub.requests` has every request: (place, method, path, headers), place being "hub" or "cdn".
Faults stand in lists by path, the first one is for the next request: hub.faults["/org/name/resolve/.../tokenizer.json"] = [Status(503), Cut(1000), ...]; see the classes below.
"""
import hashlib
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse


class Large(bytes):
    """A file in large storage: its ETag is its SHA-256, and its bytes are on the CDN."""


class Status:
    """Answers with a status (and fields) instead."""

    def __init__(self, status, **fields):
        self.status, self.fields = status, {k.replace("_", "-"): str(v) for k, v in fields.items()}


class Cut:
    """Sends so many bytes of the body and resets the connection."""

    def __init__(self, after):
        self.after = after


class Corrupt:
    """Sends as many bytes as promised, one of them changed."""


class Slow:
    """Sends so many bytes a second, for ever if need be."""

    def __init__(self, per_second):
        self.per_second = per_second


class Whole:
    """Takes no notice of the range that is asked for."""


class Field:
    """Fields of the answer's head are changed; None takes one away."""

    def __init__(self, **fields):
        self.fields = {k.replace("_", "-"): v for k, v in fields.items()}


class Hold:
    """Waits for an event before it answers."""

    def __init__(self):
        self.reached, self.go = threading.Event(), threading.Event()


def git_name(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag_of(data):
    return hashlib.sha256(data).hexdigest() if isinstance(data, Large) else git_name(data)


class Model:
    def __init__(self, name, files, commit, token):
        self.name, self.files, self.token = name, dict(files), token
        self.commit = commit or hashlib.sha1((name + repr(sorted((f, etag_of(d)) for f, d in files.items()))).encode()).hexdigest()
        self.branches = {"main"}
        self.gated = False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = place = None

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = urllib.parse.unquote(self.path.split("?")[0])
        self.hub.requests.append((self.place, self.command, self.path, dict((k.lower(), v) for k, v in self.headers.items())))
        faults = self.hub.faults.get(path) or self.hub.faults.get(self.place) or []
        fault = faults.pop(0) if faults else None
        if isinstance(fault, Hold):
            fault.reached.set()
            fault.go.wait(60)
        if isinstance(fault, Status):
            return self.send(fault.status, b'{"error":"as the test wants it"}', fault.fields, None)
        if self.place == "cdn":
            return self.cdn(path, fault)
        found = re.fullmatch(r"/api/models/([^/]+(?:/[^/]+)?)/(revision|tree)/(.+)", path)
        if found:
            return self.describe(*found.groups(), fault)
        found = re.fullmatch(r"/([^/]+(?:/[^/]+)?)/resolve/(.+)", path)
        if found:
            return self.resolve(*found.groups(), fault)
        self.refuse(404, "EntryNotFound")

    def refuse(self, status, code):
        self.send(status, b'{"error":"no"}', {"X-Error-Code": code, "X-Error-Message": "no"}, None)

    def model(self, name):
        """The model, when whoever asks may have it."""
        model = self.hub.models.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if model is None or (model.token and not model.gated and token != model.token):
            self.refuse(401, "RepoNotFound")
        elif model.token and token != model.token:
            self.refuse(403 if token else 401, "GatedRepo")
        else:
            return model
        return None

    def describe(self, name, what, revision, fault):
        model = self.model(name)
        if model is None:
            return
        revision = revision.split("/")[0] if what == "tree" else revision
        if revision not in model.branches | {model.commit}:
            return self.refuse(404, "RevisionNotFound")
        if what == "tree":
            entries = [{"type": "file", "path": f, "size": len(d), "oid": git_name(d)} | ({"lfs": {"oid": etag_of(d), "size": len(d), "pointerSize": 130}} if isinstance(d, Large) else {})
                       for f, d in model.files.items()]
            body = json.dumps(entries).encode()
        else:
            body = json.dumps(self.hub.described | {"id": name, "modelId": name, "sha": model.commit, "private": False, "gated": False, "siblings": [{"rfilename": f} for f in model.files]}).encode()
        self.send(200, body, {"Content-Type": "application/json"}, fault)

    def resolve(self, name, rest, fault):
        model = self.model(name)
        if model is None:
            return
        revision = next((r for r in sorted(model.branches | {model.commit}, key=len, reverse=True) if rest.startswith(r + "/")), None)
        if revision is None:
            return self.refuse(404, "RevisionNotFound")
        data = model.files.get(rest[len(revision) + 1:])
        if data is None:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": model.commit}, None)
        fields = {"X-Repo-Commit": model.commit}
        if isinstance(data, Large):
            signed = f"{self.hub.cdn_url}/{etag_of(data)}?X-Signature=secret-signature-{self.hub.signature}"
            fields |= {"X-Linked-Etag": f'"{etag_of(data)}"', "Location": signed}
            if self.hub.linked_size:
                fields["X-Linked-Size"] = str(len(data))
            return self.send(302, b"Found. Redirecting", fields, fault)
        self.send_ranged(data, fields | {"ETag": f'"{etag_of(data)}"'}, fault)

    def cdn(self, path, fault):
        data = next((d for m in self.hub.models.values() for d in m.files.values() if isinstance(d, Large) and etag_of(d) == path[1:]), None)
        if data is None or self.hub.signature not in self.path:
            return self.send(403, b"<Error>expired</Error>", {}, None)
        self.send_ranged(data, {"ETag": '"an-etag-of-the-storage"'}, fault)

    def send_ranged(self, data, fields, fault):
        range_ = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if_range = self.headers.get("If-Range")
        if isinstance(fault, Corrupt) and len(data):
            data = bytes([data[0] ^ 1]) + data[1:-1] + bytes([data[-1] ^ 1])
        if not range_ or isinstance(fault, Whole) or (if_range and if_range != fields.get("ETag")):
            return self.send(200, data, fields, fault)
        first, last = int(range_[1]), min(int(range_[2] or len(data)), len(data) - 1)
        if first >= len(data):
            return self.send(416, b"", fields | {"Content-Range": f"bytes */{len(data)}"}, fault)
        self.send(206, data[first:last + 1], fields | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, fault)

    def send(self, status, body, fields, fault):
        fields = {"Content-Length": str(len(body))} | fields
        if isinstance(fault, Field):
            fields = {k: v for k, v in (fields | fault.fields).items() if v is not None}
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if "Content-Length" not in fields:
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if isinstance(fault, Cut):
                self.wfile.write(body[:fault.after])
                self.wfile.flush()
                if fault.after == 0:  # a reset throws away what was not yet read: only where nothing is to arrive
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            elif isinstance(fault, Slow):
                for at in range(0, len(body), max(1, fault.per_second // 50)):
                    self.wfile.write(body[at:at + max(1, fault.per_second // 50)])
                    self.wfile.flush()
                    time.sleep(1 / 50)
            else:
                self.wfile.write(body)
        except OSError:  # the client left
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that left


class Hub:
    def __init__(self):
        self.models, self.faults, self.requests = {}, {}, []
        self.linked_size, self.signature, self.described = True, "1", {}
        self.servers = []
        for place in ("hub", "cdn"):
            server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self, "place": place}))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            self.servers.append(server)
        self.url, self.cdn_url = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)

    def add(self, name, files, commit=None, token=None, gated=False):
        model = self.models[name] = Model(name, files, commit, token)
        model.gated = gated
        return model

    def asked(self, place, text=""):
        return [r for r in self.requests if r[0] == place and text in r[2]]

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
