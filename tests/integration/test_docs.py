"""The shell lines of README.md and of the guides in docs/, in their order, as a reader pastes them.

Only what a test must change is changed: ports are free ones, a bench runs half a second, the GPU hosts of the README are mock engines, and the gateway gets a metrics port of its
own. `smg mock-engine` and `smg launch` keep running until the next one of their kind; every other line must succeed, and curl fails on an HTTP error.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import ROOT, SLOWNESS, SMG, Process, free_port, free_ports, wait_until

MAKE = {"make run", "make test"}  # test_tools.py runs the first; the second is running
ENDS_WITH = {"cut=2": 18}  # curl: transfer closed with outstanding data


def commands(page):
    """The commands of the page's ```sh blocks, without comments, continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [c for c in (re.sub(r"\s+#\s.*$", "", line).strip() for line in lines) if c and c not in MAKE]


class Reader:
    """Somebody with a terminal who pastes one command after another."""

    def __init__(self, start, directory):
        self.start, self.engine_port, self.gateway_port = start, free_ports(4), free_port()
        self.running = {}
        (directory / ".curlrc").write_text("fail\n")
        path = f"{SMG.parent}:{os.environ['PATH']}"
        self.directory = directory
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("SMG_")}, "PATH": path, "CURL_HOME": str(directory)}
        self.env["SMG_GATEWAY"] = f"http://127.0.0.1:{self.gateway_port}"

    def localise(self, command):
        def port(match):
            number = int(match.group(0))
            return str(self.gateway_port if number == 30000 else self.engine_port + number - 9001)

        command = re.sub(r"\bhttp://gpu-1:8000 http://gpu-2:8000\b", "http://127.0.0.1:9001", command.removeprefix("build/"))
        return re.sub(r"\b(30000|900[1-4])\b", port, command)

    def serve(self, kind, words):
        role = words[words.index("--disaggregation-mode") + 1] if "--disaggregation-mode" in words else None  # both halves run beside each other
        if kind == "mock-engine" and "--port" in words:  # so do engines on ports of their own
            role = words[words.index("--port") + 1]
        if (kind, role) in self.running:
            assert self.running.pop((kind, role)).stop() == 0
        if kind == "launch":
            words += ["--host", "127.0.0.1", "--port", self.gateway_port] if "--port" not in words else []
            words += ["--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(), "--shutdown-grace-period-secs", 0]
        words = [self.directory / w if (self.directory / str(w)).is_file() else w for w in words]  # a file that an earlier line made
        state = pathlib.Path(words[words.index("--state-dir") + 1]) if "--state-dir" in words else None
        restores = state is not None and state.exists()
        process = self.running[kind, role] = self.start(Process, words)
        scheme = "https" if "--tls-cert-path" in words else "http"
        answers = "readiness" if "--worker-urls" in words or "--pd-disaggregation" in words else "health"
        engine_port = words[words.index("--port") + 1] if "--port" in words else self.engine_port
        url = f"{scheme}://127.0.0.1:{self.gateway_port}/{answers}" if kind == "launch" else f"{scheme}://127.0.0.1:{engine_port}/v1/models"
        # Who asks for a client certificate is not asked: curl's 35 and 56 are its refusals, in TLS 1.2 and 1.3.
        fine = {0, 35, 56} if "--tls-client-ca-path" in words else {0}
        wait_until(lambda: not process.running() or asked(url) in fine, seconds=20, what=" ".join(map(str, words)))
        if restores or ("--tls-client-ca-path" in words and "--worker-urls" in words):  # /health does not wait for workers, and /readiness cannot be asked
            wait_until(lambda: not process.running() or "worker registered" in process.output(), seconds=20, what="a worker")
        assert process.running(), process.output()

    def paste(self, command):
        command = self.localise(command)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.env[name] = subprocess.run(f'printf %s "{value}"', shell=True, capture_output=True, text=True, env=self.env, cwd=self.directory, check=True).stdout
            return None
        words = shlex.split(command.removesuffix("&"))
        if words[:2] in (["smg", "mock-engine"], ["smg", "launch"]):
            self.serve(words[1], words[1:])
            return None
        if words[:2] == ["smg", "bench"]:
            command = re.sub(r" --warmup \S+", " --warmup 0.1", re.sub(r" -d \S+", "", command)) + " -d 0.5"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=self.env, cwd=self.directory, timeout=30 * SLOWNESS)
        wanted = next((status for mark, status in ENDS_WITH.items() if mark in command), 0)
        assert done.returncode == wanted, f"{command}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def asked(url):
    """curl's exit status."""
    return subprocess.run(["curl", "-sfk", "-o", "/dev/null", "-m", "2", url]).returncode


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
    said = [text for text in paste_page(reader, "docs/mock-engine.md", 13).values() if text is not None]
    assert '"completion_tokens":5' in said[0]
    assert said[1].rstrip().endswith("data: [DONE]")
    cut = next(text for text in said if text.startswith("data: ") and "[DONE]" not in text)
    assert cut.count('"delta":{"content"') == 2


def test_the_page_of_prefill_and_decode(reader):
    said = [text for text in paste_page(reader, "docs/prefill-decode.md", 7).values() if text is not None]
    assert '"chat.completion"' in said[0] and said[1].rstrip().endswith("data: [DONE]")
    assert '\\"bootstrap_room\\":' in said[2] and '"healthy_workers":2' in said[3]


def test_the_page_of_cache_and_loads(reader):
    said = [text for text in paste_page(reader, "docs/cache-and-loads.md", 10).values() if text is not None]
    assert '"status":"success"' in said[0] and '"dp_rank_count":1' in said[1] and any("worker_addr=" in text for text in said)
    assert '"model_path"' in said[-1]


