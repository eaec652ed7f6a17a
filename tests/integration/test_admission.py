"""Who may begin, who waits, who is sent away: concurrency, classes, tenants (spec data-plane 11, 12; test cases 41-43); and nothing leaks."""
import concurrent.futures
import contextlib
import json
import socket
import subprocess
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, SMG, Engine, Gateway, ScriptedEngine, free_port, wait_until

BODY = {"model": "mock-model", "messages": [{"role": "user", "content": "hello"}]}
REPLY = json.dumps({"id": "x", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 90}}).encode()


class HoldingEngine(ScriptedEngine):
    """Holds every request until the test lets one go, or the connection is closed by the gateway."""

    def __init__(self):
        self.held, self.lock, self.left = [], threading.Lock(), 0
        super().__init__(self._hold)

    def _hold(self, connection, request):
        go = threading.Event()
        with self.lock:
            self.held.append((request, go))
        connection.settimeout(0.02)
        while not go.is_set() and not self.stopping:
            try:
                if connection.recv(1, socket.MSG_PEEK) == b"":
                    raise ConnectionResetError
            except TimeoutError:
                continue
            except OSError:
                with self.lock:
                    self.held = [h for h in self.held if h[1] is not go]
                    self.left += 1
                return False
        connection.settimeout(30 * SLOWNESS)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY) + REPLY)
        return True

    def holds(self, n):
        wait_until(lambda: len(self.held) == n, what=lambda: f"{n} held requests ({len(self.held)} held, {self.left} left, {len(self.requests)} came)")

    def let_go(self, n=1):
        with self.lock:
            going, self.held = self.held[:n], self.held[n:]
        for _, go in going:
            go.set()

    def stop(self):
        self.let_go(len(self.held))
        return super().stop()


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(64) as executor:
        yield executor


@pytest.fixture
def holding(start):
    return start(HoldingEngine)


def serve(start, engine, *flags):
    return start(Gateway, *flags, workers=[engine]).ready()


def ask(gateway, headers=None, **members):
    return httpx.post(gateway.url + "/v1/chat/completions", json={**BODY, **members}, headers=headers, timeout=60 * SLOWNESS)


def leave(gateway, headers=()):
    """A client that asks and can be made to go away."""
    body = json.dumps(BODY).encode()
    s = socket.create_connection(("127.0.0.1", gateway.port))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n" +
              b"".join(b"%s: %s\r\n" % (k.encode(), v.encode()) for k, v in headers) + b"content-length: %d\r\n\r\n" % len(body) + body)
    return s


def gauge(gateway, name):
    return gateway.metrics().get(name, 0)


def waits(gateway, n, name="smg_admission_queue_depth"):
    wait_until(lambda: gauge(gateway, name) == n, what=f"{name} {n}")


def at_rest(gateway, requests=None):
    """Every permit is back, and the counters add up."""
    def same():
        m = gateway.metrics()
        held = sum(v for k, v in m.items() if k.split("{")[0] in ("smg_admission_inflight", "smg_admission_queue_depth", "smg_scheduler_inflight", "smg_scheduler_queue_depth"))
        outcomes = {k: v for k, v in m.items() if k.startswith("smg_admission_requests_total")}
        admitted = outcomes.get('smg_admission_requests_total{outcome="admitted"}', 0)
        return held == 0 and admitted == m.get("smg_admission_ended_total", 0) and (requests is None or sum(outcomes.values()) == requests)

    wait_until(same, what="permits back and counters that add up")


def error(reply):
    return reply.json()["error"]["code"]


