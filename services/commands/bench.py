"""`millmark bench`: figures, measured now."""

from __future__ import annotations

import typer

from services.commands.options import AsJson
from services.output import print_json, print_table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Measure.")
    group.command("gas", epilog="Example: millmark bench gas --json")(run_gas)
    app.add_typer(group, name="bench")


def run_gas(as_json: AsJson = False) -> None:
    """Gas per record of every kind, 50 of a kind in one transaction, on the embedded chain. Exact and repeatable."""
    from services.bench.gas import measure_gas  # noqa: PLC0415 - needs numpy, which others do not

    found = measure_gas()
    if as_json:
        print_json({kind: {"records": count, "gas": gas // count} for kind, (count, gas) in found.items()})
        return
    print_table("gas per record", ["kind", "records", "gas"], [[kind, n, gas // n] for kind, (n, gas) in found.items()])
