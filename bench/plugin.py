#!/usr/bin/env python3
"""What a plugin adds to a request: the gateway and the original SMG with the same component, in one run.

Each is started twice in front of one mock engine: with WASM switched on and no module, and with tests/wasm/readheader.wasm on OnRequest, which looks up one of the request's headers. What a call costs is the
difference of the two in CPU time of the process per request (2 KB chat, small JSON reply, 32 connections, parts pinned to cores as in bench/proxy.py); what it adds is the difference of their medians for one
connection that sends one request after the other. Short turns alternate, and the median of the rounds' differences is told, with the quarter below and the quarter above it.

    bench/plugin.py --build build-bench [--rounds 25] [--seconds 1] [--python .venv-bench/bin/python] [--component plugins/rust/plugin.wasm]
"""
import argparse
import json
import os
import pathlib
import shutil
import tempfile
import urllib.request

import proxy


def register(port, component):
    body = {"modules": [{"name": "measured", "file_path": str(component), "module_type": "Middleware", "attach_points": [{"Middleware": "OnRequest"}]}]}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/wasm", json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert "Success" in json.load(reply)["modules"][0]["add_result"]


def executions(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/wasm", timeout=10) as reply:
        return json.load(reply)["metrics"]["successful_executions"]


def start_smg(name, directory, engine, args):
    p = proxy.Proxy(name, directory)
    return p.start([args.build / "smg", "launch", "--host", "127.0.0.1", "--port", p.port, "--prometheus-host", "127.0.0.1", "--prometheus-port", proxy.free_port(), "--runtime-worker-threads", 1,
                    "--policy", "round_robin", "--shutdown-grace-period-secs", 0, "--enable-wasm", "--wasm-runtime-lib", proxy.ROOT / "lib/libwasmtime.so", "--worker-urls", f"http://127.0.0.1:{engine}"], "/readiness")


def start_original(name, directory, engine, args):
    p = proxy.Proxy(name, directory)
    return p.start([args.python, "-m", "smg.launch_router", "--host", "127.0.0.1", "--port", p.port, "--prometheus-port", proxy.free_port(), "--policy", "round_robin", "--enable-wasm",
                    "--worker-startup-check-interval", 1, "--worker-urls", f"http://127.0.0.1:{engine}"], "/readiness")


def quarters(values):
    v = sorted(values)
    return f"{v[len(v) // 4]:.1f}..{v[-1 - len(v) // 4]:.1f}"


def measure(args, proxies, directory):
    body = proxy.chat_body(stream=False)
    cpu, p50 = ({name: [] for name in proxies} for _ in range(2))
    for _ in range(args.rounds):
        for name, p in proxies.items():
            before = proxy.cpu_ns(p.process.pid)
            n = proxy.wrk(p.port, body, 32, args.seconds, directory)[0]
            cpu[name].append((proxy.cpu_ns(p.process.pid) - before) / n / 1000)
            p50[name].append(proxy.wrk(p.port, body, 1, args.seconds, directory)[2])
    rows, calls = [], {}
    for name in ("smg", "SMG"):
        each = [b - a for a, b in zip(cpu[name], cpu[name + " plugin"])]
        added = [b - a for a, b in zip(p50[name], p50[name + " plugin"])]
        calls[name] = proxy.median(each)
        rows.append([name, f"{proxy.median(cpu[name]):.1f}", f"{proxy.median(cpu[name + ' plugin']):.1f}", f"{calls[name]:.1f}", quarters(each), f"{proxy.median(p50[name]):.0f}", f"{proxy.median(p50[name + ' plugin']):.0f}",
                     f"{proxy.median(added):.0f}", quarters(added), executions(proxies[name + " plugin"].port)])
    proxy.show(f"{args.component.name} on OnRequest", ["gateway", "CPU us/request without", "with", "a call", "quarters", "p50 us without", "with", "added", "quarters", "calls"], rows)
    print(f"\nCPU per call, SMG to smg: {calls['SMG'] / calls['smg']:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--python", type=pathlib.Path, default=proxy.ROOT / ".venv-bench/bin/python")
    parser.add_argument("--component", type=pathlib.Path, default=proxy.ROOT / "tests/wasm/readheader.wasm")
    args = parser.parse_args()
    args.build = args.build.resolve()
    os.environ.pop("SMG_API_KEY", None)
    engine, process = proxy.start_engine(args.build)
    with tempfile.TemporaryDirectory() as directory:
        component = pathlib.Path(directory) / args.component.name
        shutil.copy(args.component, component)
        proxies = {}
        try:
            for name, start in (("smg", start_smg), ("SMG", start_original)):
                for variant in (name, name + " plugin"):
                    proxies[variant] = start(variant, directory, engine, args)
                register(proxies[name + " plugin"].port, component)
            measure(args, proxies, directory)
        finally:
            for p in proxies.values():
                p.stop()
            process.kill()


if __name__ == "__main__":
    main()
