"""Arguments of the tests' own commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection

__all__ = ["choosing"]


def choosing(names: Collection[str]) -> Callable[[str], str]:
    """A type of argument that is one of some names. argparse's own `choices` of any number of them has to list `[]`,
    for none, and names it in its message."""

    def choose(given: str) -> str:
        if given not in names:
            raise argparse.ArgumentTypeError(f"there is no {given[:40]!a}; choose from {', '.join(names)}")
        return given

    return choose
