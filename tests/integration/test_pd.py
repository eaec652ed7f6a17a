"""Prefill and decode on engines of their own: pairs, hand-over of both kinds, errors of either side, clients that leave (spec data-plane 13; cases 44 to 48 of its section 16)."""
import contextlib
import json
import socket
import subprocess
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, SMG, Engine, Gateway, ScriptedEngine, free_port, wait_until
from test_proxy import ok

CHAT = {"model": "mock-model", "messages": [{"role": "user", "content": "hello"}]}


class PairGateway(Gateway):
    """A gateway for pairs; ready() waits until the engines of both sides are there."""

    def __init__(self, *flags, prefill=(), decode=(), **kwargs):
        args = ["--pd-disaggregation"]
        for p in prefill:
            args += ["--prefill", p.url, getattr(p, "bootstrap", "none")]
        for d in decode:
            args += ["--decode", d.url]
        self.expected = len(prefill) + len(decode)
        super().__init__(*args, *flags, **kwargs)

    def ready(self, n=None):
        super().ready(n or self.expected)
        return self

    def loads_by_side(self):
        """[load of the prefill side, load of the decode side]"""
        workers = self.client.get("/workers").json()["workers"]
        return [sum(w["load"] for w in workers if w["worker_type"] == side) for side in ("prefill", "decode")]

    def idle(self):
        wait_until(lambda: all(load == 0 for load in self.loads()), what="loads of 0")


def prefill_engine(start, *flags):
    bootstrap = free_port()
    e = start(Engine, "--disaggregation-mode", "prefill", "--disaggregation-bootstrap-port", bootstrap, *flags)
    e.bootstrap = bootstrap
    return e


def decode_engine(start, *flags):
    return start(Engine, "--disaggregation-mode", "decode", *flags)


@pytest.fixture
def pair(start):
    """(prefill, decode, gateway): mock engines that hand over by a bootstrap server."""
    p, d = prefill_engine(start), decode_engine(start)
    return p, d, start(PairGateway, prefill=[p], decode=[d]).ready()


def bodies(engine, path="/v1/chat/completions"):
    return [json.loads(r["body"]) for r in engine.requests() if r["path"] == path]


def body_of(request):
    return json.loads(request.split(b"\r\n\r\n", 1)[1])


def status_reply(status, body=b"{}", *fields):
    return b"\r\n".join([b"HTTP/1.1 %d X" % status, b"content-type: application/json", b"content-length: %d" % len(body), *fields, b"", body])


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def scripted_pair(start, prefill, decode, *flags):
    p, d = start(ScriptedEngine, prefill), start(ScriptedEngine, decode)
    return p, d, start(PairGateway, *flags, prefill=[p], decode=[d]).ready()


def answers(data):
    return lambda connection, request: connection.sendall(data)


def hangs(connection, request):
    """Takes the request and says nothing until the peer closes."""
    if connection.recv(1) == b"":
        raise OSError("closed by the gateway")


# ---- bodies


def test_dp_44_both_legs_get_equal_rooms(pair):
    p, d, gateway = pair
    for members, batch in (({}, 0), ({"n": 2}, 2), ({"stream": True}, 0)):
        assert gateway.chat(**members).status_code == 200
        first, second = bodies(p)[-1], bodies(d)[-1]
        assert first == second
        rooms = first["bootstrap_room"] if batch else [first["bootstrap_room"]]
        assert len(rooms) == max(batch, 1) == len(set(rooms))
        assert all(0 <= room < 2**63 for room in rooms)
        assert first["bootstrap_host"] == (["127.0.0.1"] * batch if batch else "127.0.0.1")
        assert first["bootstrap_port"] == ([p.bootstrap] * batch if batch else p.bootstrap)
    r = gateway.client.post("/v1/completions", json={"model": "mock-model", "prompt": ["a", "b", "c"]})
    assert r.status_code == 200 and len(r.json()["choices"]) == 3
    body = bodies(d, "/v1/completions")[-1]
    assert len(set(body["bootstrap_room"])) == 3 and body["bootstrap_host"] == ["127.0.0.1"] * 3
    r = gateway.client.post("/generate", json={"model": "mock-model", "text": "hi"})
    assert r.status_code == 200 and isinstance(bodies(d, "/generate")[-1]["bootstrap_room"], int)


