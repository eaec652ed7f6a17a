"""Every case of a specification's list that is to be an automated test is one, and its name says so.

A test of a case carries the number: test_cp_29_... in pytest, case_36_... in a unit test of the control plane's rooms; several as _3_4_5_ or _10_to_14_.
"""
import re

from conftest import ROOT

# spec control-plane 20. 18 and 59 to 74 are those of tokenizers, parsers and plugins, which come with them; 48 to 58 and 81 are auth's.
CONTROL_PLANE = {*range(1, 18), *range(19, 48), *range(75, 81)}
ROOMS = ("admin", "gateway", "worker")  # elsewhere case_NN means the list of another specification


def numbers(name):
    """"10_to_14_bodies" -> 10, 11, 12, 13, 14; "3_4_wrong_methods" -> 3, 4; "concurrent" -> none."""
    found = set()
    for first, _, last in re.findall(r"(\d+)(_to_(\d+))?_", re.match(r"((\d+_)(to_\d+_)?)*", name).group(0)):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def named():
    """(file, name without its prefix) of all tests that carry numbers of the control plane's cases."""
    for file in (ROOT / "tests/integration").glob("test_*.py"):
        for name in re.findall(r"^def test_cp_(\w+)\(", file.read_text(), re.M):
            yield file.name, name
    for room in ROOMS:
        for file in (ROOT / "tests/unit" / room).glob("*.c"):
            text = file.read_text()
            for name in re.findall(r"^static void case_(\w+)\(void \*\*state\)", text, re.M):
                assert re.search(rf"\(case_{name}\b(?!\(void)", text), f"{file}: case_{name} is not in the list of tests"
                yield file.name, name


def test_numbers_are_read_from_names():
    assert numbers("10_to_14_bodies_that") == {10, 11, 12, 13, 14}
    assert numbers("14_16_17_wrong_shapes") == {14, 16, 17} and numbers("36_the_table") == {36}
    assert numbers("3_4_to_6_x") == {3, 4, 5, 6} and numbers("concurrent_3_changes") == set() == numbers("")


def test_every_case_of_the_control_plane_has_a_test():
    covered = {n for _, name in named() for n in numbers(name)}
    assert not CONTROL_PLANE - covered, f"cases of spec control-plane 20 without a test: {sorted(CONTROL_PLANE - covered)}"
    assert covered <= set(range(1, 82)), f"numbers that no case has: {sorted(covered - set(range(1, 82)))}"
