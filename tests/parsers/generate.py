"""Made-up replies of models, seeded: replies(format, count, seed) gives (kind, text). TOOLS is what the request offered.

A reply is drawn, not chosen: thinking or none, text, 0 to 4 calls, text between and behind them, arguments nested and of all types, characters of every length, strings that look like
markup. Of each format's replies
    plain    are as a model writes them that does what its template says, text in front of the calls only
    around   have text between the calls and behind them, too
    marked   have markers inside their strings and text
    cut      end somewhere in the middle
    broken   had some characters taken out, doubled or replaced
"""

import json
import random

KINDS = ["plain", "plain", "plain", "around", "around", "marked", "cut", "broken"]
PROPERTIES = {
    "city": "string", "days": "integer", "ratio": "number", "on": "boolean", "tags": "array", "cfg": "object",
}  # fmt: skip
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {**{k: {"type": t} for k, t in PROPERTIES.items()}, "u": {"type": ["string", "null"]}}}}},
    {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]
WORDS = ["a", "the", "weather", "in", "Paris", "is", "fine", "3 < 4", "so", "價格", "über", "naïve", "😀", "don't", "x.y", "1.", "\n", "\n\n", "ok?", "(see)", "**b**", "50%", "e", "&", "/"]
OPENERS = ["[1]", "{x}", '"quoted"', "<b>", "</", "<|", "[", "]", "}", "'", "`", "```", "\\n", "\\", "&lt;"]


class Maker:
    def __init__(self, rng, markers):
        self.rng, self.markers = rng, markers

    def text(self, marked=False, most=8):
        pool = WORDS + (OPENERS + self.markers if marked else [])
        return " ".join(self.rng.choice(pool) for _ in range(self.rng.randint(1, most))).replace(" \n", "\n").replace("\n ", "\n")

    def string(self, marked):
        kind = self.rng.random()
        if marked and kind < 0.6:
            return self.text(True, 4)
        if kind < 0.1:
            return self.rng.choice(["", "4", "true", "null", "None", "1.5", "a b", "2026-11-29", "x=1", "C:\\dir", 'say "hi"', "tab\there", "line\nline", "It's"])
        return self.text(False, 4)

    def number(self):
        return self.rng.choice([0, 1, -1, 3, 42, 1.5, -2.25, 1e3, 2**31, 2**53, -(2**63), 0.1, 100])

    def value(self, marked, depth=0):
        kind = self.rng.random()
        if depth < 3 and kind < 0.15:
            return [self.value(marked, depth + 1) for _ in range(self.rng.randint(0, 3))]
        if depth < 3 and kind < 0.3:
            return {self.key(): self.value(marked, depth + 1) for _ in range(self.rng.randint(0, 3))}
        if kind < 0.5:
            return self.number()
        if kind < 0.6:
            return self.rng.choice([True, False, None])
        return self.string(marked)

    def key(self):
        return self.rng.choice(["a", "b", "key", "unit", "x_1", "ключ"])

    def typed(self, kind, marked):
        return {
            "string": lambda: self.string(marked), "integer": lambda: self.rng.choice([0, 3, -7, 2**40]), "number": self.number, "boolean": lambda: self.rng.random() < 0.5,
            "array": lambda: [self.value(marked, 1) for _ in range(self.rng.randint(0, 3))], "object": lambda: {self.key(): self.value(marked, 1) for _ in range(self.rng.randint(0, 3))},
        }[kind]()  # fmt: skip

    def call(self, marked):
        r = self.rng.random()
        if r < 0.5:
            keys = self.rng.sample(list(PROPERTIES), self.rng.randint(1, 4))
            return "get_weather", {k: self.typed(PROPERTIES[k], marked) for k in keys}
        if r < 0.7:
            return "search", {"q": self.string(marked)}
        if r < 0.8:
            return "get_time", {}
        return self.rng.choice(["nope", "lookup_2", "get_weather"]), {self.key(): self.value(marked) for _ in range(self.rng.randint(0, 3))}


def spaced(rng, value):
    """JSON as models write it."""
    style = rng.random()
    if style < 0.3:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, ensure_ascii=style < 0.45, indent=2 if style > 0.9 else None)


def raw(rng, value):
    """A value between tags: a string as it is."""
    return value if isinstance(value, str) else spaced(rng, value)


def named(rng, call, name="name", arguments="arguments"):
    return '{"%s": "%s", "%s": %s}' % (name, call[0], arguments, spaced(rng, call[1]))


def python_list(rng, calls):
    return "[" + ", ".join(f"{n}({', '.join(f'{k}={v!r}' for k, v in a.items())})" for n, a in calls) + "]"


