"""Makes the help texts that `services.help` prints, from the commands."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import typer.main

from services.cli import build_app
from services.help import join_texts

__all__ = ["build_texts"]

_WIDTH = "80"


def build_texts() -> dict[str, str]:
    """The content of each file, by its name."""
    command: Any = typer.main.get_command(build_app())
    texts: dict[str, dict[str, str]] = {}
    for context, words in _walk(command.context_class(command, info_name="millmark"), ()):
        texts.setdefault(words[0] if words else "millmark", {})[" ".join(words)] = _render(context)
    return {f"{name}.txt": join_texts(found) for name, found in texts.items()}


def _render(context: Any) -> str:
    """The help as a terminal without colours shows it."""
    shown = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": _WIDTH, "NO_COLOR": "1"}), contextlib.redirect_stdout(shown):
        context.command.format_help(context, context.make_formatter())
    lines = (line.rstrip() for line in shown.getvalue().strip("\n").splitlines())
    return "\n".join(lines) + "\n"


def _walk(context: Any, words: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The contexts of all commands and their words. Made without arguments, since some groups require options."""
    yield context, words
    for name, inner in getattr(context.command, "commands", {}).items():
        yield from _walk(inner.context_class(inner, info_name=name, parent=context), (*words, name))
