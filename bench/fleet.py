#!/usr/bin/env python3
"""What a routing policy is worth: mean time to first token and prefix-hit rate of every policy, over the same fleet of simulated engines and the same load.

For each policy the engines start anew (`smg mock-engine --engine realistic`: continuous batching, KV blocks, eviction), a gateway with that policy goes in front of them, and `smg bench` sends it an open loop of
streams that share prompt prefixes. Hit rates are the engines' own counts of prompt tokens found in their KV caches, inside the measured window. bench/README.md explains the workload.

    bench/fleet.py --build build-bench [--policies round_robin,cache_aware] [--shared 0.7] [--json FILE] [--original]
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from proxy import LOAD_CORE, ROOT, Proxy, free_port, show

MODEL = "mock-model"
KEYED = {"consistent_hashing", "manual"}  # they look at a session's key, not at the prompt: the load names its prefix in x-smg-routing-key
# Shown first to last; passthrough is no choice among equals.
ORDER = ["round_robin", "random", "power_of_two", "least_load", "bucket", "prefix_hash", "consistent_hashing", "manual", "cache_aware"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--policies", help="default: all that this build knows")
    parser.add_argument("--flags", default="", help="more flags for smg launch, in one string")
    parser.add_argument("--original", action="store_true", help="the original SMG's round_robin and cache_aware, too (.venv-bench)")
    parser.add_argument("--json", type=pathlib.Path, help="write what was measured, for bench/fleet_plot.py")
    fleet = parser.add_argument_group("fleet")
    fleet.add_argument("--engines", type=int, default=8)
    fleet.add_argument("--prefill-tps", type=int, default=60000, help="prompt tokens a second")
    fleet.add_argument("--kv-tokens", type=int, default=131072, help="KV cache of an engine")
    fleet.add_argument("--block-size", type=int, default=128)
    fleet.add_argument("--decode-base-ms", type=float, default=4)
    fleet.add_argument("--decode-per-req-ms", type=float, default=0.1)
    load = parser.add_argument_group("load")
    load.add_argument("--rate", type=float, default=120, help="requests a second")
    load.add_argument("--prompt-bytes", type=int, default=16384)
    load.add_argument("--shared", type=float, default=0.7, help="share of a prompt that is one of the prefixes")
    load.add_argument("--prefixes", type=int, default=128)
    load.add_argument("--popularity", type=float, default=0.5, help="exponent of Zipf's law; 0 = all prefixes equally often")
    load.add_argument("--output-tokens", type=int, default=32)
    load.add_argument("--warmup", type=float, default=4)
    load.add_argument("--seconds", type=float, default=6)
    args = parser.parse_args()
    args.build = args.build.resolve()
    return args


def known_policies(smg):
    """The policies that this build offers, in ORDER."""
    text = re.sub(r"\s+", " ", subprocess.run([smg, "launch", "--help"], capture_output=True, text=True, check=True).stdout)
    names = re.search(r"--policy <POLICY>.*?possible values: ([^\]]*)\]", text).group(1).split(", ")
    return [name for name in ORDER if name in names]


class Fleet:
    """N simulated engines in one process, all caches empty."""

    def __init__(self, args):
        command = ["taskset", "-c", LOAD_CORE, args.build / "smg", "mock-engine", "--port", 0, "--count", args.engines, "--engine", "realistic", "--model", MODEL,
                   "--prefill-tps", args.prefill_tps, "--kv-tokens", args.kv_tokens, "--block-size", args.block_size, "--decode-base-ms", args.decode_base_ms,
                   "--decode-per-req-ms", args.decode_per_req_ms]
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        self.urls = [re.search(r"http://\S+", self.process.stdout.readline()).group(0) for _ in range(args.engines)]

    def counts(self):
        """Each engine's counters."""
        return [json.load(urllib.request.urlopen(url + "/mock/requests")) for url in self.urls]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def start_smg(args, policy, fleet, directory):
    p = Proxy(policy, directory)
    return p.start([args.build / "smg", "launch", "--host", "127.0.0.1", "--port", p.port, "--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(),
                    "--policy", policy, "--runtime-worker-threads", 1, "--shutdown-grace-period-secs", 0, "--log-level", "warn", "--load-monitor-interval", 1,
                    *args.flags.split(), "--worker-urls", *fleet.urls])


def start_original(args, policy, fleet, directory):
    p = Proxy("SMG", directory)
    return p.start([ROOT / ".venv-bench/bin/python", "-m", "smg.launch_router", "--host", "127.0.0.1", "--port", p.port, "--prometheus-port", free_port(), "--policy", policy,
                    "--worker-startup-check-interval", 1, "--worker-urls", *fleet.urls])


