"""Tokenizers, id for id against Hugging Face's tokenizers and tiktoken: tests/tokenizer/differential.py at the size of CI. The night's size: tools/soak."""
import concurrent.futures
import os
import pathlib
import sys

import pytest

from conftest import BUILD, ROOT, SLOWNESS

sys.path.insert(0, str(ROOT / "tests" / "tokenizer"))
import corpus  # noqa: E402
import differential  # noqa: E402

FOLDERS = differential.folders()
FEW = ["deepseek_v3", "gpt2", "llama2", "mon", "tiktoken_qwen"]  # one of each algorithm: what sanitizers run too


def check(folders, share):
    """All of them, as many at a time as there are cores."""
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=1) as pool:
        results = list(pool.map(differential.check, [pathlib.Path(BUILD).resolve()] * len(folders), folders, [False] * len(folders), [1] * len(folders), [None] * len(folders), [()] * len(folders), [share] * len(folders)))
    failures = [failure for result in results for failure in result[4]]
    assert not failures, "\n".join(failures)
    for name, texts, size, _, _ in results:
        assert texts > 3000 * share and size > 1_400_000 * share, name


def test_at_least_twenty_real_tokenizers_are_there():
    real = [f for f in FOLDERS if "rebuilt" not in (f / "ORIGIN").read_text()]
    assert len(FOLDERS) >= 20 and len(real) >= 18, f"{len(FOLDERS)} in {corpus.TOKENIZERS}: run tools/fetch-tokenizers"


def test_a_twentieth_of_the_corpus_for_each_algorithm():
    check([corpus.TOKENIZERS / name for name in FEW], 0.05)


@pytest.mark.slow
@pytest.mark.timeout(300 * SLOWNESS)
def test_real_tokenizers_give_every_id_and_every_byte_of_the_original_s():
    check(FOLDERS, 0.5)


@pytest.mark.slow
@pytest.mark.timeout(300 * SLOWNESS)
def test_so_do_made_ones_of_families_that_no_registry_has(tmp_path):
    import made

    folders = made.write(tmp_path)
    assert len(folders) >= 11
    check(folders, 0.2)