def test_dp_44_the_port_is_null_without_one(start):
    p = prefill_engine(start)
    d = decode_engine(start, "--disaggregation-bootstrap-port", p.bootstrap)  # where it asks when the request does not say
    p.bootstrap, port = "none", p.bootstrap
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    assert gateway.chat().status_code == 200
    assert bodies(d)[-1]["bootstrap_port"] is None
    assert gateway.chat(n=2).status_code == 200
    assert bodies(d)[-1]["bootstrap_port"] == [None, None] and port


def test_the_client_s_bytes_stay_and_its_own_rooms_do_not(start):
    p, d, gateway = scripted_pair(start, answers(ok(b"{}")), answers(ok(b'{"d":1}')))
    body = b'{ "model":"mock-model", "bootstrap_room" : 7,\t"temperature":0.70, "x":[1e0,null],\n"messages":[{"role":"user","content":"h\\u00e9"}] }'
    r = httpx.post(gateway.url + "/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert r.json() == {"d": 1}
    sent = d.requests[0].split(b"\r\n\r\n", 1)[1]
    assert sent == p.requests[0].split(b"\r\n\r\n", 1)[1]
    room = b"%d" % json.loads(sent)["bootstrap_room"]
    assert room != b"7"
    assert sent == body.replace(b" 7,", b" " + room + b",").replace(b"}] }", b'}] ,"bootstrap_host":"127.0.0.1","bootstrap_port":null}')


def test_the_decode_engine_waits_for_the_prefill_engine(start):
    """The mock's rendezvous, without a gateway."""
    p, d = prefill_engine(start), decode_engine(start)
    half = CHAT | {"bootstrap_host": "127.0.0.1", "bootstrap_port": p.bootstrap, "bootstrap_room": 2**63 - 1}
    got = []
    thread = threading.Thread(target=lambda: got.append(httpx.post(d.url + "/v1/chat/completions", json=half, timeout=30)))
    thread.start()
    wait_until(lambda: len(d.requests()) > 0, what="the decode half")
    thread.join(0.3)
    assert thread.is_alive()
    r = httpx.post(p.url + "/v1/chat/completions", json=half)
    assert r.json()["usage"]["completion_tokens"] == 1
    thread.join(20)
    usage = got[0].json()["usage"]
    assert usage["completion_tokens"] == 8 and usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]
    assert httpx.post(d.url + "/v1/chat/completions", json=CHAT).status_code == 400  # no room: nobody computes the prompt


# ---- vLLM


@pytest.fixture
def vllm(start):
    p, d = prefill_engine(start, "--runtime", "vllm"), decode_engine(start, "--runtime", "vllm")
    return p, d, start(PairGateway, prefill=[p], decode=[d]).ready()


