"""Numbered cases of the control plane (spec control-plane 20) that no feature's own file has: the frame, bodies, URLs, ids, lists, and the exact answers of 18.

Where a decision overrules the spec, the case keeps its number and asserts the decision: error bodies are JSON (2), a registering worker shows its description (BETTER 7.3).
One gateway with keys serves all of them; what a test adds leaves with it. tests/integration/test_cases.py knows which numbers there have to be.
"""
import json
import re
import signal
import uuid

import httpx
import pytest

from conftest import Gateway, free_port, raw, wait_until
from test_registration import Server, models

KEY, TENANT_KEY = "k3y", "t3nant"
EMPTY = {"workers": [], "total": 0, "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": 0}}


@pytest.fixture(scope="module")
def shared():
    gateway = Gateway("--api-key", KEY, "--tenant-api-key", f"t:{TENANT_KEY}", grace=0)
    gateway.client.headers["authorization"] = f"Bearer {KEY}"
    yield gateway
    assert gateway.stop() == 0


class Cases:
    """The gateway as a test sees it; `added` are the locations of what it added."""

    def __init__(self, gateway):
        self.gateway, self.client, self.added = gateway, gateway.client, []

    def request(self, method, path, **kwargs):
        return self.client.request(method, path, **kwargs)

    def post(self, content, content_type="application/json"):
        r = self.client.post("/workers", content=content, headers={"content-type": content_type} if content_type else {})
        if r.status_code == 202:
            self.added.append(r.headers["location"])
        return r

    def add(self, url, **members):
        return self.post(json.dumps({"url": url, **members}))

    def ready(self, url, **members):
        r = self.add(url, **members)
        assert r.status_code == 202, r.text
        return wait_until(lambda: (lambda w: w["status"] == "ready" and w)(self.client.get(r.headers["location"]).json()), what="a ready worker")


@pytest.fixture
def case(shared):
    c = Cases(shared)
    yield c
    for at in c.added:
        shared.client.delete(at)
    wait_until(lambda: all(shared.client.get(at).status_code == 404 for at in c.added), what="an empty gateway")


def error(r, status, kind, code, message):
    """Row 6 of decision 2's table."""
    assert (r.status_code, r.text) == (status, json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}, separators=(",", ":")))
    assert r.headers["content-type"] == "application/json" and r.headers["x-request-id"] and r.headers["access-control-allow-origin"] == "*"


# ---- frame ----

@pytest.mark.parametrize("path", ["/nope", "/workers/", "/Workers"])
def test_cp_1_2_unknown_paths_are_404_in_json_with_an_id(case, path):
    error(case.request("GET", path), 404, "Not Found", "not_found", f"There is no resource at {path}")


@pytest.mark.parametrize("method,path,allow", [("PUT", "/flush_cache", "POST"), ("DELETE", "/workers", "POST,GET,HEAD"), ("POST", "/health", "GET,HEAD"),
                                               ("POST", "/workers/5d0bbf73-fe66-471a-99c5-dfb57f51787d", "GET,HEAD,PUT,PATCH,DELETE")])
def test_cp_3_4_5_wrong_methods_are_405_and_told_what_is_allowed(case, method, path, allow):
    r = case.request(method, path)
    assert r.headers["allow"] == allow
    error(r, 405, "Method Not Allowed", "method_not_allowed", f"{path} does not allow {method}; allowed: {allow}")


def test_cp_6_head_is_a_get_without_its_body(case):
    r = case.request("HEAD", "/health")
    assert (r.status_code, r.headers["content-length"], r.content) == (200, "2", b"")


def test_cp_7_request_ids_are_taken_in_order(case):
    asked = lambda **h: case.request("GET", "/health", headers={k.replace("_", "-"): v for k, v in h.items()}).headers["x-request-id"]
    assert asked(X_Request_Id="abc") == "abc"
    assert asked(x_correlation_id="c-1") == "c-1"
    assert asked(x_correlation_id="c-1", x_request_id="abc") == "abc"
    assert re.fullmatch("req-[A-Za-z0-9]{24}", case.request("GET", "/workers").headers["x-request-id"])


def test_cp_8_a_length_over_the_limit_is_413_before_anything_is_read(case):
    head = f"POST /workers HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: 536870913\r\n\r\n"
    status, _, rest = raw(case.gateway.port, head.encode()).partition(b"\r\n")
    assert status == b"HTTP/1.1 413 Payload Too Large" and b"\r\nx-request-id: req-" in rest
    assert json.loads(rest.partition(b"\r\n\r\n")[2]) == {"error": {
        "message": "The request body is larger than the limit of 536870912 bytes", "type": "Payload Too Large", "param": None, "code": "payload_too_large"}}


