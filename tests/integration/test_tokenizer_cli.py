"""smg tokenizer and smg tokenize, as people and scripts use them."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time

import pytest

from conftest import SLOWNESS, SMG, Gateway, free_port, wait_until
from hub_server import Hold, Large, Slow
from test_tokenizers import HUB_FILES, UUID7, directory, hub, word_level  # noqa: F401 (fixtures)

OK, FAILED, USAGE, UNREACHABLE, TIMEOUT = 0, 1, 2, 3, 4


def environment(**more):
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("SMG_", "HF_"))}, "ASAN_OPTIONS": "detect_leaks=1", "HF_HUB_OFFLINE": "1", **more}


def smg(*words, stdin="", **env):
    done = subprocess.run([str(SMG), *map(str, words)], input=stdin, capture_output=True, text=True, timeout=60 * SLOWNESS, env=environment(**env))
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


@pytest.fixture
def cli(start, tmp_path):
    """cli(...) runs a command against a gateway."""
    gateway = start(Gateway, env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"})

    def run(*words, **more):
        return smg(*words, SMG_GATEWAY=gateway.url, **more)

    run.gateway = gateway
    return run


# ---- smg tokenizer ----


def test_a_tokenizers_whole_life(cli, directory):  # noqa: F811
    added = cli("tokenizer", "add", directory, "--name", "org/five")
    assert added.returncode == OK and re.fullmatch(rf"{UUID7}: Tokenizer 'org/five' is loaded and ready \(vocabulary: 5\)\n", added.stdout), added
    assert added.stderr == ""  # no line of progress where nobody looks
    key = added.stdout[:36]
    cli("tokenizer", "add", "mock")
    listed = cli("tokenizer", "list")
    assert listed.stdout.splitlines()[0].split() == ["NAME", "VOCABULARY", "SOURCE", "ID"]
    assert [line.split() for line in listed.stdout.splitlines()[1:]][1] == ["org/five", "5", str(directory), key]
    assert cli("tokenizer", "ls", "-o", "wide").stdout == listed.stdout
    assert [t["name"] for t in json.loads(cli("tokenizer", "list", "-o", "json").stdout)["tokenizers"]] == ["mock", "org/five"]
    for name in (key, "org/five"):
        assert cli("tokenizer", "status", name).stdout == f"{key}: Tokenizer 'org/five' is loaded and ready (vocabulary: 5)\n"
    assert json.loads(cli("tokenizer", "status", key, "-o", "json").stdout)["status"] == "completed"
    assert cli("tokenizer", "rm", "org/five").stdout == "Tokenizer 'org/five' removed successfully\n"
    gone = cli("tokenizer", "rm", "org/five")
    assert gone.returncode == FAILED and "Tokenizer 'org/five' not found" in gone.stderr and gone.stdout == ""
    gone = cli("tokenizer", "status", "org/five")
    assert gone.returncode == FAILED and "Tokenizer 'org/five' not found and no pending job" in gone.stderr


def test_a_job_that_fails_says_why(cli):
    added = cli("tokenizer", "add", "/nowhere")
    assert (added.returncode, added.stdout, added.stderr) == (FAILED, "", "smg: error: File not found: /nowhere\n")
    added = cli("tokenizer", "add", "/nowhere", "-o", "json")
    assert added.returncode == FAILED and json.loads(added.stdout)["status"] == "failed"


def test_a_name_that_is_taken(cli):
    cli("tokenizer", "add", "mock")
    again = cli("tokenizer", "add", "test", "--name", "mock")
    assert again.returncode == FAILED and "Tokenizer 'mock' already exists" in again.stderr


def test_without_waiting(cli):
    added = cli("tokenizer", "add", "mock", "--no-wait")
    assert added.returncode == OK and added.stdout.endswith(": Tokenizer 'mock' registration job submitted. Loading from: mock\n")
    wait_until(lambda: cli("tokenizer", "status", added.stdout[:36]).stdout.count("loaded"), what="the tokenizer")
    assert json.loads(cli("tokenizer", "add", "mock", "--name", "b", "--no-wait", "-o", "json").stdout)["status"] == "pending"


def test_wrong_usage_and_no_gateway():
    assert smg("tokenizer", "add").returncode == USAGE and smg("tokenizer", "rm").returncode == USAGE and smg("tokenizer", "frobnicate").returncode == USAGE
    done = smg("tokenizer", "list", "--gateway", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == UNREACHABLE and "cannot be reached" in done.stderr


def on_a_terminal(*words, seconds=60, **env):
    """What a terminal of 100 columns gets to see."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))
    process = subprocess.Popen([str(SMG), *map(str, words)], stdin=child, stdout=child, stderr=child, env=environment(**env))
    os.close(child)
    seen, deadline = b"", time.monotonic() + seconds * SLOWNESS
    while time.monotonic() < deadline:
        try:
            part = os.read(parent, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(parent)
    return process.wait(10 * SLOWNESS), seen.decode()


def big_hub_model(hub):  # noqa: F811
    text = json.loads(HUB_FILES["tokenizer.json"])
    text["model"]["vocab"] |= {"filler " * 3 + str(i): i + 4 for i in range(60_000)}
    hub.add("org/big", {**HUB_FILES, "tokenizer.json": Large(json.dumps(text).encode())})
    hub.faults["cdn"] = [None, Slow(1_500_000), Slow(1_500_000), Slow(1_500_000)]


def test_progress_is_shown_on_a_terminal(start, hub, tmp_path):  # noqa: F811
    big_hub_model(hub)
    gateway = start(Gateway, env={"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"})
    status, seen = on_a_terminal("tokenizer", "add", "org/big", SMG_GATEWAY=gateway.url)
    assert status == OK and re.search(r"\rTokenizer job is processing: \d of \d files fetched, \d\.\d of \d\.\d MB \(\d+ %\)", seen), seen
    assert "is loaded and ready" in seen.splitlines()[-1]


def test_a_wait_that_is_too_short_leaves_the_job(start, hub, tmp_path):  # noqa: F811
    hold = Hold()
    hub.faults["/api/models/org/words/revision/main"] = [hold]
    gateway = start(Gateway, env={"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"})
    done = smg("tokenizer", "add", "org/words", "--wait-timeout", "0.2", SMG_GATEWAY=gateway.url)
    hold.go.set()
    assert done.returncode == TIMEOUT and "it goes on in the gateway" in done.stderr
    wait_until(lambda: gateway.client.get("/v1/tokenizers").json()["tokenizers"], seconds=30, what="the tokenizer")


# ---- smg tokenize ----


def test_tokenize_in_this_process(directory):  # noqa: F811
    here = ("tokenize", "--model-path", directory)
    assert smg(*here, "the quick fox").stdout == "1 2 4\n3 tokens, 13 characters, 13 bytes\n"
    assert smg(*here, "--ids", "the quick fox").stdout == "1 2 4\n"
    assert smg(*here, "--pieces", "the fox").stdout == "       1  the\n       4  fox\n"
    assert json.loads(smg(*here, "--json", "the fox").stdout) == {"tokens": [1, 4], "count": 2, "char_count": 7}
    assert smg(*here, "--ids", stdin="brown\nfox").stdout == smg(*here, "--ids", "-", stdin="brown\nfox").stdout == "3 4\n"
    assert smg(*here, "--ids", "").stdout == "\n"


def test_decode_in_this_process():
    here = ("tokenize", "--model-path", "mock", "--decode")
    assert smg(*here, "1 2").stdout == "Hello world\n" == smg(*here, "[1,2]").stdout == smg(*here, stdin="1\n2\n").stdout
    assert smg(*here, "1000,1,999").stdout == "Hello\n" and smg(*here, "--special-tokens", "1000,1,999").stdout == "<bos> Hello <eos>\n"
    assert json.loads(smg(*here, "--json", "1 2").stdout) == {"text": "Hello world"}
    bad = smg(*here, "1 two")
    assert bad.returncode == USAGE and "'two' is no token id" in bad.stderr


def test_tokenize_by_a_gateway_says_the_same(cli):
    cli("tokenizer", "add", "mock", "--name", "words")
    for words in (["Hello world"], ["--ids", "Hello world"], ["--json", "Hello world"], ["--decode", "1 2"], ["--decode", "--json", "1 2"], ["--decode", "-s", "1000 1"]):
        there, here = cli("tokenize", "--model", "words", *words), cli("tokenize", "--model-path", "mock", *words)
        assert there.returncode == OK and there.stdout.strip() == here.stdout.strip(), (words, there, here)
    assert cli("tokenize", "--ids", "Hello").stdout == "1\n"  # the first one that there is
    assert cli("tokenize", "--ids", "-", stdin="Hello world " * 20_000).stdout.split() == ["1", "2"] * 20_000


def test_what_tokenize_cannot_do(cli):
    assert cli("tokenize", "--ids", "--json", "a").returncode == USAGE
    assert cli("tokenize", "--pieces", "a").returncode == USAGE
    none = cli("tokenize", "a")
    assert none.returncode == FAILED and "No tokenizers available" in none.stderr
    missing = cli("tokenize", "--model-path", "/nowhere", "a")
    assert (missing.returncode, missing.stderr) == (FAILED, "smg: error: File not found: /nowhere\n")


def test_tokenize_fetches_from_the_hub(hub, tmp_path):  # noqa: F811
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    assert smg("tokenize", "--model-path", "org/words", "--ids", "from the hub", **env).stdout == "1 2 3\n"
    asked = len(hub.requests)
    assert smg("tokenize", "--model-path", "org/words", "--ids", "hub", **{**env, "HF_HUB_OFFLINE": "1"}).stdout == "3\n" and len(hub.requests) == asked
