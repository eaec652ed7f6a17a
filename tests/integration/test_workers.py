"""The workers' part of the control plane (spec control-plane 7-11, 18, 20; the names carry the numbers of its test cases)."""
import json
import os
import socket
import time

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, ScriptedEngine, free_port, wait_until


@pytest.fixture
def empty(start):
    return start(Gateway)


def add(gateway, url, **members):
    return gateway.client.post("/workers", json={"url": url, **members})


def test_cp_25_32_33_a_worker_is_added_listed_and_removed(start, empty):
    assert empty.client.get("/workers").json() == {"workers": [], "total": 0, "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": 0}}
    engine = start(Engine)
    began = time.monotonic()
    r = add(empty, engine.url, labels={"a": "1"}, priority=7)
    assert r.status_code == 202
    body = r.json()
    assert list(body) == ["status", "worker_id", "url", "location", "message"]
    assert body["status"] == "accepted" and body["url"] == engine.url and body["message"] == "Worker addition queued for background processing"
    assert r.headers["location"] == body["location"] == f"/workers/{body['worker_id']}"
    wid = body["worker_id"]
    wait_until(lambda: empty.client.get(f"/workers/{wid}").json()["status"] == "ready", what="ready")
    assert time.monotonic() - began < 1 * SLOWNESS, "an engine that is up is ready in under a second"
    info = empty.client.get(f"/workers/{wid}").json()
    assert info["id"] == wid and info["model_id"] == "mock-model" and info["priority"] == 7 and info["is_healthy"] is True and info["load"] == 0
    assert info["labels"]["a"] == "1" and info["runtime_type"] == "sglang" and "job_status" not in info
    keys = list(info)
    assert keys[:4] == ["id", "model_id", "url", "models"] and keys[-3:] == ["is_healthy", "status", "load"]
    listed = empty.client.get("/workers").json()
    assert listed["total"] == 1 and listed["stats"]["regular_count"] == 1 and listed["workers"][0] == info
    assert add(empty, engine.url).status_code == 409
    r = empty.client.delete(f"/workers/{wid}")
    assert r.status_code == 202 and r.json()["message"] == "Worker removal queued for background processing"
    wait_until(lambda: empty.client.get(f"/workers/{wid}").status_code == 404, what="removed")
    again = add(empty, engine.url).json()["worker_id"]
    assert again != wid


def test_cp_25_26_a_second_post_joins_the_first(empty):
    url = f"http://127.0.0.1:{free_port()}"
    first, second = add(empty, url), add(empty, url)
    assert first.status_code == second.status_code == 202 and first.json()["worker_id"] == second.json()["worker_id"]
    placeholder = empty.client.get(first.headers["location"]).json()
    assert placeholder["status"] == "pending" and placeholder["is_healthy"] is False
    job = placeholder["job_status"]
    assert list(job) == ["job_type", "worker_url", "status", "message", "timestamp"] and job["job_type"] == "AddWorker" and job["status"] in ("pending", "processing")
    assert empty.client.delete(first.headers["location"]).status_code == 202  # cancels the registration
    wait_until(lambda: empty.client.get(first.headers["location"]).status_code == 404, what="cancelled")


def test_an_engine_that_starts_later_is_picked_up(start, empty):
    port = free_port()
    r = add(empty, f"http://127.0.0.1:{port}")
    time.sleep(1)
    start(Engine, port=port)
    up = time.monotonic()
    wait_until(lambda: empty.client.get(r.headers["location"]).json().get("status") == "ready", what="ready")
    assert time.monotonic() - up < 2 * SLOWNESS
    assert empty.chat().status_code == 200


def test_cp_34_the_model_filter_over_engines(start, empty):
    x, y = start(Engine, "--model", "x"), start(Engine, "--model", "y")
    add(empty, x.url), add(empty, y.url)
    empty.ready(2)
    ids = lambda q: [w["model_id"] for w in empty.client.get("/workers" + q).json()["workers"]]
    assert sorted(ids("")) == ["x", "y"] and ids("?model=x") == ["x"] and ids("?model=none") == []
    assert [m["id"] for m in empty.client.get("/v1/models").json()["data"]] == ["x", "y"]
    assert empty.chat(model="y").status_code == 200


