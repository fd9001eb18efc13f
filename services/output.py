"""Output of commands: tables and lines for people, JSON for programs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ledger.errors import InputError
from ledger.terminal import NO_ANSWER, write

__all__ = ["print_json", "print_lines", "print_table", "warn", "write_text"]


def print_json(value: object) -> None:
    _print(json.dumps(value, indent=2) + "\n")


def print_lines(*lines: str) -> None:
    _print("".join(f"{line}\n" for line in lines))


def _print(text: str) -> None:
    """Prints with any encoding. Exits when the output is closed or full: nobody reads what the command does."""
    if not write(sys.stdout, text):
        warn("millmark: the output cannot be written; check the output and its disk")
        raise SystemExit(NO_ANSWER)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; columns that hold only integers are right-aligned."""
    from rich.console import Console  # noqa: PLC0415 - a node never prints a table
    from rich.table import Table  # noqa: PLC0415 - few commands print tables

    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    shown = io.StringIO()
    console = Console()
    Console(file=shown, width=console.width, force_terminal=console.is_terminal, soft_wrap=False).print(table)
    _print(shown.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes a text file as UTF-8. Raises InputError when the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", hint="name another file") from error


def warn(line: str) -> None:
    write(sys.stderr, f"{line}\n")
