"""Real tokenizers, id for id against Hugging Face's tokenizers and tiktoken: tests/tokenizer/differential.py at the size of CI. The night's size: tools/soak."""
import pathlib
import sys

import pytest
from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests" / "tokenizer"))
import corpus  # noqa: E402
import differential  # noqa: E402

FOLDERS = differential.folders()
FEW = ["deepseek_v3", "gpt2", "llama2", "mon", "tiktoken_qwen"]  # one of each algorithm: what sanitizers run


def run(folder, share):
    name, texts, size, seconds, failures = differential.check(pathlib.Path(BUILD).resolve(), folder, share=share)
    assert not failures, "\n".join(failures)
    assert texts > 3000 * share and size > 1_500_000 * share


def test_at_least_twenty_real_tokenizers_are_there():
    real = [f for f in FOLDERS if "rebuilt" not in (f / "ORIGIN").read_text()]
    assert len(FOLDERS) >= 20 and len(real) >= 18, f"{len(FOLDERS)} in {corpus.TOKENIZERS}: run tools/fetch-tokenizers"


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_every_id_and_every_byte_is_the_original_s(folder):
    run(folder, 1)


@pytest.mark.parametrize("name", FEW)
def test_a_twentieth_of_the_corpus_for_each_algorithm(name):
    run(corpus.TOKENIZERS / name, 0.05)
