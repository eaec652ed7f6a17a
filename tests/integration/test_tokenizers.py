"""Tokenizers over HTTP: /v1/tokenizers, /v1/tokenize, /v1/detokenize (spec control-plane 12, 13, 18.6, 18.7; cases 59 to 65 of its section 20), autoload, the state directory.

Tokenizers here are the built-in one (source "mock") and small files that the tests write.
"""
import json
import os
import re
import subprocess
import threading
import time

import httpx
import pytest

from conftest import SLOWNESS, SMG, Engine, Gateway, free_port, raw, wait_until
from hub_server import Hold, Hub, Large, Slow, Status

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def word_level(*words):
    """A tokenizer.json of words between white space; the first one is for what is unknown."""
    return json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                       "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
                       "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": words[0]}})


@pytest.fixture
def directory(tmp_path):
    """A directory with a tokenizer of five words."""
    d = tmp_path / "five"
    d.mkdir()
    (d / "tokenizer.json").write_text(word_level("[UNK]", "the", "quick", "brown", "fox"))
    return d


def add(gateway, name, source, **more):
    answer = gateway.client.post("/v1/tokenizers", json={"name": name, "source": str(source), **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def status(gateway, key):
    return gateway.client.get(f"/v1/tokenizers/{key}/status").json()


def ended(gateway, key):
    """The status behind the job's end."""
    return wait_until(lambda: (s := status(gateway, key)).get("status") in ("completed", "failed") and s, seconds=30, what="the end of the job")


def loaded(gateway, name, source, **more):
    key = add(gateway, name, source, **more)
    assert ended(gateway, key)["status"] == "completed", status(gateway, key)
    return key


def names(gateway):
    return [t["name"] for t in gateway.client.get("/v1/tokenizers").json()["tokenizers"]]


def tokenize(gateway, prompt, model="mock", path="/v1/tokenize", **more):
    return gateway.client.post(path, json={"model": model, "prompt": prompt, **more})


def detokenize(gateway, tokens, model="mock", path="/v1/detokenize", **more):
    return gateway.client.post(path, json={"model": model, "tokens": tokens, **more})


@pytest.fixture
def gateway(start, tmp_path):
    return start(Gateway, env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"})


@pytest.fixture
def mock(gateway):
    """A gateway with the built-in tokenizer under the name "mock"."""
    loaded(gateway, "mock", "mock")
    return gateway


# ---- /v1/tokenizers ----


def test_the_answers_of_the_guide(gateway):
    """Cases 59 and 60: texts, keys and their order."""
    answer = gateway.client.post("/v1/tokenizers", json={"name": "llama3-main", "source": "mock"})
    key = answer.json()["id"]
    assert answer.status_code == 202 and re.fullmatch(UUID7, key) and "location" not in answer.headers
    assert answer.text == f'{{"id":"{key}","status":"pending","message":"Tokenizer \'llama3-main\' registration job submitted. Loading from: mock"}}'
    assert ended(gateway, key)["status"] == "completed"
    row = f'{{"id":"{key}","name":"llama3-main","source":"mock","vocab_size":14}}'
    assert gateway.client.get("/v1/tokenizers").text == f'{{"tokenizers":[{row}]}}'
    assert gateway.client.get(f"/v1/tokenizers/{key}").text == row
    assert gateway.client.get("/v1/tokenizers/llama3-main").text == row
    for name in (key, "llama3-main"):  # case 61
        assert gateway.client.get(f"/v1/tokenizers/{name}/status").text == f'{{"id":"{key}","status":"completed","message":"Tokenizer \'llama3-main\' is loaded and ready","vocab_size":14}}'
    again = gateway.client.post("/v1/tokenizers", json={"name": "llama3-main", "source": "elsewhere"})
    assert (again.status_code, again.text) == (409, f'{{"id":"{key}","status":"failed","message":"Tokenizer \'llama3-main\' already exists"}}')
    gone = gateway.client.delete(f"/v1/tokenizers/{key}")
    assert (gone.status_code, gone.text) == (200, '{"success":true,"message":"Tokenizer \'llama3-main\' removed successfully"}')
    gone = gateway.client.delete(f"/v1/tokenizers/{key}")
    assert (gone.status_code, gone.text) == (404, f'{{"success":false,"message":"Tokenizer \'{key}\' not found"}}')
    assert gateway.client.get("/v1/tokenizers").text == '{"tokenizers":[]}'


def test_what_is_not_there(gateway):
    answer = gateway.client.get("/v1/tokenizers/nobody")
    assert (answer.status_code, answer.text) == (404, '{"error":{"message":"Tokenizer \'nobody\' not found","type":"tokenizer_not_found"}}')
    answer = gateway.client.get("/v1/tokenizers/nobody/status")
    assert (answer.status_code, answer.text) == (404, '{"error":{"message":"Tokenizer \'nobody\' not found and no pending job","type":"not_found"}}')
    assert gateway.client.get("/v1/tokenizers/startup/status").status_code == 404  # SMG's map of jobs is shared; ours tells of tokenizers only


def test_names_with_a_slash_are_found_when_it_is_escaped(gateway):
    """Case 62."""
    key = loaded(gateway, "org/model", "mock")
    assert gateway.client.get("/v1/tokenizers/org%2Fmodel").json()["id"] == key
    assert gateway.client.get("/v1/tokenizers/org%2Fmodel/status").json()["status"] == "completed"
    assert gateway.client.delete("/v1/tokenizers/org%2Fmodel").status_code == 200


def test_the_list_is_sorted_by_bytes_of_names(gateway):
    for name in ("b", "a", "B", "é", "a1"):
        loaded(gateway, name, "test")
    assert names(gateway) == ["B", "a", "a1", "b", "é"]


@pytest.mark.parametrize("body, message", [
    ({"name": "", "source": "mock"}, "tokenizer name cannot be empty"),
    ({"name": "a", "source": ""}, "tokenizer source cannot be empty"),
    ({"name": "a" * 257, "source": "mock"}, "tokenizer name is too long: at most 256 bytes"),
    ({"name": "a", "source": "a" * 4097}, "tokenizer source is too long: at most 4096 bytes"),
    ({"name": "a\nb", "source": "mock"}, "tokenizer name, source and chat_template_path cannot have control characters"),
])
def test_what_cannot_be_is_refused_at_once(gateway, body, message):
    answer = gateway.client.post("/v1/tokenizers", json=body)
    assert (answer.status_code, answer.json()) == (400, {"id": "", "status": "failed", "message": message})


@pytest.mark.parametrize("body, text", [
    ({}, "missing field `name`"),
    ({"name": "a"}, "missing field `source`"),
    ({"name": 5, "source": "mock"}, "name: invalid type: integer `5`, expected a string"),
    ({"name": "a", "source": None}, "source: invalid type: null, expected a string"),
])
def test_bodies_of_the_wrong_shape(gateway, body, text):
    answer = gateway.client.post("/v1/tokenizers", json=body)
    assert answer.status_code == 422 and text in answer.json()["error"]["message"]


def test_members_that_are_not_known_are_ignored_and_null_is_no_template(gateway):
    key = add(gateway, "a", "mock", chat_template_path=None, cache_config={"enable_l0": True}, more=1)
    assert ended(gateway, key)["status"] == "completed"


def test_methods_that_are_not_there(gateway):
    for path, allow in (("/v1/tokenizers", "POST,GET,HEAD"), ("/v1/tokenizers/a", "GET,HEAD,DELETE"), ("/v1/tokenizers/a/status", "GET,HEAD"), ("/v1/tokenize", "POST")):
        answer = gateway.client.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)


def test_the_control_plane_is_the_admins_and_tokenizing_is_everybodys(start):
    g = start(Gateway, "--control-plane-api-keys", "a:A:admin:admin-key", "b:B:user:user-key", "--api-key", "serving-key")
    admin, user, serving = ({"authorization": f"Bearer {k}"} for k in ("admin-key", "user-key", "serving-key"))
    body = {"name": "mock", "source": "mock"}
    assert [g.client.post("/v1/tokenizers", json=body, headers=h).status_code for h in ({}, user, serving)] == [401, 403, 401]
    key = g.client.post("/v1/tokenizers", json=body, headers=admin).json()["id"]
    wait_until(lambda: g.client.get("/v1/tokenizers", headers=admin).json()["tokenizers"], what="the tokenizer")
    prompt = {"model": "mock", "prompt": "Hello"}
    assert g.client.post("/v1/tokenize", json=prompt).status_code == 401
    assert g.client.post("/v1/tokenize", json=prompt, headers=serving).json()["tokens"] == [1]
    g.client.delete(f"/v1/tokenizers/{key}", headers=admin)
    wait_until(lambda: re.search(f'control_plane_audit.*principal="?a"?.*"?POST"?.*resource="?{key}', g.output()), what="the audit record")


# ---- jobs ----


def test_a_directory_and_a_file_are_sources(gateway, directory):
    loaded(gateway, "dir", directory)
    loaded(gateway, "file", directory / "tokenizer.json")
    for model in ("dir", "file"):
        assert tokenize(gateway, "the fox the wolf", model).json()["tokens"] == [1, 4, 1, 0]
    assert [t["vocab_size"] for t in gateway.client.get("/v1/tokenizers").json()["tokenizers"]] == [5, 5]


def fails_at_once(gateway, source, **more):
    began = time.monotonic()
    key = add(gateway, f"t{time.monotonic_ns()}", source, **more)
    s = ended(gateway, key)
    assert s["status"] == "failed" and s["id"] == key and "vocab_size" not in s, s
    assert time.monotonic() - began < 2 * SLOWNESS  # no second attempt, which would come 2 s later
    return s["message"]


def test_sources_that_cannot_become_tokenizers_fail_at_once_and_say_why(gateway, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert fails_at_once(gateway, "/nowhere/at/all") == "File not found: /nowhere/at/all"
    assert fails_at_once(gateway, "./tokenizer.json").startswith("File not found: ")
    assert fails_at_once(gateway, empty) == f"Directory '{empty}' does not contain a valid tokenizer file (tokenizer.json, tiktoken.model, *.tiktoken, or vocab.json)"
    assert "neither a path that exists nor a Hugging Face id" in fails_at_once(gateway, "a/b/c")
    assert "neither a path that exists nor a Hugging Face id" in fails_at_once(gateway, "https://example.com/tokenizer.json?x")
    assert "o200k_base.tiktoken" in fails_at_once(gateway, "gpt-4o")
    for name, data, text in (("x.model", b"\x0a\x09", "SentencePiece models not yet supported"), ("x.gguf", b"GGUF", "GGUF format not yet supported"), ("gguf", b"GGUF....", "GGUF format detected"),
                             ("spm", b"\x0a\x09\x0a\x05<unk>\x15\0\0\0\0", "SentencePiece model detected"), ("what", b"hello", "Unable to determine tokenizer type for file")):
        (tmp_path / name).write_bytes(data)
        assert text in fails_at_once(gateway, tmp_path / name)
    os.mkfifo(tmp_path / "pipe.json")
    assert "neither a directory nor a regular file" in fails_at_once(gateway, tmp_path / "pipe.json")
    (tmp_path / "fifo").mkdir()
    os.mkfifo(tmp_path / "fifo/tokenizer.json")
    assert "does not contain a valid tokenizer file" in fails_at_once(gateway, tmp_path / "fifo")
    assert names(gateway) == [] and gateway.metrics()['smg_tokenizer_loads_total{result="failure"}'] >= 13


def test_vocab_and_merges_of_another_class_are_named(gateway, tmp_path):
    d = tmp_path / "other"
    d.mkdir()
    (d / "vocab.json").write_text('{"a":0}')
    (d / "merges.txt").write_text("#version: 0.2\n")
    (d / "tokenizer_config.json").write_text('{"tokenizer_class":"OtherTokenizer"}')
    assert f"Unsupported vocab.json + merges.txt tokenizer_class 'OtherTokenizer' in {d}" in fails_at_once(gateway, d)


def qwen2(directory, **config):
    """The directory of spec tokenizers 16.3."""
    directory.mkdir()
    (directory / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate("HeloĠwrd!")}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    added = {"9": {"content": "<|im_start|>", "special": True}, "10": {"content": "<tool_call>", "special": False}}
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, **config}))
    return directory


