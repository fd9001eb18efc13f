"""`millmark trace` and `millmark recall`."""

from __future__ import annotations

import typer

from ledger.provenance import OrderTrace, Recall, Trace, recall, trace
from services.commands.options import AsJson
from services.context import Context, open_context
from services.output import print_json, print_lines, warn
from services.traces import describe_order, describe_recall, describe_trace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("trace", epilog="Example: millmark trace https://id.gs1.org/01/09506000013459/21/A0001")(run_trace)
    app.command("recall", epilog="Example: millmark recall --model 9")(run_recall)


def run_trace(context: typer.Context, identifier: str, as_json: AsJson = False) -> None:
    """Say where a lot or an order comes from: order, machines, material, evidence, certificates, custody."""
    with open_context(context.obj) as opened:
        _catch_up(opened)
        found: Trace | OrderTrace = trace(opened.store, identifier)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(*(describe_trace(found) if isinstance(found, Trace) else describe_order(found)))


def run_recall(
    context: typer.Context,
    model: int | None = typer.Option(None, min=1, help="Number of a quality model: everything it certified."),
    lot: str | None = typer.Option(None, help="Identifier of a lot: everything made of it."),
    as_json: AsJson = False,
) -> None:
    """List every lot that a bad model or a bad lot reaches, and who holds it."""
    with open_context(context.obj) as opened:
        _catch_up(opened)
        found: Recall = recall(opened.store, model=model, lot=lot)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(*describe_recall(found))


def _catch_up(opened: Context) -> None:
    unreachable = opened.catch_up()
    if unreachable is not None:
        warn(f"millmark: {unreachable.cause}: answering from the index")
