"""`millmark backup`, `restore` and `evidence`: a gateway's home, and the logs of its streams."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.provenance.retention import Retained, Rule, drop_evidence, find_droppable
from millmark.ledger.store import Book
from millmark.ledger.store.book import move_content, prune_files
from millmark.services.backup import back_up_home, restore_home
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.interop.epcis.repository import EpcisRepository
from millmark.services.output import AsJson, print_json, print_lines
from millmark.services.settings import read_settings


def register(app: typer.Typer) -> None:
    app.command("backup", epilog="Example: millmark backup /mnt/backup/monday")(run_backup)
    app.command("restore", epilog="Example: millmark --home restored restore /mnt/backup/monday")(run_restore)
    evidence = typer.Typer(
        no_args_is_help=True, help="Show how much is kept of the streams' logs, move it, and drop what is old."
    )
    evidence.command("status", epilog="Example: millmark evidence status")(run_status)
    evidence.command("move", epilog="Example: millmark evidence move files")(run_move)
    evidence.command("prune", epilog="Example: millmark evidence prune")(run_prune)
    evidence.command("drop", epilog="Example: millmark evidence drop --older-than 365 --dry-run")(run_drop)
    app.add_typer(evidence, name="evidence")


def run_backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A folder that does not exist yet.")],
    without_database: Annotated[
        bool, typer.Option("--without-database", help="Leave the database out; it was saved with its own tools.")
    ] = False,
) -> None:
    """Copy the home: settings, deployment file, database and audit log. The gateway may be running. Keys are not
    copied; the command names them."""
    settings = read_settings(context.obj)
    with audited(settings, "backup", str(folder)):
        left = back_up_home(settings, folder, without_database=without_database)
    print_lines(f"copied to {folder}; it has all names, so protect it")
    if left:
        print_lines("not copied; keep them in a backup of their own:", *(f"    {path}" for path in left))


def run_restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with the backup.")],
) -> None:
    """Restore a backup into a home that has none of its files. Its settings name the places, as in the old home."""
    found = restore_home(folder, context.obj, read_settings)
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.made_at))
    print_lines(f"restored {found.files} parts of the backup of {made_at} into {context.obj}")
    if found.missing:
        print_lines("put these in place from a backup of their own:")
        print_lines(*(f"    {path}: {what}" for path, what in found.missing.items()))
    print_lines("the gateway compares its outbox with the ledger when it starts, and says how to go on if it is older")


_DAY_S = 86_400
_LEAST_DAYS = 7
"""What is younger may be named by a certificate that is still in the outbox."""


class Place(enum.Enum):
    """Where the content of logs is."""

    FILES = "files"
    DATABASE = "database"


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
        with opened.store.reading() as connection:
            of_epcis = frozenset(EpcisRepository(connection).streams())
        rule = Rule(int(time.time()) - older_than * _DAY_S, of_epcis, expired=expired)
        found = find_droppable(opened.store, rule) if dry_run else _drop(opened, rule, older_than)
        with opened.store.reading() as connection:
            names = Book(connection).identifiers(one.stream for one in found)
    _print(context, found, names, as_json, "would be dropped" if dry_run else "dropped now")


def _drop(opened: Context, rule: Rule, days: int) -> list[Retained]:
    with audited(opened.settings, "evidence drop", f"older than {days} days"):
        return drop_evidence(opened.store, rule)


def _print(
    context: typer.Context,
    found: Sequence[Retained],
    names: dict[bytes, str],
    as_json: bool,
    now: str,
    filed: Mapping[bytes, int] | None = None,
) -> None:
    rows = [
        {
            "stream": to_hex(one.stream),
            "identifier": names.get(one.stream),
            "entries": one.entries,
            "dropped_before": one.dropped,
            **({"in_files": filed[one.stream]} if filed and one.stream in filed else {}),
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