def wait_ready(port, n, seconds=60):
    """Until N workers are ready; the original says so in /workers only."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            workers = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/workers"))["workers"]
            if sum(w.get("status") == "ready" or w.get("is_healthy") is True for w in workers) >= n:
                return
        time.sleep(0.05)
    raise SystemExit(f"{n} workers were not ready within {seconds} s")


def run_load(args, port, keyed, fleet):
    """The report of smg bench, and each engine's counters at the end of the warm-up and at the end."""
    command = ["taskset", "-c", LOAD_CORE, args.build / "smg", "bench", f"http://127.0.0.1:{port}", "--stream", "--model", MODEL, "--rate", args.rate, "--warmup", args.warmup,
               "--duration", args.seconds, "--prompt-bytes", args.prompt_bytes, "--shared-prefix", args.shared, "--prefixes", args.prefixes, "--popularity", args.popularity,
               "--max-tokens", args.output_tokens, "--ignore-eos", "--json", "-", *(["--prefix-header", "x-smg-routing-key"] if keyed else [])]
    load = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    time.sleep(args.warmup)
    before = fleet.counts()
    out = load.communicate()[0]
    if load.returncode != 0:
        raise SystemExit(f"smg bench ended with {load.returncode}: {out}")
    return json.loads(out), before, fleet.counts()


def measure(args, policy, starter, directory):
    fleet = Fleet(args)
    gateway = None
    try:
        gateway = starter(args, policy, fleet, directory)
        wait_ready(gateway.port, args.engines)
        report, before, after = run_load(args, gateway.port, policy in KEYED, fleet)
    finally:
        if gateway:
            gateway.stop()
        fleet.stop()
    if report["requests"]["failed"] or report["requests"]["unfinished"]:
        print(f"  {policy}: {report['requests']}", file=sys.stderr)
    grown = [{k: b[k] - a[k] for k in ("generations", "prompt_tokens", "cached_tokens")} for a, b in zip(before, after)]
    shares = [g["generations"] for g in grown]
    return {
        "policy": policy, "ttft_ms": report["ttft_ms"], "itl_ms": report["itl_ms"], "latency_ms": report["latency_ms"], "requests": report["requests"]["ok"],
        "hit_rate": sum(g["cached_tokens"] for g in grown) / max(sum(g["prompt_tokens"] for g in grown), 1),
        "busiest": max(shares) * len(shares) / max(sum(shares), 1),
        "in_flight": report["generator"]["peak_in_flight"],
    }


def rows_of(results):
    base = next((r["ttft_ms"]["mean"] for r in results if r["name"] == "round_robin"), None)
    return [[r["name"], f"{r['ttft_ms']['mean']:.1f}", f"{r['ttft_ms']['p50']:.1f}", f"{r['ttft_ms']['p99']:.1f}", f"{base / r['ttft_ms']['mean']:.2f}x" if base else "-",
             f"{100 * r['hit_rate']:.1f} %", f"{r['latency_ms']['mean']:.0f}", f"{r['busiest']:.2f}", r["requests"]] for r in results]


def main():
    args = parse_arguments()
    os.environ.pop("SMG_API_KEY", None)
    contestants = [(p, p, start_smg) for p in (args.policies.split(",") if args.policies else known_policies(args.build / "smg"))]
    if args.original:
        contestants += [(f"SMG's {p}", p, start_original) for p in ("round_robin", "cache_aware")]
    results = []
    with tempfile.TemporaryDirectory() as directory:
        for name, policy, starter in contestants:
            results.append({"name": name, **measure(args, policy, starter, directory)})
    shared = args.prompt_bytes * args.shared / 4
    show(f"{args.engines} engines, {args.rate:g} streams/s, prompts of {args.prompt_bytes / 4:.0f} tokens of which {shared:.0f} are one of {args.prefixes} prefixes ({args.prefixes * shared / 1000:.0f}k tokens; an engine's KV cache has {args.kv_tokens / 1000:.0f}k)",
         ["policy", "mean TTFT ms", "p50", "p99", "than round_robin", "prefix hits", "latency ms", "busiest", "requests"], rows_of(results))
    if args.json:
        args.json.write_text(json.dumps({"config": {k: v for k, v in vars(args).items() if isinstance(v, (int, float, str))}, "results": results}, indent=1))


if __name__ == "__main__":
    main()
