"""Why an answer of ours may differ from SMG's: the first reason that fits a reply is its reason; a difference without one is a fault. A reason names the formats and kinds of replies that it is good for."""

import itertools
import json
import math
import re

import generate

ANY = set(generate.KINDS)
ODD = {"marked", "cut", "broken"}
SMALLEST = str(-(2**63))
DECLARED = {t["function"]["name"] for t in generate.TOOLS}


def value(arguments):
    try:
        return json.loads(arguments)
    except ValueError:
        return ("no JSON", arguments)


def values(calls):
    return [(name, json.dumps(value(a))) for name, a in calls]


def is_part(few, many):
    """All of FEW stand in MANY, in their order."""
    rest = iter(many)
    return all(one in rest for one in few)


def same(ours, theirs):
    if isinstance(ours, int) or theirs is None:
        return False
    return ours[0] == theirs[0] and (ours[1] == theirs[1] if isinstance(ours[1], str) else values(ours[1]) == values(theirs[1]))


def smallest(name, reply, ours, theirs):
    return ours[0].split() == theirs[0].split() and values(ours[1]) == [(n, v.replace(f'"{SMALLEST}"', SMALLEST)) for n, v in values(theirs[1])]


def undeclared(name, reply, ours, theirs):
    return values([c for c in ours[1] if c[0] in DECLARED]) == values(theirs[1])


def behind(name, reply, ours, theirs):
    return values(ours[1]) == values(theirs[1]) and ours[1] and ours[0].startswith(theirs[0])


def blanks(name, reply, ours, theirs):
    return values(ours[1]) == values(theirs[1]) and ours[1] and "".join(ours[0].split()) == "".join(theirs[0].split())


def recovered(name, reply, ours, theirs):
    """We found all their calls, and more."""
    return len(ours[1]) > len(theirs[1]) and is_part(values(theirs[1]), values(ours[1]))


def later(name, reply, ours, theirs):
    """SMG's calls stand in our text, and ours in SMG's."""
    return ours[1] and theirs[1] and all(f'"name": "{n}"' in theirs[0] for n, _ in ours[1]) and all(f'"name": "{n}"' in ours[0] for n, _ in theirs[1])


def tail(name, reply, ours, theirs):
    return is_part(values(ours[1]), values(theirs[1])) and re.search(r"(<\|python_tag\|>|;)\s*(?![\s{;]|<\|python_tag)", ours[0])


def empty_value(name, reply, ours, theirs):
    return '"></steptml:parameter>' in reply


def no_calls(name, reply, ours, theirs):
    return values(ours[1]) == values(theirs[1])


def in_front(name, reply, ours, theirs):
    start = generate.REASONING[name][0]
    return start and reply.find(start) > 0


CHANNEL_TAGS = ("<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|open|>response<|sep|>", "<|close|>response<|sep|>")


def without_cut(text):
    """TEXT without the tag that it ends in the middle of."""
    cut = max((n for tag in CHANNEL_TAGS for n in range(1, len(tag)) if text.endswith(tag[:n])), default=0)
    return text[: len(text) - cut]


def channel_cut(name, reply, ours, theirs):
    return ours != theirs and [without_cut(o) for o in ours] == [without_cut(t) for t in theirs]


def channel_again(name, reply, ours, theirs):
    def plain(text):
        for tag in CHANNEL_TAGS:
            text = text.replace(tag, "")
        return without_cut(text)

    return [plain(o) for o in ours] == [plain(t) for t in theirs]


def not_opened(name, reply, ours, theirs):
    start, end = generate.REASONING[name]
    return -1 < reply.find(end.removesuffix("<|sep|>").removesuffix("<|sep|")[:12]) and reply.find(start) < 0


# What SMG makes of a damaged reply, rewritten step by step into what we make of it. A step takes (reply, our calls, SMG's calls), calls as [(name, arguments)] with arguments parsed, and
# returns SMG's calls with its one decision undone; it may look at ours only to see where, never to copy what SMG does not have.

PARAMETER_TAGS = {"deepseek32": '<｜DSML｜parameter name="{}" string="{}">', "deepseek_v4": '<｜DSML｜parameter name="{}" string="{}">', "minimax_m2": '<parameter name="{}">', "step3": '<steptml:parameter name="{}">'}


def loose(v):
    """A value whatever type the function declares for it."""
    try:
        return json.dumps(json.loads(v)) if isinstance(v, str) else json.dumps(v)
    except ValueError:
        try:
            return json.dumps(float(v))
        except ValueError:
            return v.strip()


