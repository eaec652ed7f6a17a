"""The example plugins of plugins/ in a real gateway, `smg wasm run` and `smg wasm inspect`, and components of other toolchains than ours.

One gateway serves the examples; each is attached only while its test runs. The last tests build components from JavaScript, Python and Rust: they need npm, PyPI and crates.io, and minutes, so they belong to `make soak`.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

from conftest import CHECKERS, ROOT, SLOWNESS, SMG, Gateway, ScriptedEngine, wait_until
from test_wasm import BODY, MODEL, Plugins, reply

EXAMPLES = ROOT / "plugins"
FIXTURES = ROOT / "tests" / "wasm"


def wasm(*args, stdin=None, status=0, seconds=30):
    done = subprocess.run([SMG, "wasm", *map(str, args)], input=stdin, capture_output=True, text=True, timeout=seconds * SLOWNESS, env={**os.environ, **CHECKERS})
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def run(module, request, *args, **more):
    return json.loads(wasm("run", module, "--request", "-", "--json", *args, stdin=json.dumps(request), **more))["on_request"]


# ---- the examples in a gateway ----

@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    p = Plugins(folder, "--log-level", "info")
    for f in EXAMPLES.glob("*.wasm"):
        shutil.copy(f, folder)
    yield p
    assert p.gateway.stop() == 0, p.gateway.output()[-4000:]


def test_the_key_check_lets_known_keys_through(plugins):
    with plugins.attached(("api_key", "OnRequest")):
        assert plugins.chat({"authorization": "Bearer example-key-of-alice"}).status_code == 200
        assert plugins.chat({"x-api-key": "example-key-of-bob"}).status_code == 200
        before = len(plugins.engine.requests)
        assert plugins.chat().status_code == 401
        assert plugins.chat({"authorization": "Bearer example-key-of-bo"}).status_code == 401
        assert len(plugins.engine.requests) == before
        assert plugins.http.get("/health").status_code == 200
    assert plugins.chat().status_code == 200


def test_the_rate_limit_limits_each_caller_over_all_threads(plugins):
    with plugins.attached(("rate_limit", "OnRequest")):
        ann = [plugins.chat({"authorization": "Bearer ann"}).status_code for _ in range(66)]
        assert ann.count(200) == 60 and ann.count(429) == 6 and ann[0] == 200 and ann[-1] == 429
        assert plugins.chat({"authorization": "Bearer bob"}).status_code == 200


def test_the_log_example_writes_lines_and_headers(plugins):
    with plugins.attached(("header_log", "OnRequest", "OnResponse")):
        r = plugins.chat({"x-request-id": "req-of-the-log", "x-debug": "1"})
    assert r.status_code == 200 and r.headers["x-answer-bytes"] == str(len(r.content))
    wait_until(lambda: all(words in plugins.gateway.output() for words in ("POST /v1/chat/completions, bytes: ", "answered 200, bytes: ")), what="the plugin's lines")
    line = next(l for l in plugins.gateway.output().splitlines() if "POST /v1/chat/completions, bytes: " in l)
    assert "header_log" in line and "req-of-the-log" in line


# ---- without a gateway ----

def test_run_shows_an_action_as_a_table_and_as_json(tmp_path):
    request = tmp_path / "request.http"
    request.write_bytes(b'POST /v1/chat/completions?x=1 HTTP/1.1\r\nX-A: 1\r\n\r\n{"model":"m"}')
    text = wasm("run", FIXTURES / "stamp.wasm", "--request", request)
    assert text.startswith("on_request: modify (") and "  set      x-seen-id: req-offline\n" in text
    echoed = json.loads(wasm("run", FIXTURES / "echo_headers.wasm", "--request", request, "--json"))["on_request"]
    assert echoed["action"] == "modify" and echoed["headers_set"] == []
    seen = json.loads(echoed["body"])
    assert (seen["method"], seen["path"], seen["query"], seen["body"], seen["headers"]) == ("POST", "/v1/chat/completions", "x=1", '{"model":"m"}', [["x-a", "1"]])
    assert abs(seen["now_ms"] / 1000 - time.time()) < 60 * SLOWNESS


def test_run_takes_json_from_stdin_and_both_phases_at_once(tmp_path):
    answer = tmp_path / "answer.json"
    answer.write_text('{"status":500,"headers":{"content-type":"text/plain"},"body":"no"}')
    said = json.loads(wasm("run", FIXTURES / "map500to503.wasm", "--request", "-", "--response", answer, "--json", "--repeat", 3, stdin='{"path":"/v1/x"}'))
    assert said["on_request"]["action"] == "continue"
    assert (said["on_response"]["action"], said["on_response"]["status"]) == ("modify", 503)
    assert 0 < said["on_response"]["median_us"] <= said["on_response"]["max_us"]
    assert run(FIXTURES / "reject_n.wasm", {"headers": {"x-reject": "418"}})["status"] == 418


def test_run_shows_what_the_guest_printed():
    said = run(FIXTURES / "printer.wasm", {"path": "/v1/p", "request_id": "r7", "headers": {"x-lines": "2", "x-binary": "1"}}, "--repeat", 2)
    assert [o["line"] for o in said["output"] if o["stream"] == "stdout"][:3] == ["/v1/p of r7", "line 0", "line 1"]
    assert [o["line"] for o in said["output"] if o["stream"] == "stderr"] == ["to stderr, without an end"]
    assert not any("\x1b" in o["line"] or "\r" in o["line"] for o in said["output"])


@pytest.mark.parametrize("module, headers, words", [
    ("loop", {}, "deadline of 50 ms"),
    ("trap", {}, "unreachable"),
    ("garbage", {"x-garbage": "pointer"}, "out of bounds"),
    ("grow", {"x-grow-pages": "9000"}, None),
])
def test_run_tells_how_a_call_failed(module, headers, words):
    said = run(FIXTURES / f"{module}.wasm", {"headers": headers}, "--timeout-ms", 50 if module == "loop" else 5000, status=1 if words else 0)
    assert words in said["error"] if words else said["status"] == 507


@pytest.mark.parametrize("args, stdin, status, words", [
    ((FIXTURES / "stamp.wasm",), None, 2, "--request FILE or --response FILE is missing"),
    ((FIXTURES / "stamp.wasm", "--request", "-", "--response", "-"), "{}", 2, "cannot both come from stdin"),
    ((FIXTURES / "stamp.wasm", "--request", "-"), '{"path":1}', 1, "the member 'path' must be a string"),
    ((FIXTURES / "stamp.wasm", "--request", "/nonexistent"), None, 1, "/nonexistent: No such file"),
    (("/nonexistent.wasm", "--request", "-"), "{}", 1, "/nonexistent.wasm: No such file"),
    ((FIXTURES / "core.wasm", "--request", "-"), "{}", 1, "a core module, not a component"),
    ((FIXTURES / "missing_import.wasm", "--request", "-"), "{}", 1, "acme:needy/oracle"),
    ((FIXTURES / "onlyreq.wasm", "--response", "-"), "{}", 1, "does not export smg:gateway/middleware-on-response"),
    ((FIXTURES / "stamp.wasm", "--request", "-", "--wasm-runtime-lib", "/nonexistent.so"), "{}", 1, "/nonexistent.so"),
])
def test_run_says_in_words_what_does_not_work(args, stdin, status, words):
    assert words in wasm("run", *args, stdin=stdin, status=status)


def test_inspect_shows_what_a_component_is_made_of():
    text = wasm("inspect", EXAMPLES / "rate_limit.wasm")
    assert text.startswith(f"size     {(EXAMPLES / 'rate_limit.wasm').stat().st_size} bytes\nexport   smg:gateway/middleware-on-request\n")
    assert "import   smg:gateway/shared-counter\n" in text and "called   directly, until it calls what it imports, where its request is served\nruns     yes; compiled in " in text
    assert "\ncalled   directly, where its request is served\n" in wasm("inspect", FIXTURES / "stamp.wasm")
    assert json.loads(wasm("inspect", FIXTURES / "printer.wasm", "--json"))["direct_until_it_asks"]
    said = json.loads(wasm("inspect", FIXTURES / "hook_cols.wasm", "--json"))
    assert said["exports"] == ["smg:storage/storage-hook-before", "smg:storage/storage-hook-after"] and said["runs"] and said["direct"] and "on_plugin_threads" not in said
    assert "\ncalled   directly\nruns     yes" in wasm("inspect", FIXTURES / "hook_cols.wasm")
    text = wasm("inspect", FIXTURES / "wrong_world.wasm", status=1)
    assert "export   acme:wrong/greeter\n" in text and "runs     no: the component exports none of smg:gateway/" in text


# ---- what is committed, and other toolchains ----

def test_the_committed_components_are_of_the_sources_beside_them():
    subprocess.run([sys.executable, EXAMPLES / "build", "--stale"], check=True)


def copied_examples(folder, language):
    shutil.copytree(EXAMPLES, folder / "plugins", ignore=shutil.ignore_patterns("node_modules", "target"))
    return folder / "plugins" / language


def npm(folder, *args):
    subprocess.run(["npm", *args, "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def javascript(folder):
    here = copied_examples(folder, "javascript")
    npm(here, "ci", "--no-audit", "--no-fund")
    npm(here, "run", "build")
    return here / "plugin.wasm"


def python(folder):
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([folder / "venv" / "bin" / "pip", "install", "-q", "-r", EXAMPLES / "python" / "requirements.txt"], check=True)
    subprocess.run([folder / "venv" / "bin" / "componentize-py", "-d", EXAMPLES / "wit" / "gateway", "-w", "smg", "componentize", "--stub-wasi", "app", "-o", folder / "plugin.wasm"],
                   cwd=EXAMPLES / "python", check=True, stdout=subprocess.DEVNULL)
    return folder / "plugin.wasm"


WASI_LIBC = pathlib.Path("/usr/lib/wasm32-wasi")


def built_with_cargo(here, target, *jco_options, **more):
    """Debian's compiler comes without the libraries of wasm32 targets, but with their sources (tools/setup soak): cargo builds those, too. jco makes the component."""
    env = {**os.environ, "RUSTC": "/usr/bin/rustc", "RUSTC_BOOTSTRAP": "1", f"CARGO_TARGET_{target.upper().replace('-', '_')}_LINKER": "wasm-ld", **more}
    subprocess.run(["/usr/bin/cargo", "build", "-q", "--release", "--target", target, "-Z", "build-std=std,panic_abort"], cwd=here, check=True, env=env)
    npm(here.parent / "javascript", "ci", "--no-audit", "--no-fund")
    subprocess.run(["npx", "jco", "new", here / "target" / target / "release" / "plugin.wasm", *jco_options, "-o", here / "plugin.wasm"],
                   cwd=here.parent / "javascript", check=True, stdout=subprocess.DEVNULL)
    return here / "plugin.wasm"


