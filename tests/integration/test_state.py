"""--state-dir: what was acknowledged over the API survives kill -9, damage of the file and a full disk (issue 3, decision 11).

The workers here are `external` ones without health checks: they register without an engine, so that the only thing under test is what is remembered of them.
"""
import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import re
import resource
import stat
import subprocess
import time

import pytest

from conftest import SLOWNESS, SMG, Engine, Gateway, free_port, wait_until

SPEC = {"runtime": "external", "health": {"disable_health_check": True}}


def spec(name, **members):
    return {"url": f"http://127.0.0.1:9/{name}", **SPEC, **members}


def add(gateway, name, **members):
    answer = gateway.client.post("/workers", json=spec(name, **members))
    assert answer.status_code == 202, answer.text
    return answer.json()["worker_id"]


def worker(gateway, worker_id):
    answer = gateway.client.get(f"/workers/{worker_id}")
    return answer.json() if answer.status_code == 200 else None


def listed(gateway, n):
    return wait_until(lambda: (ws := gateway.client.get("/workers").json()["workers"]) and len(ws) == n and ws, what=f"{n} listed workers")


def killed(gateway):
    gateway.kill()
    gateway.wait()
    gateway.client.close()


def refused_start(*flags):
    done = subprocess.run([SMG, "launch", "--host", "127.0.0.1", "--port", str(free_port()), "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()), *map(str, flags)],
                          capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.fixture
def gateway_on(start, tmp_path):
    """gateway_on(...): a gateway on the test's state directory."""
    return lambda *flags, **more: start(Gateway, "--state-dir", tmp_path / "state", *flags, **more)


def test_workers_of_the_api_come_back_with_their_ids_and_all_that_was_said(gateway_on, tmp_path):
    g = gateway_on()
    a = add(g, "a", labels={"tier": "gold"}, priority=70, cost=2.5, api_key="secret-of-a", models=[{"id": "m", "aliases": ["n"]}])
    b = add(g, "b")
    c = add(g, "c")
    listed(g, 3)
    assert g.client.patch(f"/workers/{b}", json={"labels": {"zone": "x"}, "priority": 10}).status_code == 202
    assert g.client.delete(f"/workers/{c}").status_code == 202
    wait_until(lambda: worker(g, c) is None, what="the end of c")
    before = {w["id"]: w for w in listed(g, 2)}
    killed(g)

    g = gateway_on()
    after = {w["id"]: w for w in listed(g, 2)}
    assert after == before
    assert set(after) == {a, b} and after[b]["labels"] == {"zone": "x"} and after[b]["priority"] == 10
    wait_until(lambda: "workers restored workers=2" in g.output(), what="the line of the restored workers")
    assert g.stop() == 0  # an orderly end keeps them as well
    assert {w["id"]: w for w in listed(gateway_on(), 2)} == before


def test_the_key_of_a_worker_comes_back_and_lies_in_a_file_of_its_owner_only(gateway_on, start, tmp_path):
    engine = start(Engine)
    g = gateway_on()
    answer = g.client.post("/workers", json={"url": engine.url, "api_key": "secret-of-a"})
    assert answer.status_code == 202
    g.ready(1)
    killed(g)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for file in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert b"secret-of-a" in (tmp_path / "state" / "journal").read_bytes()  # in clear: documented
    g = gateway_on().ready(1)
    assert g.chat().status_code == 200
    assert "secret-of-a" not in g.output()


def test_without_state_dir_workers_live_in_memory(start):
    g = start(Gateway)
    add(g, "a")
    listed(g, 1)
    killed(g)
    assert start(Gateway).client.get("/workers").json()["total"] == 0


def test_a_url_of_the_command_line_that_was_patched_keeps_the_patch_and_its_id(gateway_on, start):
    engine = start(Engine)
    g = gateway_on(workers=[engine]).ready(1)
    worker_id = listed(g, 1)[0]["id"]
    assert g.client.patch(f"/workers/{worker_id}", json={"priority": 7}).status_code == 202
    killed(g)
    g = gateway_on(workers=[engine]).ready(1)
    back = listed(g, 1)[0]
    assert (back["id"], back["priority"]) == (worker_id, 7)
    assert g.client.delete(f"/workers/{worker_id}").status_code == 202
    wait_until(lambda: g.client.get("/workers").json()["total"] == 0, what="the removal")
    killed(g)
    assert listed(gateway_on(workers=[engine]).ready(1), 1)[0]["priority"] == 50  # the flag brings it back as the flag says


def test_two_gateways_on_one_directory_the_second_is_refused(gateway_on, tmp_path):
    g = gateway_on()
    text = refused_start("--state-dir", tmp_path / "state")
    assert "in use by another gateway" in text and str(g.popen.pid) in text and "--state-dir" in text


@pytest.mark.parametrize("path, words", [("/proc/nowhere", "cannot make it"), ("/proc/self/fdinfo", "cannot"), ("/dev/null", "cannot")])
def test_a_directory_that_cannot_be_used_stops_the_start_with_a_clear_line(path, words):
    text = refused_start("--state-dir", path)
    assert f'state directory "{path}"' in text and words in text


def test_another_version_is_refused_and_left_alone(gateway_on, tmp_path):
    killed(gateway_on())
    import struct

    file = tmp_path / "state" / "journal"
    head = bytearray(file.read_bytes()[:32])
    head[8:12] = struct.pack("<I", 9)
    head[28:32] = struct.pack("<I", crc32c(head[:28]))
    file.write_bytes(bytes(head) * 2)
    text = refused_start("--state-dir", tmp_path / "state")
    assert "format 9" in text and file.read_bytes() == bytes(head) * 2


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# ---- kill -9 in a loop ----


class Writer:
    """One client with workers of its own. `known`: what was acknowledged; `doubt`: the change whose answer never came."""

    def __init__(self, number, seed):
        self.number, self.random, self.next = number, random.Random(seed), 0
        self.known = {}  # id -> value of label v
        self.gone = []  # ids whose deletion was acknowledged
        self.urls = {}
        self.doubt = None  # (kind, id or None, url name, value)
        self.acknowledged = 0

    def value(self):
        self.next += 1
        return f"{self.number}-{self.next}-" + "x" * self.random.choice([0, 10, 3000])

    def one_change(self, connection):
        value, kind = self.value(), self.random.choice(["add", "patch", "patch", "put", "delete"])
        if not self.known or (kind == "delete" and len(self.known) < 3):
            kind = "add"
        worker_id = None if kind == "add" else self.random.choice(list(self.known))
        name = f"w{self.number}-{self.next}" if kind == "add" else self.urls[worker_id]
        self.doubt = (kind, worker_id, name, value)
        method, path, body = {
            "add": ("POST", "/workers", spec(name, labels={"v": value})),
            "patch": ("PATCH", f"/workers/{worker_id}", {"labels": {"v": value}}),
            "put": ("PUT", f"/workers/{worker_id}", spec(name, labels={"v": value})),
            "delete": ("DELETE", f"/workers/{worker_id}", None),
        }[kind]
        connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 202, f"{kind} {worker_id}: {answer.status} {text}"
        self.settle(json.loads(text)["worker_id"] if kind == "add" else worker_id)
        self.acknowledged += 1

    def settle(self, worker_id):
        kind, _, name, value = self.doubt
        self.doubt = None
        if kind == "delete":
            self.gone.append(worker_id)
            del self.known[worker_id]
        else:
            self.known[worker_id], self.urls[worker_id] = value, name

    def run(self, port, stop_at):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30 * SLOWNESS)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while time.monotonic() < stop_at:
                self.one_change(connection)

    def check(self, found):
        """FOUND: all workers, id -> (url name, value). Each is as it was acknowledged, or as the change in doubt would have made it."""
        if self.doubt:
            kind, worker_id, name, value = self.doubt
            if kind == "add":
                worker_id = next((i for i, (n, _) in found.items() if n == name), None)
                done = worker_id is not None
            elif kind == "delete":
                done = worker_id not in found
            else:
                done = found[worker_id][1] == value
            if done:
                self.settle(worker_id)
            self.doubt = None
        for worker_id, value in self.known.items():
            assert worker_id in found, f"acknowledged worker {worker_id} is lost"
            assert found[worker_id] == (self.urls[worker_id], value)
        for worker_id in self.gone:
            assert worker_id not in found, f"deleted worker {worker_id} came back"


def found_in(gateway):
    """All workers that came back, id -> (url name, value), and how many."""
    said = wait_until(lambda: re.search(r"workers restored workers=(\d+) refused=0", gateway.output()), what="the line of the restored workers")
    restored = int(said.group(1))
    workers = listed(gateway, restored) if restored else []
    return {w["id"]: (w["url"].rsplit("/", 1)[1], w["labels"]["v"]) for w in workers}, restored


def test_nothing_acknowledged_is_lost_by_kill_9_in_a_loop(gateway_on):
    kills = int(os.environ.get("SMG_KILLS", 12))
    seed = int(os.environ.get("SMG_SEED", 1))
    rng = random.Random(seed)
    writers = [Writer(i, seed * 100 + i) for i in range(6)]
    for _ in range(kills):
        g = gateway_on("--log-level", "info")
        if any(w.known or w.doubt for w in writers):
            found, n = found_in(g)
            for w in writers:
                w.check(found)
            assert n == sum(len(w.known) for w in writers), "a worker that nobody added"
        with concurrent.futures.ThreadPoolExecutor(len(writers)) as threads:
            running = [threads.submit(w.run, g.port, time.monotonic() + 20 * SLOWNESS) for w in writers]
            time.sleep(rng.uniform(0.02, 0.5))  # not waiting for anything: the moment of the kill is what is tried
            killed(g)
            for r in running:
                r.result()
    assert sum(w.acknowledged for w in writers) > 10 * kills


# ---- damage ----


@pytest.fixture
def a_state(gateway_on, tmp_path):
    """A state of eight workers, one commit each; their ids in order."""
    g = gateway_on()
    ids = [add(g, f"w{i}", labels={"v": str(i)}) for i in range(8)]
    listed(g, 8)
    killed(g)
    return ids, tmp_path / "state" / "journal"


def test_a_truncated_tail_is_cut_reported_and_kept(gateway_on, a_state):
    ids, file = a_state
    whole = file.read_bytes()
    for cut in (1, 30, random.Random(3).randrange(31, 300)):
        file.write_bytes(whole[:-cut])
        g = gateway_on()
        workers = listed(g, 8 - 1)
        assert [w["id"] for w in workers] == ids[:-1]
        wait_until(lambda: "was cut off" in g.output(), what="the report")
        assert "offset=" in g.output() and "kept_as=" in g.output()
        assert list(file.parent.glob("journal.corrupt.*"))
        killed(g)


def test_flipped_bits_anywhere_never_stop_the_start_and_cost_one_commit_each(gateway_on, a_state):
    ids, file = a_state
    whole = file.read_bytes()
    rng = random.Random(5)
    for _ in range(6):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        g = gateway_on()
        wait_until(lambda: g.client.get("/workers").json()["total"] >= 7, what="the workers that are whole")
        assert set(w["id"] for w in g.client.get("/workers").json()["workers"]) <= set(ids)
        wait_until(lambda: "smg::state: the state file" in g.output(), what="the report")
        late = add(g, "late")
        killed(g)
        g = gateway_on()
        wait_until(lambda: worker(g, late), what="what was added after the damage")
        assert "damage" not in g.output()
        killed(g)


def test_a_file_of_garbage_is_set_aside(gateway_on, a_state):
    _, file = a_state
    garbage = random.Random(7).randbytes(5000)
    file.write_bytes(garbage)
    g = gateway_on()
    wait_until(lambda: "ERROR smg::state" in g.output(), what="the report")
    assert (file.parent / "journal.corrupt.1").read_bytes() == garbage
    add(g, "a")


# ---- a full disk ----


def test_a_full_disk_refuses_changes_and_takes_them_again_when_there_is_room(gateway_on, tmp_path):
    g = gateway_on()
    a = add(g, "a", labels={"v": "1"})
    listed(g, 1)
    soft, hard = resource.prlimit(g.popen.pid, resource.RLIMIT_FSIZE)
    full = (tmp_path / "state" / "journal").stat().st_size + 20  # the write is short, then refused
    resource.prlimit(g.popen.pid, resource.RLIMIT_FSIZE, (full, hard))
    for answer in (g.client.post("/workers", json=spec("b")), g.client.patch(f"/workers/{a}", json={"labels": {"v": "2"}}), g.client.delete(f"/workers/{a}")):
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "STATE_NOT_STORED" and "state directory" in answer.json()["error"]
        assert "retry-after" in answer.headers
    metrics = g.metrics()
    assert (metrics["smg_state_failures_total"], metrics["smg_state_entries"]) == (3, 1) and metrics['smg_state_commit_us{quantile="0.99"}'] > 0
    assert worker(g, a)["labels"] == {"v": "1"}
    assert [w["id"] for w in g.client.get("/workers").json()["workers"]] == [a]
    resource.prlimit(g.popen.pid, resource.RLIMIT_FSIZE, (soft, hard))
    b = add(g, "b")
    assert g.client.patch(f"/workers/{a}", json={"labels": {"v": "3"}}).status_code == 202
    listed(g, 2)
    killed(g)
    g = gateway_on()
    assert {w["id"]: w.get("labels") for w in listed(g, 2)} == {a: {"v": "3"}, b: None}


# ---- many ----


@pytest.mark.native
def test_4000_workers_are_added_in_30_s_and_are_back_at_the_next_start(gateway_on, tmp_path):
    g = gateway_on("--log-level", "warn")

    def posts(part):
        connection = http.client.HTTPConnection("127.0.0.1", g.port, timeout=60)
        for i in part:
            status = 503
            while status == 503:  # the job queue is full: Retry-After
                connection.request("POST", "/workers", json.dumps(spec(f"w{i}")), {"content-type": "application/json"})
                answer = connection.getresponse()
                status, text = answer.status, answer.read()
            assert status == 202, text
        connection.close()

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(posts, [range(i, 4000, 8) for i in range(8)]))
    listed(g, 4000)
    assert time.monotonic() - began < 30
    ids = {w["id"] for w in g.client.get("/workers").json()["workers"]}
    killed(g)
    g = gateway_on()
    assert {w["id"] for w in listed(g, 4000)} == ids
