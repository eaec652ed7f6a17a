"""How a worker comes in: every kind of server, servers that misbehave, providers, health (spec control-plane 9, 11.2, 18.3; decision 9).

The numbers in names are the cases of the spec's section 20. Small servers in Python play what the mock engine does not.
"""
import http.server
import json
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, free_port, wait_until

HANG = object()
added = []  # of the running test


def models(*entries):
    return {"object": "list", "data": [{"object": "model", **e} for e in entries]}


class Server:
    """Answers GETs by a table: path -> body (200), status, (status, body), or HANG; `other` answers the rest. POSTs get a small reply, or that of `posts`."""

    def __init__(self, table, other=404, port=0):
        self.table, self.posts, self.other, self.requests, self.over = dict(table), {}, other, [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def send(self, answer):
                if answer is HANG:
                    outer.over.wait(60)
                    return
                status, body = answer if isinstance(answer, tuple) else (answer, "") if isinstance(answer, int) else (200, answer)
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                outer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, time.monotonic()))
                self.send(outer.table.get(self.path, outer.other))

            def stream(self):
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                while not outer.over.wait(0.1):
                    self.wfile.write(b'data: {"choices":[]}\n\n')

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, time.monotonic()))
                if b'"stream": true' in body or b'"stream":true' in body:
                    self.stream()
                    return
                self.send(outer.posts.get(self.path, {"id": "x", "object": "chat.completion", "choices": []}))

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):  # a peer that went away
                pass

        self.http = Quiet(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    args = ["server"]

    def running(self):
        return False

    def stop(self):
        self.over.set()
        self.http.shutdown()
        self.http.server_close()
        return 0

    def asked(self, path):
        return [headers for at, headers, _ in self.requests if at == path]


@pytest.fixture(scope="module")
def shared():
    gateway = Gateway(grace=0)
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def empty(shared):
    """One gateway for all tests that need no flags; what a test added leaves with it."""
    added.clear()
    yield shared
    for at in added:
        shared.client.delete(at)
    wait_until(lambda: all(shared.client.get(at).status_code == 404 for at in added), what="an empty gateway")


def add(gateway, url, **members):
    r = gateway.client.post("/workers", json={"url": url, **members})
    assert r.status_code == 202, r.text
    added.append(r.headers["location"])
    return added[-1]


def info(gateway, at):
    return gateway.client.get(at).json()


def job(gateway, at):
    return info(gateway, at).get("job_status") or {}


def ready(gateway, at, seconds=10):
    return wait_until(lambda: (lambda w: w["status"] == "ready" and w)(info(gateway, at)), seconds=seconds, what="ready")


def failed(gateway, at, seconds=10):
    return wait_until(lambda: job(gateway, at).get("status") == "failed" and job(gateway, at)["message"], seconds=seconds, what="a failed job")


# ---- kinds of servers ----

LM_STUDIO_ERROR = {"error": "Unexpected endpoint or method. (GET /somewhere)"}
KINDS = {
    "sglang": (({"/health": "", "/v1/models": models({"id": "m", "owned_by": "sglang", "root": "org/m"}), "/server_info": {"model_path": "org/m", "tp_size": 2}}, 404), "sglang"),
    "vllm": (({"/health": "", "/v1/models": models({"id": "m", "owned_by": "vllm", "root": "org/m", "max_model_len": 4096}), "/version": {"version": "0.11"}}, 404), "vllm"),
    "trtllm": (({"/health": "", "/v1/models": models({"id": "m", "owned_by": "trtllm"})}, 404), "trtllm"),
    "llama.cpp": (({"/health": {"status": "ok"}, "/v1/models": {"models": [{"name": "m"}], **models({"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 8192}})}, "/props": {}}, (404, {"error": {"code": 404}})), "sglang"),
    "ollama": (({"/": "Ollama is running", "/v1/models": models({"id": "m", "owned_by": "library"}), "/api/version": {"version": "0.12"}}, (404, "404 page not found")), "sglang"),
    "lm-studio": (({"/v1/models": models({"id": "m", "owned_by": "organization_owner"})}, LM_STUDIO_ERROR), "sglang"),
    "tgi": (({"/health": "", "/v1/models": models({"id": "m", "owned_by": "org/m"}), "/info": {"model_id": "org/m"}}, 404), "sglang"),
    "wrong-method": (({"/v1/models": models({"id": "m"})}, 405), "sglang"),
    "errors": (({"/health": "", "/v1/models": models({"id": "m"})}, 500), "sglang"),
    "pages": (({"/v1/models": models({"id": "m"})}, "<!doctype html><title>chat</title>"), "sglang"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_is_ready_soon_and_takes_requests(start, empty, kind):
    (table, other), runtime = KINDS[kind]
    server = start(Server, table, other)
    began = time.monotonic()
    worker = ready(empty, add(empty, server.url))
    assert time.monotonic() - began < 3 * SLOWNESS
    assert worker["model_id"] == "m" and worker["runtime_type"] == runtime
    assert empty.chat(model="m").status_code == 200


@pytest.mark.parametrize("runtime,found", [("sglang", "sglang"), ("vllm", "vllm"), ("trtllm", "trtllm"), ("mlx", "mlx"), ("tokenspeed", "tokenspeed"), ("llamacpp", "sglang"), ("ollama", "sglang")])
def test_cp_38_the_mock_engine_as_each_kind_is_ready_in_under_a_second(start, empty, runtime, found):
    engine = start(Engine, "--runtime", runtime)
    began = time.monotonic()
    worker = ready(empty, add(empty, engine.url))
    assert time.monotonic() - began < 1 * SLOWNESS
    assert worker["runtime_type"] == found and worker["model_id"] == "mock-model"
    assert empty.chat().status_code == 200


@pytest.mark.parametrize("owner,version,server_info,found", [("nvidia", None, None, "sglang"), ("me", {"version": "1"}, None, "vllm"), ("me", None, {"version": "1"}, "sglang"), ("me", {"version": "1"}, {"version": "1"}, "vllm")])
def test_cp_38_engines_are_told_apart(start, empty, owner, version, server_info, found):
    table = {"/health": "", "/v1/models": models({"id": "m", "owned_by": owner}), "/version": version or 404, "/server_info": server_info or 404}
    assert ready(empty, add(empty, start(Server, table).url))["runtime_type"] == found


@pytest.mark.parametrize("table,model", [
    ({"/health": "", "/v1/models": HANG, "/server_info": {"model_path": "m"}}, "m"),
    ({"/health": "", "/v1/models": models({"id": "m"})}, "m"),
    ({"/health": ""}, None),
], ids=["models", "information", "all-but-health"])
def test_servers_whose_endpoints_hang_are_ready_in_under_five_seconds(start, empty, table, model):
    server = start(Server, table, HANG)
    began = time.monotonic()
    worker = ready(empty, add(empty, server.url))
    assert time.monotonic() - began < 5 * SLOWNESS
    assert worker.get("model_id") == model


@pytest.mark.parametrize("status", [404, 405, 500])
def test_a_server_that_only_says_it_is_well_serves_any_model(start, empty, status):
    began = time.monotonic()
    worker = ready(empty, add(empty, start(Server, {"/health": ""}, status).url))
    assert time.monotonic() - began < 5 * SLOWNESS
    assert "model_id" not in worker and empty.chat(model="whatever").status_code == 200


def test_an_engine_without_health_that_starts_later_is_picked_up_within_two_seconds(start, empty):
    port = free_port()
    at = add(empty, f"http://127.0.0.1:{port}")
    wait_until(lambda: job(empty, at).get("status") == "processing", what="its turn")
    server = start(Server, {"/v1/models": 503}, 404, port)
    wait_until(lambda: server.asked("/v1/models"), what="first probe")
    server.table["/v1/models"] = models({"id": "m"})
    up = time.monotonic()
    ready(empty, at)
    assert time.monotonic() - up < 2 * SLOWNESS


def test_an_engine_that_says_that_it_is_starting_is_waited_for(start, empty):
    server = start(Server, {"/health": "", "/v1/models": 503, "/server_info": 503, "/model_info": 503})
    at = add(empty, server.url)
    wait_until(lambda: len(server.asked("/v1/models")) >= 6, what="patience")
    assert info(empty, at)["status"] == "pending"
    server.table["/v1/models"] = models({"id": "late", "owned_by": "sglang"})
    assert ready(empty, at)["model_id"] == "late"


def test_a_worker_whose_list_of_models_was_slow_takes_its_share_later(start):
    listed = models({"id": "m", "owned_by": "sglang"})
    known, slow = start(Server, {"/health": "", "/v1/models": listed}), start(Server, {"/health": "", "/v1/models": HANG})
    gateway = start(Gateway, "--policy", "round_robin")
    ready(gateway, add(gateway, known.url))
    at = add(gateway, slow.url, health={"check_interval_secs": 1})
    assert "model_id" not in ready(gateway, at)
    assert [gateway.chat(model="m").status_code for _ in range(4)] == [200] * 4 and not slow.asked("/v1/chat/completions")
    assert "list of models did not come" in gateway.output()
    for priority, change in ((7, lambda: gateway.client.patch(at, json={"priority": 7})), (8, lambda: gateway.client.put(at, json={"url": slow.url, "priority": 8, "health": {"check_interval_secs": 1}}))):
        before = len(slow.asked("/v1/models"))
        wait_until(lambda: len(slow.asked("/v1/models")) > before, what="the question")  # it hangs for a second: an operator comes in between, and nobody tells him of it
        assert change().status_code == 202
        wait_until(lambda: info(gateway, at)["priority"] == priority and not job(gateway, at), what="the change")
    assert "dropped" not in gateway.output()
    slow.table["/v1/models"] = listed
    wait_until(lambda: info(gateway, at).get("model_id") == "m", what="its model")
    assert [gateway.chat(model="m").status_code for _ in range(4)] == [200] * 4 and len(slow.asked("/v1/chat/completions")) == 2


# ---- probes ----

def test_every_probe_carries_the_key_and_the_health_path_is_the_configured_one(start):
    gateway = start(Gateway, "--health-check-endpoint", "/ready", grace=0)
    server = start(Server, {"/ready": "", "/v1/models": models({"id": "m"}), "/version": 404})
    ready(gateway, add(gateway, server.url, api_key="wk"))
    assert server.asked("/ready") and not server.asked("/health")
    assert {"/v1/models", "/version", "/server_info", "/get_server_info", "/model_info", "/get_model_info"} <= {path for path, _, _ in server.requests}
    assert all(headers.get("authorization") == "Bearer wk" for _, headers, _ in server.requests)


def test_a_declared_engine_is_not_asked_which_it_is(start, empty):  # 9.2: no useless probes
    server = start(Server, {"/health": "", "/v1/models": models({"id": "m", "owned_by": "vllm"})})
    worker = ready(empty, add(empty, server.url, runtime="sglang"))
    assert worker["runtime_type"] == "sglang" and not server.asked("/version")
    assert len(server.asked("/health")) <= 2  # one to register, one as the first health check


def test_cp_47_no_probe_before_the_startup_delay(start):
    gateway = start(Gateway, "--worker-startup-delay", "2", grace=0)
    server = start(Server, {"/health": "", "/v1/models": models({"id": "m"})})
    began = time.monotonic()
    at = add(gateway, server.url)
    ready(gateway, at)
    assert server.requests[0][2] - began >= 1.9


def test_cp_37_a_registration_ends_by_time_not_by_attempts(start):
    gateway = start(Gateway, "--worker-startup-timeout-secs", "1", "--worker-startup-check-interval", "30", grace=0)
    server = start(Server, {"/health": 503})
    at = add(gateway, server.url)
    message = failed(gateway, at)
    assert message == f"Workflow failed at step detect_connection_mode: Step failed: detect_connection_mode - http health check failed for explicitly configured worker URL {server.url}: Health check failed: status 503"
    assert len(server.asked("/health")) >= 3  # SMG's formula for (1, 30) gives 3 attempts; ours ends by time and asks far more often than every 30 s


@pytest.mark.parametrize("table,reason", [({}, "status 404"), ({"/v1/models": 401}, "status 401")])
def test_section_18_3_what_is_no_engine_at_all_says_so(start, table, reason):
    gateway = start(Gateway, "--worker-startup-timeout-secs", "1", grace=0)
    at = add(gateway, start(Server, table).url)
    assert failed(gateway, at).endswith(f"Health check failed: there is no health endpoint, and GET /v1/models failed: {reason}")


def test_section_18_3_nobody_there(start):
    gateway = start(Gateway, "--worker-startup-timeout-secs", "1", grace=0)
    assert failed(gateway, add(gateway, f"http://127.0.0.1:{free_port()}")).endswith("Health check failed: connection refused")


def test_cp_45_a_handshake_address_needs_a_zmq_worker(empty):
    at = add(empty, f"http://127.0.0.1:{free_port()}", zmq_handshake_address="tcp://x:1")
    assert "zmq_handshake_address" in failed(empty, at)


# ---- what is learned ----

def test_cp_39_40_older_paths_and_numbers_become_labels(start, empty):
    server = start(Server, {"/health": "", "/v1/models": models({"id": "m", "owned_by": "sglang"}), "/get_server_info": {"max_running_requests": 256, "tp_size": 0}})
    labels = ready(empty, add(empty, server.url))["labels"]
    assert labels["max_running_requests"] == "256" and "tp_size" not in labels


def test_cp_41_the_list_of_models_alone(start, empty):
    server = start(Server, {"/health": "", "/v1/models": models({"id": "test-model", "root": "test-root", "max_model_len": 4096})})
    worker = ready(empty, add(empty, server.url))
    assert worker["labels"] == {"served_model_name": "test-model", "model_path": "test-root", "max_model_len": "4096"}
    assert worker["models"][0]["context_length"] == 4096


def test_cp_42_43_identity_and_aliases(start):
    gateway = start(Gateway, "--model-alias", "GLM-5.2-Coding=GLM-5.2", "--model-alias", "glm-5.2-coding=glm-5.2", grace=0)
    server = start(Server, {"/health": "", "/v1/models": models({"id": "x", "owned_by": "sglang"}), "/server_info": {"served_model_name": "GLM-5.2", "model_id": "GLM-5.2-Coding", "model_path": "p"}})
    worker = ready(gateway, add(gateway, server.url))
    assert worker["model_id"] == "GLM-5.2" and worker["models"][0]["aliases"] == ["GLM-5.2-Coding"]
    assert gateway.chat(model="GLM-5.2-Coding").status_code == 200


def test_all_models_of_the_description_are_kept(start, empty):
    server = start(Server, {"/health": "", "/v1/models": models({"id": "theirs", "owned_by": "vllm"})})
    worker = ready(empty, add(empty, server.url, models=[{"id": "a", "aliases": ["x"]}, {"id": "b", "model_type": ["embeddings"]}]))
    assert [m["id"] for m in worker["models"]] == ["a", "b"] and worker["models"][1]["model_type"] == ["embeddings"]
    assert empty.chat(model="x").status_code == 200


# ---- providers ----

PROVIDER = {"/v1/models": models({"id": "gpt-4o-2024-08-06"}, {"id": "gpt-4o"}, {"id": "gpt-4o-2024-05-13"}, {"id": "text-embedding-3-small"})}


def test_cp_46_a_provider_is_asked_for_its_models(start, empty):
    server = start(Server, PROVIDER)
    worker = ready(empty, add(empty, server.url, runtime="external", api_key="sk-1", worker_type="prefill"))
    assert worker["models"][0] == {"id": "gpt-4o", "aliases": ["gpt-4o-2024-05-13", "gpt-4o-2024-08-06"], "model_type": ["chat", "completions", "responses", "vision", "tools"], "provider": "openai"}
    assert worker["models"][1]["model_type"] == ["embeddings"] and worker["worker_type"] == "regular" and worker["runtime_type"] == "external"
    assert server.asked("/v1/models")[0]["authorization"] == "Bearer sk-1"
    assert empty.chat(model="gpt-4o-2024-05-13").status_code == 200
    assert server.asked("/v1/chat/completions")[0]["authorization"] == "Bearer sk-1"
    assert {path for path, _, _ in server.requests} == {"/v1/models", "/v1/chat/completions"}  # no health checks unless asked for


def test_an_anthropic_provider_gets_its_key_as_it_wants_it(start, empty):
    server = start(Server, {"/v1/models": models({"id": "claude-sonnet-4-5"})})
    worker = ready(empty, add(empty, server.url, runtime="external", provider="anthropic", api_key="sk-ant"))
    assert worker["provider"] == "anthropic" and worker["models"][0]["provider"] == "anthropic"
    body = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    assert empty.client.post("/v1/messages", json=body, headers={"anthropic-beta": "b", "x-api-key": "client's"}).status_code == 200
    for headers in server.asked("/v1/models") + server.asked("/v1/messages"):
        assert headers["x-api-key"] == "sk-ant" and headers["anthropic-version"] == "2023-06-01" and "authorization" not in headers
    assert server.asked("/v1/messages")[0]["anthropic-beta"] == "b"


@pytest.mark.parametrize("table,text", [
    ({"/v1/models": 401}, "Failed to discover models from {url}: Server returned status 401 Unauthorized from {url}/v1/models"),
    ({"/v1/models": models()}, "No models discovered from {url}"),
    ({"/v1/models": "<html>"}, "No models discovered from {url}"),
])
def test_a_provider_that_does_not_tell_its_models_says_why(start, empty, table, text):
    server = start(Server, table)
    at = add(empty, server.url, runtime="external", api_key="wrong")
    assert failed(empty, at) == "Workflow failed at step discover_models: Step failed: discover_models - " + text.format(url=server.url)
    assert len(server.requests) == 1


def test_a_provider_is_asked_three_times(start, empty):
    server = start(Server, {"/v1/models": 500})
    at = add(empty, server.url, runtime="external", api_key="k")
    wait_until(lambda: len(server.requests) == 2, what="a second try")
    server.table = PROVIDER
    assert ready(empty, at)["model_id"] == "gpt-4o"


def test_a_provider_with_models_or_without_a_key_is_not_asked(start, empty):
    server = start(Server, PROVIDER)
    named = ready(empty, add(empty, server.url + "/a", runtime="external", provider="grok", api_key="k", models=[{"id": "mine"}]))
    any_model = ready(empty, add(empty, server.url + "/b", runtime="external"))
    assert named["model_id"] == "mine" and named["provider"] == "xai" and "model_id" not in any_model
    assert server.requests == []


def test_a_provider_is_watched_when_asked_for(start, empty):
    server = start(Server, PROVIDER)
    at = add(empty, server.url, runtime="external", api_key="k", health={"disable_health_check": False, "check_interval_secs": 1, "failure_threshold": 1})
    ready(empty, at)
    server.table["/v1/models"] = 500
    wait_until(lambda: info(empty, at)["status"] == "not_ready", what="not ready")


# ---- health ----

def test_cp_36_an_engine_without_health_goes_and_comes_back(start):
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-failure-threshold", "1", "--health-success-threshold", "1", grace=0)
    server = start(Server, {"/v1/models": models({"id": "m"})})
    at = add(gateway, server.url)
    ready(gateway, at)
    server.table["/v1/models"] = 500
    wait_until(lambda: info(gateway, at)["status"] == "failed", seconds=15, what="failed")
    assert info(gateway, at)["job_status"]["message"] == "Health check failed: status 500"
    server.table["/v1/models"] = models({"id": "m"})
    ready(gateway, at, seconds=15)  # decision 9: probed again, at the slow rate


def test_a_busy_worker_is_not_sick(start):
    gateway = start(Gateway, "--health-check-interval-secs", "1", "--health-check-timeout-secs", "1", "--health-failure-threshold", "1", grace=0)
    server = start(Server, {"/health": "", "/v1/models": models({"id": "m"})})
    at = add(gateway, server.url)
    ready(gateway, at)
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        parts = reply.iter_raw()
        next(parts)
        server.table["/health"] = HANG
        hung = len(server.asked("/health"))
        while len(server.asked("/health")) < hung + 3:  # two of them are over
            next(parts)
        assert info(gateway, at)["status"] == "ready" and info(gateway, at)["load"] == 1
    wait_until(lambda: info(gateway, at)["status"] != "ready", what="taken out, idle and silent as it is")


def test_unhealthy_workers_leave_when_asked_for(start):
    gateway = start(Gateway, "--remove-unhealthy-workers", "--health-check-interval-secs", "1", "--health-failure-threshold", "1", grace=0)
    server = start(Server, {"/health": "", "/v1/models": models({"id": "m"})})
    at = add(gateway, server.url)
    ready(gateway, at)
    server.table["/health"] = 500
    wait_until(lambda: gateway.client.get(at).status_code == 404, seconds=15, what="removed")
