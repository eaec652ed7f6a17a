"""Retries, circuit breakers, cooldown, time-outs and load counts, as clients see them (spec data-plane 7, 8, 16; docs/reliability.md)."""
import json
import socket
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, ScriptedEngine, free_port, wait_until
from test_failures import reset
from test_proxy import CHAT, ok, post

NO_HEALTH = ("--disable-health-check",)
QUICK = ("--retry-initial-backoff-ms", "1", "--retry-max-backoff-ms", "2", "--policy", "round_robin")


def failing(status, body=b'{"error":"no"}', more=b""):
    reply = b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\nx-engine: e\r\n%scontent-length: %d\r\n\r\n%s" % (status, more, len(body), body)
    return lambda connection, request: connection.sendall(reply)


def series(name, **labels):
    return name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def cb_state(gateway, engine):
    return gateway.metrics()[series("smg_worker_cb_state", worker=engine.url)]


def add(gateway, url, **spec):
    r = gateway.client.post("/workers", json={"url": url, **spec})
    assert r.status_code == 202, r.text
    wait_until(lambda: gateway.client.get("/workers/" + r.json()["worker_id"]).json().get("status") == "ready", what="registered")
    return "/workers/" + r.json()["worker_id"]


def test_dp_2_an_unknown_model_is_404_at_once(start):
    engine = start(ScriptedEngine, failing(500))
    gateway = start(Gateway, "--retry-initial-backoff-ms", "5000", workers=[engine]).ready(1)
    began = time.monotonic()
    r = gateway.chat(model="nope")
    assert time.monotonic() - began < 4
    assert r.status_code == 404 and r.headers["x-smg-error-code"] == "model_not_found"
    assert r.json()["error"]["message"] == "No worker available for model 'nope'"
    assert engine.requests == []


def test_dp_3_an_open_breaker_is_503_at_once_with_retry_after(start):
    engine = start(ScriptedEngine, failing(500))
    gateway = start(Gateway, "--disable-retries", "--cb-failure-threshold", "1", *NO_HEALTH, workers=[engine]).ready(1)
    assert gateway.chat().status_code == 500
    assert cb_state(gateway, engine) == 1
    r = gateway.chat()
    assert r.status_code == 503 and r.headers["x-smg-error-code"] == "no_available_workers" and int(r.headers["retry-after"]) >= 1
    assert len(engine.requests) == 1


def test_dp_3_nobody_to_retry_on_means_no_pause(start):
    """BETTER than SMG, which sleeps four times to find nobody."""
    engine = start(ScriptedEngine, failing(500))
    gateway = start(Gateway, "--cb-failure-threshold", "1", "--retry-initial-backoff-ms", "5000", *NO_HEALTH, workers=[engine]).ready(1)
    began = time.monotonic()
    r = gateway.chat()
    assert r.status_code == 500 and r.content == b'{"error":"no"}' and time.monotonic() - began < 4
    assert gateway.chat().status_code == 503
    assert len(engine.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_dp_16_a_4xx_is_passed_through_once(start, status):
    engine = start(ScriptedEngine, failing(status, b'{"detail": [1,  2]}'))
    gateway = start(Gateway, "--cb-failure-threshold", "1", *QUICK, workers=[engine]).ready(1)
    for _ in range(3):  # never against the breaker
        r = gateway.chat()
        assert r.status_code == status and r.content == b'{"detail": [1,  2]}' and r.headers["x-engine"] == "e"
    assert len(engine.requests) == 3 and cb_state(gateway, engine) == 0


@pytest.mark.parametrize("status", [500, 429, 503, 408, 504])
@pytest.mark.parametrize("stream", [False, True])
def test_dp_16_five_attempts_and_the_last_body(start, status, stream):
    count = []

    def reply(connection, request):
        count.append(request)
        failing(status, b'{"attempt":%d}' % len(count))(connection, request)

    engine = start(ScriptedEngine, reply)
    gateway = start(Gateway, *QUICK, workers=[engine]).ready(1)
    r = gateway.chat(stream=stream)
    assert r.status_code == status and r.content == b'{"attempt":5}' and r.headers["content-type"] == "application/json"
    assert len(engine.requests) == 5
    assert len({request.split(b"\r\n\r\n", 1)[1] for request in count}) == 1  # the same bytes each time


def test_dp_17_a_stream_arrives_part_by_part_and_unchanged(start):
    parts = [b'data: {"n":%d}\n\n' % i for i in range(5)] + [b"data: [DONE]\n\n"]
    step = threading.Semaphore(0)

    def reply(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for part in parts:
            step.acquire(timeout=20)
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")

    engine = start(ScriptedEngine, reply)
    gateway = start(Gateway, workers=[engine]).ready(1)
    got = b""
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True}, timeout=20 * SLOWNESS) as r:
        assert r.headers["content-type"] == "text/event-stream"
        step.release()
        for part in r.iter_raw():  # each part is here before the next one is sent
            got += part
            step.release()
    assert got == b"".join(parts)


