"""The parsers of tool calls and of thoughts against SMG's own: tests/parsers/agreement.py at the size of CI. Full size: tools/soak, docs/parser-agreement.md."""
import pathlib
import sys

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests" / "parsers"))
import agreement  # noqa: E402


def test_what_differs_from_smg_has_a_reason():
    tallies, _ = agreement.run(pathlib.Path(BUILD).resolve(), 200)
    faults = [f"{t.name}: {fault}" for t in tallies for fault in t.faults]
    assert not faults, "\n".join(faults[:10])
    assert len(tallies) == 21 + 16
    for t in tallies:
        assert t.equal > 0.5 * t.replies, f"{t.name}: {t.equal} of {t.replies} are equal"
        plain = 0 if t.name not in ("inkling", "kimi_k3", "pythonic", "sarashina") else 0.3 * t.replies
        assert t.kinds["plain"] <= plain, f"{t.name}: {t.kinds['plain']} plain replies differ"