def test_cp_9_a_preflight_needs_no_key(case):
    r = httpx.options(case.gateway.url + "/workers", headers={"origin": "http://a", "access-control-request-method": "POST"})
    assert (r.status_code, r.content, r.headers["access-control-allow-origin"]) == (200, b"", "*")
    assert httpx.get(case.gateway.url + "/workers").status_code == 401


# ---- bodies ----

SYNTAX, SHAPE = "Failed to parse the request body as JSON: ", "Failed to deserialize the JSON body into the target type: "
VALID = '{"url":"http://127.0.0.1:9"}'


@pytest.mark.parametrize("content_type", [None, "text/json"])
def test_cp_10_11_what_is_not_called_json_is_415(case, content_type):
    error(case.post(VALID, content_type), 415, "Unsupported Media Type", "unsupported_media_type", "Expected request with `Content-Type: application/json`")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/cloudevents+json"])
def test_cp_11_what_is_called_json_is_read(case, content_type):
    assert case.post(VALID, content_type).status_code == 202


@pytest.mark.parametrize("body,detail", [("", "EOF while parsing a value at line 1 column 0"), ("{invalid json}", "key must be a string at line 1 column 2"),
                                         (VALID + " x", "trailing characters at line 1 column 30")])
def test_cp_12_13_what_is_no_json_is_400(case, body, detail):
    error(case.post(body), 400, "Bad Request", "json_parse_error", SYNTAX + detail)


def test_cp_14_a_missing_url_is_422(case):
    error(case.post("{}"), 422, "Unprocessable Entity", "json_data_error", SHAPE + "missing field `url` at line 1 column 2")


def test_cp_15_unknown_members_are_passed_over(case):
    assert case.add("http://127.0.0.1:9", bogus=1).status_code == 202


@pytest.mark.parametrize("members,detail", [
    ('"runtime":"vllm","runtime_type":"vllm"', "duplicate field `runtime_type` at"),
    ('"runtime":"SGLang"', "runtime: unknown variant `SGLang`, expected one of `unspecified`, `sglang`, `vllm`, `trtllm`, `mlx`, `tokenspeed`, `external` at"),
    ('"priority":null', "priority: invalid type: null, expected u32 at"),
    ('"priority":-1', "priority: invalid value: integer `-1`, expected u32 at"),
])
def test_cp_16_17_members_of_a_wrong_kind_are_422(case, members, detail):
    r = case.post('{"url":"http://127.0.0.1:9",' + members + "}")
    assert (r.status_code, r.json()["error"]["code"]) == (422, "json_data_error")
    assert r.json()["error"]["message"].startswith(SHAPE + detail)


def test_cp_17_an_optional_member_may_be_null(case):
    assert case.add("http://127.0.0.1:9", api_key=None).status_code == 202


# ---- URLs and ids ----

SCHEME = "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme"


@pytest.mark.parametrize("url,reason", [("", "URL cannot be empty"), ("10.0.0.5:8000", SCHEME), ("HTTP://10.0.0.5:8000", SCHEME),
                                        ("ipc://", "ipc:// worker URL must include a socket path"), ("ftp://h", SCHEME)])
def test_cp_19_20_21_22_23_urls_that_are_none_say_why(case, url, reason):
    r = case.add(url)
    assert (r.status_code, r.text) == (400, '{"error":"Invalid value for field \'worker_url\': %s - %s","code":"BAD_REQUEST"}' % (url, reason))


def test_cp_24_a_refused_url_leaves_nothing_behind(case):
    assert case.add("ftp://h").status_code == 400
    assert case.request("GET", "/workers").json() == EMPTY
    r = case.add(f"http://127.0.0.1:{free_port()}")
    assert r.status_code == 202 and case.request("GET", r.headers["location"]).status_code == 200