def test_a_directory_of_the_qwen2_class(gateway, tmp_path):
    loaded(gateway, "q", qwen2(tmp_path / "q"))
    assert tokenize(gateway, "Hello world!", "q").json()["tokens"] == [0, 1, 2, 2, 3, 4, 5, 3, 6, 2, 7, 8]
    assert tokenize(gateway, "<|im_start|><tool_call>", "q").json()["tokens"] == [9, 10]
    assert detokenize(gateway, [9, 10], "q").json()["text"] == "<tool_call>"
    loaded(gateway, "prefixed", qwen2(tmp_path / "p", add_prefix_space=True))
    assert tokenize(gateway, "Hello", "prefixed").json()["tokens"] == [4, 0, 1, 2, 2, 3]
    assert detokenize(gateway, [4, 0, 1, 2, 2, 3], "prefixed").json()["text"] == " Hello"


def ranks(*more):
    """A tiktoken file: every byte, and what else is given."""
    import base64

    return "".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate([bytes([b]) for b in range(256)] + list(more)))


def test_which_file_of_a_directory_counts(gateway, tmp_path, directory):
    (directory / "tiktoken.model").write_text(ranks())
    loaded(gateway, "hf first", directory)
    assert tokenize(gateway, "the fox", "hf first").json()["tokens"] == [1, 4]
    other = qwen2(tmp_path / "other", tokenizer_class="OtherTokenizer", added_tokens_decoder={})
    (other / "b.tiktoken").write_text("nonsense")
    (other / "a.tiktoken").write_text(ranks(b"hello"))
    loaded(gateway, "ranks", other)
    assert tokenize(gateway, "hello", "ranks").json()["tokens"] == [256]
    loaded(gateway, "file of ranks", other / "a.tiktoken")
    assert tokenize(gateway, "hello!", "file of ranks").json()["tokens"] == [256, 33]
    answer = detokenize(gateway, [99999], "ranks")  # ids of ranks are strict, as in SMG
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "detokenization_error" and answer.json()["error"]["message"].startswith("Detokenization failed: ")


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100000, b'{"model":{}}', b'{"model":{"type":"WordLevel"}}', b"\xff\xfe", b'{"version":"1.0"}', b"null",
                                  b'{"model":{"type":"Nonsense","vocab":{"a":99999999999999}}}'])
