"""smg worker, cache and loads, as people and scripts use them.

What the gateway says is scripted where the test is about what the command makes of it (FakeGateway), and real where the two must agree.
"""
import fcntl
import http.server
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from conftest import SLOWNESS, SMG, Gateway, free_port, wait_until

OK, FAILED, USAGE, UNREACHABLE, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 130
ID = "0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4e"
OTHER = "0199b1c2-7d10-7a3e-9d52-77770c2b0000"


class FakeGateway:
    """Answers by script: `answers[(method, path)]` is (status, body) or a list of them, one per request, the last one for ever. Bodies that are not str are JSON."""

    def __init__(self):
        fake = self
        self.answers, self.seen = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                fake.seen.append((self.command, self.path, dict(self.headers), body))
                answer = fake.answers.get((self.command, self.path), (404, {"error": {"message": "no such thing"}}))
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                if callable(answer):
                    answer = answer()
                status, text = answer
                kind = "text/html" if isinstance(text, str) and text.startswith("<") else "application/json"
                text = (text if isinstance(text, str) else json.dumps(text)).encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that was interrupted left
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def sent(self, method):
        return [(path, body) for m, path, _, body in self.seen if m == method]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake():
    gateway = FakeGateway()
    yield gateway
    gateway.close()


def environment(url, **more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SMG_")}
    return {**kept, "SMG_GATEWAY": url, **more}


def smg(url, *args, stdin=None, **env):
    done = subprocess.run([SMG, *map(str, args)], input=stdin, capture_output=True, text=True, env=environment(url, **env), timeout=60 * SLOWNESS)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


def worker(**members):
    return {"id": ID, "model_id": "m", "url": "http://10.0.0.1:8000", "models": [{"id": "m"}], "worker_type": "regular", "connection_mode": "http",
            "runtime_type": "sglang", "priority": 50, "cost": 1.0, "is_healthy": True, "status": "ready", "load": 0, **members}


def listed(*workers):
    return {"workers": list(workers), "total": len(workers), "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": len(workers)}}


def job(kind, status, message=None):
    return {"job_type": kind, "worker_url": "http://10.0.0.1:8000", "status": status, "message": message, "timestamp": int(time.time())}


ACCEPTED = {"status": "accepted", "worker_id": ID, "message": "queued"}


# ---- what the commands send, and print ----


def test_list_prints_a_table_that_fits_and_ids_that_other_commands_take(fake):
    fake.answers["GET", "/workers"] = 200, listed(worker(), worker(id=OTHER, url="http://10.0.0.2:8000", status="draining", load=3))
    done = smg(fake.url, "worker", "list")
    assert done.returncode == OK
    assert done.stdout.splitlines() == [
        "ID            URL                   MODEL  TYPE     STATUS    LOAD",
        "6a1f0c2b3d4e  http://10.0.0.1:8000  m      regular  ready        0",
        "77770c2b0000  http://10.0.0.2:8000  m      regular  draining     3",
    ]


def test_list_passes_the_filters_on(fake):
    fake.answers["GET", "/workers?model=a%2Fb%20%26c&status=ready&worker_type=prefill"] = 200, listed()
    assert smg(fake.url, "worker", "list", "--model", "a/b &c", "--status", "ready", "--type", "prefill").returncode == OK


def test_list_as_json_is_what_the_api_said_byte_for_byte(fake):
    said = '{ "workers" : [], "total":0,\n "new_member": 1e2 }'
    fake.answers["GET", "/workers"] = 200, said
    assert smg(fake.url, "worker", "list", "-o", "json").stdout == said + "\n"


def test_a_table_on_a_terminal_of_80_columns_is_shortened_and_in_a_pipe_it_is_not(fake):
    long = worker(url="http://engine-with-a-very-long-name.rack-17.datacentre.example.com:8000", model_id="x", models=[{"id": "organisation/a-model-with-a-long-name-70B-Instruct"}])
    fake.answers["GET", "/workers"] = 200, listed(long)
    assert long["url"] in smg(fake.url, "worker", "list").stdout
    shown = on_terminal(fake.url, "worker", "list").splitlines()
    assert all(len(line) <= 80 for line in shown), shown
    assert any("..." in line or ".." in line for line in shown) and any("com:8000" in line and "70B-Instruct" in line for line in shown)


