"""Others who read the same replies: SMG itself, by its two utilities over loopback."""

import concurrent.futures
import http.client
import json
import socket
import subprocess
import sys
import threading
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Smg:
    """The `smg` package of PYTHON as a gateway without workers. ask() answers (text, [(name, arguments)]) or (text, thoughts), None for a reply that it refused."""

    THREADS = 3

    def __init__(self, python=sys.executable):
        self.port = free_port()
        command = [python, "-m", "smg.launch_router", "--host", "127.0.0.1", "--port", str(self.port), "--prometheus-port", str(free_port()), "--log-level", "error", "--rate-limit-tokens-per-second", "1000000", "--max-concurrent-requests", "-1"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.local = threading.local()
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.close()
        raise RuntimeError(f"{python} -m smg.launch_router does not start: is smg installed there?")

    def close(self):
        self.process.kill()
        self.process.wait()

    def post(self, path, body):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self.local.connection.connect()
            self.local.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local.connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = self.local.connection.getresponse()
        data = answer.read()
        if answer.status not in (200, 400):
            raise RuntimeError(f"{path}: {answer.status} {data[:200]!r}")
        return json.loads(data) if answer.status == 200 else None

    def calls(self, name, text, tools):
        a = self.post("/parse/function_call", {"text": text, "tool_call_parser": name, "tools": tools})
        return a and (a["remaining_text"], [(c["function"]["name"], c["function"]["arguments"]) for c in a["tool_calls"]])

    def thoughts(self, name, text):
        a = self.post("/parse/reasoning", {"text": text, "reasoning_parser": name})
        return a and (a["normal_text"], a["reasoning_text"])

    def ask(self, name, texts, tools, thoughts=False):
        with concurrent.futures.ThreadPoolExecutor(self.THREADS) as pool:
            return list(pool.map((lambda t: self.thoughts(name, t)) if thoughts else (lambda t: self.calls(name, t, tools)), texts, chunksize=1))
