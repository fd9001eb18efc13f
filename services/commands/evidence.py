"""`millmark evidence`: how much is kept of the logs behind the company's streams, where, and what is dropped."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.provenance.retention import Retained, Rule, drop_evidence, find_droppable
from millmark.ledger.store import Book, Store
from millmark.ledger.store.evidence_moves import move_content, prune_files
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.interop.epcis.repository import EpcisRepository
from millmark.services.output import AsJson, print_json, print_lines

_NONE_FILED: Mapping[bytes, int] = {}
_DAY_S = 86_400
_LEAST_DAYS = 7
"""What is younger may be named by a certificate that is still in the outbox."""


class Place(enum.Enum):
    """Where the content of logs is."""

    FILES = "files"
    DATABASE = "database"


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Show how much is kept of the streams' logs, move it, and drop what is old."
    )
    group.command("status", epilog="Example: millmark evidence status")(run_status)
    group.command("move", epilog="Example: millmark evidence move files")(run_move)
    group.command("prune", epilog="Example: millmark evidence prune")(run_prune)
    group.command("drop", epilog="Example: millmark evidence drop --older-than 365 --dry-run")(run_drop)
    app.add_typer(group, name="evidence")


def run_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the number of entries of each log in this database, and of those whose content was dropped. The hashes of
    all are there, so that every entry can still be proved."""
    with open_context(context.obj, looking=True) as opened, opened.store.reading() as connection:
        counts = Book(connection).evidence_counts()
        found = [Retained(stream, entries, dropped) for stream, (entries, dropped, _) in counts.items()]
        filed = {stream: in_files for stream, (*_, in_files) in counts.items()}
        _print(context, found, Book(connection).identifiers(counts), as_json, "", filed)


def run_move(
    context: typer.Context,
    place: Annotated[Place, typer.Argument(help="Where to: files in `evidence_folder`, or the database.")],
    as_json: AsJson = False,
) -> None:
    """Move the content of the streams' logs into files of evidence_folder, or back into the database. New entries go
    into files while that is set. The command can be stopped at any time, and goes on when it is called again."""
    with open_context(context.obj) as opened, audited(opened.settings, "evidence move", f"into {place.value}"):
        moved = move_content(opened.store, into_files=place is Place.FILES)
    if as_json:
        print_json(context, {"entries": moved})
        return
    print_lines(f"{moved} entries moved into {'files' if place is Place.FILES else 'the database'}")


def run_prune(context: typer.Context, as_json: AsJson = False) -> None:
    """Remove files in evidence_folder that are more than a day old and that no row of this database names, as crashes
    leave them. Not for a copy of a database: it would remove newer files of the original."""
    with open_context(context.obj) as opened, audited(opened.settings, "evidence prune", ""):
        removed = prune_files(opened.store)
    if as_json:
        print_json(context, {"files": removed})
        return
    print_lines(f"{removed} files removed")


def run_drop(
    context: typer.Context,
    older_than: Annotated[int, typer.Option(min=_LEAST_DAYS, help="Age in days, from the anchor on the ledger.")],
    expired: Annotated[
        bool,
        typer.Option(
            "--expired",
            help="Also what certificates name that expired before that and are not demanded; an opening that is "
            "demanded later can then not be answered.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be dropped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drop salts and content of measurements that are older than that, for good. Their hashes stay, and with them the
    proofs of everything else. Kept are entries that certificates and finished work name, with the measurements behind
    them, register readings, plans, offers and audits, and EPCIS events."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        rule = Rule(int(time.time()) - older_than * _DAY_S, _of_epcis(opened.store), expired=expired)
        found = find_droppable(opened.store, rule) if dry_run else _drop(opened, rule, older_than)
        with opened.store.reading() as connection:
            names = Book(connection).identifiers(one.stream for one in found)
    _print(context, found, names, as_json, "would be dropped" if dry_run else "dropped now")


def _drop(opened: Context, rule: Rule, days: int) -> list[Retained]:
    with audited(opened.settings, "evidence drop", f"older than {days} days"):
        return drop_evidence(opened.store, rule)


def _of_epcis(store: Store) -> frozenset[bytes]:
    with store.reading() as connection:
        return frozenset(EpcisRepository(connection).streams())


def _print(
    context: typer.Context,
    found: Sequence[Retained],
    names: dict[bytes, str],
    as_json: bool,
    now: str,
    filed: Mapping[bytes, int] = _NONE_FILED,
) -> None:
    rows = [
        {
            "stream": to_hex(one.stream),
            "identifier": names.get(one.stream),
            "entries": one.entries,
            "dropped_before": one.dropped,
            **({"in_files": filed[one.stream]} if one.stream in filed else {}),
            "now": one.now,
            "unreadable": one.unreadable,
            "bytes": one.bytes,
        }
        for one in found
    ]
    if as_json:
        print_json(context, {"streams": rows})
        return
    for row in rows:
        shown = f"{row['identifier'] or row['stream']}: {row['entries']} entries"
        shown += f", {row['in_files']} in files" if row.get("in_files") else ""
        shown += f", {row['dropped_before']} without content"
        shown += f", {row['now']} {now} ({row['bytes']} bytes)" if now else ""
        print_lines(f"{shown}, {row['unreadable']} in files that cannot be read" if row["unreadable"] else shown)
    if not rows:
        print_lines("no stream's log is in this database")
