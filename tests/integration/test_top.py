"""smg top on a real pseudo-terminal; pyte is the terminal's screen."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading

import pyte
import pytest

from conftest import SMG, Gateway, free_port, wait_until
from test_cli import FAILED, INTERRUPTED, OK, UNREACHABLE, USAGE, FakeGateway, environment, listed, smg, worker


class Terminal:
    """smg top, its terminal, and what stands on its screen."""

    def __init__(self, url, *args, columns=80, lines=24):
        self.main, side = pty.openpty()
        self.side = os.dup(side)  # to look at the terminal's modes
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw, self.ended = b"", False
        self.size(columns, lines, tell=False)
        self.modes = termios.tcgetattr(self.side)
        self.flags = fcntl.fcntl(self.side, fcntl.F_GETFL)
        self.process = subprocess.Popen([SMG, "top", "--interval", "0.1", *args], stdin=side, stdout=side, stderr=side, env=environment(url, TERM="xterm"), start_new_session=True)
        os.close(side)

    def size(self, columns, lines, tell=True):
        fcntl.ioctl(self.side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.screen.resize(lines, columns)
            self.process.send_signal(signal.SIGWINCH)

    def read(self):
        while select.select([self.main], [], [], 0)[0]:
            try:
                part = os.read(self.main, 65536)
            except OSError:
                part = b""
            if not part:
                self.ended = True
                return
            self.raw += part
            self.stream.feed(part)

    def lines(self):
        self.read()
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def shows(self, pattern):
        wait_until(lambda: re.search(pattern, self.text(), re.M), what=f"{pattern!r} on the screen:\n{self.text()}")
        return self

    def selected(self):
        """The line that is shown reversed."""
        self.read()
        return next((self.screen.display[y].rstrip() for y in range(4, self.screen.lines - 1) if self.screen.buffer[y][0].reverse), None)

    def keys(self, text):
        os.write(self.main, text.encode())
        return self

    def ends(self, status):
        def over():
            self.read()
            return self.process.poll() is not None

        wait_until(over, what="the end of smg top")
        self.read()
        assert self.process.returncode == status, self.text()
        return self

    def is_given_back(self):
        assert termios.tcgetattr(self.side) == self.modes
        assert fcntl.fcntl(self.side, fcntl.F_GETFL) == self.flags
        assert self.raw.rstrip().endswith(b"\x1b[?25h\x1b[?1049l") or b"\x1b[?25h\x1b[?1049l" in self.raw[-600:]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.main)
        os.close(self.side)


@pytest.fixture
def fake():
    gateway = FakeGateway()
    yield gateway
    gateway.close()


@pytest.fixture
def top():
    running = []

    def make(url, *args, **kwargs):
        running.append(Terminal(url, *args, **kwargs))
        return running[-1]

    yield make
    for terminal in running:
        terminal.close()


def some(n, **members):
    return listed(*(worker(id=f"0199b1c2-7d10-7a3e-9d52-{i:012x}", url=f"http://10.0.{i // 250}.{i % 250}:8000", load=i % 7, **members) for i in range(n)))


def test_a_real_gateway_under_load_is_seen_on_80_columns(start, engines, top):
    gateway = start(Gateway, "--policy", "round_robin", workers=engines).ready(2)
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            assert gateway.chat("hello").status_code == 200

    askers = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for t in askers:
        t.start()
    try:
        t = top(gateway.url, "--metrics", f"http://127.0.0.1:{gateway.metrics_port}/metrics")
        t.shows(r"^2 workers: 2 ready; \d+ in flight, [1-9][\d.k]* requests/s, 0\.0 errors/s")
        assert t.lines()[3] == "WORKER                        STATE      LOAD  WAIT   REQ/S  LATENCY  ERR/S   KV"
        for engine in engines:
            t.shows(rf"^{engine.url.removeprefix('http://')} +ready +\d+ +\S+ +[1-9][\d.k]* +[\d.]+ m?s +0\.0 ")
        t.keys("q").ends(OK).is_given_back()
    finally:
        stop.set()
        for asker in askers:
            asker.join()


def test_a_gateway_that_dies_is_reported_and_found_again(start, engines, top):
    port = free_port()
    gateway = start(Gateway, workers=engines, port=port).ready(2)
    t = top(gateway.url).shows("^2 workers: 2 ready")
    gateway.kill()
    gateway.wait()
    t.shows("cannot be reached: connection refused")
    t.shows("^2 workers")  # what was known stays
    start(Gateway, workers=engines[:1], port=port).ready(1)
    t.shows("^1 worker: 1 ready")
    assert "cannot be reached" not in t.text()
    t.keys("\x03").ends(OK).is_given_back()


def test_keys_select_drain_and_flush_and_ask_before(fake, top):
    fake.answers["GET", "/workers"] = 200, some(5)
    fake.answers["DELETE", "/workers/0199b1c2-7d10-7a3e-9d52-000000000002"] = 202, {"status": "accepted"}
    fake.answers["POST", "/flush_cache"] = 200, {"status": "success", "message": "Successfully flushed cache on all 5 workers"}
    t = top(fake.url).shows("^5 workers")
    t.keys("\x1b[Bj")
    wait_until(lambda: (t.selected() or "").startswith("10.0.0.2:8000"), what="selection")
    t.keys("d").shows(r"^Drain http://10\.0\.0\.2:8000 \(2 in flight\) and remove it\? y/n$")
    t.keys("n").shows("q quit")
    assert not fake.sent("DELETE")
    t.keys("dy").shows("^Draining: the worker is removed")
    assert fake.sent("DELETE") == [("/workers/0199b1c2-7d10-7a3e-9d52-000000000002", b"")]
    t.keys("f").shows("^Flush the caches of all 5 workers")
    t.keys("y").shows("^Successfully flushed cache on all 5 workers")
    fake.answers["POST", "/flush_cache"] = 403, {"error": {"message": "Admin role required"}}
    t.keys("fy").shows("Admin role required")
    t.keys("?").shows("^Any key goes back")
    t.keys("x").shows("^5 workers")
    t.keys("q").ends(OK).is_given_back()


def test_four_thousand_workers_scroll_and_a_resize_is_followed(fake, top):
    fake.answers["GET", "/workers"] = 200, some(4000)
    t = top(fake.url).shows("^4000 workers: 4000 ready")
    t.keys("G").shows(r"^10\.0\.15\.249:8000 ")
    t.keys("\x1b[5~")
    wait_until(lambda: (t.selected() or "").startswith("10.0.15.230:8000"), what="a page up")
    t.size(50, 12)
    t.shows(r"^WORKER +STATE +LOAD +REQ/S$")
    wait_until(lambda: t.lines()[11].startswith("Up/Down select") and (t.selected() or "").startswith("10.0.15.230:8000"), what="the new size")
    t.keys("q").ends(OK).is_given_back()


@pytest.mark.parametrize("how, status", [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, INTERRUPTED), (signal.SIGHUP, -signal.SIGHUP), (signal.SIGQUIT, -signal.SIGQUIT)])
def test_the_terminal_is_given_back_whatever_ends_it(fake, top, how, status):
    fake.answers["GET", "/workers"] = 200, some(1)
    t = top(fake.url).shows("^1 worker")
    assert termios.tcgetattr(t.side) != t.modes
    t.process.send_signal(how)
    t.ends(status).is_given_back()


def test_a_refused_list_says_what_to_do(fake, top):
    fake.answers["GET", "/workers"] = 401, {"error": {"message": "Missing or invalid Authorization header"}}
    top(fake.url, columns=160).shows("SMG_TOKEN")


def test_once_prints_a_frame_for_scripts(start, engines):
    gateway = start(Gateway, workers=engines).ready(2)
    done = smg(gateway.url, "top", "--once", "-i", "0.2", "--metrics", f"http://127.0.0.1:{gateway.metrics_port}")
    assert done.returncode == OK and "\x1b" not in done.stdout
    assert re.search(r"^2 workers: 2 ready; 0 in flight, 0.0 requests/s, 0.0 errors/s$", done.stdout, re.M)
    assert all(engine.url.removeprefix("http://") in done.stdout for engine in engines)


def test_once_without_a_gateway_or_its_metrics_says_so(fake):
    assert smg(f"http://127.0.0.1:{free_port()}", "top", "--once").returncode == UNREACHABLE
    fake.answers["GET", "/workers"] = 403, {"error": "no"}
    assert smg(fake.url, "top", "--once").returncode == FAILED
    fake.answers["GET", "/workers"] = 200, some(2)
    done = smg(fake.url, "top", "--once", "--metrics", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == OK and "--metrics URL" in done.stdout


def test_without_a_terminal_it_names_once(fake):
    done = smg(fake.url, "top")
    assert done.returncode == USAGE and "--once" in done.stderr
