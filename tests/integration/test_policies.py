"""The policies from outside: which of some mock engines a request reaches. Cases 9, 10, 25 and 31 to 36 of spec data-plane 16."""
import bisect
import concurrent.futures

import blake3
import httpx
import pytest

from conftest import SLOWNESS, Engine, Gateway, ScriptedEngine, free_ports, wait_until


def counts(engines):
    """Requests that each got from clients; those of the gateway itself are GETs."""
    return [sum(r["method"] == "POST" for r in e.requests()) for e in engines]


def target(engines, gateway, headers=None, text="hello"):
    """The index of the engine that a request reached; None when it was refused."""
    before = counts(engines)
    reply = gateway.chat(text, headers=headers)
    if reply.status_code != 200:
        assert reply.status_code == 503, reply.text
        return None
    return next(i for i, (a, b) in enumerate(zip(before, counts(engines))) if b > a)


def position(text):
    return int.from_bytes(blake3.blake3(text.encode()).digest()[:8], "little")


def ring_owner(urls, key):
    """An independent ring, by the words of spec data-plane 6.7."""
    ring = sorted((position(f"{url}#{v}"), url) for url in urls for v in range(150))
    return urls.index(ring[bisect.bisect_left(ring, (position(key), "")) % len(ring)][1])


@pytest.fixture
def three(start):
    return [start(Engine) for _ in range(3)]


def in_order(gateway, engines):
    """Registers one engine after the other, so that their order is known."""
    for n, e in enumerate(engines, 1):
        assert gateway.client.post("/workers", json={"url": e.url}).status_code == 202
        gateway.ready(n)


def branches(gateway, family):
    return {k.split('"')[1]: v for k, v in gateway.metrics().items() if k.startswith(f"smg_{family}_policy_branch_total{{")}


def test_dp_9_target_worker(start, three):
    gateway = start(Gateway, "--policy", "consistent_hashing", "--disable-health-check")
    in_order(gateway, three)
    for i in range(3):
        assert target(three, gateway, {"X-SMG-Target-Worker": str(i)}) == i
        assert target(three, gateway, {"X-SMG-Target-Worker": three[i].url}) == i
    for worker in gateway.client.get("/workers").json()["workers"]:
        assert three[target(three, gateway, {"X-SMG-Target-Worker": worker["id"]})].url == worker["url"]
    assert target(three, gateway, {"X-SMG-Target-Worker": "7"}) is None
    assert target(three, gateway, {"X-SMG-Target-Worker": "abc"}) is None
    assert target(three, gateway, {"X-SMG-Target-Worker": ""}) is not None
    seen = branches(gateway, "consistent_hashing")
    assert seen["target_worker_hit"] == 9 and seen["target_worker_miss"] == 2 and seen["random_fallback"] == 1


def test_dp_10_ring_of_live_workers(start, three):
    """Against a ring made of the PyPI package of BLAKE3's authors."""
    gateway = start(Gateway, "--policy", "consistent_hashing", workers=three).ready(3)
    urls = [e.url for e in three]
    keys = [f"session-{i}" for i in range(12)]
    for key in keys:
        assert target(three, gateway, {"X-SMG-Routing-Key": key}) == ring_owner(urls, key)
    assert target(three, gateway, {"Authorization": "Bearer sk-test"}) == ring_owner(urls, "Bearer sk-test")
    gone = gateway.client.get("/workers").json()["workers"][0]
    assert gateway.client.delete(f"/workers/{gone['id']}").status_code == 202
    wait_until(lambda: len(gateway.client.get("/workers").json()["workers"]) == 2, what="removal")
    left = [u for u in urls if u != gone["url"]]
    for key in keys:
        assert three[target(three, gateway, {"X-SMG-Routing-Key": key})].url == left[ring_owner(left, key)]


def test_dp_25_round_robin_over_three(start, three):
    gateway = start(Gateway, "--policy", "round_robin", "--disable-health-check")
    in_order(gateway, three)
    assert [target(three, gateway) for _ in range(4)] == [0, 1, 2, 0]


