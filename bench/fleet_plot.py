#!/usr/bin/env python3
"""docs/fleet-ttft.png: what bench/fleet.py measured beside what bench/fleet_sim says of other loads and other shares of common text.

    .venv/bin/python bench/fleet.py --build build-bench --json fleet.json
    .venv-bench/bin/python bench/fleet_plot.py --fleet fleet.json --sim build-bench/bench/fleet_sim --out docs/fleet-ttft.png
"""
import argparse
import json
import pathlib
import subprocess

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

WORKERS = 64
RATES = [2, 4, 6, 8, 10, 12, 13, 14, 16, 20, 24, 28, 32]
SHARES = [0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9]
SHARES_RATE = 13  # what round_robin still carries without any shared text
LINES = {"round_robin": "#9aa0a6", "random": "#c9b458", "power_of_two": "#d98c3f", "least_load": "#a05fb5", "prefix_hash": "#4c9f70", "cache_aware": "#1f6fb4"}
TOO_MUCH_MS = 2000  # a fleet that does not keep up: the mean says how long was measured, nothing else


def simulate(sim, policies, **options):
    """policy -> mean TTFT in ms"""
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    out = subprocess.run([sim, "--tsv", "--workers", str(WORKERS), "--policies", ",".join(policies), "--seconds", "8", *flags], capture_output=True, text=True, check=True).stdout
    return {line.split("\t")[2]: float(line.split("\t")[3]) for line in out.splitlines()}


def curves(sim, policies, name, values, **options):
    """policy -> (values, means), cut where the fleet does not keep up."""
    runs = [(v, simulate(sim, policies, **{name: v}, **options)) for v in values]
    return {p: ([v for v, r in runs if r[p] < TOO_MUCH_MS], [r[p] for _, r in runs if r[p] < TOO_MUCH_MS]) for p in policies}


def bars(axes, fleet):
    results = sorted(fleet["results"], key=lambda r: -r["ttft_ms"]["mean"])
    names = [r["name"] for r in results]
    means = [r["ttft_ms"]["mean"] for r in results]
    drawn = axes.barh(names, means, color=[LINES.get(n, "#c4c8cc") if n == "cache_aware" else "#c4c8cc" for n in names])
    axes.bar_label(drawn, [f"{m:.0f} ms, {100 * r['hit_rate']:.0f} % hits" for m, r in zip(means, results)], padding=4, fontsize=8)
    axes.set_xlim(0, max(means) * 1.4)
    axes.set_xlabel("mean time to first token, ms")
    c = fleet["config"]
    axes.set_title(f"{c['engines']} engines, {c['rate']:g} streams/s, {100 * c['shared']:.0f} % shared (measured)", fontsize=10)


def lines(axes, drawn, label, title, log=False):
    for policy, (x, y) in drawn.items():
        axes.plot(x, y, marker="o", markersize=3, linewidth=2.2 if policy == "cache_aware" else 1.4, color=LINES[policy], label=policy)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(bottom=10 if log else 0)
    axes.set_xlabel(label)
    axes.set_ylabel("mean time to first token, ms")
    axes.set_title(title, fontsize=10)
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleet", type=pathlib.Path, required=True)
    parser.add_argument("--sim", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    fleet = json.loads(args.fleet.read_text())
    measured = {r["policy"] for r in fleet["results"]}
    policies = [p for p in LINES if p in measured]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.4), constrained_layout=True)
    bars(left, fleet)
    lines(middle, curves(args.sim, policies, "rate", RATES), "requests/s per engine", f"{WORKERS} engines, 70 % shared (simulated)", log=True)
    shares = {p: ([100 * v for v in x], y) for p, (x, y) in curves(args.sim, policies, "shared", SHARES, rate=SHARES_RATE).items()}
    lines(right, shares, "shared part of a prompt, %", f"{WORKERS} engines, {SHARES_RATE} requests/s each (simulated)", log=True)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
