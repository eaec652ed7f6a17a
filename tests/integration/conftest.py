"""What the black-box tests share: real processes of the built binary, found through SMG_BUILD, on ports of their own.

A test asks for `gateway` or `engines` (started with defaults), or makes its own with the `start` fixture. Everything started is ended with the test, and a
gateway's exit status and log are looked at: a crash or a sanitizer report fails the test that caused it.
"""
import contextlib
import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time

import httpx
import pytest
from httpx._transports import default as httpx_transport

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SMG_BUILD", ROOT / "build"))
SMG = BUILD / "smg"
# Sanitizer builds are several times slower; deadlines of tests are multiplied by this.
SLOWNESS = 4 if "san" in BUILD.name else 1


# httpx reads the bundle of public authorities for every client that it makes: 30 ms of processor time, in every httpx.get(). The tests' clients share one reading; those that name authorities of their own do not.
_new_ssl_context = httpx_transport.create_ssl_context
_shared_contexts = {}


def _ssl_context(verify=True, cert=None, trust_env=True):
    if verify is not True or cert is not None:
        return _new_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
    if trust_env not in _shared_contexts:
        _shared_contexts[trust_env] = _new_ssl_context(trust_env=trust_env)
    return _shared_contexts[trust_env]


httpx_transport.create_ssl_context = _ssl_context


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than about ten seconds")
    config.addinivalue_line("markers", "native: measures something that sanitizers distort")
    config.addinivalue_line("markers", "night: installs the toolchains of others, or takes minutes; a part of make soak")
    config.addinivalue_line("markers", "waits: takes long, but most of it is waiting; begun before all others, so that nobody waits for its end")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


# Below the ports that the kernel gives to clients, and a range for each process of pytest-xdist: nobody else takes a port between the question and its use.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.cycle(range(10000 + 2500 * (_WORKER % 8), 12500 + 2500 * (_WORKER % 8)))
for _ in range(random.randrange(2500)):  # two runs beside each other begin at different places
    next(_PORTS)


def free_ports(n):
    """The first of N ports that are free in a row."""
    while True:
        first = next(_PORTS)
        ports = [first, *(next(_PORTS) for _ in range(n - 1))]
        try:
            for port in ports:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        if ports[-1] == first + n - 1:
            return first


def free_port():
    return free_ports(1)


