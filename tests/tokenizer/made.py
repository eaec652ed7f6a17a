"""Tokenizers made here, of the families whose own files no registry has, and with what no family combines: made.py FOLDER writes one folder each.

Trained on the corpus, by the oracle's own trainers. The charsmap (NFKC as XLM-R, T5 and their kin have it) is the one that sentencepiece writes into every model.
"""

import json
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import corpus  # noqa: E402
import sentencepiece  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
O200K_LIKE = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def lines():
    sizes = corpus.Sizes(False)
    texts = [t for kind in (corpus.languages, corpus.english, corpus.code) for _, t in kind(sizes, random.Random(3))]
    random.Random(4).shuffle(texts)
    return texts[:90]


def charsmap(texts):
    """Field 2 of field 3 of a model."""
    with tempfile.TemporaryDirectory() as tmp:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(l for t in texts for l in t.splitlines() if l), model_prefix=tmp + "/m", vocab_size=600, model_type="unigram", character_coverage=0.98, hard_vocab_limit=False, minloglevel=9, num_threads=1)
        data = pathlib.Path(tmp + "/m.model").read_bytes()

    def fields(b):
        at = 0

        def varint():
            nonlocal at
            v = shift = 0
            while True:
                c = b[at]
                at += 1
                v |= (c & 127) << shift
                shift += 7
                if c < 128:
                    return v

        while at < len(b):
            key = varint()
            n = varint() if key & 7 == 2 else {0: None, 5: 4, 1: 8}[key & 7]
            if n is None:
                varint()
                continue
            at += n
            yield key >> 3, b[at - n : at]

    return dict(fields(dict(fields(data))[3]))[2]


def byte_level(split=None, **options):
    step = pre_tokenizers.ByteLevel(add_prefix_space=options.get("prefix", False), use_regex=split is None and options.get("regex", True))
    return step if split is None else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), step])


def characters(texts):
    """How many there are: a unigram model must have room for each, and the texts are what the machine has."""
    return len(set().union(*texts))


def train(t, trainer, texts):
    t.train_from_iterator(texts, trainer)
    return t


def bpe(texts, **options):
    return models.BPE(**options), lambda special=(), **more: trainers.BpeTrainer(vocab_size=1200, special_tokens=list(special), show_progress=False, **more)


def all_made():
    """(name, tokenizer)"""
    texts = lines()
    nmt_nfkc = charsmap(texts)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    markers = [AddedToken("<s>", special=True), AddedToken("</s>", special=True), AddedToken("<unk>", special=True)]

    # XLM-R, bge-m3, multilingual-e5
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(nmt_nfkc), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.decoder = decoders.Metaspace()
    train(t, trainers.UnigramTrainer(vocab_size=1200 + characters(texts), special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], unk_token="<unk>", show_progress=False), texts)
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    yield "made_xlmr", t

    # T5: the same without the split on white space, </s> behind
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Precompiled(nmt_nfkc)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.decoder = decoders.Metaspace()
    train(t, trainers.UnigramTrainer(vocab_size=1200 + characters(texts), special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False), texts)
    t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    t.add_special_tokens([AddedToken(f"<extra_id_{i}>", special=True, lstrip=True) for i in range(10)])
    yield "made_t5", t

    # BERT: cased, and lower case without accents
    for name, lower in (("made_bert_cased", False), ("made_bert", True)):
        t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
        t.normalizer = normalizers.BertNormalizer(lowercase=lower)
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        t.decoder = decoders.WordPiece()
        train(t, trainers.WordPieceTrainer(vocab_size=1200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False), texts)
        t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        yield name, t

    # RoBERTa: a space in front, its own post-processor, a mask that takes the blanks to its left
    model, trainer = bpe(texts)
    t = Tokenizer(model)
    t.pre_tokenizer = byte_level(prefix=True)
    t.decoder = decoders.ByteLevel()
    train(t, trainer(["<s>", "<pad>", "</s>", "<unk>"], initial_alphabet=alphabet), texts)
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    t.add_special_tokens([AddedToken("<mask>", special=True, lstrip=True)])
    yield "made_roberta", t

    # CLIP: ends of words are marked, runs of blanks fall together
    model, trainer = bpe(texts, unk_token="<unk>", end_of_word_suffix="</w>")
    t = Tokenizer(model)
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, trainer(["<unk>"], initial_alphabet=alphabet, end_of_word_suffix="</w>"), texts)
    yield "made_clip", t

    # Mistral-like with ignore_merges, digits alone, and marks that strip on both sides or stand alone
    model, trainer = bpe(texts, ignore_merges=True)
    t = Tokenizer(model)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Split(Regex(O200K_LIKE), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, trainer(initial_alphabet=alphabet), texts)
    t.add_tokens([AddedToken("<tool>", lstrip=True, rstrip=True, normalized=False), AddedToken("word", single_word=True), AddedToken("<", normalized=False), AddedToken("<|", normalized=False), AddedToken("  ", normalized=False)])
    t.add_special_tokens(markers)
    yield "made_stripping", t

    # SentencePiece BPE with a prefix before the first piece only, byte fallback, and marks that are normalised
    model, trainer = bpe(texts, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    t = Tokenizer(model)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    train(t, trainer(["<unk>", *(f"<0x{b:02X}>" for b in range(256))]), texts)
    t.add_tokens([AddedToken("Ａdded", normalized=True), AddedToken(" two words", normalized=True)])
    yield "made_spm_first", t

    # the same, cut at every blank, with NFKC and no byte fallback
    model, trainer = bpe(texts, unk_token="<unk>", fuse_unk=False)
    t = Tokenizer(model)
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    train(t, trainer(["<unk>"]), texts)
    t.add_tokens([AddedToken("Added", normalized=True), AddedToken("ﬁx", normalized=True)])
    yield "made_spm_split", t

    # words
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("isolated")])
    t.decoder = decoders.WordPiece("##", cleanup=True)
    train(t, trainers.WordLevelTrainer(vocab_size=1200, special_tokens=["[UNK]"], show_progress=False), texts)
    yield "made_words", t

    # every other pre-tokenizer in a row, over GPT-2's pieces
    model, trainer = bpe(texts, unk_token="<unk>", fuse_unk=True, continuing_subword_prefix="##")
    t = Tokenizer(model)
    t.normalizer = normalizers.Nmt()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.CharDelimiterSplit("_"), pre_tokenizers.Split(Regex(GPT2), "isolated"), pre_tokenizers.Punctuation("merged_with_previous")])
    t.decoder = decoders.BPEDecoder("</w>")
    train(t, trainer(["<unk>"], continuing_subword_prefix="##"), texts)
    yield "made_sequence", t


def write(folder):
    """The folders."""
    made = []
    for name, t in all_made():
        where = folder / name
        where.mkdir(parents=True)
        spec = json.loads(t.to_str())
        (where / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), "utf-8")
        made.append(where)
    return made


if __name__ == "__main__":
    print("\n".join(str(p) for p in write(pathlib.Path(sys.argv[1]))))
