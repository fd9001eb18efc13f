"""`millmark demo`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer

from ledger.errors import InputError
from services.output import print_lines, warn

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("demo", epilog="Example: millmark demo --orders 12 --json out.json")(run)


def run(
    orders: int = typer.Option(24, min=1, max=500, help="Number of orders, of three operations each."),
    output: Path = typer.Option(Path("millmark-demo"), "--out", help="Folder for what is left behind."),
    data: Path | None = typer.Option(
        None, help="Measured windows of your own, a label first in each row (CSV or TSV). Default: FordA, fetched once."
    ),
    report: Path | None = typer.Option(None, "--json", help="Also write everything to this file, as JSON."),
) -> None:
    """Run the main job on real signals: orders, assignments, evidence, inspection, certificates, custody, trace."""
    from services.lab.demo.report import build_json, print_summary  # noqa: PLC0415 - needs numpy, which others do not
    from services.lab.demo.run import run_demo  # noqa: PLC0415  # it takes a second

    with _opened(report) as file:
        result = run_demo(output, orders, data, warn)
        if file is not None:
            file.write(json.dumps(build_json(result), indent=2) + "\n")
    print_lines("")
    print_summary(result, output, _program())


@contextmanager
def _opened(report: Path | None) -> Iterator[TextIO | None]:
    """The report's file, opened before the work: a path that cannot be written to is said at once."""
    if report is None:
        yield None
        return
    try:
        file = report.open("w")
    except OSError as error:
        raise InputError(f"{report} cannot be written: {error.strerror}", hint="name another file") from error
    with file:
        yield file


def _program() -> str:
    """How this command was called, as short as it can be typed again from here."""
    return min(sys.argv[0], os.path.relpath(sys.argv[0]), key=len)
