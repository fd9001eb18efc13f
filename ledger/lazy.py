"""What imports bring: names of a package are imported on first use (PEP 562), so that who needs one of them loads only
that, and the recursion limit, which some libraries raise on import, is restored."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def import_on_use(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose public names are declared in other modules: names by module. Type checkers
    see none of it: the package imports the same names under `TYPE_CHECKING`."""
    home_of = {name: module for module, names in homes.items() for name in names}

    def import_name(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home_of[name]), name)

    return import_name


_LIMIT = 1000


def bound_recursion() -> None:
    """Reset the limit to Python's default; call it after such an import.

    py-evm and py_ecc, and hence web3 and eth_keyfile, multiply it by a hundred, for contracts that call each other 1024
    levels deep. With such a limit, a hundred kilobytes of "[" crash any process that parses JSON with a segmentation
    fault. Our contracts call five levels deep.
    """
    sys.setrecursionlimit(min(sys.getrecursionlimit(), _LIMIT))
