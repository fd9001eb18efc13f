"""Makes the help texts that `millmark.services.help` prints, from the commands.

`python -m millmark.services.commands.help_writer` writes them, at set-up and before a wheel is built.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import typer.main

from millmark.services.cli import build_app
from millmark.services.help import FOLDER, join_texts
from millmark.services.output import json_format

_WIDTH = "80"
_FORMATS = """# Formats of JSON

With `--json`, a command prints one JSON object whose first member, `format`, names the command and the version of what
it prints. A list stands under the name of what it lists: `{"format": "millmark.lots.list/1", "lots": [...]}`. A version
keeps its members and their meaning; members may be added to it, so a program leaves alone what it does not know.
Commands that print JSON without being asked, such as `keys derive`, do the same.

A document that has a format of its own, such as the directory, keeps it. What others define is printed as they
define it: `footprint --catena-x` and `--pact`. `documents keys sign` prints what `documents keys publish` sends.
`demo --json FILE` writes its object to a file. `scripts/generate_help` writes this page.

| Command | Format |
|---|---|
"""


def build_texts() -> dict[str, str]:
    """The content of each file, by its name."""
    texts: dict[str, dict[str, str]] = {}
    for context, words in _walk_all():
        texts.setdefault(words[0] if words else "millmark", {})[" ".join(words)] = _render(context)
    return {f"{name}.txt": join_texts(found) for name, found in texts.items()}


def build_formats() -> str:
    """The page that names the format of the JSON of every command that has `--json`."""
    found = [words for context, words in _walk_all() if any("--json" in one.opts for one in context.command.params)]
    return _FORMATS + "".join(f"| `millmark {' '.join(words)}` | `{json_format(words)}` |\n" for words in found)


def _render(context: Any) -> str:
    """The help as a terminal without colours shows it."""
    shown = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": _WIDTH, "NO_COLOR": "1"}), contextlib.redirect_stdout(shown):
        context.command.format_help(context, context.make_formatter())
    lines = (line.rstrip() for line in shown.getvalue().strip("\n").splitlines())
    return "\n".join(lines) + "\n"


def _walk_all() -> Iterator[tuple[Any, tuple[str, ...]]]:
    command: Any = typer.main.get_command(build_app())
    return _walk(command.context_class(command, info_name="millmark"), ())


def _walk(context: Any, words: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The contexts of all commands and their words. Made without arguments, since some groups require options."""
    yield context, words
    # In the order in which the help lists them, not in that of the modules which register them.
    for name in context.command.list_commands(context) if hasattr(context.command, "list_commands") else ():
        inner = context.command.get_command(context, name)
        yield from _walk(inner.context_class(inner, info_name=name, parent=context), (*words, name))


def write_texts() -> None:
    """Write the texts anew, and remove those of commands that are gone. Raises OSError."""
    FOLDER.mkdir(exist_ok=True)
    texts = build_texts()
    for old in FOLDER.glob("*.txt"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write_texts()
