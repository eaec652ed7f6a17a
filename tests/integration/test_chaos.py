"""Six engines that are killed, frozen, stalled, reset, cut, started slowly and overloaded at random, under load by clients of whom some leave.

SMG_CHAOS_SECONDS says how long (20; tools/soak: 300), SMG_SEED which accidents happen.

The rules, for every request:
 1. It ends within HANG_S, with a reply or, where the client did not leave first, at least the beginning of one.
 2. No byte of another request's answer is in it.
 3. A reply that is whole by its framing is the whole answer, or an error body. What was cut is seen to be cut (or says so in an error event).
 4. Saved is what a retry could save: while at least two engines are well (chaos.Monkey), a reply that had not begun is never an error, unless the request waited for an engine that
    took it and fell silent: then, and only then, an error is allowed. A reply that had begun may be cut.
At the end the counters of /metrics add up, and agree with what the clients counted; no load is left anywhere.
"""
import asyncio
import collections
import json
import os
import random

import httpx
import pytest

from chaos import TIMEOUT_S, Client, Monkey
from conftest import SLOWNESS, Gateway, ScriptedEngine, wait_until

SECONDS = float(os.environ.get("SMG_CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("SMG_SEED") or random.SystemRandom().randrange(1 << 32))
CLIENTS = 24
LAUNCH = ["--policy", "power_of_two", "--request-timeout-secs", TIMEOUT_S, "--health-check-interval-secs", 1, "--health-check-timeout-secs", 1, "--health-failure-threshold", 1,
          "--health-success-threshold", 1, "--cb-timeout-duration-secs", 1, "--log-level", "warn"]


async def load(port, seconds):
    """The book of what CLIENTS clients saw in so many seconds."""
    book, ends = [], asyncio.Event()
    clients = [asyncio.create_task(Client(port, SEED + i, book).run(ends)) for i in range(CLIENTS)]
    await asyncio.sleep(seconds)
    ends.set()
    await asyncio.gather(*clients)
    return book


def excused(o, waits):
    """Rule 4's exception: it waited for an engine in vain, while one was silent."""
    return o.ended - o.began >= TIMEOUT_S * 0.9 and any(begin <= o.ended and o.began <= end for begin, end in waits)


def total(metrics, name, *having):
    return sum(v for series, v in metrics.items() if series.split("{")[0] == name and all(h in series for h in having))


def check_counters(metrics, book):
    """accepted = finished + failed + aborted, for the HTTP side and for the router; and each of them is what clients saw, but for those who left without looking."""
    seen = collections.Counter(o.end for o in book)
    asked = total(metrics, "smg_http_requests_total")
    ended = {o: total(metrics, "smg_http_requests_ended_total", f'outcome="{o}"') for o in ("finished", "failed", "aborted")}
    assert asked == sum(ended.values()), (asked, ended)
    accepted = total(metrics, "smg_router_requests_total")
    finished = total(metrics, "smg_router_request_duration_seconds_count")
    failed = total(metrics, "smg_router_request_errors_total")
    aborted = total(metrics, "smg_router_requests_aborted_total")
    assert accepted == finished + failed + aborted, (accepted, finished, failed, aborted)
    assert seen["ok"] <= finished <= seen["ok"] + seen["left"], (seen, finished)
    assert seen["cut"] + seen["status"] <= failed <= seen["cut"] + seen["status"] + seen["left"], (seen, failed)
    assert aborted <= seen["left"], (seen, aborted)
    assert len(book) - seen["left"] <= accepted <= len(book), (len(book), seen, accepted)


@pytest.mark.waits
def test_chaos(start):
    engines = [Monkey.engine(start) for _ in range(6)]
    gateway = start(Gateway, *LAUNCH, workers=engines).ready(6)
    monkey = Monkey(start, gateway, engines, SEED)
    monkey.start()
    try:
        book = asyncio.run(load(gateway.port, SECONDS))
    finally:
        monkey.ends.set()
        monkey.join()
    if monkey.error:
        raise monkey.error

    seen = collections.Counter((o.kind, o.end, o.status) for o in book)
    summary = f"seed {SEED}, {len(book)} requests: {dict(seen)}; harm done: {dict(monkey.counts)}"
    print(summary)
    never = [o for o in book if o.end in ("hang", "silent", "wrong")]
    assert not never, (summary, never[:5])
    lost = [o for o in book if o.end == "status" and not excused(o, monkey.waits)]
    assert not lost, (summary, len(lost), lost[:5])

    wait_until(lambda: not any(gateway.loads()), what="loads at zero")
    wait_until(lambda: all(httpx.get(p.engine.url + "/mock/requests").json()["running"] == 0 for p in monkey.patients), what="engines at rest")
    metrics = gateway.metrics()
    assert total(metrics, "smg_worker_requests_active") == 0
    check_counters(metrics, book)
    # Otherwise nothing was tried. Engines heal at the pace of the machine: a slow one sees fewer accidents in the same time, and perhaps none that a request met.
    assert sum(monkey.counts.values()) >= max(1, SECONDS / (4 * SLOWNESS)), summary
    assert sum(n for (_, end, _), n in seen.items() if end == "ok") > 10 * SECONDS / SLOWNESS, summary
    assert total(metrics, "smg_worker_retries_total") > 0 or sum(monkey.counts.values()) < 5, summary


# ---- the clients themselves: what they must find, they find ----

def seen_by_client(start, reply):
    """How one plain or streamed request ends when the "gateway" says reply(stream, text)."""
    def answer(connection, request):
        asked = json.loads(request.split(b"\r\n\r\n", 1)[1])
        connection.sendall(reply(asked["stream"], asked["messages"][0]["content"].encode()))
        return False

    server = start(ScriptedEngine, answer)
    ends = {}
    for kind in ("plain", "stream"):
        client = Client(server.port, 1, [])
        ends[kind] = asyncio.run(asyncio.wait_for(client.request(kind), 10))[0]
    return ends


def whole(body):
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def answer_of(stream, text, end=b"data: [DONE]\n\n"):
    if stream:
        return b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n%s' % (text, end)
    return b'{"choices":[{"message":{"content":"%s"}}]}' % text


@pytest.mark.parametrize("reply,ends", [
    (lambda stream, text: whole(answer_of(stream, text)), {"plain": "ok", "stream": "ok"}),
    (lambda stream, text: whole(answer_of(stream, b"#0123456789#")), {"plain": "wrong", "stream": "wrong"}),
    (lambda stream, text: whole(answer_of(stream, text[:-1])), {"plain": "wrong", "stream": "wrong"}),
    (lambda stream, text: whole(answer_of(stream, text, end=b"")), {"plain": "ok", "stream": "silent"}),
    (lambda stream, text: whole(answer_of(stream, text)[:-5]), {"plain": "silent", "stream": "silent"}),
    (lambda stream, text: whole(answer_of(stream, text))[:-5], {"plain": "cut", "stream": "cut"}),
    (lambda stream, text: whole(answer_of(stream, text, end=b'data: {"error":{}}\n\n')), {"plain": "ok", "stream": "cut"}),
    (lambda stream, text: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nn0123", {"plain": "cut", "stream": "cut"}),
    (lambda stream, text: b"", {"plain": "silent", "stream": "silent"}),
    (lambda stream, text: b"HTTP/1.1 502 No\r\ncontent-length: 2\r\n\r\n{}", {"plain": "status", "stream": "status"}),
], ids=["good", "of another", "too short", "without its end", "no json", "cut", "error event", "chunk cut", "nothing", "status"])
def test_a_client_judges_what_it_gets(start, reply, ends):
    assert seen_by_client(start, reply) == ends
