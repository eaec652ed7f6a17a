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
import sys
import tempfile
import time

from proxy import LOAD_CORE, SLICE, Caller, Proxy, chat_body, free_port, median, on_core, percentile, show, start_engine, wrk

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


@contextlib.contextmanager
def first_on_core(pid):
    """PID (0: this process) goes before everything else on its cores. Needs a privilege: without it the numbers have the storm's own disturbance of core 1 in them."""
    try:
        for task in os.listdir(f"/proc/{pid or os.getpid()}/task"):
            os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        print("  no permission for SCHED_FIFO: the load shares core 1 with the storm's client", file=sys.stderr)
    try:
        yield
    finally:
        if pid == 0:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def calls(callers, n):
    """The times of N calls of each, which take turns of SLICE."""
    got = {name: [] for name in callers}
    order = list(callers)
    with on_core(LOAD_CORE), first_on_core(0):
        while len(got["direct"]) < n:
            order.append(order.pop(0))
            for name in order:
                callers[name].call()  # the first one after a pause warms the caches
                got[name] += [callers[name].call() for _ in range(SLICE)]
    return got


def start_storm(args, gateway, engine, first):
    return subprocess.Popen(["taskset", "-c", LOAD_CORE, args.build / "bench/storm", str(gateway.port), str(engine), str(args.rate), str(first)], stdout=subprocess.PIPE, text=True)


def measure_storm(args, directory, probed):
    """What the gateway adds to a request, quiet and while workers are registered and removed. Caller and engine go first on core 1 (SCHED_FIFO), so that the storm's client and the
    engine that it registers (PROBED) take what they leave, and the direct call stays as it is; what is measured is core 0, which the gateway's threads share."""
    port, engine = start_engine(args.build)
    gateway = start_gateway(directory, args.build, "storm")
    got = {(name, when): [] for name in ("direct", "gateway") for when in ("quiet", "storm")}
    rates = []
    try:
        post_all(gateway.port, [f"http://127.0.0.1:{port}"], MODEL)
        wait_ready(gateway.port, 1)
        body = chat_body(stream=False)
        callers = {"direct": Caller(port, body), "gateway": Caller(gateway.port, body)}
        with first_on_core(engine.pid):
            for i in range(args.rounds):
                for name, times in calls(callers, args.calls).items():
                    got[name, "quiet"].append(times)
                storm = start_storm(args, gateway, probed, 100000 + 30000 * i)
                time.sleep(0.5)
                for name, times in calls(callers, args.calls).items():
                    got[name, "storm"].append(times)
                storm.terminate()
                added, ready, seconds, _ = map(float, storm.communicate()[0].split())
                assert ready > 0.99 * added, "registrations were not ready when they were asked for"
                rates.append(added / seconds)
                time.sleep(0.5)
    finally:
        gateway.stop()
        engine.kill()
    rows, p99 = [], {}
    for when in ("quiet", "storm"):
        at = {name: [[percentile(r, p) for r in got[name, when]] for p in (0.5, 0.99)] for name in callers}
        p50, p99[when] = ([g - d for g, d in zip(at["gateway"][i], at["direct"][i])] for i in (0, 1))
        for name in callers:
            added = [f"{median(p50):.0f}", f"{median(p99[when]):.0f}", f"{min(p99[when]):.0f}..{max(p99[when]):.0f}"] if name == "gateway" else [""] * 3
            rows.append([f"{name}, {when}", f"{median(at[name][0]):.0f}", f"{median(at[name][1]):.0f}", *added])
    show(f"one chat at a time while workers are registered and removed ({median(rates):.0f} registrations a second)", ["us", "p50", "p99", "added p50", "added p99", "min..max"], rows)
    print(f"p99 added in the storm, of the quiet one's: {median(p99['storm']) / max(median(p99['quiet']), 1):.2f} (goal 2); median round by round "
          f"{median([s / max(q, 1) for s, q in zip(p99['storm'], p99['quiet'])]):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--workers", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=4000, help="of each, per round of the storm")
    parser.add_argument("--rate", type=int, default=870, help="registrations a second in the storm")
    parser.add_argument("--parts", default="registration,traffic,storm")
    args = parser.parse_args()
    args.build = args.build.resolve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.pop("SMG_API_KEY", None)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        engine, process = start_engine(args.build, host="0.0.0.0")
        stack.callback(process.kill)
        if "registration" in args.parts or "traffic" in args.parts:
            many = measure_registration(args, directory, engine)
            if "traffic" in args.parts:
                measure_traffic(args, directory, engine, many).stop()
            many.stop()
        if "storm" in args.parts:
            measure_storm(args, directory, engine)


if __name__ == "__main__":
    main()
