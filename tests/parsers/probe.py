"""parser_probe for Python: ask() answers what oracles.py answers, or the code of a failure."""

import json
import struct
import subprocess
import threading


class Probe:
    def __init__(self, build):
        self.process = subprocess.Popen([str(build / "tests/parsers/parser_probe")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait():
            raise RuntimeError(f"the probe ended with {self.process.returncode}")

    def number(self):
        b = self.process.stdout.read(4)
        if len(b) < 4:
            raise RuntimeError(f"the probe ended with {self.process.wait(10)}")
        return struct.unpack("<i", b)[0]

    def string(self):
        n = self.number()
        return self.process.stdout.read(n).decode() if n else ""

    def answer(self, thoughts):
        code = self.number()
        if code < 0:
            return code
        text = self.string()
        return (text, self.string()) if thoughts else (text, [(self.string(), self.string()) for _ in range(self.number())])

    def ask(self, name, texts, tools, thoughts=False):
        def frame(*parts):
            return b"".join(struct.pack("<I", len(p)) + p for p in parts)

        tools = b"" if thoughts else json.dumps(tools).encode()
        data = b"".join((b"R" if thoughts else b"T") + frame(name.encode(), tools, t.encode()) for t in texts) + b"F"

        def write():
            self.process.stdin.write(data)
            self.process.stdin.flush()

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        answers = [self.answer(thoughts) for _ in texts]
        writer.join()
        return answers
