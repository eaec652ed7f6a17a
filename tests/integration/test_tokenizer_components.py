"""Normalizers and pre-tokenizers against Hugging Face's `tokenizers`, component by component: the same JSON, the same texts, the same pieces.

Texts are random mixes of one or more representatives of every class of characters that a component asks about; the seed is fixed. The probe program (tests/unit/text/tokenizer/components_probe.c)
runs ours. Where ours answers with raw bytes (chains that end in ByteLevel), the oracle's mapped characters are turned into bytes first.
"""
import base64
import json
import pathlib
import random
import struct
import subprocess

import pytest
import tokenizers

from conftest import BUILD, SLOWNESS

PROBE = pathlib.Path(BUILD) / "tests/unit/text/tokenizer/tokenizer_components_probe"
TEXTS = 300

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
L3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
D3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")

# One or more characters of every class that any component distinguishes, and pairs that act together.
CHARACTERS = list("aeztsSTLKMVDRZ019 \t\n\r\v\f\0\x01\x7f.,;:!?-_+=$^`~|<>()[]{}'\"/\\#@&*%") + """
\u0085 \u00a0 \u00ad \u00b2 \u00bd \u00b5 \u00c0 \u00df \u00e9 \u00f1 \u0130 \u0131 \u0149 \u017f \u01c4 \u01c5 \u01c6 \u0301 \u0307 \u0308 \u0323 \u0327 \u0338 \u0345 \u034f \u0391 \u03a3 \u03c2 \u03c3
\u0410 \u0439 \u044f \u0451 \u0483 \u05d0 \u05b0 \u0627 \u0653 \u064b \u0660 \u06dd \u0600 \u07fd \u0905 \u093c \u094d \u0915 \u0958 \u09be \u09c7 \u09fe \u0e01 \u0e33 \u0e50 \u0f71 \u1100 \u1161 \u11a8 \u1680
\u16ee \u180e \u1e9e \u1e9b \u1f82 \u2000 \u200b \u200c \u200d \u200e \u2028 \u2029 \u202f \u203f \u2044 \u2060 \u20ac \u20dd \u2126 \u212a \u212b \u2160 \u2460 \u24b6 \u2581 \u2adc \u3000 \u3001 \u3005 \u3007
\u3042 \u304b \u3099 \u30a2 \u30fb \u30fc \u30ab \uff76 \uff9e \u3105 \u32ff \u3402 \u4e00 \u4e2d \u6587 \u9fff \ua7f2 \uac00 \uac01 \ud55c \ue000 \uf900 \ufb01 \ufb06 \ufdfa \ufe0f \ufeff \uff01 \uff11 \uff21 \ufffd
\U00010400 \U0001171e \U00011935 \U00011930 \U0001d160 \U0001d400 \U0001f469 \U0001f3fd \U0001f1e9 \U0001f1ea \U0001f600 \U00020000 \U0002b820 \U0002f800 \U00030000 \U00031350 \U0001e030 \U000e0001 \U000e0100 \U0010ffff
\u0378 \u0897 \u1c89 \u1c8a \u2427 \u0ece \u0cf3 \U000105d2 \U0001c000 \U0001cc00""".split()
PHRASES = ["e\u0301", "o\u0323\u0302", "\u1100\u1161\u11a8", "'ll", "'\u017f", "\r\n", "  ", "\n\n", "12345", "Hello", "world", "HTTPServer", "don't", "I'LL", " x", "\u65e5\u672c\u8a9e",
           "\u0e01\u0e33", "\U0001f469\u200d\U0001f469", "\U0001f1e9\U0001f1ea", "a\u0300\u0301\u0302\u0323", "\ufb01n", "the-final--countdown", "\u2581x"]


def random_text(rng):
    kind = rng.randrange(4)
    pool = {0: CHARACTERS, 1: PHRASES + list(" .\n'a1"), 2: CHARACTERS + PHRASES, 3: rng.sample(CHARACTERS, 4)}[kind]
    text = "".join(rng.choice(pool) for _ in range(rng.randrange(1, 25)))
    if rng.randrange(4) == 0:  # now and then any character at all
        text += chr(rng.choice([rng.randrange(0x80, 0xd800), rng.randrange(0xe000, 0x110000), rng.randrange(0x10000, 0x20000)]))
    return text


