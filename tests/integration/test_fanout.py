"""Questions to many workers: cache, loads, profile, metrics, models (spec control-plane 15, 16, 18.11, 18.12; the numbers are the cases of its section 20)."""
import asyncio
import collections
import http.server
import pathlib
import re
import signal
import subprocess
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, wait_until

METRICS = "# HELP http_requests_total The total number of HTTP requests.\n# TYPE http_requests_total counter\n"


class Fake:
    """An engine of a few fixed answers: {"GET /path": (status, body) or a function(handler)}. What it was asked stands in `asked`: (line, authorization, body)."""

    def __init__(self, answers=None, model="m", speaks="sglang"):
        fake = self
        self.asked, self.hangs, self.left = [], threading.Event(), threading.Event()
        self.answers = {"GET /health": (200, "ok"),
                        "GET /v1/models": (200, '{"object":"list","data":[{"id":"%s","object":"model","owned_by":"%s"}]}' % (model, speaks)),
                        **(answers or {})}
        if speaks == "sglang":
            self.answers.setdefault("GET /server_info", (200, '{"model_path":"%s","served_model_name":"%s","version":"0.5"}' % (model, model)))
            self.answers.setdefault("GET /model_info", (200, '{"model_path":"%s","is_generation":true}' % model))
        if speaks == "vllm":
            self.answers.setdefault("GET /version", (200, '{"version":"0.9"}'))

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                n = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(n).decode()
                line = f"{self.command} {self.path.split('?')[0]}"
                fake.asked.append((line, self.headers.get("authorization"), body))
                what = fake.answers.get(line, (404, "no"))
                if callable(what):
                    return what(self)
                status, text = what
                self.send_response(status)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = answer

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hang(self, handler):
        """Says nothing until the other side leaves."""
        self.hangs.set()
        handler.connection.settimeout(60)
        try:
            if handler.connection.recv(1) == b"":
                self.left.set()
        except OSError:
            self.left.set()
        handler.close_connection = True

    def count(self, line):
        return sum(1 for asked in self.asked if asked[0] == line)

    # what `start` needs of a process
    args = ["fake engine"]

    def running(self):
        return True

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        return 0

    def output(self):
        return ""


@pytest.fixture
def empty(start):
    return start(Gateway)


def loads(gateway, *engines):
    """What /get_loads says of each."""
    rows = {w["worker"]: w for w in gateway.client.get("/get_loads").json()["workers"]}
    return [rows[e.url] for e in engines]


def flushed(http, ok):
    return {"workers_flushed": ok, "total_http_workers": http, "total_grpc_workers": 0, "total_zmq_workers_skipped": 0, "total_workers": http}


def test_cp_75_nobody_to_flush_and_no_loads(empty):
    r = empty.client.post("/flush_cache")
    assert r.status_code == 200
    assert r.text == ('{"status":"success","message":"No workers available for cache flush","workers_flushed":0,"total_http_workers":0,'
                      '"total_grpc_workers":0,"total_zmq_workers_skipped":0,"total_workers":0}')
    assert empty.client.get("/get_loads").text == '{"workers":[]}'


def test_cp_75_all_flushed_and_loads_shown(gateway, engines):
    r = gateway.client.post("/flush_cache")
    assert (r.status_code, r.json()) == (200, {"status": "success", "message": "Successfully flushed cache on all 2 workers", **flushed(2, 2)})
    workers = loads(gateway, *engines)
    details = workers[0]["details"]
    assert workers[0]["load"] == details["loads"][0]["num_used_tokens"] and details["dp_rank_count"] == 1 and details["timestamp"]
    assert list(details["loads"][0]) == ["dp_rank", "num_running_reqs", "num_waiting_reqs", "num_waiting_uncached_tokens", "num_total_reqs", "num_used_tokens",
                                         "max_total_num_tokens", "token_usage", "gen_throughput", "cache_hit_rate", "utilization", "max_running_requests"]


