"""Why an answer of ours may differ from SMG's: the first reason that fits a reply is its reason; a difference without one is a fault. A reason names the formats and kinds of replies that it is good for."""

import json
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


def missed(name, reply, ours, theirs):
    return len(ours[1]) < len(theirs[1]) and is_part(values(ours[1]), values(theirs[1]))


OPENERS = {"glm45_moe": "<tool_call>", "glm47_moe": "<tool_call>", "minimax_m2": '<invoke name="', "deepseek32": '<｜DSML｜invoke name="', "deepseek_v4": '<｜DSML｜invoke name="', "step3": "<｜tool_call_begin｜>"}
CLOSERS = {"glm45_moe": "</tool_call>", "glm47_moe": "</tool_call>", "minimax_m2": "</invoke>", "deepseek32": "</｜DSML｜invoke>", "deepseek_v4": "</｜DSML｜invoke>", "step3": "<｜tool_call_end｜>"}


def blocks(name, reply):
    """What stands between each opener and the next closer, or the end."""
    return [b.split(CLOSERS[name])[0] for b in re.split(f"(?<!{re.escape(OPENERS[name])}){re.escape(OPENERS[name])}", reply)[1:]]


def anew(name, reply, ours, theirs):
    """A block is opened again before it is closed, and we found as many calls or more."""
    opener, closer = re.escape(OPENERS[name]), re.escape(CLOSERS[name])
    return re.search(f"{opener}(?:(?!{closer}).)*{opener}", reply, re.S) and len(ours[1]) >= len(theirs[1])


def no_arguments(name, reply, ours, theirs):
    """Behind the name of some block stands something that is no argument."""
    return len(ours[1]) < len(theirs[1]) and any(re.match(r"\s*[^\s<]+\s*(?!<arg_key>)\S", b) for b in blocks(name, reply))


def empty_value(name, reply, ours, theirs):
    return '"></steptml:parameter>' in reply


def other(name, reply, ours, theirs):
    return True


def no_calls(name, reply, ours, theirs):
    return values(ours[1]) == values(theirs[1])


def in_front(name, reply, ours, theirs):
    start = generate.REASONING[name][0]
    return start and reply.find(start) > 0


def not_opened(name, reply, ours, theirs):
    start, end = generate.REASONING[name]
    return -1 < reply.find(end.removesuffix("<|sep|>").removesuffix("<|sep|")[:12]) and reply.find(start) < 0


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
    ("json-later", other, {"json"}, ODD, "Better: as the two above, together: SMG stops at the first valid JSON, call or not."),
    ("empty", empty_value, {"step3"}, ANY, "A fault of SMG's: of a parameter with an empty value it takes the next parameter's tag as the value, and a call without parameters it does not see. Here they are an empty value and a call."),
    ("unclosed", recovered, ANY | JSON_LIKE | XML_LIKE | {"kimik2", "deepseek", "deepseek31", "pythonic", "sarashina", "inkling"}, ODD, "Better, and the law (decisions 19): a call that is whole counts although its section or its last tag is cut off or broken, or another stands further on. Streaming has told it by then. SMG wants the whole section."),
    ("cut-text", no_calls, ANY | JSON_LIKE | XML_LIKE | {"inkling", "pythonic", "sarashina", "deepseek", "kimik2"}, ODD, "The same calls, other text around a broken or unfinished block: what may have been a marker is text once the reply ends, and blanks around a block that was dropped stay."),
    ("anew", anew, set(OPENERS), {"marked", "broken"}, "Better: an opener that another one follows before its closer was prose, or the model began once more: the last one counts. SMG reads from the first one on, and makes a call of whatever word stands behind it."),
    ("no-arguments", no_arguments, {"glm45_moe", "glm47_moe"}, {"marked", "broken"}, "Decision: behind the name of a GLM call stand arguments or nothing; else it is text (models quote these tags). SMG takes the first word between the tags for a name, whatever follows."),
    ("llama-broken", missed, {"llama"}, {"marked", "broken"}, "Decision: behind an object that is broken only one with a tag of its own is a call. SMG cuts the reply at every `;`, also inside strings, and tries each piece."),
    ("cut-open", missed, XML_LIKE | {"mistral", "inkling", "pythonic", "sarashina", "kimik2", "deepseek", "deepseek31", "qwen"}, {"marked", "broken"}, "A block whose own closer is damaged ends at the next closer, so that the call behind it belongs to it. SMG looks for every call by itself. Streaming cannot: it would have to take back what it held as a block."),
    ("attributes", lambda name, reply, ours, theirs: len(ours[1]) == len(theirs[1]), XML_LIKE, {"marked", "broken"}, "Broken tags inside a call: an element whose tag is damaged is read up to its end here, skipped or joined with the next by SMG. Neither is right or wrong."),
    ("broken", other, JSON_LIKE | XML_LIKE | {"deepseek", "deepseek31", "pythonic", "sarashina", "kimik2", "inkling"}, {"marked", "broken"}, "Broken blocks of several kinds in one reply, of which one side saves these calls, the other those."),
]  # fmt: skip
THOUGHTS = [
    ("front", in_front, set(generate.REASONING), ANY, "Better: text in front of the start tag is text. SMG makes it a thought (kimi_k3: loses it)."),
    ("not-opened", not_opened, {"kimi_k3"}, ANY, "The law (decisions 19): an end tag that no start tag came before ends nothing, what stood before it has gone out as text. SMG makes it a thought when it sees the whole. Who knows that the prompt opened the thought says so."),
    ("channels", other, {"kimi_k3"}, ODD | {"around"}, "Unfinished or repeated tags of kimi_k3's channels: a tag that is cut off stays in the text or the thought once the reply ends, a start tag inside a thought is taken out. SMG does the reverse."),
]  # fmt: skip


def reason(name, kind, reply, ours, theirs, thoughts):
    """The first that fits, or None."""
    if isinstance(ours, int) or theirs is None:
        return None
    for key, fits, formats, kinds, _ in THOUGHTS if thoughts else TOOLS:
        if name in formats and kind in kinds and fits(name, reply, ours, theirs):
            return key
    return None
