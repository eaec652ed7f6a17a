"""Upstreams that close, reset, stall or lie, clients that leave or read slowly: nothing hangs, nothing is mixed up, nothing leaks."""
import json
import os
import socket
import struct
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, ScriptedEngine, wait_until
from test_proxy import CHAT, ok, post, scripted

JSON_REPLY = ok(b'{"id":"x","choices":[]}')
CHUNKED_REPLY = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                 b"b\r\ndata: {}\n\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
UNTIL_CLOSE_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}"


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def exchange(port, request, seconds=10):
    """(bytes that came back, ended cleanly): one request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds * SLOWNESS) as s:
        s.sendall(request)
        got = b""
        try:
            while True:
                part = s.recv(65536)
                if not part:
                    return got, True
                got += part
        except ConnectionResetError:
            return got, False


def judge(got, clean, cut, reply, head_length):
    """What a client may see of a reply that was cut after `cut` bytes."""
    status = got.split(b"\r\n", 1)[0]
    if cut >= len(reply):
        assert b" 200 " in status
        return
    if cut < head_length:  # no head: a gateway error, whole and well-formed
        assert b" 502 " in status, got
        body = got.split(b"\r\n\r\n", 1)[1]
        assert json.loads(body)["error"]["code"]
        return
    assert b" 200 " in status
    body = got.split(b"\r\n\r\n", 1)[1]
    if b"content-length" in got.lower():
        assert len(body) < 23  # shorter than announced: the client knows
    else:
        assert not body.endswith(b"0\r\n\r\n")  # no terminator: the client knows


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("reply", [JSON_REPLY, CHUNKED_REPLY], ids=["length", "chunked"])
def test_a_reply_cut_at_every_byte(start, reply, ending):
    state = {"cut": 0}

    def play(connection, request):
        connection.sendall(reply[: state["cut"]])
        if ending == "reset":
            time.sleep(0.002)
            reset(connection)
        return False

    engine, gateway = scripted(start, play, "--log-level", "error", "--disable-retries", "--disable-circuit-breaker")
    head_length = reply.index(b"\r\n\r\n") + 4
    for cut in range(len(reply) + 1):
        state["cut"] = cut
        got, clean = exchange(gateway.port, post(b"/v1/chat/completions", CHAT, b"connection: close"))
        judge(got, clean, cut, reply, head_length)
    assert gateway.loads() == [0]
    assert gateway.metrics()["smg_http_connections_active"] == 0


def test_a_reply_that_stalls_at_every_byte(start):
    state = {"cut": 0}

    def play(connection, request):
        connection.sendall(JSON_REPLY[: state["cut"]])
        time.sleep(0.01)
        connection.sendall(JSON_REPLY[state["cut"]:])

    engine, gateway = scripted(start, play, "--log-level", "error")
    for cut in range(len(JSON_REPLY)):
        state["cut"] = cut
        r = gateway.chat()
        assert r.status_code == 200 and r.content == b'{"id":"x","choices":[]}'
    assert gateway.loads() == [0]


def test_a_stall_inside_the_body_ends_with_the_idle_timeout(start):
    def play(connection, request):
        connection.sendall(CHUNKED_REPLY[:-20])
        time.sleep(60)

    _, gateway = scripted(start, play, "--request-timeout-secs", "1")
    began = time.monotonic()
    got, _ = exchange(gateway.port, post(b"/v1/chat/completions", CHAT))
    assert b" 200 " in got.split(b"\r\n")[0] and not got.endswith(b"0\r\n\r\n")
    assert 0.5 < time.monotonic() - began < 4 * SLOWNESS


@pytest.mark.parametrize("reply,status", [
    (ok(b"{}") + b"EXTRA", 200),  # more than announced: the surplus is dropped, the connection not reused
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", 502),
    (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", 502),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", 502),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 200),  # the head was fine; the body is cut
    (b"garbage\r\n\r\n", 502),
    (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70000 + b"\r\n\r\n{}", 502),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    (b"HTTP/1.0 200 OK\r\n\r\n{}", 200),
])
def test_replies_that_lie(start, reply, status):
    def play(connection, request):
        connection.sendall(reply)
        return False

    _, gateway = scripted(start, play)
    for _ in range(2):
        got, _ = exchange(gateway.port, post(b"/v1/chat/completions", CHAT, b"connection: close"))
        assert got.split(b" ", 2)[1] == b"%d" % status, got
    assert gateway.client.get("/health").status_code == 200
    assert gateway.loads() == [0]


def test_an_idle_upstream_connection_that_was_closed_is_replaced(start):
    def play(connection, request):
        connection.sendall(JSON_REPLY)
        return False  # closes without saying so: the gateway may have kept the connection

    _, gateway = scripted(start, play)
    for _ in range(20):
        assert gateway.chat().status_code == 200


class Upload:
    """A client that can be left in any state."""

    def __init__(self, port, data):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.s.sendall(data)

    def leave(self, how):
        if how == "reset":
            reset(self.s)
        else:
            self.s.close()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_closes_its_upstream_at_once(start, how):  # spec 16, case 19
    seen = {}
    closed = threading.Event()

    def play(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n" if b"STREAM" in request else b"")
        connection.settimeout(20)
        assert connection.recv(1) == b""
        seen["at"] = time.monotonic()
        closed.set()
        return False

    engine, gateway = scripted(start, play)
    for came, text in enumerate((b"WAIT", b"STREAM"), 1):
        closed.clear()
        client = Upload(gateway.port, post(b"/v1/chat/completions", CHAT.replace(b"hi", text)))
        wait_until(lambda: len(engine.requests) == came, what="the request at the engine")  # a client that leaves before has no upstream to close
        assert gateway.loads() == [1]
        if text == b"STREAM":
            wait_until(lambda: b"hello" in client.s.recv(4096), what="first part")
        left = time.monotonic()
        client.leave(how)
        assert closed.wait(5 * SLOWNESS)
        assert seen["at"] - left < 0.5 * SLOWNESS
        wait_until(lambda: gateway.loads() == [0], what="load 0")
    wait_until(lambda: gateway.metrics()["smg_http_connections_active"] == 0, what="no request in flight")


def test_a_client_that_leaves_while_pipelined_or_uploading(start):
    closed = threading.Event()

    def play(connection, request):
        connection.settimeout(20)
        if connection.recv(1) == b"":
            closed.set()
        return False

    engine, gateway = scripted(start, play)
    request = post(b"/v1/chat/completions", CHAT)
    client = Upload(gateway.port, request + request + request[:40])  # one in flight, one waiting, one half there
    wait_until(lambda: len(engine.requests) == 1, what="the request at the engine")
    assert gateway.loads() == [1]
    client.leave("close")
    assert closed.wait(5 * SLOWNESS)
    half = Upload(gateway.port, request[:-10])
    half.leave("reset")
    wait_until(lambda: gateway.loads() == [0] and gateway.metrics()["smg_http_connections_active"] == 0, what="nothing left")


def endless(total):
    block = b"x" * 65536

    def play(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % total)
        sent = 0
        try:
            while sent < total:
                sent += connection.send(block[: total - sent])
                play.sent = sent
        except OSError:
            play.failed = True
        return False

    play.sent, play.failed = 0, False
    return play


def resident_kib(process):
    with open(f"/proc/{process.popen.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


@pytest.mark.parametrize("seconds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_slow_client_pauses_its_upstream(start, seconds):
    play = endless(1 << 30)
    _, gateway = scripted(start, play)
    before = resident_kib(gateway)
    client = Upload(gateway.port, post(b"/v1/chat/completions", CHAT))
    time.sleep(seconds)
    stopped_at = play.sent
    assert 0 < stopped_at < 64 << 20
    time.sleep(0.3)
    assert play.sent == stopped_at, "the upstream is not paused"
    assert resident_kib(gateway) - before < 8 * 1024
    got = 0
    if seconds > 5:  # the full gigabyte comes through when the client reads again
        while got < 1 << 30:
            got += len(client.s.recv(1 << 20)) or pytest.fail(f"ended after {got}")
        assert resident_kib(gateway) - before < 8 * 1024
    client.leave("close")
    wait_until(lambda: gateway.loads() == [0], what="load 0")


def test_a_client_that_leaves_while_paused(start):
    play = endless(1 << 30)
    _, gateway = scripted(start, play)
    client = Upload(gateway.port, post(b"/v1/chat/completions", CHAT))
    wait_until(lambda: play.sent > 1 << 20, what="some data")
    time.sleep(0.5)
    client.leave("reset")
    wait_until(lambda: play.failed, seconds=5, what="upstream closed")
    wait_until(lambda: gateway.loads() == [0], what="load 0")


def test_kill_stall_and_cut_of_real_engines_under_load(start):
    engines = [start(Engine, "--output-tokens", "20") for _ in range(3)]
    gateway = start(Gateway, "--log-level", "error", "--health-check-interval-secs", "1", workers=engines).ready(3)
    stop, results = threading.Event(), []

    def client():
        with httpx.Client(timeout=30 * SLOWNESS) as c:
            while not stop.is_set():
                try:
                    with c.stream("POST", gateway.url + "/v1/chat/completions", json={**json.loads(CHAT), "stream": True}) as r:
                        text = b"".join(r.iter_raw())
                    results.append("ok" if r.status_code == 200 and text.endswith(b"data: [DONE]\n\n") else f"bad {r.status_code} {text[-60:]}")
                except httpx.HTTPError as e:
                    results.append(type(e).__name__)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(1)
    engines[0].faults(cut_after=5)
    time.sleep(0.5)
    engines[0].faults(cut_after=0)
    engines[1].kill()
    engines[1].wait()
    time.sleep(1.5)
    stop.set()
    for t in threads:
        t.join(60)
    assert results.count("ok") > 20
    assert {r for r in results if r != "ok"} <= {"RemoteProtocolError", "ReadError"}, results
    wait_until(lambda: all(load == 0 for load in gateway.loads()), what="loads back to 0")
    m = gateway.metrics()
    wait_until(lambda: gateway.metrics()["smg_http_connections_active"] == 0, what="connections back to 0")
    requests = sum(v for k, v in m.items() if k.startswith("smg_http_requests_total"))
    responses = sum(v for k, v in m.items() if k.startswith("smg_http_responses_total"))
    # The metrics page itself is served by another listener: what was asked on the main port was answered there.
    assert requests == responses


SMUGGLING = [
    (b"GET /health HTTP/1.1\r\n\r\n", 400),  # RFC 9112 3.2: no Host
    (b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    (b"POST /generate HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),  # 6.1
    (b"POST /generate HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),  # 6.3
    (b"POST /generate HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", 400),
    (b"POST /generate HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST /generate HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n", 400),  # 5.1
    (b"GET /health HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n", 400),  # 5.2
    (b"GET /health HTTP/1.1\nhost: a\n\n", 400),  # bare LF
    (b"GET /health HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n", 400),
    (b"GET /health HTTP/3.0\r\nhost: a\r\n\r\n", 505),
    (b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70000 + b"\r\n\r\n", 431),
    (b"GET /" + b"y" * 70000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
]


@pytest.mark.parametrize("data,status", SMUGGLING, ids=[str(i) for i in range(len(SMUGGLING))])
def test_ambiguous_requests_are_refused_and_the_connection_closed(gateway, data, status):
    follow = b"GET /health HTTP/1.1\r\nhost: smuggled\r\n\r\n"
    got, _ = exchange(gateway.port, data + follow)
    assert got.startswith(b"HTTP/1.1 %d " % status), got[:200]
    assert got.count(b"x-request-id: ") == 1, "a second request was served behind a refused one"
    assert json.loads(got.split(b"\r\n\r\n", 1)[1])["error"]["message"]


def test_file_descriptors_do_not_leak(start):
    _, gateway = scripted(start, lambda c, r: c.sendall(JSON_REPLY))
    fds = lambda: len(os.listdir(f"/proc/{gateway.popen.pid}/fd"))
    gateway.chat()
    before = fds()
    for _ in range(50):
        with httpx.Client() as c:
            c.post(gateway.url + "/v1/chat/completions", content=CHAT, headers={"content-type": "application/json"})
        Upload(gateway.port, post(b"/v1/chat/completions", CHAT)[:-5]).leave("close")
    wait_until(lambda: fds() <= before + 4, what="descriptors closed")
