"""Packages whose names are imported on first use name each three times: for readers, type checkers, and Python."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from millmark import ledger, quality
from millmark.ledger.lazy import import_on_use

PACKAGES = [
    "millmark.ledger",
    "millmark.ledger.chain",
    "millmark.ledger.index",
    "millmark.ledger.provenance",
    "millmark.ledger.verify",
    "millmark.quality",
    "millmark.verify",
]
SUBMODULE_LATER = {"millmark.ledger.chain": {"EmbeddedChain"}}
"""Names with a way of their own."""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_names_the_same_things_to_all(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    [checked] = [one for one in tree.body if isinstance(one, ast.If) and "TYPE_CHECKING" in ast.unparse(one.test)]
    told = {(one.module, name.name) for one in checked.body if isinstance(one, ast.ImportFrom) for name in one.names}
    own = SUBMODULE_LATER.get(package, set())
    declared = {(home, name) for home, names in module._HOMES.items() for name in names}
    assert declared == {(home, name) for home, name in told if name not in own}
    assert {name for _, name in told} == set(module.__all__)
    for home, name in declared:
        assert getattr(module, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    find = import_on_use("things", {"millmark.ledger.errors": ("MillmarkError",)})
    assert find("MillmarkError") is ledger.MillmarkError
    with pytest.raises(AttributeError, match="module 'things' has no attribute 'Nothing'"):
        find("Nothing")
    assert not hasattr(quality, "Nothing")
