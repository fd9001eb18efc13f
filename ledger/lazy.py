"""Names of a package that are imported on first use (PEP 562), so that who needs one of them loads only that."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence


def import_on_use(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose public names are declared in other modules: names by module.

    Type checkers see none of it: the package imports the same names under `TYPE_CHECKING`.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def import_name(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home_of[name]), name)

    return import_name