def parted(name, reply, ours, theirs):
    """SMG reads on over a damaged end: of two or more calls one, with all their arguments."""
    out, at = [], 0
    for call in theirs:
        n = 1
        if at < len(ours) and call[0] == ours[at][0] and call != ours[at] and isinstance(call[1], dict):
            merged = {}
            while at + n <= len(ours) and all(isinstance(c[1], dict) for c in ours[at : at + n]):
                merged = {k: loose(v) for c in ours[at : at + n] for k, v in c[1].items()}
                if n > 1 and set(merged) == set(call[1]) and all(any(loose(v) == loose(c[1].get(k)) for c in ours[at : at + n] if k in c[1]) for k, v in call[1].items()):
                    break
                n += 1
            else:
                n = 1
        out += ours[at : at + n] if n > 1 else [call]
        at += n
    return out


def heads(name, reply, calls):
    """Where each of CALLS begins in REPLY, in their order."""
    at, out = 0, []
    for n, _ in calls:
        at = reply.find(n, at)
        out.append(at)
        at += len(n) if at >= 0 else 1
    return out


def foreign(name, reply, ours, theirs):
    """SMG gives a call the arguments of the block behind it, whose name is damaged."""
    if len(ours) != len(theirs) or any(m[0] != r[0] or not isinstance(m[1], dict) or not isinstance(r[1], dict) for m, r in zip(ours, theirs)):
        return theirs
    out = []
    for at, (n, mine), (_, right) in zip(heads(name, reply, theirs), ours, theirs):
        end = reply.find(OPENER[name], at + len(n)) if at >= 0 else -1
        behind = {k for k in right if end >= 0 and k and k in reply[end:]}
        out.append((n, {k: mine[k] if k in mine and k in behind else v for k, v in right.items() if k in mine or k not in behind}))
    return out


def reopened(name, reply, ours, theirs):
    """SMG takes the name that stands behind the first opener, which is none, with what stands behind the second."""
    if len(ours) != len(theirs):
        return theirs
    out = []
    for (n, mine), (m, right) in zip(ours, theirs):
        opener = re.escape(OPENER[name])
        fits = n != m and re.search(opener + ".{0,9}?" + re.escape(m) + ".*?" + opener + ".{0,9}?" + re.escape(n), reply, re.DOTALL)
        out.append((n, mine if isinstance(right, dict) and isinstance(mine, dict) and {k: loose(v) for k, v in mine.items()} == {k: loose(v) for k, v in right.items()} else right) if fits else (m, right))
    return out


def key_tail(name, reply, ours, theirs):
    return [(n, {k.rpartition("<arg_key>")[2].strip(): v for k, v in a.items()} if isinstance(a, dict) else a) for n, a in theirs]


def name_tail(name, reply, ours, theirs):
    return [(re.split(r"[<\s]", n.rpartition("<tool_call>")[2].strip())[0], a) for n, a in theirs]


def tag_in_name(name, reply, ours, theirs):
    return [(n, {k: v for k, v in a.items() if not n.endswith("<parameter=" + k)} if isinstance(a, dict) else a) for n, a in theirs]


def nameless(name, reply, ours, theirs):
    return [c for c in theirs if c[0].strip()]


def prose(name, reply, ours, theirs):
    return [c for c in theirs if c[1] or not re.search(r"<tool_call>\s*" + re.escape(c[0]) + r"\s+[^<\s]", reply)]


def readable(name, reply, ours, theirs):
    """Arguments that only we have, of tags that are not as they should be."""
    if len(ours) != len(theirs) or name not in PARAMETER_TAGS:
        return theirs
    out = []
    for (n, mine), (m, right) in zip(ours, theirs):
        extra = {}
        if n == m and isinstance(mine, dict) and isinstance(right, dict):
            extra = {k: v for k, v in mine.items() if k not in right and sum(reply.count(tag) for tag in {PARAMETER_TAGS[name].format(k, b) for b in ("true", "false")}) < sum(k in a for _, a in ours)}
        inside = {k for k in (right if extra else ()) if k not in mine and any(f'name="{k}"' in str(v) for v in extra.values())}
        out.append((m, {**{k: v for k, v in right.items() if k not in inside}, **extra}))
    return out


