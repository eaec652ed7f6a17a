"""The log beside the traffic: whatever becomes of stdout, requests go on."""
import json
import os
import signal
import subprocess

import httpx

from conftest import SLOWNESS, SMG, Engine, answers, free_port, wait_until


def test_a_log_that_nobody_reads_holds_up_no_request(start):
    engine, port = start(Engine), free_port()
    url = f"http://127.0.0.1:{port}"
    unread, stdout = os.pipe()
    gateway = subprocess.Popen([SMG, "launch", "--host", "127.0.0.1", "--port", str(port), "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()),
                                "--shutdown-grace-period-secs", "1", "--worker-urls", engine.url], stdout=stdout, stderr=subprocess.DEVNULL)
    os.close(stdout)
    try:
        wait_until(lambda: answers(url + "/health") and httpx.get(url + "/readiness").status_code == 200, what="gateway")
        # An access line each: many times what the pipe takes.
        done = subprocess.run([SMG, "bench", url, "-n", "3000", "-c", "8", "--json", "-"], capture_output=True, text=True, timeout=30 * SLOWNESS)
        report = json.loads(done.stdout)
        assert report["requests"]["ok"] == 3000
        assert report["latency_ms"]["max"] < 2000 * SLOWNESS
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(10 * SLOWNESS) == 0  # it waits 2 s for the reader at most
        os.set_blocking(unread, False)
        assert len(os.read(unread, 1 << 20)) > 32 << 10  # the pipe was full, or the test shows nothing
    finally:
        gateway.kill()
        gateway.wait()
        os.close(unread)