def test_dp_18_a_stream_that_breaks_is_cut_counted_and_not_tried_again(start):
    def reply(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: {}\n\r\n")
        time.sleep(0.05)
        reset(connection)
        return False

    engines = [start(ScriptedEngine, reply), start(ScriptedEngine, reply)]
    gateway = start(Gateway, *QUICK, *NO_HEALTH, workers=engines).ready(2)
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.chat(stream=True)
    assert sum(len(e.requests) for e in engines) == 1
    m = gateway.metrics()
    assert sum(m[series("smg_worker_cb_outcomes_total", worker=e.url, outcome="failure")] for e in engines) == 1  # SMG counts a success
    assert m[series("smg_http_requests_ended_total", outcome="failed")] == 1


def test_dp_19_a_client_that_closes_ends_the_upstream_at_once(start):
    closed = threading.Event()

    def reply(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: {}\n\r\n")
        if connection.recv(1) == b"":  # no further byte is sent: only the close can tell
            closed.set()
        return False

    engine = start(ScriptedEngine, reply)
    gateway = start(Gateway, workers=[engine]).ready(1)
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True}, timeout=20 * SLOWNESS) as r:
        body = r.iter_raw()
        next(body)
        assert gateway.loads() == [1]
    assert closed.wait(10 * SLOWNESS)
    wait_until(lambda: gateway.loads() == [0], what="load back to 0")
    wait_until(lambda: gateway.metrics()[series("smg_http_requests_ended_total", outcome="aborted")] == 1, what="counted as aborted")


def test_dp_20_load_is_counted_until_the_body_is_consumed_or_dropped(start):
    engine = start(Engine, "--tokens-per-second", "20", "--output-tokens", "10")
    gateway = start(Gateway, "--policy", "random", workers=[engine]).ready(1)
    ask = {**json.loads(CHAT), "stream": True, "max_tokens": 10}
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=ask, timeout=30 * SLOWNESS) as r:
        body = r.iter_raw()
        next(body)
        assert gateway.loads() == [1]
        list(body)
    wait_until(lambda: gateway.loads() == [0], what="0 after the stream's end")
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=ask, timeout=30 * SLOWNESS):
        assert gateway.loads() == [1]  # and dropped without a look at the body
    wait_until(lambda: gateway.loads() == [0], what="0 after the drop")
    assert gateway.chat(max_tokens=2).status_code == 200
    assert gateway.loads() == [0]


def test_dp_37_three_attempts_two_pauses(start):
    engine = start(ScriptedEngine, failing(500))
    gateway = start(Gateway, "--retry-max-retries", "3", "--retry-initial-backoff-ms", "100", "--retry-backoff-multiplier", "2", "--retry-max-backoff-ms", "250",
                    "--retry-jitter-factor", "0", workers=[engine]).ready(1)
    began = time.monotonic()
    assert gateway.chat().status_code == 500
    assert 0.3 <= time.monotonic() - began < 0.3 + 2 * SLOWNESS  # 100 + 200 ms
    assert len(engine.requests) == 3
    m = gateway.metrics()
    assert m[series("smg_worker_retry_backoff_seconds_sum", attempt="1")] == pytest.approx(0.1)
    assert m[series("smg_worker_retry_backoff_seconds_sum", attempt="2")] == pytest.approx(0.2)
    assert m[series("smg_worker_retries_total", worker_type="regular", endpoint="chat")] == 2
    assert m[series("smg_worker_retries_exhausted_total", worker_type="regular", endpoint="chat")] == 1


