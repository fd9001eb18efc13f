"""No module, class or function has a name that the table of unused words has (ledger/WORDS.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.house import ROOT

_QUALIFIER = re.compile(r", (?:of|for|as) ")


def unused_words() -> set[str]:
    """Those of the rows that hold everywhere; a row with a qualifier is for readers."""
    table = (ROOT / "ledger" / "WORDS.md").read_text("utf-8").partition("| not | but |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    return {word for row in rows if not _QUALIFIER.search(row) for word in row.split(", ")}


def names(path: str, text: str) -> Iterator[str]:
    yield path.removesuffix(".py").rpartition("/")[2]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_names_have_none_of_the_unused_words() -> None:
    unused = unused_words()
    assert {"desk", "shelf", "papers", "lookout", "burial", "office"} <= unused
    paths = [path for folder in ("ledger", "services", "quality", "tests") for path in (ROOT / folder).rglob("*.py")]
    found = [(path, name) for path in paths for name in names(path.name, path.read_text("utf-8"))]
    assert [one for one in found if words_of(one[1]) & unused or one[1] in ("At", "Told")] == []
