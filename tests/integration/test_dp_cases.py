"""Numbered cases of spec data-plane 16 that no other file has, and the proof that every one of them has a test."""
import json
import re

from conftest import ROOT, Gateway, ScriptedEngine, wait_until
from test_cases import numbers
from test_proxy import CHAT, ok, scripted

CASES = set(range(1, 53))


def named():
    for file in (ROOT / "tests/integration").glob("test_*.py"):
        yield from re.findall(r"^def test_dp_(\w+)\(", file.read_text(), re.M)
    for file in (ROOT / "tests/unit").glob("*/*.c"):
        yield from re.findall(r"^static void dp_(\w+)\(", file.read_text(), re.M)


def test_every_case_of_the_data_plane_has_a_test():
    covered = {n for name in named() for n in numbers(name)}
    assert not CASES - covered, f"cases of spec data-plane 16 without a test: {sorted(CASES - covered)}"
    assert covered <= CASES, f"numbers that no case has: {sorted(covered - CASES)}"


def test_dp_5_alias_collisions(start):
    """The first to claim an alias has it; its owner gone, the next one that declares it; a model of that name beats both."""
    def engine(name):
        return start(ScriptedEngine, lambda c, r: c.sendall(ok(json.dumps({"by": name}).encode())), model=name)

    gateway = start(Gateway)

    def add(name, *aliases):
        r = gateway.client.post("/workers", json={"url": engine(name).url, "models": [{"id": name, "aliases": list(aliases)}]})
        wait_until(lambda: gateway.client.get(r.headers["location"]).json()["status"] == "ready", what=name)
        return r.headers["location"]

    def by():
        return gateway.chat(model="shared").json().get("by")

    first = add("a", "shared")
    add("b", "shared")
    assert by() == "a"
    gateway.client.delete(first)
    wait_until(lambda: by() == "b", what="the alias handed over")
    add("shared")
    assert by() == "shared"


def test_dp_15_max_tokens_goes_on_as_it_came(start):
    """SMG renames it to max_completion_tokens; decision 4 keeps the client's bytes."""
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(b"{}")))
    body = CHAT[:-1] + b',"max_tokens":5}'
    assert gateway.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"}).status_code == 200
    assert engine.requests[0].endswith(body)


def test_dp_21_a_workers_own_key_replaces_the_clients(start):
    engine = start(ScriptedEngine, lambda c, r: c.sendall(ok(b"{}")))
    gateway = start(Gateway)
    r = gateway.client.post("/workers", json={"url": engine.url, "api_key": "worker-key"})
    wait_until(lambda: gateway.client.get(r.headers["location"]).json()["status"] == "ready", what="ready")
    assert gateway.chat(headers={"authorization": "Bearer sk-user"}).status_code == 200
    head = engine.requests[-1].split(b"\r\n\r\n", 1)[0].lower()
    assert head.count(b"authorization:") == 1 and b"authorization: bearer worker-key" in head