def rounded(name, reply, ours, theirs):
    def near(mine, right):
        if isinstance(mine, float) and isinstance(right, float):
            return mine if math.isclose(mine, right, rel_tol=1e-15) else right
        if isinstance(mine, list) and isinstance(right, list) and len(mine) == len(right):
            return [near(m, r) for m, r in zip(mine, right)]
        if isinstance(mine, dict) and isinstance(right, dict):
            return {k: near(mine[k], v) if k in mine else v for k, v in right.items()}
        return right

    return [(r[0], near(m[1], r[1])) for m, r in zip(ours, theirs)] if len(ours) == len(theirs) else theirs


def whole_number(name, reply, ours, theirs):
    return [(n, json.loads(json.dumps(a).replace(f'"{SMALLEST}"', SMALLEST))) for n, a in theirs]


def in_string(name, reply, ours, theirs):
    """Calls that stand in a string of an argument of ours."""
    strings = [json.dumps(a, ensure_ascii=False) for _, a in ours]
    return [c for c in theirs if not any(MARKER[name] + c[0] in s for s in strings)]


def saved(name, reply, ours, theirs):
    """SMG lacks calls that we have, in their order."""
    return ours if len(theirs) < len(ours) and is_part(hashable(theirs), hashable(ours)) else theirs


def hashable(calls):
    return [(n, json.dumps(a, sort_keys=True)) for n, a in calls]


OPENER = {"glm45_moe": "<tool_call>", "glm47_moe": "<tool_call>", "deepseek32": "<｜DSML｜invoke", "deepseek_v4": "<｜DSML｜invoke", "minimax_m2": "<invoke", "step3": "<｜tool_call_begin｜>", "qwen_xml": "<tool_call>", "qwen_coder": "<tool_call>", "kimi_k3": "<|open|>call"}
MARKER = {"deepseek": "", "deepseek31": "<｜tool▁call▁begin｜>", "kimik2": "<|tool_call_begin|>functions."}


def parsed(calls):
    return [(n, value(a)) for n, a in calls]


GLM, DSML = {"glm45_moe", "glm47_moe"}, {"deepseek32", "deepseek_v4"}
JSON_LIKE = {"json", "llama", "mistral", "qwen"}
XML_LIKE = {"qwen_xml", "qwen_coder", "glm45_moe", "glm47_moe", "minimax_m2", "deepseek32", "deepseek_v4", "step3", "kimi_k3"}
TOOLS = [
    ("smallest", smallest, {"pythonic", "sarashina"}, ANY, f"A fault of SMG's: in Python literals it makes the smallest 64-bit number, {SMALLEST}, a string. Here it is a number."),
    ("undeclared", undeclared, {"inkling"}, ANY, "Decision: a call of a function that was not offered is told like any other. SMG drops it, in this format only."),
    ("behind", behind, {"qwen", "qwen_xml", "qwen_coder", "llama"}, ANY, "Better: text between and behind calls is content. SMG loses it."),
    ("blanks", blanks, set(generate.FORMATS), ANY, "White space between calls and behind the last is formatting, not content."),
    ("llama-end", recovered, {"llama"}, ANY, "Better: text may stand behind the last object, `;` inside strings does not cut, and a tag may be repeated. SMG then reads the object, or all of them, as text."),
    ("json-first", recovered, {"json"}, ODD, "Better: the first JSON that *is* a call counts, also where a quote or a bracket in the prose in front of it, or a broken array around it, is not closed. SMG gives all up."),
    ("json-prose", no_calls, {"json"}, ODD, "Better: JSON that is no call stays in the text. SMG takes the first valid JSON out, whatever it is."),
    ("json-later", later, {"json"}, ODD, "Better: the first JSON that is a call counts, also where a broken array around it goes on. SMG reads the calls behind it, and leaves this one in the text."),
    ("empty", empty_value, {"step3"}, ANY, "A fault of SMG's: of a parameter with an empty value it takes the next parameter's tag as the value, and a call without parameters it does not see. Here they are an empty value and a call."),
    ("unclosed", recovered, ANY | JSON_LIKE | XML_LIKE | {"kimik2", "deepseek", "deepseek31", "pythonic", "sarashina", "inkling"}, ODD, "Better, and the law (decisions 19): a call that is whole counts although its section or its last tag is cut off or broken, or another stands further on. Streaming has told it by then. SMG wants the whole section."),
    ("cut-text", no_calls, ANY | JSON_LIKE | XML_LIKE | {"inkling", "pythonic", "sarashina", "deepseek", "kimik2"}, ODD, "The same calls, other text around a broken or unfinished block: what may have been a marker is text once the reply ends, and blanks around a block that was dropped stay."),
    ("tail", tail, {"llama"}, {"broken"}, "Behind the tag or ';' no object begins, its brace is lost: what stands there is text, as code is. SMG cuts at each ';' and reads the next."),
]  # fmt: skip
STEPS = [
    ("damaged-key", key_tail, GLM, "A fault of SMG's: a key whose value has a damaged tag is joined with all up to the next key. Here it is passed over."),
    ("name-end", name_tail, GLM, "The name ends at white space or markup, and behind the last opener. SMG's pattern takes all up to the line's end."),
    ("name-tag", tag_in_name, {"qwen_xml", "qwen_coder"}, "A tag that a damaged one swallowed is a part of the name. SMG reads it twice, as the name's part and as a parameter."),
    ("nameless", nameless, DSML | {"minimax_m2"}, "A call with an empty name is none."),
    ("prose", prose, GLM, "Behind an opener stands prose, more words than a name: no call. SMG makes one of its first word."),
    ("readable", readable, set(PARAMETER_TAGS), "Better: an argument counts when its name can be read, although its tag is damaged elsewhere. SMG skips it."),
    ("rounding", rounded, set(generate.FORMATS), "A fault of SMG's: a number that needs rounding is off by its last digit. Here it is the nearest double."),
    ("smallest", whole_number, {"pythonic", "sarashina"}, ""),
    ("in-string", in_string, set(MARKER), "A fault of SMG's: it reads calls out of the strings of another call's arguments, and loses that."),
    ("foreign", foreign, set(OPENER), "A fault of SMG's: behind a damaged end it gives a call the arguments of the next, whose name is damaged. Here a call has its own."),
    ("reopened", reopened, set(OPENER), "Better: an opener that nothing useful follows is forgotten when the next comes. SMG takes its name with the next one's arguments."),
    ("parted", parted, set(OPENER), "Better: where a call's end is damaged the next opener begins another. SMG makes one call of the two, with the arguments of both."),
    ("unclosed", saved, set(generate.FORMATS), ""),
]  # fmt: skip
MOST_STEPS = 3
BROKEN = ("broken", "Several kinds of damage in one reply, more than the reasons above tell apart.")


