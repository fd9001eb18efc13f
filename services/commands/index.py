"""`millmark index`: snapshots of the index, from which a new gateway starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import parse_hex32, to_hex
from millmark.ledger.index import export_index, import_index, read_snapshot
from millmark.services.commands.audit import audited
from millmark.services.commands.context import open_context
from millmark.services.output import AsJson, print_json, print_lines, warn

_TOLD_AFTER = 50_000
"""Records after which a line tells of progress."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Copy the index to a new gateway, which then need not build its own."
    )
    group.command("export", epilog="Example: millmark index export index.gz")(run_export)
    group.command("import", epilog="Example: millmark --home second index import index.gz")(run_import)
    app.add_typer(group, name="index")


def run_export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="A file that does not exist yet.")],
    as_json: AsJson = False,
) -> None:
    """Write the ledger's records up to the last final block to a file. The gateway may be running. Names, salts,
    documents and keys are not in it."""
    with open_context(context.obj, looking=True) as opened:
        end = export_index(opened.store, file)
    records = end.registry_sequence + end.ledger_sequence
    if as_json:
        print_json(context, {"block_number": end.block_number, "records": records, "digest": to_hex(end.digest)})
        return
    print_lines(f"{records} records up to block {end.block_number}, digest {to_hex(end.digest)}, written to {file}")


def run_import(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File that `millmark index export` wrote.")],
    digest: Annotated[
        str | None,
        typer.Option(
            help="Digest of an index that you trust, at that block. Then blocks are not fetched from the chain."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build this home's index, which must be empty, from a file. It is held against the chain first: each block with
    records is fetched and compared, or, with `--digest`, the file must have that digest. Gateway and node must not run
    meanwhile; afterwards they follow the chain from where the file ends."""
    trusted = None if digest is None else parse_hex32(digest)
    with open_context(context.obj) as opened, audited(opened.settings, "index import", str(file)):
        found = import_index(opened.store, opened.chain(), read_snapshot(file), trusted, _tell)
    if as_json:
        values = {"block_number": found.block_number, "records": found.records, "digest": to_hex(found.digest)}
        print_json(context, {**values, "blocks_compared": found.blocks, "heads_compared": found.heads})
        return
    print_lines(f"{found.records} records up to block {found.block_number}, digest {to_hex(found.digest)}")
    print_lines(
        "the digest is the one that you gave" if trusted else f"all {found.blocks} blocks with records are the chain's",
        f"{found.heads} heads and the numbers of records are the chain's at block {found.compared_at}"
        if found.heads
        else f"not compared: the state at block {found.block_number}, which the node no longer has",
    )


def _tell(records: int) -> None:
    if records % _TOLD_AFTER < _TOLD_AFTER // 10:  # batches are of some thousand records
        warn(f"{records} records are read and compared")