def test_cp_75_partial_failure_and_nothing_but_failure(start, engines):
    broken = start(Fake, {"POST /flush_cache": (500, "no")})
    gateway = start(Gateway, workers=[engines[0], broken]).ready(2)
    r = gateway.client.post("/flush_cache")
    failed = [{"worker": broken.url, "error": f"flush_cache failed for worker {broken.url}/flush_cache: HTTP 500 Internal Server Error"}]
    assert (r.status_code, r.json()) == (206, {"status": "partial_success", "message": "Cache flush: 1 succeeded, 1 failed", **flushed(2, 1),
                                               "successful": [engines[0].url], "failed": failed})
    engines[0].stop()
    r = gateway.client.post("/flush_cache")
    assert r.status_code == 206 and r.json()["status"] == "error"
    failed = {f["worker"]: f["error"] for f in r.json()["failed"]}
    assert set(failed) == {engines[0].url, broken.url} and "connection refused" in failed[engines[0].url]


class Fleet:
    """One listener on all of 127.0.0.0/8 that plays an engine at each address; `flushed` says how often each was asked to flush."""

    ANSWERS = {b"GET /health": b"ok", b"GET /v1/models": b'{"data":[{"id":"m","owned_by":"sglang"}]}', b"POST /flush_cache": b"ok",
               b"GET /server_info": b'{"model_path":"m","served_model_name":"m","version":"0.5"}', b"GET /model_info": b'{"model_path":"m","is_generation":true}'}
    args = ["fleet"]

    class Connection(asyncio.Protocol):
        def __init__(self, fleet):
            self.fleet, self.got = fleet, b""

        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.got += data
            while b"\r\n\r\n" in self.got:
                head, self.got = self.got.split(b"\r\n\r\n", 1)
                line = b" ".join(head.split(b" ", 2)[:2]).split(b"?")[0]
                if line == b"POST /flush_cache":
                    self.fleet.flushed[head.lower().split(b"\r\nhost: ", 1)[1].split(b"\r\n", 1)[0].decode()] += 1
                body = Fleet.ANSWERS.get(line)
                status = b"404 Not Found" if body is None else b"200 OK"
                self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body or b""), body or b""))

    def __init__(self):
        self.flushed = collections.Counter()
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(self.loop.create_server(lambda: Fleet.Connection(self), "0.0.0.0", 0, backlog=4096))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def urls(self, n):
        return [f"http://127.{10 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{self.port}" for i in range(n)]

    def running(self):
        return True

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.server.close()
        return 0

    def output(self):
        return ""


def resident_kb(process):
    """What the process has in memory, and the most that it ever had."""
    status = pathlib.Path(f"/proc/{process.popen.pid}/status").read_text()
    return [int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) for key in ("VmRSS", "VmHWM")]


@pytest.mark.slow
@pytest.mark.native
def test_cp_75_flush_of_4000_workers(start):
    n = 4000
    fleet = start(Fleet)
    gateway = start(Gateway, "--disable-health-check")
    for url in fleet.urls(n):
        assert gateway.client.post("/workers", json={"url": url, "models": [{"id": "m"}]}).status_code == 202
    wait_until(lambda: gateway.client.get("/readiness").json().get("healthy_workers") == n, seconds=60, what="4,000 ready workers")
    before, _ = resident_kb(gateway)
    began = time.monotonic()
    r = gateway.client.post("/flush_cache")
    took = time.monotonic() - began
    _, most = resident_kb(gateway)
    print(f"flush of {n} workers: {took:.2f} s, {most - before} kB")
    assert r.status_code == 200 and r.json() == {"status": "success", "message": f"Successfully flushed cache on all {n} workers", **flushed(n, n)}
    assert len(fleet.flushed) == n and set(fleet.flushed.values()) == {1}
    assert took < 30 and most - before < 16 * 1024


