"""Texts to tokenize, made anew each time: the same seed gives the same texts.

Nothing is stored in the project. Natural language comes from the translation catalogues of Django (.tokenizers/text, about a hundred languages; see tools/fetch-tokenizers), from Python's own
documentation and from licences; code is the project's and Python's; the rest is generated.
"""

import json
import os
import pathlib
import pydoc_data.topics
import random
import sysconfig
import unicodedata

TOP = pathlib.Path(__file__).resolve().parents[2]
TOKENIZERS = pathlib.Path(os.environ.get("SMG_TOKENIZERS") or TOP / ".tokenizers")

# What distinguishes the character classes, white space rules and contractions of the patterns that models use, and what stands at the edges of vector code.
CLASSES = list("aAzZéÉßſKǅʰªºß1٣²Ⅷ½中の한ー、。!?.,'\"-_/\\()[]{}<>@#$%&*+=~`^|€™∑😀¿…’“”«») \t\n\r\v\f\0\x1f\x7f")
CLASSES += ["\x85", "\xa0", "\u1680", "\u2003", "\u200b", "\u200c", "\u200d", "\u2028", "\u2029", "\u202f", "\u3000", "\ufeff", "\u0301", "\u0308", "\u20e3", "\ufe0f", "\u0903", "\u093f", "\u0e33"]
CLASSES += ["\u0345", "\u2160", "\u24b6", "\u4e00", "\u9fa5", "\u9fa6", "\u3041", "\u309f", "\u30a0", "\u30ff", "\u3400", "\uac00", "\U00020000", "\U0001d7d8", "\U0001f1e6", "\U0001f3fd", "\U000e0067", "\ue000", "\ufffd", "\ufffe"]
WORDS = ["'s", "'S", "'t", "'re", "'VE", "'m", "'ll", "'D", "’s", "'ſ", "I'll", "HTTPServer", "helloWorld", "don't", "123", "4567", "  ", "   ", "\n\n", "\r\n", " \n ", "\t\t", "....", "-->", "://", " the", " and"]
WORDS += ["e\u0301", "ﬁ", "Å", "Ω", "각", "ᄀ\u1161\u11a8", "▁", "<0x0A>", "Ġ", "İ", "ǆ", "<s>", "</s>", "<unk>", "[CLS]", "##ing"]

MARKUP = [
    "<|im_start|>system\n{0}<|im_end|>\n<|im_start|>user\n{1}<|im_end|>\n<|im_start|>assistant\n<think>\n{2}\n</think>\n\n{3}<|im_end|>\n",
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{0}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{1}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{3}<|eot_id|>",
    "<s>[INST] <<SYS>>\n{0}\n<</SYS>>\n\n{1} [/INST] {3} </s><s>[INST] {2} [/INST]",
    "<bos><start_of_turn>user\n{1}<end_of_turn>\n<start_of_turn>model\n{3}<end_of_turn>\n",
    "<｜begin▁of▁sentence｜>{0}<｜User｜>{1}<｜Assistant｜><think>{2}</think>{3}<｜end▁of▁sentence｜>",
    "<|start|>system<|message|>{0}<|end|><|start|>user<|message|>{1}<|end|><|start|>assistant<|channel|>analysis<|message|>{2}<|end|><|start|>assistant<|channel|>final<|message|>{3}<|return|>",
    "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{1}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{3}<|END_OF_TURN_TOKEN|>",
    "<|im_system|>system<|im_middle|>{0}<|im_end|><|im_user|>user<|im_middle|>{1}<|im_end|><|im_assistant|>assistant<|im_middle|>{3}<|im_end|>",
    "[CLS] {1} [SEP] {3} [MASK] [PAD]",
    '<tool_call>\n{{"name": "search", "arguments": {{"query": "{1}"}}}}\n</tool_call><tool_response>{2}</tool_response>',
]


class Sizes:
    """How much of each; bytes or texts."""

    def __init__(self, night):
        self.night = night
        self.language = 4000 if not night else 40000  # bytes per language
        self.languages = 40 if not night else 200
        self.english = 60_000 if not night else 400_000
        self.code = 120_000 if not night else 4_000_000
        self.generated = 150 if not night else 4000  # texts per kind
        self.soup = 1500 if not night else 60_000
        self.long = 32_000 if not night else 1_000_000
        self.every = night  # every assigned code point, or a sample


def cut(text, rng, low=200, high=3000):
    """Pieces of TEXT of LOW to HIGH characters."""
    at = 0
    while at < len(text):
        n = rng.randint(low, high)
        yield text[at : at + n]
        at += n


