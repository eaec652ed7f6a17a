"""Policies shown, explained, shadowed and changed while requests run (docs/routing.md); the configuration file and SIGHUP."""
import json
import re
import signal

import pytest

from conftest import Engine, Gateway, wait_until

CHAT = {"model": "mock-model", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


def chat(gateway, **headers):
    r = gateway.client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert r.status_code == 200, r.text
    return r


@pytest.fixture
def pair(start):
    return [start(Engine), start(Engine)]


def test_policies_are_listed_and_changed_for_one_model_or_all(start, pair):
    gateway = start(Gateway, "--policy", "round_robin", workers=pair)
    gateway.ready(2)
    assert gateway.client.get("/policies").json() == {
        "default": {"policy": "round_robin", "parameters": {}}, "models": [], "prefill": None, "decode": None, "shadow": None}
    r = gateway.client.patch("/policies/mock-model", json={"policy": "PassThrough"})
    assert (r.status_code, r.json()) == (200, {"model": "mock-model", "policy": "passthrough", "parameters": {}})
    for _ in range(4):
        chat(gateway)
    counts = [len([r for r in e.requests() if r["path"] == "/v1/chat/completions"]) for e in pair]
    assert sorted(counts) == [0, 4]
    assert gateway.client.get("/policies").json()["models"] == [{"model": "mock-model", "set_by": "operator", "policy": "passthrough", "parameters": {}}]
    assert gateway.client.delete("/policies/mock-model").json() == {"model": "mock-model", "policy": "round_robin", "parameters": {}}
    r = gateway.client.delete("/policies/mock-model")
    assert r.status_code == 404 and r.json()["error"]["code"] == "policy_not_found"
    assert gateway.client.patch("/policies", json={"type": "random"}).json() == {"policy": "random", "parameters": {}}
    # a name with a slash is written with %2F
    r = gateway.client.patch("/policies/meta%2Fllama", json={"policy": "random"})
    assert r.json()["model"] == "meta/llama"


def test_bad_policies_change_nothing_and_say_why(start, pair):
    gateway = start(Gateway, "--policy", "round_robin", workers=pair)
    r = gateway.client.patch("/policies", json={"policy": "best"})
    assert r.status_code == 400 and "Must be one of: " in r.json()["error"]["message"] and r.json()["error"]["code"] == "invalid_policy"
    r = gateway.client.patch("/policies", json={"cache_threshold": 7})
    assert r.status_code == 400 and r.json()["error"]["message"] == "Invalid value for field 'cache_threshold': 7 - Must be between 0.0 and 1.0"
    assert gateway.client.patch("/policies", json={"cache_threshold": "x"}).status_code == 422
    assert gateway.client.patch("/policies", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert gateway.client.get("/policies").json()["default"]["policy"] == "round_robin"


def test_a_choice_is_explained_to_an_administrator(start, pair):
    dead = "http://127.0.0.1:1"
    gateway = start(Gateway, "--policy", "power_of_two", "--control-plane-api-keys", "a:a:admin:root-key", "u:u:user:user-key", "--api-key", "data-key",
                    "--log-level", "debug", workers=[*pair])
    admin = {"authorization": "Bearer root-key"}
    wait_until(lambda: gateway.client.get("/readiness").json().get("healthy_workers") == 2, what="both ready")
    gateway.client.post("/workers", json={"url": dead, "models": [{"id": "mock-model"}]}, headers=admin)
    plain = gateway.client.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer data-key"})
    assert plain.status_code == 200 and not [h for h in plain.headers if h.startswith("x-smg-route")]
    for key, status in (("data-key", 401), ("user-key", 403)):
        r = gateway.client.post("/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {key}", "x-smg-debug": "route"})
        assert r.status_code == status, r.text
    r = gateway.client.post("/v1/chat/completions", json=CHAT, headers={**admin, "x-smg-debug": "route"})
    assert r.status_code == 200
    route = r.headers["x-smg-route"]
    assert re.match('attempt=1; leg=regular; model="mock-model"; policy=power_of_two; branch=(request_counts|kv_usage); worker="http://127.0.0.1:', route), route
    assert "candidates=2" in route
    candidates = r.headers["x-smg-route-candidates"]
    assert all(f'"{e.url}"; load=0' in candidates for e in pair), candidates
    # no credential of ours went on to a worker
    for e in pair:
        for request in e.requests():
            assert "root-key" not in json.dumps(request)
    metrics = gateway.metrics()
    assert sum(n for series, n in metrics.items() if series.startswith('smg_routing_decisions_total{policy="power_of_two"')) == 2, metrics
    wait_until(lambda: ": route request_id=" in gateway.output(), what="a debug line")


def test_an_open_gateway_explains_itself_to_everybody(start, pair):
    gateway = start(Gateway, "--policy", "round_robin", workers=pair)
    gateway.ready(2)
    r = chat(gateway, **{"x-smg-debug": "route"})
    assert "policy=round_robin; branch=next" in r.headers["x-smg-route"]
    r = gateway.client.post("/v1/chat/completions", json={**CHAT, "model": "nope"}, headers={"x-smg-debug": "route"})
    assert r.status_code == 404


def test_a_shadow_policy_is_counted_and_not_followed(start, pair):
    gateway = start(Gateway, "--policy", "round_robin", "--shadow-policy", "passthrough", workers=pair)
    gateway.ready(2)
    for _ in range(10):
        chat(gateway)
    counts = [len([r for r in e.requests() if r["path"] == "/v1/chat/completions"]) for e in pair]
    assert counts == [5, 5], "round_robin serves"
    shadow = gateway.client.get("/policies").json()["shadow"]
    assert shadow["policy"] == "passthrough" and shadow["decisions"] == 10 and shadow["agreed"] == 5 and shadow["agreement"] == 0.5
    assert shadow["predicted_load_spread"] == shadow["served_load_spread"] == 0
    metrics = gateway.metrics()
    assert metrics['smg_shadow_decisions_total{policy="passthrough"}'] == 10
    assert metrics['smg_shadow_agreed_total{policy="passthrough"}'] == 5
    assert metrics['smg_shadow_load_spread{policy="passthrough"}'] == 0


def test_sighup_reads_the_configuration_file_again(start, pair, tmp_path):
    file = tmp_path / "smg.yaml"
    file.write_text("policy: round_robin\nrequest_timeout_secs: 30\n")
    gateway = start(Gateway, "--config", file, workers=pair)
    gateway.ready(2)
    policy = lambda: gateway.client.get("/policies").json()["default"]["policy"]  # noqa: E731
    assert policy() == "round_robin"
    file.write_text("policy: random\nshadow-policy: passthrough\nrequest-timeout-secs: 31\n")
    gateway.kill(signal.SIGHUP)
    wait_until(lambda: policy() == "random", what="the new policy")
    assert gateway.client.get("/policies").json()["shadow"]["policy"] == "passthrough"
    wait_until(lambda: "configuration change needs a restart" in gateway.output() and "--request-timeout-secs" in gateway.output(), what="the warning")
    for bad, why in (("policy: best\n", "invalid value 'best' for 'policy' in the configuration file"),
                     ("polcy: random\n", "unknown key 'polcy'"),
                     ("policy: round_robin\nrequest-timeout-secs: x\n", "for 'request-timeout-secs' in the configuration file"),
                     ("policy: [\n", "line 2")):
        file.write_text(bad)
        gateway.kill(signal.SIGHUP)
        wait_until(lambda: why in gateway.output(), what=why)
        assert policy() == "random", "a bad file changes nothing"
    file.write_text(json.dumps({"policy": "round_robin"}))
    gateway.kill(signal.SIGHUP)
    wait_until(lambda: policy() == "round_robin", what="the policy of a JSON file")
    chat(gateway)


def test_limits_and_retries_change_with_the_file(start, tmp_path):
    file, tenants = tmp_path / "smg.yaml", tmp_path / "tenants.yaml"
    engine = start(Engine, "--tokens-per-second", "20")
    tenants.write_text("default_policy: {tokens_per_minute: 1000000, requests_per_minute: 1000, model_rules: []}\n")

    def configure(**options):
        file.write_text(json.dumps({"max-concurrent-requests": 1, "queue-size": 0, "tenant-rate-limit-enabled": True,
                                    "tenant-rate-limit-config": str(tenants), **options}))

    configure()
    gateway = start(Gateway, "--config", file, workers=[engine]).ready(1)
    with gateway.client.stream("POST", "/v1/chat/completions", json={**CHAT, "max_tokens": 400, "stream": True}) as held:
        assert held.status_code == 200
        assert gateway.client.post("/v1/chat/completions", json=CHAT).status_code == 429
        configure(**{"max-concurrent-requests": 2})
        gateway.kill(signal.SIGHUP)
        wait_until(lambda: gateway.client.post("/v1/chat/completions", json=CHAT).status_code == 200, what="room for two")
    tenants.write_text("default_policy: {tokens_per_minute: 0}\n")
    gateway.kill(signal.SIGHUP)
    wait_until(lambda: "configuration not reloaded" in gateway.output() and "tenants.yaml" in gateway.output(), what="the reason")
    engine.faults(fail_rate=1.0, fail_status=500)
    asked = len(engine.requests())
    configure(**{"max-concurrent-requests": 2, "retry-max-retries": 2, "retry-initial-backoff-ms": 1})
    tenants.write_text("default_policy: {tokens_per_minute: 1000000, requests_per_minute: 1000, model_rules: []}\n")
    gateway.kill(signal.SIGHUP)
    wait_until(lambda: "--retry-max-retries" in gateway.output(), what="the new number of attempts")
    wait_until(lambda: gateway.client.post("/v1/chat/completions", json=CHAT).status_code == 500, what="the engine's error")
    assert len([r for r in engine.requests()[asked:] if r["path"] == "/v1/chat/completions"]) == 2


def test_sighup_without_a_file_ends_nothing(start, pair):
    gateway = start(Gateway, workers=pair)
    gateway.kill(signal.SIGHUP)
    wait_until(lambda: "there is no configuration file" in gateway.output(), what="the warning")
    assert gateway.running()


def test_flags_outrank_the_environment_and_that_the_file(start, pair, tmp_path):
    file = tmp_path / "smg.json"
    file.write_text(json.dumps({"policy": "random", "worker-urls": [e.url for e in pair]}))
    gateway = start(Gateway, "--policy", "passthrough", env={"SMG_CONFIG": str(file)})
    gateway.ready(2)
    assert gateway.client.get("/policies").json()["default"]["policy"] == "passthrough"
