"""The names by which Millmark's source is imported: a file that is loaded under two has two of each of its classes."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from tests.support.house import PACKAGES, ROOT

__all__ = ["find_doubles", "list_packages"]

PUBLIC = ROOT / "services" / "public"


def find_doubles(modules: Iterable[ModuleType] | None = None) -> list[str]:
    """The source files that were imported under other names than their own, with these. `modules`: by default, all that
    this process has imported."""
    names: dict[Path, set[str]] = defaultdict(set)
    for module in list(sys.modules.values()) if modules is None else modules:
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py"):
            names[Path(file).resolve()].add(module.__name__)
    own = {path: _name(path) for path in names if path.is_relative_to(ROOT)}
    return sorted(
        f"{path.relative_to(ROOT)}: {', '.join(sorted(names[path]))}"
        for path, name in own.items()
        if name is not None and names[path] - {"__main__"} not in ({name}, set())
    )


def _name(path: Path) -> str | None:
    """The name of a source file of the product; None for others."""
    below = path.relative_to(PUBLIC) if path.is_relative_to(PUBLIC) else path.relative_to(ROOT)
    if not path.is_relative_to(PUBLIC) and below.parts[0] not in PACKAGES:
        return None
    parts = [*below.with_suffix("").parts]
    return ".".join(["millmark", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def list_packages() -> list[str]:
    """The packages of the three folders, and `millmark` itself, by name."""
    folders = {init.parent for package in PACKAGES for init in (ROOT / package).rglob("__init__.py")}
    return sorted({name for folder in folders if (name := _name(folder / "__init__.py")) is not None})