def rust(folder):
    return built_with_cargo(copied_examples(folder, "rust"), "wasm32-unknown-unknown")


def rust_with_wasi(folder):
    """As plugins for SMG are made: with the wit-bindgen of its examples (spec wasm-plugins 6), and a standard library that asks WASI for its clock, its random seed and its output."""
    here = copied_examples(folder, "rust")
    manifest, source = here / "Cargo.toml", here / "src" / "lib.rs"
    manifest.write_text(re.sub(r'^wit-bindgen = .*', 'wit-bindgen = "=0.21.0"', manifest.read_text(), flags=re.M))
    says = 'eprintln!("{:?} {:?}", std::time::SystemTime::now(), std::collections::HashMap::from([(1, std::env::args().count())]));'
    source.write_text(source.read_text().replace("-> Action {\n", "-> Action {\n" + says + "\n", 1))
    flags = f"-C link-self-contained=no -L native={WASI_LIBC} -C link-arg={WASI_LIBC}/crt1-reactor.o"
    return built_with_cargo(here, "wasm32-wasip1", "--wasi-reactor", CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS=flags)


@pytest.mark.night
@pytest.mark.parametrize("toolchain", [javascript, python, rust, rust_with_wasi], ids=lambda t: t.__name__)
def test_components_of_other_toolchains_run(toolchain, tmp_path):
    module, name = toolchain(tmp_path), toolchain.__name__
    said = run(module, {"headers": {"user-agent": "a test"}}, "--repeat", 50, seconds=300)
    assert said["headers_set"] == [["x-seen-by", name.removesuffix("_with_wasi")], ["x-agent", "a test"]]
    print(f"\n{name}: {module.stat().st_size >> 10} KiB, a call {said['median_us']} us, at most {said['max_us']} us; {wasm('inspect', module, seconds=300).splitlines()[-1]}")
    engine = ScriptedEngine(reply(500), model=MODEL)
    gateway = Gateway("--enable-wasm", "--disable-retries", "--disable-circuit-breaker", workers=[engine], grace=0)
    gateway.ready(1)
    description = {"name": name, "file_path": str(module), "module_type": "Middleware", "attach_points": [{"Middleware": p} for p in ("OnRequest", "OnResponse")]}
    r = gateway.client.post("/wasm", json={"modules": [description]}, timeout=300)
    assert r.status_code == 200, r.text
    assert gateway.client.post("/v1/chat/completions", json=BODY).status_code == 503
    if toolchain is rust_with_wasi:
        wait_until(lambda: "SystemTime" in gateway.output(), what="the plugin's line in the log")
    assert gateway.stop() == 0
