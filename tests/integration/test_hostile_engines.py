"""Answers of engines and providers that are meant to hurt, or as good as: they may spoil their own part of a reply, never the gateway's memory or its loops."""
import http.server
import itertools
import json
import pathlib
import string
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, Gateway, wait_until


class Server:
    """Answers GETs from a table of path to body, anything else with 404, and notes what was asked."""

    args = ["server"]

    def __init__(self, table):
        outer = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.asked.append(self.path)
                body = table.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("content-length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a peer that went away
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def running(self):
        return False

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        return 0


def names(n, length):
    return ("".join(p) for p in itertools.islice(itertools.product(string.ascii_letters, repeat=length), n))


def peak_mib(gateway):
    status = pathlib.Path(f"/proc/{gateway.popen.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def add_ready(gateway, url, **members):
    gateway.client.post("/workers", json={"url": url, "models": [{"id": "m"}], **members}).raise_for_status()
    wait_until(lambda: [w for w in gateway.client.get("/workers").json()["workers"] if w["url"] == url and w["status"] == "ready"], what="ready")


@pytest.mark.native  # sanitizers take memory of their own
def test_a_metrics_page_of_nothing_but_names_is_left_out(start):
    page = "".join(f"{n} 1\n" for n in names(400000, 4)).encode()
    bomb, good = start(Server, {"/health": b"", "/metrics": page}), start(Server, {"/health": b"", "/metrics": b"good 7\n"})
    gateway = start(Gateway)
    for server in (bomb, good):
        add_ready(gateway, server.url, runtime="sglang")
    before = peak_mib(gateway)
    r = httpx.get(gateway.url + "/engine_metrics", timeout=30)
    assert r.status_code == 200
    assert f'good{{worker_addr="{good.url}"}} 7\n' in r.text and bomb.url not in r.text
    assert "# 1 workers left out" in r.text
    assert peak_mib(gateway) - before < 60  # the page itself has 3 MiB; each name used to cost more than a kilobyte


def test_a_list_of_very_many_models_does_not_hold_up_a_loop(start):
    listed = list(names(75000, 3))
    body = json.dumps({"data": [{"id": n} for n in listed]}, separators=(",", ":")).encode()
    server = start(Server, {"/v1/models": body})
    gateway = start(Gateway, "--runtime-worker-threads", 1)
    add_ready(gateway, server.url, runtime="external")
    began = time.monotonic()
    r = gateway.client.get("/v1/models", headers={"authorization": "Bearer of-a-client"})
    assert [m["id"] for m in r.json()["data"]] == listed[:2048]
    assert time.monotonic() - began < 2 * SLOWNESS  # comparing each with each took 15 s


def test_a_provider_is_not_asked_for_its_load(start):
    server = start(Server, {})
    gateway = start(Gateway)
    add_ready(gateway, server.url, runtime="external")
    assert gateway.client.get("/get_loads").json() == {"workers": [{"worker": server.url, "load": -1}]}
    assert not [path for path in server.asked if "loads" in path or "metrics" in path]