def test_cp_76_profile(start, empty):
    nobody = {"status": "error", "message": "No workers available for profiling", "workers_profiled": 0, "total_workers": 0}
    r = empty.client.post("/start_profile")
    assert (r.status_code, r.json()) == (404, nobody)
    fake, other = start(Fake, {"POST /start_profile": (200, "ok"), "POST /stop_profile": (200, "ok")}), start(Fake, {"POST /start_profile": (500, "")})
    gateway = start(Gateway, workers=[fake, other]).ready(2)
    r = gateway.client.post("/start_profile", content=b"not json, and no content type")
    assert (r.status_code, r.json()["message"]) == (206, "Profile start: 1 succeeded, 1 failed")
    assert [a[2] for a in fake.asked if a[0] == "POST /start_profile"] == ['{"profile_by_stage":false}']
    r = gateway.client.post("/start_profile", json={"url": fake.url, "num_steps": 3, "activities": ["CPU"], "with_stack": None})
    assert (r.status_code, r.text) == (200, '{"status":"success","message":"Successfully started profiling on all 1 workers","workers_profiled":1,"total_workers":1}')
    assert fake.asked[-1][2] == '{"num_steps":3,"activities":["CPU"],"profile_by_stage":false}'
    r = gateway.client.post("/stop_profile", json={"url": "http://x"})
    assert (r.status_code, r.json()["message"]) == (404, "No worker matching url 'http://x'")
    assert gateway.client.post("/stop_profile", json={"url": fake.url}).json()["message"] == "Successfully stopped profiling on all 1 workers"
    assert fake.asked[-1][2] == ""
    plain = {"content-type": "text/plain"}
    assert gateway.client.post("/start_profile", content=b"{}", headers=plain).status_code == 415
    assert gateway.client.post("/start_profile", content=b"", headers={"content-type": "application/json"}).status_code == 400
    assert gateway.client.post("/start_profile", json={"num_steps": "x"}).status_code == 422


def test_cp_77_vllm_needs_its_kv_gauge(start):
    without = start(Fake, {"GET /metrics": (200, "vllm:num_requests_running 3\n")}, speaks="vllm")
    with_it = start(Fake, {"GET /metrics": (200, 'vllm:num_requests_running{e="0"} 3\nvllm:num_requests_running{e="1"} 4\n'
                                                 'vllm:kv_cache_usage_perc{e="0"} 0.25\nvllm:kv_cache_usage_perc{e="1"} 0.75\nbroken line\n')}, speaks="vllm")
    gateway = start(Gateway, workers=[without, with_it]).ready(2)
    one, two = loads(gateway, without, with_it)
    assert one == {"worker": without.url, "load": -1}
    assert two["load"] == -1 and two["details"]["timestamp"] == "" and two["details"]["dp_rank_count"] == 1
    load = two["details"]["loads"][0]
    assert (load["num_running_reqs"], load["token_usage"]) == (7, 0.5)


def test_cp_77_sglang_falls_back_to_its_metrics(start):
    engine = start(Fake, {"GET /metrics": (200, "sglang:token_usage 0.5\nsglang_num_running_reqs 2\n")})
    gateway = start(Gateway, workers=[engine]).ready(1)
    worker, = gateway.client.get("/get_loads").json()["workers"]
    assert worker["load"] == -1 and worker["details"]["loads"][0]["num_running_reqs"] == 2
    assert engine.count("GET /v1/loads") == 1


def test_cp_78_engine_metrics_are_merged(start, empty):
    r = empty.client.get("/engine_metrics")
    assert (r.status_code, r.json()["error"]["message"]) == (500, "No available workers")
    a = start(Fake, {"GET /metrics": (200, METRICS + 'http_requests_total{method="post",code="200"} 1027\nlm:x{url="http://a:1"} 1.0\n')})
    b = start(Fake, {"GET /metrics": (200, METRICS + 'http_requests_total{method="post",code="200"} 500\n')})
    c = start(Fake, {"GET /metrics": (200, "invalid metrics text")})
    d = start(Fake)
    gateway = start(Gateway, workers=[a, b, c, d]).ready(4)
    r = gateway.client.get("/engine_metrics")
    assert r.status_code == 200 and r.headers["content-type"] == "text/plain; charset=utf-8"
    lines = r.text.splitlines()
    assert lines.count("# TYPE http_requests_total counter") == 1 and sum(line.startswith("# HELP http_requests_total") for line in lines) == 1
    samples = [f'http_requests_total{{code="200",method="post",worker_addr="{e.url}"}} {n}' for e, n in ((a, 1027), (b, 500))]
    assert set(samples) <= set(lines)
    assert f'lm_x{{url="http://a:1",worker_addr="{a.url}"}} 1' in lines
    check = subprocess.run(["promtool", "check", "metrics"], input=r.text, text=True, capture_output=True)
    assert check.returncode in (0, 3), check.stderr  # 1: it cannot be parsed; 3: hints about how engines name their metrics, which is theirs to decide
    for engine in (a, b, c):
        engine.answers["GET /metrics"] = (500, "")
    r = gateway.client.get("/engine_metrics")
    assert (r.status_code, r.json()["error"]["message"]) == (500, "All backend requests failed")