class Probe:
    def __init__(self):
        self.p = subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _strings(self):
        (n,) = struct.unpack("<I", self._read(4))
        strings = []
        for _ in range(1 if n == 0xffffffff else n):
            (length,) = struct.unpack("<I", self._read(4))
            strings.append(self._read(length))
        return n, strings

    def _read(self, n):
        data = self.p.stdout.read(n)
        assert len(data) == n, "the probe died"
        return data

    def ask(self, what, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.p.stdin.write(what.encode() + struct.pack("<I", len(data)) + data)
        self.p.stdin.flush()
        return self._strings()

    def load(self, what, component):
        """None, or the message of the error."""
        n, strings = self.ask(what, json.dumps(component))
        return strings[0].decode() if n else None

    def run(self, text):
        n, strings = self.ask("T", text)
        assert n != 0xffffffff, strings
        return strings

    def close(self):
        self.p.stdin.close()
        assert self.p.wait(20 * SLOWNESS) == 0


@pytest.fixture(scope="module")
def probe():
    p = Probe()
    yield p
    p.close()


def oracle(member, component):
    file = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, member: component}
    return getattr(tokenizers.Tokenizer.from_str(json.dumps(file)), member)


def _alphabet():
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    chars = {b: chr(b) for b in plain}
    for i, b in enumerate(b for b in range(256) if b not in chars):
        chars[b] = chr(256 + i)
    return {c: b for b, c in chars.items()}


