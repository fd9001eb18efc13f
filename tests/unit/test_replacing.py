"""Files are replaced in one place, which brings the new name to the disk, and then the folder that has it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark import ledger, quality, services
from millmark.services.files import write_private_whole, write_whole

ALLOWED = {"ledger/files.py", "quality/data.py"}
"""The second installs without the first."""
RENAMING = {"replace", "rename", "renames", "move"}
MODULES = {"os", "shutil"}


CANDIDATE = re.compile(r"\.(replace|renames?|move)\(")


def parse_calls(line: str) -> Iterator[ast.Module]:
    """The calls in a line of a statement, as far as they end there: parsing all files takes seconds."""
    for start in CANDIDATE.finditer(line):
        end, depth = start.end(), 1
        while end < len(line) and depth:
            depth += (line[end] in "([{") - (line[end] in ")]}")
            end += 1
        if depth == 0:
            name = re.search(r"\w+$", line[: start.start()])
            yield ast.parse(f"{name[0] if name else 'x'}{line[start.start() : end]}")


def is_replacement(call: ast.Call) -> bool:
    """`os.replace(a, b)`, `shutil.move(a, b)`, and `path.replace(other)`, which has one argument; that of a text has
    two, and that of a time or a dataclass has names."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in RENAMING or call.keywords:
        return False
    of_module = isinstance(call.func.value, ast.Name) and call.func.value.id in MODULES
    alone = len(call.args) == 1 and not isinstance(call.args[0], ast.Starred)
    return of_module or (alone and call.func.attr in {"replace", "rename"})


def test_files_are_replaced_in_one_place() -> None:
    found = set()
    for package in (ledger, services, quality):
        folder = Path(str(package.__file__)).parent
        for path in folder.rglob("*.py"):
            lines = [line.strip() for line in path.read_text().splitlines() if CANDIDATE.search(line)]
            parsed = (module for line in lines for module in parse_calls(line))
            calls = (node for module in parsed for node in ast.walk(module) if isinstance(node, ast.Call))
            if any(map(is_replacement, calls)):
                found.add(str(path.relative_to(folder.parent)))
    assert found == ALLOWED


@pytest.mark.parametrize("write", [write_whole, write_private_whole])
def test_the_folder_is_synchronised_after_the_new_name(
    write: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "kept.json", list[str]()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        kind = "folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file"
        steps.append(f"{kind}, {'new' if path.exists() else 'no'} name")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, b"content")
    assert steps == ["file, no name", "folder, new name"]
    assert path.read_bytes() == b"content"