def test_the_page_of_reliability(reader):
    said = [text for text in paste_page(reader, "docs/reliability.md", 5).values() if text is not None]
    assert any('"chat.completion"' in text for text in said) and '"accepted"' in said[-1]


def test_the_page_of_the_bench(reader):
    reader.paste("smg mock-engine --port 9001")
    reader.paste("smg launch --port 30000 --worker-urls http://127.0.0.1:9001")
    for command, table in paste_page(reader, "docs/bench.md", 4).items():
        assert re.search(r"^requests +[1-9]\d* succeeded, 0 failed", table, re.M), f"{command}\n{table}"


def test_the_page_of_auth(reader, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = [text for text in paste_page(reader, "docs/auth.md", 7).values() if text is not None]
    assert '"workers":[' in said[1] and '"workers":[' in said[-1]


def test_the_page_of_configuration(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = [text for text in paste_page(reader, "docs/configuration.md", 7).values() if text]
    assert '"default":{"policy":"cache_aware"' in said[0] and '"cache_threshold":0.5' in said[1] and '"policy":"least_load"' in said[2]


def test_the_page_of_routing(reader):
    said = [text for text in paste_page(reader, "docs/routing.md", 10).values() if text]
    assert any("x-smg-route: attempt=1; leg=regular;" in text for text in said)


def test_the_page_of_limits(reader):
    said = [text for text in paste_page(reader, "docs/limits.md", 9).values() if text is not None]
    assert sum('"text"' in text for text in said) == 3


def test_the_page_of_the_control_plane(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pasted = commands("docs/control-plane.md")
    assert len(pasted) >= 28, pasted
    said = [text for text in map(reader.paste, pasted) if text]
    tables = [text for text in said if text.startswith("ID ")]
    assert tables[0].count(" ready ") == 2
    assert "Successfully flushed cache on all 2 workers\n" in said
    assert any(text.startswith("WORKER") and text.count("http://") == 2 for text in said)
    assert any("labels.rack                      7\n" in text for text in said)
    assert any(text.startswith("2 workers: 2 ready", text.index("\n") + 1) for text in said if text.startswith("smg top "))


def test_the_page_of_tls(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = paste_page(reader, "docs/tls.md", 13)
    assert any('"chat.completion"' in text for text in said.values() if text) and any("0 failed" in text for text in said.values() if text)


def test_the_page_of_the_state_directory(reader, tmp_path):
    said = [reader.paste(c.replace("/var/lib/smg", str(tmp_path / "smg"))) for c in commands("docs/state.md")]
    assert len(said) == 6 and '"accepted"' in said[2]
    wait_until(lambda: "gold" in reader.paste("curl localhost:30000/workers"), what="the restored worker")
    assert (tmp_path / "smg.backup").read_bytes()[:8] == b"smgstate"


def test_the_page_of_tokenizers(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = [text for text in paste_page(reader, "docs/tokenizers.md", 13).values() if text]
    assert "is loaded and ready" in said[0] and '{"tokens":[1,2],"count":2,"char_count":11}' in said and '{"text":"Hello world"}' in said
    assert "1 2 3 0\n4 tokens, 20 characters, 20 bytes\n" in said and "the quick brown fox\n" in said and "1 4\n" in said
    assert said[-1] == "Tokenizer 'five' removed successfully\n"


def test_the_page_of_parsers(reader):
    said = [text for text in paste_page(reader, "docs/parsers.md", 10).values() if text]
    assert "hermes" in said[0] and 'call 0  get_weather  {"city":"Rome"}' in said[1] and said[2].startswith("thought   R\nthought   ome")
    assert '"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]' in said[3] and '"reasoning_text":"why"' in said[4]
    assert '"kind":"reasoning"' in said[5] and '"content":"so","reasoning_content":"why"' in said[6]
    assert r'"name":"get_weather","arguments":"{\"city\":\"Rome\"}"' in said[7]


def test_the_page_of_plugins(reader, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tests" / "wasm", tmp_path / "tests" / "wasm")  # the checkout may lie where plugins may not
    monkeypatch.chdir(tmp_path)
    said = [text for text in paste_page(reader, "docs/plugins.md", 10).values() if text]
    assert "is registered" in said[0] and "x-stamped: 200" in said[1] and said[2].startswith("NAME ") and "plugin removed" in said[3]
    assert '"Success"' in said[4] and '"sha256_hash"' in said[5] and '"name":"stamp"' in said[6]


@pytest.mark.slow  # needs the compiler and the linker of `make plugins`
def test_the_page_of_plugins_in_c(reader, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins", symlinks=True)
    monkeypatch.chdir(tmp_path)
    source = re.search(r"^```c\n(.*?)^```", (ROOT / "docs/plugins-c.md").read_text(), re.M | re.S)[1]
    (tmp_path / "only_small.c").write_text(source)
    said = [text for text in paste_page(reader, "docs/plugins-c.md", 10).values() if text]
    assert "runs     yes" in said[0] and "reject with status 403" in said[1] and "x-body-bytes: 5" in said[1] and "x-checked-by: only_small" in said[3]


def test_every_option_of_a_tool_that_its_page_names_exists():
    for page, tool in ("docs/mock-engine.md", "mock-engine"), ("docs/bench.md", "bench"):
        text = (ROOT / page).read_text()
        known = subprocess.run([SMG, tool, "--help"], capture_output=True, text=True, check=True).stdout
        named = set(re.findall(r"`(--[a-z-]+)", text))
        assert named and not {option for option in named if option + " " not in known.replace(",", " ").replace("\n", " ")}
