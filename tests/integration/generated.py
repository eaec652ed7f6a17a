"""Requests made up from the gateway's own OpenAPI document: valid ones, and ones with something wrong, from a seed.

What is made: path parameters (ids that exist, that existed, that never did, junk), queries, bodies from their schemas and mutations of them (a member missing, doubled, null, of another
type, at the edge of its range, nested deeply; text that is no JSON), content types, credentials. Worker URLs lead to loopback or to names that cannot resolve.
"""
import http.client
import json
import random
import urllib.parse

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
WORDS = ["", "a", "regular", "ready", "ünï 漢字 😀", "x" * 300, "null", "-1", "0", "true", "../../etc", "%00", "a\tb\n", "'\";--", "\u202e", "\x7f"]
NUMBERS = [0, 1, -1, 2, 50, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 2**64 - 1, 2**64, -(2**63), 0.5, -0.0, 1e300, 1e-300, 3.4e39]
JUNK_TYPES = ["text/plain", "application/JSON", "application/json; charset=utf-8", "application/merge-patch+json", "", "application/jsonp", "multipart/form-data; boundary=x"]


class Generator:
    def __init__(self, document, seed, urls, token=None):
        self.random = random.Random(seed)
        self.document, self.urls, self.token = document, urls, token
        self.ids = []  # of workers, as answers told them; the oldest are forgotten
        self.operations = [
            (path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if "inference" not in operation["tags"] and operation["operationId"] not in ("healthGenerate", "getServerInfo", "getModelInfo")
        ]

    # ---- values ----

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, one_in):
        return self.random.randrange(one_in) == 0

    def any_value(self, depth=0):
        kind = self.random.randrange(7 if depth < 3 else 5)
        if kind < 2:
            return self.random.choice(NUMBERS)
        if kind < 4:
            return self.random.choice(WORDS)
        if kind == 4:
            return self.pick(None, True, False)
        if kind == 5:
            return [self.any_value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(WORDS): self.any_value(depth + 1) for _ in range(self.random.randrange(4))}

    def url(self):
        base = self.random.choice(self.urls)
        return self.pick(base, base, base, f"{base}/{self.random.randrange(50)}", "http://127.0.0.1:1", "http://nobody.invalid:80", "grpc://127.0.0.1:2", "ipc:///tmp/none",
                         "https://127.0.0.1:3", "http://", "ftp://h", "HTTP://127.0.0.1:1", "http://[::1]:1", "http://127.0.0.1:99999", "http://u:p@127.0.0.1:1", "nonsense")

    def value(self, schema, name=""):
        if "$ref" in schema:
            target = self.document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            return self.value(target, name)
        kind = schema.get("type", "anything")
        if isinstance(kind, list):
            kind = self.random.choice(kind)
        if kind == "null":
            return None
        if "enum" in schema:
            return self.random.choice([v for v in schema["enum"] if v is not None])
        if name == "url" or name == "worker_url":
            return self.url()
        if kind == "object":
            if "properties" in schema:
                required = schema.get("required", [])
                return {k: self.value(s, k) for k, s in schema["properties"].items() if k in required or self.chance(4)}
            return {self.random.choice(WORDS): self.random.choice(WORDS) for _ in range(self.random.randrange(3))}
        if kind == "array":
            return [self.value(schema.get("items", {}), "") for _ in range(self.random.randrange(3))]
        if kind == "integer":
            return min(max(self.random.choice([0, 1, 2, 5, 50, 60]), schema.get("minimum", 0)), schema.get("maximum", 100))
        if kind == "number":
            return self.pick(0, 0.5, 1, 2.25)
        if kind == "boolean":
            return self.pick(True, False)
        if kind == "string":
            return self.random.choice(WORDS[:6])
        return self.any_value()

    # ---- mutations ----

    def spoil(self, value):
        """VALUE with one thing changed, somewhere in it."""
        if isinstance(value, dict) and value and not self.chance(6):
            key = self.random.choice(list(value))
            how = self.random.randrange(6)
            changed = dict(value)
            if how == 0:
                del changed[key]
            elif how == 1:
                changed[key] = self.any_value()
            elif how == 2:
                changed[self.random.choice(WORDS)] = self.any_value()
            elif how == 3:
                changed[key] = None
            else:
                changed[key] = self.spoil(value[key])
            return changed
        if isinstance(value, list) and value and not self.chance(4):
            return [self.spoil(v) for v in value]
        return self.any_value()

    def text(self, value):
        text = json.dumps(value, ensure_ascii=self.pick(True, False)).encode("utf-8", "replace")
        how = self.random.randrange(40)
        if how == 0:
            return text[: self.random.randrange(len(text) + 1)]
        if how == 1:
            return text + self.pick(b" x", b"}", b",{}", b"\0", b"\xff")
        if how == 2 and text.startswith(b"{") and len(text) > 2:
            return text[:-1] + b"," + text[1:]  # every member twice
        if how == 3:
            return b"[" * self.pick(10, 127, 128, 129, 5000) + text
        if how == 4:
            at = self.random.randrange(len(text))
            return text[:at] + bytes([self.random.randrange(256)]) + text[at + 1 :]
        if how == 5:
            return self.random.randbytes(self.random.randrange(200))
        return text

    # ---- a request ----

    def path_parameter(self):
        if self.ids and not self.chance(4):
            return self.random.choice(self.ids)
        return urllib.parse.quote(self.pick("01234567-89ab-7def-8123-456789abcdef", "x", "1234", "a-b", *WORDS[1:]), safe="")

    def query(self, operation):
        names = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        pairs = []
        for p in operation["parameters"]:
            if p["in"] == "query" and self.chance(3):
                pairs.append((p["name"], self.random.choice(p["schema"].get("enum") or WORDS)))
        if self.chance(8):
            pairs.append((self.random.choice(names or ["q"]), self.random.choice(WORDS)))
        return "?" + urllib.parse.urlencode(pairs) if pairs else ""

    def request(self):
        """(path template, method, target, headers, body); the template is None for a path that nobody has."""
        path, method, operation = self.random.choice(self.operations)
        template, target, headers, body = path, path, {}, None
        while "{" in target:
            target = target[: target.index("{")] + self.path_parameter() + target[target.index("}") + 1 :]
        target += self.query(operation)
        method = method.upper()
        if "requestBody" in operation:
            value = self.value(operation["requestBody"]["content"]["application/json"]["schema"])
            for _ in range(self.pick(0, 0, 1, 1, 2)):
                value = self.spoil(value)
            body = self.text(value)
            headers["content-type"] = "application/json"
            if self.chance(20):
                headers["content-type"] = self.random.choice(JUNK_TYPES)
        if self.chance(40):
            method = self.random.choice(METHODS)
        if self.chance(60):
            target = self.pick("/nobody", "/workers/", "//workers", "/workers/a/b", "/%2e%2e/workers", "/Workers")
            template = None
        if self.token and not self.chance(30):
            headers["authorization"] = f"Bearer {self.token}"
        elif self.chance(2):
            headers["authorization"] = self.pick("Bearer wrong", "Basic YTpi", "bearer x", "Bearer ", "Bearer a.b.c", "")
        return template, method, target, headers, body

    def learn(self, answer):
        """Ids from answers go into later paths."""
        if isinstance(answer, dict):
            for worker in [answer, *answer.get("workers", [])] if isinstance(answer.get("workers", []), list) else [answer]:
                found = worker.get("worker_id") or worker.get("id") if isinstance(worker, dict) else None
                if found and found not in self.ids:
                    self.ids.append(found)
        del self.ids[:-64]


class Sender:
    """One kept connection, opened anew when the gateway closed it."""

    def __init__(self, host, port, seconds):
        self.connection = http.client.HTTPConnection(host, port, timeout=seconds)

    def send(self, method, target, headers, body):
        for attempt in (1, 2):
            try:
                self.connection.request(method, target, body=body, headers=headers)
                reply = self.connection.getresponse()
                return reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), reply.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.connection.close()
                if attempt == 2:
                    raise

    def close(self):
        self.connection.close()
