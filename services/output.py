"""What commands share of the command line: output, as tables and lines for people and as JSON for programs; and
types of options."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from millmark.ledger.errors import InputError
from millmark.ledger.records import Role
from millmark.ledger.terminal import NO_ANSWER, is_coloured, paint, write

_BETWEEN = " │ "
"""Between two columns of a table."""
_ENDLESS = 1 << 20


_VERSIONS: Final[Mapping[str, int]] = {}
"""Versions of the JSON of commands, by their words, where it is not the first: raised when a program that read the
earlier version would misread the new one. New members alone do not raise it."""


def json_format(words: Sequence[str]) -> str:
    """The format of the JSON that a command prints, such as `millmark.lots.list/1` of `millmark lots list`."""
    return f"millmark.{'.'.join(words)}/{_VERSIONS.get(' '.join(words), 1)}"


def print_json(context: typer.Context, members: Mapping[str, object]) -> None:
    """Prints what a command found as one JSON object that begins with the format of that command.

    A list stands under the name of what it lists, so that members can be added beside it. A document that has a format
    of its own keeps it.
    """
    print_document({"format": json_format(_words(context)), **members})


def print_document(document: Mapping[str, object]) -> None:
    """Prints a document whose form others define, or that says its own format."""
    _print(json.dumps(document, indent=2) + "\n")


def _words(context: Any) -> list[str]:
    """The words of a command, without the program's name."""
    found = [] if context.parent is None else _words(context.parent)
    return found if context.parent is None else [*found, context.info_name or ""]


def print_lines(*lines: str) -> None:
    text = "".join(f"{line}\n" for line in lines)
    _print(paint(text) if is_coloured(sys.stdout) else text)


def _print(text: str) -> None:
    """Prints with any encoding. Exits when the output is closed or full: nobody reads what the command does."""
    if not write(sys.stdout, text):
        warn("millmark: the output cannot be written; check the output and its disk")
        raise SystemExit(NO_ANSWER)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; columns that hold only integers are right-aligned.

    No word is broken, so that identifiers can be copied: what is too wide for the terminal is shown as a list. Where no
    person looks on, lines are as long as they need be.
    """
    from rich.console import Console  # noqa: PLC0415 - a node never prints a table
    from rich.table import Table  # noqa: PLC0415 - a node never prints a table

    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    console = Console()
    least = sum(_least_widths(columns, cells)) + len(_BETWEEN) * (len(columns) - 1)
    if console.is_terminal and least > console.width:
        print_lines(title, *(line for row in cells for line in _listed(columns, row)))
        return
    numeric = [bool(rows) and all(isinstance(row[index], int) for row in rows) for index in range(len(columns))]
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    widths = _widths(columns, cells, console.width if console.is_terminal else _ENDLESS)
    for column, is_numeric, width in zip(columns, numeric, widths, strict=True):
        table.add_column(column, justify="right" if is_numeric else "left", overflow="fold", width=width)
    for row in cells:
        table.add_row(*row)
    width = max(console.width, sum(widths) + len(_BETWEEN) * (len(widths) - 1))
    shown = io.StringIO()
    Console(file=shown, width=width, force_terminal=console.is_terminal, soft_wrap=False).print(table)
    _print(paint(shown.getvalue()) if is_coloured(sys.stdout) else shown.getvalue())


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]], most: int) -> list[int]:
    """The width of each column: that of its longest cell if all fit, and never less than its longest word's. Rich by
    itself narrows columns also in the middle of a word."""
    widths = _least_widths(columns, cells)
    wanted = [max(_cell_len(row[at]) for row in (columns, *cells)) for at in range(len(columns))]
    left = most - sum(widths) - len(_BETWEEN) * (len(columns) - 1)
    for at in sorted(range(len(columns)), key=lambda at: wanted[at] - widths[at]):
        more = max(min(wanted[at] - widths[at], left), 0)
        widths[at], left = widths[at] + more, left - more
    return widths


def _least_widths(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    """The width of the longest word in each column."""
    return [
        max(_cell_len(word) for row in (columns, *cells) for word in [*row[at].split(), ""])
        for at in range(len(columns))
    ]


def _cell_len(text: str) -> int:
    from rich.cells import cell_len  # noqa: PLC0415 - a node never prints a table

    return cell_len(text)


def _listed(columns: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    """A row as lines: what it is about, and below it the other columns that are not empty."""
    yield row[0]
    yield from (f"  {column}: {cell}" for column, cell in zip(columns[1:], row[1:], strict=True) if cell)


def utc_text(seconds: int) -> str:
    """A time as JSON and tables have it, such as 2026-05-04T09:30:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def warn(line: str) -> None:
    write(sys.stderr, f"{line}\n")


# Types of command-line options that several commands share, and readers of their values.

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SignerUri = Annotated[
    str,
    typer.Option(
        "--signer",
        help="Key that signs: keystore:FILE or file:FILE, readable by you alone, or pkcs11:token=NAME;object=LABEL.",
    ),
]
OperatorSigner = Annotated[
    str | None,
    typer.Option("--signer", help="Key that owns the registry, as keystore:FILE; operator_signer if omitted."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File (mode 0600) with the keystore's passphrase or the token's PIN."),
]
NameKeys = Annotated[
    list[str],
    typer.Option("--name-key", help="Each name key of the participant, oldest first: keystore:FILE or file:FILE."),
]
NamePassphraseFile = Annotated[
    Path | None,
    typer.Option("--name-passphrase-file", help="File (mode 0600) with the passphrase of the name key's keystore."),
]
Gateway = Annotated[
    str, typer.Option("--gateway", metavar="URL", help="Another participant's gateway: scheme and host, no path.")
]
TokenFile = Annotated[
    Path, typer.Option("--token-file", help="File (mode 0600) with a token or API key of that gateway.", dir_okay=False)
]


def parse_roles(text: str) -> Role:
    """Reads role names separated by commas. Raises InputError naming the first unknown one."""
    roles = Role(0)
    for name in text.split(","):
        if name.strip().upper() not in Role.__members__:
            raise InputError(f"unknown role {name.strip()!r}", hint=f"use {', '.join(Role.__members__)}")
        roles |= Role[name.strip().upper()]
    return roles
