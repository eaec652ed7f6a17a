"""Changing workers over the API (spec control-plane 7.4-7.6, 20; the names carry the numbers of its test cases)."""
import json
import socket
import threading
import time
import uuid

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, ScriptedEngine, free_port, wait_until


@pytest.fixture
def empty(start):
    return start(Gateway)


def add(gateway, url, **members):
    r = gateway.client.post("/workers", json={"url": url, **members})
    assert r.status_code == 202, r.text
    return r.headers["location"]


def add_ready(gateway, url, **members):
    at = add(gateway, url, **members)
    wait_until(lambda: gateway.client.get(at).json().get("status") == "ready", what="ready")
    return at


def settled(gateway, at):
    """The worker once it has no job any more."""
    return wait_until(lambda: (lambda w: w if "job_status" not in w else None)(gateway.client.get(at).json()), what="no job")


def accepted(r, wid):
    assert r.status_code == 202, r.text
    assert r.json() == {"status": "accepted", "worker_id": wid, "message": "Worker update queued for background processing"}
    assert "location" not in r.headers


def engine_key(engine):
    """The Authorization of the last chat request that the engine saw."""
    return [r["headers"].get("authorization") for r in engine.requests() if r["path"] == "/v1/chat/completions"][-1]


def test_cp_29_put_unknown_is_not_found(empty):
    unknown = str(uuid.uuid4())
    for r in (empty.client.put(f"/workers/{unknown}", json={"url": "http://127.0.0.1:1"}), empty.client.patch(f"/workers/{unknown}", json={})):
        assert r.status_code == 404 and r.json() == {"error": f"Worker {unknown} not found", "code": "WORKER_NOT_FOUND"}
    assert empty.client.put("/workers/not-a-uuid", json={"url": "http://127.0.0.1:1"}).status_code == 400
    at = add(empty, f"http://127.0.0.1:{free_port()}")  # still registering: nothing to replace
    assert empty.client.put(at, json={"url": "http://127.0.0.1:1"}).status_code == 404


def test_cp_29_put_other_url_is_a_mismatch(start, empty):
    engine = start(Engine)
    at = add_ready(empty, engine.url)
    r = empty.client.put(at, json={"url": "http://127.0.0.1:9"})
    assert r.status_code == 400 and r.json() == {
        "error": f"URL mismatch: worker has URL '{engine.url}' but request body has 'http://127.0.0.1:9'. URL changes are not supported via PUT. Use DELETE + POST instead.",
        "code": "BAD_REQUEST"}


def test_cp_29_put_same_url_is_applied_and_defaults_return(start, empty):
    engine = start(Engine)
    at = add_ready(empty, engine.url, priority=7, cost=2.5, labels={"a": "1"}, bootstrap_port=8998)
    wid = at.rsplit("/", 1)[1]
    accepted(empty.client.put(at, json={"url": engine.url + "/", "priority": 57, "labels": {"b": "2"}}), wid)
    wait_until(lambda: empty.client.get(at).json()["priority"] == 57, seconds=4, what="replaced")
    w = settled(empty, at)
    assert w["id"] == wid and w["url"] == engine.url and w["cost"] == 1.0 and "bootstrap_port" not in w and w["status"] == "ready"
    assert w["labels"]["b"] == "2" and "a" not in w["labels"] and w["labels"]["served_model_name"] == "mock-model"
    assert empty.client.get("/workers").json()["workers"] == [w]
    assert empty.chat().status_code == 200


def test_put_keeps_the_key_and_null_clears_it(start, empty):  # decision 9
    engine = start(Engine)
    at = add_ready(empty, engine.url, api_key="w0rker-s3cret")
    empty.client.put(at, json={"url": engine.url, "priority": 1})
    wait_until(lambda: empty.client.get(at).json()["priority"] == 1, what="replaced")
    assert empty.client.get(at).json()["has_api_key"] is True
    empty.chat()
    assert engine_key(engine) == "Bearer w0rker-s3cret"
    empty.client.put(at, json={"url": engine.url, "priority": 2, "api_key": None})
    wait_until(lambda: empty.client.get(at).json()["priority"] == 2, what="replaced again")
    assert "has_api_key" not in empty.client.get(at).json()
    empty.chat()
    assert engine_key(engine) is None