BYTES = _alphabet()


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, use_regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def sequence(*members):
    return {"type": "Sequence", "pretokenizers": list(members)}


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
METASPACE = {"type": "Metaspace", "replacement": "\u2581"}
PRETOKENIZERS = {
    "bert": {"type": "BertPreTokenizer"},
    "byte_level": byte_level(use_regex=True),
    "byte_level_prefix": byte_level(True, True),
    "delimiter": {"type": "CharDelimiterSplit", "delimiter": "a"},
    "delimiter_wide": {"type": "CharDelimiterSplit", "delimiter": "\u4e2d"},
    "digits": {"type": "Digits", "individual_digits": False},
    "digits_individual": {"type": "Digits", "individual_digits": True},
    "fixed_length": {"type": "FixedLength", "length": 3},
    "fixed_length_default": {"type": "FixedLength"},
    "metaspace": METASPACE,
    "metaspace_first": METASPACE | {"prepend_scheme": "first"},
    "metaspace_never": METASPACE | {"prepend_scheme": "never"},
    "metaspace_unsplit": METASPACE | {"prepend_scheme": "first", "split": False},
    "metaspace_old": METASPACE | {"add_prefix_space": True, "str_rep": "\u2581"},
    "metaspace_other": METASPACE | {"replacement": "_"},
    "unicode_scripts": {"type": "UnicodeScripts"},
    "whitespace": {"type": "Whitespace"},
    "whitespace_split": {"type": "WhitespaceSplit"},
    "xlm_r": sequence({"type": "WhitespaceSplit"}, METASPACE),
    "split_then_first": sequence({"type": "WhitespaceSplit"}, METASPACE | {"prepend_scheme": "first"}),
    "starcoder": sequence({"type": "Digits", "individual_digits": True}, byte_level(use_regex=True)),
    "falcon": sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(use_regex=True), {"type": "Digits", "individual_digits": False},
                       split("[0-9][0-9][0-9]")),
    "byte_level_twice": sequence(byte_level(use_regex=True), byte_level(True, True)),
    "byte_level_then_metaspace": sequence(byte_level(), METASPACE),
    "llama3": sequence(split(L3), byte_level()),
    "llama3_prefix": sequence(split(L3), byte_level(True)),
    "cl100k": sequence(split(CL100K, "Removed", True), byte_level()),
    "qwen": sequence(split(L3.replace("{1,3}", "")), byte_level()),
    "o200k": sequence(split(O200K, "Removed", True), byte_level()),
    "qwen3_5": sequence(split(L3.replace("{1,3}", "").replace("?\\p{L}+", "?[\\p{L}\\p{M}]+").replace("[^\\s\\p{L}", "[^\\s\\p{L}\\p{M}")), byte_level()),
    "tekken": sequence(split(O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")), byte_level()),
    "kimi": split(KIMI),
    "deepseek": sequence(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(D3), byte_level()),
    "gemma": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
    "nested": sequence(sequence({"type": "Whitespace"}), sequence(), {"type": "Punctuation"}),
    "nothing": sequence(),
}
PRETOKENIZERS |= {f"punctuation_{b}": {"type": "Punctuation", "behavior": b} for b in BEHAVIORS}
for _b in BEHAVIORS:
    for _invert in (False, True):
        PRETOKENIZERS[f"split_{_b}_{_invert}"] = split(r"[-\s]|\p{L}(?=\p{N})", _b, _invert)
        PRETOKENIZERS[f"split_empty_{_b}_{_invert}"] = split("a*", _b, _invert)
        PRETOKENIZERS[f"split_string_{_b}_{_invert}"] = {"type": "Split", "pattern": {"String": "a"}, "behavior": _b, "invert": _invert}
        PRETOKENIZERS[f"split_no_string_{_b}_{_invert}"] = {"type": "Split", "pattern": {"String": ""}, "behavior": _b, "invert": _invert}

# What the dialects say differently, and what is easily got wrong.
REGEXES = [
    r"\w+", r"\W+", r"\d", r"\D+", r"\s", r"\S+", r"\h+", r"\H", r"\b\w", r"\B.", r".", r"(?m:.)+", r"^.", r".$", r"$", r"^", r"\A.", r".\z", r".\Z", r"\R", r"\N+", r"\O\O", r"\p{^L}+",
    r"\P{L}+", r"\p{Lu}", r"\p{Letter}+", r"\p{upper case letter}", r"\p{Alphabetic}+", r"\p{Lowercase}+", r"\p{Uppercase}", r"\p{Han}+", r"\p{Hiragana}|\p{katakana}", r"\p{Latin}+", r"\p{Greek}",
    r"\p{Cyrillic}+", r"\p{Arabic}", r"\p{Common}+", r"\p{Mn}", r"\P{Mn}+", r"\p{Mc}", r"\p{Cn}", r"\P{Cn}+", r"\p{C}+", r"[^\p{C}]+", r"[\p{Cn}a]+", r"\p{Sk}|\p{Pc}", r"[[:alpha:]]+", r"[[:^alpha:]]+", r"[[:alnum:]]+", r"[[:punct:]]+",
    r"[[:space:]]", r"[[:graph:]]+", r"[[:print:]]+", r"[[:cntrl:]]", r"[[:blank:]]+", r"[[:word:]]+", r"[[:upper:][:digit:]]+", r"[[:ascii:]]+", r"[[:xdigit:]]", r"[[:lower:]]+",
    r"[a-z&&[^aeiou]]+", r"[^a-z&&[^e]]+", r"[\p{L}&&\p{Ll}&&[^t]]+", r"[a[^\s]]+", r"[^\S]+", r"[\s\S]", r"[\w&&[^\d]]+", r"[]a]", r"[-a]+", r"[a-]+", r"[+--]", r"[\x{41}-\x{5a}]+", r"[\n\t\\\]]", r"[a-c-e]",
    r"\u00e9", r"\x{e9}", r"\xc3\xa9", r"\x41", r"\141", r"\t|\n|\v|\f|\a", r"a{2}", r"\p{N}{1,3}+", r"\p{N}{2}?", r"\p{N}{1,2}?", r"\p{N}{,2}", r"\p{N}{3,1}", r"a**", r"a{,x}", r"(?:a|e)+?t?", r"a++a", r"[ae]?+e", r".*+",
    r"(?i)s", r"(?i:k)|\p{N}", r"a(?i)b|S", r"(?i:[a-s])+", r"(?i:\u03c3)", r"(?i-i:a)|(?i:e(?-i:z))", r"(?<!a)e", r"(?<=a|\p{N})\w", r"(?>a+|e)", r"(a)\1|(?:e)", r"(?<x>[ae])\k<x>", r"(?<x>a)(e)?", "(?x: a \\s # c\n )", r"(?#note)a", r"\/\-\#\@\é", r"x]|}|{", r"", r"a|", r"|a", r"(?=a)", r"(?!a)\w", r"\s+(?!\S)|\s", r"(?:\p{L}\p{M}*)+", r"\p{L}+(?:'\p{L}+)?", r"\Qa", r"\pL", r"(?:)", r"(?:a*)*", r"(?:a?){2,3}", r"\e",
]
PRETOKENIZERS |= {f"regex_{r}": split(r) for r in REGEXES}


@pytest.mark.parametrize("name", PRETOKENIZERS)
def test_pieces_are_the_oracles(probe, name):
    component = PRETOKENIZERS[name]
    rng = random.Random(name)
    theirs = oracle("pre_tokenizer", component)
    assert probe.load("P", component) is None
    raw = None
    members = component.get("pretokenizers", [component])
    at = [i for i, m in enumerate(members) if m["type"] == "ByteLevel"]
    if at:
        raw = not any(m["type"] == "Metaspace" for m in members[at[-1]:])
    for _ in range(TEXTS if not name.startswith(("regex_", "split_")) else TEXTS // 3):
        text = random_text(rng)
        want = [p for p, _ in theirs.pre_tokenize_str(text)]
        want = [bytes(BYTES[c] for c in p) for p in want] if raw else [p.encode() for p in want]
        assert probe.run(text) == want, (component, text)


def characters():
    """Every character of the planes that have any, and of the planes that are empty or private their ends and one in 251: a million of the same kind would only cost time."""
    return [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000 and (c < 0x34000 or 0xe0000 <= c < 0xe1000 or c % 251 == 0 or 2 < (c + 3) % 0x10000 < 6)]


def test_every_character_is_seen_as_the_oracle_sees_it(probe):
    """Each component that asks about characters, over Unicode."""
    every = characters()
    chunks = ["".join(f"{c}A" for c in every[i:i + 20000]) for i in range(0, len(every), 20000)]
    components = [{"type": "Punctuation"}, {"type": "Digits", "individual_digits": True}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "UnicodeScripts"}]
    components += [split(r) for r in (r"\w", r"\s", r"\d", r"\p{L}", r"\p{N}", r"\p{M}", r"\p{P}", r"\p{S}", r"\p{Lu}", r"\p{Mn}", r"\p{Mc}", r"\p{Cn}", r"[[:alpha:]]", r"[[:lower:]]", r"\p{Han}", r"(?i:s)", r"(?i:[k])")]
    for component in components:
        theirs = oracle("pre_tokenizer", component)
        assert probe.load("P", component) is None
        for chunk in chunks:
            want = [p.encode() for p, _ in theirs.pre_tokenize_str(chunk)]
            got = probe.run(chunk)
            if got != want:
                k = next(i for i, (a, b) in enumerate(zip(got, want)) if a != b)
                pytest.fail(f"{component}: ours {got[k:k + 3]} theirs {want[k:k + 3]}")


# ---- normalizers ----

def charsmap(entries):
    """SentencePiece's format for {text: replacement}: a double array made greedily."""
    blob, values = b"", {}
    for text, to in entries.items():
        values[text.encode()] = len(blob)
        blob += to.encode() + b"\0"
    units, used = {0: 0}, {0}

    def place(prefix, at):
        labels = sorted({k[len(prefix)] for k in values if k.startswith(prefix) and len(k) > len(prefix)})
        leaf = prefix in values
        base = 1
        while any((base ^ x) in used for x in labels + ([0] if leaf else [])) or (at ^ base) >= 1 << 21:
            base += 1
        offset = at ^ base
        units[at] = units[at] | offset << 10 | (0x100 if leaf else 0)
        if leaf:
            units[base] = values[prefix] | 1 << 31
            used.add(base)
        used.update(base ^ x for x in labels)
        for x in labels:
            units[base ^ x] = x
        for x in labels:
            place(prefix + bytes([x]), base ^ x)

    place(b"", 0)
    n = max(units) + 256
    trie = b"".join(struct.pack("<I", units.get(i, 0)) for i in range(n))
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + blob).decode()