def test_cp_78_a_family_of_two_types_is_named(start):
    fakes = [start(Fake, {"GET /metrics": (200, f"# TYPE x {kind}\nx 1\n")}) for kind in ("counter", "gauge")]
    gateway = start(Gateway, workers=fakes).ready(2)
    r = gateway.client.get("/engine_metrics")
    assert r.status_code == 500 and r.json()["error"]["message"].startswith("Failed to aggregate metrics: x is a ")


def test_cp_79_readiness_reasons(start, empty):
    r = empty.client.get("/readiness")
    assert (r.status_code, r.text) == (503, '{"status":"not ready","reason":"insufficient healthy workers"}')
    engine = start(Engine)
    gateway = start(Gateway, "--shutdown-grace-period-secs", "5", workers=[engine]).ready(1)
    assert gateway.client.get("/readiness").text == '{"status":"ready","healthy_workers":1,"total_workers":1}'


def test_cp_79_draining_beats_the_other_reasons(start):
    gateway = start(Gateway, grace=60)
    reason = lambda: httpx.get(gateway.url + "/readiness").json()["reason"]
    assert reason() == "insufficient healthy workers"
    gateway.kill(signal.SIGTERM)
    wait_until(lambda: reason() == "draining", what="draining, with no worker either")
    gateway.kill(signal.SIGTERM)
    assert gateway.wait() == 128 + signal.SIGTERM


def test_cp_80_models(start, empty):
    r = empty.client.get("/v1/models")
    assert (r.status_code, r.json()["error"]["message"]) == (503, "No models available")
    gateway = start(Gateway, workers=[start(Fake), start(Fake)]).ready(2)
    want = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "self_hosted"}]}
    assert gateway.client.get("/v1/models").json() == want
    assert gateway.client.get("/v1/models", headers={"authorization": "Bearer sk-foreign"}).json() == want


def provider_asks(fake, token):
    return sum(1 for line, authorization, _ in fake.asked if line == "GET /v1/models" and authorization == f"Bearer {token}")


def add_provider(gateway, fake):
    r = gateway.client.post("/workers", json={"url": fake.url, "runtime": "external", "provider": "openai", "models": [{"id": "gpt-x"}]},
                            headers={"authorization": "Bearer ours"})
    assert r.status_code == 202, r.text


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_cp_80_a_foreign_token_asks_each_provider_once(start, header):
    provider = start(Fake, {"GET /v1/models": (200, '{"data":[{"id":"b"},{"id":"a"},{"id":"b"}]}')}, speaks="openai")
    gateway = start(Gateway)
    add_provider(gateway, provider)
    gateway.ready(1)
    value = "bearer sk-mine" if header == "authorization" else "sk-mine"
    r = gateway.client.get("/v1/models", headers={header: value})
    assert [m["id"] for m in r.json()["data"]] == ["b", "a"] and r.json()["data"][0]["owned_by"] == "openai"
    assert provider_asks(provider, "sk-mine") == 1


OURS = {"serving": ("--api-key", "ours"), "tenant": ("--api-key", "ours", "--tenant-api-key", "red:r3d"), "control": ("--control-plane-api-keys", "a::admin:ours")}


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
@pytest.mark.parametrize("kind", OURS)
def test_cp_80_our_own_keys_never_leave_and_theirs_still_do(start, header, kind):
    provider = start(Fake, {"GET /v1/models": (200, '{"data":[{"id":"b"}]}')}, speaks="openai")
    gateway = start(Gateway, *OURS[kind])
    add_provider(gateway, provider)
    gateway.ready(1)
    ours = "r3d" if kind == "tenant" else "ours"
    for value in (f"Bearer {ours}", f"bearer  {ours}", f"Bearer Bearer {ours}") if header == "authorization" else (ours,):
        assert [m["id"] for m in gateway.client.get("/v1/models", headers={header: value}).json()["data"]] == ["gpt-x"]
    both = {"authorization": "Bearer sk-other", "x-api-key": ours}
    assert [m["id"] for m in gateway.client.get("/v1/models", headers=both).json()["data"]] == ["gpt-x"]
    assert not any(ours in (authorization or "") for _, authorization, _ in provider.asked)
    value = "Bearer sk-mine" if header == "authorization" else "sk-mine"
    assert [m["id"] for m in gateway.client.get("/v1/models", headers={header: value}).json()["data"]] == ["b"]
    assert provider_asks(provider, "sk-mine") == 1 and provider_asks(provider, "sk-other") == 0


