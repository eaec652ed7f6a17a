"""Starting, refusing to start, draining, ending (spec operations 5, 7, 13, 14, 24)."""
import json
import re
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from conftest import ROOT, SLOWNESS, SMG, Engine, Gateway, Process, free_port, wait_until
from test_proxy import CHAT, scripted


def run(*args, env=None, seconds=20):
    return subprocess.run([str(SMG), *map(str, args)], capture_output=True, text=True, timeout=seconds * SLOWNESS, env=env)


def test_version_and_help():
    assert re.fullmatch(r"smg \d+\.\d+\.\d+\n", run("--version").stdout)
    assert run("launch", "--port", "bogus", "-V").stdout.startswith("smg ")  # 24, case 1
    assert "Git Commit:" in run("--version-verbose").stdout
    for args in (["--help"], ["launch", "--help"], ["help", "launch"], ["mock-engine", "--help"], ["bench", "--help"]):
        r = run(*args)
        assert r.returncode == 0 and "Usage:" in r.stdout, args
    assert "--worker-urls" in run("launch", "--help").stdout


@pytest.mark.parametrize("args,status,text", [
    (["launch", "--nope"], 2, "--nope"),
    (["launch", "--port", "70000"], 2, "70000"),
    (["launch", "--port", "0"], 1, "Port must be > 0"),
    (["launch", "--health-check-port", "0"], 1, "unstable OS-ephemeral port"),
    (["launch", "--worker-urls", "10.0.0.5:8000"], 1, "URL must start with a lowercase"),
    (["launch", "--worker-urls", "ftp://x:1"], 1, "ftp://x:1"),
    (["launch", "--policy", "power_of_two", "--worker-urls", "http://a:1"], 1, "Power-of-two policy requires at least 2 workers"),
    (["launch", "--enable-trace"], 2, "--enable-trace is not available in this version"),
    (["launch", "--model-alias", "x=a", "--model-alias", "x=b"], 1, "Alias maps to both 'a' and 'b'"),
    (["launch", "--prometheus-host", "localhost"], 1, "prometheus"),
    (["launch", "--host", "no.such.name.invalid"], 1, "no.such.name.invalid"),
    (["nonsense"], 2, "nonsense"),
])
def test_a_wrong_command_line_is_one_clear_line(args, status, text):
    r = run(*args)
    assert r.returncode == status and text in r.stderr, r.stderr
    assert r.stdout == ""
    errors = [line for line in r.stderr.splitlines() if line.startswith("smg: error: ")]
    assert len(errors) == 1 and len(errors[0]) < 400


def test_a_secret_is_never_printed():
    assert "s3cr3t" not in run("launch", "--tenant-api-key", "s3cr3t").stderr


@pytest.mark.parametrize("which", ["--port", "--prometheus-port", "--health-check-port"])
def test_a_busy_port_is_one_clear_line(which):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        ports = {"--port": free_port(), "--prometheus-port": free_port(), which: busy.getsockname()[1]}
        r = run("launch", "--host", "127.0.0.1", "--prometheus-host", "127.0.0.1", "--log-level", "error", *[x for kv in ports.items() for x in kv])
    assert r.returncode == 1 and "address already in use" in r.stderr.lower() and str(ports[which]) in r.stderr


def test_two_gateways_cannot_share_a_port(start):
    first = start(Gateway)
    r = run("launch", "--host", "127.0.0.1", "--port", first.port, "--prometheus-port", free_port(), "--log-level", "error")
    assert r.returncode == 1 and "address already in use" in r.stderr.lower()


def test_the_environment_is_read(start, engines):
    gateway = start(Gateway, workers=engines, env={"SMG_API_KEY": "from-env"})
    assert gateway.chat().status_code == 401
    wait_until(lambda: gateway.chat(headers={"authorization": "Bearer from-env"}).status_code == 200)


@pytest.mark.native
def test_listening_within_ten_milliseconds(start):
    """From exec to an answered connection; the best of ten, since the machine has other things to do."""
    best = 1e9
    for _ in range(10):
        port = free_port()
        began = time.monotonic()
        p = Process(["launch", "--host", "127.0.0.1", "--port", port, "--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(), "--shutdown-grace-period-secs", 0])
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() - began < 5
        best = min(best, time.monotonic() - began)
        assert p.stop() == 0
    assert best < 0.010, f"{best * 1000:.1f} ms"


def test_dp_52_shutdown_settles_drains_and_cuts_nothing(start):  # operations 24, case 21
    engine = start(Engine, "--tokens-per-second", "10", "--output-tokens", "30")
    probe_port = free_port()
    gateway = start(Gateway, "--health-check-port", probe_port, workers=[engine], grace=8).ready(1)
    got = {}

    def stream():
        with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True, "max_tokens": 30}, timeout=60) as r:
            got["text"] = b"".join(r.iter_raw())

    thread = threading.Thread(target=stream)
    thread.start()
    wait_until(lambda: gateway.loads() == [1], what="a stream in flight")
    gateway.kill(signal.SIGTERM)
    time.sleep(0.1 * SLOWNESS)
    for port in (gateway.port, probe_port):
        r = httpx.get(f"http://127.0.0.1:{port}/readiness")
        assert r.status_code == 503 and r.json()["reason"] == "draining"
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    assert httpx.post(gateway.url + "/v1/embeddings", json={"model": "mock-model", "input": "x"}).status_code == 200  # still serving while it settles
    thread.join(30 * SLOWNESS)
    assert got["text"].endswith(b"data: [DONE]\n\n")
    assert gateway.wait() == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", gateway.port), timeout=1)