CHARSMAP = charsmap({"a": "A", "e\u0301": "\u00e9", "\u00e9": "E", "\r\n": " ", "\ufb01": "fi", "\u3042": "", "\u0600": "<", "\u212b": "\u00c5", "\u1100": "G", "\t": " ", "\U0001f1e9": "D", "\u0e01": "K",
                     "\u30ab\u3099": "\u30ac", "\u0915": "k", "\u00c0": "A\u0300", "0": "zero", "\u0301": ""})
NORMALIZERS = {t: {"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")}
NORMALIZERS |= {
    "strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "strip_left": {"type": "Strip", "strip_left": True, "strip_right": False},
    "strip_right": {"strip_left": False, "strip_right": True},
    "prepend": {"type": "Prepend", "prepend": "\u2581"},
    "replace": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "replace_nothing": {"type": "Replace", "pattern": {"String": ""}, "content": "x"},
    "replace_regex": {"type": "Replace", "pattern": {"Regex": r"\s{2,}|a*"}, "content": "\\0"},
    "replace_untyped": {"pattern": {"String": "a"}, "content": "bb"},
    "llama2": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "albert": {"normalizers": [{"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                               {"type": "Precompiled", "precompiled_charsmap": CHARSMAP}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
    "precompiled": {"type": "Precompiled", "precompiled_charsmap": CHARSMAP},
    "bert_no_members": {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False},
}
for _accents in (None, True, False):
    for _lower in (True, False):
        NORMALIZERS[f"bert_{_accents}_{_lower}"] = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": _accents, "lowercase": _lower}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normal_texts_are_the_oracles(probe, name):
    component = NORMALIZERS[name]
    rng = random.Random(name)
    theirs = oracle("normalizer", component)
    assert probe.load("N", component) is None
    for _ in range(3 * TEXTS):
        text = random_text(rng)
        assert probe.run(text)[0].decode() == theirs.normalize_str(text), (component, text)


@pytest.mark.parametrize("name", ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "bert_None_True", "bert_False_False", "strip", "precompiled"])
def test_every_character_is_normalised_as_the_oracles(probe, name):
    theirs = oracle("normalizer", NORMALIZERS[name])
    assert probe.load("N", NORMALIZERS[name]) is None
    every = characters()
    for i in range(0, len(every), 10000):  # each alone, after a letter, and before marks of three classes
        text = "".join(f"\x02{c}\x02a{c}\x02{c}\u0345\u0327\u0301\x02e\u0345\u0334{c}\n" for c in every[i:i + 10000])
        got, want = probe.run(text)[0].decode(), theirs.normalize_str(text)
        if got != want:
            k = next((k for k, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            pytest.fail(f"{name}: ours {ascii(got[k - 6:k + 6])} theirs {ascii(want[k - 6:k + 6])}")


# ---- what is refused, and how it is said ----

@pytest.mark.parametrize("what,component,words", [
    ("P", {"type": "Split", "behavior": "Isolated", "invert": False}, ["Split", "pattern"]),
    ("P", {"type": "Split", "pattern": {"String": "a"}, "behavior": "isolated", "invert": False}, ["behavior", "MergedWithNext"]),
    ("P", {"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated"}, ["Split", "invert"]),
    ("P", {"type": "Digits"}, ["Digits", "individual_digits"]),
    ("P", {"type": "ByteLevel"}, ["ByteLevel", "add_prefix_space"]),
    ("P", {"type": "Metaspace"}, ["Metaspace", "replacement", "one character"]),
    ("P", {"type": "Metaspace", "replacement": "_", "add_prefix_space": False, "prepend_scheme": "first"}, ["add_prefix_space", "never"]),
    ("P", {"type": "Metaspace", "replacement": "_", "prepend_scheme": "First"}, ["prepend_scheme", "first"]),
    ("P", {"type": "CharDelimiterSplit", "delimiter": "xx"}, ["delimiter", "one character"]),
    ("P", {"type": "FixedLength", "length": 0}, ["length", "at least 1"]),
    ("P", {"type": "Sequence"}, ["pretokenizers"]),
    ("P", {"type": "Foo"}, ["Foo"]),
    ("P", {}, ["type"]),
    ("P", split("("), ["Split", "pattern", "( without )"]),
    ("P", split(r"(?~a)"), ["absent"]),
    ("P", split(r"(?<n>a\g<n>?)"), ["\\g"]),
    ("P", split(r"\X"), ["\\X"]),
    ("P", split(r"(?i:stra\u00dfe)"), ["(?i)"]),
    ("P", split(r"\p{Foo}"), ["\\p"]),
    ("P", split(r"(?<=a+)b"), ["lookbehind"]),
    ("N", {"type": "Foo"}, ["Foo"]),
    ("N", {"type": "Strip"}, ["strip_left"]),
    ("N", {"type": "BertNormalizer"}, ["clean_text"]),
    ("N", {"type": "Precompiled", "precompiled_charsmap": "AAA"}, ["precompiled_charsmap", "base64"]),
    ("N", {"type": "Precompiled", "precompiled_charsmap": "/wAAAA=="}, ["precompiled_charsmap", "trie"]),
    ("N", {"type": "Replace", "pattern": {"Regex": "["}, "content": ""}, ["Replace", "["]),
    ("N", {"type": "Prepend"}, ["prepend"]),
])
def test_a_refusal_names_the_member(probe, what, component, words):
    message = probe.load(what, component)
    assert message and all(w in message for w in words), message