@pytest.mark.parametrize("stream", [False, True])
def test_vllm_hands_over_in_sequence(vllm, stream):
    p, d, gateway = vllm
    r = gateway.chat(stream=stream, max_tokens=5, max_completion_tokens=6, min_tokens=2, stream_options={"include_usage": True} if stream else None)
    assert r.status_code == 200, r.text
    first, second = bodies(p)[-1], bodies(d)[-1]
    assert (first["max_tokens"], first["max_completion_tokens"], first["min_tokens"], first["stream"]) == (1, 1, 0, False)
    assert first["stream_options"] is None
    assert first["kv_transfer_params"] == {"do_remote_decode": True, "do_remote_prefill": False, "remote_engine_id": None, "remote_block_ids": None,
                                           "remote_host": None, "remote_port": None}
    assert (second["max_tokens"], second["max_completion_tokens"], second["stream"]) == (5, 6, stream)
    params = second["kv_transfer_params"]
    assert params["do_remote_prefill"] and params["remote_port"] == p.bootstrap and params["remote_engine_id"] == "mock-0"
    assert "bootstrap_room" not in first and "bootstrap_room" not in second
    usage = r.json()["usage"] if not stream else json.loads(r.text.split("\n\n")[-3].removeprefix("data: "))["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]  # the blocks did come


def test_vllm_with_several_answers_goes_to_decode_alone(vllm):
    p, d, gateway = vllm
    assert gateway.chat(n=2).status_code == 200
    assert bodies(p) == [] and "kv_transfer_params" not in bodies(d)[-1]
    gateway.idle()


def test_vllm_without_params_lets_decode_compute(start):
    p = start(Engine, "--runtime", "vllm")  # knows nothing of hand-overs
    d = decode_engine(start, "--runtime", "vllm")
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    r = gateway.chat()
    assert r.status_code == 200 and r.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert gateway.metrics()["smg_pd_kv_transfer_failures_total"] == 1


def add(gateway, url, **members):
    r = gateway.client.post("/workers", json={"url": url, **members})
    assert r.status_code == 202, r.text
    wait_until(lambda: gateway.client.get(f"/workers/{r.json()['worker_id']}").json()["status"] == "ready", what="worker")
    return r.json()["worker_id"]


def test_mooncake_is_told_on_both_sides(start):
    p, d = prefill_engine(start, "--runtime", "vllm"), decode_engine(start, "--runtime", "vllm")
    gateway = start(PairGateway)
    labels = {"kv_connector": "MooncakeConnector", "kv_engine_id": "engine-7"}
    add(gateway, p.url, worker_type="prefill", bootstrap_port=p.bootstrap, labels=labels)
    add(gateway, d.url, worker_type="decode", labels=labels)
    r = gateway.chat()
    assert r.status_code == 200, r.text
    usage = r.json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]
    first, second = bodies(p)[-1]["kv_transfer_params"], bodies(d)[-1]["kv_transfer_params"]
    transfer = first.pop("transfer_id")
    assert transfer.startswith("xfer-") and first == {"do_remote_decode": True, "do_remote_prefill": False}
    assert second == {"do_remote_decode": False, "do_remote_prefill": True, "transfer_id": transfer, "remote_engine_id": "engine-7",
                      "remote_bootstrap_addr": f"http://127.0.0.1:{p.bootstrap}"}
    assert gateway.metrics()['smg_pd_kv_connector_mode_total{mode="mooncake"}'] == 1


def test_engines_of_different_kinds_are_not_paired(start):
    p, q, d = prefill_engine(start), prefill_engine(start, "--runtime", "vllm"), decode_engine(start, "--runtime", "vllm")
    gateway = start(PairGateway, "--policy", "round_robin", prefill=[p, q], decode=[d]).ready()
    for _ in range(3):
        assert gateway.chat().status_code == 200
    assert bodies(p) == [] and len(bodies(q)) == 3
    e = decode_engine(start)
    alone = start(PairGateway, prefill=[q], decode=[e]).ready()
    r = alone.chat()
    assert r.status_code == 503 and "different ways" in r.json()["error"]["message"]


# ---- errors


def test_dp_45_prefill_refused(start):
    d = start(ScriptedEngine, hangs)
    p = start(Engine)
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    p.stop()
    r = gateway.chat()
    assert r.status_code == 502 and r.headers["x-smg-error-code"] == "pd_transport_error"
    assert r.json()["error"]["message"] == "Transport error: No connection to a worker could be made"
    assert str(p.port) not in r.text
    gateway.idle()


