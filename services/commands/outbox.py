"""`millmark outbox`: list queued records, and pause, resume, cancel or reassign them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ledger.errors import SubmitError
from ledger.keys import parse_address, to_checksum
from ledger.store.outbox import Outbox, OutboxState
from services.commands.context import open_context
from services.options import AsJson
from services.output import print_json, print_lines, print_table
from services.text.outbox import describe_waiting

__all__ = ["register"]

_MAX = 1000
_WRONG_ORDER = "LotOrderWrong"
Keys = Annotated[list[str], typer.Argument(help="Idempotency keys, as `millmark outbox list` shows them.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="List and control the records queued for the ledger.")
    group.command("list", epilog="Example: millmark outbox list --json")(run_list)
    group.command("pause", epilog="Example: millmark outbox pause order-17")(run_pause)
    group.command("resume", epilog="Example: millmark outbox resume order-17")(run_resume)
    group.command("cancel", epilog="Example: millmark outbox cancel order-17 order-18")(run_cancel)
    group.command("hand-over", epilog="Example: millmark outbox hand-over 0x... 0x...")(run_hand_over)
    app.add_typer(group, name="outbox")


def run_list(
    context: typer.Context,
    most: Annotated[int, typer.Option(min=1, max=_MAX, help="Number of records to show, oldest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the records that are not final on the ledger yet, and why each is waiting."""
    with open_context(context.obj) as opened:
        found = Outbox(opened.store).unfinished(most)
    now = time.time()
    rows = [describe_waiting(record, now) for record in found]
    if as_json:
        print_json(rows)
    elif not rows:
        print_lines("the outbox is empty")
    else:
        print_table("outbox", list(rows[0]), [list(row.values()) for row in rows])


def run_pause(context: typer.Context, keys: Keys) -> None:
    """Hold back records that were not sent yet, and the records that depend on them."""
    with open_context(context.obj) as opened:
        Outbox(opened.store).pause(keys)
    print_lines(*(f"{key} is paused" for key in keys))


def run_resume(
    context: typer.Context,
    keys: Keys,
    unchanged: Annotated[
        bool, typer.Option("--unchanged", help="Also retry a record that names the wrong order of a lot.")
    ] = False,
) -> None:
    """Release paused records, and retry failed ones. They go out as they are: what they say cannot be changed."""
    with open_context(context.obj) as opened:
        outbox = Outbox(opened.store)
        refused = {key: record for key, record in outbox.find(keys).items() if record.state is OutboxState.FAILED}
        for key, record in refused.items():
            if record.error_name == _WRONG_ORDER and not unchanged:
                raise SubmitError(
                    f"{key} would go out with the same order, for which it was refused: {record.error}",
                    hint="cancel it and have it made anew (of a certificate: send the samples again, as new events); "
                    "--unchanged if the lot has come into that order since",
                )
        outbox.resume(keys)
    for key in keys:
        before = f", unchanged; it was refused: {refused[key].error}" if key in refused else ""
        print_lines(f"{key} is queued again{before}")


def run_cancel(context: typer.Context, keys: Keys) -> None:
    """Cancel records. One that was already sent may still get onto the ledger; `millmark outbox list` shows it until
    that is decided."""
    with open_context(context.obj) as opened:
        found = Outbox(opened.store).cancel(keys)
    for record in found:
        over = record.state is OutboxState.CANCELLED
        print_lines(f"{record.idempotency_key} is {'cancelled' if over else 'being cancelled; it was already sent'}")


def run_hand_over(
    before: Annotated[str, typer.Argument(help="Address of the present key: revoked, or about to be.")],
    after: Annotated[str, typer.Argument(help="Address of another key of the same participant.")],
    context: typer.Context,
) -> None:
    """Reassign the records queued for one key to another one. Repeat the command if some were being sent."""
    keys = parse_address(before), parse_address(after)
    with open_context(context.obj) as opened:
        count = Outbox(opened.store).hand_over(*keys)
    print_lines(f"{count} records are now queued for {to_checksum(keys[1])}")