def test_dp_38_the_life_of_a_breaker(start):
    state = {"status": 500}
    hold = threading.Event()
    held = threading.Event()

    def reply(connection, request):
        if state["status"] == "hold":
            held.set()
            hold.wait(20)
            connection.sendall(ok(b"{}"))
        elif state["status"] == 200:
            connection.sendall(ok(b"{}"))
        else:
            failing(state["status"])(connection, request)

    sick, well = start(ScriptedEngine, reply), start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")), model="other")
    gateway = start(Gateway, "--disable-retries", "--cb-failure-threshold", "3", "--cb-success-threshold", "2", "--cb-timeout-duration-secs", "1", *NO_HEALTH,
                    workers=[sick, well]).ready(2)

    def ask(status):
        state["status"] = status
        return gateway.chat().status_code

    assert [ask(500), ask(500), ask(200), ask(500), ask(500)] == [500, 500, 200, 500, 500]
    assert cb_state(gateway, sick) == 0  # the success in between reset it
    assert [ask(400), ask(500), ask(500)] == [400, 500, 500]  # so did the 400: the worker works
    assert [ask(429), ask(503)] == [429, 503]  # busy is not broken
    assert cb_state(gateway, sick) == 0 and gateway.metrics()[series("smg_worker_cb_consecutive_failures", worker=sick.url)] == 2
    assert ask(500) == 500
    assert cb_state(gateway, sick) == 1 and cb_state(gateway, well) == 0  # isolation
    assert ask(200) == 503
    assert gateway.chat(model="other").status_code == 200
    time.sleep(1.1)
    assert ask(500) == 500  # the probe; its failure opens the breaker again
    assert cb_state(gateway, sick) == 1 and ask(200) == 503
    time.sleep(1.1)
    state["status"] = "hold"
    probe = threading.Thread(target=gateway.chat)
    probe.start()
    assert held.wait(10 * SLOWNESS)
    assert cb_state(gateway, sick) == 2
    assert httpx.post(gateway.url + "/v1/chat/completions", json=json.loads(CHAT), timeout=20).status_code == 503  # one probe at a time
    hold.set()
    probe.join()
    assert ask(200) == 200
    assert cb_state(gateway, sick) == 0
    m = gateway.metrics()
    moves = {k: v for k, v in m.items() if k.startswith("smg_worker_cb_transitions_total") and sick.url in k}
    moved = lambda a, b: moves[f'smg_worker_cb_transitions_total{{worker="{sick.url}",from="{a}",to="{b}"}}']
    assert moved("closed", "open") == 1 and moved("open", "half_open") == 2 and moved("half_open", "open") == 1 and moved("half_open", "closed") == 1


def test_dp_39_one_sick_and_one_healthy_worker(start):
    sick, well = start(ScriptedEngine, failing(500)), start(ScriptedEngine, lambda c, r: c.sendall(ok(b'{"ok":1}')))
    gateway = start(Gateway, *QUICK, "--cb-failure-threshold", "4", workers=[sick, well]).ready(2)
    for _ in range(12):
        r = gateway.chat()
        assert r.status_code == 200 and r.content == b'{"ok":1}'
    assert len(sick.requests) == 4 and cb_state(gateway, sick) == 1  # then it is left alone


