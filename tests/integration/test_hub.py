"""Models from the hub: fetch/hub.h through the program hub_get, against a hub that misbehaves (hub_server.py), beside the real huggingface_hub on the same cache."""
import fcntl
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from conftest import BUILD, SLOWNESS, free_port, wait_until
from hub_server import Corrupt, Cut, Field, Hold, Hub, Large, Slow, Status, Whole, etag_of

HUB_GET = BUILD / "tests/unit/fetch/hub_get"
TOKENIZER = json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}).encode()
CONFIG = json.dumps({"chat_template": "{{ messages }}", "eos_token": "</s>"}).encode()
BIG = Large(random.Random(5).randbytes(3_000_000))
FILES = {"tokenizer.json": TOKENIZER, "tokenizer_config.json": CONFIG, "config.json": b'{"eos_token_id": 2}', "generation_config.json": b"{}",
         "model.safetensors": Large(b"weights"), "README.md": b"# read me", ".gitattributes": b""}
SECRET = "hf_SecretTokenOfTheTest"
VARIABLES = ("HF_", "HUGGING", "TRANSFORMERS_", "XDG_", "REQUESTS_CA", "SSL_CERT", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture
def hub():
    h = Hub()
    yield h
    h.close()


class Machine:
    """A machine with a home folder and a hub that it can reach."""

    def __init__(self, home, endpoint):
        self.home, self.cache = home, home / "hf/hub"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(VARIABLES)}
        self.env |= {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": endpoint, "ASAN_OPTIONS": "detect_leaks=1",
                     "UBSAN_OPTIONS": "halt_on_error=1", "TSAN_OPTIONS": "halt_on_error=1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                     "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}

    def start(self, source, *settings, **env):
        return subprocess.Popen([HUB_GET, source, "backoff_ms=20", *settings], env=self.env | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, process):
        out, problems = process.communicate(timeout=60 * SLOWNESS)
        assert problems == "" and process.returncode in (0, 1), problems
        assert SECRET not in out and "secret-signature" not in out
        r = json.loads(out)
        assert (r["status"] == 0) == (process.returncode == 0) and not r["fell"]
        begun = r["status"] == 0 or r["message"].startswith("Failed to download")  # else the environment was refused
        assert r["phase"] == ("done" if r["status"] == 0 else "failed" if begun else "idle")
        return r

    def get(self, source, *settings, **env):
        return self.end(self.start(source, *settings, **env))

    def got(self, source, *settings, origin="fetched", **env):
        r = self.get(source, *settings, **env)
        assert r["status"] == 0 and r["origin"] == origin, r
        return pathlib.Path(r["dir"])

    def refused(self, source, *settings, **env):
        r = self.get(source, *settings, **env)
        assert r["status"] < 0 and r["message"].startswith("Failed to download tokenizer from HuggingFace: "), r
        return r["message"]

    def python(self, code, **env):
        """What huggingface_hub says: CODE leaves it in `result`."""
        program = f"import json, huggingface_hub as hf\n{code}\nprint(json.dumps(result))"
        p = subprocess.run([sys.executable, "-c", program], env=self.env | env, capture_output=True, text=True, timeout=120)
        assert p.returncode == 0, p.stderr
        return json.loads(p.stdout)

    def folder(self, name):
        return self.cache / ("models--" + name.replace("/", "--"))


@pytest.fixture
def machine(hub, tmp_path):
    return Machine(tmp_path, hub.url)


