"""`millmark handovers` and `millmark import`: what companies hand over to each other, by gateway or as a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.bundle import MAX_BUNDLE_BYTES
from millmark.ledger.errors import InputError, NotFoundError, SettingsError
from millmark.ledger.store import Book
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.files import read_bounded, write_private_whole
from millmark.services.handover.delivering import Deliveries, State
from millmark.services.handover.receiving import Kept, Receiver, extend_to_present
from millmark.services.handover.repository import DeliveryRow, HandoverRepository, KeptRow
from millmark.services.output import AsJson, print_json, print_lines, print_table, utc_text

_STATES = {
    State.WAITING: "waits for its recipient's gateway",
    State.DELIVERED: "delivered",
    State.PARTIAL: "delivered without the order's document, which follows once it is here",
    State.OVER: "not due any more",
}


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Show and export what this company hands over to others.")
    group.command("list", epilog="Example: millmark handovers list --waiting")(run_list)
    group.command("export", epilog="Example: millmark handovers export 31 -o birch.handover")(run_export)
    group.command("bundle", epilog="Example: millmark handovers bundle 31 -o received.bundle")(run_bundle)
    group.command("retry", epilog="Example: millmark handovers retry --to 4")(run_retry)
    app.add_typer(group, name="handovers")
    app.command("import", epilog="Example: millmark import birch.handover")(run_import)


def run_list(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that are not delivered as a whole.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what this company hands over, why it waits and when it is tried again, and what it was handed."""
    with open_context(context.obj) as opened, opened.store.reading() as connection:
        handovers = HandoverRepository(connection)
        sent = handovers.all(*((State.WAITING, State.PARTIAL) if waiting else ()))
        kept = [] if waiting else handovers.all_kept()
        names = Book(connection).names()
    if as_json:
        print_json(context, {"sent": [_sent(row) for row in sent], "received": [_received(row) for row in kept]})
        return
    rows = [
        [row.sequence, _party(names, row.recipient), _STATES[State(row.state)], row.reason, _next_try(row)]
        for row in sent
    ]
    print_table("hand-overs by this company", ["record", "to", "state", "why it waits", "next try"], rows)
    if not waiting:
        columns = ["record", "from", "names", "documents", "kept at"]
        shown = [
            [row.sequence, _party(names, row.sender), row.names, row.documents, utc_text(row.kept_ms // 1000)]
            for row in kept
        ]
        print_table("hand-overs to this company", columns, shown)


def run_export(
    context: typer.Context,
    sequence: Annotated[int, typer.Argument(min=1, help="The ledger's record, as `list` shows it.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; an existing file is replaced.")],
    to: Annotated[int | None, typer.Option("--to", min=1, help="Participant, if the record has several.")] = None,
) -> None:
    """Write a hand-over to a file, for a company whose gateway cannot be reached. Only that company can open it."""
    with open_context(context.obj) as opened:
        unreachable = opened.catch_up()
        deliveries = Deliveries(opened.store, opened.chain(), opened.unlock_company())
        while deliveries.collect():
            pass
        if unreachable is not None and sequence > deliveries.collected():
            raise unreachable
        recipient = _choose(opened, sequence, to)
        write_private_whole(output, deliveries.export(sequence, recipient))
    print_lines(f"written to {output}; participant {recipient} keeps it with: millmark import {output.name}")


def run_bundle(
    context: typer.Context,
    sequence: Annotated[int, typer.Argument(min=1, help="The ledger's record, as `list` shows it.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; an existing file is replaced.")],
) -> None:
    """Write the bundle that came with a hand-over to this company, with the evidence in it, for `millmark verify`."""
    with open_context(context.obj) as opened:
        with opened.store.reading() as connection:
            found = HandoverRepository(connection).bundles(sequence)
        if not found:
            raise NotFoundError(
                f"no bundle was handed over because of record {sequence}", hint="see `millmark handovers list`"
            )
        write_private_whole(output, extend_to_present(opened.chain(), found[-1]))
    print_lines(f"written to {output}; verify it with: millmark verify {output} --trust FILE --any-status")


def run_retry(
    context: typer.Context,
    to: Annotated[int | None, typer.Option("--to", min=1, help="Only those for this participant.")] = None,
) -> None:
    """Have a running gateway try at once what waits."""
    with open_context(context.obj) as opened, opened.store.transaction() as connection:
        count = HandoverRepository(connection).retry(to, time.time_ns() // 1_000_000)
    print_lines(f"{count} hand-overs are tried again")


def run_import(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A hand-over, or a bundle.")],
    as_json: AsJson = False,
) -> None:
    """Verify a hand-over to this company, or a bundle about its lots, and keep names, documents and measurements.

    Nothing is kept unless all of it is verified.
    """
    data = read_bounded(file, MAX_BUNDLE_BYTES)
    with open_context(context.obj) as opened, audited(opened.settings, "import", file.name):
        unreachable = opened.catch_up()
        if unreachable is not None:
            raise unreachable
        receiver = find_receiver(opened)
        if receiver is None:
            raise SettingsError(
                "the home does not say which company it is, or with which key and chain it reads",
                hint="set gateway_participant, recipient_key and chain_url",
            )
        kept = receiver.import_file(data)
    if as_json:
        print_json(context, {"record": kept.sequence or None, "names": kept.names, "documents": kept.documents})
    else:
        print_lines(_told(kept))


def _told(kept: Kept) -> str:
    if kept.again:
        return "it was kept before; nothing changed"
    origin = f"from participant {kept.sender}, because of record {kept.sequence}: " if kept.sequence else ""
    entries = f", {kept.entries} entries" if kept.entries else ""
    return f"verified and kept: {origin}{kept.names} names, {kept.documents} documents{entries}"


def find_receiver(opened: Context) -> Receiver | None:
    """What keeps the hand-overs of other companies; None if the settings lack what it takes."""
    settings = opened.settings
    key_file = settings.from_home(settings.recipient_key)
    if settings.chain_url is None or settings.gateway_participant is None or key_file is None:
        return None
    unlock = None if settings.gateway_signer_uri is None else opened.unlock_company
    return Receiver(opened.store, opened.late_chain(), settings.gateway_participant, key_file, unlock=unlock)


def _choose(opened: Context, sequence: int, to: int | None) -> int:
    with opened.store.reading() as connection:
        found = [row.recipient for row in HandoverRepository(connection).of_record(sequence)]
    if to is not None and to in found:
        return to
    if to is None and len(found) == 1:
        return found[0]
    if not found or to is not None:
        raise InputError(
            f"because of record {sequence}, nothing is handed over" + ("" if to is None else f" to participant {to}"),
            hint="see `millmark handovers list`",
        )
    listed = ", ".join(map(str, found))
    raise InputError(f"record {sequence} is handed over to participants {listed}", hint="choose one with --to")


def _sent(row: DeliveryRow) -> dict[str, object]:
    return {
        "record": row.sequence,
        "recipient": row.recipient,
        "state": row.state,
        "attempts": row.attempts,
        "reason": row.reason or None,
        "next_try": _next_try(row) or None,
    }


def _received(row: KeptRow) -> dict[str, object]:
    return {
        "record": row.sequence,
        "sender": row.sender,
        "digest": row.digest.hex(),
        "names": row.names,
        "documents": row.documents,
        "kept_at": utc_text(row.kept_ms // 1000),
    }


def _party(names: dict[int, str], number: int) -> str:
    return f"{names[number]} ({number})" if number in names else f"participant {number}"


def _next_try(row: DeliveryRow) -> str:
    return utc_text(row.next_try_ms // 1000) if row.state == State.WAITING else ""