def test_dp_40_probes_take_a_worker_out_and_bring_it_back(start):
    engine, other = start(Engine), start(Engine)
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-failure-threshold", "1", "--health-success-threshold", "1", workers=[engine, other]).ready(2)
    status = lambda: {w["url"]: w["status"] for w in gateway.client.get("/workers").json()["workers"]}[engine.url]
    engine.faults(unhealthy=True)
    wait_until(lambda: status() == "not_ready", what="one failure: not ready")
    assert gateway.chat().status_code == 200
    engine.faults(unhealthy=False)
    wait_until(lambda: status() == "ready", what="a success: ready")
    engine.faults(unhealthy=True)
    wait_until(lambda: status() == "failed", seconds=15, what="three further failures: failed")


def test_a_worker_busy_with_a_long_prefill_is_not_sick(start):
    engine = start(Engine)
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-check-timeout-secs", "1", "--health-failure-threshold", "1", workers=[engine]).ready(1)
    assert gateway.chat().status_code == 200
    status = lambda: gateway.client.get("/workers").json()["workers"][0]["status"]
    failures = lambda: gateway.metrics().get(series("smg_worker_health_checks_total", worker_type="regular", result="failure"), 0)
    engine.faults(slow_health_ms=3000, ttft_ms=5000)
    answer = []
    t = threading.Thread(target=lambda: answer.append(httpx.post(gateway.url + "/v1/chat/completions", json=json.loads(CHAT), timeout=30 * SLOWNESS)))
    t.start()
    while t.is_alive():
        assert status() == "ready" and failures() == 0
        t.join(0.2)
    assert answer[0].status_code == 200
    wait_until(lambda: status() == "not_ready", what="one that has nothing to do and does not answer is sick")


