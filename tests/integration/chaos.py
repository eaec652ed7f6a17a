"""What the chaos test is made of: clients that judge every reply, a monkey that hurts engines, and the book in which both write.

Engines run with --echo, and every request's text is made of a nonce of its own: whatever comes back of another request is found, byte for byte, also in replies that are cut.
"""
import asyncio
import collections
import contextlib
import dataclasses
import json
import random
import re
import signal
import threading
import time

import httpx

from conftest import SLOWNESS, Engine

NONCE = re.compile(rb"#[0-9a-f]{10}#")  # random ids have no such marks
WORDS = 8  # of 13 bytes: an answer has 26 tokens
TIMEOUT_S = 2 * SLOWNESS  # --request-timeout-secs of the gateway: to a reply's head, and between its parts
SETTLE_S = 3 * SLOWNESS  # after its healing an engine counts as well again when it was fine for so long, and the gateway offers it requests
HANG_S = 30 * SLOWNESS  # far more than all attempts of a request can take


@dataclasses.dataclass
class Outcome:
    """How one request ended, as its client saw it."""
    kind: str  # "plain", "stream", or "leaver": goes away before the end
    end: str  # "ok", "status" (another one than 200), "cut" (a body that is seen to be incomplete), "left", or what must never be: "hang", "silent", "wrong"
    began: float
    ended: float
    status: int = 0
    detail: str = ""


class Cut(Exception):
    """The connection ended inside a reply."""


class Client:
    """One caller after another over kept connections, as fast as replies come."""

    def __init__(self, port, number, book):
        self.port, self.book, self.random = port, book, random.Random(number)
        self.reader = self.writer = None
        self.got = b""

    async def run(self, ends):
        while not ends.is_set():
            kind = self.random.choices(["plain", "stream", "leaver"], [4, 5, 2])[0]
            began = time.monotonic()
            try:
                end, status, detail = await asyncio.wait_for(self.request(kind), HANG_S)
            except asyncio.TimeoutError:
                end, status, detail = "hang", 0, repr(self.got[-200:])
            if end != "ok" and not (end == "status" and self.reader):
                self.close()
            self.book.append(Outcome(kind, end, began, time.monotonic(), status, detail))
        self.close()

    def close(self):
        if self.writer:
            if self.random.random() < 0.5:
                self.writer.transport.abort()
            else:
                self.writer.close()
        self.reader = self.writer = None

    async def request(self, kind):
        nonce = f"#{self.random.getrandbits(40):010x}#"
        text = " ".join([nonce] * WORDS)
        stream = kind == "stream" or (kind == "leaver" and self.random.random() < 0.7)
        body = json.dumps({"model": "mock-model", "messages": [{"role": "user", "content": text}], "stream": stream}).encode()
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.got = b""
        self.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        if kind == "leaver":
            return await self.leave(nonce)
        status = 0
        try:
            status, fields = await self.head()
            reply = await self.body(fields)
        except (Cut, ConnectionError) as e:
            if not status:
                return "silent", 0, f"no reply: {e!r}"
            return self.foreign(nonce) or ("cut", status, "")
        if b"connection: close" in fields:
            self.close()
        if status != 200:
            return self.foreign(nonce) or ("status", status, reply[:200].decode(errors="replace"))
        return self.foreign(nonce) or (judge_stream if stream else judge_plain)(reply, text)

    async def leave(self, nonce):
        with contextlib.suppress(asyncio.TimeoutError, Cut, ConnectionError):
            async with asyncio.timeout(self.random.uniform(0, 0.2)):
                while True:
                    await self.more()
        return self.foreign(nonce) or ("left", 0, "")

    def foreign(self, nonce):
        strange = set(NONCE.findall(self.got)) - {nonce.encode()}
        return ("wrong", 0, f"asked with {nonce}, got {strange}") if strange else None

    async def more(self):
        part = await self.reader.read(65536)
        if not part:
            raise Cut
        self.got += part

    async def head(self):
        while b"\r\n\r\n" not in self.got:
            await self.more()
        head = self.got.split(b"\r\n\r\n", 1)[0].lower()
        return int(head.split(b" ", 2)[1]), head

    async def body(self, fields):
        """The whole body, its framing taken seriously. Raises Cut when it does not come whole."""
        at = self.got.index(b"\r\n\r\n") + 4
        length = re.search(rb"content-length: *(\d+)", fields)
        if length:
            while len(self.got) < at + int(length.group(1)):
                await self.more()
            return self.got[at:]
        whole = b""
        while True:
            while b"\r\n" not in self.got[at:]:
                await self.more()
            line_end = self.got.index(b"\r\n", at)
            n = int(self.got[at:line_end], 16)
            while len(self.got) < line_end + 2 + n + 2:
                await self.more()
            if n == 0:
                return whole
            whole += self.got[line_end + 2 : line_end + 2 + n]
            at = line_end + 2 + n + 2