def test_dp_45_prefill_resets(start):
    def prefill(connection, request):
        wait_until(lambda: d.requests, what="the decode leg")
        return False  # closes

    p, d = start(ScriptedEngine, prefill), start(ScriptedEngine, hangs)
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    r = gateway.chat()
    assert r.status_code == 502 and r.headers["x-smg-error-code"] == "pd_transport_error"
    wait_until(d.closed.is_set, what="the decode leg closed")
    gateway.idle()


@pytest.mark.parametrize("stream", [False, True])
def test_dp_45_decode_error(start, stream):
    error = b'{"error":{"message":"out of blocks","type":"x"}}'
    p, d, gateway = scripted_pair(start, hangs, answers(status_reply(500, error)))
    r = gateway.chat(stream=stream)
    assert r.status_code == 500
    if stream:
        assert r.headers["content-type"] == "text/event-stream" and r.text.startswith("data: ") and r.text.endswith("\n\n")
        assert json.loads(r.text[6:]) == {"error": {"message": json.loads(error), "status": 500}}
    else:
        assert r.json()["error"] == {"message": "out of blocks", "type": "Internal Server Error", "param": None, "code": "decode_internal_error"}
    rooms = [body_of(request)["bootstrap_room"] for request in d.requests]
    assert len(rooms) == 5 == len(set(rooms))  # every attempt has a room of its own
    wait_until(p.closed.is_set, what="the prefill leg closed")
    gateway.idle()


def test_dp_45_prefill_error(start):
    p, d, gateway = scripted_pair(start, answers(status_reply(503, b"no room")), hangs)
    r = gateway.chat()
    assert r.status_code == 503 and r.headers["x-smg-error-code"] == "prefill_unavailable"
    assert r.json()["error"]["message"] == "Prefill server error (503 Service Unavailable): no room"
    assert len({body_of(request)["bootstrap_room"] for request in p.requests}) == 5
    wait_until(d.closed.is_set, what="the decode leg closed")
    gateway.idle()


def test_statuses_pass_and_are_not_retried(start):
    p, d, gateway = scripted_pair(start, answers(ok(b"{}")), answers(status_reply(422, b'{"message":"bad tools"}')))
    r = gateway.chat()
    assert (r.status_code, r.headers["x-smg-error-code"], r.json()["error"]["message"]) == (422, "decode_error", "bad tools")
    assert len(d.requests) == 1


def test_another_engine_takes_over(start):
    """The side that failed is replaced, the other one stays."""
    p, d = start(ScriptedEngine, answers(ok(b"{}"))), start(ScriptedEngine, answers(ok(b'{"d":1}')))
    bad = start(ScriptedEngine, answers(status_reply(500)))
    gateway = start(PairGateway, "--policy", "round_robin", prefill=[p], decode=[bad, d]).ready()
    for _ in range(4):
        assert gateway.chat().json() == {"d": 1}
    assert 1 <= len(bad.requests) <= 4 and len(d.requests) == 4
    gateway.idle()


def test_unknown_models_and_missing_sides(start):
    p = prefill_engine(start)
    gateway = start(PairGateway, prefill=[p])
    wait_until(lambda: len(gateway.loads()) == 1 and gateway.client.get("/workers").json()["workers"][0]["status"] == "ready", what="prefill ready")
    r = gateway.client.get("/readiness")
    assert r.status_code == 503 and r.json() == {"status": "not ready", "reason": "insufficient healthy workers"}
    r = gateway.chat()
    assert r.status_code == 503 and r.headers["x-smg-error-code"] == "server_selection_failed" and r.headers["retry-after"] == "1"
    assert r.json()["error"]["message"] == ("No available servers: No decode workers available. Please check if decode servers are configured and healthy.")
    r = gateway.client.post("/v1/chat/completions", json=CHAT | {"model": "nope"})
    assert r.status_code == 404 and r.json()["error"]["code"] == "model_not_found"
    r = gateway.client.get("/health_generate")
    assert r.status_code == 503 and r.headers["x-smg-error-code"] == "no_healthy_worker_pair"
    d = decode_engine(start)
    add(gateway, d.url, worker_type="decode")
    assert gateway.ready(2).chat().status_code == 200
    d.kill()
    d.wait()