def test_hostile_files_fail_with_a_message(gateway, tmp_path, text):
    (tmp_path / "tokenizer.json").write_bytes(text)
    message = fails_at_once(gateway, tmp_path)
    assert message.startswith("Failed to load tokenizer: ") and len(message) > 30
    assert gateway.client.get("/health").status_code == 200


def test_a_template_must_be_readable(gateway, tmp_path):
    (tmp_path / "t.jinja").write_text("{{ messages }}")
    (tmp_path / "t.json").write_text('{"chat_template":"{{ messages }}"}')
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "none.json").write_text("{}")
    for name in ("t.jinja", "t.json"):
        loaded(gateway, name, "mock", chat_template_path=str(tmp_path / name))
    assert fails_at_once(gateway, "mock", chat_template_path="/nowhere").startswith("Failed to read chat template file: /nowhere: ")
    assert fails_at_once(gateway, "mock", chat_template_path=str(tmp_path / "bad.json")).startswith("Failed to parse chat_template.json: ")
    assert fails_at_once(gateway, "mock", chat_template_path=str(tmp_path / "none.json")).startswith("chat_template.json does not contain a valid template")


def test_a_failed_name_may_be_tried_again(gateway, tmp_path, directory):
    first = add(gateway, "a", tmp_path / "missing")
    assert ended(gateway, first)["status"] == "failed"
    second = loaded(gateway, "a", directory)
    assert second != first and status(gateway, first)["status"] == "failed"  # its own id tells of it for an hour