def test_the_grace_period_is_the_end(start):
    engine = start(Engine, "--tokens-per-second", "2", "--output-tokens", "1000")
    gateway = start(Gateway, workers=[engine], grace=2).ready(1)
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True, "max_tokens": 1000}, timeout=60) as r:
        began = time.monotonic()
        gateway.kill(signal.SIGTERM)
        with pytest.raises(httpx.HTTPError):
            list(r.iter_raw())
    assert gateway.wait() == 0 and time.monotonic() - began < 4 * SLOWNESS


def test_a_second_signal_ends_at_once(start):
    gateway = start(Gateway, grace=60)
    gateway.kill(signal.SIGTERM)
    wait_until(lambda: httpx.get(gateway.url + "/readiness").json().get("reason") == "draining", what="draining")
    began = time.monotonic()
    gateway.kill(signal.SIGTERM)
    assert gateway.wait() == 128 + signal.SIGTERM and time.monotonic() - began < 2 * SLOWNESS


def test_no_grace_ends_at_once(start):
    gateway = start(Gateway, grace=0)
    began = time.monotonic()
    gateway.kill(signal.SIGINT)
    assert gateway.wait() == 0 and time.monotonic() - began < 2 * SLOWNESS


def test_logs_in_text_and_json(start, engines, tmp_path):  # operations 24, cases 31-33
    gateway = start(Gateway, "--log-json", "--log-dir", tmp_path / "logs", workers=engines).ready(2)
    assert gateway.chat(stream=True, headers={"x-request-id": "rid-1"}).status_code == 200
    gateway.chat(model="nope", headers={"x-request-id": "rid-2"})

    def line(rid):
        for text in gateway.output().splitlines():
            if rid in text and text.startswith("{") and json.loads(text).get("target") == "smg::response":
                return json.loads(text)
        return None

    first = wait_until(lambda: line("rid-1"), what="access line")
    assert list(first)[:3] == ["timestamp", "level", "message"] and first["level"] == "INFO"
    assert first["status_code"] == 200 and isinstance(first["latency"], int) and first["ttft_us"] > 0 and first["bytes_out"] > 0
    assert first["worker"] in [e.url for e in engines] and first["model"] == "mock-model"
    second = wait_until(lambda: line("rid-2"), what="access line")
    assert second["level"] == "WARN" and second["status_code"] == 404 and second["error_code"] == "model_not_found"
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert "rid-1" in (tmp_path / "logs" / f"smg.{day}").read_text()
    text = start(Gateway, "--log-level", "warn", workers=engines)
    text.chat(model="nope", headers={"x-request-id": "rid-3"})
    wait_until(lambda: "rid-3" in text.output(), what="warning with its request id")
    assert " INFO " not in text.output()


def test_metrics_are_well_formed_and_named_as_smgs(start, engines):
    gateway = start(Gateway, workers=engines).ready(2)
    for _ in range(3):
        gateway.chat(stream=True)
    gateway.chat(model="nope")
    r = httpx.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics")
    assert r.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    checked = subprocess.run(["promtool", "check", "metrics"], input=r.text, text=True, capture_output=True)
    # promtool's lint also dislikes names that SMG gave (…_count gauges and the like): syntax errors are what must not be.
    assert "error while linting" not in checked.stderr.lower() and "parse error" not in checked.stderr.lower(), checked.stderr
    page = (ROOT / "docs/observability.md").read_text()
    assert [name for name in re.findall(r"^# TYPE (\S+)", r.text, re.M) if f"`{name}`" not in page] == []
    m = gateway.metrics()
    assert m['smg_router_requests_total{router_type="http",backend_type="regular",connection_mode="http",model="mock-model",endpoint="chat",streaming="true"}'] == 3
    assert m['smg_http_responses_total{path="/v1/chat/completions",status_code="404",error_code="model_not_found"}'] == 1
    assert m['smg_router_ttft_seconds_count{router_type="http",backend_type="regular",model="mock-model",endpoint="chat"}'] == 3
    for e in engines:
        assert m[f'smg_worker_health{{worker="{e.url}"}}'] == 1
        assert m[f'smg_worker_requests_active{{worker="{e.url}"}}'] == 0
    les = [k for k in m if k.startswith('smg_http_request_duration_seconds_bucket{method="POST",path="/v1/chat/completions"')]
    assert len(les) == 30
    assert httpx.get(f"http://127.0.0.1:{gateway.metrics_port}/other").status_code == 404
    few = start(Gateway, "--prometheus-duration-buckets", "0.1", "1", "10", workers=engines)
    few.client.get("/v1/models")
    assert len([k for k in few.metrics() if k.startswith('smg_http_request_duration_seconds_bucket{method="GET",path="/v1/models"')]) == 4
