"""Text to tokens: the library against public engines, on one core: bench/tokenizer.py --build DIR [--only NAME,...] [--texts KIND,...] [--rounds N]

Texts: Python's documentation, the project's code and Python's, Django's messages in Chinese, Japanese and Korean, and in a hundred languages, chat transcripts; 1 to 2 MB each in documents of
about 4 KB. Ours three times: a new encoder for every document, one encoder that meets every document for the first time, and the same once more (its cache of pieces is warm). The others keep
what they keep between calls, so they have two numbers: all documents for the first time, and once more. Each is asked in the way that costs it least (batches, no Python lists where it can),
with one thread, after one small text.
With several rounds everybody is asked in turn, medians are printed, and how many times as fast as `tokenizers` ours is: on text that is new to both, and once more.
An engine that gives other tokens than Hugging Face's is marked with *; one that does not take the file is left out.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tokenizer"))
import corpus  # noqa: E402

ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "RAYON_RS_NUM_CPUS": "1"}
MODELS = ["llama3_1", "qwen3", "deepseek_v3", "gptoss", "gpt2", "mistral_nemo", "llama2", "gemma3", "all_minilm_l6", "mon"]
KINDS = ["english", "code", "cjk", "multilingual", "chat"]
RIVALS = ["tokenizers", "tiktoken", "gigatoken", "quicktok", "splintr", "fastokens", "tokie", "kitoken"]
RANKS = {"llama3_1": ("llama3", None), "gptoss": ("o200k_base", "tiktoken_o200k_base"), "qwen3": ("qwen3", "tiktoken_qwen"), "gpt35turbo": ("cl100k_base", "tiktoken_cl100k_base")}


def documents(kind):
    rng = random.Random(kind)
    sizes = corpus.Sizes(True)
    if kind == "english":
        import pydoc_data.topics

        text = "\n".join(pydoc_data.topics.topics.values())
    elif kind == "code":
        ours, theirs = corpus.code_files()
        text = "\n".join(p.read_text("utf-8", "replace") for p in (ours + theirs) if p.suffix in (".c", ".h", ".py"))[:2_000_000]
    elif kind in ("cjk", "multilingual"):
        names = ["zh_Hans", "zh_Hant", "ja", "ko"] if kind == "cjk" else [f.stem for f in sorted((corpus.TOKENIZERS / "text").glob("*.txt"))]
        pieces = [piece for n in names for piece in corpus.cut((corpus.TOKENIZERS / "text" / f"{n}.txt").read_text("utf-8"), rng, 300, 1500)]
        rng.shuffle(pieces)
        text = "\n".join(pieces)[:1_500_000]
    else:
        sizes.generated = 1500
        text = "\n".join(t for _, t in corpus.chats(sizes, rng))
    return [text[at : at + 4000] for at in range(0, len(text), 4000)]


def adversarial(n=1_000_000):
    rng = random.Random(1)
    prose = "".join(documents("english"))
    return {
        "prose": (prose * 3)[:n],
        "one letter": "a" * n,
        "blanks": " " * n,
        "lines": "\n" * n,
        "random letters": "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n)),
        "Han": "中" * (n // 3),
        "marks": "e\u0301" * (n // 3),
        "digits": "1" * n,
        "blank and line": " \n" * (n // 2),
    }


def best(call, seconds=0.6):
    """The least time of several calls."""
    least, until = 1e9, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
        if time.perf_counter() > until:
            return least


def rival(name, model, docs):
    """(call that encodes all documents, ids of the first documents or None) of one engine."""
    file = str(corpus.TOKENIZERS / model / "tokenizer.json")
    few = docs[:20]
    if name == "tokenizers":
        import tokenizers

        t = tokenizers.Tokenizer.from_file(file)
        t.no_padding()
        t.no_truncation()
        return lambda: t.encode_batch_fast(docs, add_special_tokens=False), [e.ids for e in t.encode_batch_fast(few, add_special_tokens=False)]
    if name == "tiktoken":
        import tiktoken

        spec = json.loads(pathlib.Path(file).read_bytes())
        split = [p for p in spec["pre_tokenizer"].get("pretokenizers", []) if p["type"] == "Split"]
        if len(split) != 1 or "Regex" not in split[0]["pattern"]:
            raise ValueError("not one regex")
        table = byte_alphabet()
        ranks = {bytes(table[c] for c in token): i for token, i in spec["model"]["vocab"].items() if all(c in table for c in token)}
        t = tiktoken.Encoding(model, pat_str=split[0]["pattern"]["Regex"], mergeable_ranks=ranks, special_tokens={a["content"]: a["id"] for a in spec["added_tokens"] if a["id"] >= len(ranks)})
        return lambda: [t.encode_to_numpy(d, allowed_special="all") for d in docs], [t.encode(d, allowed_special="all") for d in few]
    if name == "gigatoken":
        import gigatoken

        t = gigatoken.Tokenizer(file)
        return lambda: t.encode_batch(docs), t.encode_batch_list(few)
    if name == "quicktok":
        import quicktok

        t = quicktok.get_encoding(RANKS[model][0])
        return lambda: quicktok.count_batch(t, docs, 1), [t.encode_ordinary(d) for d in few]
    if name == "splintr":
        import splintr

        t = splintr.from_json(file)
        return lambda: t.encode_batch_flat(docs), None
    if name == "fastokens":
        import fastokens

        t = fastokens.Tokenizer.from_file(file)
        return lambda: t.encode_batch_flat(docs), [t.encode(d, add_special_tokens=False).ids for d in few]
    if name == "tokie":
        import tokie

        t = tokie.Tokenizer.from_json(file)
        return lambda: t.encode_batch_flat(docs), [t.encode(d, add_special_tokens=False).ids for d in few]
    import kitoken

    t = kitoken.Kitoken.from_tokenizers_file(file)
    return lambda: t.encode_all(docs, True), t.encode_all(few, True)


def byte_alphabet():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in plain}
    table.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)})
    return table


def run_rival(name, model, texts_file):
    """In a process of its own: one line {"mbs":..., "same":...}"""
    docs = read_docs(texts_file)
    size = sum(len(d.encode()) for d in docs)
    call, ids = rival(name, model, docs)  # it has met the first twenty documents
    right = rival("tokenizers", model, docs[:20])[1] if ids is not None else None
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    print(json.dumps({"first": size / first / 1e6, "warm": size / min(first, best(call)) / 1e6, "same": right == ids}))


def write_docs(docs, path):
    path.write_bytes(b"".join(struct.pack("<I", len(d)) + d for d in (d.encode("utf-8", "replace") for d in docs)))


def read_docs(path):
    data, at, docs = pathlib.Path(path).read_bytes(), 0, []
    while at < len(data):
        (n,) = struct.unpack_from("<I", data, at)
        docs.append(data[at + 4 : at + 4 + n].decode())
        at += 4 + n
    return docs


def pinned(*argv, timeout=120):
    return subprocess.run(["taskset", "-c", "0", *map(str, argv)], capture_output=True, text=True, timeout=timeout, env={**os.environ, **ONE_THREAD})


def ours(build, model, path):
    done = pinned(build / "bench/tokenizer", corpus.TOKENIZERS / model, path)
    if done.returncode:
        raise RuntimeError(done.stderr)
    words = done.stdout.split()
    return {k: float(v) for k, v in zip(words[::2], words[1::2])}


def ask_rival(name, model, path):
    """What run_rival printed, or None."""
    try:
        done = pinned(sys.executable, __file__, "--rival", name, model, path)
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--only", help="models, with commas between")
    parser.add_argument("--texts", help="kinds of text, with commas between")
    parser.add_argument("--rivals", help="engines, with commas between; - for none")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rival", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rival:
        return run_rival(*args.rival)
    models = args.only.split(",") if args.only else [m for m in MODELS if (corpus.TOKENIZERS / m).exists()]
    kinds = args.texts.split(",") if args.texts else KINDS
    rivals = RIVALS if not args.rivals else [r for r in args.rivals.split(",") if r != "-"]
    with tempfile.TemporaryDirectory() as tmp:
        paths = {}
        for kind in kinds:
            paths[kind] = pathlib.Path(tmp) / kind
            write_docs(documents(kind), paths[kind])
        print(f"MB/s on one core\n{'':15}{'':13}" + "".join(f"{c:>12}" for c in ["cold", "first", "warm", *rivals, *(["new to both", "once more"] if args.rounds > 1 and "tokenizers" in rivals else [])]))
        about = {}
        for model in models:
            for kind in kinds:
                rounds = []
                for _ in range(args.rounds):
                    said = {"ours": ours(args.build, model, paths[kind])}
                    said.update((name, ask_rival(name, model, paths[kind])) for name in rivals)
                    rounds.append(said)
                us = about[model] = {k: statistics.median(r["ours"][k] for r in rounds) for k in rounds[0]["ours"]}
                row = [f"{us['cold_mbs']:.0f}", f"{us['first_mbs']:.0f}", f"{us['warm_mbs']:.0f}"]
                for name in rivals:
                    them = [r[name] for r in rounds if r[name]]
                    median = {k: statistics.median(t[k] for t in them) for k in ("first", "warm")} if them else None
                    row.append(f"{median['first']:.0f}/{median['warm']:.0f}{'' if all(t['same'] for t in them) else '*'}" if them else "-")
                times = [(r["ours"]["first_mbs"] / r["tokenizers"]["first"], r["ours"]["warm_mbs"] / r["tokenizers"]["warm"]) for r in rounds if r.get("tokenizers")]
                if times and args.rounds > 1:
                    row += [f"{statistics.median(t[k] for t in times):.1f}x" for k in range(2)]
                print(f"{model:15}{kind:13}" + "".join(f"{c:>12}" for c in row), flush=True)
        print(f"\n{'':15}{'load ms':>10}{'resident MB':>13}{'keeps MB':>10}{'decode ns/id':>14}{'stream ns/id':>14}")
        for model, us in about.items():
            print(f"{model:15}{us['load_ms']:10.1f}{us['resident_mb']:13.1f}{us['keeps_mb']:10.1f}{us['decode_ns']:14.1f}{us['stream_ns']:14.1f}")
        print("\n1 MB without an end: MB/s, a new encoder for each")
        hard = adversarial()
        print(f"{'':15}" + "".join(f"{k:>16}" for k in hard))
        for model in models:
            row = []
            for name, text in hard.items():
                path = pathlib.Path(tmp) / "hard"
                write_docs([text], path)
                row.append(f"{ours(args.build, model, path)['cold_mbs']:.1f}")
            print(f"{model:15}" + "".join(f"{c:>16}" for c in row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