def test_the_workers_own_key_is_sent(start):
    p, d = start(ScriptedEngine, answers(ok(b"{}"))), start(ScriptedEngine, answers(ok(b'{"d":1}')))
    gateway = start(PairGateway)
    add(gateway, p.url, worker_type="prefill", api_key="key-p")
    add(gateway, d.url, worker_type="decode", api_key="key-d")
    assert gateway.chat(headers={"authorization": "Bearer client", "cookie": "a=b", "x-request-id": "r1"}).status_code == 200
    for engine, key in ((p, b"key-p"), (d, b"key-d")):
        head = engine.requests[0].split(b"\r\n\r\n")[0].lower()
        assert b"authorization: bearer " + key in head and b"client" not in head and b"cookie" not in head and b"x-request-id: r1" in head


# ---- streams


def test_dp_46_the_stream_ends_at_done(start):
    """Without the end of the decode engine's body: it keeps the connection open and says more."""
    sent = threading.Event()

    def decode(connection, request):
        connection.sendall(STREAM_HEAD + chunk(b'data: {"x":"data: [DONE]"}\n\n') + chunk(b"data: [DO"))
        sent.wait(10)
        connection.sendall(chunk(b"NE]\n\ndata: more\n\n"))
        hangs(connection, request)

    p, d, gateway = scripted_pair(start, answers(ok(b"{}")), decode)
    began = time.monotonic()
    with gateway.client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as r:
        parts = r.iter_text()
        text = next(parts)
        assert text.startswith('data: {"x"')
        assert gateway.loads_by_side() == [0, 1]  # prefill has ended
        sent.set()
        text += "".join(parts)
    assert text.endswith("data: [DONE]\n\n") and "more" not in text
    assert time.monotonic() - began < 8 * SLOWNESS
    wait_until(d.closed.is_set, what="the decode leg closed")
    gateway.idle()


def test_dp_46_loads_count_on_both_sides(start):
    release = threading.Event()

    def waits(data):
        def reply(connection, request):
            release.wait(20)
            connection.sendall(data)
        return reply

    p, d, gateway = scripted_pair(start, waits(ok(b"{}")), waits(ok(b"{}")))
    got = []
    thread = threading.Thread(target=lambda: got.append(gateway.chat().status_code))
    thread.start()
    wait_until(lambda: gateway.loads() == [1, 1], what="loads 1 and 1")
    release.set()
    thread.join(20)
    assert got == [200]
    gateway.idle()


