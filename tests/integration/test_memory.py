"""What one request may cost in memory."""
import httpx

from conftest import SLOWNESS, Engine, Gateway


def test_a_dense_body_stays_within_the_memory_budget(start):
    """Its bytes fit; what reading them takes, eight times as much, does not."""
    gateway = start(Gateway, "--memory-limit", "64M", workers=[start(Engine)]).ready(1)
    dense = b'{"model":"mock-model","messages":[{"role":"user","content":"hello"}],"logit_bias":[' + b"0," * (10 << 20) + b"0]}"
    with httpx.Client(timeout=60 * SLOWNESS) as client:
        reply = client.post(gateway.url + "/v1/chat/completions", content=dense, headers={"content-type": "application/json"})
    assert reply.status_code == 503, reply.text
    metrics = gateway.metrics()
    assert metrics["smg_memory_budget_refusals_total"] >= 1
    assert metrics["process_resident_memory_bytes"] < (64 << 20) * SLOWNESS
    assert gateway.chat().status_code == 200
    metrics = gateway.metrics()
    assert metrics["smg_memory_budget_used_bytes"] - metrics["smg_prefix_index_bytes"] < 1 << 20
