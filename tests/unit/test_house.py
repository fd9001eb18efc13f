"""Ceilings of the source that no other tool holds: tests.support.house says how each is counted."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.house import (
    ROOT,
    Source,
    draw,
    find_cycles,
    find_duplicates,
    find_imports,
    is_hand_written,
    read_sources,
)


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return read_sources()


@pytest.fixture(scope="module")
def imports(sources: list[Source]) -> dict[str, set[str]]:
    return find_imports(sources)


def test_functions_and_files_stay_under_their_ceilings(sources: list[Source]) -> None:
    assert [one for source in sources for one in source.functions if one.lines > 50] == []
    assert [source.path for source in sources if source.lines > 1_000] == []
    assert [source.path for source in read_sources(["tests"]) if source.lines > 1_000] == []


def test_modules_import_each_other_one_way(imports: dict[str, set[str]]) -> None:
    """Also in functions, and for types alone: an import that is hidden there is one all the same."""
    assert find_cycles(imports) == []


def test_imports_in_functions_become_fewer(sources: list[Source]) -> None:
    """One is for start-up, or for an extra that may not be installed, and its line says which. A lower number is
    written down here."""
    assert sum(len(source.deferred) for source in sources if is_hand_written(source)) <= 55


def test_no_module_gives_a_constant_two_values(sources: list[Source]) -> None:
    """The later would hold for all of it, also where the earlier is meant. Linters see this of functions alone."""
    judged = [*sources, *read_sources(["tests"])]
    assert {source.path: source.rebound for source in judged if source.rebound} == {}


def test_functions_say_few_things_twice(sources: list[Source]) -> None:
    assert len(find_duplicates(sources)) <= 5


def test_docstrings_and_messages_have_a_subject(sources: list[Source]) -> None:
    """One that begins with "Of" leaves it to the reader to supply what is meant. Those of attributes count as well."""
    assert [source.path for source in sources if '"""Of ' in source.text] == []
    assert [text for source in sources for text in source.messages if text[1:4] == "Of "] == []


def test_a_word_is_defined_once() -> None:
    """A second meaning has a qualifier: `offer` is of a lot, and there is an `offer, for an operation`."""
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "ledger" / "WORDS.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for row in rows for word in re.split(r", (?!for |of )", row) if row not in ("word", "not", "---")]
    assert len(words) > 80
    assert [word for word, count in Counter(words).items() if count > 1] == []


def test_a_cycle_is_found_with_what_stands_around_it_left_out() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str](), "e": {"a"}}
    assert find_cycles(imports) == [{"b", "c"}]
    assert find_cycles(imports | {"f": {"g", "a"}, "g": {"f"}}) == [{"b", "c"}, {"f", "g"}]
    imports["c"] = {"d"}
    assert find_cycles(imports) == []


def test_duplicates_are_found_whatever_stands_around_them() -> None:
    lines = [f"{name} = do({name})" for name in "abcdefg"]
    one = _source("one.py", "def first():\n    begin()\n" + "".join(f"    {line}\n" for line in lines))
    body = "".join(f"        {line}\n" for line in lines)
    other = _source("other.py", 'class A:\n    def second(self):\n        """Says."""\n' + body + "        return a\n")
    assert find_duplicates([one, other]) == [("one.py:3", "other.py:4", 7)]
    assert find_duplicates([one, _source("other.py", other.text.replace("d = do(d)", "d = done(d)"))]) == []


def test_imports_of_functions_and_of_types_are_told_apart() -> None:
    text = """
from typing import TYPE_CHECKING
from a import b
if TYPE_CHECKING:
    from a import c
def f():
    from a import d
"""
    sources = [_source(f"a/{name}.py", "") for name in ("b", "c", "d")] + [_source("a/x.py", text)]
    assert find_imports(sources)["a.x"] == {"a.b", "a.c", "a.d"}
    assert find_imports(sources, hidden=False)["a.x"] == {"a.b"}
    assert (sources[-1].deferred, sources[-1].header) == ([7], 3)


def test_what_is_drawn_is_in_the_source(sources: list[Source]) -> None:
    messages = {text for source in sources for text in source.messages}
    drawn = draw(messages, 60, seed=11)
    assert (len(set(drawn)), drawn) == (60, draw(messages, 60, seed=11))
    assert all(isinstance(ast.parse(text).body[0], ast.Expr) for text in drawn)


def _source(name: str, text: str) -> Source:
    source = Source(Path(__file__))
    source.path, source.text = name, text
    return source
