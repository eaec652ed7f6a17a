"""The JSON reader against two others, Python's json and Node's JSON.parse: the same texts accepted, the same values read.

Texts are the vectors of tests/vectors/json and random mutations of them. The reader answers through tests/unit/json/json_oracle in the
build directory SMG_BUILD (default: build/). Known differences are levelled out here: Python and JavaScript keep lone surrogates where we
read U+FFFD, and do not bound the depth at 128.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SMG_BUILD", ROOT / "build"))
ORACLE = BUILD / "tests" / "unit" / "json" / "json_oracle"
VECTORS = sorted((ROOT / "tests" / "vectors" / "json").glob("*.json"))
MUTATIONS = int(os.environ.get("SMG_JSON_MUTATIONS", "20000"))
DEPTH_MAX = 128

# What a mutation inserts: every token, and the beginnings of what is easily mistaken.
PIECES = [
    *(c.encode() for c in '{}[],:"\\/ \t\n\r-+.eE0123456789tfnu'),
    *(p.encode() for p in ("true", "false", "null", '""', "[]", "{}", '"a":', "1e5", "-0", "0.5", "\\n", "\\u0041", "\\ud83d\\ude00")),
    *(p.encode() for p in ("\\ud800", "é", "€", "😀", "NaN", "Infinity", "'", "//", "\ufeff", "\u00a0", "\u2028", "a" * 31, " " * 33)),
    *(bytes([b]) for b in (0, 1, 8, 0x0B, 0x0C, 0x1F, 0x7F, 0x80, 0xBF, 0xC0, 0xC3, 0xE2, 0xED, 0xF0, 0xF4, 0xF5, 0xFF)),
]

NODE = """
const fs = require('fs');
const all = fs.readFileSync(0);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function level(v) {
  if (typeof v === 'string') return v.toWellFormed();
  if (Array.isArray(v)) return v.map(level);
  if (v === null || typeof v !== 'object') return v;
  return Object.fromEntries(Object.entries(v).map(([k, w]) => [k.toWellFormed(), level(w)]));
}
let at = 0;
const out = [];
while (at < all.length) {
  const line = all.indexOf(10, at);
  const n = parseInt(all.toString('latin1', at, line));
  const text = all.subarray(line + 1, line + 1 + n);
  at = line + 1 + n;
  try {
    out.push(JSON.stringify(level(JSON.parse(utf8.decode(text)))));
  } catch (e) {
    out.push('');
  }
}
fs.writeSync(1, out.join('\\n') + '\\n');
"""


def frame(texts):
    return b"".join(b"%d\n%b" % (len(t), t) for t in texts)


def ask_ours(texts):
    """For each text (canonical form or None, complaint)."""
    reply = subprocess.run([ORACLE], input=frame(texts), stdout=subprocess.PIPE, check=True, timeout=300).stdout
    answers, at = [], 0
    for _ in texts:
        end = reply.index(b"\n", at)
        verdict, _, rest = reply[at:end].partition(b" ")
        at = end + 1
        if verdict == b"accept":
            n = int(rest)
            answers.append((reply[at : at + n], None))
            at += n + 1
        else:
            answers.append((None, rest.decode()))
    assert at == len(reply)
    return answers


def refuse_constant(name):
    raise ValueError(name)


def ask_python(text):
    """The value in a form that can be compared, or None when it is not JSON."""
    try:
        return [level(json.loads(text.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=pairs))]
    except (ValueError, RecursionError):
        return None


def pairs(members):
    """The last of several equal keys wins, but keys become equal only when lone surrogates are levelled."""
    return {level(k): v for k, v in members}


def level(value):
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [level(v) for v in value]
    if isinstance(value, dict):
        return {level(k): level(v) for k, v in value.items()}
    return value


def depth(text):
    """The deepest nesting that a reader could meet: brackets in strings count too, which is on the safe side."""
    deepest = now = 0
    for c in text:
        now += (c in b"[{") - (c in b"]}")
        deepest = max(deepest, now)
    return deepest


def mutate(rng, text):
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(text) + 1)
        to = min(len(text), at + rng.choice((0, 0, 1, 1, 2, 5)))
        text = text[:at] + (rng.choice(PIECES) if rng.random() < 0.8 else b"") + text[to:]
    return text


@pytest.fixture(scope="module")
def texts():
    rng = random.Random(20250301)
    vectors = [p.read_bytes() for p in VECTORS]
    short = [v for v in vectors if len(v) < 400]
    mutated = [mutate(rng, rng.choice(short)) for _ in range(MUTATIONS)]
    return [t for t in vectors + mutated if depth(t) <= DEPTH_MAX]


@pytest.fixture(scope="module")
def ours(texts):
    assert ORACLE.exists(), f"{ORACLE} is not built: tools/build BUILD -Dtests=true"
    return ask_ours(texts)


def test_every_vector_gets_the_verdict_that_its_name_says(ours):
    answers = ask_ours([p.read_bytes() for p in VECTORS])
    assert len(VECTORS) > 200
    for path, (canonical, complaint) in zip(VECTORS, answers):
        wanted = path.name.startswith(("y_", "i_accepted"))
        assert (canonical is not None) == wanted, f"{path.name}: {complaint}"


def test_python_accepts_the_same_texts_and_reads_the_same_values(texts, ours):
    for text, (canonical, complaint) in zip(texts, ours):
        value = ask_python(text)
        assert (value is not None) == (canonical is not None), (text, complaint)
        if value is not None:
            assert repr(ask_python(canonical)) == repr(value), text


def test_node_accepts_the_same_texts_and_reads_the_same_values(texts, ours):
    node = shutil.which("node")
    assert node, "node is missing: tools/setup test installs it"

    def ask_node(batch):
        reply = subprocess.run([node, "-e", NODE], input=frame(batch), stdout=subprocess.PIPE, check=True, timeout=300).stdout
        return reply.decode().split("\n")[:-1]

    theirs = ask_node(texts)
    canonical_again = ask_node([canonical or b"!" for canonical, _ in ours])
    assert len(theirs) == len(texts)
    for text, (canonical, complaint), value, again in zip(texts, ours, theirs, canonical_again):
        assert (value != "") == (canonical is not None), (text, complaint)
        assert again == value, text


def test_what_is_written_reads_the_same_again(ours):
    accepted = [canonical for canonical, _ in ours if canonical is not None]
    for before, (after, _) in zip(accepted, ask_ours(accepted)):
        assert before == after


def test_complaints_name_a_place(ours):
    for canonical, complaint in ours:
        if canonical is None:
            assert " at line " in complaint and " column " in complaint