def test_a_worker_that_comes_back_gets_one_request_first(start):
    hold, seen = threading.Event(), threading.Event()
    sick = {"now": False}

    class Recovering(ScriptedEngine):
        def _serve(self, connection):
            with connection:
                while (request := self.read_request(connection)) is not None:
                    if request.startswith(b"GET /health") and sick["now"]:
                        connection.sendall(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
                    elif request.startswith(b"GET"):
                        connection.sendall(ok(b'{"object":"list","data":[{"id":"mock-model","object":"model"}]}'))
                    else:
                        self.requests.append(request)
                        seen.set()
                        hold.wait(20)
                        connection.sendall(ok(b"{}"))

    back, other = start(Recovering, None), start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")))
    gateway = start(Gateway, "--policy", "round_robin", "--health-check-interval-secs", "1", "--health-failure-threshold", "1", "--health-success-threshold", "1",
                    workers=[back, other]).ready(2)
    status = lambda: {w["url"]: w["status"] for w in gateway.client.get("/workers").json()["workers"]}[back.url]
    sick["now"] = True
    wait_until(lambda: status() == "not_ready", what="out")
    sick["now"] = False
    wait_until(lambda: status() == "ready", what="back")
    threads = [threading.Thread(target=lambda: httpx.post(gateway.url + "/v1/chat/completions", json=json.loads(CHAT), timeout=30)) for _ in range(2)]
    for t in threads:
        t.start()
    assert seen.wait(10 * SLOWNESS)
    for _ in range(6):
        assert httpx.post(gateway.url + "/v1/chat/completions", json=json.loads(CHAT), timeout=30).status_code == 200
    assert len(back.requests) == 1  # the others do not pile up behind it
    hold.set()
    for t in threads:
        t.join()
    for _ in range(4):
        gateway.chat()
    assert len(back.requests) >= 3  # and then its share


def test_busy_workers_cool_down_for_as_long_as_they_ask(start):
    busy = start(ScriptedEngine, failing(503, more=b"retry-after: 60\r\n"))
    free = start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")))
    gateway = start(Gateway, *QUICK, workers=[busy, free]).ready(2)
    assert [gateway.chat().status_code for _ in range(8)] == [200] * 8
    assert len(busy.requests) <= 1 and cb_state(gateway, busy) == 0


def test_a_503_burst_with_retry_after_is_waited_out(start):
    engine = start(Engine)
    gateway = start(Gateway, workers=[engine]).ready(1)
    engine.faults(fail_rate=1, fail_status=503, retry_after_s=1)
    healer = threading.Timer(0.3, lambda: engine.faults(fail_rate=0))
    healer.start()
    began = time.monotonic()
    assert gateway.chat().status_code == 200
    assert time.monotonic() - began > 0.9
    healer.join()


def test_workers_settings_act(start):
    """resilience and http_pool of a worker, without its name in any flag."""
    def slow(connection, request):
        time.sleep(3)

    stuck = start(ScriptedEngine, slow)
    well = start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")))
    gateway = start(Gateway, "--policy", "round_robin", *NO_HEALTH)
    at = add(gateway, stuck.url, http_pool={"timeout_secs": 1}, resilience={"cb_failure_threshold": 1, "cb_timeout_secs": 600, "disable_retry": True})
    r = gateway.chat()
    assert r.status_code == 504 and cb_state(gateway, stuck) == 1
    assert gateway.chat().status_code == 503
    assert gateway.client.patch(at, json={"priority": 7}).status_code == 202
    assert cb_state(gateway, stuck) == 1  # kept: its rules are the same
    assert gateway.client.patch(at, json={"resilience": {"cb_failure_threshold": 2, "disable_retry": False}}).status_code == 202
    wait_until(lambda: cb_state(gateway, stuck) == 0, what="reset: other rules")
    add(gateway, well.url)
    for _ in range(2):
        assert gateway.chat().status_code == 200  # a worker's own time-out leads to another worker
    assert gateway.client.patch(at, json={"resilience": {"disable_circuit_breaker": True}}).status_code == 202
    r = gateway.client.post("/workers", json={"url": "http://127.0.0.1:1", "resilience": {"cb_failure_threshold": 0}})
    assert r.status_code == 400 and "resilience.cb_failure_threshold" in r.json()["error"]


def test_a_refused_worker_is_replaced_without_a_pause_even_without_retries(start):
    engine = start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")))
    gateway = start(Gateway, "--disable-retries", "--retry-initial-backoff-ms", "10000", "--policy", "round_robin", *NO_HEALTH)
    dying = start(Engine)
    add(gateway, dying.url), add(gateway, engine.url)
    dying.kill()
    dying.wait()
    began = time.monotonic()
    assert [gateway.chat().status_code for _ in range(4)] == [200] * 4
    assert time.monotonic() - began < 8


def test_dead_workers_fail_after_the_pauses(start):
    """Spec data-plane 7: about 0.4 s of pauses; decision 6: 502, no URL of ours in it."""
    engine = start(Engine)
    gateway = start(Gateway, *NO_HEALTH, workers=[engine]).ready(1)
    engine.kill()
    engine.wait()
    began = time.monotonic()
    r = gateway.chat()
    assert r.status_code == 502 and str(engine.port) not in r.text
    assert 0.3 < time.monotonic() - began < 3 * SLOWNESS


def test_the_counters_add_up(start):
    sick, well = start(ScriptedEngine, failing(500)), start(Engine, "--tokens-per-second", "50", "--output-tokens", "20")
    gateway = start(Gateway, *QUICK, workers=[sick, well]).ready(2)
    for _ in range(6):
        gateway.chat(max_tokens=2)
    gateway.chat(model="nope")
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True, "max_tokens": 20}, timeout=20 * SLOWNESS):
        pass  # leaves
    with socket.create_connection(("127.0.0.1", gateway.port)) as s:
        s.sendall(post(b"/v1/chat/completions", CHAT))  # leaves before the head

    def sums():
        m = gateway.metrics()
        total = lambda name: sum(v for k, v in m.items() if k.startswith(name + "{"))
        return total("smg_http_requests_total"), total("smg_http_requests_ended_total"), m["smg_http_connections_active"], \
            total("smg_router_requests_total"), total("smg_router_request_duration_seconds_count") + total("smg_router_request_errors_total") + total("smg_router_requests_aborted_total")

    def add_up():
        accepted, ended, active, routed, routed_ended = sums()
        return active == 0 and accepted == ended and routed == routed_ended and routed >= 9

    wait_until(add_up, what="accepted = finished + failed + aborted")
