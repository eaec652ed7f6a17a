#!/usr/bin/env python3
"""The gateway beside nginx, HAProxy and the original SMG, over one mock engine, in one run.

The proxy under test runs on core 0 with one thread (where it lets itself be told so), engine and load generator on core 1. CPU time comes from the kernel's accounting
(/proc/PID/task/*/schedstat, children included), so it does not depend on how busy the other core was. Rounds alternate between the proxies; the tables show medians and, behind
them, the spread (max - min) in percent. "of nginx's" is the median of the rounds' own ratios: what disturbs a round disturbs both sides of it.
Streams are compared a second time "side by side": see beside(). Access logs are on for smg and nginx (to a file); HAProxy logs nothing, which favours it.

    bench/proxy.py --build build-bench [--rounds 7] [--seconds 3] [--streams 9500] [--only smg,nginx]
"""
import argparse
import contextlib
import gc
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROXY_CORE, LOAD_CORE = "0", "1"
TLS = []  # during the part "tls": certificate and key, which the proxies show to clients
TOKENS = 64
BURST = 8  # events in one write of the engine: 1.6 KB, so that also nginx takes it in one read
SLICE = 50  # calls of one contestant before the next one's turn, where latency is measured


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, seconds=30, status=200):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=2, context=ssl._create_unverified_context()).status == status:
                return
        time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def pids_of(pid):
    """A process and all its descendants."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += pids_of(int(child))
    return found


def cpu_ns(pid):
    total = 0
    for p in pids_of(pid):
        for task in pathlib.Path(f"/proc/{p}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def resident_kib(pid):
    total = 0
    for p in pids_of(pid):
        for line in pathlib.Path(f"/proc/{p}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total += int(line.split()[1])
    return total


def scheme():
    return "https" if TLS else "http"


class Proxy:
    """A proxy in front of the engine at ENGINE (port); started once, measured many times."""

    def __init__(self, name, directory):
        self.name, self.directory, self.port = name, pathlib.Path(directory), free_port()

    def start(self, command, ready="/health"):
        self.log = open(self.directory / f"{self.name}.log", "wb")
        self.process = subprocess.Popen(["taskset", "-c", PROXY_CORE, *map(str, command)], stdout=self.log, stderr=subprocess.STDOUT, cwd=self.directory)
        wait_for(f"{scheme()}://127.0.0.1:{self.port}{ready}", seconds=60)
        return self

    def stop(self):
        self.process.send_signal(signal.SIGKILL if self.name.startswith("SMG") else signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()


def start_smg(directory, engine, build):
    p = Proxy("smg", directory)
    return p.start([build / "smg", "launch", "--host", "127.0.0.1", "--port", p.port, "--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(),
                    "--runtime-worker-threads", 1, "--policy", "round_robin", "--shutdown-grace-period-secs", 0, "--worker-urls", f"http://127.0.0.1:{engine}",
                    *(["--tls-cert-path", TLS[0], "--tls-key-path", TLS[1]] if TLS else [])], "/readiness")


def start_nginx(directory, engine, build):
    p = Proxy("nginx", directory)
    conf = p.directory / "nginx.conf"
    tls = f"ssl_certificate {TLS[0]}; ssl_certificate_key {TLS[1]}; ssl_session_tickets on;" if TLS else ""
    conf.write_text(f"""
daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.err warn; worker_processes 1;
events {{ worker_connections 19900; multi_accept on; }}
http {{
  access_log {directory}/access.log combined buffer=64k flush=1s;
  client_header_buffer_size 8k; client_body_buffer_size 64k; keepalive_requests 1000000000; keepalive_timeout 75s; tcp_nodelay on;
  client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 9600; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{p.port} {"ssl" if TLS else ""} backlog=4096; {tls}
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 600s; }}
  }}
}}
""")
    return p.start(["nginx", "-c", conf, "-p", directory])


def start_haproxy(directory, engine, build):
    p = Proxy("haproxy", directory)
    conf = p.directory / "haproxy.cfg"
    conf.write_text(f"""
global
  nbthread 1
  maxconn 9900
  tune.bufsize 16384
defaults
  mode http
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  http-reuse always
  option http-no-delay
frontend f
  bind 127.0.0.1:{p.port}
  default_backend b
backend b
  server e 127.0.0.1:{engine}