# ---- /v1/tokenize, /v1/detokenize ----


@pytest.mark.parametrize("path", ["/v1/tokenize", "/tokenize"])
def test_tokenize(mock, path):
    """Case 64 and the mock tokenizer's vectors."""
    assert tokenize(mock, "Hello world", path=path).text == '{"tokens":[1,2],"count":2,"char_count":11}'
    assert tokenize(mock, ["Hello", "World"], path=path).text == '{"tokens":[[1],[]],"count":[1,0],"char_count":[5,5]}'
    assert tokenize(mock, [], path=path).text == '{"tokens":[],"count":[],"char_count":[]}'
    assert tokenize(mock, "", path=path).text == '{"tokens":[],"count":0,"char_count":0}'
    assert tokenize(mock, "é", path=path).json()["char_count"] == 1
    assert tokenize(mock, "Hello, <eos> unknown <|im_start|> .", path=path).json()["tokens"] == [999, 1001, 6]
    assert tokenize(mock, "Hello", path=path, more="ignored", add_special_tokens=None).json()["tokens"] == [1]


@pytest.mark.parametrize("path", ["/v1/detokenize", "/detokenize"])
def test_detokenize(mock, path):
    """Case 65."""
    assert detokenize(mock, [1, 2], path=path).text == '{"text":"Hello world"}'
    assert detokenize(mock, [], path=path).text == '{"text":""}'
    assert detokenize(mock, [[1], [2], []], path=path).text == '{"text":["Hello","world",""]}'
    assert detokenize(mock, [1000, 1, 999], path=path).json()["text"] == "Hello"
    assert detokenize(mock, [1000, 1, 999], path=path, skip_special_tokens=False).json()["text"] == "<bos> Hello <eos>"
    assert detokenize(mock, [1, 77777], path=path).json()["text"] == "Hello"