def deepseek(rng, c, legacy):
    head = f"function<｜tool▁sep｜>{c[0]}\n```json\n{spaced(rng, c[1])}\n```" if legacy else f"{c[0]}<｜tool▁sep｜>{spaced(rng, c[1])}"
    return f"<｜tool▁call▁begin｜>{head}<｜tool▁call▁end｜>"


def dsml(rng, calls, block):
    def parameter(k, v):
        return f'<｜DSML｜parameter name="{k}" string="{"true" if isinstance(v, str) else "false"}">{raw(rng, v)}</｜DSML｜parameter>\n'

    inner = "".join(f'<｜DSML｜invoke name="{n}">\n{"".join(parameter(k, v) for k, v in a.items())}</｜DSML｜invoke>\n' for n, a in calls)
    return f"<｜DSML｜{block}>\n{inner}</｜DSML｜{block}>"


def kimi_k3(rng, calls):
    def argument(k, v):
        kind = "string" if isinstance(v, str) else "boolean" if isinstance(v, bool) else "number" if isinstance(v, (int, float)) else "object" if isinstance(v, dict) else "array" if isinstance(v, list) else "null"
        return f'<|open|>argument key="{k}" type="{kind}"<|sep|>{raw(rng, v)}<|close|>argument<|sep|>'

    inner = "".join(f'<|open|>call tool="{n}" index="{i + 1}"<|sep|>{"".join(argument(k, v) for k, v in a.items())}<|close|>call<|sep|>' for i, (n, a) in enumerate(calls))
    return f"<|open|>tools<|sep|>{inner}<|close|>tools<|sep|>"


def escaped(s):
    return s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def glm(rng, c, newline):
    return f"<tool_call>{c[0]}{newline}" + "".join(f"<arg_key>{k}</arg_key>{newline}<arg_value>{raw(rng, v)}</arg_value>{newline}" for k, v in c[1].items()) + "</tool_call>"


def step3(rng, c):
    inner = "".join(f'<steptml:parameter name="{k}">{raw(rng, v)}</steptml:parameter>' for k, v in c[1].items())
    return f'<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{c[0]}">{inner}</steptml:invoke><｜tool_call_end｜>'


def qwen_xml(rng, c):
    return f"<tool_call>\n<function={c[0]}>\n" + "".join(f"<parameter={k}>\n{raw(rng, v)}\n</parameter>\n" for k, v in c[1].items()) + "</function>\n</tool_call>"


def minimax(rng, calls):
    inner = "".join(f'<invoke name="{n}">\n' + "".join(f'<parameter name="{k}">{escaped(raw(rng, v))}</parameter>\n' for k, v in a.items()) + "</invoke>\n" for n, a in calls)
    return f"<minimax:tool_call>\n{inner}</minimax:tool_call>"


def each(write, between="\n"):
    """A format whose calls stand one after another, with text between them allowed."""
    return {"one": write, "between": between}


def section(write):
    """A format whose calls stand in one section."""
    return {"all": write}


def json_array(rng, calls, **names):
    return "[" + ", ".join(named(rng, c, **names) for c in calls) + "]"


