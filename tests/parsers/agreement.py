"""The parsers of tool calls and of thoughts against SMG itself: agreement.py --build DIR [--count N] [--seed N] [--only NAME,...] [--smg PYTHON] [--write PAGE]

For each parser that SMG has, COUNT replies made by generate.py are parsed by both: content, calls (names, arguments as JSON values) or thoughts must be the same, and ours the same whole and
byte by byte. What differs must have a reason (reasons.py), else it is printed, and the exit status is 1.
"""

import argparse
import collections
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import generate  # noqa: E402
import oracles  # noqa: E402
import probe  # noqa: E402
import reasons  # noqa: E402

PART = 2000


class Tally:
    def __init__(self, name, thoughts):
        self.name, self.thoughts, self.replies, self.equal = name, thoughts, 0, 0
        self.reasons, self.kinds, self.faults = collections.Counter(), collections.Counter(), []


def compare(name, thoughts, count, seed, ours, theirs, examples):
    tally = Tally(name, thoughts)
    replies = generate.replies(name, count, seed, thoughts)
    for at in range(0, count, PART):
        part = replies[at : at + PART]
        texts = [text for _, text in part]
        answers = zip(part, ours.ask(name, texts, generate.TOOLS, thoughts), theirs.ask(name, texts, generate.TOOLS, thoughts))
        for (kind, text), mine, right in answers:
            tally.replies += 1
            if reasons.same(mine, right):
                tally.equal += 1
                continue
            why = reasons.reason(name, kind, text, mine, right, thoughts)
            if not why:
                tally.faults.append((kind, text, mine, right))
                continue
            tally.reasons[why] += 1
            tally.kinds[kind] += 1
            if why not in examples or len(text) < len(examples[why][1]):
                examples[why] = (name, text, mine, right)
    return tally


def run(build, count, seed=1, only=None, python=sys.executable, say=lambda line: None):
    """(tallies, examples)"""
    ours, theirs, tallies, examples = probe.Probe(build), oracles.Smg(python), [], {}
    try:
        for thoughts, formats in ((False, generate.FORMATS), (True, generate.REASONING)):
            for name in formats:
                if not only or name in only:
                    start = time.monotonic()
                    t = compare(name, thoughts, count, seed, ours, theirs, examples)
                    tallies.append(t)
                    say(f"{'FAULT' if t.faults else 'good '} {'thoughts' if thoughts else 'calls':8} {name:15} {100 * t.equal / t.replies:6.2f} % equal {dict(t.reasons)} {time.monotonic() - start:.1f} s")
    finally:
        theirs.close()
    ours.close()
    return tallies, examples


def code(value):
    text = repr(value)
    return "<code>" + text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;") + "</code>"


def page(tallies, examples, count, seed):
    lines = [
        "# How far the parsers agree with SMG's",
        "",
        f"Every parser that SMG has was given {count:,} replies, and so was SMG's own (the `smg` package, over its `/parse` endpoints). The replies are made up by `tests/parsers/generate.py`, not chosen: no to four calls,",
        "nested arguments of all types, text and thoughts around them; half of them as models write them, the rest with text between calls, markers inside strings, cut off somewhere, or with broken characters.",
        "Equal means the same content and the same calls in the same order, arguments as JSON values; or the same text and thoughts. Ours were also parsed byte by byte, which never made a difference.",
        "",
        "This page is written by",
        "",
        "```text",
        f"python3 -m venv /tmp/smg && /tmp/smg/bin/pip install smg",
        f".venv/bin/python tests/parsers/agreement.py --build build --smg /tmp/smg/bin/python --count {count} --seed {seed} --write docs/parser-agreement.md",
        "```",
        "",
    ]
    for thoughts, title in ((False, "Tool calls"), (True, "Thoughts")):
        lines += [f"## {title}", "", "| Parser | equal | plain replies that differ | reasons for what is not |", "|---|---|---|---|"]
        for t in tallies:
            if t.thoughts == thoughts:
                why = ", ".join(f"[{k}](#{k}) {n:,}" for k, n in t.reasons.most_common()) or "-"
                lines.append(f"| `{t.name}` | {100 * t.equal / t.replies:.2f} % | {t.kinds['plain']:,} | {why} |")
        lines.append("")
    lines += ["## Reasons", "", "Each with the shortest reply found.", ""]
    for key, sentence in reasons.sentences():
        if key in examples:
            name, text, mine, right = examples[key]
            lines += [f"### {key}", "", sentence, "", f"| `{name}` | {code(text)} |", "|---|---|", f"| here | {code(mine)} |", f"| SMG | {code(right)} |", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=10_000, help="replies for each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="names, with commas between")
    parser.add_argument("--smg", default=sys.executable, help="a Python that has the smg package")
    parser.add_argument("--write", type=pathlib.Path, help="the page to write")
    args = parser.parse_args()
    tallies, examples = run(args.build.resolve(), args.count, args.seed, args.only.split(",") if args.only else None, args.smg, lambda line: print(line, flush=True))
    for t in tallies:
        for kind, text, mine, right in sorted(t.faults, key=lambda f: len(f[1]))[:3]:
            print(f"  {t.name}: {len(t.faults)} without a reason; {kind}: {text!r}\n    SMG  {right}\n    ours {mine}")
    if args.write:
        args.write.write_text(page(tallies, examples, args.count, args.seed))
    print(f"{sum(t.equal for t in tallies):,} of {sum(t.replies for t in tallies):,} equal, {sum(len(t.faults) for t in tallies):,} without a reason")
    return 1 if any(t.faults for t in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