@pytest.mark.parametrize("body, text", [
    ({"prompt": "a"}, "missing field `model`"),
    ({"model": "mock"}, "missing field `prompt`"),
    ({"model": "mock", "prompt": 5}, "prompt: data did not match any variant of untagged enum StringOrArray"),
    ({"model": "mock", "prompt": None}, "prompt: data did not match any variant of untagged enum StringOrArray"),
    ({"model": "mock", "prompt": ["a", 5]}, "prompt: data did not match any variant of untagged enum StringOrArray"),
    ({"model": "mock", "prompt": "a", "add_special_tokens": 1}, "add_special_tokens: invalid type: integer `1`, expected a boolean"),
])
def test_tokenize_bodies_of_the_wrong_shape(mock, body, text):
    answer = mock.client.post("/v1/tokenize", json=body)
    assert answer.status_code == 422 and answer.json()["error"]["message"].startswith("Failed to deserialize the JSON body into the target type: " + text), answer.text


@pytest.mark.parametrize("tokens", [5, None, "a", [-1], [1.0], [1, [2]], [[1], 2], [4294967296], ["1"], [[[1]]], {"a": 1}])
def test_detokenize_wants_ids(mock, tokens):
    answer = detokenize(mock, tokens)
    assert answer.status_code == 422 and "tokens: data did not match any variant of untagged enum TokensInput at line 1 column " in answer.json()["error"]["message"], answer.text


def test_detokenize_without_model_or_tokens(mock):
    assert "missing field `tokens`" in mock.client.post("/v1/detokenize", json={"model": "mock"}).json()["error"]["message"]
    assert mock.client.post("/v1/detokenize", json={"tokens": [1]}).status_code == 422


def test_which_tokenizer_is_meant(gateway):
    """Case 63."""
    answer = tokenize(gateway, "a")
    assert (answer.status_code, answer.text) == (400, '{"error":{"message":"No tokenizers available. Use POST /v1/tokenizers to add one.","type":"tokenizer_not_found"}}')
    key = loaded(gateway, "b", "mock")
    loaded(gateway, "a", "mock")
    answer = detokenize(gateway, [1], "m")
    assert (answer.status_code, answer.text) == (400, '{"error":{"message":"Tokenizer for model \'m\' not found. Available: a, b","type":"tokenizer_not_found"}}')
    for model in ("a", key, "unknown", ""):
        assert tokenize(gateway, "Hello", model).json()["tokens"] == [1]


def test_a_models_alias_finds_its_tokenizer(start, gateway):
    engine = start(Engine, "--model", "big")
    gateway.client.post("/workers", json={"url": engine.url, "models": [{"id": "big", "aliases": ["short"]}]})
    gateway.ready(1)
    loaded(gateway, "big", "mock")
    assert tokenize(gateway, "Hello", "short").json()["tokens"] == [1]
    gateway.client.delete("/v1/tokenizers/big")
    loaded(gateway, "short", "mock")
    assert tokenize(gateway, "Hello", "big").json()["tokens"] == [1]
    assert tokenize(gateway, "Hello", "other").status_code == 400


def test_long_texts_are_tokenized_off_the_loop_and_come_out_alike(mock):
    text = "Hello world " * 50_000
    answer = tokenize(mock, [text, "test", text]).json()
    assert answer["count"] == [100_000, 1, 100_000] and answer["char_count"] == [600_000, 4, 600_000]
    assert answer["tokens"][0] == [1, 2] * 50_000
    assert detokenize(mock, answer["tokens"][0]).json()["text"] == text.strip()
    assert detokenize(mock, [[1]] * 3000).json()["text"] == ["Hello"] * 3000
    assert mock.metrics()['smg_tokenize_tokens_total{operation="tokenize"}'] >= 200_001


