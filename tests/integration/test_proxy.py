"""Requests and replies on their way through: bytes, headers, framing, errors (spec data-plane 5, 14, 16)."""
import json
import socket
import time

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, ScriptedEngine, free_port, raw, wait_until

CHAT = b'{"model":"mock-model","messages":[{"role":"user","content":"hi"}]}'


def post(path, body, *fields):
    return b"\r\n".join([b"POST %s HTTP/1.1" % path, b"host: x", b"content-type: application/json", b"content-length: %d" % len(body), *fields, b"", body])


def ok(body, *fields):
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-type: application/json", b"content-length: %d" % len(body), *fields, b"", body])


def scripted(start, reply, *flags, **kwargs):
    engine = start(ScriptedEngine, reply)
    return engine, start(Gateway, *flags, workers=[engine], **kwargs).ready(1)


def test_the_body_is_forwarded_byte_for_byte(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")))
    body = b'{ "model" : "mock-model",\t"temperature":0.70, "unknown":{"x":[1e0,null]},\n"messages":[{"role":"user","content":"h\\u00e9 \xc3\xa9"}]  }'
    assert httpx.post(gateway.url + "/v1/chat/completions", content=body, headers={"content-type": "application/json"}).status_code == 200
    assert engine.requests[0].split(b"\r\n\r\n", 1)[1] == body


def test_dp_1_only_listed_headers_reach_the_worker(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")))
    raw_request = post(b"/v1/chat/completions", CHAT, b"user-agent: me", b"cookie: a=b", b"x-api-key: k", b"authorization: Bearer sk-user", b"traceparent: t1",
                       b"x-request-id: r-1", b"X-Request-Id-Extra: e1", b"x-smg-routing-key: k1", b"accept-encoding: gzip", b"te: trailers", b"connection: close")
    assert b" 200 " in raw(gateway.port, raw_request)
    head = engine.requests[0].split(b"\r\n\r\n", 1)[0].lower()
    for wanted in (b"authorization: bearer sk-user", b"traceparent: t1", b"x-request-id: r-1", b"x-request-id-extra: e1", b"x-smg-routing-key: k1", b"accept: */*",
                   b"content-type: application/json", b"host: 127.0.0.1:%d" % engine.port):
        assert wanted in head
    for unwanted in (b"user-agent", b"cookie", b"x-api-key", b"accept-encoding", b"\r\nte:", b"connection"):
        assert unwanted not in head


def test_the_gateways_own_key_never_leaves(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")), "--api-key", "gateway-secret")
    headers = {"authorization": "Bearer gateway-secret"}
    assert gateway.chat(headers=headers).status_code == 200
    assert b"gateway-secret" not in engine.requests[0]
    workers = gateway.client.get("/workers", headers=headers).json()["workers"]
    assert "gateway-secret" not in json.dumps(workers)
    second = start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")), model="second")
    assert gateway.client.post("/workers", json={"url": second.url}, headers=headers).status_code == 202
    wait_until(lambda: gateway.chat(model="second", headers=headers).status_code == 200, what="second worker")
    assert b"gateway-secret" not in second.requests[0]
    assert "gateway-secret" not in gateway.output()


def test_api_key_is_asked_for(start, engines):
    gateway = start(Gateway, "--api-key", "k1", workers=engines)
    for headers in ({}, {"authorization": "Bearer k2"}, {"authorization": "bearer k1"}, {"x-api-key": "k1"}):
        r = gateway.chat(headers=headers)
        assert r.status_code == 401 and r.headers["www-authenticate"].startswith("Bearer")
        assert r.json()["error"]["message"]
    assert gateway.client.get("/workers").status_code == 401
    for public in ("/health", "/liveness", "/readiness", "/v1/models"):
        assert gateway.client.get(public).status_code != 401
    wait_until(lambda: gateway.chat(headers={"authorization": "Bearer k1"}).status_code == 200)


def test_dp_22_reply_headers_are_filtered(start):
    reply = ok(b"{}", b"x-foo: 1", b"set-cookie: a=1", b"set-cookie: b=2", b"keep-alive: timeout=5", b"x-request-id: engine", b"connection: x-hop", b"x-hop: 1")
    _, gateway = scripted(start, lambda c, r: c.sendall(reply))
    r = gateway.chat(headers={"x-request-id": "mine"})
    assert r.headers["x-foo"] == "1" and r.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert r.headers["x-request-id"] == "mine"
    assert "keep-alive" not in r.headers and "x-hop" not in r.headers


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_dp_16_a_workers_own_error_passes_through(start, status):
    body = b'{"error":{"message":"engine says no"}}'
    engine, gateway = scripted(start, lambda c, r: c.sendall(b"HTTP/1.1 %d Nope\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body))
    for stream in (False, True):
        r = gateway.chat(stream=stream)
        assert r.status_code == status and r.content == body and r.headers["content-type"] == "application/json"


def test_dp_17_streams_arrive_as_they_are_sent(start):
    events = [b"data: {\"n\":%d}\n\n" % i for i in range(5)] + [b"data: [DONE]\n\n"]

    def reply(c, r):
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for e in events:
            c.sendall(b"%x\r\n%s\r\n" % (len(e), e))
            time.sleep(0.1)
        c.sendall(b"0\r\n\r\n")

    _, gateway = scripted(start, reply)
    times, got = [], b""
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True}, timeout=30) as r:
        assert r.headers["content-type"] == "text/event-stream"
        for part in r.iter_raw():
            times.append(time.monotonic())
            got += part
    assert got == b"".join(events)
    assert times[-1] - times[0] > 0.3


def test_dp_2_unknown_model_is_404_without_asking_a_worker(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")))
    began = time.monotonic()
    r = gateway.chat(model="nope")
    assert r.status_code == 404 and r.headers["x-smg-error-code"] == "model_not_found" and time.monotonic() - began < 0.5 * SLOWNESS
    assert r.json() == {"error": {"message": "No worker available for model 'nope'", "type": "Not Found", "param": None, "code": "model_not_found"}}
    assert engine.requests == []


def test_dp_4_a_model_alias_is_replaced_in_the_body(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")), "--model-alias", "small=mock-model", "--model-alias", " little = mock-model ")
    for alias in (b"small", b"little"):
        body = CHAT.replace(b"mock-model", alias)
        assert gateway.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"}).status_code == 200
        assert engine.requests[-1].split(b"\r\n\r\n", 1)[1] == CHAT


def test_no_worker_is_503_with_retry_after(start):
    gateway = start(Gateway)
    r = gateway.client.get("/get_model_info")
    assert r.status_code == 503 and r.json()["error"]["code"] == "no_workers" and int(r.headers["retry-after"]) >= 1
    assert gateway.client.get("/readiness").json() == {"status": "not ready", "reason": "insufficient healthy workers"}
    assert gateway.client.get("/v1/models").status_code == 503


def test_every_error_is_json_with_request_id_and_cors(gateway):
    for method, path, status in (("GET", "/nope", 404), ("GET", "/workers/", 404), ("PUT", "/v1/chat/completions", 405), ("DELETE", "/health", 405)):
        r = gateway.client.request(method, path, headers={"origin": "http://app"})
        assert r.status_code == status and r.json()["error"]["message"]
        assert r.headers["x-request-id"] and r.headers["access-control-allow-origin"] == "*"
        assert ("allow" in r.headers) == (status == 405)


def test_dp_11_to_14_validation_errors_name_the_member(gateway):
    def check(body, code, param=None, path="/v1/chat/completions"):
        r = gateway.client.post(path, content=body if isinstance(body, bytes) else json.dumps(body), headers={"content-type": "application/json"})
        assert r.status_code == 400, r.text
        e = r.json()["error"]
        assert e["type"] == "invalid_request_error" and e["code"] == code
        if param:
            assert e["param"] == param
        return e["message"]

    user = [{"role": "user", "content": "x"}]
    assert check({"messages": user}, "json_parse_error").startswith("Invalid JSON data: ")
    assert check(b"{bad", "json_parse_error").startswith("JSON syntax error: ")
    assert check({"model": "m", "messages": []}, 400, "messages").startswith("messages: ")
    assert check({"model": "m", "messages": user, "top_logprobs": 2}, 400) == "__all__: top_logprobs is only allowed when logprobs is enabled"
    for member, value in (("temperature", 2.1), ("n", 11), ("stop", list("abcde")), ("top_p", 0), ("top_k", 0)):
        check({"model": "m", "messages": user, member: value}, 400, member)
    check({"query": "   ", "documents": ["a"], "model": "m"}, 400, "query", "/rerank")


def test_dp_49_request_ids(gateway):
    prefixes = {"/v1/chat/completions": "chatcmpl-", "/v1/completions": "cmpl-", "/generate": "gnt-", "/v1/responses": "resp-", "/v1/messages": "msg_", "/health": "req-"}
    for path, prefix in prefixes.items():
        rid = gateway.client.get(path).headers["x-request-id"]
        assert rid.startswith(prefix) and len(rid) == len(prefix) + 24 and rid[len(prefix):].isalnum()
    assert gateway.client.get("/health", headers={"x-trace-id": "t", "x-correlation-id": "c"}).headers["x-request-id"] == "c"
    assert gateway.client.get("/health", headers={"x-request-id": "a b"}).headers["x-request-id"].startswith("req-")


def test_dp_51_cors(start, engines):
    anyone = start(Gateway, workers=engines)
    r = anyone.client.options("/v1/chat/completions", headers={"origin": "http://a", "access-control-request-method": "POST"})
    assert r.status_code == 200 and r.headers["access-control-allow-origin"] == "*" and r.headers["access-control-max-age"] == "3600"
    listed = start(Gateway, "--cors-allowed-origins", "http://a", workers=engines)
    r = listed.client.options("/workers", headers={"origin": "http://a", "access-control-request-method": "PUT"})
    assert r.headers["access-control-allow-origin"] == "http://a" and "PUT" in r.headers["access-control-allow-methods"]
    assert "access-control-allow-origin" not in listed.client.get("/health", headers={"origin": "http://b"}).headers


def test_dp_50_payload_limit(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")), "--max-payload-size", "1024")
    assert b" 413 " in raw(gateway.port, post(b"/v1/chat/completions", b"x" * 2000)).split(b"\r\n")[0]
    chunked = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"y" * 1024 + b"\r\n1\r\nz\r\n0\r\n\r\n"
    answer = raw(gateway.port, chunked)
    assert b" 413 " in answer.split(b"\r\n")[0] and b'"error"' in answer
    assert engine.requests == []


def test_expect_100_continue(start):
    _, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as s:
        s.sendall(post(b"/v1/chat/completions", CHAT, b"expect: 100-continue")[: -len(CHAT)])
        assert s.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(CHAT)
        assert s.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    refused = post(b"/nope", CHAT, b"expect: 100-continue")[: -len(CHAT)]
    assert raw(gateway.port, refused).startswith(b"HTTP/1.1 404")


def test_chunked_request_bodies_and_pipelining(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(r.split(b"\r\n\r\n", 1)[1])))
    half = len(CHAT) // 2
    chunked = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
               + b"%x;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nt: v\r\n\r\n" % (half, CHAT[:half], len(CHAT) - half, CHAT[half:]))
    bodies = [CHAT.replace(b"hi", b"%d" % i) for i in range(4)]
    pipelined = chunked + b"".join(post(b"/v1/chat/completions", b) for b in bodies) + b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answer = raw(gateway.port, pipelined)
    at = [answer.index(b) for b in [CHAT, *bodies]]
    assert at == sorted(at) and answer.endswith(b"OK") and answer.count(b"HTTP/1.1 200 OK") == 6


def test_head_and_1xx_from_upstream(start):
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    _, gateway = scripted(start, lambda c, r: c.sendall(early + ok(b'{"a":1}')))
    assert gateway.chat().json() == {"a": 1}
    r = gateway.client.head("/health")
    assert r.status_code == 200 and r.headers["content-length"] == "2" and r.content == b""


def test_early_reply_while_the_client_uploads(start):
    _, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")), "--max-payload-size", str(64 << 20))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as s:
        s.sendall(b"POST /nope HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n" + b"x" * 100000)
        assert s.recv(100).startswith(b"HTTP/1.1 404")


def test_http_1_0_clients(start):
    def reply(c, r):
        c.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    _, gateway = scripted(start, reply)
    answer = raw(gateway.port, post(b"/v1/chat/completions", CHAT).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.endswith(b"\r\n\r\nhello") and b"transfer-encoding" not in answer.lower()


def test_dp_25_requests_are_spread_round_robin(start, engines):
    gateway = start(Gateway, "--policy", "round_robin", "--runtime-worker-threads", "1", workers=engines).ready(2)
    for _ in range(10):
        assert gateway.chat(max_tokens=1).status_code == 200
    counts = [sum(r["path"] == "/v1/chat/completions" for r in e.requests()) for e in engines]
    assert counts == [5, 5]


def test_a_dead_worker_is_passed_over(start):  # a refused connection is retried on another worker
    dead = f"http://127.0.0.1:{free_port()}"
    engines = [start(Engine), start(Engine)]
    gateway = start(Gateway, "--health-check-interval-secs", "3600", workers=engines).ready(2)
    engines[0].kill()
    engines[0].wait()
    for _ in range(6):
        assert gateway.chat(max_tokens=1).status_code == 200
    assert sum(gateway.loads()) == 0
    assert dead not in gateway.chat().text


def test_all_workers_dead_is_502_without_their_urls(start):
    engine = start(Engine)
    gateway = start(Gateway, "--health-check-interval-secs", "3600", workers=[engine]).ready(1)
    engine.kill()
    engine.wait()
    r = gateway.chat()
    assert r.status_code == 502 and r.headers["x-smg-error-code"] == "call_upstream_connection_failed"
    assert str(engine.port) not in r.text


def test_a_worker_that_never_answers_is_504(start):
    _, gateway = scripted(start, lambda c, r: time.sleep(30), "--request-timeout-secs", "1")
    r = gateway.chat()
    assert r.status_code == 504 and r.json()["error"]["code"] == "call_upstream_timeout"


def test_dp_23_rerank_is_reshaped(start):
    scores = [{"score": 0.9, "document": "b", "index": 1}, {"score": 0.1, "document": "a", "index": 0}]
    _, gateway = scripted(start, lambda c, r: c.sendall(ok(json.dumps(scores).encode())))
    body = {"model": "mock-model", "query": "q", "documents": ["a", "b"], "rid": "r7"}
    r = gateway.client.post("/rerank", json=body).json()
    assert r["object"] == "rerank" and r["id"] == "r7" and r["model"] == "mock-model" and [x["index"] for x in r["results"]] == [1, 0]
    r = gateway.client.post("/rerank", json={**body, "top_k": 1, "return_documents": False}).json()
    assert len(r["results"]) == 1 and "document" not in r["results"][0]
    _, broken = scripted(start, lambda c, r: c.sendall(ok(b"{}")))
    r = broken.client.post("/rerank", json=body)
    assert r.status_code == 500 and r.json()["error"]["code"] == "rerank_response_build_failed"


def test_info_routes_are_asked_of_a_worker(gateway):
    assert "model_path" in gateway.client.get("/get_model_info").json()
    assert gateway.client.get("/get_server_info").status_code == 200
    assert gateway.client.get("/health_generate").status_code == 200