class SlowToDescribe(ScriptedEngine):
    """Its /v1/models waits while `gate` is closed."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(lambda c, r: False)

    def _serve(self, connection):
        with connection:
            try:
                while (request := self.read_request(connection)) is not None:
                    if request.startswith(b"GET /v1/models"):
                        self.gate.wait(60)
                    body = json.dumps({"object": "list", "data": [{"id": "slow", "object": "model", "owned_by": "vllm"}]}).encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                    return
            except OSError:
                pass


def test_cp_30_the_older_of_two_puts_is_dropped(start, empty):
    engine = start(SlowToDescribe)
    at = add_ready(empty, engine.url)
    engine.gate.clear()
    assert empty.client.put(at, json={"url": engine.url, "priority": 1}).status_code == 202
    job = wait_until(lambda: empty.client.get(at).json().get("job_status"), what="a job")
    assert job["job_type"] == "AddWorker" and job["status"] in ("pending", "processing")
    assert empty.client.get(at).json()["priority"] == 50  # the old description serves
    assert empty.client.put(at, json={"url": engine.url, "priority": 2}).status_code == 202
    engine.gate.set()
    assert settled(empty, at)["priority"] == 2
    wait_until(lambda: "is no longer at revision 0, so the replacement was dropped" in empty.output(), what="told in the log")


def test_cp_30_a_put_that_a_patch_overtook_fails(start, empty):
    engine = start(SlowToDescribe)
    at = add_ready(empty, engine.url)
    wid = at.rsplit("/", 1)[1]
    engine.gate.clear()
    assert empty.client.put(at, json={"url": engine.url, "priority": 1}).status_code == 202
    assert empty.client.patch(at, json={"cost": 3}).status_code == 202
    w = empty.client.get(at).json()
    assert w["priority"] == 50 and w["cost"] == 3.0 and w["job_status"]["status"] == "failed"
    assert w["job_status"]["message"].endswith(f"Worker {wid} at {engine.url} is no longer at revision 0, so the replacement was dropped")
    assert empty.client.get("/workers").json()["workers"][0]["job_status"] == w["job_status"]
    engine.gate.set()
    assert empty.client.put(at, json={"url": engine.url, "priority": 4}).status_code == 202
    assert settled(empty, at)["priority"] == 4


def test_a_put_during_a_delete_is_refused_and_a_delete_ends_a_put(start, empty):
    engine = start(SlowToDescribe)
    at = add_ready(empty, engine.url)
    engine.gate.clear()
    assert empty.client.put(at, json={"url": engine.url}).status_code == 202
    assert empty.client.delete(at).status_code == 202
    r = empty.client.patch(at, json={})
    assert r.status_code in (404, 409) and (r.status_code == 404 or r.json()["code"] == "WORKER_DRAINING")
    wait_until(lambda: empty.client.get(at).status_code == 404, what="removed")
    engine.gate.set()


def test_cp_31_patch(start, empty):
    engine = start(Engine)
    at = add_ready(empty, engine.url, priority=7, bootstrap_port=8998, worker_type="prefill", resilience={"max_retries": 3}, http_pool={"timeout_secs": 9})
    wid = at.rsplit("/", 1)[1]
    before = empty.client.get(at).json()
    accepted(empty.client.patch(at, json={}), wid)
    assert empty.client.get(at).json() == before
    accepted(empty.client.patch(at, json={"labels": {"a": "1"}, "unknown": [1], "url": "http://other:1"}), wid)
    accepted(empty.client.patch(at, json={"labels": {"b": "2", "tp_size": None}, "priority": None, "api_key": None}), wid)
    accepted(empty.client.patch(at, json={"resilience": {"max_backoff_ms": 10}, "http_pool": {"connect_timeout_secs": 2}, "health": {"timeout_secs": 3}}), wid)
    w = empty.client.get(at).json()
    assert w["labels"]["a"] == "1" and w["labels"]["b"] == "2" and "tp_size" not in w["labels"]
    assert w["resilience"] == {"max_retries": 3, "max_backoff_ms": 10} and w["http_pool"] == {"timeout_secs": 9, "connect_timeout_secs": 2}
    assert {k: v for k, v in w.items() if k not in ("labels", "resilience", "http_pool", "health")} == {k: v for k, v in before.items() if k not in ("labels", "resilience", "http_pool")}
    accepted(empty.client.patch(at, json={"priority": 100, "cost": 0.5, "api_key": "k"}), wid)
    w = empty.client.get(at).json()
    assert w["priority"] == 100 and w["cost"] == 0.5 and w["has_api_key"] is True and w["status"] == "ready"
    accepted(empty.client.patch(at, json={"api_key": ""}), wid)
    assert "has_api_key" not in empty.client.get(at).json()


def test_patch_refuses_what_cannot_be(start, empty):
    at = add(empty, f"http://127.0.0.1:{free_port()}")
    for body, text in (({"priority": -1}, "priority: invalid value: integer `-1`, expected u32"), ({"labels": {"a": 1}}, "expected a string"), ({"labels": []}, "expected a map"),
                       ({"health": {"timeout_secs": "x"}}, "expected u64"), ({"api_key": 5}, "expected a string")):
        r = empty.client.patch(at, json=body)
        assert r.status_code == 422 and text in r.json()["error"]["message"], r.text
    for body in ({"cost": -1}, {"health": {"failure_threshold": 0}}, {"health": {"success_threshold": 0}}, {"api_key": "a\nb"}):
        r = empty.client.patch(at, json=body)
        assert r.status_code == 400 and r.json()["code"] == "BAD_REQUEST" and r.json()["error"].startswith("Invalid value for field"), r.text
    assert empty.client.patch(at, content=b"{}").status_code == 415
    assert empty.client.patch(at, json={"priority": 3}).status_code == 202  # a worker that is registering shows what it will be
    assert empty.client.get(at).json()["priority"] == 3


def test_cp_31_disabling_the_checks_makes_a_worker_ready(start):
    engine = start(Engine)
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-failure-threshold", "1", workers=[engine]).ready(1)
    at = "/workers/" + gateway.client.get("/workers").json()["workers"][0]["id"]
    engine.faults(unhealthy=True)
    wait_until(lambda: gateway.client.get(at).json()["status"] == "not_ready", what="taken out")
    assert gateway.client.patch(at, json={"health": {"disable_health_check": True}}).status_code == 202
    assert gateway.client.get(at).json()["status"] == "ready"
    assert gateway.client.get("/readiness").json()["healthy_workers"] == 1
    assert gateway.client.patch(at, json={"health": {"disable_health_check": False}}).status_code == 202
    wait_until(lambda: gateway.client.get(at).json()["status"] == "not_ready", what="taken out again")


def test_cp_32_a_failed_worker_goes_at_once(start):
    engine = start(Engine)
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-failure-threshold", "1", workers=[engine]).ready(1)
    at = "/workers/" + gateway.client.get("/workers").json()["workers"][0]["id"]
    engine.faults(unhealthy=True)
    wait_until(lambda: gateway.client.get(at).json()["status"] in ("not_ready", "failed"), what="taken out")
    assert gateway.client.delete(at).status_code == 202
    assert gateway.client.get(at).status_code == 404


def test_cp_concurrent_changes(start, empty):
    """POST, PUT, PATCH, DELETE and traffic on the same workers at once: nothing breaks, and what is left can be used."""
    engines = [start(Engine) for _ in range(3)]
    stop = threading.Event()
    unexpected = []

    def change(seed):
        with httpx.Client(base_url=empty.url, timeout=30 * SLOWNESS) as client:
            i = seed
            while not stop.is_set():
                i += 1
                url = engines[i % 3].url
                r = client.post("/workers", json={"url": url, "health": {"drain_settle_secs": i % 2}})
                if r.status_code not in (202, 409):
                    unexpected.append(r.text)
                wid = r.json()["worker_id"] if r.status_code == 202 else r.json()["error"].split(" with ID ")[1].split(".")[0]
                for r in (client.patch(f"/workers/{wid}", json={"priority": i, "labels": {"l": str(i)}}), client.put(f"/workers/{wid}", json={"url": url, "priority": i}),
                          client.get(f"/workers/{wid}"), client.get("/workers"), client.patch(f"/workers/{wid}", json={"health": {"check_interval_secs": 1 + i % 3}}),
                          client.delete(f"/workers/{wid}") if i % 4 == 0 else client.get(f"/workers/{wid}")):
                    if r.status_code not in (200, 202, 404, 409):
                        unexpected.append(r.text)

    def chat():
        with httpx.Client(base_url=empty.url, timeout=30 * SLOWNESS) as client:
            while not stop.is_set():
                r = client.post("/v1/chat/completions", json={"model": "mock-model", "messages": [{"role": "user", "content": "x"}]})
                if r.status_code not in (200, 404, 503):
                    unexpected.append(r.text)

    threads = [threading.Thread(target=change, args=(i,)) for i in range(3)] + [threading.Thread(target=chat) for _ in range(2)]
    for t in threads:
        t.start()
    time.sleep(3)
    stop.set()
    for t in threads:
        t.join()
    assert not unexpected, unexpected[:3]
    for e in engines:
        def up():
            r = empty.client.post("/workers", json={"url": e.url})
            return r.status_code == 409 and e.url in [w["url"] for w in empty.client.get("/workers").json()["workers"] if w["status"] == "ready"]
        wait_until(up, seconds=20, what="usable again")
    assert empty.chat().status_code == 200
    assert empty.loads() == [0, 0, 0]


class Ranked(ScriptedEngine):
    """An SGLang with data-parallel ranks; its requests are gathered. dp_size None: it does not say."""

    def __init__(self, dp_size):
        self.dp_size, self.healthy, self.hold = dp_size, True, threading.Event()
        self.hold.set()
        super().__init__(None)

    def _serve(self, connection):
        with connection:
            try:
                while (request := self.read_request(connection)) is not None:
                    status = b"200 OK"
                    if request.startswith(b"GET /health"):
                        body, status = b"{}", b"200 OK" if self.healthy else b"500 No"
                    elif request.startswith(b"GET /v1/models"):
                        body = json.dumps({"object": "list", "data": [{"id": "mock-model", "object": "model", "owned_by": "sglang"}]}).encode()
                    elif request.startswith(b"GET"):
                        body = json.dumps({"served_model_name": "mock-model"} | ({"dp_size": self.dp_size} if self.dp_size is not None else {})).encode()
                    else:
                        self.requests.append(request)
                        self.hold.wait(60)
                        body = b'{"id":"x","object":"chat.completion","created":1,"model":"mock-model","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
                    connection.sendall(b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
            except OSError:
                pass


@pytest.fixture
def dp_aware(start):
    return start(Gateway, "--dp-aware", "--policy", "round_robin", "--health-check-interval-secs", "1", "--health-failure-threshold", "1", "--health-success-threshold", "1")


def test_cp_44_ranks_are_workers(start, dp_aware):
    engine = start(Ranked, 4)
    at = add_ready(dp_aware, engine.url, labels={"a": "1"})
    ranks = dp_aware.client.get("/workers").json()["workers"]
    assert [w["url"] for w in ranks] == [f"{engine.url}@{i}" for i in range(4)]
    assert [(w["dp_base_url"], w["dp_rank"], w["dp_size"]) for w in ranks] == [(engine.url, i, 4) for i in range(4)]
    group = dp_aware.client.get(at).json()
    assert group["url"] == group["dp_base_url"] == engine.url and group["dp_size"] == 4 and "dp_rank" not in group
    assert len({group["id"], *(w["id"] for w in ranks)}) == 5
    for w in ranks:
        assert dp_aware.client.get(f"/workers/{w['id']}").json() == w
    assert dp_aware.client.get("/readiness").json()["healthy_workers"] == 4
    assert dp_aware.client.post("/workers", json={"url": engine.url}).status_code == 409

    for body in (b'{"model":"mock-model","messages":[{"role":"user","content":"x"}]}', b'{ "data_parallel_rank":99, "messages": [{"role":"user","content":"}"}] , "model":"mock-model" }\n') * 4:
        assert dp_aware.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"}).status_code == 200
        sent = engine.requests[-1].split(b"\r\n\r\n", 1)[1]
        assert sent.startswith(body[:body.rindex(b"}")]) and json.loads(sent)["data_parallel_rank"] in range(4)
    assert {json.loads(r.split(b"\r\n\r\n", 1)[1])["data_parallel_rank"] for r in engine.requests} == {0, 1, 2, 3}

    r = dp_aware.client.put(at, json={"url": engine.url})
    assert r.status_code == 400 and r.json()["error"] == f"Worker '{engine.url}' belongs to a data-parallel group. PUT is not supported for data-parallel workers. Use DELETE + POST instead."
    assert dp_aware.client.patch(f"/workers/{ranks[2]['id']}", json={"priority": 9}).status_code == 202
    after = dp_aware.client.get("/workers").json()["workers"]
    assert [(w["id"], w["url"], w["priority"], w["labels"]["a"]) for w in after] == [(w["id"], w["url"], 9, "1") for w in ranks]
    assert dp_aware.client.get(at).json()["priority"] == 9

    engine.healthy = False
    wait_until(lambda: dp_aware.client.get("/readiness").status_code == 503, what="all taken out together")
    assert {w["status"] for w in dp_aware.client.get("/workers").json()["workers"]} <= {"not_ready", "failed"}
    engine.healthy = True
    dp_aware.ready(4)
    assert dp_aware.client.delete(f"/workers/{ranks[3]['id']}").status_code == 202  # one rank: the whole group
    wait_until(lambda: dp_aware.client.get("/workers").json()["total"] == 0, what="removed together")
    for wid in (group["id"], *(w["id"] for w in ranks)):
        assert dp_aware.client.get(f"/workers/{wid}").status_code == 404


@pytest.mark.parametrize("dp_size", [None, 0, "abc"])
def test_cp_44_without_a_size_the_job_fails(start, dp_aware, dp_size):
    engine = start(Ranked, dp_size)
    at = add(dp_aware, engine.url)
    job = wait_until(lambda: (lambda j: j if j and j["status"] == "failed" else None)(dp_aware.client.get(at).json().get("job_status")), what="failed")
    assert "Failed to get DP info" in job["message"] and engine.url in job["message"]
    assert dp_aware.client.get("/workers").json()["total"] == 0
    engine.dp_size = 2
    assert dp_aware.client.post("/workers", json={"url": engine.url}).status_code == 202
    wait_until(lambda: dp_aware.client.get("/workers").json()["total"] == 2, what="registered")


@pytest.mark.waits  # a failed registration is tried again every 30 s
def test_ranks_that_could_not_be_told_are_asked_for_again(start):
    engine = start(Ranked, None)  # as one that is too busy loading to describe itself
    gateway = start(Gateway, "--dp-aware", workers=[engine])
    wait_until(lambda: "data-parallel worker not registered" in gateway.output(), what="failed")
    engine.dp_size = 2
    wait_until(lambda: gateway.client.get("/workers").json()["total"] == 2, seconds=40, what="registered")
    assert gateway.output().count("data-parallel worker not registered") == 1


def test_cp_32_a_group_drains_together(start, dp_aware):
    engine = start(Ranked, 2)
    at = add_ready(dp_aware, engine.url)
    engine.hold.clear()
    t = threading.Thread(target=dp_aware.chat)
    t.start()
    wait_until(lambda: sum(dp_aware.loads()) == 1, what="a request in flight")
    assert dp_aware.client.get(at).json()["load"] == 1
    assert dp_aware.client.delete(at).status_code == 202
    listed = dp_aware.client.get("/workers").json()["workers"]
    assert [w["status"] for w in listed] == ["draining", "draining"] and all(w["job_status"]["job_type"] == "RemoveWorker" for w in listed)
    engine.hold.set()
    t.join()
    wait_until(lambda: dp_aware.client.get("/workers").json()["total"] == 0, what="removed")


def test_the_pool_gauge_counts_by_type_and_ends_with_the_last_worker(start, empty):
    series = lambda kind: f'smg_worker_pool_size{{worker_type="{kind}",connection_mode="http",model="mock-model"}}'
    at = add_ready(empty, start(Engine).url, worker_type="prefill")
    add_ready(empty, start(Engine).url)
    wait_until(lambda: empty.metrics().get(series("prefill")) == empty.metrics().get(series("regular")) == 1, what="both pools")
    empty.client.delete(at)
    wait_until(lambda: series("prefill") not in empty.metrics(), what="the series ends")
    assert empty.metrics()[series("regular")] == 1


def test_a_patch_with_very_many_labels_is_refused_at_once(start, empty):
    at = add_ready(empty, start(Engine).url)
    began = time.monotonic()
    r = empty.client.patch(at, json={"labels": {f"{i:x}": "" for i in range(40000)}})
    assert r.status_code == 400 and r.json() == {"error": "Invalid value for field 'labels': more than 1024 of them", "code": "BAD_REQUEST"}
    assert time.monotonic() - began < 2 * SLOWNESS  # merging them kept the control thread, health checks included, for 20 s