def steps_of(name, reply, ours, theirs):
    """The fewest steps that make SMG's calls ours; () when none do."""
    mine, right = parsed(ours[1]), parsed(theirs[1])
    fit = [(key, step) for key, step, formats, _ in STEPS if name in formats]
    for n in range(1, MOST_STEPS + 1):
        for chosen in itertools.combinations(fit, n):
            calls = right
            for _, step in chosen:
                calls = step(name, reply, mine, calls)
            if hashable(calls) == hashable(mine):
                return tuple(key for key, _ in chosen)
    return ()


THOUGHTS = [
    ("front", in_front, set(generate.REASONING), ANY, "Better: text in front of the start tag is text. SMG makes it a thought (kimi_k3: loses it)."),
    ("not-opened", not_opened, {"kimi_k3"}, ANY, "The law (decisions 19): an end tag that no start tag came before ends nothing, what stood before it has gone out as text. SMG makes it a thought when it sees the whole. Who knows that the prompt opened the thought says so."),
    ("channel-cut", channel_cut, {"kimi_k3"}, ODD, "A tag that the reply ends in the middle of stays in the text or the thought, as in every format. SMG takes it out."),
    ("channel-again", channel_again, {"kimi_k3"}, ODD | {"around"}, "The tags of channels are never content: one that stands where it opens or ends nothing is taken out. SMG leaves it in."),
]  # fmt: skip


def reason(name, kind, reply, ours, theirs, thoughts):
    """The first that fits, or None."""
    if isinstance(ours, int) or theirs is None:
        return None
    for key, fits, formats, kinds, _ in THOUGHTS if thoughts else TOOLS:
        if name in formats and kind in kinds and fits(name, reply, ours, theirs):
            return key
    if thoughts or kind not in ODD | {"around"}:
        return None
    steps = steps_of(name, reply, ours, theirs)
    return steps[0] if steps else BROKEN[0] if kind in ("marked", "broken") and name in OPENER else None


def sentences():
    """(reason, what it says), in the order of the page."""
    return [(r[0], r[4]) for r in TOOLS] + [(r[0], r[3]) for r in STEPS if r[3]] + [BROKEN] + [(r[0], r[4]) for r in THOUGHTS]
