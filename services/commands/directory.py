"""`millmark directory`: who the companies of the consortium are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.errors import NotFoundError
from millmark.ledger.keys import to_checksum
from millmark.ledger.store import Registry
from millmark.services.commands.admission import publish_directory
from millmark.services.commands.context import open_context
from millmark.services.commands.joining import import_directory
from millmark.services.directory import (
    DirectoryEntry,
    DirectoryRepository,
    RecipientKeyError,
    SignedDirectory,
    fetch_operators,
    parse_directory,
    take_directory,
    verify_statement,
)
from millmark.services.directory.document import MAX_DIRECTORY_BYTES, entry_to_json
from millmark.services.directory.following import published_digest
from millmark.services.files import read_bounded, write_whole
from millmark.services.output import AsJson, OperatorSigner, PassphraseFile, print_json, print_lines, print_table

Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write it to, for a company that is offline.")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Publish, import and show the directory: names, GLNs, gateways and recipient keys."
    )
    group.command("publish", epilog="Example: millmark --home operator directory publish")(run_publish)
    group.command("import", epilog="Example: millmark directory import directory.json")(run_import)
    group.command("show", epilog="Example: millmark directory show --json")(run_show)
    app.add_typer(group, name="directory")


def run_publish(
    context: typer.Context,
    signer: OperatorSigner = None,
    output: Output = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign the directory of all companies and publish its digest on the ledger. Owner of the registry only.

    Gateways fetch it from the operator's gateway. Nothing is published again if nothing changed.
    """
    with open_context(context.obj) as opened:
        signed, is_new = publish_directory(opened, opened.unlock_operator(signer, passphrase_file))
    _write(signed, output)
    count = len(signed.directory.entries)
    print_lines(f"directory of {count} companies {'published' if is_new else 'unchanged'}: 0x{signed.digest.hex()}")


def run_import(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="Directory file; fetched from directory_url if omitted.")
    ] = None,
) -> None:
    """Take a directory over, after it was checked: signed by the operator, published on the ledger, later than the one
    known, and each recipient key signed by its company."""
    with open_context(context.obj) as opened:
        opened.follow()
        if file is None:
            is_new = import_directory(opened, opened.unlock_company())
        else:
            signed, operators = (
                parse_directory(read_bounded(file, MAX_DIRECTORY_BYTES)),
                fetch_operators(opened.chain_at_hand()),
            )
            with opened.store.transaction() as connection:
                is_new = take_directory(connection, signed, operators)
        with opened.store.reading() as connection:
            count = len(DirectoryRepository(connection).entries())
    print_lines(f"{count} companies have names" if is_new else f"nothing new; {count} companies have names")


def run_show(context: typer.Context, output: Output = None, as_json: AsJson = False) -> None:
    """Show the directory in force: who the companies are, and whether their recipient keys count now."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        with opened.store.reading() as connection:
            signed, registry = DirectoryRepository(connection).signed(), Registry(connection)
            if signed is None:
                raise NotFoundError("there is no directory here yet", hint="run `millmark directory import`")
            is_latest = published_digest(connection) == signed.digest
            states = {one.participant: _key_state(registry, one) for one in signed.directory.entries}
    _write(signed, output)
    if as_json:
        print_json(context, _as_json(signed, is_latest, states))
        return
    rows = [
        [one.participant, one.name, one.gln or "", one.gateway or "", str(one.contact or ""), states[one.participant]]
        for one in signed.directory.entries
    ]
    print_table("directory", ["id", "name", "GLN", "gateway", "contact", "recipient key"], rows)
    issued = datetime.fromtimestamp(signed.directory.issued_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    later = "" if is_latest else "; a later one is published: run `millmark directory import`"
    print_lines(f"issued {issued} UTC by {to_checksum(signed.recover_signer())}{later}")


def _write(signed: SignedDirectory, output: Path | None) -> None:
    if output is not None:
        write_whole(output, signed.to_bytes())


def _as_json(signed: SignedDirectory, is_latest: bool, states: dict[int, str]) -> dict[str, Json]:
    entries: list[Json] = [
        {**entry_to_json(one), "recipient_key_state": states[one.participant]} for one in signed.directory.entries
    ]
    return {
        "issued_at": signed.directory.issued_at,
        "digest": "0x" + signed.digest.hex(),
        "signer": to_checksum(signed.recover_signer()),
        "latest": is_latest,
        "entries": entries,
    }


def _key_state(registry: Registry, entry: DirectoryEntry) -> str:
    if entry.recipient_key is None:
        return "none"
    try:
        verify_statement(registry, entry.participant, entry.recipient_key)
    except RecipientKeyError:
        return "its signing key is not active"
    return "valid"