""")
    return p.start(["haproxy", "-f", conf, "-db"])


def start_original(directory, engine, build):
    p = Proxy("SMG", directory)
    python = ROOT / ".venv-bench/bin/python"
    return p.start([python, "-m", "smg.launch_router", "--host", "127.0.0.1", "--port", p.port, "--prometheus-port", free_port(), "--policy", "round_robin",
                    "--worker-startup-check-interval", 1, "--worker-urls", f"http://127.0.0.1:{engine}"], "/readiness")


STARTERS = {"smg": start_smg, "nginx": start_nginx, "haproxy": start_haproxy, "SMG": start_original}


def chat_body(stream):
    """About 2 KB, a few turns, as an application sends it."""
    text = "The quick brown fox jumps over the lazy dog near the river bank while the sun sets slowly. "
    messages = [{"role": "system", "content": "You are a helpful assistant. " + text * 4}]
    for i in range(3):
        messages += [{"role": "user", "content": f"Question {i}: " + text * 3}, {"role": "assistant", "content": f"Answer {i}: " + text * 2}]
    messages.append({"role": "user", "content": "And now?"})
    return json.dumps({"model": "mock-model", "messages": messages, "max_tokens": TOKENS if stream else 8, "temperature": 0.7, "stream": stream})


def wrk(port, body, connections, seconds, directory):
    """(requests, requests/s, p50 us, p99 us)"""
    script = pathlib.Path(directory) / "chat.lua"
    script.write_text(f"""
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.body = {json.dumps(body)}
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout))
end
""")
    out = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"{scheme()}://127.0.0.1:{port}"],
                         capture_output=True, text=True, check=True).stdout
    n, us, p50, p99, errors = map(int, next(line for line in out.splitlines() if line.startswith("RESULT")).split()[1:])
    if errors:
        print(f"  {errors} errors through port {port}", file=sys.stderr)
    return n, n / us * 1e6, p50, p99


def streams(build, port, concurrency, requests):
    """How many of REQUESTS streaming chats through PORT came whole."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["taskset", "-c", LOAD_CORE, str(build / "smg"), "bench", f"{scheme()}://127.0.0.1:{port}", *(["--ca-cert-paths", TLS[0]] if TLS else []), "--stream", "--model", "mock-model", "--concurrency", str(concurrency),
                        "--requests", str(requests), "--warmup", "0", "--duration", "600", "--max-tokens", str(TOKENS), "--prompt-bytes", "1800", "--json", out.name], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        report = json.loads(pathlib.Path(out.name).read_text())
        return report["requests"]["ok"], report["window_s"]


def median(values):
    return statistics.median(values)


def spread(values):
    return 100 * (max(values) - min(values)) / median(values) if median(values) else 0


def of_nginx(cpu, name):
    """The median of the ratios to nginx, round by round."""
    return f"{median([a / b for a, b in zip(cpu[name], cpu['nginx'])]):.2f}" if "nginx" in cpu else "-"


def show(title, columns, rows):
    print(f"\n{title}")
    widths = [max(len(str(r[i])) for r in [columns, *rows]) for i in range(len(columns))]
    for r in [columns, *rows]:
        print("  ".join(str(v).ljust(w) if i == 0 else str(v).rjust(w) for i, (v, w) in enumerate(zip(r, widths))))


def measure_small(args, proxies, directory):
    body = chat_body(stream=False)
    got = {name: [] for name in proxies}
    for _ in range(args.rounds):
        for name, p in proxies.items():
            before = cpu_ns(p.process.pid)
            n, rps, p50, p99 = wrk(p.port, body, 32, args.seconds, directory)
            got[name].append((rps, (cpu_ns(p.process.pid) - before) / n / 1000, p50, p99))
    cpu = {name: [x[1] for x in g] for name, g in got.items()}
    rows = []
    for name, g in got.items():
        rows.append([name, f"{median([x[0] for x in g]):.0f}", f"{median(cpu[name]):.2f}", f"{spread(cpu[name]):.0f} %", of_nginx(cpu, name),
                     f"{median([x[2] for x in g]):.0f}", f"{median([x[3] for x in g]):.0f}"])
    show("2 KB chat request, small JSON reply, 32 connections" + (", TLS" if TLS else ""), ["proxy", "requests/s", "CPU us/request", "spread", "of nginx's", "p50 us", "p99 us"], rows)