def judge_plain(reply, text):
    try:
        content = json.loads(reply)["choices"][0]["message"]["content"]
    except (ValueError, LookupError):
        return "silent", 200, f"a reply that is whole by its framing, and no answer: {reply[:300]}"
    return ("ok", 200, "") if content == text else ("wrong", 200, f"{content!r} in place of {text!r}")


def judge_stream(reply, text):
    events = [e.removeprefix(b"data: ") for e in reply.split(b"\n\n") if e]
    if any(e.startswith(b'{"error"') for e in events):
        return "cut", 200, "error event"
    if not events or events[-1] != b"[DONE]":
        return "silent", 200, f"a stream that ends in peace without its end: {reply[-300:]}"
    content = "".join(json.loads(e)["choices"][0]["delta"].get("content") or "" for e in events[:-1] if json.loads(e)["choices"])
    return ("ok", 200, "") if content == text else ("wrong", 200, f"{content!r} in place of {text!r}")


@dataclasses.dataclass
class Patient:
    """An engine that lives through it."""
    engine: Engine
    hurt: bool = False
    healed: float = 0.0  # when its last trouble ended


class Monkey(threading.Thread):
    """Hurts engines at random and heals them again, so that at any time at least two of them are well.

    Well: without trouble for SETTLE_S, and a candidate in the gateway's eyes. At most four of six engines are not well, so a request with five attempts, none of them twice with the same engine, meets one
    that is: engines that get well during a request of less than SETTLE_S were without trouble all the time, so no more than four can fail it.
    """

    FLAGS = ["--echo", "--tokens-per-second", "200", "--flush-each"]

    def __init__(self, start, gateway, engines, seed):
        super().__init__(daemon=True)
        self.start_process, self.gateway, self.random = start, gateway, random.Random(seed)
        self.patients = [Patient(e) for e in engines]
        self.ends = threading.Event()
        self.counts = collections.Counter()
        self.deck = []
        self.waits = []  # (from, to) of stalls and freezes: times in which a request may have had to wait for nothing
        self.error = None

    @classmethod
    def engine(cls, start, *flags, port=None):
        return start(Engine, *cls.FLAGS, *flags, port=port)

    def run(self):
        troubles = []
        try:
            while not self.ends.wait(self.random.uniform(0.1, 0.4)):
                troubles = [t for t in troubles if t.is_alive()]
                if len(self.well()) > 2:
                    patient = self.random.choice([p for p in self.patients if not p.hurt])
                    patient.hurt = True
                    harm = self.next_harm()
                    self.counts[harm.__name__] += 1
                    troubles.append(threading.Thread(target=self.trouble, args=(patient, harm), daemon=True))
                    troubles[-1].start()
        except Exception as e:  # the test tells
            self.error = e
        for t in troubles:
            t.join(60)

    def next_harm(self):
        """Dealt like cards: every harm comes, in another order each round."""
        if not self.deck:
            self.deck = [self.kill, self.slow_start, self.stall, self.freeze, self.reset, self.cut, self.burst, self.burst]
            self.random.shuffle(self.deck)
        return self.deck.pop()

    def well(self):
        states = {w["url"]: w["status"] for w in httpx.get(self.gateway.url + "/workers").json()["workers"]}
        open_circuits = {s for s, v in self.gateway.metrics().items() if s.startswith("smg_worker_cb_state{") and v}
        return [p for p in self.patients if not p.hurt and time.monotonic() > p.healed + SETTLE_S and states.get(p.engine.url) == "ready"
                and not any(p.engine.url in s for s in open_circuits)]

    def trouble(self, patient, harm):
        try:
            harm(patient)
        except Exception as e:
            self.error = e
        patient.healed = time.monotonic()
        patient.hurt = False

    def pause(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def kill(self, patient, *flags):
        patient.engine.kill()
        patient.engine.popen.wait()
        self.pause(0.2, 1)
        patient.engine = self.engine(self.start_process, *flags, port=patient.engine.port)

    def slow_start(self, patient):
        """/health is not ready for a while; then, as with others, the gateway has to notice."""
        self.kill(patient, "--startup-ms", "700")
        time.sleep(0.7)

    def freeze(self, patient):
        """The whole process stands still, connections and all."""
        began = time.monotonic()
        patient.engine.kill(signal.SIGSTOP)
        self.pause(0.3, 1.5)
        patient.engine.kill(signal.SIGCONT)
        self.waits.append((began, time.monotonic() + TIMEOUT_S))

    def with_faults(self, patient, **faults):
        patient.engine.faults(**faults)
        self.pause(0.5, 1.5)
        patient.engine.faults(stall_after=-1, cut_after=-1, fail_rate=0)

    def stall(self, patient):
        began = time.monotonic()
        self.with_faults(patient, stall_after=self.random.choice([0, 3]))
        self.waits.append((began, time.monotonic() + TIMEOUT_S))

    def reset(self, patient):
        """Connections end before a reply begins."""
        self.with_faults(patient, cut_after=0)

    def cut(self, patient):
        self.with_faults(patient, cut_after=self.random.randrange(1, 20))

    def burst(self, patient):
        self.with_faults(patient, fail_rate=self.random.choice([0.5, 1]), fail_status=503)