def test_many_at_a_time(mock):
    text, wrong = "Hello world " * 2000, []

    def ask(n):
        with httpx.Client(base_url=mock.url, timeout=60 * SLOWNESS) as client:
            for _ in range(10):
                r = client.post("/v1/tokenize", json={"model": "mock", "prompt": text * n})
                if r.status_code != 200 or r.json()["count"] != 4000 * n:
                    wrong.append(r.text[:200])

    threads = [threading.Thread(target=ask, args=(1 + i % 3,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong


def test_a_client_that_leaves_costs_nothing_more(mock):
    body = json.dumps({"model": "mock", "prompt": "Hello world " * 200_000}).encode()
    head = b"POST /v1/tokenize HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    import socket

    for _ in range(5):
        with socket.create_connection(("127.0.0.1", mock.port)) as s:
            s.sendall(head + body)
    assert tokenize(mock, "Hello").json()["tokens"] == [1]
    wait_until(lambda: mock.metrics().get('smg_tokenize_requests_total{operation="tokenize",result="success"}', 0) >= 1, what="the count")


def test_a_tokenizer_may_be_deleted_while_it_is_used(gateway, directory):
    stop, wrong = threading.Event(), []

    def use():
        with httpx.Client(base_url=gateway.url, timeout=60 * SLOWNESS) as client:
            while not stop.is_set():
                r = client.post("/v1/tokenize", json={"model": "a", "prompt": "the fox " * 3000})
                if r.status_code not in (200, 400) or (r.status_code == 200 and r.json()["count"] != 6000):
                    wrong.append(r.text[:200])

    threads = [threading.Thread(target=use) for _ in range(3)]
    [t.start() for t in threads]
    for _ in range(10):
        loaded(gateway, "a", directory)
        assert gateway.client.delete("/v1/tokenizers/a").status_code == 200
    stop.set()
    [t.join() for t in threads]
    assert not wrong


# ---- the hub ----

HUB_FILES = {"tokenizer.json": word_level("[UNK]", "from", "the", "hub").encode(), "tokenizer_config.json": b"{}", "config.json": b"{}", "generation_config.json": b"{}"}


@pytest.fixture
def hub():
    h = Hub()
    h.add("org/words", HUB_FILES)
    yield h
    h.close()


@pytest.fixture
def online(start, tmp_path, hub):
    """A gateway that reaches the hub."""
    return lambda *flags, **more: start(Gateway, *flags, env={"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", **more.pop("env", {})}, **more)


def test_a_hub_id_is_fetched_once_and_then_found_in_the_cache(online, hub):
    g = online()
    loaded(g, "words", "org/words")
    assert tokenize(g, "the hub", "words").json()["tokens"] == [2, 3]
    asked = len(hub.requests)
    assert asked > 0
    loaded(g, "again", "org/words")
    assert len(hub.requests) == asked


def test_a_revision_of_a_hub_id(online, hub):
    g = online()
    model = hub.models["org/words"]
    loaded(g, "words", f"org/words@{model.commit}")
    assert ended(g, add(g, "none", "org/words@no-such-branch"))["status"] == "failed"


def test_a_model_that_is_not_there_says_so_at_once(online):
    g = online()
    message = fails_at_once(g, "org/nothing")
    assert "org/nothing" in message and "HF_TOKEN" in message


def test_a_gated_model_wants_the_token_and_never_tells_it(online, hub):
    hub.add("org/secret", HUB_FILES, token="hf_TheSecretToken")
    message = fails_at_once(online(), "org/secret")
    assert "HF_TOKEN" in message
    g = online(env={"HF_TOKEN": "hf_TheSecretToken"})
    loaded(g, "secret", "org/secret")
    assert "hf_TheSecretToken" not in g.output()


def test_progress_is_told_while_it_is_fetched_and_a_second_request_joins(online, hub):
    big = {"filler " * 3 + str(i): i for i in range(60_000)}
    text = json.loads(HUB_FILES["tokenizer.json"])
    text["model"]["vocab"] |= {k: i + 4 for k, i in big.items()}
    hub.add("org/big", {**HUB_FILES, "tokenizer.json": Large(json.dumps(text).encode())})
    hub.faults["cdn"] = [None, Slow(700_000), Slow(700_000), Slow(700_000)]
    g = online()
    key = add(g, "big", "org/big")
    text = wait_until(lambda: (m := status(g, key)["message"]) and "MB (" in m and m, seconds=20, what="progress")
    assert re.fullmatch(r"Tokenizer job is processing: \d of \d files fetched, \d\.\d of \d\.\d MB \(\d+ %\)", text), text
    assert g.client.get(f"/v1/tokenizers/{key}").status_code == 404 and g.client.get("/v1/tokenizers/big/status").status_code == 404  # case 61
    assert g.client.delete(f"/v1/tokenizers/{key}").status_code == 404
    again = g.client.post("/v1/tokenizers", json={"name": "big", "source": "org/big"})
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, key, "pending")
    other = g.client.post("/v1/tokenizers", json={"name": "big", "source": "mock"})
    assert (other.status_code, other.json()) == (409, {"id": key, "status": "failed", "message": "Tokenizer 'big' is being loaded from another source"})
    hub.faults.clear()
    g.kill()  # in the middle of it: nothing but an unfinished file is left
    g.wait()
    g.client.close()
    g = online()
    loaded(g, "big", "org/big")


@pytest.mark.waits
def test_a_hub_that_comes_back_is_tried_again(online, hub):
    hub.faults["/api/models/org/words/revision/main"] = [Status(503)] * 50
    g = online()
    key = add(g, "words", "org/words")
    text = wait_until(lambda: (m := status(g, key)["message"]) and "attempt 1 of 3 failed" in m and m, seconds=60, what="the first failure")
    assert "503" in text
    hub.faults.clear()
    assert ended(g, key)["status"] == "completed"


def test_a_gateway_ends_while_it_fetches(online, hub):
    hold = Hold()
    hub.faults["/api/models/org/words/revision/main"] = [hold]
    g = online()
    add(g, "words", "org/words")
    assert hold.reached.wait(20 * SLOWNESS)
    assert g.stop() == 0
    hold.go.set()


# ---- --state-dir ----


@pytest.fixture
def gateway_on(start, tmp_path):
    return lambda *flags, **more: start(Gateway, "--state-dir", tmp_path / "state", *flags, env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}, **more)


def killed(g):
    g.kill()
    g.wait()
    g.client.close()


def test_tokenizers_of_the_api_come_back_under_their_ids(gateway_on, directory):
    g = gateway_on()
    a, b = loaded(g, "a", directory), loaded(g, "b", "mock")
    c = loaded(g, "c", "mock")
    assert g.client.delete(f"/v1/tokenizers/{c}").status_code == 200
    before = g.client.get("/v1/tokenizers").json()
    killed(g)
    g = gateway_on()
    wait_until(lambda: len(names(g)) == 2, what="both tokenizers")
    assert g.client.get("/v1/tokenizers").json() == before and {t["id"] for t in before["tokenizers"]} == {a, b}
    assert g.client.delete("/v1/tokenizers/a").status_code == 200
    assert g.stop() == 0
    g = gateway_on()
    wait_until(lambda: names(g) == ["b"], what="the one that is left")


def test_what_never_was_a_tokenizer_does_not_come_back(gateway_on, tmp_path):
    g = gateway_on()
    assert ended(g, add(g, "a", tmp_path / "missing"))["status"] == "failed"
    loaded(g, "b", "mock")
    killed(g)
    g = gateway_on()
    wait_until(lambda: names(g) == ["b"], what="the good one")
    wait_until(lambda: "saved tokenizers are loaded again tokenizers=1" in g.output(), what="the line")


def test_one_whose_files_are_gone_is_told_and_comes_back_with_them(gateway_on, directory):
    g = gateway_on()
    key = loaded(g, "a", directory)
    killed(g)
    text = (directory / "tokenizer.json").read_text()
    (directory / "tokenizer.json").unlink()
    g = gateway_on()
    assert ended(g, key)["status"] == "failed"
    killed(g)
    (directory / "tokenizer.json").write_text(text)
    g = gateway_on()
    assert ended(g, key)["status"] == "completed"
    killed(g)
    (directory / "tokenizer.json").unlink()
    g = gateway_on()
    assert ended(g, key)["status"] == "failed"
    second = loaded(g, "a", "mock")  # another one takes its name, and its place in the file
    killed(g)
    g = gateway_on()
    wait_until(lambda: names(g) == ["a"], what="the new one")
    assert g.client.get("/v1/tokenizers/a").json()["id"] == second and g.client.get(f"/v1/tokenizers/{key}/status").status_code == 404


def test_a_lost_one_can_be_deleted(gateway_on, directory):
    g = gateway_on()
    key = loaded(g, "a", directory)
    killed(g)
    (directory / "tokenizer.json").unlink()
    g = gateway_on()
    assert ended(g, key)["status"] == "failed"
    assert g.client.delete("/v1/tokenizers/a").json() == {"success": True, "message": "Tokenizer 'a' removed successfully"}
    assert g.client.get(f"/v1/tokenizers/{key}/status").status_code == 404
    killed(g)
    g = gateway_on()
    wait_until(lambda: "saved tokenizers are loaded again tokenizers=0" in g.output(), what="the line")


# ---- flags, autoload, readiness ----


def test_the_tokenizer_of_the_command_line(start, directory):
    g = start(Gateway, "--model-path", directory)
    wait_until(lambda: names(g) == [str(directory)], what="the tokenizer")
    row = g.client.get("/v1/tokenizers").json()["tokenizers"][0]
    assert row["source"] == str(directory)
    assert tokenize(g, "the fox", str(directory)).json()["tokens"] == [1, 4]
    assert tokenize(g, "the fox", "unknown").json()["tokens"] == [1, 4]
    g = start(Gateway, "--model-path", "/nowhere", "--tokenizer-path", directory)
    wait_until(lambda: names(g) == [str(directory)], what="the tokenizer's own path")
    g = start(Gateway, "--model-path", directory, "--disable-tokenizer-autoload")
    loaded(g, "mock", "mock")
    assert names(g) == ["mock"]


def test_a_bad_path_does_not_stop_the_gateway_and_is_told(start):
    g = start(Gateway, "--model-path", "/nowhere")
    wait_until(lambda: "tokenizer could not be loaded" in g.output(), what="the line")
    assert "File not found: /nowhere" in g.output()


def test_a_workers_model_gets_the_tokenizer_of_the_flags(start, directory):
    g = start(Gateway, "--tokenizer-path", directory, workers=[start(Engine, "--model", "named")]).ready(1)
    wait_until(lambda: sorted(names(g)) == sorted([str(directory), "named"]), what="both names")
    assert tokenize(g, "quick", "named").json()["tokens"] == [2]


def test_a_workers_label_names_what_is_on_this_machine(start, gateway, directory):
    engine = start(Engine, "--model", "named")
    gateway.client.post("/workers", json={"url": engine.url, "labels": {"tokenizer_path": str(directory)}})
    wait_until(lambda: names(gateway) == ["named"], what="the worker's tokenizer")
    assert tokenize(gateway, "brown", "named").json()["tokens"] == [3]


def test_nothing_is_fetched_for_an_http_worker_that_names_a_hub_id(start, online, hub):
    g = online()
    engine = start(Engine, "--model", "named")
    g.client.post("/workers", json={"url": engine.url, "labels": {"model_path": "org/words"}})
    g.ready(1)
    loaded(g, "mock", "mock")
    assert names(g) == ["mock"] and hub.requests == []
    loaded(g, "words", "org/words")  # now the cache has it
    g.client.delete(f"/workers/{g.client.get('/workers').json()['workers'][0]['id']}")
    wait_until(lambda: g.client.get("/workers").json()["total"] == 0, what="the end of the worker")
    asked = len(hub.requests)
    g.client.post("/workers", json={"url": engine.url, "labels": {"model_path": "org/words"}})
    wait_until(lambda: names(g) == ["mock", "named", "words"], what="the worker's tokenizer")
    assert len(hub.requests) == asked


def test_http_workers_are_ready_without_a_tokenizer(start):
    start(Gateway, workers=[start(Engine)]).ready(1)


@pytest.mark.parametrize("flags, words", [
    (["--chat-template", "/nowhere.jinja"], "chat_template"),
    (["--model-path", ""], "model_path"),
    (["--tokenizer-cache-enable-l0", "--tokenizer-cache-l0-max-entries", "0"], "Must be > 0 when L0 cache is enabled"),
    (["--tokenizer-cache-enable-l1", "--tokenizer-cache-l1-max-memory", "0"], "Must be > 0 when L1 cache is enabled"),
])
def test_flags_that_cannot_be_stop_the_start(flags, words):
    done = subprocess.run([SMG, "launch", "--port", str(free_port()), *flags], capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert done.returncode == 1 and words in done.stderr, done.stderr


def test_the_flags_of_the_caches_are_accepted(start, tmp_path):
    (tmp_path / "t.jinja").write_text("{{ messages }}")
    g = start(Gateway, "--tokenizer-cache-enable-l0", "--tokenizer-cache-enable-l1", "--tokenizer-cache-l0-max-entries", 5, "--tokenizer-cache-l1-max-memory", "1M", "--chat-template",
              tmp_path / "t.jinja", "--model-path", "mock")
    wait_until(lambda: names(g) == ["mock"], what="the tokenizer")
    assert g.metrics()["smg_tokenizers_loaded"] == 1 and g.metrics()['smg_tokenizer_memory_bytes{tokenizer="mock"}'] > 0
    assert g.metrics()['smg_tokenizer_loads_total{result="success"}'] == 1