def on_terminal(url, *args):
    """What a terminal of 80 columns gets."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([SMG, *args], stdin=side, stdout=side, stderr=side, env=environment(url))
    os.close(side)
    text = b""
    try:
        while part := os.read(main, 65536):
            text += part
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(main)
    assert process.wait(20 * SLOWNESS) == OK, text
    return text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("name", [ID, ID.upper(), ID.replace("-", ""), "6a1f0c2b3d4e", "3d4e", "0199b1c2-7d10-7a3e-9d52-6", "http://10.0.0.1:8000", "http://10.0.0.1:8000/"])
def test_a_worker_may_be_named_by_its_id_a_part_of_it_or_its_url(fake, name):
    fake.answers["GET", "/workers"] = 200, listed(worker(), worker(id=OTHER, url="http://10.0.0.2:8000"))
    fake.answers["GET", f"/workers/{ID}"] = 200, worker()
    done = smg(fake.url, "worker", "get", name)
    assert done.returncode == OK, done.stderr
    assert f"id                               {ID}\n" in done.stdout and "models                           m\n" in done.stdout


def test_a_part_that_two_workers_have_names_neither(fake):
    fake.answers["GET", "/workers"] = 200, listed(worker(), worker(id=OTHER, url="http://10.0.0.2:8000"))
    done = smg(fake.url, "worker", "get", "0199b1c2")
    assert done.returncode == FAILED and ID in done.stderr and OTHER in done.stderr


@pytest.mark.parametrize("name, status, words", [("ffff", FAILED, "begins or ends with"), ("http://10.9.9.9:1", FAILED, "no worker at"), ("abc", USAGE, "at least 4"), ("host:80", USAGE, "neither")])
def test_a_name_of_nobody_is_told_from_one_that_cannot_be(fake, name, status, words):
    fake.answers["GET", "/workers"] = 200, listed(worker())
    done = smg(fake.url, "worker", "get", name)
    assert done.returncode == status and words in done.stderr


def test_get_tells_how_long_ago_a_job_was(fake):
    fake.answers["GET", f"/workers/{ID}"] = 200, worker(status="failed", job_status={**job("HealthCheck", "failed", "refused"), "timestamp": int(time.time()) - 7300})
    said = smg(fake.url, "worker", "get", ID).stdout
    assert "job_status.message               refused\n" in said and " (2 h ago)\n" in said


def test_text_of_a_worker_cannot_command_the_terminal(fake):
    fake.answers["GET", "/workers"] = 200, listed(worker(models=[{"id": "x\x1b[2Jy"}]))
    assert "\x1b" not in smg(fake.url, "worker", "list").stdout


def test_add_sends_what_the_options_say(fake, tmp_path):
    (tmp_path / "key").write_text("engine-key\n")
    fake.answers["POST", "/workers"] = 202, ACCEPTED
    done = smg(fake.url, "worker", "add", "http://e:1", "--model", "a", "--model", "b", "--type", "prefill", "--runtime", "vllm", "--priority", "7", "--cost", "0.5", "--label",
               "zone=a", "--label", "gen=2", "--api-key-file", tmp_path / "key", "--bootstrap-port", "9000", "--health", "check_interval_secs=5")
    assert done.returncode == OK and ID in done.stdout, done.stderr
    ((_, body),) = fake.sent("POST")
    assert json.loads(body) == {"url": "http://e:1", "models": [{"id": "a"}, {"id": "b"}], "worker_type": "prefill", "runtime_type": "vllm", "labels": {"zone": "a", "gen": "2"},
                                "priority": 7, "cost": 0.5, "api_key": "engine-key", "bootstrap_port": 9000, "health": {"check_interval_secs": 5}}
    assert "engine-key" not in done.stdout + done.stderr


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_description_from_a_file_goes_out_as_it_stands(fake, tmp_path, source):
    spec = '{"url": "http://e:1",\n "resilience": {"max_retries": 1}}\n'
    (tmp_path / "spec.json").write_text(spec)
    fake.answers["POST", "/workers"] = 202, ACCEPTED
    fake.answers["PUT", f"/workers/{ID}"] = 202, ACCEPTED
    name = tmp_path / "spec.json" if source == "file" else "-"
    assert smg(fake.url, "worker", "add", "--file", name, stdin=spec).returncode == OK
    assert smg(fake.url, "worker", "replace", ID, "--file", name, stdin=spec).returncode == OK
    assert fake.sent("POST")[0][1] == fake.sent("PUT")[0][1] == spec.encode()


def test_patch_sends_only_what_is_named(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 202, ACCEPTED
    assert smg(fake.url, "worker", "patch", ID, "--priority", "0").returncode == OK
    assert smg(fake.url, "worker", "patch", ID, "--label", "a=1", "--remove-label", "b", "--health", "disable_health_check=true").returncode == OK
    assert [json.loads(body) for _, body in fake.sent("PATCH")] == [{"priority": 0}, {"labels": {"a": "1", "b": None}, "health": {"disable_health_check": True}}]
    nothing = smg(fake.url, "worker", "patch", ID)
    assert nothing.returncode == USAGE and "nothing to change" in nothing.stderr


def test_rm_now_takes_the_drain_time_away_first(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["DELETE", f"/workers/{ID}"] = 202, ACCEPTED
    assert smg(fake.url, "worker", "rm", ID, "--now").returncode == OK
    assert [m for m, *_ in fake.seen] == ["PATCH", "DELETE"]
    assert json.loads(fake.sent("PATCH")[0][1]) == {"health": {"drain_settle_secs": 0}}


def test_cache_flush_says_what_was_done_and_who_failed(fake):
    fake.answers["POST", "/flush_cache"] = 200, {"status": "success", "message": "Successfully flushed cache on all 2 workers", "workers_flushed": 2}
    done = smg(fake.url, "cache", "flush")
    assert (done.returncode, done.stdout) == (OK, "Successfully flushed cache on all 2 workers\n")
    fake.answers["POST", "/flush_cache"] = 206, {"status": "partial_success", "message": "Cache flush: 1 succeeded, 1 failed", "successful": ["a"], "failed": [{"worker": "http://b", "error": "HTTP 500"}]}
    done = smg(fake.url, "cache", "flush")
    assert (done.returncode, done.stdout) == (FAILED, "Cache flush: 1 succeeded, 1 failed\n  http://b: HTTP 500\n")
    assert fake.sent("POST")[0] == ("/flush_cache", b"")


def test_loads_sums_up_the_ranks(fake):
    rank = {"num_running_reqs": 5, "num_waiting_reqs": 2, "num_used_tokens": 1234, "max_total_num_tokens": 16384, "token_usage": 0.075, "gen_throughput": 45.2, "cache_hit_rate": 0.82}
    fake.answers["GET", "/get_loads"] = 200, {"workers": [{"worker": "http://a", "load": 2468, "details": {"dp_rank_count": 2, "loads": [rank, rank]}}, {"worker": "http://b", "load": -1}]}
    done = smg(fake.url, "loads")
    assert done.returncode == OK
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["WORKER", "RUNNING", "WAITING", "KV", "TOKENS", "KV", "USE", "TOK/S", "HITS"],
        ["http://a", "10", "4", "2468", "8%", "90.4", "82%"],
        ["http://b", "-", "-", "-", "-", "-", "-"],
    ]


# ---- waiting ----


def test_add_waits_until_the_worker_is_ready(fake):
    pending = worker(status="pending", job_status=job("AddWorker", "processing"))
    fake.answers["POST", "/workers"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = [(200, pending), (200, worker(status="not_ready")), (200, worker())]
    done = smg(fake.url, "worker", "add", "http://e:1", "--wait")
    assert (done.returncode, done.stdout) == (OK, f"worker {ID} at http://10.0.0.1:8000 is ready\n")
    assert done.stderr == ""  # no progress line where there is no terminal


def test_a_job_that_fails_is_told_with_its_reason(fake):
    fake.answers["POST", "/workers"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = 200, worker(status="pending", job_status=job("AddWorker", "failed", "no engine there"))
    done = smg(fake.url, "worker", "add", "http://e:1", "--wait")
    assert (done.returncode, done.stderr) == (FAILED, "smg: error: no engine there\n")


def test_a_change_is_waited_for_whatever_the_health(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = [(200, worker(job_status=job("UpdateWorker", "pending"))), (200, worker(status="failed", job_status=job("HealthCheck", "failed", "refused")))]
    done = smg(fake.url, "worker", "patch", ID, "--priority", "1", "--wait", "-o", "json")
    assert done.returncode == OK and json.loads(done.stdout)["status"] == "failed"


def test_drain_waits_until_the_worker_is_gone(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["DELETE", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = [(200, worker(status="draining", load=2)), (200, worker(status="draining", load=1)), (404, {"error": "gone", "code": "WORKER_NOT_FOUND"})]
    done = smg(fake.url, "worker", "drain", ID)
    assert (done.returncode, done.stdout) == (OK, f"worker {ID}: removed\n")
    assert json.loads(fake.sent("PATCH")[0][1]) == {"health": {"drain_settle_secs": 600}}


def test_drain_joins_one_that_runs(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 409, {"error": "being removed", "code": "WORKER_DRAINING"}
    fake.answers["DELETE", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = 404, {"error": "gone", "code": "WORKER_NOT_FOUND"}
    assert smg(fake.url, "worker", "drain", ID).returncode == OK


def test_a_wait_that_is_over_has_a_status_of_its_own_and_says_how_it_stands(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["DELETE", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = 200, worker(status="draining", load=3)
    done = smg(fake.url, "worker", "drain", ID, "--wait-timeout", "0.2")
    assert done.returncode == TIMEOUT and "draining, 3 requests in flight" in done.stderr


def test_ctrl_c_ends_a_wait_at_once(fake):
    fake.answers["PATCH", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["DELETE", f"/workers/{ID}"] = 202, ACCEPTED
    fake.answers["GET", f"/workers/{ID}"] = 200, worker(status="draining", load=3)
    process = subprocess.Popen([SMG, "worker", "drain", ID], env=environment(fake.url), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: len(fake.sent("GET")) >= 2, what="waiting")
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=10 * SLOWNESS)
    assert (process.returncode, text) == (INTERRUPTED, b"")


def test_ctrl_c_ends_a_question_that_is_not_answered(fake):
    asked, release = threading.Event(), threading.Event()

    def hang():
        asked.set()
        release.wait(30)
        return 200, listed()

    fake.answers["GET", "/workers"] = hang
    process = subprocess.Popen([SMG, "worker", "list"], env=environment(fake.url), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert asked.wait(20 * SLOWNESS)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=10 * SLOWNESS)
    release.set()
    assert (process.returncode, text) == (INTERRUPTED, b"")


# ---- tokens ----


def test_the_token_comes_from_the_variable_or_a_file_and_is_never_printed(fake, tmp_path):
    (tmp_path / "token").write_text("file-token\n")
    fake.answers["GET", "/workers"] = 200, listed()
    smg(fake.url, "worker", "list")
    smg(fake.url, "worker", "list", SMG_TOKEN="env-token")
    smg(fake.url, "worker", "list", "--token-file", tmp_path / "token", SMG_TOKEN="env-token")
    assert [headers.get("authorization") for _, _, headers, _ in fake.seen] == [None, "Bearer env-token", "Bearer file-token"]
    fake.answers["GET", "/workers"] = 401, {"error": {"message": "Invalid authentication token"}}
    for env, words in ({}, "SMG_TOKEN"), ({"SMG_TOKEN": "env-token"}, "the token in the variable SMG_TOKEN is not one that it knows"):
        done = smg(fake.url, "worker", "list", **env)
        assert done.returncode == FAILED and words in done.stderr and "env-token" not in done.stderr
    fake.answers["GET", "/workers"] = 403, {"error": {"message": "Admin role required for control plane access"}}
    done = smg(fake.url, "worker", "list", SMG_TOKEN="env-token")
    assert done.returncode == FAILED and "role admin" in done.stderr


def test_there_is_no_option_for_the_token_itself(fake):
    done = smg(fake.url, "worker", "list", "--token", "x")
    assert done.returncode == USAGE and "--token-file" in done.stderr and not fake.seen


# ---- what is no gateway ----


def test_nobody_there_is_status_three_and_names_the_url_and_the_remedy():
    url = f"http://127.0.0.1:{free_port()}"
    done = smg(url, "worker", "list")
    assert done.returncode == UNREACHABLE and url in done.stderr and "SMG_GATEWAY" in done.stderr


def test_a_gateway_that_does_not_answer_in_time_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = smg(f"http://127.0.0.1:{silent.getsockname()[1]}", "worker", "list", "--timeout", "0.3")
    assert done.returncode == UNREACHABLE and "within 0.3 s" in done.stderr


def test_a_web_server_is_told_from_a_gateway(fake):
    fake.answers["GET", "/workers"] = 200, "<html>hello</html>"
    done = smg(fake.url, "worker", "list")
    assert done.returncode == FAILED and "text/html" in done.stderr
    done = smg(fake.url, "loads")  # 404
    assert done.returncode == FAILED and "is " + fake.url + " a gateway" in done.stderr


def test_a_path_in_the_gateways_url_goes_before_every_other(fake):
    fake.answers["GET", "/base/workers"] = 200, listed()
    assert smg(fake.url + "/base/", "worker", "list").returncode == OK


# ---- with a real gateway ----


def test_a_day_of_a_worker(start, engines):
    gateway = start(Gateway)
    for engine in engines:
        done = smg(gateway.url, "worker", "add", engine.url, "--wait", "--label", "zone=a")
        assert done.returncode == OK and "is ready" in done.stdout, done.stderr
    again = smg(gateway.url, "worker", "add", engines[0].url)
    assert again.returncode == FAILED and "already exists" in again.stderr
    table = smg(gateway.url, "worker", "list").stdout.splitlines()
    assert len(table) == 3 and all(e.url in line for e, line in zip(engines, table[1:]))
    short = table[1].split()[0]
    shown = smg(gateway.url, "worker", "get", short)
    assert shown.returncode == OK and f"url                              {engines[0].url}\n" in shown.stdout
    assert json.loads(smg(gateway.url, "worker", "get", short, "-o", "json").stdout)["labels"]["zone"] == "a"
    assert smg(gateway.url, "worker", "drain", short).returncode == OK
    assert len(smg(gateway.url, "worker", "list").stdout.splitlines()) == 2
    assert smg(gateway.url, "worker", "rm", engines[1].url, "--wait").returncode == OK
    assert len(smg(gateway.url, "worker", "list").stdout.splitlines()) == 1