def assigned():
    return [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def languages(sizes, rng):
    files = sorted((TOKENIZERS / "text").glob("*.txt"))
    if not sizes.night:
        keep = "en ar bg bn cs da de el es fa fi fr he hi hu id it ja ka kk km ko ml mr my ne nl pa pl pt ro ru sv ta te th tr uk ur vi zh_Hans zh_Hant".split()
        files = [f for f in files if f.stem in keep] or files
    for file in files[: sizes.languages]:
        text = file.read_text("utf-8")
        start = rng.randrange(max(1, len(text) - sizes.language))
        for piece in cut(text[start : start + sizes.language], rng):
            yield "language " + file.stem, piece


def english(sizes, rng):
    text = "\n".join(pydoc_data.topics.topics.values())
    for piece in cut(text[: sizes.english], rng, 500, 6000):
        yield "english", piece


def code_files():
    ours = sorted(p for part in ("src", "tests", "tools", "docs") for p in (TOP / part).rglob("*") if p.suffix in (".c", ".h", ".py", ".md", ".js", ".json", ".yaml", "") and p.is_file())
    theirs = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return ours, theirs


def code(sizes, rng):
    for files in code_files():
        left = sizes.code // 2
        rng.shuffle(files)
        for file in files:
            if left <= 0:
                break
            data = file.read_bytes()[: min(left, 12_000 if not sizes.night else 1 << 20)]
            left -= len(data)
            yield "code", data.decode("utf-8", "replace")


def a_value(rng, deep=0):
    kind = rng.randrange(8 if deep < 4 else 5)
    if kind == 0:
        return rng.choice([None, True, False, 0, -1, 1e-9, 3.141592653589793, 12345678901234567890])
    if kind in (1, 2):
        return rng.uniform(-1e6, 1e6) if rng.random() < 0.5 else rng.randrange(10**9)
    if kind in (3, 4):
        return "".join(rng.choice(WORDS + CLASSES) for _ in range(rng.randrange(12)))
    if kind in (5, 6):
        return {rng.choice(["name", "id", "created_at", "tool_calls", "arguments", "类型", "naïve"]) + str(rng.randrange(9)): a_value(rng, deep + 1) for _ in range(rng.randrange(6))}
    return [a_value(rng, deep + 1) for _ in range(rng.randrange(6))]


def jsons(sizes, rng):
    for _ in range(sizes.generated):
        yield "json", json.dumps(a_value(rng), ensure_ascii=rng.random() < 0.3, indent=rng.choice([None, None, 1, 2, 4]))


def soup(rng, most=60, more=()):
    alphabet = rng.choice([CLASSES, WORDS, CLASSES + WORDS, list(" \t\n\r\xa0\u3000a1.'"), list("aAéÉ1 '\u0301中")])
    if more:
        alphabet = alphabet[:20] + list(more)
    out = []
    for _ in range(rng.randint(1, most)):
        c = rng.choice(alphabet)
        out.append(c * rng.choice([1, 1, 1, 1, 2, 3, 8]))
    return "".join(out)


def soups(sizes, rng):
    for _ in range(sizes.soup):
        yield "soup", soup(rng)


def chats(sizes, rng):
    said = [p for _, p in languages(Sizes(False), random.Random(7))] or ["Hello", "你好", "Wie geht's?"]
    for i in range(sizes.generated):
        yield "chat", MARKUP[i % len(MARKUP)].format(*(rng.choice(said)[: rng.randint(0, 400)] for _ in range(4)))


def emoji(sizes, rng):
    base = [chr(c) for r in ((0x1F300, 0x1F650), (0x1F680, 0x1F6FD), (0x1F900, 0x1FAFF), (0x2600, 0x27C0)) for c in range(*r)]
    for _ in range(sizes.generated):
        out = []
        for _ in range(rng.randint(1, 30)):
            e = rng.choice(base)
            how = rng.randrange(7)
            if how == 0:
                e += chr(0x1F3FB + rng.randrange(5))
            elif how == 1:
                e = "\u200d".join([e, rng.choice(base) + "\ufe0f", rng.choice(base)])
            elif how == 2:
                e = "".join(chr(0x1F1E6 + rng.randrange(26)) for _ in range(2))
            elif how == 3:
                e = rng.choice("0123456789#*") + "\ufe0f\u20e3"
            elif how == 4:
                e = "\U0001f3f4" + "".join(chr(0xE0061 + rng.randrange(26)) for _ in range(5)) + "\U000e007f"
            out.append(e + rng.choice(["", "", " ", " ok ", "\ufe0f"]))
        yield "emoji", "".join(out)


def marks(sizes, rng):
    combining = [c for c in assigned() if unicodedata.category(c) in ("Mn", "Mc", "Me")]
    letters = list("aeiouAEOUnNçǻớ가각가\u11a8कகกก็แ א ا") + [chr(c) for c in range(0x41, 0x250)]
    for _ in range(sizes.generated):
        yield "marks", "".join(rng.choice(letters) + "".join(rng.choice(combining) for _ in range(rng.choice([0, 1, 1, 2, 3, 20]))) for _ in range(rng.randint(1, 40)))


def broken(sizes, rng):
    """Not UTF-8: cut characters, surrogates, overlong forms, stray bytes, random bytes."""
    bad = [b"\x80", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xe4\xbd", b"\xff", b"\xfe\xfe", b"\xc3", b"\xf8\x88\x80\x80\x80", b"\xf1\x80\x80", b"\xf0\x80\x80"]
    for _ in range(sizes.generated):
        yield "broken", b"".join(rng.choice(bad) if rng.random() < 0.4 else soup(rng, 4).encode() for _ in range(rng.randint(1, 12)))
    for _ in range(sizes.generated // 2):
        yield "random bytes", rng.randbytes(rng.randint(1, 300))


def control(sizes, rng):
    for _ in range(sizes.generated // 2):
        yield "control", "".join(chr(rng.choice([*range(32), 127, *range(0x80, 0xA0), 0x200B, 0x200E, 0x2060, 0xAD, 0xFFF9, 65, 32])) for _ in range(rng.randint(1, 60)))


def long(sizes, rng):
    """What makes a careless tokenizer slow: no boundary for a long time."""
    n = sizes.long
    for unit in ("a", " ", "\n", "中", "1", "!", "\t", "e\u0301", "ab", "😀", "\xa0", " \n", "a1"):
        yield "long " + ascii(unit), unit * (n // len(unit.encode()))
    yield "long letters", "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n))
    yield "long mix", "".join(rng.choice("abcxyzABCéßжя中文한") for _ in range(n // 2))
    yield "long base64", "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") for _ in range(n))


def code_points(sizes, rng):
    """Every assigned code point: in a row with its neighbours, and between representatives of the classes."""
    all = assigned()
    around = ["a", " ", "1", "A", ".", "\n", "'", "中", "\u0301", "é"]
    for at in range(0, len(all), 48):
        if sizes.every or rng.random() < 0.06 or (ord(all[at]) < 0x3400 and rng.random() < 0.35):
            part = all[at : at + 48]
            yield "code points", "".join(part)
            left, right = rng.choice(around), rng.choice(around)
            yield "code point pairs", "".join(left + c + right for c in part)
            if sizes.every:
                for w in around:
                    yield "code point pairs", "".join(w + c for c in part)
                    yield "code point pairs", " ".join(c + w for c in part)


KINDS = [languages, english, code, jsons, chats, soups, emoji, marks, broken, control, long, code_points]


def texts(night=False, seed=1):
    """(kind, bytes), in a mixed order."""
    sizes = Sizes(night)
    out = [("empty", b"")]
    for kind in KINDS:
        for name, text in kind(sizes, random.Random(f"{seed} {kind.__name__}")):
            out.append((name, text if isinstance(text, bytes) else text.encode("utf-8", "replace")))
    random.Random(seed).shuffle(out)
    return out


def marked(added, count, seed=1):
    """Texts full of a tokenizer's own ADDED tokens, whole, cut and glued."""
    rng = random.Random(f"{seed} marked")
    some = rng.sample(added, min(len(added), 40)) if added else []
    some += [t.strip() + " " for t in some[:5]] + [t[:-1] for t in some[:5]] + [t[1:] for t in some[:5]] + [t + t[:1] for t in some[:3]]
    for _ in range(count if some else 0):
        yield "added tokens", soup(rng, 25, some).encode("utf-8", "replace")


if __name__ == "__main__":
    total = {}
    for kind, text in texts():
        n, size = total.get(kind.split()[0], (0, 0))
        total[kind.split()[0]] = n + 1, size + len(text)
    for kind, (n, size) in sorted(total.items()):
        print(f"{kind:12} {n:6} texts {size:9} bytes")
    print(sum(s for _, s in total.values()))
