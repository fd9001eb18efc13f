"""Mutants of Python code: which changes there are, how they are named, and how their outcomes are counted."""

from __future__ import annotations

from pathlib import Path
from types import CodeType

import pytest

from tests.proofs.mutation import kept
from tests.proofs.mutation.command import PACKAGES
from tests.proofs.mutation.covering import Covering
from tests.proofs.mutation.outcomes import OPEN, Outcomes
from tests.proofs.mutation.python_mutants import build, find_mutants

SOURCE = '''
"""Text."""
from typing import TYPE_CHECKING

__all__ = ["f"]
if TYPE_CHECKING:
    import os
LIMIT: int = 3

def f(a: int | None, b: str = "key") -> bool:
    """Text."""
    if a is None or not b:
        raise ValueError(f"{a} is nothing")
    for one in range(LIMIT):
        if one < a and one + 1:
            continue
    return isinstance(a, int | str) and bool(b"x")

@dataclass(frozen=True, order=True)
class C:
    d: object = cast("str", None)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "module.py").write_text(SOURCE)
    return tmp_path


def test_every_change_has_a_name_of_its_own(folder: Path) -> None:
    names = [one.name.removeprefix("module.py:") for one in find_mutants(folder, "module.py")]
    assert names == [
        ": 3 -> 4",
        "f: 'key' -> 'XXkeyXX'",
        "f: a is None or not b -> a is None and (not b)",
        "f: a is None -> a is not None",
        "f: not b -> b",
        "f: raise ValueError(f'{a} is nothing') -> pass",
        "f: one < a and one + 1 -> one < a or one + 1",
        "f: one < a -> one <= a",
        "f: one + 1 -> one - 1",
        "f: 1 -> 2",
        "f: continue -> break",
        "f: return isinstance(a, int | str) and bool(b'x') -> return None",
        "f: isinstance(a, int | str) and bool(b'x') -> isinstance(a, int | str) or bool(b'x')",
        "f: b'x' -> b'XXx'",
        "C: True -> False",
    ]


def test_what_runs_on_import_is_told_from_what_runs_in_functions(folder: Path) -> None:
    outside = [one.name for one in find_mutants(folder, "module.py") if not one.in_function]
    assert outside == ["module.py:: 3 -> 4", "module.py:f: 'key' -> 'XXkeyXX'", "module.py:C: True -> False"]


def test_a_change_is_built_alone_and_keeps_the_lines(folder: Path) -> None:
    for mutant in find_mutants(folder, "module.py"):
        built = build(folder, mutant)
        [function, _] = [one for one in built.co_consts if isinstance(one, CodeType)]
        original = compile(SOURCE, str(folder / "module.py"), "exec", dont_inherit=True)
        [before, _] = [one for one in original.co_consts if isinstance(one, CodeType)]
        assert (built.co_code, built.co_consts) != (original.co_code, original.co_consts), mutant.name
        assert function.co_firstlineno == before.co_firstlineno


def test_the_quickest_tests_of_a_line_come_first_within_the_budget() -> None:
    covering = Covering(
        {"a.py": {3: ["slow", "quick", "endless"], 4: ["other"]}}, {"slow": 20, "quick": 1, "endless": 50}, []
    )
    assert covering.tests_of("a.py", (3,), in_function=True) == ["quick", "slow"]
    assert covering.tests_of("a.py", (5,), in_function=True) == []
    assert covering.tests_of("a.py", (), in_function=False) == ["quick", "slow"]


def test_what_runs_on_import_alone_is_tried_with_all_tests() -> None:
    covering = Covering({"a.py": {3: ["one"]}}, {"one": 2, "other": 1}, [])
    assert covering.tests_of("b.py", (7,), in_function=False) == ["other", "one"]
    assert covering.tests_of("b.py", (7,), in_function=True) == []


def test_what_runs_on_import_is_tried_with_tests_that_import_it() -> None:
    here = "tests/unit/test_mutation.py"
    covering = Covering({"tests/proofs/mutation/covering.py": {3: ["one"]}}, {"one": 2, f"{here}::two": 1}, [])
    tests = covering.tests_of("tests/proofs/mutation/covering.py", (7,), in_function=False)
    assert tests == [f"{here}::two", "one"]


def test_times_that_were_measured_since_take_the_place_of_those_of_the_first_run() -> None:
    covering = Covering({"a.py": {3: ["slow", "quick"]}}, {"slow": 9, "quick": 2}, [])
    now = {"slow": 1.0, "quick": 2.0}
    assert covering.tests_of("a.py", (3,), in_function=True, cpu_s=now, budget_s=5) == ["slow", "quick"]
    assert covering.tests_of("a.py", (3,), in_function=True, cpu_s=now, budget_s=2) == ["slow"]


def test_tests_of_files_that_changed_take_the_place_of_what_they_covered_before(tmp_path: Path) -> None:
    before = Covering({"m.py": {1: ["a::1", "b::1"], 2: ["a::2"]}}, {"a::1": 1, "a::2": 1, "b::1": 1}, ["x"])
    now = before.only({"b"}).with_part(
        Covering({"m.py": {1: ["a::1"]}, "n.py": {5: ["a::3"]}}, {"a::1": 2, "a::3": 4}, ["y"])
    )
    now.write(tmp_path)
    read = Covering.read(tmp_path)
    assert read == now
    assert read.tests_of("m.py", (1,), in_function=True) == ["b::1", "a::1"]
    assert read.tests_of("m.py", (2,), in_function=True) == []
    assert read.tests_of("n.py", (5,), in_function=True) == ["a::3"]
    assert (read.cpu_s, read.foreign) == ({"b::1": 1, "a::1": 2, "a::3": 4}, ["x", "y"])


def test_other_tests_of_the_same_files_follow_within_what_is_left() -> None:
    covering = Covering({}, {"a::1": 30, "a::2": 40, "a::3": 1, "a::4": 90, "b::1": 1}, [])
    assert covering.with_more(["a::1"]) == ["a::1", "a::3"]
    assert covering.with_more(["a::1", "a::2", "a::4"]) == ["a::1", "a::2", "a::4"]


def test_what_is_known_outlives_a_stop_in_the_middle_of_a_line(tmp_path: Path) -> None:
    rows = [{"name": name, "source": "s", "tests": "t"} for name in ("killed", "open", "half")]
    outcomes = Outcomes(tmp_path)
    for row in rows:
        outcomes.add(row, {"outcome": row["name"] if row["name"] != "half" else "survived", "cpu_s": 1.5})
    outcomes.path.write_text(outcomes.path.read_text()[:-20])
    assert [Outcomes(tmp_path).state(row) for row in rows] == ["killed", OPEN, ""]


def test_survivors_are_tried_again_when_a_test_changed_and_all_when_their_file_did(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path)
    for name in ("killed", "survived"):
        outcomes.add({"name": name, "source": "s", "tests": "t"}, {"outcome": name})
    states = {
        (name, source, tests): outcomes.state({"name": name, "source": source, "tests": tests})
        for name in ("killed", "survived")
        for source, tests in (("s", "new"), ("new", "t"))
    }
    assert [key for key, state in states.items() if state] == [("killed", "s", "new")]


def test_equivalent_mutants_count_neither_way() -> None:
    outcomes = {"a": "killed", "b": "endless", "c": "survived", "d": "uncovered", "e": "killed"}
    sample = kept.count("plans", 1, 9, outcomes, {"c": "why", "e": "wrong"}, cpu_seconds=1, commit="0", ended="")
    assert (sample.killed, sample.endless, sample.explained, sample.survived) == (3, 1, 1, 1)
    assert sample.share == pytest.approx(3 / 4)
    assert list(kept.tell_survivors(outcomes, {"c": "why"})) == ["uncovered: d"]


def test_a_sample_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "mutants.jsonl"
    for killed in ("killed", "survived"):
        made = kept.count("plans", 1, 9, {"a": killed}, {}, cpu_seconds=1, commit="0", ended="")
        kept.add(made, path)
    assert kept.read_samples(path) == [made]


def test_every_explanation_is_of_a_mutant_that_exists() -> None:
    explained = kept.read_explained()
    for package in PACKAGES.values():
        paths = {name.split(":")[0] for name in explained if name.startswith(f"{package.folder}/")}
        names = [one.name for path in paths for one in find_mutants(kept.ROOT, path)]
        assert kept.unknown_explanations(names, explained, package.folder) == []
    assert all(len(why.split()) > 3 for why in explained.values())