def test_16_3_info_is_asked_of_engines_with_their_own_key(start):
    engine = start(Fake, {f"GET {path}": (200, path) for path in ("/health_generate", "/get_server_info", "/get_model_info")})
    gateway = start(Gateway)
    assert gateway.client.post("/workers", json={"url": engine.url, "api_key": "the-engines"}).status_code == 202
    provider = start(Fake, speaks="openai")
    add_provider(gateway, provider)
    gateway.ready(2)
    for path in ("/health_generate", "/get_server_info", "/get_model_info"):
        for _ in range(3):
            assert gateway.client.get(path, headers={"authorization": "Bearer theirs"}).text == path
        assert [a[1] for a in engine.asked if a[0] == f"GET {path}" and a[1] != "Bearer the-engines"] == []
        assert provider.count(f"GET {path}") == 0
    engine.answers["GET /get_model_info"] = (418, "an answer of its own")
    r = gateway.client.get("/get_model_info")
    assert (r.status_code, r.text) == (418, "an answer of its own")
    engine.stop()
    r = gateway.client.get("/get_model_info")
    assert r.status_code in (502, 503) and r.json()["error"]["code"] == r.headers["x-smg-error-code"] and "127.0.0.1" not in r.text


def test_16_3_a_fleet_of_providers_tells_of_itself(start):
    gateway = start(Gateway)
    provider = start(Fake, speaks="openai")
    add_provider(gateway, provider)
    gateway.ready(1)
    r = gateway.client.get("/health_generate")
    assert (r.status_code, r.text) == (200, "OK - 1 workers healthy")
    assert gateway.client.get("/get_server_info").json() == {"router_type": "openai", "total_workers": 1, "external_workers": 1, "healthy_workers": 1,
                                                             "total_models": 1, "worker_urls": [provider.url]}
    r = gateway.client.get("/get_model_info")
    assert r.status_code == 501 and r.json()["error"]["code"] == "not_implemented"


def test_a_client_that_leaves_ends_the_questions(start):
    engine = start(Fake)
    engine.answers["POST /flush_cache"] = engine.hang
    gateway = start(Gateway, workers=[engine]).ready(1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(gateway.url + "/flush_cache", timeout=0.5 * SLOWNESS)
    assert engine.hangs.is_set()
    wait_until(engine.left.is_set, what="the engine sees the close")


def test_a_worker_that_hangs_costs_its_deadline_only(start, engines):
    engine = start(Fake)
    engine.answers["GET /v1/loads"] = engine.hang
    gateway = start(Gateway, workers=[engine, engines[0]]).ready(2)
    began = time.monotonic()
    one, two = loads(gateway, engine, engines[0])
    assert 4 < time.monotonic() - began < 8 * SLOWNESS
    assert one == {"worker": engine.url, "load": -1} and "details" in two
    assert engine.count("GET /metrics") == 0


def flush_quietly(gateway):
    try:
        httpx.post(gateway.url + "/flush_cache", timeout=30)
    except httpx.HTTPError:
        pass


def test_the_gateway_still_serves_while_workers_hang_and_ends_in_time(start):
    engine = start(Fake)
    engine.answers["POST /flush_cache"] = engine.hang
    gateway = start(Gateway, workers=[engine], grace=1).ready(1)
    threading.Thread(target=flush_quietly, args=(gateway,), daemon=True).start()
    wait_until(engine.hangs.is_set, what="the flush reaches the engine")
    assert gateway.client.get("/health").text == "OK"
    assert gateway.stop() == 0


def test_engine_metrics_gauges_come_and_go_with_the_worker(start):
    engine = start(Engine)
    gateway = start(Gateway, "--engine-metrics", "--load-monitor-interval", "1", workers=[engine]).ready(1)
    series = f'smg_engine_running_requests{{worker="{engine.url}",model="mock-model",dp_rank="0"}}'
    wait_until(lambda: series in gateway.metrics(), what="the gauge")
    worker = gateway.client.get("/workers").json()["workers"][0]["id"]
    gateway.client.delete(f"/workers/{worker}")
    wait_until(lambda: series not in gateway.metrics(), what="the end of the gauge")
