#!/usr/bin/env python3
"""The control plane at 4,000 workers: how long it takes to register them, to list them, and what traffic feels of it.

One mock engine listens on all of 127.0.0.0/8, so 4,000 workers are 4,000 addresses with connections of their own. The gateway runs on core 0 with one loop thread (its control thread
shares the core: the hardest case), engine and load on core 1. Latencies are of one connection at a time (closed loop), so that what is added is not hidden in queues; rounds alternate
between the cases, the table shows medians.

    bench/control.py --build build-bench [--workers 4000] [--rounds 5] [--seconds 3]
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from proxy import Proxy, chat_body, free_port, show, start_engine, wrk

MODEL = "mock-model"


def start_gateway(directory, build, name, *flags):
    p = Proxy(name, directory)
    return p.start([build / "smg", "launch", "--host", "127.0.0.1", "--port", p.port, "--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(),
                    "--runtime-worker-threads", 1, "--policy", "round_robin", "--shutdown-grace-period-secs", 0, "--log-level", "warn", *flags])


def addresses(port, n, first=0):
    """N worker URLs at N loopback addresses."""
    return [f"http://127.{10 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{port}" for i in range(first, first + n)]


def post_all(port, urls, model, batch=100):
    """Adds the workers over the API, BATCH of them pipelined on one connection; the seconds until the last 202."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as s:
        got = b""
        for at in range(0, len(urls), batch):
            part = urls[at : at + batch]
            data = b""
            for url in part:
                body = json.dumps({"url": url, "models": [{"id": model}]}).encode()
                data += b"POST /workers HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            s.sendall(data)
            while got.count(b"HTTP/1.1 ") < at + len(part) or not got.endswith(b"}"):
                got += s.recv(1 << 20)
    assert got.count(b"HTTP/1.1 202") == len(urls), got[-500:]
    return time.monotonic() - began


def ask(port, method, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as c:
        c.request(method, path)
        reply = c.getresponse()
        return reply.status, reply.read()


def wait_ready(port, n, seconds=120):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        status, body = ask(port, "GET", "/readiness")
        if json.loads(body).get("healthy_workers", 0) >= n:
            return time.monotonic() - began
        time.sleep(0.05)
    raise SystemExit(f"{n} workers were not ready within {seconds} s")


def measure_registration(args, directory, engine):
    gateway = start_gateway(directory, args.build, "many")
    urls = addresses(engine, args.workers)
    began = time.monotonic()
    accepted = post_all(gateway.port, urls, MODEL)
    wait_ready(gateway.port, args.workers)
    ready = time.monotonic() - began
    times = []
    c = http.client.HTTPConnection("127.0.0.1", gateway.port)
    for _ in range(21):
        start = time.monotonic()
        c.request("GET", "/workers")
        body = c.getresponse().read()
        times.append((time.monotonic() - start) * 1000)
    c.close()
    assert json.loads(body)["total"] == args.workers
    show(f"{args.workers} workers over the API, one mock engine behind them", ["", "seconds", "goal"],
         [["all accepted (202)", f"{accepted:.2f}", ""], ["all ready", f"{ready:.2f}", "30"]])
    show(f"GET /workers with {args.workers} workers, {len(body)} bytes, 21 times", ["", "ms", "goal"],
         [["median", f"{statistics.median(times):.1f}", "20"], ["worst", f"{max(times):.1f}", ""]])
    return gateway


def measure_traffic(args, directory, engine, many):
    """Request latency with few workers and with many, each at its kept connections."""
    few = start_gateway(directory, args.build, "few")
    post_all(few.port, addresses(engine, 4), MODEL)
    wait_ready(few.port, 4)
    body = chat_body(stream=False)
    ports = {"4 workers": few.port, f"{args.workers} workers": many.port}
    for port in ports.values():
        wrk(port, body, 8, max(args.seconds, 3), directory)  # opens the connections
    got = {name: [] for name in ports}
    for _ in range(args.rounds):
        for name, port in ports.items():
            got[name].append(wrk(port, body, 1, args.seconds, directory)[2:])
    names = list(got)
    ratio = statistics.median(b[1] / a[1] for a, b in zip(got[names[0]], got[names[1]]))
    rows = [[name, f"{statistics.median(x[0] for x in g):.0f}", f"{statistics.median(x[1] for x in g):.0f}", "1.00" if name == names[0] else f"{ratio:.2f}"] for name, g in got.items()]
    show("one chat at a time through the gateway", ["", "p50 us", "p99 us", "p99, of 4 workers'"], rows)
    return few


class Storm(threading.Thread):
    """Registers and removes workers without a pause until told to stop."""

    def __init__(self, port, engine, n, first):
        super().__init__()
        self.port, self.urls, self.ends, self.cycles = port, addresses(engine, n, first), False, 0

    def run(self):
        os.sched_setaffinity(0, {1})
        c = http.client.HTTPConnection("127.0.0.1", self.port)
        while not self.ends:
            post_all(self.port, self.urls, "storm", batch=1)
            self.cycles += len(self.urls)
            while not self.ends and (workers := self.registered(c)):
                for w in workers:
                    if w["status"] == "ready":
                        c.request("DELETE", f"/workers/{w['id']}")
                        c.getresponse().read()

    def registered(self, c):
        c.request("GET", "/workers?model=storm")
        return json.loads(c.getresponse().read())["workers"]


def measure_storm(args, directory, engine, few):
    body = chat_body(stream=False)
    got = {"direct": [], "quiet": [], "direct, storm": [], "storm": []}
    registered = 0
    for i in range(args.rounds):
        got["direct"].append(wrk(engine, body, 1, args.seconds, directory)[2:])
        got["quiet"].append(wrk(few.port, body, 1, args.seconds, directory)[2:])
        storm = Storm(few.port, engine, 200, first=100000 + 200 * i)
        storm.start()
        time.sleep(0.3)
        got["direct, storm"].append(wrk(engine, body, 1, args.seconds, directory)[2:])
        got["storm"].append(wrk(few.port, body, 1, args.seconds, directory)[2:])
        storm.ends = True
        storm.join()
        registered += storm.cycles
        time.sleep(0.5)
    rows = []
    added = {}
    for name, g in got.items():
        p50, p99 = (statistics.median(x[i] for x in g) for i in (0, 1))
        base = got["direct, storm" if "storm" in name else "direct"]  # engine and load share their core with the storm's own program and the engine's answers to it
        added[name] = statistics.median(x[1] - d[1] for x, d in zip(g, base))
        rows.append([name, f"{p50:.0f}", f"{p99:.0f}", f"{added[name]:.0f}"])
    show(f"one chat at a time while workers are registered and removed ({registered / args.rounds / (2 * args.seconds + 0.3):.0f} registrations a second)", ["", "p50 us", "p99 us", "p99 added us"], rows)
    print(f"p99 added in the storm / quiet: {added['storm'] / max(added['quiet'], 1):.2f} (goal 2)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--workers", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--parts", default="registration,traffic,storm")
    args = parser.parse_args()
    args.build = args.build.resolve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.pop("SMG_API_KEY", None)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        engine, process = start_engine(args.build, host="0.0.0.0")
        stack.callback(process.kill)
        many = measure_registration(args, directory, engine)
        stack.callback(many.stop)
        if "traffic" in args.parts or "storm" in args.parts:
            few = measure_traffic(args, directory, engine, many)
            stack.callback(few.stop)
        if "storm" in args.parts:
            measure_storm(args, directory, engine, few)


if __name__ == "__main__":
    main()
