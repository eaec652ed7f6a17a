"""The shell lines of README.md, docs/mock-engine.md, docs/bench.md and docs/auth.md, in their order, as a reader pastes them.

Only what a test must change is changed: ports are free ones, a bench runs half a second, the GPU hosts of the README are mock engines, and the gateway gets a metrics port of its
own. `smg mock-engine` and `smg launch` keep running until the next one of their kind; every other line must succeed, and curl fails on an HTTP error.
"""
import os
import re
import shlex
import socket
import subprocess

import pytest

from conftest import ROOT, SLOWNESS, SMG, Process, free_port, wait_until

MAKE = {"make run", "make test"}  # test_tools.py runs the first; the second is running
ENDS_WITH = {"cut=2": 18}  # curl: transfer closed with outstanding data


def commands(page):
    """The commands of the page's ```sh blocks, without comments, continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [c for c in (re.sub(r"\s+#\s.*$", "", line).strip() for line in lines) if c and c not in MAKE]


def free_ports(n):
    """The first of N ports that are free in a row."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + n):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            pass


class Reader:
    """Somebody with a terminal who pastes one command after another."""

    def __init__(self, start, directory):
        self.start, self.engine_port, self.gateway_port = start, free_ports(4), free_port()
        self.running = {}
        (directory / ".curlrc").write_text("fail\n")
        path = f"{SMG.parent}:{os.environ['PATH']}"
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("SMG_")}, "PATH": path, "CURL_HOME": str(directory)}

    def localise(self, command):
        def port(match):
            number = int(match.group(0))
            return str(self.gateway_port if number == 30000 else self.engine_port + number - 9001)

        command = re.sub(r"\bhttp://gpu-1:8000 http://gpu-2:8000\b", "http://127.0.0.1:9001", command.removeprefix("build/"))
        return re.sub(r"\b(30000|900[1-4])\b", port, command)

    def serve(self, kind, words):
        if kind in self.running:
            assert self.running.pop(kind).stop() == 0
        if kind == "launch":
            words += ["--host", "127.0.0.1", "--port", self.gateway_port] if "--port" not in words else []
            words += ["--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(), "--shutdown-grace-period-secs", 0]
        process = self.running[kind] = self.start(Process, words)
        url = f"http://127.0.0.1:{self.gateway_port}/readiness" if kind == "launch" else f"http://127.0.0.1:{self.engine_port}/v1/models"
        wait_until(lambda: not process.running() or succeeds(url), seconds=20, what=" ".join(map(str, words)))
        assert process.running(), process.output()

    def paste(self, command):
        command = self.localise(command)
        words = shlex.split(command.removesuffix("&"))
        if words[:2] in (["smg", "mock-engine"], ["smg", "launch"]):
            self.serve(words[1], words[1:])
            return None
        if words[:2] == ["smg", "bench"]:
            command = re.sub(r" --warmup \S+", " --warmup 0.1", re.sub(r" -d \S+", "", command)) + " -d 0.5"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=self.env, timeout=30 * SLOWNESS)
        wanted = next((status for mark, status in ENDS_WITH.items() if mark in command), 0)
        assert done.returncode == wanted, f"{command}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def succeeds(url):
    return subprocess.run(["curl", "-sf", "-o", "/dev/null", "-m", "2", url]).returncode == 0


@pytest.fixture
def reader(start, tmp_path):
    return Reader(start, tmp_path)


def paste_page(reader, page, least):
    pasted = commands(page)
    assert len(pasted) >= least, pasted
    return {c: reader.paste(c) for c in pasted}


def test_the_readme(reader):
    reader.paste("smg mock-engine --port 9001 --model my-model")
    said = paste_page(reader, "README.md", 2)
    assert '"chat.completion"' in list(said.values())[-1]


def test_the_page_of_the_mock_engine(reader):
    said = [text for text in paste_page(reader, "docs/mock-engine.md", 12).values() if text is not None]
    assert '"completion_tokens":5' in said[0]
    assert said[1].rstrip().endswith("data: [DONE]")
    cut = next(text for text in said if text.startswith("data: ") and "[DONE]" not in text)
    assert cut.count('"delta":{"content"') == 2


def test_the_page_of_the_bench(reader):
    reader.paste("smg mock-engine --port 9001")
    reader.paste("smg launch --port 30000 --worker-urls http://127.0.0.1:9001")
    for command, table in paste_page(reader, "docs/bench.md", 4).items():
        assert re.search(r"^requests +[1-9]\d* succeeded, 0 failed", table, re.M), f"{command}\n{table}"


def test_the_page_of_auth(reader, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = [text for text in paste_page(reader, "docs/auth.md", 7).values() if text is not None]
    assert '"workers":[' in said[1] and '"workers":[' in said[-1]


def test_every_option_of_a_tool_that_its_page_names_exists():
    for page, tool in ("docs/mock-engine.md", "mock-engine"), ("docs/bench.md", "bench"):
        text = (ROOT / page).read_text()
        known = subprocess.run([SMG, tool, "--help"], capture_output=True, text=True, check=True).stdout
        named = set(re.findall(r"`(--[a-z-]+)", text))
        assert named and not {option for option in named if option + " " not in known.replace(",", " ").replace("\n", " ")}
