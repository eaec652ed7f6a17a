#!/usr/bin/env python3
"""How often the gateway calls malloc per request, once it is warm. The goal is 0.0.

A gateway with the counting library preloaded (malloc_count.c), a mock engine behind it, 16 kept connections in front. One table: kind, requests, mallocs, mallocs per request; the
row "idle" tells what the gateway allocates in the same time without requests (health checks, logs). With --stacks the sites that are left follow, most frequent first.

    bench/mallocs.py --build build-bench [--requests 20000] [--streams 2000] [--stacks] [--max 0.01]

Exits with 1 when a kind allocates more than --max per request.
"""
import argparse
import collections
import contextlib
import mmap
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

CONNECTIONS = 16
TOKENS = 64
WARM_UP = 2000
# struct counts of malloc_count.c
CALLS, BYTES, TRACE, LOST, STACKS = 0, 32, 40, 48, 56
STACK_BYTES, FRAMES, STACKS_MAX = 16 + 12 * 8, 12, 512


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=2).status == 200:
                return
        time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


@contextlib.contextmanager
def running(command, log, **options):
    process = subprocess.Popen(command, stdout=log, stderr=log, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Counts:
    """The file that malloc_count.c writes."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)

    def u64(self, at):
        return struct.unpack_from("=Q", self.map, at)[0]

    def calls(self):
        return sum(struct.unpack_from("=4Q", self.map, CALLS))

    def trace(self, on):
        struct.pack_into("=Q", self.map, TRACE, on)

    def stacks(self):
        for i in range(STACKS_MAX):
            at = STACKS + i * STACK_BYTES
            calls = self.u64(at + 8)
            if self.u64(at) and calls:
                yield calls, [f for f in struct.unpack_from(f"={FRAMES}Q", self.map, at + 16) if f]


def request(prompt_bytes, stream):
    body = '{"model":"mock-model","messages":[{"role":"user","content":"%s"}],"max_tokens":%d%s}' % (
        "hello " * (prompt_bytes // 6), TOKENS if stream else 4, ',"stream":true' if stream else "")
    return ("POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)).encode()


def read_reply(s):
    """One reply, whole: a body of known length or chunks."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536) or sys.exit("the gateway closed the connection")
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200 "):
        sys.exit(data.decode(errors="replace"))
    fields = head.lower().split(b"\r\n")
    length = next((int(f[15:]) for f in fields if f.startswith(b"content-length:")), None)
    while len(body) < length if length is not None else not body.endswith(b"\r\n0\r\n\r\n"):
        body += s.recv(65536) or sys.exit("the gateway closed the connection inside a body")
    if length is None and body.count(b"data: ") < TOKENS:
        sys.exit(f"a stream of {body.count(b'data: ')} events, not {TOKENS}")


def drive(sockets, n, what):
    """N times the request WHAT, spread over the connections."""

    def one(s, mine):
        for _ in range(mine):
            s.sendall(what)
            read_reply(s)

    threads = [threading.Thread(target=one, args=(s, n // len(sockets))) for s in sockets]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return n // len(sockets) * len(sockets)


def names_of(pid, addresses):
    """Address -> "function (file:line)", with addr2line."""
    spans = []
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[5].startswith("/"):
            low, high = (int(x, 16) for x in fields[0].split("-"))
            spans.append((low, high, int(fields[2], 16), fields[5]))
    by_file = collections.defaultdict(list)
    for a in addresses:
        for low, high, offset, path in spans:
            if low <= a < high:
                base = min(l - o for l, h, o, p in spans if p == path)
                by_file[path].append((a, a - 1 - base))
    names = {}
    for path, places in by_file.items():
        out = subprocess.run(["addr2line", "-f", "-s", "-e", path] + [hex(p) for _, p in places], capture_output=True, text=True).stdout.splitlines()
        for (a, _), function, place in zip(places, out[::2], out[1::2]):
            names[a] = f"{function} ({place})" if function != "??" else f"?? ({pathlib.Path(path).name})"
    return names


def print_stacks(counts, pid, requests):
    stacks = sorted(counts.stacks(), reverse=True)[:20]
    names = names_of(pid, {f for _, frames in stacks for f in frames})
    for calls, frames in stacks:
        print(f"\n{calls / requests:8.3f} per request ({calls} calls)")
        for f in frames:
            print("         ", names.get(f, hex(f)))
    if counts.u64(LOST):
        print(f"\n{counts.u64(LOST)} calls from further places")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default="build")
    p.add_argument("--requests", type=int, default=20000)
    p.add_argument("--streams", type=int, default=2000)
    p.add_argument("--stacks", action="store_true", help="name the places that allocate")
    p.add_argument("--max", type=float, default=0.01, help="most mallocs per request")
    args = p.parse_args()
    build = pathlib.Path(args.build).resolve()
    smg, library = str(build / "smg"), build / "bench" / "libmalloc_count.so"
    engine_port, port, metrics_port = free_port(), free_port(), free_port()
    worst = 0.0

    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "wb") as log:
        env = {"PATH": "/usr/bin:/bin", "LD_PRELOAD": str(library), "MALLOC_COUNT_FILE": f"{directory}/counts"}
        engine = [smg, "mock-engine", "--port", str(engine_port), "--flush-each", "--output-tokens", str(TOKENS), "--tokens-per-second", "4000"]
        gateway = [smg, "launch", "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics_port), "--runtime-worker-threads", "1",
                   "--worker-urls", f"http://127.0.0.1:{engine_port}", "--shutdown-grace-period-secs", "0"]
        with running(engine, log), running(gateway, log, env=env) as process:
            wait_for(f"http://127.0.0.1:{port}/readiness")
            counts = Counts(f"{directory}/counts")
            sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
            print(f"{'kind':<24}{'requests':>10}{'mallocs':>10}{'mallocs/request':>18}")
            kinds = (("chat", args.requests, request(60, False)), ("chat, 32 KB prompt", args.requests // 4, request(32768, False)),
                     (f"stream, {TOKENS} tokens", args.streams, request(60, True)))
            for kind, n, what in kinds:
                drive(sockets, WARM_UP if n > args.streams else CONNECTIONS * 8, what)
                time.sleep(0.2)
                counts.trace(int(args.stacks))
                began, before = time.monotonic(), counts.calls()
                done = drive(sockets, n, what)
                mallocs = counts.calls() - before
                seconds = time.monotonic() - began
                counts.trace(0)
                worst = max(worst, mallocs / done)
                print(f"{kind:<24}{done:>10}{mallocs:>10}{mallocs / done:>18.4f}", flush=True)
            time.sleep(0.2)
            before = counts.calls()
            time.sleep(seconds)
            print(f"{f'idle, {seconds:.1f} s':<24}{0:>10}{counts.calls() - before:>10}{'':>18}")
            if args.stacks:
                print_stacks(counts, process.pid, args.requests)
    if worst > args.max:
        sys.exit(f"more than {args.max} mallocs per request")


if __name__ == "__main__":
    main()