def wait_until(condition, seconds=10, what="condition"):
    """The first true value of condition(), asked every 20 ms. WHAT is told when it does not come: a text, or a function that makes one then."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what() if callable(what) else what} did not come true within {seconds * SLOWNESS} s")


# What the sanitizers want to know; of plugins: tests/unit/plugin/meson.build says why.
CHECKERS = {
    "ASAN_OPTIONS": "detect_leaks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": f"halt_on_error=1:report_signal_unsafe=0:suppressions={ROOT}/tests/tsan.supp",
}


class Process:
    """A running smg with its output gathered."""

    def __init__(self, args, env=None):
        self.args = [str(a) for a in args]
        self.out = tempfile.TemporaryFile()
        full_env = {k: v for k, v in os.environ.items() if not k.startswith(("SMG_", "JWT_", "HF_"))}
        full_env["HF_HUB_OFFLINE"] = "1"  # tests talk to loopback only; those with a hub of their own say so
        full_env.update(CHECKERS)
        full_env.update(env or {})
        self.popen = subprocess.Popen([str(SMG), *self.args], stdout=self.out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=full_env)

    def output(self):
        self.out.seek(0)
        return self.out.read().decode(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def kill(self, how=signal.SIGKILL):
        self.popen.send_signal(how)

    def wait(self, seconds=20):
        return self.popen.wait(seconds * SLOWNESS)

    def stop(self):
        """Ends it as an operator would, without waiting for the grace period; returns the exit status."""
        if self.running():
            self.popen.send_signal(signal.SIGTERM)
        try:
            status = self.popen.wait(20 * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.args} did not end:\n{self.output()[-4000:]}")
        text = self.output()
        assert "Sanitizer" not in text and "runtime error" not in text, text[-8000:]
        return status


class Engine(Process):
    """One mock engine process."""

    def __init__(self, *flags, port=None, host="127.0.0.1"):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(["mock-engine", "--host", host, "--port", self.port, *flags])
        wait_until(lambda: not self.running() or answers(self.url + "/version") or answers(self.url + "/v1/models"), what="mock engine")
        assert self.running(), self.output()

    def faults(self, **knobs):
        httpx.post(self.url + "/mock/faults", json=knobs).raise_for_status()

    def requests(self):
        return httpx.get(self.url + "/mock/requests").json()["requests"]


class Gateway(Process):
    """One gateway; ready(n) waits until n workers are ready."""

    def __init__(self, *flags, workers=(), env=None, grace=1, port=None):
        self.port = port or free_port()
        self.metrics_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        args = ["launch", "--host", "127.0.0.1", "--port", self.port, "--prometheus-host", "127.0.0.1", "--prometheus-port", self.metrics_port]
        if "--shutdown-grace-period-secs" not in flags:
            args += ["--shutdown-grace-period-secs", grace]
        if workers:
            args += ["--worker-urls", *[getattr(w, "url", w) for w in workers]]
        super().__init__([*args, *flags], env=env)
        self.client = httpx.Client(base_url=self.url, timeout=30 * SLOWNESS)
        wait_until(lambda: not self.running() or answers(self.url + "/health"), what="gateway")
        assert self.running(), self.output()

    def ready(self, n=1):
        def enough():
            r = self.client.get("/readiness")
            return r.status_code == 200 and r.json()["healthy_workers"] >= n

        wait_until(enough, what=f"{n} ready workers")
        return self

    def chat(self, text="hello", headers=None, **members):
        body = {"model": "mock-model", "messages": [{"role": "user", "content": text}], **members}
        return self.client.post("/v1/chat/completions", json=body, headers=headers)

    def metrics(self):
        """{(name, (label, value), ...): number} of the metrics page."""
        values = {}
        for line in httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text.splitlines():
            if line and not line.startswith("#"):
                series, number = line.rsplit(" ", 1)
                values[series] = float(number)
        return values

    def loads(self):
        return [w["load"] for w in self.client.get("/workers").json()["workers"]]

    def left_over(self):
        """What is still counted although every client is gone: loads of workers, requests in flight. Empty, or the series that leaked."""
        if not self.running():
            return {}
        try:
            values = self.metrics()
        except httpx.HTTPError:
            return {}  # ending by itself
        return {k: v for k, v in values.items() if v and k.split("{")[0] in ("smg_worker_requests_active", "smg_http_connections_active")}

    def stop(self):
        self.client.close()
        return super().stop()


def answers(url):
    try:
        return httpx.get(url, timeout=5 * SLOWNESS).status_code < 600
    except httpx.HTTPError:
        return False


@pytest.fixture
def start():
    """start(Engine, ...) or start(Gateway, ...): ended in reverse order at the end of the test; exit status 0 expected unless the test ended it itself."""
    running = []

    def make(kind, *args, **kwargs):
        process = kind(*args, **kwargs)
        running.append(process)
        return process

    yield make
    failures = []
    for process in running:  # permits and load counts never leak: abort, retry, preemption and reload give all of them back
        if isinstance(process, Gateway) and process.left_over():
            process.client.close()  # what the test left open
            try:
                wait_until(lambda: not process.left_over(), seconds=5, what="every count back to 0")
            except AssertionError:
                failures.append(f"counts leaked: {process.left_over()}")
    for process in reversed(running):
        was_running = process.running()
        status = process.stop()
        if was_running and status != 0:
            failures.append(f"{process.args[0]} ended with {status}:\n{process.output()[-4000:]}")
    assert not failures, "\n".join(failures)


@pytest.fixture
def engines(start):
    """Two mock engines."""
    return [start(Engine), start(Engine)]


@pytest.fixture
def gateway(start, engines):
    """A gateway with two ready workers."""
    return start(Gateway, workers=engines).ready(2)


def raw(port, data, half_close=False, seconds=5):
    """Sends bytes to a port and returns all that comes back until the peer closes or nothing comes for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds * SLOWNESS) as s:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while True:
                part = s.recv(65536)
                if not part:
                    return got
                got += part
        except TimeoutError:
            return got
        except ConnectionResetError:
            return got


class ScriptedEngine:
    """A raw TCP server that plays an engine by script, on a port that no other test had a moment ago (its gateway might still call): `reply(connection, request_bytes)` decides what goes out. /health and /v1/models are answered for it."""

    def __init__(self, reply, model="mock-model"):
        self.reply, self.model = reply, model
        self.requests, self.closed = [], threading.Event()
        self.listener = socket.create_server(("127.0.0.1", free_port()), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.stopping:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def read_request(connection, buffered=b""):
        """One whole request (content-length bodies), or None at the end."""
        data = buffered
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            part = connection.recv(65536)
            if not part:
                return None
            body += part
        return head + b"\r\n\r\n" + body

    def _serve(self, connection):
        with connection:
            try:
                while True:
                    request = self.read_request(connection)
                    if request is None:
                        return
                    path = request.split(b" ", 2)[1]
                    if path.startswith((b"/v1/models", b"/health")) and request.startswith(b"GET"):
                        body = json.dumps({"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": "sglang"}]}).encode()
                        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                        continue
                    if request.startswith(b"GET"):
                        connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                        continue
                    self.requests.append(request)
                    if self.reply(connection, request) is False:
                        return
            except OSError:
                self.closed.set()

    def running(self):
        return not self.stopping

    def stop(self):
        self.stopping = True
        self.listener.close()
        return 0

    args = ["scripted engine"]

    def output(self):
        return ""