def test_cp_25_the_second_post_joins_and_one_after_registration_conflicts(case, request):
    server = Server({"/health": 503, "/v1/models": models({"id": "m"})})
    request.addfinalizer(server.stop)
    first, second = case.add(server.url), case.add(server.url)
    wid = first.json()["worker_id"]
    want = {"status": "accepted", "worker_id": wid, "url": server.url, "location": f"/workers/{wid}", "message": "Worker addition queued for background processing"}
    for r in (first, second):
        assert r.status_code == 202 and list(r.json().items()) == list(want.items()) and r.headers["location"] == f"/workers/{wid}"
    server.table["/health"] = ""
    wait_until(lambda: case.request("GET", f"/workers/{wid}").json()["status"] == "ready", what="registered")
    third = case.add(server.url)
    assert (third.status_code, third.text) == (409, json.dumps({
        "error": f"Worker already exists at URL '{server.url}' with ID {wid}. Use PUT /workers/{wid} to replace or PATCH /workers/{wid} to update.",
        "code": "WORKER_ALREADY_EXISTS"}, separators=(",", ":")))


def test_cp_26_a_registering_worker_is_shown_with_its_job(case):
    url = f"http://127.0.0.1:{free_port()}"
    at = case.add(url, priority=7).headers["location"]
    wait_until(lambda: case.request("GET", at).json()["job_status"]["status"] == "processing", what="its turn")
    text = case.request("GET", at).text
    timestamp = json.loads(text)["job_status"]["timestamp"]
    assert isinstance(timestamp, int)
    assert text == ('{"id":"%s","url":"%s","worker_type":"regular","connection_mode":"http","runtime_type":"unspecified","priority":7,"cost":1.0,"max_connection_attempts":20,'
                    '"is_healthy":false,"status":"pending","load":0,'
                    '"job_status":{"job_type":"AddWorker","worker_url":"%s","status":"processing","message":null,"timestamp":%d}}') % (at.rsplit("/", 1)[1], url, url, timestamp)
    assert case.request("GET", "/workers").json() == EMPTY


NO_HEX = "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `%s` at %d"


@pytest.mark.parametrize("raw_id,reason", [("not-a-uuid", NO_HEX % ("n", 1)), ("1234", "invalid length: expected length 32 for simple format, found 4"),
                                           ("a-b", "invalid group count: expected 5, found 2"), ("<worker_id>", NO_HEX % ("<", 1))])
def test_cp_27_ids_that_are_none_say_why(case, raw_id, reason):
    for method, body in (("GET", None), ("PUT", {"url": "http://127.0.0.1:9"}), ("PATCH", {}), ("DELETE", None)):
        r = case.request(method, "/workers/" + raw_id.replace("<", "%3C").replace(">", "%3E"), **({"json": body} if body is not None else {}))
        assert (r.status_code, r.text) == (400, '{"error":"Invalid worker_id \'%s\' (expected UUID). Error: %s","code":"BAD_REQUEST"}' % (raw_id, reason))


def test_cp_28_an_id_that_nobody_has_is_404(case):
    unknown = "01234567-89ab-7def-8123-456789abcdef"
    for method in ("GET", "DELETE"):
        r = case.request(method, f"/workers/{unknown}")
        assert (r.status_code, r.text) == (404, '{"error":"Worker %s not found","code":"WORKER_NOT_FOUND"}' % unknown)


# ---- lists ----

def test_cp_34_the_filter_takes_ids_aliases_and_wildcards(case):
    base = f"http://127.0.0.1:{free_port()}"
    for name, cards in (("a", [{"id": "x", "aliases": ["xx"]}]), ("b", [{"id": "y"}]), ("c", [])):
        case.ready(f"{base}/{name}", runtime="external", models=cards, worker_type="regular")
    for query, want in (("", "abc"), ("?model=x", "ac"), ("?model=xx", "ac"), ("?model=none", "c"), ("?model=", "c"), ("?model=X", "c")):
        listed = case.request("GET", "/workers" + query).json()
        assert [w["url"] for w in listed["workers"]] == [f"{base}/{name}" for name in want]
        assert listed["total"] == listed["stats"]["regular_count"] == len(want)


def test_cp_35_a_key_is_never_shown(case):
    secret = "w0rker-" + uuid.uuid4().hex
    base = f"http://127.0.0.1:{free_port()}"
    external = {"runtime": "external", "models": [{"id": "x"}]}
    at = "/workers/" + case.ready(base, api_key=secret, **external)["id"]
    replies = [case.add(base, api_key=secret), case.request("GET", at), case.request("GET", "/workers"), case.request("PATCH", at, json={"api_key": secret}),
               case.request("PUT", at, json={"url": base, "api_key": secret, **external}), case.request("PUT", at, json={"url": base + "/other", "api_key": secret}),
               case.add(base + "/other", api_key=secret, priority="x"), case.request("POST", "/flush_cache"), case.request("GET", "/get_loads"),
               case.request("GET", "/v1/models"), case.request("DELETE", at)]
    for r in replies:
        assert secret not in r.text + str(r.headers)
    assert replies[1].json()["has_api_key"] is True
    assert secret not in case.gateway.output()


