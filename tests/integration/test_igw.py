"""Several models behind one gateway (--enable-igw): pairs, single engines and providers by model (spec data-plane 2.1 to 2.3; cases 6 to 8 of its section 16)."""
import pytest

from conftest import Engine, Gateway, ScriptedEngine, wait_until
from test_pd import answers, decode_engine, prefill_engine, status_reply
from test_registration import PROVIDER, Server

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def add(gateway, url, expected, **members):
    """Registers a worker over the API and waits until EXPECTED are ready."""
    r = gateway.client.post("/workers", json={"url": url, **members})
    assert r.status_code == 202, r.text
    gateway.ready(expected)


def chats_at(engine):
    return sum(r["path"] == "/v1/chat/completions" for r in engine.requests())


@pytest.fixture
def mixed(start):
    """(prefill, decode, single, gateway): a pair and a single engine of one model, all added over the API; the gateway was not told of pairs."""
    p, d, single = prefill_engine(start), decode_engine(start), start(Engine)
    gateway = start(Gateway, "--enable-igw")
    add(gateway, single.url, 1)
    add(gateway, p.url, 2, worker_type="prefill", bootstrap_port=p.bootstrap)
    add(gateway, d.url, 3, worker_type="decode")
    return p, d, single, gateway


def test_dp_6_generate_without_a_model(start, engines):
    by_model, one_way = start(Gateway, "--enable-igw", workers=engines).ready(2), start(Gateway, workers=engines).ready(2)
    for model in ({}, {"model": ""}, {"model": "unknown"}):
        r = by_model.client.post("/generate", json={"text": "hello", **model})
        assert (r.status_code, r.headers["x-smg-error-code"]) == (400, "missing_model")
        assert r.json()["error"]["message"] == "/generate requests must include a model when IGW routing is enabled"
        assert one_way.client.post("/generate", json={"text": "hello", **model}).status_code == 200
    assert by_model.client.post("/generate", json={"text": "hello", "model": "mock-model"}).status_code == 200
    r = by_model.chat(model="nope")
    assert (r.status_code, r.headers["x-smg-error-code"]) == (404, "model_not_found")


def test_dp_7_requests_are_shared_between_pairs_and_single_engines(mixed):
    p, d, single, gateway = mixed  # 2 of 3 requests go to the pair: of 60 fewer than 12 or more than 58 would be a miracle
    for _ in range(60):
        assert gateway.chat().status_code == 200
    assert chats_at(p) == chats_at(d) and chats_at(d) + chats_at(single) == 60
    assert 12 <= chats_at(d) <= 58
    for path, body in (("/v1/embeddings", {"input": "x"}), ("/v1/classify", {"input": "x"})):  # which pairs do not serve
        for _ in range(4):
            gateway.client.post(path, json={"model": "mock-model", **body})
        assert sum(r["path"] == path for r in single.requests()) == 4 and all(r["path"] != path for e in (p, d) for r in e.requests())


def test_dp_7_without_its_other_half_a_pair_gets_nothing(mixed):
    p, d, single, gateway = mixed
    gone = next(w for w in gateway.client.get("/workers").json()["workers"] if w["url"] == d.url)
    gateway.client.delete(f"/workers/{gone['id']}")
    wait_until(lambda: len(gateway.client.get("/workers").json()["workers"]) == 2, what="the decode engine is gone")
    for _ in range(20):
        assert gateway.chat().status_code == 200
    assert chats_at(single) == 20 and chats_at(p) == 0


def test_dp_7_pairs_from_the_command_line_keep_their_urls(start):
    p, d = prefill_engine(start), decode_engine(start)
    gateway = start(Gateway, "--enable-igw", "--pd-disaggregation", "--prefill", p.url, p.bootstrap, "--decode", d.url).ready(2)
    assert gateway.chat().status_code == 200 and chats_at(d) == 1
    assert gateway.client.get("/health_generate").text.startswith("Health generate passed on selected pair")
    assert gateway.client.get("/get_model_info").status_code == 200
    r = gateway.client.post("/v1/embeddings", json={"model": "mock-model", "input": "x"})
    assert (r.status_code, r.headers["x-smg-error-code"]) == (503, "no_available_workers")


def test_encoders_over_http_are_registered_and_serve_nobody(start):  # spec data-plane 2.2
    encoder, p, d = start(Engine), prefill_engine(start), decode_engine(start)
    gateway = start(Gateway, "--enable-igw", "--epd-disaggregation", "--encode", encoder.url, "none", "--prefill", p.url, p.bootstrap, "--decode", d.url).ready(3)
    for _ in range(4):
        assert gateway.chat().status_code == 200
    assert chats_at(d) == 4 and chats_at(encoder) == 0


def test_dp_8_a_provider_goes_before_the_engines_of_its_model(start):
    server, engine = start(Server, PROVIDER), start(Engine, "--model", "gpt-4o")
    gateway = start(Gateway, "--enable-igw", workers=[engine]).ready(1)
    assert gateway.chat(model="gpt-4o").status_code == 200 and chats_at(engine) == 1
    add(gateway, server.url, 2, runtime="external", api_key="sk-1")
    for _ in range(10):
        assert gateway.chat(model="gpt-4o").status_code == 200
    assert len(server.asked("/v1/chat/completions")) == 10 and chats_at(engine) == 1


def test_a_retry_stays_in_the_way_that_was_drawn(start):
    """Pairs fail always, the single engine never: what was drawn for pairs fails, although the single engine could do it."""
    fails = answers(status_reply(503))
    p, d, single = start(ScriptedEngine, fails), start(ScriptedEngine, fails), start(ScriptedEngine, answers(OK))
    gateway = start(Gateway, "--enable-igw", "--disable-circuit-breaker", "--retry-max-retries", 2, "--retry-initial-backoff-ms", 1, "--retry-max-backoff-ms", 1, workers=[single]).ready(1)
    add(gateway, p.url, 2, worker_type="prefill")
    add(gateway, d.url, 3, worker_type="decode")
    statuses = [gateway.chat().status_code for _ in range(40)]
    chats = sum(b"POST /v1/chat/completions" in r for r in single.requests)
    assert chats == statuses.count(200) and 1 <= chats <= 39