def with_loads(start, *extra):
    """Two engines whose reports are scripted: loads[i] is what engine i says of itself."""
    loads = [{}, {}]

    def engine(i):
        def reply(connection, request):
            body = b'{"id":"x","object":"chat.completion","choices":[]}'
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

        class Reporting(ScriptedEngine):
            def _serve(self, connection):
                with connection:
                    try:
                        while (request := self.read_request(connection)) is not None:
                            path = request.split(b" ", 2)[1]
                            if path.startswith(b"/v1/loads"):
                                answer(connection, {"timestamp": "t", "dp_rank_count": 1, "loads": [{"dp_rank": 0, **loads[i]}]} if loads[i] else None)
                            elif path.startswith((b"/v1/models", b"/health")):
                                answer(connection, {"object": "list", "data": [{"id": "mock-model", "object": "model", "owned_by": "sglang"}]})
                            elif request.startswith(b"GET"):
                                answer(connection, None)
                            else:
                                self.requests.append(request)
                                reply(connection, request)
                    except OSError:
                        self.closed.set()

        return Reporting(reply)

    def answer(connection, value):
        import json

        body = json.dumps(value).encode() if value is not None else b""
        status = b"200 OK" if value is not None else b"404 Not Found"
        connection.sendall(b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)

    return [engine(0), engine(1)], loads


def sent(engines):
    return [len(e.requests) for e in engines]


def goes_to(gateway, engines, index):
    """Do the next requests reach engine INDEX? (Reports come once a second.)"""

    def one():
        before = sent(engines)
        assert gateway.chat().status_code == 200
        return sent(engines)[index] == before[index] + 1

    wait_until(lambda: all(one() for _ in range(3)), what=f"requests for engine {index}")


def test_dp_31_least_load_follows_reports(start):
    engines, loads = with_loads(start)
    loads[0] = {"num_waiting_uncached_tokens": 800000, "gen_throughput": 100.0, "max_total_num_tokens": 1}
    loads[1] = {"num_waiting_uncached_tokens": 1000, "gen_throughput": 100.0, "max_total_num_tokens": 1}
    gateway = start(Gateway, "--policy", "least_load", "--load-monitor-interval", 1, "--least-load-mean-prefill-tokens", 1, workers=engines).ready(2)
    goes_to(gateway, engines, 1)
    loads[1]["num_waiting_uncached_tokens"] = 8000000
    goes_to(gateway, engines, 0)
    for e in engines:
        e.stop()


def test_dp_32_power_of_two_follows_reports_of_both(start):
    engines, loads = with_loads(start)
    loads[0], loads[1] = {"token_usage": 0.9}, {"token_usage": 0.1}
    gateway = start(Gateway, "--policy", "power_of_two", "--load-monitor-interval", 1, workers=engines).ready(2)
    goes_to(gateway, engines, 1)
    loads[0]["token_usage"] = 0.05
    goes_to(gateway, engines, 0)
    loads[0] = {}  # reports no more: request counts decide, and both are idle

    def both():
        before = sent(engines)
        for _ in range(8):
            gateway.chat()
        return all(a > b for a, b in zip(sent(engines), before))

    wait_until(both, what="requests for both")
    for e in engines:
        e.stop()


def test_dp_33_manual_sticks(start, three):
    gateway = start(Gateway, "--policy", "manual", "--assignment-mode", "min_load", "--disable-health-check", workers=three).ready(3)
    homes = {}
    for key in ("a", "b", "c", "d"):
        homes[key] = target(three, gateway, {"X-SMG-Routing-Key": key})
        assert all(target(three, gateway, {"X-SMG-Routing-Key": key}) == homes[key] for _ in range(3))
    assert gateway.metrics()["smg_manual_policy_cache_entries"] == 4
    seen = branches(gateway, "manual")
    assert seen["vacant"] == 4 and seen["occupied_hit"] == 12
    assert target(three, gateway) is not None
    assert branches(gateway, "manual")["no_routing_id"] == 1


