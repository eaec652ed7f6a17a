"""The tokenizer library against Hugging Face's tokenizers and OpenAI's tiktoken, id for id: differential.py --build DIR [--night] [--share X] [--seconds N] [--only NAME,...]

For each tokenizer in .tokenizers (tools/fetch-tokenizers): encode with and without special tokens, with and without the cache of pieces; decode with and without special tokens; decode one
id at a time. tokenizer.json is judged by `tokenizers`, ranks by `tiktoken`. A text on which they differ is cut down to the smallest that still differs, and printed.
The oracle's padding is off (we pad nothing); bytes that are not UTF-8 reach it as Python's decode(errors="replace") gives them.
"""

import argparse
import array
import base64
import concurrent.futures
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import corpus  # noqa: E402

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
SPECIALS, COLD, SKIP = 1, 2, 1


class Probe:
    """tokenizer_probe with a folder: ask() answers a list of questions."""

    def __init__(self, build, folder, *options):
        self.process = subprocess.Popen([str(build / "tests/tokenizer/tokenizer_probe"), str(folder), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def close(self):
        """What it said to stderr; raises when it failed."""
        self.process.stdin.close()
        said = self.process.stderr.read().decode(errors="replace")
        self.process.stdout.close()
        if self.process.wait():
            raise RuntimeError(f"the probe ended with {self.process.returncode}: {said}")
        return said

    def _u32(self):
        b = self.process.stdout.read(4)
        if len(b) < 4:
            self.process.wait(10)
            raise RuntimeError(f"the probe ended with {self.process.returncode}: {self.process.stderr.read().decode(errors='replace')}")
        return int.from_bytes(b, "little")

    def _bytes(self):
        n = self._u32()
        return self.process.stdout.read(n) if n else b""

    def ask(self, questions):
        """[(kind, flags, payload)] -> for 'E' a list of ids, for 'D' (text, streamed, broken); a failure is its message as a str."""
        data = b"".join(kind + bytes([flags]) + struct.pack("<I", len(p)) + p for kind, flags, p in questions) + b"F\0\0\0\0\0"
        writer = threading.Thread(target=self._write, args=(data,), daemon=True)
        writer.start()
        answers = []
        for kind, _, _ in questions:
            code = self._u32()
            if code:
                answers.append(f"{code - (1 << 32)}: {self._bytes().decode(errors='replace')}")
            elif kind == b"E":
                n = self._u32()
                ids = array.array("I")
                ids.frombytes(self.process.stdout.read(4 * n) if n else b"")
                answers.append(ids.tolist())
            else:
                answers.append((self._bytes(), self._bytes(), self._u32()))
        writer.join()
        return answers

    def _write(self, data):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the reader tells


class HuggingFace:
    def __init__(self, folder):
        import tokenizers

        self.t = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.t.no_padding()
        self.size = self.t.get_vocab_size(True)
        self.added = [t.content for t in self.t.get_added_tokens_decoder().values()]
        model = json.loads((folder / "tokenizer.json").read_bytes())["model"]
        self.byte_fallback = bool(model.get("byte_fallback"))

    def encode(self, texts, specials):
        return [e.ids for e in self.t.encode_batch_fast(texts, add_special_tokens=specials)]

    def decode(self, ids, skip):
        return [text.encode() for text in self.t.decode_batch(ids, skip_special_tokens=skip)]


LETTERS = r"[^\r\n\p{L}\p{N}]?"
TAIL = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
HAN = r"&&[^\p{Han}]"
PATTERNS = {
    "cl100k": CONTRACTIONS + "|" + LETTERS + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL,
    "qwen": CONTRACTIONS + "|" + LETTERS + r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL,
    "o200k": f"{LETTERS}[{UPPER}]*[{LOWER}]+{CONTRACTIONS}?|{LETTERS}[{UPPER}]+[{LOWER}]*{CONTRACTIONS}?" + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + TAIL,
    "kimi": r"[\p{Han}]+" + f"|{LETTERS}[{UPPER}{HAN}]*[{LOWER}{HAN}]+{CONTRACTIONS}?|{LETTERS}[{UPPER}{HAN}]+[{LOWER}{HAN}]*{CONTRACTIONS}?" + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL,
}


class Tiktoken:
    """The gateway's rules for rank files: spec tokenizers 4.2."""

    byte_fallback = False

    def __init__(self, folder):
        import tiktoken

        file = next(iter(sorted(folder.glob("tiktoken.model")) + sorted(folder.glob("*.tiktoken"))))
        ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in file.read_bytes().splitlines() if len(line.split()) == 2}
        config = json.loads((folder / "tokenizer_config.json").read_bytes()) if (folder / "tokenizer_config.json").exists() else {}
        added = {v["content"]: int(k) for k, v in config.get("added_tokens_decoder", {}).items()}
        kimi = "tokenization_kimi" in json.dumps(config)
        if kimi:
            for i in range(len(ranks), len(ranks) + 256):
                if i not in added.values():
                    added[f"<|reserved_token_{i}|>"] = i
        pattern = "kimi" if kimi else "o200k" if len(ranks) >= 190_000 else "cl100k"
        self.t = tiktoken.Encoding(folder.name, pat_str=PATTERNS[pattern], mergeable_ranks=ranks, special_tokens=added)
        self.size = max([*ranks.values(), *added.values()]) + 1
        self.known = sorted([*ranks.values(), *added.values()])
        self.added = list(added)
        # Kimi's reserved tokens are special too.
        self.special = {i for i in added.values() if config["added_tokens_decoder"].get(str(i), {"special": True}).get("special")}

    def encode(self, texts, specials):
        return [self.one(text) for text in texts]

    def one(self, text):
        """None: its regex engine gave up (a run of a megabyte is more than its stack holds)."""
        try:
            return self.t.encode(text, allowed_special="all")
        except ValueError as e:
            if "Max stack size exceeded" not in str(e):
                raise
            return None

    def decode(self, ids, skip):
        return [self.t.decode_bytes([i for i in row if not (skip and i in self.special)]).decode("utf-8", "replace").encode() for row in ids]


def oracle(folder):
    return (HuggingFace if (folder / "tokenizer.json").exists() else Tiktoken)(folder)


def smallest(text, differs):
    """The smallest text that still DIFFERS, found by leaving parts out; at most some hundred tries."""
    tries, size = 300, max(1, len(text) // 2)
    while size:
        at = 0
        while at < len(text) and tries:
            shorter = text[:at] + text[at + size :]
            tries -= 1
            if differs(shorter):
                text = shorter
            else:
                at += size
        size = size // 2 if tries else 0
    return text


class Differential:
    def __init__(self, build, folder, options=()):
        self.probe = Probe(build, folder, *options)
        self.oracle = oracle(folder)
        self.name = folder.name
        self.failures = []
        self.texts = self.bytes = self.unanswered = 0

    def fail(self, what, kind, text, theirs, ours):
        self.failures.append(f"{self.name}: {what}: {kind}: {text!r}\n    expected {theirs}\n    got      {ours}")

    def theirs(self, text, specials):
        return self.oracle.encode([text.decode("utf-8", "replace")], specials)[0]

    def encode(self, texts, specials, cold=True):
        """Our ids of all texts; what differs is a failure."""
        flags = (SPECIALS if specials else 0) | (COLD if cold else 0)
        ours = self.probe.ask([(b"E", flags, text) for _, text in texts])
        theirs = self.oracle.encode([text.decode("utf-8", "replace") for _, text in texts], specials)
        self.texts += len(texts)
        self.bytes += sum(len(text) for _, text in texts)
        self.unanswered += theirs.count(None)
        for (kind, text), mine, right in zip(texts, ours, theirs):
            if right is not None and mine != right and len(self.failures) < 5:
                small = smallest(text, lambda t: self.probe.ask([(b"E", flags, t)])[0] != self.theirs(t, specials)) if not isinstance(mine, str) or "-1000" not in mine else text[:200]
                self.fail("encode with specials" if specials else "encode", kind, small, self.theirs(small, specials), self.probe.ask([(b"E", flags, small)])[0])
        return theirs

    def decode(self, rows, skip):
        rows = [r for r in rows if r]
        ours = self.probe.ask([(b"D", SKIP if skip else 0, array.array("I", r).tobytes()) for r in rows])
        theirs = self.oracle.decode(rows, skip)
        for row, mine, right in zip(rows, ours, theirs):
            what = self.wrong(mine, right)
            if what and len(self.failures) < 5:

                def differs(r):
                    return bool(r) and self.wrong(self.probe.ask([(b"D", SKIP if skip else 0, array.array("I", r).tobytes())])[0], self.oracle.decode([r], skip)[0])

                small = smallest(row, differs)
                self.fail(("decode and skip: " if skip else "decode: ") + what, "ids", small, self.oracle.decode([small], skip)[0], self.probe.ask([(b"D", SKIP if skip else 0, array.array("I", small).tobytes())])[0])

    def wrong(self, mine, right):
        if isinstance(mine, str):
            return "an error"
        text, streamed, broken = mine
        if text != right:
            return "the text"
        # A run of byte tokens that turns invalid after characters of it went out cannot be taken back: detokenizer.c.
        if streamed != right and not (self.oracle.byte_fallback and "\ufffd".encode() in right):
            return "the stream"
        return "broken characters in the stream" if broken else ""

    def random_ids(self, count, seed):
        rng = random.Random(f"{seed} {self.name}")
        known = getattr(self.oracle, "known", None) or range(self.oracle.size)
        low = [i for i in range(300) if not hasattr(self.oracle, "known") or i < 256]
        for _ in range(count):
            pool = rng.choice([known, low])
            yield [pool[rng.randrange(len(pool))] if rng.random() < 0.9 else known[rng.randrange(len(known))] for _ in range(rng.randint(1, 30))]

    def some(self, texts, share, seed):
        """A share of them, other ones for each tokenizer, with one of those that have no end."""
        rng = random.Random(f"{seed} {self.name} some")
        long = [t for t in texts if t[0].startswith("long")]
        short = [t for t in texts if not t[0].startswith("long")]
        return [rng.choice(long), *rng.sample(short, int(len(short) * share))]

    def run(self, night, seed, seconds=None, share=1):
        until = time.monotonic() + seconds if seconds else None
        while True:
            texts = corpus.texts(night, seed) + list(corpus.marked(self.oracle.added, 5000 if night else 200, seed))
            if share < 1:
                texts = self.some(texts, share, seed)
            for at in range(0, len(texts), 2000):
                part = texts[at : at + 2000]
                ids = self.encode(part, specials=False)
                few = part if night else part[::5]
                self.encode(few, specials=True, cold=False)
                short = [row for row in ids if row is not None and len(row) < 3000][:: 1 if night else 3]
                self.decode(short, skip=False)
                self.decode(short[::3], skip=True)
                if self.failures and (len(self.failures) >= 5 or not night):
                    break
            rows = list(self.random_ids(int((20_000 if night else 600) * share), seed))
            self.decode(rows, skip=False)
            self.decode(rows[::2], skip=True)
            seed += 1
            if not until or time.monotonic() > until or self.failures:
                break
        self.probe.close()
        return self


def folders(only=None):
    found = sorted(p.parent for p in corpus.TOKENIZERS.glob("*/ORIGIN") if p.parent.name != "text")
    return [f for f in found if not only or f.name in only]


def check(build, folder, night=False, seed=1, seconds=None, options=(), share=1):
    """(name, texts that both sides answered, bytes, seconds, failures)"""
    start = time.monotonic()
    try:
        d = Differential(build, folder, options).run(night, seed, seconds, share)
    except Exception as e:  # a crash of the probe is a result too
        return folder.name, 0, 0, time.monotonic() - start, [f"{folder.name}: {type(e).__name__}: {e}"]
    return folder.name, d.texts - d.unanswered, d.bytes, time.monotonic() - start, d.failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--night", action="store_true", help="another 150 MB of texts, of which every tokenizer meets a share")
    parser.add_argument("--share", type=float, help="of the texts, for each tokenizer; by default 1, and 0.035 of the night's: 200 MB in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="for each tokenizer: go on with other seeds until then")
    parser.add_argument("--only", help="names, with commas between")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    bad = total = 0
    with concurrent.futures.ProcessPoolExecutor(args.jobs, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(check, args.build.resolve(), f, args.night, args.seed, args.seconds, (), args.share or (0.035 if args.night else 1)) for f in folders(args.only.split(",") if args.only else None)]
        for job in concurrent.futures.as_completed(jobs):
            name, texts, size, took, failures = job.result()
            total += size
            bad += bool(failures)
            print(f"{'FAILED' if failures else 'equal '} {name:24} {texts:7} texts {size / 1e6:8.2f} MB {took:6.1f} s", flush=True)
            for failure in failures:
                print("  " + failure[:3000], flush=True)
    print(f"{len(jobs) - bad} of {len(jobs)} tokenizers equal, {total / 1e6:.1f} MB")
    return 1 if bad or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