def file(tmp_path, text, name="config.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


# ---- the plain limit ----

def test_dp_41_one_at_a_time_without_a_queue(start, holding, pool):
    g = serve(start, holding, "--max-concurrent-requests", "1", "--rate-limit-tokens-per-second", "0", "--queue-size", "0")
    first = pool.submit(ask, g)
    holding.holds(1)
    second = ask(g)
    assert second.status_code == 429 and second.headers["retry-after"] == "1"
    assert error(second) == "queue_full" and second.headers["x-smg-error-code"] == "queue_full" and second.headers["x-request-id"]
    holding.let_go()
    assert first.result().status_code == 200
    at_rest(g, requests=2)
    third = pool.submit(ask, g)  # the permit came back with the end of the body
    holding.holds(1)
    holding.let_go()
    assert third.result().status_code == 200
    m = g.metrics()
    assert m['smg_http_rate_limit_total{result="allowed"}'] == 2 and m['smg_http_rate_limit_total{result="rejected"}'] == 1


def test_dp_41_the_deadline_passes_in_the_queue(start, holding, pool):
    g = serve(start, holding, "--max-concurrent-requests", "1", "--queue-size", "1", "--queue-timeout-secs", "1")
    first = pool.submit(ask, g)
    holding.holds(1)
    began = time.monotonic()
    second = pool.submit(ask, g)
    waits(g, 1)
    third = ask(g)
    assert third.status_code == 429 and error(third) == "queue_full"
    late = second.result()
    assert late.status_code == 503 and error(late) == "queue_timeout" and late.headers["retry-after"] == "1"  # decision 5: not 408
    assert time.monotonic() - began >= 0.95
    holding.let_go()
    assert first.result().status_code == 200
    at_rest(g, requests=3)


def test_dp_41_who_leaves_gives_the_permit_back(start, holding, pool):
    g = serve(start, holding, "--max-concurrent-requests", "1", "--queue-size", "5")
    running = leave(g)
    holding.holds(1)
    queued = leave(g)
    waits(g, 1)
    last = pool.submit(ask, g)
    waits(g, 2)
    queued.close()  # unlinked at once, without having had a permit
    waits(g, 1)
    running.close()
    wait_until(lambda: holding.left == 1)
    holding.holds(1)
    holding.let_go()
    assert last.result().status_code == 200
    at_rest(g, requests=3)
    assert g.metrics()['smg_admission_requests_total{outcome="client_cancelled"}'] == 1


@pytest.mark.parametrize("n", ["-1", "0"])
def test_dp_41_no_limit(start, holding, pool, n):
    g = serve(start, holding, "--max-concurrent-requests", n, "--queue-size", "0")
    asked = [pool.submit(ask, g) for _ in range(20)]
    holding.holds(20)
    holding.let_go(20)
    assert {a.result().status_code for a in asked} == {200}
    at_rest(g, requests=20)
    assert not any(k.startswith("smg_http_rate_limit_total") for k in g.metrics())


def test_the_queue_is_first_come_first_served_across_loops(start, holding, pool):
    g = serve(start, holding, "--max-concurrent-requests", "1", "--queue-size", "20", "--runtime-worker-threads", "3")
    asked = [pool.submit(ask, g)]
    holding.holds(1)
    for i in range(12):
        asked.append(pool.submit(ask, g, user=f"u{i:02}"))
        waits(g, i + 1)
    order = []
    for _ in range(13):
        holding.holds(1)
        order.append(json.loads(holding.held[0][0].partition(b"\r\n\r\n")[2]).get("user"))
        holding.let_go()
    assert order == [None] + [f"u{i:02}" for i in range(12)]
    assert {a.result().status_code for a in asked} == {200}
    at_rest(g, requests=13)


def test_requests_per_second_are_a_limit_of_their_own(start):
    engine = start(Engine)
    g = serve(start, engine, "--rate-limit-tokens-per-second", "2")
    answers = [g.chat() for _ in range(8)]
    codes = [a.status_code for a in answers]
    assert codes[:2] == [200, 200] and 429 in codes
    refused = next(a for a in answers if a.status_code == 429)
    assert error(refused) == "rate_limit_exceeded" and refused.headers["retry-after"] == "1"
    wait_until(lambda: g.chat().status_code == 200)
    at_rest(g)


def test_messages_refuses_in_anthropics_words(start, holding, pool):
    g = serve(start, holding, "--max-concurrent-requests", "1", "--queue-size", "0")
    first = pool.submit(ask, g)
    holding.holds(1)
    r = g.client.post("/v1/messages", json={"model": "mock-model", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
    assert r.status_code == 429 and r.json()["type"] == "error" and r.json()["error"]["type"] == "rate_limit_error"
    assert g.client.get("/v1/models").status_code == 200 and g.client.get("/workers").status_code == 200  # no limit there
    holding.let_go()
    first.result()


def test_permits_come_back_from_failures_retries_and_aborted_streams(start, pool):
    bad = ScriptedEngine(lambda connection, request: False)  # closes without an answer: tried elsewhere
    slow = start(Engine, "--tokens-per-second", "50", "--output-tokens", "100")
    g = start(Gateway, "--max-concurrent-requests", "4", "--queue-size", "100", workers=[bad, slow]).ready(2)

    def abort(i):
        with contextlib.suppress(httpx.HTTPError), httpx.stream("POST", g.url + "/v1/chat/completions", json={**BODY, "stream": True}, timeout=60 * SLOWNESS) as r:
            for _ in r.iter_raw():
                if i % 2:
                    return

    list(pool.map(abort, range(24)))
    assert g.client.post("/v1/chat/completions", content=b"{").status_code == 400
    assert g.client.post("/v1/chat/completions", json={**BODY, "model": "none"}).status_code == 404
    at_rest(g)
    bad.stop()


# ---- the priority scheduler ----

ONE = "{reserved_floor: 0, queue_size: %d, queue_timeout_secs: %d, starvation_threshold_secs: %d, can_preempt: %s}"


def classes(queue=10, timeout=30, starvation=60, preempt="true", tenants=""):
    one = ONE % (queue, timeout, starvation, preempt)
    return f"classes:\n  system: {one}\n  interactive: {one}\n  default: {one}\n  bulk: {one}\n{tenants}"


def scheduled(start, holding, tmp_path, text, *flags, capacity=1, max_class="system"):
    g = start(Gateway, "--priority-scheduler-enabled", "--priority-scheduler-default-max-class", max_class, "--priority-scheduler-config", file(tmp_path, text), *flags)
    r = g.client.post("/workers", json={"url": holding.url, "labels": {"max_running_requests": str(capacity)}})
    assert r.status_code == 202, r.text
    g.ready()
    wait_until(lambda: gauge(g, "smg_scheduler_capacity") == capacity)
    return g


def priority(name):
    return {"X-SMG-Priority": name}


def depth(name):
    return f'smg_scheduler_queue_depth{{class="{name}"}}'


def test_dp_42_full_queue_and_late_slot(start, holding, pool, tmp_path):
    g = scheduled(start, holding, tmp_path, classes(queue=1, timeout=1, preempt="false"))
    first = pool.submit(ask, g)
    holding.holds(1)
    second = pool.submit(ask, g)
    waits(g, 1, depth("default"))
    third = ask(g)
    assert third.status_code == 429 and error(third) == "scheduler_queue_full" and third.headers["retry-after"] == "1"
    late = second.result()
    assert late.status_code == 503 and error(late) == "scheduler_queue_timeout" and late.headers["retry-after"] == "1"  # decision 5: not 408
    holding.let_go()
    assert first.result().status_code == 200
    at_rest(g, requests=3)
    m = g.metrics()
    assert m['smg_scheduler_admit_total{class="default",outcome="admitted"}'] == 1
    assert m['smg_scheduler_admit_total{class="default",outcome="rejected_queue_full"}'] == 1
    assert m['smg_scheduler_admit_total{class="default",outcome="rejected_queue_timeout"}'] == 1


def test_dp_42_no_queue_at_all(start, holding, pool, tmp_path):
    g = scheduled(start, holding, tmp_path, classes(queue=0, preempt="false"))
    first = pool.submit(ask, g)
    holding.holds(1)
    assert error(ask(g)) == "scheduler_queue_full"
    holding.let_go()
    assert first.result().status_code == 200
    at_rest(g, requests=2)


@pytest.mark.parametrize("queue", [10, 0])
def test_dp_42_interactive_preempts_bulk_before_its_first_byte(start, holding, pool, tmp_path, queue):
    g = scheduled(start, holding, tmp_path, classes(queue=queue), "--runtime-worker-threads", "2")
    bulk = pool.submit(ask, g, priority("bulk"))
    holding.holds(1)
    fast = pool.submit(ask, g, priority("Interactive"))
    gone = bulk.result()
    assert gone.status_code == 503 and error(gone) == "scheduler_preempted"
    assert gone.headers["x-smg-preempted"] == "true" and gone.headers["retry-after"] == "1"
    assert gone.json()["error"]["message"] == "request preempted by higher-priority traffic"
    wait_until(lambda: holding.left == 1)  # its worker was told at once
    holding.holds(1)
    holding.let_go()
    assert fast.result().status_code == 200
    at_rest(g, requests=2)
    m = g.metrics()
    assert m['smg_scheduler_preemption_total{victim_class="bulk",by_class="interactive"}'] == 1
    assert m['smg_scheduler_admit_total{class="bulk",outcome="preempted"}'] == 1
    assert g.loads() == [0]


def test_dp_42_a_reply_that_has_begun_is_not_preempted(start, pool, tmp_path):
    slow = start(Engine, "--tokens-per-second", "40", "--output-tokens", "60")
    g = scheduled(start, slow, tmp_path, classes())
    with httpx.stream("POST", g.url + "/v1/chat/completions", json={**BODY, "stream": True}, headers=priority("bulk"), timeout=60 * SLOWNESS) as r:
        parts = r.iter_raw()
        next(parts)
        fast = pool.submit(ask, g, priority("system"))
        rest = b"".join(parts)
    assert r.status_code == 200 and b"[DONE]" in rest
    assert fast.result().status_code == 200
    at_rest(g, requests=2)


def test_dp_42_a_clamped_class_preempts_nobody(start, holding, pool, tmp_path):
    g = scheduled(start, holding, tmp_path, classes(), max_class="default")
    first = pool.submit(ask, g)
    holding.holds(1)
    second = pool.submit(ask, g, priority("system"))
    waits(g, 1, depth("default"))
    odd = pool.submit(ask, g, priority("urgent"))
    waits(g, 2, depth("default"))
    for answer in first, second, odd:
        holding.holds(1)
        holding.let_go()
        assert answer.result().status_code == 200
    at_rest(g, requests=3)
    m = g.metrics()
    assert m['smg_scheduler_clamp_total{tenant="ip:127.0.0.1",requested_class="system",effective_class="default"}'] == 1
    assert m['smg_scheduler_unknown_priority_value_total{tenant="ip:127.0.0.1"}'] == 1


def test_dp_42_a_tenants_own_highest_class(start, holding, pool, tmp_path):
    text = classes(tenants='tenant_policies: {"header:vip": {max_class: interactive}}\n')
    g = scheduled(start, holding, tmp_path, text, "--trust-tenant-header", max_class="bulk")
    bulk = pool.submit(ask, g, priority("system"))
    holding.holds(1)
    vip = pool.submit(ask, g, {**priority("system"), "x-smg-tenant-id": "vip"})
    assert error(bulk.result()) == "scheduler_preempted"
    wait_until(lambda: holding.left == 1)
    holding.holds(1)
    holding.let_go()
    assert vip.result().status_code == 200
    assert g.metrics()['smg_scheduler_admit_total{class="interactive",outcome="admitted"}'] == 1


def test_dp_42_old_bulk_is_promoted(start, holding, pool, tmp_path):
    g = scheduled(start, holding, tmp_path, classes(starvation=1, preempt="false"))
    first = pool.submit(ask, g)
    holding.holds(1)
    bulk = pool.submit(ask, g, priority("bulk"))
    waits(g, 1, depth("bulk"))
    time.sleep(1.1)  # past its threshold: from now on it comes before the newer, higher ones
    high = pool.submit(ask, g, priority("system"))
    waits(g, 1, depth("system"))
    holding.let_go()
    assert first.result().status_code == 200
    waits(g, 0, depth("bulk"))
    assert gauge(g, depth("system")) == 1
    for answer in bulk, high:
        holding.holds(1)
        holding.let_go()
        assert answer.result().status_code == 200
    assert g.metrics()['smg_scheduler_starvation_promotion_total{class="bulk"}'] == 1
    at_rest(g, requests=3)


def test_dp_42_clients_that_leave_free_their_place_and_their_slot(start, holding, pool, tmp_path):
    g = scheduled(start, holding, tmp_path, classes(queue=1))
    running = leave(g)
    holding.holds(1)
    queued = leave(g)
    waits(g, 1, depth("default"))
    queued.close()
    waits(g, 0, depth("default"))
    last = pool.submit(ask, g)
    waits(g, 1, depth("default"))
    running.close()
    wait_until(lambda: holding.left == 1)
    holding.holds(1)
    holding.let_go()
    assert last.result().status_code == 200
    at_rest(g, requests=3)
    assert g.metrics()['smg_scheduler_admit_total{class="default",outcome="client_cancelled"}'] == 1


def test_dp_42_capacity_follows_the_workers(start, tmp_path):
    engines = [start(Engine), start(Engine)]
    g = start(Gateway, "--priority-scheduler-enabled", "--max-concurrent-requests", "177")
    assert gauge(g, "smg_scheduler_capacity") == 177  # too small for the default classes: the lower ones are cut, the scheduler works (BETTER)
    wait_until(lambda: "reservations do not fit" in g.output())
    for i, engine in enumerate(engines):
        g.client.post("/workers", json={"url": engine.url, **({"labels": {"max_running_requests": "300"}} if i else {})})
    g.ready(2)
    told = [w["labels"].get("max_running_requests", "64") for w in g.client.get("/workers").json()["workers"]]
    assert "300" in told
    wait_until(lambda: gauge(g, "smg_scheduler_capacity") == sum(map(int, told)))
    assert g.chat().status_code == 200
    engines[1].kill()
    at_rest(g)


def test_a_bad_scheduler_file_stops_the_start(tmp_path):
    path = file(tmp_path, "classes:\n  bulk: {reserved_floor: 1, queue_size: 5, queue_timeout_secs: 0, starvation_threshold_secs: 1, can_preempt: false}\n")
    text = refused("--priority-scheduler-enabled", "--priority-scheduler-config", path)
    assert f"{path}: classes.bulk: queue_timeout_secs must be within 1" in text and "line 2" in text
    path = file(tmp_path, "classes:\n  batch: {}\n")
    assert "classes: unknown field `batch`, expected one of `system`" in refused("--priority-scheduler-enabled", "--priority-scheduler-config", path)


# ---- tenants ----

def refused(*flags):
    r = subprocess.run([str(SMG), "launch", "--host", "127.0.0.1", "--port", str(free_port()), "--prometheus-host", "127.0.0.1", "--prometheus-port",
                        str(free_port()), *flags], capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert r.returncode == 1, r.stdout + r.stderr
    return r.stdout + r.stderr


LIMITS = """
default_policy: {tokens_per_minute: 100000, requests_per_minute: 100}
tenants:
  - tenant_key: "header:red"
    tokens_per_minute: 1000
    requests_per_minute: 3
  - tenant_key: "header:blue"
    tokens_per_minute: 50
    requests_per_minute: 100
  - tenant_key: "header:rules"
    tokens_per_minute: 100000
    requests_per_minute: 100
    model_rules:
      - {rule_id: any, matcher: {type: prefix, value: "mock"}, tokens_per_minute: 100000, requests_per_minute: 1}
      - {rule_id: this, matcher: {type: exact, value: "mock-model"}, tokens_per_minute: 100000, requests_per_minute: 2}
"""


def tenant(name):
    return {"x-smg-tenant-id": name}


def test_dp_43_a_budget_then_denied_with_retry_after(start, tmp_path):
    engine = start(Engine)
    g = serve(start, engine, "--trust-tenant-header", "--tenant-rate-limit-enabled", "--tenant-rate-limit-config", file(tmp_path, LIMITS))
    assert [g.chat(headers=tenant("red")).status_code for _ in range(3)] == [200] * 3
    denied = g.chat(headers=tenant("red"))
    assert denied.status_code == 429 and error(denied) == "tenant_rate_limit_exceeded" and 1 <= int(denied.headers["retry-after"]) <= 20
    assert denied.json()["error"]["message"] == "Tenant rate limit exceeded for this request"
    assert g.chat(headers=tenant("green")).status_code == 200 and g.chat().status_code == 200  # others have their own
    assert [g.chat(headers=tenant("rules")).status_code for _ in range(3)] == [200, 200, 429]  # the exact rule, not the prefix
    at_rest(g)
    assert sum(r["method"] == "POST" for r in engine.requests()) == 7  # 3 red, green, nobody, 2 rules


@pytest.mark.parametrize("stream", [False, True])
def test_dp_43_the_reply_settles_and_may_leave_a_debt(start, tmp_path, stream):
    engine = start(Engine, "--output-tokens", "300")
    g = serve(start, engine, "--trust-tenant-header", "--tenant-rate-limit-enabled", "--tenant-rate-limit-config", file(tmp_path, LIMITS))
    members = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    assert g.chat(headers=tenant("blue"), **members).status_code == 200  # a few tokens reserved, 300 used
    at_rest(g)
    denied = g.chat(headers=tenant("blue"))
    assert denied.status_code == 429 and int(denied.headers["retry-after"]) > 60  # more than an empty bucket's minute: debt
    m = g.metrics()
    assert m['smg_tenant_limit_tokens_total{token_type="output"}'] == 300 and m["smg_tenant_limit_tenants"] == 1


def test_dp_43_what_the_gateway_refuses_itself_costs_nothing(start, holding, pool, tmp_path):
    g = serve(start, holding, "--trust-tenant-header", "--tenant-rate-limit-enabled", "--tenant-rate-limit-config", file(tmp_path, LIMITS), "--max-concurrent-requests", "1",
              "--queue-size", "0")
    first = pool.submit(ask, g)
    holding.holds(1)
    assert {error(ask(g, tenant("red"))) for _ in range(6)} == {"queue_full"}
    holding.let_go()
    assert first.result().status_code == 200
    second = pool.submit(ask, g, tenant("red"))
    holding.holds(1)
    holding.let_go()
    assert second.result().status_code == 200
    at_rest(g, requests=8)


def test_dp_43_mistakes_of_the_file_stop_the_start(tmp_path):
    path = file(tmp_path, LIMITS)
    assert '"header:" keys need --trust-tenant-header' in refused("--tenant-rate-limit-enabled", "--tenant-rate-limit-config", path)
    assert "Missing required field: tenant_rate_limit_config" in refused("--tenant-rate-limit-enabled")
    path = file(tmp_path, LIMITS.replace("header:blue", "header:red"))
    assert "tenant_key \"header:red\" stands here a second time" in refused("--trust-tenant-header", "--tenant-rate-limit-enabled", "--tenant-rate-limit-config", path)
