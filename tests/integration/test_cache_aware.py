"""The cache_aware policy, seen from outside (spec data-plane 6.11, 16.26 and 27): who gets a prompt, what engines find in their caches, what the metrics say."""
import concurrent.futures

import httpx

from conftest import Engine, Gateway, wait_until

WORDS = "the quick brown fox jumps over the lazy dog and runs away from it ".split()


def words(n, seed):
    return " ".join(WORDS[(i * i + seed * (i + 1)) % len(WORDS)] + str((i * seed) % 97) for i in range(n))


def served(engine):
    return sum(r["path"] == "/v1/chat/completions" for r in engine.requests())


def two(start, *flags):
    engines = [start(Engine), start(Engine)]
    return engines, start(Gateway, "--runtime-worker-threads", "1", *flags, workers=engines).ready(2)


def test_dp_26_a_prompt_goes_where_it_went(start):
    engines, gateway = two(start)
    for text in ("hello world", "hello world", "hello"):
        assert gateway.chat(text, max_tokens=1).status_code == 200
    assert sorted(map(served, engines)) == [0, 3]


def test_dp_26_new_prompts_alternate_between_idle_workers(start):
    engines, gateway = two(start)
    for text in ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot"):
        assert gateway.chat(text, max_tokens=1).status_code == 200
    assert [served(e) for e in engines] == [3, 3]


def test_dp_26_imbalance_comes_before_affinity(start):
    engines = [start(Engine, "--tokens-per-second", "40") for _ in range(2)]
    gateway = start(Gateway, "--runtime-worker-threads", "1", "--balance-abs-threshold", "3", workers=engines).ready(2)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        replies = [pool.submit(gateway.chat, "hello world", max_tokens=40, ignore_eos=True) for _ in range(10)]
        assert all(r.result().status_code == 200 for r in replies)
    assert min(map(served, engines)) >= 2
    wait_until(lambda: sum(gateway.loads()) == 0)


def test_dp_27_a_dead_workers_prompts_go_elsewhere(start):
    engines, gateway = two(start, "--health-check-interval-secs", "3600")
    assert gateway.chat("hello world", max_tokens=1).status_code == 200
    holder = next(e for e in engines if served(e))
    other = next(e for e in engines if e is not holder)
    holder.kill()
    holder.wait()
    for _ in range(4):
        assert gateway.chat("hello world", max_tokens=1).status_code == 200
    assert served(other) == 4
    assert sum(gateway.loads()) == 0


def test_conversations_find_their_cache(start):
    engines = [start(Engine, "--engine", "realistic", "--prefill-tps", "1000000", "--decode-base-ms", "0.1") for _ in range(4)]
    gateway = start(Gateway, "--runtime-worker-threads", "2", workers=engines).ready(4)
    system = words(60, 1)
    conversations = [[{"role": "system", "content": system}] for _ in range(8)]
    cached = prompt = 0
    for turn in range(5):
        for i, messages in enumerate(conversations):
            messages.append({"role": "user", "content": words(40, 100 + turn * 10 + i)})
            usage = gateway.client.post("/v1/chat/completions", json={"model": "mock-model", "messages": messages, "max_tokens": 8}).json()["usage"]
            if turn:
                cached += usage["prompt_tokens_details"]["cached_tokens"]
                prompt += usage["prompt_tokens"]
            messages.append({"role": "assistant", "content": words(8, 1000 + turn * 10 + i)})
    assert cached / prompt > 0.6
    metrics = gateway.metrics()
    assert metrics["smg_prefix_index_lookups_total"] == 40
    assert metrics["smg_prefix_index_hits_total"] >= 32
    assert metrics["smg_prefix_index_entries"] > 100
    assert metrics["smg_prefix_index_bytes"] >= 1 << 20
    assert metrics["smg_prefix_index_inserted_total"] >= metrics["smg_prefix_index_entries"]
    assert metrics["smg_prefix_index_evictions_total"] == 0


def test_a_removed_workers_prompts_go_elsewhere_and_a_new_one_starts_afresh(start):
    engines, gateway = two(start)
    assert gateway.chat("hello world", max_tokens=1).status_code == 200
    holder = next(e for e in engines if served(e))
    other = next(e for e in engines if e is not holder)
    worker = next(w for w in gateway.client.get("/workers").json()["workers"] if w["url"] == holder.url)
    assert gateway.client.delete(f"/workers/{worker['id']}").status_code == 202
    wait_until(lambda: len(gateway.client.get("/workers").json()["workers"]) == 1)
    assert gateway.chat("hello world", max_tokens=1).status_code == 200
    assert gateway.client.post("/workers", json={"url": holder.url}).status_code == 202
    gateway.ready(2)
    for _ in range(3):
        assert gateway.chat("hello world", max_tokens=1).status_code == 200
    assert served(other) == 4


def test_no_index_no_series(start, engines):
    gateway = start(Gateway, "--policy", "round_robin", workers=engines).ready(2)
    assert "smg_prefix_index_entries" not in gateway.metrics()
    assert "smg_prefix_index" not in httpx.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics").text