FORMATS = {
    "passthrough": section(lambda r, cs: "<tool_call>" + json_array(r, cs)),
    "json": section(lambda r, cs: named(r, cs[0]) if len(cs) == 1 else json_array(r, cs, arguments=r.choice(["arguments", "parameters"]))),
    "llama": section(lambda r, cs: "<|python_tag|>" + "; ".join(named(r, c, arguments="parameters") for c in cs)),
    "mistral": section(lambda r, cs: "[TOOL_CALLS] " + json_array(r, cs)),
    "qwen": each(lambda r, c: f"<tool_call>\n{named(r, c)}\n</tool_call>"),
    "qwen_xml": each(qwen_xml),
    "qwen_coder": each(qwen_xml),
    "pythonic": section(python_list),
    "sarashina": section(lambda r, cs: "<|tool_calls|>" + repr([{"name": n, "arguments": a} for n, a in cs])),
    "deepseek": section(lambda r, cs: "<｜tool▁calls▁begin｜>" + "\n".join(deepseek(r, c, True) for c in cs) + "<｜tool▁calls▁end｜>"),
    "deepseek31": section(lambda r, cs: "<｜tool▁calls▁begin｜>" + "".join(deepseek(r, c, False) for c in cs) + "<｜tool▁calls▁end｜>"),
    "deepseek32": section(lambda r, cs: dsml(r, cs, "function_calls")),
    "deepseek_v4": section(lambda r, cs: dsml(r, cs, "tool_calls")),
    "glm45_moe": each(lambda r, c: glm(r, c, "\n")),
    "glm47_moe": each(lambda r, c: glm(r, c, "")),
    "step3": section(lambda r, cs: "<｜tool_calls_begin｜>\n" + "\n".join(step3(r, c) for c in cs) + "\n<｜tool_calls_end｜>"),
    "kimik2": section(
        lambda r, cs: "<|tool_calls_section_begin|>"
        + "".join(f"<|tool_call_begin|>functions.{n}:{i}<|tool_call_argument_begin|>{spaced(r, a)}<|tool_call_end|>" for i, (n, a) in enumerate(cs))
        + "<|tool_calls_section_end|>"
    ),
    "kimi_k3": section(kimi_k3),
    "inkling": each(lambda r, c: f"<|message_model|>{c[0]}<|content_invoke_tool_json|>{named(r, c, arguments='args')}<|end_message|>", ""),
    "minimax_m2": section(minimax),
    "cohere": section(lambda r, cs: "<|START_ACTION|>\n" + json_array(r, cs, name="tool_name", arguments="parameters") + "\n<|END_ACTION|>"),
}
THINK, NO_TAG = ("<think>", "</think>"), ("", "</think>")
REASONING = {
    "base": THINK, "deepseek_r1": NO_TAG, "deepseek_v31": THINK, "glm45": THINK, "kimi": ("◁think▷", "◁/think▷"), "kimi_k25": THINK, "kimi_thinking": NO_TAG, "minimax": NO_TAG,
    "nano_v3": THINK, "qwen3": THINK, "qwen3_thinking": NO_TAG, "step3": NO_TAG, "cohere_cmd": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "kimi_k3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"), "inkling": ("<|message_model|><|content_thinking|>", "<|end_message|>"), "passthrough": THINK,
}  # fmt: skip


def markers_of(write, rng):
    """What the format's calls are made of, for strings that look like them."""
    sample = write["all"](rng, [("get_time", {})]) if "all" in write else write["one"](rng, ("get_time", {}))
    parts = sample.split("get_time")
    return [p.strip() for p in parts if p.strip()] + [sample]


def spoil(rng, text):
    for _ in range(rng.randint(1, 3)):
        at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        end = min(end, at + rng.choice([1, 1, 2, 8]))
        text = text[:at] + rng.choice(["", "", text[at:end] * 2, rng.choice(OPENERS)]) + text[end:]
    return text


def finish(rng, kind, text):
    if kind == "cut":
        return text[: rng.randrange(len(text) + 1)]
    return spoil(rng, text) if kind == "broken" and text else text


def tool_reply(name, rng):
    write, kind = FORMATS[name], rng.choice(KINDS)
    marked = kind == "marked"
    make = Maker(rng, markers_of(write, rng))
    calls = [make.call(marked) for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 4]))]
    text = f"<think>{make.text(marked)}</think>" if rng.random() < 0.15 else ""
    text += make.text(marked) + rng.choice(["", "\n", "\n\n"]) if rng.random() < 0.6 or not calls else ""
    if calls and "all" in write:
        text += write["all"](rng, calls)
    for i, call in enumerate(calls if "one" in write else []):
        between = make.text(marked) if kind == "around" and rng.random() < 0.5 else write["between"]
        text += (between if i else "") + write["one"](rng, call)
    if kind in ("around", "marked") and calls:
        text += rng.choice(["\n", "", " "]) + make.text(marked)
    return kind, finish(rng, kind, text)


def thought_reply(name, rng):
    start, end = REASONING[name]
    kind = rng.choice(KINDS)
    marked = kind == "marked"
    make = Maker(rng, [start, end, "<think>", "</think>", "<tool_call>", "<|content_text|>", "<|open|>response<|sep|>"])
    text = make.text(marked, 3) if kind == "around" and rng.random() < 0.5 else ""
    if rng.random() < 0.85:
        text += rng.choice([start, start, "<think>" if start == "" else ""]) + rng.choice(["", "\n"]) + make.text(marked) + rng.choice(["", "\n"]) + rng.choice([end, end, end, ""])
    text += make.text(marked)
    if kind == "around":
        text += rng.choice([f"{start}{make.text()}{end}{make.text()}", "<tool_call>x</tool_call>", ""])
    return kind, finish(rng, kind, text)


def replies(name, count, seed, thoughts=False):
    rng = random.Random(f"{seed} {name} {thoughts}")
    return [(thought_reply if thoughts else tool_reply)(name, rng) for _ in range(count)]