# ---- operations ----

LOADS = {"timestamp": "2026-01-15T12:00:00Z", "dp_rank_count": 1, "loads": [{
    "dp_rank": 0, "num_running_reqs": 5, "num_waiting_reqs": 2, "num_waiting_uncached_tokens": 0, "num_total_reqs": 7, "num_used_tokens": 1234, "max_total_num_tokens": 16384,
    "token_usage": 0.075, "gen_throughput": 45.2, "cache_hit_rate": 0.82, "utilization": 0.31, "max_running_requests": 256}]}


def test_cp_75_cache_and_loads_answer_as_in_18_11_and_18_12(case, request):
    assert case.request("POST", "/flush_cache").text == (
        '{"status":"success","message":"No workers available for cache flush","workers_flushed":0,"total_http_workers":0,"total_grpc_workers":0,"total_zmq_workers_skipped":0,'
        '"total_workers":0}')
    assert case.request("GET", "/get_loads").text == '{"workers":[]}'
    server = Server({"/health": "", "/v1/models": models({"id": "m", "owned_by": "sglang"}), "/v1/loads?include=core,disagg,queues,memory": LOADS})
    request.addfinalizer(server.stop)
    case.ready(server.url)
    assert case.request("GET", "/get_loads").text == json.dumps({"workers": [{"worker": server.url, "load": 1234, "details": LOADS}]}, separators=(",", ":"))
    server.posts["/flush_cache"] = 500
    r = case.request("POST", "/flush_cache")  # BETTER 15.1: "error" when nothing succeeded
    assert (r.status_code, r.text) == (206, (
        '{"status":"error","message":"Cache flush: 0 succeeded, 1 failed","workers_flushed":0,"total_http_workers":1,"total_grpc_workers":0,"total_zmq_workers_skipped":0,'
        '"total_workers":1,"successful":[],"failed":[{"worker":"%s","error":"flush_cache failed for worker %s/flush_cache: HTTP 500 Internal Server Error"}]}') % (server.url, server.url))
    server.table["/v1/loads?include=core,disagg,queues,memory"] = 500
    assert case.request("GET", "/get_loads").text == '{"workers":[{"worker":"%s","load":-1}]}' % server.url


def test_cp_79_draining_beats_other_reasons_and_health_stays(start):
    gateway = start(Gateway, "--shutdown-grace-period-secs", "60")
    r = gateway.client.get("/readiness")
    assert (r.status_code, r.text) == (503, '{"status":"not ready","reason":"insufficient healthy workers"}')
    gateway.kill(signal.SIGTERM)
    wait_until(lambda: gateway.client.get("/readiness").text == '{"status":"not ready","reason":"draining"}', what="draining")
    for path in ("/health", "/liveness"):
        assert (gateway.client.get(path).status_code, gateway.client.get(path).text) == (200, "OK")
    gateway.kill()
    gateway.wait()


def test_cp_80_a_foreign_token_asks_each_external_worker_once_and_our_keys_nobody(case, start):
    servers = [start(Server, {"/v1/models": listed}) for listed in (models(), models(), models({"id": "mine"}))]
    tokens = lambda: [[h.get("authorization") for h in server.asked("/v1/models")] for server in servers]
    ask = lambda token: httpx.get(case.gateway.url + "/v1/models", headers={"authorization": token} if token else {}).json()
    for server in servers[:2]:
        case.ready(server.url, runtime="external", models=[{"id": "gpt-x"}])
    registered = {"object": "list", "data": [{"id": "gpt-x", "object": "model", "created": 0, "owned_by": "self_hosted"}]}  # two workers, one entry
    for ours in (None, f"Bearer {KEY}", f"bearer {KEY}", f"Bearer {TENANT_KEY}"):
        assert ask(ours) == registered
    assert tokens() == [[], [], []]
    assert ask("Bearer sk-one") == registered  # no provider has a model for it
    assert tokens() == [["Bearer sk-one"], ["Bearer sk-one"], []]
    case.ready(servers[2].url, runtime="external", models=[{"id": "gpt-x"}])
    assert [m["id"] for m in ask("Bearer sk-two")["data"]] == ["mine"]
    assert tokens()[2] == ["Bearer sk-two"] and all(asked.count("Bearer sk-two") <= 1 for asked in tokens())