def measure_tls(args, names, directory):
    """Clients speak TLS 1.3 (ECDSA P-256), the engine plain HTTP: what the records cost on kept connections."""
    crt, key = (f"{directory}/tls.{end}" for end in ("crt", "key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    TLS.extend((crt, key))
    with_engine(args, names, directory, "tls", lambda proxies: measure_small(args, proxies, directory))
    with_engine(args, names, directory, "tls", lambda proxies: measure_streams(
        args, f"streams of {TOKENS} tokens, 100 tokens/s each, 300 at a time", proxies, 300, 300 * args.seconds * 3 // 2),
        "--flush-each", "--tokens-per-second", "100", "--output-tokens", str(TOKENS))
    TLS.clear()


class Caller:
    """One kept connection that sends the same request again and again and notes how long each reply took."""

    def __init__(self, port, body):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()

    def call(self):
        began = time.perf_counter_ns()
        self.socket.sendall(self.request)
        reply = b""
        while not self.whole(reply):
            part = self.socket.recv(65536)
            ended = time.perf_counter_ns()
            if not part:
                raise SystemExit("the connection ended in the middle of a measurement")
            reply += part
        if not reply.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected reply: {reply[:200]}")
        return (ended - began) / 1000

    @staticmethod
    def whole(reply):
        head, gap, body = reply.partition(b"\r\n\r\n")
        if not gap:
            return False
        length = re.search(rb"(?i)content-length: *([0-9]+)", head)
        return len(body) >= int(length.group(1)) if length else body.endswith(b"0\r\n\r\n")


def percentile(values, p):
    return sorted(values)[int(len(values) * p)]


@contextlib.contextmanager
def on_core(core):
    """This process alone on CORE, without pauses of the garbage collector."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, before)


def latencies(args, callers):
    """Per name, per round: the times of all calls. The contestants take turns of SLICE calls each (some milliseconds), each turn in another order, so that a disturbance of the
    machine meets all of them alike."""
    got = {name: [[] for _ in range(args.rounds * args.seconds)] for name in callers}
    order = list(callers)
    with on_core(LOAD_CORE):
        for i in range(args.rounds * args.seconds):
            for _ in range(20):
                order.append(order.pop(0))
                for name in order:
                    callers[name].call()  # the first one after a pause warms the caches
                    got[name][i] += [callers[name].call() for _ in range(SLICE)]
    return got


def latency_rows(args, names, directory):
    """The rows of NAMES and the direct call, over an engine of their own."""
    body = chat_body(stream=False)
    engine, engine_process = start_engine(args.build, core=PROXY_CORE)
    proxies = {name: STARTERS[name](directory, engine, args.build) for name in names}
    got = latencies(args, {name: Caller(port, body) for name, port in [("direct", engine), *((n, p.port) for n, p in proxies.items())]})
    for p in proxies.values():
        p.stop()
    engine_process.kill()
    at = {name: {p: [percentile(r, p) for r in rounds] for p in (0.5, 0.99)} for name, rounds in got.items()}
    rows = []
    for name in got:
        added = {p: [a - b for a, b in zip(at[name][p], at["direct"][p])] for p in (0.5, 0.99)}
        rows.append([name, f"{median(at[name][0.5]):.0f}", f"{median(at[name][0.99]):.0f}", f"{median(added[0.5]):.0f}", f"{median(added[0.99]):.0f}",
                     f"{min(added[0.99]):.0f}..{max(added[0.99]):.0f}"])
    return rows


def measure_latency(args, names, directory):
    """Engine and proxy share core 0, so that the direct call crosses between cores as often as the one through a proxy: on a virtual machine, waking the other core costs more than
    all the rest, and it is not the proxy's. The original runs by itself: what its threads do after a reply would fall into the others' calls."""
    rows = latency_rows(args, [n for n in names if n != "SMG"], directory)
    if "SMG" in names:
        rows += latency_rows(args, ["SMG"], directory)[1:]
    show("the same, one connection, engine on the proxy's core: latency", ["proxy", "p50 us", "p99 us", "added p50", "added p99", "min..max"], rows)


def stream_cost(args, p, concurrency, requests):
    """(CPU us/stream, streams/s) of P under one load."""
    before = cpu_ns(p.process.pid)
    done, seconds = streams(args.build, p.port, concurrency, requests)
    return (cpu_ns(p.process.pid) - before) / 1000 / max(1, done), done / seconds


def beside(args, pair, concurrency, requests):
    """What the first of PAIR costs per stream, of what the second does, when both work at the same time on one core, each for half of the load: the machine is then in the same
    state for both, whatever that state is."""
    cost = [None, None]

    def load(i):
        cost[i] = stream_cost(args, pair[i], concurrency // 2, requests // 2)[0]

    threads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if None in cost:
        raise SystemExit("a load generator failed")
    return cost[0] / cost[1]


def measure_streams(args, title, proxies, concurrency, requests):
    got = {name: [] for name in proxies}
    # The original SMG would take most of the core, and nginx would wait for it.
    ratios = {name: [] for name in proxies if "nginx" in proxies and name not in ("nginx", "SMG")}
    for _ in range(args.rounds):
        for name, p in proxies.items():
            got[name].append(stream_cost(args, p, concurrency, requests))
        for name, found in ratios.items():
            found.append(beside(args, (proxies[name], proxies["nginx"]), concurrency, requests))
    cpu = {name: [x[0] for x in g] for name, g in got.items()}
    rows = []
    for name, g in got.items():
        r = ratios.get(name)
        rows.append([name, f"{median([x[1] for x in g]):.0f}", f"{median(cpu[name]):.1f}", f"{median(cpu[name]) / (TOKENS + 2):.3f}", f"{spread(cpu[name]):.0f} %", of_nginx(cpu, name),
                     *([f"{median(r):.2f}", f"{min(r):.2f}..{max(r):.2f}"] if r else ["-", "-"])])
    show(title + (", TLS" if TLS else ""), ["proxy", "streams/s", "CPU us/stream", "CPU us/event", "spread", "of nginx's", "side by side", "min..max"], rows)


def measure_memory(args, proxies):
    rows = []
    for name, p in proxies.items():
        idle = resident_kib(p.process.pid)
        load = subprocess.Popen(["taskset", "-c", LOAD_CORE, str(args.build / "smg"), "bench", f"http://127.0.0.1:{p.port}", "--stream", "--model", "mock-model", "--concurrency",
                                 str(args.streams), "--duration", "25", "--max-tokens", "1000", "--prompt-bytes", "1800"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(20)
        busy = resident_kib(p.process.pid)
        load.terminate()
        load.wait()
        rows.append([name, f"{idle / 1024:.1f}", f"{busy / 1024:.1f}", f"{(busy - idle) / args.streams:.1f}"])
    show(f"resident memory, idle and with {args.streams} open streams", ["proxy", "idle MiB", "busy MiB", "KiB per stream pair"], rows)


def start_engine(build, *flags, core=LOAD_CORE, host="127.0.0.1"):
    port = free_port()
    process = subprocess.Popen(["taskset", "-c", core, str(build / "smg"), "mock-engine", "--host", host, "--port", str(port), *flags], stdout=subprocess.DEVNULL)
    wait_for(f"http://127.0.0.1:{port}/health")
    return port, process


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=9500)
    parser.add_argument("--only", default="smg,nginx,haproxy,SMG")
    parser.add_argument("--parts", default="small,tls,latency,streams,memory")
    args = parser.parse_args()
    args.build = args.build.resolve()
    names = [n for n in args.only.split(",") if n != "SMG" or (ROOT / ".venv-bench/bin/python").exists()]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.pop("SMG_API_KEY", None)
    with tempfile.TemporaryDirectory() as directory:
        with_engine(args, names, directory, "small", lambda proxies: measure_small(args, proxies, directory))
        with_engine(args, names, directory, "streams", lambda proxies: measure_streams(
            args, f"streams of {TOKENS} tokens, 100 tokens/s each, 300 at a time: every event is a read and a write of its own", proxies, 300, 300 * args.seconds * 3 // 2),
            "--flush-each", "--tokens-per-second", "100", "--output-tokens", str(TOKENS))
        with_engine(args, names, directory, "streams", lambda proxies: measure_streams(
            args, f"streams of {TOKENS} tokens, 800 tokens/s each in bursts of {BURST}, 256 at a time: every read holds a burst", proxies, 256, 2500 * args.seconds),
            "--tokens-per-second", "800", "--burst", str(BURST), "--output-tokens", str(TOKENS))
        with_engine(args, names, directory, "streams", lambda proxies: measure_streams(
            args, f"streams of {TOKENS} tokens as fast as they go, 256 at a time: how many events a read holds is left to chance", proxies, 256, 2500 * args.seconds),
            "--flush-each", "--output-tokens", str(TOKENS))
        if "tls" in args.parts:
            measure_tls(args, [n for n in names if n in ("smg", "nginx")], directory)
        if "latency" in args.parts:
            measure_latency(args, names, directory)
        with_engine(args, names, directory, "memory", lambda proxies: measure_memory(args, proxies),
                    "--flush-each", "--tokens-per-second", "2", "--output-tokens", "1000")


def with_engine(args, names, directory, part, measure, *flags):
    """Runs one measurement over an engine and proxies of its own."""
    if part not in args.parts:
        return
    engine, process = start_engine(args.build, *flags)
    proxies = {}
    try:
        for name in names:
            proxies[name] = STARTERS[name](directory, engine, args.build)
        measure(proxies)
    finally:
        for p in proxies.values():
            p.stop()
        process.kill()


if __name__ == "__main__":
    main()