def files_in(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# ---- what is fetched, and how the cache looks ----

def test_the_tokenizer_files_come_and_nothing_else(hub, machine):
    model = hub.add("org/some-name", FILES | {"tokenizer.model": BIG, "chat_template.jinja": b"{{ x }}", "sub/dir/vocab.txt": b"[UNK]\n", "logo.PNG": b"p"})
    r = machine.get("org/some-name")
    folder = pathlib.Path(r["dir"])
    wanted = set(model.files) - {"model.safetensors", "README.md", ".gitattributes", "logo.PNG"}
    assert r["origin"] == "fetched" and r["commit"] == model.commit and folder == machine.folder("org/some-name") / "snapshots" / model.commit
    assert files_in(folder) == wanted
    assert all((folder / f).read_bytes() == model.files[f] for f in wanted)
    assert r["files_done"] == r["files_total"] == len(wanted)
    assert r["bytes_done"] == r["bytes_total"] == sum(len(model.files[f]) for f in wanted)
    assert {"listing", "asking", "downloading"} & set(r["phases"])


def test_the_cache_looks_as_python_makes_it(hub, machine, tmp_path):
    files = FILES | {"tokenizer.model": BIG, "a/b/tokenizer.json": TOKENIZER + b"\n"}
    model = hub.add("org/name", files)
    machine.got("org/name")
    other = Machine(tmp_path / "other", hub.url)
    other.python("result = hf.snapshot_download('org/name', ignore_patterns=['*.safetensors', 'README.md', '.git*'])")

    def shape(folder):
        return {str(p.relative_to(folder)): os.readlink(p) if p.is_symlink() else p.read_bytes() for p in folder.rglob("*")
                if (p.is_file() or p.is_symlink()) and not {".no_exist", "trees"} & set(p.relative_to(folder).parts)}
    assert shape(machine.folder("org/name")) == shape(other.folder("org/name"))
    assert (machine.folder("org/name") / "refs/main").read_text() == model.commit
    link = machine.folder("org/name") / "snapshots" / model.commit / "a/b/tokenizer.json"
    assert os.readlink(link) == f"../../../../blobs/{etag_of(model.files['a/b/tokenizer.json'])}"
    assert {p.name for p in (machine.cache / ".locks/models--org--name").iterdir()} == {etag_of(files[f]) + ".lock" for f in files if f not in ("model.safetensors", "README.md", ".gitattributes")}


def test_python_finds_what_we_fetched_without_network(hub, machine):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    hub.close()
    code = "result = [hf.try_to_load_from_cache('org/name', f) for f in ('tokenizer.json', 'config.json')] + [str(hf.try_to_load_from_cache('org/name', 'chat_template.jinja'))]"
    found = machine.python(code)
    assert found[:2] == [str(folder / "tokenizer.json"), str(folder / "config.json")] and "object" in found[2]  # the object that says "there is none"
    assert machine.python("result = hf.hf_hub_download('org/name', 'tokenizer.json')", HF_HUB_OFFLINE="1") == str(folder / "tokenizer.json")
    assert machine.python("c = hf.scan_cache_dir()\nresult = [[str(w) for w in c.warnings], [r.repo_id for r in c.repos], [sorted(v.refs) for r in c.repos for v in r.revisions]]") == [[], ["org/name"], [["main"]]]


def test_we_find_what_python_fetched_without_asking(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    folder = machine.python("result = hf.snapshot_download('org/name', ignore_patterns=['*.safetensors'])")
    n = len(hub.requests)
    assert str(machine.got("org/name", origin="cached")) == folder
    assert len(hub.requests) == n


def test_what_python_has_in_part_is_completed_and_nothing_comes_twice(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    machine.python("result = [hf.hf_hub_download('org/name', f) for f in ('config.json', 'tokenizer.model')]")
    asked = len(hub.asked("cdn"))
    folder = machine.got("org/name")
    assert files_in(folder) >= {"config.json", "tokenizer.model", "tokenizer.json", "tokenizer_config.json"}
    assert len(hub.asked("cdn")) == asked


def test_python_and_we_take_turns_on_one_cache(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    code = "result = hf.snapshot_download('org/name', allow_patterns=['token*'])"
    processes = [machine.start("org/name") for _ in range(3)]
    folder = machine.python(code)
    ours = [machine.end(p) for p in processes]
    assert {r["dir"] for r in ours} == {folder} and all(r["status"] == 0 for r in ours)
    assert (pathlib.Path(folder) / "tokenizer.model").read_bytes() == BIG
    assert not list(machine.folder("org/name").rglob("*.incomplete"))


def test_a_file_that_two_models_share_a_hash_of_is_one_blob_per_model(hub, machine):
    hub.add("org/name", FILES | {"copy/tokenizer.json": TOKENIZER})
    folder = machine.got("org/name")
    assert (folder / "tokenizer.json").samefile(folder / "copy/tokenizer.json")


def test_a_tokenizer_in_one_sub_folder_is_found_there(hub, machine):
    hub.add("org/pipeline", {"model_index.json": b"{}", "text_encoder/config.json": b"{}", "tokenizer/vocab.json": b"{}", "tokenizer/merges.txt": b""})
    assert machine.got("org/pipeline").name == "tokenizer"


def test_names_with_odd_characters_are_escaped(hub, machine):
    model = hub.add("org/name", FILES | {"a b/ü%2F#?.jinja": b"x"})
    folder = machine.got("org/name")
    assert (folder / "a b/ü%2F#?.jinja").read_bytes() == model.files["a b/ü%2F#?.jinja"]


def test_an_empty_file_is_a_file(hub, machine):
    hub.add("org/name", FILES | {"merges.txt": b"", "empty.model": Large(b"")})
    hub.linked_size = False
    folder = machine.got("org/name")
    assert (folder / "merges.txt").read_bytes() == b"" and (folder / "empty.model").read_bytes() == b""


def test_without_links_there_are_copies(hub, machine):
    hub.add("org/name", FILES)
    folder = machine.got("org/name", HF_HUB_DISABLE_SYMLINKS="1")
    assert not (folder / "tokenizer.json").is_symlink() and (folder / "tokenizer.json").read_bytes() == TOKENIZER
    assert machine.got("org/name", origin="cached") == folder
    assert machine.python("result = hf.try_to_load_from_cache('org/name', 'tokenizer.json')") == str(folder / "tokenizer.json")


# ---- revisions ----

def test_a_revision_is_kept_under_its_name(hub, machine):
    model = hub.add("org/name", FILES)
    model.branches |= {"v1.0", "refs/pr/1"}
    for revision in ("v1.0", "refs/pr/1"):
        hub.models["org/name"].branches.add(revision)
    assert machine.got("org/name@v1.0").name == model.commit
    assert (machine.folder("org/name") / "refs/v1.0").read_text() == model.commit
    assert not (machine.folder("org/name") / "refs/main").exists()
    assert machine.got("org/name@v1.0", origin="cached").name == model.commit
    assert all("/v1.0/" not in r[2] for r in hub.asked("hub", "/resolve/"))  # files are asked for at the commit


def test_a_commit_needs_no_ref(hub, machine):
    model = hub.add("org/name", FILES)
    assert machine.got(f"org/name@{model.commit}").name == model.commit
    assert not (machine.folder("org/name") / "refs").exists()
    n = len(hub.requests)
    assert machine.got(f"org/name@{model.commit}", origin="cached").name == model.commit
    assert len(hub.requests) == n


def test_an_unknown_revision_is_named(hub, machine):
    hub.add("org/name", FILES)
    assert "404: the model has no such revision" in machine.refused("org/name@nightly")


def test_a_branch_that_moved_is_followed_when_its_ref_goes(hub, machine):
    old = hub.add("org/name", FILES)
    machine.got("org/name")
    new = hub.add("org/name", FILES | {"tokenizer.json": TOKENIZER + b" "})
    assert machine.got("org/name", origin="cached").name == old.commit
    (machine.folder("org/name") / "refs/main").unlink()
    assert machine.got("org/name").name == new.commit
    assert {p.name for p in (machine.folder("org/name") / "snapshots").iterdir()} == {old.commit, new.commit}


# ---- what is believed ----

@pytest.mark.parametrize("missing", ["tokenizer_config.json", "config.json", "generation_config.json", "tokenizer.json"])
def test_a_cache_that_lacks_something_we_read_asks(hub, machine, missing):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    (folder / missing).unlink()
    machine.got("org/name")
    assert (folder / missing).exists()


def test_a_template_that_may_exist_is_asked_for_once(hub, machine):
    hub.add("org/name", FILES | {"tokenizer_config.json": b"{}"})
    folder = machine.python("result = hf.snapshot_download('org/name', ignore_patterns=['*.safetensors'])")
    assert str(machine.got("org/name")) == folder
    assert str(machine.got("org/name", origin="cached")) == folder


def test_a_link_whose_blob_is_gone_is_mended(hub, machine):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    (folder / "tokenizer.json").resolve().unlink()
    machine.got("org/name")
    assert (folder / "tokenizer.json").read_bytes() == TOKENIZER


def test_a_blob_of_the_wrong_size_is_replaced(hub, machine):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    blob = (folder / "tokenizer.json").resolve()
    (folder / "tokenizer.json").unlink()
    blob.write_bytes(TOKENIZER[:5])
    machine.got("org/name")
    assert blob.read_bytes() == TOKENIZER


def test_best_effort_files_that_fail_are_asked_for_again(hub, machine):
    hub.add("org/name", FILES)
    for name in ("config.json", "generation_config.json"):
        hub.faults[f"/org/name/resolve/{hub.models['org/name'].commit}/{name}"] = [Status(404)]
    folder = machine.got("org/name")
    assert files_in(folder) == {"tokenizer.json", "tokenizer_config.json"}
    machine.got("org/name")
    assert files_in(folder) == {"tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"}


# ---- without network ----

def test_offline_uses_what_is_there(hub, machine):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    (folder / "config.json").unlink()
    n = len(hub.requests)
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        assert machine.got("org/name", origin="cached", **{variable: "yes"}) == folder
    assert len(hub.requests) == n


def test_offline_says_what_is_missing_and_what_to_do(hub, machine):
    hub.add("org/name", FILES)
    message = machine.refused("org/name", HF_HUB_OFFLINE="1")
    assert "'org/name' is not in the cache " + str(machine.cache) in message and "unset it" in message
    (machine.got("org/name") / "tokenizer.json").unlink()
    assert "has no tokenizer files in the cache" in machine.refused("org/name", HF_HUB_OFFLINE="1")
    assert machine.got("org/name", HF_HUB_OFFLINE="0").name == hub.models["org/name"].commit


@pytest.mark.parametrize("how", ["refused", "no name", "503", "401", "not a hub"])
def test_a_hub_that_is_away_leaves_the_cache(hub, machine, how):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    (folder / "config.json").unlink()
    env = {}
    if how == "refused":
        env["HF_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    elif how == "no name":
        env["HF_ENDPOINT"] = "http://hub.invalid"
    else:
        hub.faults["hub"] = [Status({"503": 503, "401": 401, "not a hub": 200}[how])]
    r = machine.get("org/name", **env)
    assert r["status"] == 0 and r["origin"] == "fallback" and r["dir"] == str(folder)
    assert "org/name" in r["why"]


def test_unreachable_and_not_cached_names_the_address(hub, machine):
    port = free_port()
    message = machine.refused("org/name", "attempts=2", HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert f"Failed to fetch model 'org/name' from HuggingFace: GET http://127.0.0.1:{port}/api/models/org/name/revision/main: " in message
    assert message.endswith(". Is this a valid HuggingFace ID?")


def test_a_cache_that_may_only_be_read_is_enough(hub, machine):
    hub.add("org/name", FILES)
    folder = machine.got("org/name")
    (machine.folder("org/name") / "refs/main").unlink()
    for p in [machine.cache, *machine.cache.rglob("*")]:
        if not p.is_symlink():
            p.chmod(0o555 if p.is_dir() else 0o444)
    try:
        assert machine.got("org/name") == folder
    finally:
        for p in [machine.cache, *machine.cache.rglob("*")]:
            if p.is_dir():
                p.chmod(0o755)


def test_a_cache_that_cannot_be_made_names_the_variable(hub, machine):
    hub.add("org/name", FILES)
    machine.home.joinpath("file").write_text("")
    message = machine.refused("org/name", HF_HUB_CACHE=str(machine.home / "file/hub"))
    assert "HF_HUB_CACHE" in message and str(machine.home / "file") in message


# ---- the environment ----

@pytest.mark.parametrize("env, folder", [
    ({"HF_HUB_CACHE": "{home}/a"}, "a"),
    ({"HUGGINGFACE_HUB_CACHE": "{home}/b"}, "b"),
    ({"HF_HUB_CACHE": "{home}/a", "HUGGINGFACE_HUB_CACHE": "{home}/b"}, "a"),
    ({"HF_HOME": "~/c"}, "c/hub"),
    ({"HF_HOME": "", "XDG_CACHE_HOME": "{home}/x"}, "x/huggingface/hub"),
    ({"HF_HOME": ""}, ".cache/huggingface/hub"),
])
def test_the_cache_is_where_the_environment_says(hub, machine, env, folder):
    hub.add("org/name", FILES)
    env = {k: v.format(home=machine.home) for k, v in env.items()}
    if env.get("HF_HOME") == "":
        del machine.env["HF_HOME"], env["HF_HOME"]
    assert machine.got("org/name", **env).is_relative_to(machine.home / folder)
    assert machine.python("from huggingface_hub import constants\nresult = constants.HF_HUB_CACHE", **env) == str(machine.home / folder)


@pytest.mark.parametrize("how", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "file", "path"])
def test_a_private_model_comes_with_a_token(hub, machine, how):
    hub.add("org/private", FILES | {"tokenizer.model": BIG}, token=SECRET)
    message = machine.refused("org/private")
    assert "401: there is no such model, or it is private: set HF_TOKEN" in message
    env = {}
    if how == "file":
        (machine.home / "hf").mkdir(exist_ok=True)
        (machine.home / "hf/token").write_text(f" {SECRET}\n")
    elif how == "path":
        (machine.home / "secret").write_text(SECRET)
        env["HF_TOKEN_PATH"] = "~/secret"
    else:
        env[how] = SECRET
    machine.got("org/private", **env)
    assert all("authorization" not in r[3] for r in hub.asked("cdn"))
    assert hub.asked("hub")[-1][3]["authorization"] == f"Bearer {SECRET}"


def test_a_wrong_token_is_said_and_not_shown(hub, machine):
    hub.add("org/private", FILES, token="another")
    assert "the token of HF_TOKEN is wrong" in machine.refused("org/private", HF_TOKEN=SECRET)


def test_a_gated_model_says_where_to_accept_its_terms(hub, machine):
    hub.add("org/gated", FILES, token="another", gated=True)
    for env in ({"HF_TOKEN": SECRET}, {}):
        message = machine.refused("org/gated", **env)
        assert "gated" in message and f"{hub.url}/org/gated" in message and "HF_TOKEN" in message


@pytest.mark.parametrize("variable, value", [("HF_TOKEN", f"{SECRET}\r\nX-Evil: 1"), ("HF_ENDPOINT", "ftp://hub"), ("HF_ENDPOINT", "hub.example"), ("HF_ENDPOINT", f"http://user:{SECRET}@hub")])
def test_a_bad_variable_is_named_and_its_secret_is_not_shown(machine, variable, value):
    r = machine.get("org/name", **{variable: value})
    assert r["status"] < 0 and r["message"].startswith(variable)


def test_a_token_goes_to_no_other_host(hub, machine):
    model = hub.add("org/private", FILES, token=SECRET)
    hub.faults[f"/org/private/resolve/{model.commit}/tokenizer.json"] = [Status(307, Location=f"{hub.cdn_url}/{etag_of(TOKENIZER)}", X_Linked_Etag=etag_of(TOKENIZER))]
    hub.faults["/api/models/org/private/revision/main"] = [Status(302, Location=hub.cdn_url.replace("127.0.0.1", "localhost") + "/api")]
    machine.refused("org/private", HF_TOKEN=SECRET)
    machine.refused("org/private", HF_TOKEN=SECRET)
    assert len(hub.asked("cdn")) >= 2 and all("authorization" not in r[3] for r in hub.asked("cdn"))


def test_a_renamed_model_is_followed_within_the_hub(hub, machine):
    hub.add("org/new", FILES, token=SECRET)
    hub.faults["/api/models/org/old/revision/main"] = [Status(307, Location="/api/models/org/new/revision/main")]
    for f in FILES:
        hub.faults[f"/org/old/resolve/{hub.models['org/new'].commit}/{f}"] = [Status(307, Location=f"/org/new/resolve/{hub.models['org/new'].commit}/{f}")]
    assert (machine.got("org/old", HF_TOKEN=SECRET) / "tokenizer.json").read_bytes() == TOKENIZER


def test_a_proxy_is_used(hub, machine):
    """The hub plays the proxy: a proxy's requests have whole URLs."""
    hub.add("org/name", FILES)
    machine.refused("org/name", HF_ENDPOINT="http://hub.invalid", HTTP_PROXY=hub.url)
    assert any(r[2].startswith("http://hub.invalid/api/models/") for r in hub.requests)


# ---- a bad network ----

def path_of(hub, name="org/name", file="tokenizer.model"):
    return f"/{name}/resolve/{hub.models[name].commit}/{file}"


def test_a_cut_download_is_continued(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Cut(1_000_000), Cut(500_000), Cut(0)]
    r = machine.get("org/name")
    assert r["status"] == 0 and r["bytes_done"] == r["bytes_total"]
    assert (pathlib.Path(r["dir"]) / "tokenizer.model").read_bytes() == BIG
    ranges = [r[3].get("range") for r in hub.asked("cdn")]
    assert ranges[:3] == [None, "bytes=1000000-", "bytes=1500000-"] and sum(len(BIG) for r in ranges if r is None) == len(BIG)


def test_a_download_that_never_ends_is_given_up_and_continued_by_the_next(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Cut(700_000), Cut(0), Cut(0)]
    message = machine.refused("org/name", "attempts=3")
    assert "Failed to download tokenizer file 'tokenizer.model' from model 'org/name': GET " + hub.cdn_url in message
    part = machine.folder("org/name") / "blobs" / (etag_of(BIG) + ".incomplete")
    assert part.stat().st_size == 700_000 and not (machine.folder("org/name") / "snapshots").exists()
    machine.got("org/name")
    assert hub.asked("cdn")[-1][3]["range"] == "bytes=700000-" and not part.exists()


def test_a_file_of_the_hub_itself_is_continued_with_if_range(hub, machine):
    data = random.Random(1).randbytes(200_000)
    hub.add("org/name", FILES | {"vocab.txt": data})
    hub.faults[path_of(hub, file="vocab.txt")] = [None, Cut(50_000)]
    machine.got("org/name")
    last = hub.asked("hub", "vocab.txt")[-1][3]
    assert last["range"] == "bytes=50000-" and last["if-range"] == f'"{etag_of(data)}"'


def test_a_server_without_ranges_sends_it_all_again(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Cut(1_000_000), Whole()]
    r = machine.get("org/name")
    assert (pathlib.Path(r["dir"]) / "tokenizer.model").read_bytes() == BIG and r["bytes_done"] == r["bytes_total"]


def test_a_part_that_is_too_long_or_of_another_file_is_thrown_away(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    blobs = machine.folder("org/name") / "blobs"
    blobs.mkdir(parents=True)
    part = blobs / (etag_of(BIG) + ".incomplete")
    for content in (b"x" * (len(BIG) + 1), b"x" * 1000, b"x" * len(BIG)):
        part.write_bytes(content)
        for p in blobs.iterdir():
            if p != part:
                p.unlink()
        assert (machine.got("org/name") / "tokenizer.model").read_bytes() == BIG


def test_corrupted_bytes_are_fetched_once_more(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Corrupt()]
    hub.faults[path_of(hub, file="tokenizer.json")] = [None, Corrupt()]
    folder = machine.got("org/name")
    assert (folder / "tokenizer.model").read_bytes() == BIG and (folder / "tokenizer.json").read_bytes() == TOKENIZER


@pytest.mark.parametrize("file, what", [("tokenizer.model", "SHA-256"), ("tokenizer.json", "git hash")])
def test_bytes_that_stay_corrupted_are_refused_and_not_kept(hub, machine, file, what):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn" if file == "tokenizer.model" else path_of(hub, file=file)] = [*([] if file == "tokenizer.model" else [None]), Corrupt(), Corrupt(), Corrupt()]
    message = machine.refused("org/name")
    assert f"'{file}' from model 'org/name': fetched twice: the bytes are damaged: their {what} is " in message
    assert not [p for p in (machine.folder("org/name") / "blobs").iterdir() if p.name.startswith(etag_of(hub.models["org/name"].files[file]))]
    machine_again = machine.get("org/name", "attempts=1")
    assert machine_again["status"] < 0 or (pathlib.Path(machine_again["dir"]) / file).read_bytes() == hub.models["org/name"].files[file]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_a_busy_hub_is_asked_again(hub, machine, status):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["/api/models/org/name/revision/main"] = [Status(status), Status(status)]
    hub.faults[path_of(hub, file="tokenizer.json")] = [Status(status), None, Status(status)]
    hub.faults["cdn"] = [Status(status)]
    machine.got("org/name")


def test_attempts_are_counted_and_end(hub, machine):
    hub.add("org/name", FILES)
    hub.faults["hub"] = [Status(503)] * 50
    assert "the hub answered with status 503" in machine.refused("org/name", "attempts=3")
    assert len(hub.requests) == 3


def test_retry_after_is_waited_for(hub, machine):
    hub.add("org/name", FILES)
    hub.faults["hub"] = [Status(429, Retry_After=1)]
    began = time.monotonic()
    machine.got("org/name")
    assert time.monotonic() - began >= 1


def test_a_retry_after_that_is_too_long_ends_it(hub, machine):
    hub.add("org/name", FILES)
    hub.faults["hub"] = [Status(429, Retry_After=3600)]
    assert "the hub says to come back in 3600 seconds" in machine.refused("org/name")
    assert len(hub.requests) == 1


def test_a_signed_address_that_expired_is_asked_for_again(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Cut(1_000_000), Status(403)]
    assert (machine.got("org/name") / "tokenizer.model").read_bytes() == BIG
    assert len([r for r in hub.asked("hub", "tokenizer.model") if "/resolve/" in r[2]]) == 2


def test_a_connection_without_bytes_is_given_up(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [hold := Hold()]
    assert (machine.got("org/name", "stall_s=1") / "tokenizer.model").read_bytes() == BIG
    hold.go.set()


def test_cancelling_ends_it_within_a_second_and_leaves_the_part(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Slow(500_000)]
    process = machine.start("org/name")
    part = machine.folder("org/name") / "blobs" / (etag_of(BIG) + ".incomplete")
    wait_until(lambda: part.exists() and part.stat().st_size > 20_000, what="bytes")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    r = machine.end(process)
    assert r["status"] == -9 and r["message"].endswith("cancelled") and time.monotonic() - began < 2 * SLOWNESS
    assert 0 < part.stat().st_size < len(BIG) and not (machine.folder("org/name") / "refs").exists()


def test_killed_in_the_middle_the_next_one_goes_on(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [Slow(500_000)]
    process = machine.start("org/name")
    part = machine.folder("org/name") / "blobs" / (etag_of(BIG) + ".incomplete")
    wait_until(lambda: part.exists() and part.stat().st_size > 20_000, what="bytes")
    process.kill()
    process.communicate()
    assert (machine.got("org/name") / "tokenizer.model").read_bytes() == BIG
    assert hub.asked("cdn")[-1][3]["range"].startswith("bytes=")


# ---- locks ----

def test_two_processes_fetch_a_file_once(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults["cdn"] = [hold := Hold()]
    first = machine.start("org/name")
    assert hold.reached.wait(20 * SLOWNESS)
    second = machine.start("org/name")
    wait_until(lambda: len(hub.asked("hub", "/tokenizer.model")) >= 2, what="the second one asking")
    time.sleep(0.2)  # it may do what it likes now, but not fetch
    assert len(hub.asked("cdn")) == 1
    hold.go.set()
    assert {machine.end(p)["status"] for p in (first, second)} == {0}
    assert len(hub.asked("cdn")) == 1


def test_a_lock_of_pythons_is_waited_for(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    locks = machine.cache / ".locks/models--org--name"
    locks.mkdir(parents=True)
    with open(locks / (etag_of(BIG) + ".lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert "another process has held the lock for 1 seconds" in machine.refused("org/name", "lock_s=1")
        process = machine.start("org/name")
        wait_until(lambda: len(hub.asked("hub", "/tokenizer.model")) >= 2, what="the second one asking")
    assert machine.end(process)["status"] == 0


# ---- hostile answers ----

@pytest.mark.parametrize("name", ["../tokenizer.json", "/etc/tokenizer.json", "a/../../tokenizer.json", "a\\tokenizer.json", "a//tokenizer.json", "./tokenizer.json", "a\0/tokenizer.json", "x" * 300 + ".model"])
def test_a_file_name_that_leaves_its_folder_is_refused(hub, machine, name):
    hub.add("org/name", FILES | {name: b"evil"})
    assert "would leave its folder" in machine.refused("org/name")
    assert not machine.folder("org/name").exists()


def test_unsafe_names_of_files_that_nobody_wants_do_not_matter(hub, machine):
    hub.add("org/name", FILES | {"..\\weights.bin": b"x"})
    machine.got("org/name")


@pytest.mark.parametrize("source", ["", "../x", "a/b/c", "org/..", "a--b/c", "org/name@", "org/name@../x", "org/na me", ".org/name", "x" * 97, "org/name.git", "org/name@a\\b"])
def test_a_name_that_is_none_is_refused_without_asking(hub, machine, source):
    r = machine.get(source)
    assert r["status"] == -2 and hub.requests == []


def test_an_unknown_model_is_told_so(hub, machine):
    message = machine.refused("org/nothing")
    assert "Failed to fetch model 'org/nothing' from HuggingFace: 401: there is no such model" in message and message.endswith("Is this a valid HuggingFace ID?")


def test_a_model_without_files_and_one_without_tokenizer(hub, machine):
    hub.add("org/empty", {})
    hub.add("org/weights", {"model.safetensors": b"w", "config.json": b"{}"})
    assert machine.refused("org/empty").endswith("Model 'org/empty' exists but contains no downloadable files.")
    assert machine.refused("org/weights").endswith("No tokenizer files found for model 'org/weights'.")


def test_a_file_that_is_too_large_is_not_begun(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    assert "it has 3000000 bytes; at most 1000000 are fetched" in machine.refused("org/name", "file_bytes_max=1000000")
    assert hub.asked("cdn") == []


def test_a_file_that_lies_about_its_size_is_stopped(hub, machine):
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    hub.faults[path_of(hub)] = [Field(X_Linked_Size="1000"), Field(X_Linked_Size="1000")]
    assert "more bytes came than the 1000 that it has" in machine.refused("org/name")
    assert not list(machine.folder("org/name").glob("blobs/" + etag_of(BIG) + "*"))


@pytest.mark.parametrize("etag", ["../../evil", "a/b", ".hidden", "", "x" * 200, None])
def test_an_etag_that_cannot_name_a_file_is_refused(hub, machine, etag):
    hub.add("org/name", FILES)
    hub.faults[path_of(hub, file="tokenizer.json")] = [Field(ETag=etag)]
    assert "no ETag that could name a file" in machine.refused("org/name")


def test_a_list_that_is_no_list(hub, machine):
    hub.add("org/name", FILES)
    hub.described = {"siblings": [{"rfilename": f"{i}.model"} for i in range(300)]}
    hub.faults["/api/models/org/name/revision/main"] = [Status(200)]
    assert "exists but contains no downloadable files" in machine.refused("org/name")  # {"error": ...}
    hub.models["org/name"].files = {f"{i}.model": b"x" for i in range(300)}
    assert "more than 256 tokenizer files" in machine.refused("org/name")


def test_a_circle_of_redirects_ends(hub, machine):
    hub.add("org/name", FILES)
    hub.faults["hub"] = [Status(302, Location="/api/models/org/name/revision/main")] * 30
    assert "more than 10 redirects" in machine.refused("org/name")
    assert len(hub.requests) == 11


def test_a_redirect_to_another_scheme_is_refused(hub, machine):
    hub.add("org/name", FILES)
    (machine.home / "passwd").write_text("secret")
    hub.faults["hub"] = [Status(302, Location=f"file://{machine.home}/passwd")]
    machine.refused("org/name", "attempts=1")


def test_without_sizes_of_large_files_the_storage_is_asked(hub, machine):
    hub.linked_size = False
    hub.add("org/name", FILES | {"tokenizer.model": BIG})
    r = machine.get("org/name")
    assert r["status"] == 0 and r["bytes_total"] == r["bytes_done"] and r["bytes_done"] > len(BIG)
    assert hub.asked("cdn")[0][3]["range"] == "bytes=0-0"


def test_a_mirror_with_plain_sha1_etags_is_believed(hub, machine):
    hub.add("org/name", FILES)
    sha1 = hashlib.sha1(TOKENIZER).hexdigest()
    hub.faults[path_of(hub, file="tokenizer.json")] = [Field(ETag=f'"{sha1}"'), Field(ETag=f'"{sha1}"')]
    folder = machine.got("org/name")
    assert os.readlink(folder / "tokenizer.json") == f"../../blobs/{sha1}"