def test_cp_32_draining_waits_for_the_request_in_flight(start):  # decision 10
    engine = start(Engine, "--tokens-per-second", "10", "--output-tokens", "20")
    gateway = start(Gateway, "--drain-settle-secs", "60", workers=[engine]).ready(1)
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={"model": "mock-model", "stream": True, "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}, timeout=60) as r:
        wid = gateway.client.get("/workers").json()["workers"][0]["id"]
        gateway.client.delete(f"/workers/{wid}")
        wait_until(lambda: gateway.client.get(f"/workers/{wid}").json().get("status") == "draining", what="draining")
        assert gateway.chat().status_code in (404, 503)
        assert b"".join(r.iter_raw()).endswith(b"data: [DONE]\n\n")
    wait_until(lambda: gateway.client.get(f"/workers/{wid}").status_code == 404, what="removed")


def test_a_removed_worker_keeps_no_connections(start):
    engine = start(Engine)
    gateway = start(Gateway, workers=[engine]).ready(1)
    for _ in range(4):
        assert gateway.chat().status_code == 200
    fds = lambda: len(os.listdir(f"/proc/{gateway.popen.pid}/fd"))
    before = fds()
    gateway.client.delete("/workers/" + gateway.client.get("/workers").json()["workers"][0]["id"])
    wait_until(lambda: gateway.client.get("/workers").json()["total"] == 0, what="removed")
    wait_until(lambda: fds() < before, seconds=5, what="kept connections closed")


def test_health_takes_a_sick_worker_out_and_brings_it_back(start):
    engines = [start(Engine), start(Engine)]
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-failure-threshold", "1", "--health-success-threshold", "1", workers=engines).ready(2)
    engines[0].faults(unhealthy=True)
    wait_until(lambda: gateway.client.get("/readiness").json()["healthy_workers"] == 1, seconds=8, what="one taken out")
    engines[0].faults(unhealthy=False)
    gateway.ready(2)


def test_urls_of_other_kinds_stay_pending_with_a_reason(empty):
    r = add(empty, "grpc://127.0.0.1:50051")
    assert r.status_code == 202
    message = wait_until(lambda: (empty.client.get(r.headers["location"]).json().get("job_status") or {}).get("message"), what="a reason")
    assert "gRPC" in message


def test_cp_35_a_secret_is_never_listed(start, empty):
    engine = start(Engine)
    r = add(empty, engine.url, api_key="w0rker-s3cret")
    empty.ready(1)
    assert "w0rker-s3cret" not in empty.client.get("/workers").text + empty.client.get(r.headers["location"]).text
    empty.chat()
    wait_until(lambda: any(q["path"] == "/v1/chat/completions" for q in engine.requests()))
    assert "w0rker-s3cret" not in empty.output()


def add_pipelined(gateway, urls, **members):
    """Adds workers, a hundred POSTs in flight on one connection."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as s:
        for i in range(0, len(urls), 100):
            bodies = [json.dumps({"url": u, **members}) for u in urls[i:i + 100]]
            s.sendall("".join(f"POST /workers HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: {len(b)}\r\n\r\n{b}" for b in bodies).encode())
            answers = b""
            while answers.count(b"background processing\"}") < len(bodies):
                part = s.recv(1 << 16)
                assert part, answers[-500:]
                answers += part
            assert answers.count(b"HTTP/1.1 202 ") == len(bodies)


@pytest.mark.slow
def test_a_list_of_4000_workers(empty):
    urls = [f"http://127.0.0.1:1/w{i}" for i in range(4000)]
    began = time.monotonic()
    add_pipelined(empty, urls, runtime="external", models=[{"id": "many"}])
    wait_until(lambda: empty.client.get("/readiness").json().get("healthy_workers") == 4000, what="all are ready")
    assert time.monotonic() - began < 10 * SLOWNESS
    began = time.monotonic()
    listed = empty.client.get("/workers").json()
    assert time.monotonic() - began < 1 * SLOWNESS
    assert [w["url"] for w in listed["workers"]] == urls and listed["total"] == listed["stats"]["regular_count"] == 4000
    assert [m["id"] for m in empty.client.get("/v1/models").json()["data"]] == ["many"]


@pytest.mark.slow
@pytest.mark.native
def test_4000_workers_register_in_time(start, empty):
    engine = start(Engine, host="0.0.0.0")  # every address of 127/8 is this machine: thousands of workers, one engine
    urls = [f"http://127.1.{i // 250}.{1 + i % 250}:{engine.port}" for i in range(4000)]
    began = time.monotonic()
    for i in range(0, 4000, 500):  # a thousand jobs at most wait or run at one time
        add_pipelined(empty, urls[i:i + 500], health={"check_interval_secs": 60})
        wait_until(lambda: empty.client.get("/readiness").json().get("healthy_workers", 0) >= i + 100, seconds=30, what="most are ready")
    wait_until(lambda: empty.client.get("/readiness").json()["healthy_workers"] == 4000, seconds=30, what="all are ready")
    took = time.monotonic() - began
    print(f"4000 workers registered in {took:.1f} s")
    assert took < 30
    times = []
    for _ in range(5):
        t = time.monotonic()
        r = empty.client.get("/workers")
        times.append(time.monotonic() - t)
    print(f"GET /workers: {min(times) * 1000:.1f} ms, {len(r.content)} bytes")
    assert r.json()["total"] == 4000