def test_nothing_goes_out_before_prefill_has_ended(start):
    release = threading.Event()

    def prefill(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{")
        release.wait(20)
        connection.sendall(b"}")

    p, d, gateway = scripted_pair(start, prefill, answers(ok(b'{"d":1}')))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as s:
        body = json.dumps(CHAT).encode()
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        wait_until(lambda: d.requests and p.requests, what="both legs")
        s.settimeout(0.3)
        with pytest.raises(TimeoutError):
            s.recv(1)
        release.set()
        s.settimeout(20)
        got = b""
        while part := s.recv(65536):
            got += part
    assert got.endswith(b'{"d":1}')
    gateway.idle()


# ---- log-probabilities


def generate_reply(logprobs):
    return json.dumps({"text": "x", "meta_info": {"id": "1", "input_token_logprobs": logprobs}}).encode()


def test_dp_47_logprobs_are_merged(start):
    p, d, gateway = scripted_pair(start, answers(ok(generate_reply([[-1.5, 1], [-0.5, 2]]))), answers(ok(generate_reply([[-2, 3]]), b"x-engine: d")))
    r = gateway.client.post("/generate", json={"model": "mock-model", "text": "hi", "return_logprob": True})
    assert r.status_code == 200 and r.headers["x-engine"] == "d"
    assert r.json() == {"text": "x", "meta_info": {"id": "1", "input_token_logprobs": [[-1.5, 1], [-0.5, 2], [-2, 3]]}}
    r = gateway.client.post("/generate", json={"model": "mock-model", "text": "hi"})
    assert r.json()["meta_info"]["input_token_logprobs"] == [[-2, 3]]  # nobody asked


def test_dp_47_logprobs_are_merged_in_streams(start):
    event = b"data: " + generate_reply([[-2, 3]]) + b"\n\n"
    decode = STREAM_HEAD + chunk(event[:40]) + chunk(event[40:] + b": comment\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    prefill = STREAM_HEAD + chunk(b"data: " + generate_reply([[-1, 1]]) + b"\n\ndata: [DONE]\n\n") + b"0\r\n\r\n"
    p, d, gateway = scripted_pair(start, answers(prefill), answers(decode))
    r = gateway.client.post("/generate", json={"model": "mock-model", "text": "hi", "return_logprob": True, "stream": True})
    events = r.text.split("\n\n")
    assert json.loads(events[0].removeprefix("data: "))["meta_info"]["input_token_logprobs"] == [[-1, 1], [-2, 3]]
    assert events[1:] == [": comment", "data: [DONE]", ""]


def test_dp_47_data_parallel_ranks(start):
    p, d = start(ScriptedEngine, answers(ok(b"{}"))), start(ScriptedEngine, answers(ok(b"{}")))
    gateway = start(PairGateway, "--dp-aware", "--policy", "round_robin")
    for engine, kind in ((p, "prefill"), (d, "decode")):
        assert gateway.client.post("/workers", json={"url": engine.url, "worker_type": kind, "labels": {"dp_size": "2"}}).status_code == 202
    gateway.ready(4)
    for _ in range(2):
        assert gateway.chat().status_code == 200
    first, second = [body_of(r) for r in p.requests], [body_of(r) for r in d.requests]
    assert {b["routed_dp_rank"] for b in first} == {0, 1} == {b["routed_dp_rank"] for b in second}
    for a in first:
        b = next(b for b in second if b["bootstrap_room"] == a["bootstrap_room"])
        assert b["disagg_prefill_dp_rank"] == a["routed_dp_rank"] and "disagg_prefill_dp_rank" not in a and "data_parallel_rank" not in a


# ---- routes


def test_dp_48_what_pairs_do_not_do(pair):
    p, d, gateway = pair
    for path, body, words in (
        ("/v1/embeddings", {"model": "mock-model", "input": "x"}, "Embeddings not implemented"),
        ("/v1/classify", {"model": "mock-model", "input": "x"}, "Classify not implemented"),
        ("/v1/messages", CHAT | {"max_tokens": 4}, "Messages API not yet implemented for this router"),
        ("/v1/responses", {"model": "mock-model", "input": "x"}, "Responses endpoint not implemented"),
    ):
        r = gateway.client.post(path, json=body)
        assert r.status_code == 501 and r.json()["error"]["message"] == words, path
    assert gateway.client.post("/v1/rerank", json={"model": "mock-model", "query": "q", "documents": ["a"]}).status_code == 200


def test_information_comes_from_prefill_and_health_from_both(pair):
    p, d, gateway = pair
    assert gateway.client.get("/get_server_info").json()["disaggregation_mode"] == "prefill"
    assert gateway.client.get("/get_model_info").status_code == 200
    r = gateway.client.get("/health_generate")
    ids = {w["worker_type"]: w["id"] for w in gateway.client.get("/workers").json()["workers"]}
    assert r.text == f"Health generate passed on selected pair: prefill={ids['prefill']}, decode={ids['decode']}"
    d.faults(unhealthy=True)
    r = gateway.client.get("/health_generate")
    assert r.status_code == 503 and r.headers["x-smg-error-code"] == "health_generate_failed"


def test_each_side_has_its_policy(start):
    prefill, decode = [prefill_engine(start) for _ in range(2)], [decode_engine(start) for _ in range(2)]
    gateway = start(PairGateway, "--policy", "random", "--prefill-policy", "round_robin", "--decode-policy", "power_of_two", prefill=prefill, decode=decode).ready()
    for _ in range(6):
        assert gateway.chat().status_code == 200
    assert [len(bodies(p)) for p in prefill] == [3, 3]
    picks = {k: v for k, v in gateway.metrics().items() if k.startswith("smg_worker_selection_total")}
    assert any('worker_type="prefill"' in k and 'policy="round_robin"' in k and v == 6 for k, v in picks.items()), picks
    assert any('worker_type="decode"' in k and 'policy="power_of_two"' in k and v == 6 for k, v in picks.items()), picks


def test_a_side_without_a_policy_of_its_own_follows_the_default(start):
    gateway = start(PairGateway, "--policy", "random", "--decode-policy", "consistent_hashing", prefill=[prefill_engine(start)], decode=[decode_engine(start)]).ready()
    assert gateway.client.patch("/policies", json={"policy": "round_robin"}).status_code == 200
    policies = gateway.client.get("/policies").json()
    assert [policies[k]["policy"] for k in ("default", "prefill", "decode")] == ["round_robin", "round_robin", "consistent_hashing"]


def test_readiness_needs_both_sides(pair):
    p, d, gateway = pair
    assert gateway.client.get("/readiness").json() == {"status": "ready", "healthy_workers": 2, "total_workers": 2}


# ---- clients that leave


def leave(gateway, until, stream=False):
    """A client that asks, waits for a condition, and hangs up."""
    body = json.dumps(CHAT | {"stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        until(s)


def test_a_client_that_leaves_while_both_work_ends_both(start):
    p, d, gateway = scripted_pair(start, hangs, hangs)
    leave(gateway, lambda s: wait_until(lambda: gateway.loads() == [1, 1] and p.requests and d.requests, what="both legs"))
    wait_until(lambda: p.closed.is_set() and d.closed.is_set(), what="both legs closed")
    gateway.idle()


def test_a_client_that_leaves_a_stream_ends_decode(start):
    def decode(connection, request):
        connection.sendall(STREAM_HEAD + chunk(b"data: {}\n\n"))
        hangs(connection, request)

    p, d, gateway = scripted_pair(start, answers(ok(b"{}")), decode)
    leave(gateway, lambda s: s.recv(65536), stream=True)
    wait_until(d.closed.is_set, what="the decode leg closed")
    gateway.idle()


def test_a_client_that_leaves_while_decode_is_held_ends_both(start):
    """Decode answers, prefill stalls: nothing goes out, and both end when the client does."""
    p, d = prefill_engine(start, "--stall-after", "0"), start(ScriptedEngine, None)

    def decode(connection, request):
        connection.sendall(STREAM_HEAD + chunk(b"data: {}\n\n"))
        hangs(connection, request)

    d.reply = decode
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    leave(gateway, lambda s: wait_until(lambda: d.requests and bodies(p), what="both legs"), stream=True)
    wait_until(d.closed.is_set, what="the decode leg closed")
    wait_until(lambda: httpx.get(p.url + "/mock/requests").json()["aborted"] == 1, what="the prefill leg closed")
    gateway.idle()


def test_a_client_that_leaves_vllm_s_prefill_never_reaches_decode(start):
    p, d = prefill_engine(start, "--runtime", "vllm", "--stall-after", "0"), decode_engine(start, "--runtime", "vllm")
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    leave(gateway, lambda s: wait_until(lambda: bodies(p), what="the prefill leg"))
    wait_until(lambda: httpx.get(p.url + "/mock/requests").json()["aborted"] == 1, what="the prefill leg closed")
    assert bodies(d) == []
    gateway.idle()


def test_a_client_that_leaves_between_attempts_ends_the_request(start):
    p, d, gateway = scripted_pair(start, answers(ok(b"{}")), answers(status_reply(503, b"{}", b"retry-after: 20")))
    leave(gateway, lambda s: wait_until(lambda: d.requests, what="the first attempt"))
    gateway.idle()
    time.sleep(0.2)
    assert len(d.requests) == 1


def test_decode_that_breaks_off_breaks_the_stream(start):
    p, d = prefill_engine(start), decode_engine(start, "--cut-after", "2")
    gateway = start(PairGateway, prefill=[p], decode=[d]).ready()
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.chat(stream=True)
    gateway.idle()


# ---- the command line


def test_epd_is_refused_at_the_start():
    r = subprocess.run([SMG, "launch", "--epd-disaggregation", "--port", str(free_port()), "--prometheus-port", str(free_port())],
                       capture_output=True, text=True, timeout=20 * SLOWNESS)
    assert r.returncode == 1 and "EPD mode requires gRPC connection_mode and TokenSpeed" in r.stderr + r.stdout


def test_workers_of_a_mode_that_is_off_are_noted(start):
    gateway = start(Gateway, "--prefill", "http://127.0.0.1:9", "--decode", "http://127.0.0.1:9")
    assert "--prefill and --decode are ignored without --pd-disaggregation" in gateway.output()
    assert gateway.loads() == []


def test_only_the_breaker_of_the_side_that_failed_opens(start):
    p, d = start(ScriptedEngine, answers(status_reply(500))), start(ScriptedEngine, hangs)
    gateway = start(PairGateway, "--cb-failure-threshold", "3", prefill=[p], decode=[d]).ready()
    assert gateway.chat().headers["x-smg-error-code"] in ("prefill_internal_error", "server_selection_failed")
    state = {w.url: gateway.metrics()[f'smg_worker_cb_state{{worker="{w.url}"}}'] for w in (p, d)}
    assert state == {p.url: 1, d.url: 0}
    assert len(p.requests) == 3
    gateway.idle()


def test_dp_47_the_rank_with_the_fewest_tokens(start):
    """--dp-minimum-tokens-scheduler: the load monitor's numbers decide, and what was sent since counts on top."""
    loads = {"timestamp": "t", "dp_rank_count": 2,
             "loads": [{"dp_rank": r, "num_used_tokens": n, "max_total_num_tokens": 1000} for r, n in ((0, 500), (1, 2))]}

    class Told(ScriptedEngine):
        def _serve(self, connection):
            with connection, contextlib.suppress(OSError):
                while request := self.read_request(connection):
                    if request.startswith(b"GET /v1/loads"):
                        connection.sendall(ok(json.dumps(loads).encode()))
                    elif request.startswith(b"GET /v1/models"):
                        connection.sendall(ok(b'{"object":"list","data":[{"id":"mock-model","owned_by":"sglang"}]}'))
                    elif request.startswith(b"GET"):
                        connection.sendall(ok(b"{}"))
                    else:
                        self.requests.append(request)
                        connection.sendall(ok(b"{}"))

    p, d = start(Told, None), start(Told, None)
    gateway = start(PairGateway, "--dp-minimum-tokens-scheduler", "--load-monitor-interval", "1", prefill=[p], decode=[d]).ready()

    def told():
        assert gateway.chat().status_code == 200
        return "routed_dp_rank" in body_of(p.requests[-1]) and "routed_dp_rank" in body_of(d.requests[-1])

    wait_until(told, what="numbers of both engines")
    assert body_of(p.requests[-1])["routed_dp_rank"] == 1 == body_of(d.requests[-1])["routed_dp_rank"]
    assert body_of(d.requests[-1])["disagg_prefill_dp_rank"] == 1