def test_dp_33_a_dead_worker_s_keys_move(start):
    first = free_ports(2)
    engines = [start(Engine, port=first), start(Engine, port=first + 1)]
    gateway = start(Gateway, "--policy", "manual", "--disable-health-check", workers=engines).ready(2)
    key = {"X-SMG-Routing-Key": "a"}
    home = target(engines, gateway, key)
    engines[home].kill()
    engines[home].wait()
    other = 1 - home
    for _ in range(3):
        assert gateway.chat(headers=key).status_code == 200
    assert counts(engines[other : other + 1]) == [3]
    engines[home] = start(Engine, port=first + home)
    assert gateway.chat(headers=key).status_code == 200
    assert counts(engines[home : home + 1]) == [1]  # its sessions are back


def test_dp_33_min_group_counts_keys_in_flight(start):
    engines = [start(Engine, "--ttft-ms", 4000 * SLOWNESS) for _ in range(2)]
    gateway = start(Gateway, "--policy", "manual", "--assignment-mode", "min_group", workers=engines).ready(2)

    def active():
        return sorted(v for k, v in gateway.metrics().items() if k.startswith("smg_worker_routing_keys_active{"))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pending = []
        for n, key in enumerate(("a", "b", "c", "d"), 1):
            pending.append(pool.submit(gateway.chat, headers={"X-SMG-Routing-Key": key}))
            wait_until(lambda: sum(active()) == n, what=f"{n} keys in flight")
            assert active()[1] - active()[0] <= 1
        assert all(p.result().status_code == 200 for p in pending)
    wait_until(lambda: active() == [0, 0], what="no keys in flight")


def test_dp_34_routing_key_override(start, three):
    gateway = start(Gateway, "--policy", "round_robin", "--routing-key-override", "--disable-health-check")
    in_order(gateway, three)
    home = target(three, gateway, {"X-SMG-Routing-Key": "a"})
    assert all(target(three, gateway, {"X-SMG-Routing-Key": "a"}) == home for _ in range(3))
    assert [target(three, gateway) for _ in range(4)] == [0, 1, 2, 0]
    ringed = start(Gateway, "--policy", "consistent_hashing", "--routing-key-override", workers=three).ready(3)
    assert target(three, ringed, {"X-SMG-Routing-Key": "k"}) == ring_owner([e.url for e in three], "k")
    assert ringed.metrics()["smg_manual_policy_cache_entries"] == 0


def test_dp_35_bucket_serves_regular_workers_too(start, three):
    gateway = start(Gateway, "--policy", "bucket", workers=three).ready(3)
    for n in range(6):
        assert gateway.chat("x" * (1 + n * 1000)).status_code == 200
    assert sum(counts(three)) == 6


def test_dp_36_prefix_hash_over_http(start, three):
    gateway = start(Gateway, "--policy", "prefix_hash", "--prefix-token-count", 8, workers=three).ready(3)
    prefix = "a system prompt of more than 32 bytes, for all of them: "
    homes = {target(three, gateway, text=prefix + str(n)) for n in range(6)}
    assert len(homes) == 1 and None not in homes
    assert len({target(three, gateway, text=f"{n} is where this one begins, and it is long enough") for n in range(20)}) > 1
    assert branches(gateway, "prefix_hash")["ring_hit"] == 26


def test_a_label_names_the_policy_with_the_configured_parameters(start, three):
    """BETTER than SMG, whose policies by label have built-in parameters."""
    gateway = start(Gateway, "--policy", "random", "--prefix-token-count", 4)
    for n, e in enumerate(three, 1):
        assert gateway.client.post("/workers", json={"url": e.url, "labels": {"policy": "prefixhash"}}).status_code == 202
        gateway.ready(n)
    homes = {target(three, gateway, text="0123456789abcdef" + str(n) * 40) for n in range(6)}
    assert len(homes) == 1
    assert branches(gateway, "prefix_hash")["ring_hit"] == 6


def test_polls_begin_with_a_policy_that_wants_them_and_only_then(start):
    engine = start(Engine)
    gateway = start(Gateway, "--policy", "round_robin", "--load-monitor-interval", 1, workers=[engine]).ready()
    asked = lambda: sum(1 for r in httpx.get(engine.url + "/mock/requests").json()["requests"] if "loads" in r.get("path", ""))  # noqa: E731
    assert gateway.chat().status_code == 200
    assert asked() == 0
