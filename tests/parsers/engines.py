"""The parsers of tool calls against those of SGLang and vLLM: engines.py --build DIR [--sglang PYTHON:ROOT] [--vllm PYTHON:ROOT] [--count N] [--seed N] [--only NAME,...] [--write PAGE]

SMG's own parsers are the oracle for the formats that SMG has (agreement.py); this is one for the others that an engine reads, and a second one for some of SMG's. Replies are made up as generate.py does, as models write
them that do what their templates say: text, then up to four calls. Calls (names, arguments as JSON values) and content (but for white space at its ends) are compared each for itself; what differs must have a reason
below, else it is printed, and the exit status is 1. PYTHON has the packages that the parsers import, ROOT is the unpacked wheel; engine_host.py runs there.
"""

import argparse
import collections
import html
import json
import pathlib
import random
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import generate  # noqa: E402
import probe  # noqa: E402
from generate import each, json_array, named, python_list, raw, section, spaced  # noqa: E402


def escape_list(rng, value, quote):
    """The notation of FunctionGemma and Gemma 4: texts between QUOTEs, keys bare."""
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{escape_list(rng, v, quote)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(escape_list(rng, v, quote) for v in value) + "]"
    return json.dumps(value)


def keyed(rng, c, opener, key, key_end, value, value_end, closer, newline="\n"):
    return f"{opener}{c[0]}" + "".join(f"{newline}{key}{k}{key_end}{newline if key_end else ''}{value}{raw(rng, v)}{value_end}" for k, v in c[1].items()) + f"{newline}{closer}"


def invoke(rng, calls, outer, parameter, close):
    inner = "".join(f'<invoke name="{n}">\n' + "".join(f'<{parameter} name="{k}">{raw(rng, v)}</{parameter}>\n' for k, v in a.items()) + "</invoke>\n" for n, a in calls)
    return f"<{outer}>\n{inner}</{close}>"


def gcml(rng, calls):
    return generate.dsml(rng, calls, "tool_calls").replace("｜DSML｜", "｜GCML｜")


M3 = "]<]minimax[>["


def m3_value(rng, v):
    if isinstance(v, dict):
        return "".join(f"{M3}<{k}>{m3_value(rng, x)}{M3}</{k}>" for k, x in v.items())
    if isinstance(v, list):
        return "".join(f"{M3}<item>{m3_value(rng, x)}{M3}</item>" for x in v)
    return raw(rng, v)


def m3(rng, calls):
    return f"{M3}<tool_call>\n" + "".join(f'{M3}<invoke name="{n}">' + "".join(f"{M3}<{k}>{m3_value(rng, v)}{M3}</{k}>" for k, v in a.items()) + f"{M3}</invoke>\n" for n, a in calls) + f"{M3}</tool_call>"


FORMATS = {
    "apertus": (section(lambda r, cs: "<|tools_prefix|>[" + ", ".join('{"%s": %s}' % (n, spaced(r, a)) for n, a in cs) + "]<|tools_suffix|>"), "apertus2509", "apertus"),
    "dots": (section(lambda r, cs: invoke(r, cs, "dots_function_call", "parameter", "dots_function_call")), "dots", "dots"),
    "ernie45": (each(lambda r, c: f"<tool_call>\n{named(r, c)}\n</tool_call>"), None, "ernie45"),
    "functiongemma": (each(lambda r, c: f"<start_function_call>call:{c[0]}{escape_list(r, c[1], '<escape>')}<end_function_call>", ""), None, "functiongemma"),
    "gemma4": (each(lambda r, c: f"<|tool_call>call:{c[0]}{escape_list(r, c[1], '<|' + chr(34) + '|>')}<tool_call|>", ""), "gemma4", "gemma4"),
    "gigachat3": ({"last": lambda r, c: f"<|message_sep|>\n\nfunction call<|role_sep|>\n{named(r, c)}</s>"}, "gigachat3", "gigachat3"),
    "gigachat35": (section(gcml), "gigachat35", None),
    "granite": (section(lambda r, cs: "<|tool_call|>" + json_array(r, cs)), None, "granite"),
    "granite4": (each(lambda r, c: f"<tool_call> {named(r, c)} </tool_call>"), None, "granite4"),
    "granite_20b_fc": (each(lambda r, c: f"<function_call> {named(r, c)}"), None, "granite-20b-fc"),
    "hunyuan_a13b": (section(lambda r, cs: f"<tool_calls>{json_array(r, cs)}</tool_calls>"), None, "hunyuan_a13b"),
    "hy_v3": (
        section(lambda r, cs: "<tool_calls>\n" + "\n".join(keyed(r, (c[0] + "<tool_sep>", c[1]), "<tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>") for c in cs) + "\n</tool_calls>"),
        "hunyuan",
        "hy_v3",
    ),
    "internlm": ({"last": lambda r, c: f"<|action_start|> <|plugin|>{named(r, c, arguments='parameters')}<|action_end|>"}, "interns1", "internlm"),
    "jamba": (section(lambda r, cs: "<tool_calls>[\n    " + ",\n    ".join(named(r, c) for c in cs) + "\n]</tool_calls>"), None, "jamba"),
    "k2_horizon": (
        section(lambda r, cs: "<ifm|tool_calls>\n" + "\n".join(keyed(r, c, "<ifm|tool_call>", "<ifm|arg_key>", "</ifm|arg_key>", "<ifm|arg_value>", "</ifm|arg_value>", "</ifm|tool_call>") for c in cs) + "\n</ifm|tool_calls>"),
        "k2_horizon",
        "k2_horizon",
    ),
    "lfm2": (section(lambda r, cs: f"<|tool_call_start|>{python_list(r, cs)}<|tool_call_end|>"), "lfm2", "lfm2"),
    "longcat": (each(lambda r, c: f"<longcat_tool_call>{named(r, c)}</longcat_tool_call>"), None, "longcat"),
    "minicpm5": (each(lambda r, c: f'<function name="{c[0]}">' + "".join(f'<param name="{k}"><![CDATA[{raw(r, v)}]]></param>' for k, v in c[1].items()) + "</function>", ""), "minicpm5", "minicpm5"),
    "minimax_m3": (section(m3), "minimax-m3", "minimax_m3"),
    "olmo3": (section(lambda r, cs: "<function_calls>" + "\n".join(f"{n}({', '.join(f'{k}={v!r}' for k, v in a.items())})" for n, a in cs) + "</function_calls>"), None, "olmo3"),
    "phi4_mini_json": (section(lambda r, cs: "functools" + json_array(r, cs)), None, "phi4_mini_json"),
    "seed_oss": (each(lambda r, c: f"<seed:tool_call>\n<function={c[0]}>\n" + "".join(f"<parameter={k}>{raw(r, v)}</parameter>\n" for k, v in c[1].items()) + "</function>\n</seed:tool_call>"), None, "seed_oss"),
    "trinity": (each(lambda r, c: f"<tool_call>\n{named(r, c)}\n</tool_call>"), "trinity", None),
    "xlam": (section(lambda r, cs: f"```json\n{json_array(r, cs)}\n```"), None, "xlam"),
    "qwen": (generate.FORMATS["qwen"], "qwen25", "hermes"),
    "qwen_xml": (generate.FORMATS["qwen_xml"], "qwen3_coder", "qwen3_xml"),
    "glm45_moe": (generate.FORMATS["glm45_moe"], "glm45", "glm45"),
    "glm47_moe": (generate.FORMATS["glm47_moe"], "glm47", "glm47"),
    "kimik2": (generate.FORMATS["kimik2"], "kimi_k2", "kimi_k2"),
    "deepseek31": (generate.FORMATS["deepseek31"], "deepseekv31", "deepseek_v31"),
    "minimax_m2": (generate.FORMATS["minimax_m2"], "minimax-m2", "minimax_m2"),
    "step3": (generate.FORMATS["step3"], "step3", "step3"),
    "llama": (generate.FORMATS["llama"], "llama3", "llama3_json"),
}


def reply(write, rng):
    make = generate.Maker(rng, [])
    calls = [make.call(False) for _ in range(rng.choice([1, 1, 2, 3, 4]))]
    calls = [c for c in calls if c[0] in {t["function"]["name"] for t in generate.TOOLS}] or [("search", {"q": make.string(False)})]
    text = make.text() + rng.choice(["", "\n", "\n\n"]) if rng.random() < 0.5 else ""
    if "all" in write:
        return text + write["all"](rng, calls)
    if "last" in write:
        return text + write["last"](rng, calls[0])
    return text + write["between"].join(write["one"](rng, c) for c in calls)


class Engine:
    def __init__(self, kind, where):
        python, root = where.split(":")
        host = str(pathlib.Path(__file__).parent / "engine_host.py")
        self.process = subprocess.Popen([python, host, kind, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, name, texts):
        self.process.stdin.write(json.dumps({"name": name, "tools": generate.TOOLS, "texts": texts}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def value(text):
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return ("no JSON", text)


def show(calls):
    return [(n, value(a)) for n, a in calls]


DECLARED = {t["function"]["name"]: set(t["function"]["parameters"]["properties"]) for t in generate.TOOLS}
PYTHON = {"True": "true", "False": "false", "None": "null"}


def plain(v, steps, depth=0):
    """V without what the reasons in STEPS allow to differ."""
    if isinstance(v, dict):
        return {k: plain(x, steps, depth + 1) for k, x in v.items()} if v or "nested" not in steps or depth < 2 else ""
    if isinstance(v, list):
        return [plain(x, steps, depth + 1) for x in v] if v or "nested" not in steps or depth < 2 else ""
    if isinstance(v, float) and "whole" in steps and v == int(v):
        v = int(v)
    if "words" in steps and (v is None or isinstance(v, bool) or v in PYTHON):
        v = PYTHON.get(v if isinstance(v, str) else str(v))
    if isinstance(v, str) and "space" in steps:
        v = v.strip()
    if "nested" in steps and depth > 1:
        v = v if isinstance(v, str) else json.dumps(v)
        try:
            return str(float(v))
        except ValueError:
            pass
    return v


def rest(calls, steps):
    """The calls without what STEPS allow to differ."""
    out = []
    for name, arguments in calls:
        if isinstance(arguments, dict) and "undeclared" in steps:
            arguments = {k: v for k, v in arguments.items() if k in DECLARED.get(name, ())}
        out.append((name, plain(arguments, steps)))
    return json.dumps(out)


STEPS = [
    ("whole", "`1000.0` for a parameter that is declared a number: a whole number to them, as it is written here."),
    ("space", "White space at the ends of a text value: some engines strip it, or one line feed of it; here each format does as SMG does, or, where SMG has none, as the first of its engines."),
    ("undeclared", "A parameter that the schema does not declare is text to them; here it is JSON when it is JSON, as in SMG."),
    ("words", "A text value that is a word like `null` or `true`: they make it null, a boolean, or Python's word for it, although the schema says text."),
    ("nested", "A value inside a list or an object of which the schema says no more: text to them, JSON here; nothing between its tags is an empty text here."),
]
OTHERS = {
    "content": "The calls are the same. Text in front of them is content here; they leave it out.",
    "texts-only": "vLLM's `functiongemma` reads only values in `<escape>`; numbers, lists and all else are lost.",
    "blank": "vLLM's `internlm` knows the two opening tags without a blank between them only.",
    "bracket": "vLLM's `phi4_mini_json` ends the list at its first `]`, also inside of arguments.",
    "refused": "SGLang's `minicpm5` makes no call of one with a parameter that is not declared; vLLM's `olmo3` of none with a keyword beyond ASCII.",
    "items": "A list inside of what the schema says no more about, told in `item` elements: a list here and to SGLang; to vLLM an object with a member `item`.",
    "entities": "MiniMax M2 is told to escape `&` and `<` in values: `&lt;` is `<` here, as in SMG. Both leave it as it came.",
    "step3-values": "step3's values are read here without the schema, as in SMG. Both read them by it; vLLM leaves lists and objects texts, SGLang's pattern ends a value at its first `<`.",
    "empty-call": "A call of step3 without parameters: none here and in SMG, a call to vLLM, left out of the text by SGLang.",
}


def reason(name, kind, text, ours, theirs):
    if isinstance(ours, int):
        return None
    a, b = show(ours[1]), show(theirs[1])
    if json.dumps(a) == json.dumps(b):
        return "equal" if ours[0].strip() == theirs[0].strip() else "empty-call" if name == "step3" else "content"
    steps = []
    for step, _ in STEPS:
        steps.append(step)
        if rest(a, steps) == rest(b, steps):
            return step
    if name == "minimax_m2" and "&" in text and html.unescape(rest(a, steps)) == html.unescape(rest(b, steps)):
        return "entities"
    if (name, kind) == ("minimax_m3", "vllm") and "<item>" in text and [n for n, _ in a] == [n for n, _ in b]:
        return "items"
    if name == "step3" and [n for n, _ in a] == [n for n, _ in b]:
        return "step3-values"
    if name == "step3" and len(a) < len(b):
        return "empty-call"
    if name == "olmo3" and not b and not text.isascii():
        return "refused"
    if (name, kind) == ("functiongemma", "vllm"):
        return "texts-only"
    if (name, kind) == ("internlm", "vllm") and "<|action_start|> <|plugin|>" in text and not b:
        return "blank"
    if (name, kind) == ("phi4_mini_json", "vllm") and text.count("]") > 1:
        return "bracket"
    if name == "minicpm5" and len(b) < len(a):
        return "refused"
    return None


def code(v):
    return "<code>" + html.escape(repr(v), quote=False).replace("|", "&#124;") + "</code>"


def page(rows, examples, args):
    lines = [
        "# How far the parsers agree with SGLang's and vLLM's",
        "",
        f"[parser-agreement.md](parser-agreement.md) holds the formats that SMG has against SMG. This page holds the others, and some of SMG's, against the engines' own parsers: of SGLang {args.versions[0]} and vLLM {args.versions[1]}, which",
        f"were asked without their engines (`tests/parsers/engine_host.py`). {args.count:,} replies for each, made up by `tests/parsers/engines.py` as models write them that do what their templates say: text, then calls.",
        "Equal means the same calls in the same order, arguments as JSON values, and the same content but for white space at its ends. `minimax_m1`, `nemotron_json` and `solar_open2` are read by neither.",
        "",
        "This page is written by (Python 3.12, wheels of several hundred megabytes, so that it is no part of the tests)",
        "",
        "```text",
        f"pip download sglang=={args.versions[0]} vllm=={args.versions[1]} --no-deps --only-binary=:all: --platform manylinux_2_28_x86_64 --python-version 312 -d wheels",
        "unzip -q wheels/sglang-*.whl '*.py' -d sglang; unzip -q wheels/vllm-*.whl '*.py' -d vllm",
        "python3.12 -m venv oracle; oracle/bin/pip install pydantic orjson partial-json-parser regex msgspec openai",
        f".venv/bin/python tests/parsers/engines.py --build build --sglang oracle/bin/python:sglang --vllm oracle/bin/python:vllm --count {args.count} --write docs/parser-agreement-engines.md",
        "```",
        "",
        "| Format | engine's name | equal | reasons for what is not |",
        "|---|---|---|---|",
    ]
    for name, kind, theirs, count in rows:
        why = ", ".join(f"[{k}](#{k}) {n:,}" for k, n in count.most_common() if k != "equal") or "-"
        lines.append(f"| `{name}` | {kind} `{theirs}` | {100 * count['equal'] / args.count:.2f} % | {why} |")
    lines += ["", "## Reasons", "", "Each with the shortest reply found.", ""]
    for key, sentence in STEPS + list(OTHERS.items()):
        if key in examples:
            name, kind, text, a, b = examples[key]
            lines += [f"### {key}", "", sentence, "", f"| `{name}` | {code(text)} |", "|---|---|", f"| here | {code((a[0], a[1]))} |", f"| {kind} | {code((b[0], [tuple(c) for c in b[1]]))} |", ""]
    return "\n".join(lines)


def compare(name, write, engines, ours, args, rows, examples):
    """How many differ without a reason."""
    rng, faults = random.Random(f"{args.seed} {name}"), 0
    texts = [reply(write, rng) for _ in range(args.count)]
    mine = ours.ask(name, texts, generate.TOOLS)
    for kind, engine, theirs in engines:
        count, left = collections.Counter(), []
        for text, a, b in zip(texts, mine, engine.ask(theirs, texts)):
            why = reason(name, kind, text, a, b)
            count[why or "FAULT"] += 1
            if not why:
                left.append((text, a, b))
            elif why != "equal" and (why not in examples or len(text) < len(examples[why][2])):
                examples[why] = (name, kind, text, a, b)
        rows.append((name, kind, theirs, count))
        faults += len(left)
        print(f"{name:15} {kind:7} {dict(count)}", flush=True)
        for text, a, b in sorted(left, key=lambda f: len(f[0]))[:3]:
            print(f"   {text!r}\n      ours {a if isinstance(a, int) else (a[0], show(a[1]))}\n      them {(b[0], show(b[1]), *b[2:])}")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--sglang", help="PYTHON:ROOT")
    parser.add_argument("--vllm", help="PYTHON:ROOT")
    parser.add_argument("--versions", nargs=2, default=["0.5.23", "0.33.0"], help="of SGLang and vLLM, for the page")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="names, with commas between")
    parser.add_argument("--write", type=pathlib.Path, help="the page to write")
    args = parser.parse_args()
    running = {k: Engine(k, w) for k, w in (("sglang", args.sglang), ("vllm", args.vllm)) if w}
    ours, rows, examples, faults = probe.Probe(args.build.resolve()), [], {}, 0
    for name, (write, *names) in FORMATS.items():
        engines = [(k, running[k], n) for k, n in zip(("sglang", "vllm"), names) if n and k in running]
        if not args.only or name in args.only.split(","):
            faults += compare(name, write, engines, ours, args, rows, examples)
    for engine in running.values():
        engine.close()
    ours.close()
    if args.write:
        args.write.write_text(page(rows, examples, args))
    print(f"{sum(r[3]['equal'] for r in rows):,} of {sum(sum(r[3].values()) for r in rows):,} equal, {faults:,} without a reason")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
